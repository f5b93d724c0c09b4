// SPDX-License-Identifier: GPL-3.0-or-later
// The password file as a factor: the file, then a hashing thread; used by login_steps.c.
//
// The file is also looked at every few seconds, for the sake of users who are taken out of it: the
// session process, which knows who came in by it, is told that it has changed, and asks for those.

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "factor.h"
#include "reread.h"
#include "dataplane/abi/addr.h"
#include "verify.h"

#define THREADS 2u
#define LOOK_S 5
// A file that was written to just now may be half of what it will be.
#define SETTLED_S 2

// One step. Freed by `end`, or, when that comes while a thread has the job, after the job.
struct password_step {
	LIST_ENTRY(password_step) link; // while `hashing`
	struct login *login; // NULL: gone
	struct reread_wait wait;
	bool hashing;
	char username[IPC_USER_LEN];
	struct verify_job job;
};

static struct verify_pool *pool;
static struct passwd_db *db;
static struct reread file;
static struct event *look_timer;
static struct reread_wait look;
static unsigned version, told; // of the file; that the session process was told of last
static time_t told_again; // CLOCK_MONOTONIC seconds; 0: no need to
static LIST_HEAD(, password_step) hashing;

static void step_free(struct password_step *step) {
	explicit_bzero(step, sizeof(*step));
	free(step);
}

static void on_verified(struct verify_job *job) {
	struct password_step *step = job->arg;
	struct factor_outcome outcome = {.result = FACTOR_FAILED};

	step->hashing = false;
	LIST_REMOVE(step, link);
	if (step->login == NULL) {
		step_free(step);
		return;
	}
	if (job->ok) {
		outcome.result = FACTOR_PASSED;
		outcome.groups = job->entry.groups;
	} else {
		outcome.why = job->entry.usable ? "password does not match"
						: "unknown or locked user";
	}
	factor_done(step->login, &outcome);
}

static void on_file(struct reread_wait *wait, int err) {
	struct password_step *step = (struct password_step *)((char *)wait -
		offsetof(struct password_step, wait));

	if (err != 0) {
		factor_done(step->login,
			&(struct factor_outcome){.result = FACTOR_ERROR,
				.message = "Server error",
				.why = "the password file cannot be read"});
		return;
	}
	passwd_db_find(db, step->username, &step->job.entry);
	step->job.done = on_verified;
	step->job.arg = step;
	if (verify_pool_add(pool, &step->job) != 0) {
		factor_done(step->login,
			&(struct factor_outcome){.result = FACTOR_ERROR,
				.message = "Server busy",
				.why = "too many passwords to check"});
		return;
	}
	step->hashing = true;
	LIST_INSERT_HEAD(&hashing, step, link);
}

static uint64_t source_of(const struct abi_addr *remote) {
	uint64_t source;

	memcpy(&source, abi_addr_is4(remote) ? remote->bytes + 8 : remote->bytes, sizeof(source));
	return source;
}

static void password_step(struct login *login, const struct factor_input *input, void **state) {
	struct password_step *step = calloc(1, sizeof(*step));

	if (step == NULL) {
		factor_done(login, &(struct factor_outcome){.result = FACTOR_ERROR});
		return;
	}
	*state = step;
	step->login = login;
	step->wait.ready = on_file;
	step->job.source = source_of(&input->login->remote);
	memcpy(step->username, input->login->username, sizeof(step->username));
	strncpy(step->job.password, input->password, sizeof(step->job.password) - 1);
	reread_get(&file, &step->wait);
}

static void password_end(struct login *login, void **state) {
	struct password_step *step = *state;

	*state = NULL;
	step->login = NULL;
	reread_cancel(&file, &step->wait);
	if (!step->hashing)
		step_free(step);
}

static int password_load(void *arg, const char *text, size_t len) {
	struct passwd_db *fresh;
	size_t bad;

	fresh = passwd_db_new(text, len, &bad);
	if (fresh == NULL)
		return -ENOMEM;
	passwd_db_free(db);
	db = fresh;
	version++;
	log_info(file.event, "users=%zu lines_not_usable=%zu", passwd_db_users(db), bad);
	return 0;
}

// --- users who are gone ---

