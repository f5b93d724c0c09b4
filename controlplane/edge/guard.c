// SPDX-License-Identifier: GPL-3.0-or-later
// The edge's copy of the bans, and its notes for the session process; called by conn.c and edge.c.
//
// Notes are collected for a moment: one message tells of many connections, and a flood of them
// does not crowd out what else goes that way.

#include "guard.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "controlplane/ipc/ban.h"
#include "controlplane/proc/clock.h"

#define FLUSH_MS 100

struct edge_guard {
	struct child *child;
	struct bans *bans;
	struct event *flush;
	struct ipc_contacts notes;
};

static void flush(struct edge_guard *guard) {
	struct ipc_chan *session = child_peer(guard->child, IPC_SESSION, 0);

	// Without a session process nobody counts: what an attacker gains is that moment.
	if (session != NULL && guard->notes.nb_contacts > 0)
		ipc_send(session, IPC_CONTACTS, &guard->notes.hdr, sizeof(guard->notes), NULL, 0);
	memset(&guard->notes, 0, sizeof(guard->notes));
}

static void on_flush(int fd, short what, void *arg) {
	flush(arg);
}

static struct ipc_contact *note(struct edge_guard *guard, const struct abi_addr *remote) {
	static const struct timeval soon = {.tv_usec = FLUSH_MS * 1000};
	struct ipc_contacts *notes = &guard->notes;

	for (uint32_t i = 0; i < notes->nb_contacts; i++) {
		if (memcmp(&notes->contacts[i].remote, remote, sizeof(*remote)) == 0)
			return &notes->contacts[i];
	}
	if (notes->nb_contacts == IPC_CONTACTS_MAX)
		flush(guard);
	if (notes->nb_contacts == 0)
		evtimer_add(guard->flush, &soon);
	notes->contacts[notes->nb_contacts].remote = *remote;
	return &notes->contacts[notes->nb_contacts++];
}

int edge_guard_start(struct child *child) {
	struct edge_guard *guard = calloc(1, sizeof(*guard));

	if (guard == NULL)
		return -ENOMEM;
	guard->child = child;
	edge_of(child)->guard = guard;
	guard->bans = bans_new(BANS_ENTRIES, NULL);
	guard->flush = evtimer_new(child_base(child), on_flush, guard);
	if (guard->bans == NULL || guard->flush == NULL)
		return -ENOMEM;
	edge_guard_cfg(child, child_cfg(child));
	return 0;
}

void edge_guard_stop(struct child *child) {
	struct edge_guard *guard = edge_of(child)->guard;

	if (guard == NULL)
		return;
	if (guard->flush != NULL) {
		flush(guard);
		event_free(guard->flush);
	}
	bans_free(guard->bans);
	free(guard);
	edge_of(child)->guard = NULL;
}

void edge_guard_cfg(struct child *child, const struct cfg *cfg) {
	const struct bans_limits limits = bans_limits_of(cfg);

	bans_exempt_set(edge_of(child)->guard->bans, limits.exempt, limits.nb_exempt);
}

bool edge_guard_banned(struct child *child, const struct abi_addr *remote) {
	return bans_banned(edge_of(child)->guard->bans, remote, clock_s());
}

bool edge_guard_refuses(struct child *child, const struct abi_addr *remote) {
	struct edge_guard *guard = edge_of(child)->guard;

	if (!edge_guard_banned(child, remote))
		return false;
	note(guard, remote)->refused++;
	return true;
}

void edge_guard_fruitless(struct child *child, const struct abi_addr *remote) {
	struct edge_guard *guard = edge_of(child)->guard;

	if (guard != NULL && !abi_addr_none(remote))
		note(guard, remote)->connections++;
}

// 1: one more is banned, 0: not, or -EPROTO.
static int ban_take(struct edge_guard *guard, const struct ipc_ban *ban, uint64_t now_s) {
	struct ban_info info;

	if (!ipc_ban_read(ban, &info))
		return -EPROTO;
	if (info.until_s != 0)
		return bans_put(guard->bans, &info, now_s) == 0;
	bans_lift_one(guard->bans, &info.addr, info.prefix_len, now_s);
	return 0;
}

int edge_guard_bans(struct child *child, const struct ipc_bans *msg) {
	struct edge_guard *guard = edge_of(child)->guard;
	uint64_t now_s = clock_s();
	bool more = false;

	if (msg->nb_bans > IPC_BANS_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < msg->nb_bans; i++) {
		int ret = ban_take(guard, &msg->bans[i], now_s);

		if (ret < 0)
			return ret;
		more |= ret > 0;
	}
	if (more)
		edge_conns_banned(child);
	return 0;
}

// --- a new session process ---

static void bans_send(struct ipc_bans *msg, void *arg) {
	ipc_send(arg, IPC_BANS, &msg->hdr, sizeof(*msg), NULL, 0);
}

void edge_guard_session_up(struct child *child) {
	struct ipc_chan *session = child_peer(child, IPC_SESSION, 0);

	if (session != NULL)
		ipc_bans_all(edge_of(child)->guard->bans, clock_s(), bans_send, session);
}
