// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions of users who are not in the password file any more. Called by role.c and sessions.c.
//
// Whenever the file has changed auth is asked about all users whom it let in, some at a time: the
// next are asked about when the answer has come. Each change begins anew, and so does a new auth,
// which tells of the file that it has found.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

struct removed {
	bool wanted; // from the first on
	bool asked;
	uint64_t req;
	uint32_t next; // index in the table
	struct ipc_users_ask ask;
};

static bool is_of_file(const struct session *session) {
	return session && session->password_file;
}

// The next ones. Several sessions of one user are asked about one by one: they are rarely many.
static void ask(struct session_mgr *mgr) {
	struct removed *removed = mgr->removed;
	struct ipc_users_ask *msg = &removed->ask;

	memset(msg, 0, sizeof(*msg));
	while (removed->next < mgr->index_end && msg->nb < IPC_USERS_MAX) {
		const struct session *session = mgr->table[removed->next++];

		if (is_of_file(session))
			strncpy(msg->names[msg->nb++], session->str[STR_USER], IPC_USER_LEN - 1);
	}
	removed->asked = msg->nb > 0;
	if (!removed->asked)
		return;
	msg->hdr.req = ++removed->req;
	// An auth that is away tells again once it has come back.
	if (mgr->opts.send(IPC_AUTH, 0, IPC_USERS_ASK, &msg->hdr, sizeof(*msg), mgr->opts.arg) != 0)
		removed->asked = false;
}

static void end_user(struct session_mgr *mgr, const char *user) {
	struct session *session = session_next_of_user(mgr, user, NULL), *next;
	unsigned nb = 0;

	for (; session; session = next) {
		next = session_next_of_user(mgr, user, session);
		if (!is_of_file(session))
			continue;
		session_disconnect(mgr, session);
		nb++;
	}
	if (nb > 0)
		log_info("user_removed", "user=%s sessions=%u", log_value(user), nb);
}

void removed_tick(struct session_mgr *mgr) {
	struct removed *removed = mgr->removed;

	if (!removed->wanted || !mgr->loaded)
		return;
	removed->wanted = false;
	removed->next = 0;
	ask(mgr);
}

void removed_changed(struct session_mgr *mgr) {
	mgr->removed->wanted = true;
	mgr->removed->asked = false; // what was asked before is answered by an older file
	removed_tick(mgr);
}

int removed_answer(struct session_mgr *mgr, const struct ipc_users_answer *msg) {
	struct removed *removed = mgr->removed;

	if (!removed->asked || msg->hdr.req != removed->req)
		return 0;
	if (removed->ask.nb < 64 && msg->gone >> removed->ask.nb != 0)
		return -EINVAL;
	for (uint32_t i = 0; i < removed->ask.nb; i++) {
		if (msg->gone >> i & 1)
			end_user(mgr, removed->ask.names[i]);
	}
	ask(mgr);
	return 0;
}

int removed_init(struct session_mgr *mgr) {
	mgr->removed = calloc(1, sizeof(*mgr->removed));
	return mgr->removed ? 0 : -ENOMEM;
}

void removed_free(struct session_mgr *mgr) {
	free(mgr->removed);
	mgr->removed = NULL;
}