static void changed_tell(struct child *child) {
	struct ipc_chan *session = child_peer(child, IPC_SESSION, 0);
	struct ipc_empty msg = {0};

	if (session == NULL || told == 0 || !child_cfg(child)->auth.end_removed_users)
		return;
	ipc_send(session, IPC_USERS_CHANGED, &msg.hdr, sizeof(msg), NULL, 0);
}

static bool is_settled(void) {
	time_t now = time(NULL), written = file.id.mtime.tv_sec;

	return now < written || now - written >= SETTLED_S;
}

// Whoever had shown a password before the change, and a code after it, is found the second time.
static void on_looked(struct reread_wait *wait, int err) {
	time_t now = (time_t)clock_s();

	if (err == 0 && version != told && is_settled()) {
		told = version;
		told_again = now + (time_t)child_cfg(file.child)->auth.timeout + LOOK_S;
		changed_tell(file.child);
	} else if (told_again != 0 && now >= told_again) {
		told_again = 0;
		changed_tell(file.child);
	}
}

static void on_look(int fd, short what, void *arg) {
	const struct cfg_auth *auth = &child_cfg(file.child)->auth;

	if (auth->end_removed_users && auth->password_file[0] != '\0' && !look.waiting)
		reread_get(&file, &look);
}

static bool names_ok(const struct ipc_users_ask *msg) {
	bool ok = msg->nb >= 1 && msg->nb <= IPC_USERS_MAX;

	for (uint32_t i = 0; ok && i < msg->nb; i++)
		ok = ipc_str_ok(msg->names[i], IPC_USER_LEN);
	return ok;
}

// Asked after we have told, so the file is there.
static int password_message(struct child *child, const struct ipc_hdr *hdr) {
	const struct ipc_users_ask *msg = (const void *)hdr;
	struct ipc_chan *session = child_peer(child, IPC_SESSION, 0);
	struct ipc_users_answer answer = {.hdr.req = hdr->req};

	if (!names_ok(msg))
		return -EINVAL;
	for (uint32_t i = 0; db != NULL && i < msg->nb; i++) {
		if (!passwd_db_has(db, msg->names[i]))
			answer.gone |= UINT64_C(1) << i;
	}
	if (session != NULL)
		ipc_send(session, IPC_USERS_ANSWER, &answer.hdr, sizeof(answer), NULL, 0);
	return 0;
}

static void password_peer_up(struct child *child, enum ipc_role role) {
	if (role == IPC_SESSION)
		changed_tell(child);
}

// --- life ---

static int look_start(struct child *child) {
	static const struct timeval now = {0}, interval = {.tv_sec = LOOK_S};

	look = (struct reread_wait){.ready = on_looked};
	version = told = 0;
	told_again = 0;
	look_timer = event_new(child_base(child), -1, EV_PERSIST, on_look, NULL);
	if (look_timer == NULL)
		return -ENOMEM;
	event_add(look_timer, &interval);
	return event_base_once(child_base(child), -1, EV_TIMEOUT, on_look, NULL, &now);
}

static int password_start(struct child *child) {
	file = (struct reread){.child = child,
		.file = IPC_FILE_PASSWORDS,
		.event = "passwords",
		.max = PASSWD_FILE_MAX,
		.load = password_load};
	pool = verify_pool_new(child_base(child), THREADS);
	return pool != NULL ? look_start(child) : -errno;
}

// Jobs that are not done are dropped with the pool; their logins are gone by now.
static void password_stop(struct child *child) {
	struct password_step *step;

	verify_pool_free(pool);
	reread_cancel(&file, &look);
	if (look_timer != NULL)
		event_free(look_timer);
	look_timer = NULL;
	while ((step = LIST_FIRST(&hashing)) != NULL) {
		LIST_REMOVE(step, link);
		step_free(step);
	}
	passwd_db_free(db);
	pool = NULL;
	db = NULL;
}

const struct factor factor_password = {
	.name = "password-file",
	.id = CFG_FACTOR_PASSWORD_FILE,
	.wants_password = true,
	.start = password_start,
	.stop = password_stop,
	.step = password_step,
	.end = password_end,
	.answer = IPC_USERS_ASK,
	.message = password_message,
	.peer_up = password_peer_up,
};
