// SPDX-License-Identifier: GPL-3.0-or-later
// The password file as a factor: the file, then a hashing thread; used by login_steps.c.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/proc/log.h"
#include "factor.h"
#include "reread.h"
#include "dataplane/abi/addr.h"
#include "verify.h"

#define THREADS 2u

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
	log_info(file.event, "users=%zu lines_not_usable=%zu", passwd_db_users(db), bad);
	return 0;
}

static int password_start(struct child *child) {
	file = (struct reread){.child = child,
		.file = IPC_FILE_PASSWORDS,
		.event = "passwords",
		.max = PASSWD_FILE_MAX,
		.load = password_load};
	pool = verify_pool_new(child_base(child), THREADS);
	return pool != NULL ? 0 : -errno;
}

// Jobs that are not done are dropped with the pool; their logins are gone by now.
static void password_stop(struct child *child) {
	struct password_step *step;

	verify_pool_free(pool);
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
};
