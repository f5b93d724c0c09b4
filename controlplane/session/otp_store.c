// SPDX-License-Identifier: GPL-3.0-or-later
// Which one-time passwords were used, in LMDB: a number a token that only grows; called by role.c.

#include "controlplane/session/otp_store.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/proc/log.h"
#include "controlplane/session/lmdb_status.h"
#include "controlplane/session/store_file.h"

#define FORMAT "penstock otp 1"
#define MAP_BYTES ((size_t)128 << 20) // about a million tokens
#define WAITING_MAX 4096u

// Wrong codes in a row that cost nothing; from then on each doubles the pause before the next, up to
// PAUSE_MAX_S: at three codes a try that is a chance of 0.03 % a day (RFC 4226, 7.3).
#define WRONG_FREE 5u
#define PAUSE_MIN_S 15u
#define PAUSE_MAX_S 900u

// The value of a token. `req` is that of the question that took it: asked once more, because the
// answer was lost, it is answered as before.
struct record {
	uint64_t last, req;
	uint64_t tried_at; // CLOCK_REALTIME seconds
	uint32_t wrong; // in a row, those included that are being compared
	uint32_t used; // bool: last and req are set
};
_Static_assert(sizeof(struct record) == 32, "otp record");

struct otp_store {
	MDB_env *env; // NULL: cannot be used
	MDB_dbi tokens;
	struct event *commit;
	void (*send)(struct ipc_otp_answer *msg, void *arg);
	void *arg;
	unsigned nb_waiting;
	struct ipc_otp_ask waiting[WAITING_MAX];
	struct ipc_otp_answer answers[WAITING_MAX];
};

// --- opening ---

static int format_check(MDB_txn *txn, MDB_dbi meta) {
	MDB_val key = {6, (void *)(uintptr_t) "format"}, value;
	MDB_val want = {sizeof(FORMAT), (void *)(uintptr_t)FORMAT};
	int rc = mdb_get(txn, meta, &key, &value);

	if (rc == MDB_NOTFOUND)
		return mdb_put(txn, meta, &key, &want, 0);
	if (rc == 0 &&
		(value.mv_size != want.mv_size ||
			memcmp(value.mv_data, want.mv_data, want.mv_size) != 0))
		return MDB_VERSION_MISMATCH;
	return rc;
}

static int tables_open(struct otp_store *store) {
	MDB_txn *txn;
	MDB_dbi meta;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &meta);
	if (rc == 0)
		rc = format_check(txn, meta);
	if (rc == 0)
		rc = mdb_dbi_open(txn, "tokens", MDB_CREATE, &store->tokens);
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static int env_open(struct otp_store *store, int dir_fd) {
	int rc;

	// LMDB takes a path, and in the sandbox there is neither /proc nor any other directory.
	if (fchdir(dir_fd) < 0)
		return errno;
	rc = store_file_open(&store->env, OTP_STORE_FILE, MAP_BYTES, 0);
	return rc != 0 ? rc : tables_open(store);
}

struct otp_store *otp_store_open(int dir_fd, const char *damage) {
	struct otp_store *store = calloc(1, sizeof(*store));
	int rc;

	if (store == NULL)
		return NULL;
	rc = damage != NULL ? MDB_CORRUPTED : env_open(store, dir_fd);
	if (rc == 0)
		return store;
	log_error("otp_store_open", "file=session/%s error=%s text=%s", OTP_STORE_FILE,
		log_value(damage != NULL ? damage : store_file_error(rc)),
		"\"no one-time password is good; removed, the file begins anew\"");
	if (store->env != NULL)
		mdb_env_close(store->env);
	store->env = NULL;
	return store;
}

void otp_store_close(struct otp_store *store) {
	if (store == NULL)
		return;
	if (store->commit != NULL)
		event_free(store->commit);
	if (store->env != NULL)
		mdb_env_close(store->env);
	free(store);
}

// --- questions ---

static bool is_paused(const struct record *record, uint64_t now) {
	uint64_t pause = PAUSE_MIN_S;

	if (record->wrong < WRONG_FREE)
		return false;
	for (uint32_t i = WRONG_FREE; i < record->wrong && pause < PAUSE_MAX_S; i++)
		pause *= 2;
	if (pause > PAUSE_MAX_S)
		pause = PAUSE_MAX_S;
	// A clock that was set back must not make the pause longer than it is.
	return now >= record->tried_at && now - record->tried_at < pause;
}

// Counted before it is compared: of many tries side by side each is known to the next.
static int try_begin(struct record *record) {
	uint64_t now = (uint64_t)time(NULL);

	if (is_paused(record, now))
		return -EBUSY;
	record->tried_at = now;
	if (record->wrong < UINT32_MAX)
		record->wrong++;
	return record->used ? 0 : -ENOENT;
}

static int take(struct record *record, const struct ipc_otp_ask *ask) {
	if (record->used && ask->factor <= record->last)
		return ask->factor == record->last && ask->hdr.req == record->req ? 0 : -EEXIST;
	*record = (struct record){.last = ask->factor, .req = ask->hdr.req, .used = 1};
	return 0;
}

static int record_change(struct record *record, const struct ipc_otp_ask *ask) {
	switch (ask->what) {
	case IPC_OTP_TRY:
		return try_begin(record);
	case IPC_OTP_TAKE:
		return take(record, ask);
	case IPC_OTP_FORGET:
		record->wrong = 0;
		return 0;
	default:
		return record->used ? 0 : -ENOENT;
	}
}

// One question within a transaction: LMDB's error, or 0 and *answer.
static int decide(struct otp_store *store, MDB_txn *txn, const struct ipc_otp_ask *ask,
	struct ipc_otp_answer *answer) {
	MDB_val key = {sizeof(ask->token), (void *)(uintptr_t)ask->token}, value;
	struct record before = {0}, record;
	int rc = mdb_get(txn, store->tokens, &key, &value);

	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	if (rc == 0 && value.mv_size != sizeof(before))
		return MDB_CORRUPTED;
	if (rc == 0)
		memcpy(&before, value.mv_data, sizeof(before));
	record = before;
	answer->status = record_change(&record, ask);
	answer->last = record.last;
	if (memcmp(&before, &record, sizeof(record)) == 0)
		return 0;
	value = (MDB_val){sizeof(record), &record};
	return mdb_put(txn, store->tokens, &key, &value, 0);
}

static int decide_all(struct otp_store *store) {
	MDB_txn *txn;
	int rc;

	if (store->env == NULL)
		return -EIO;
	rc = mdb_txn_begin(store->env, NULL, 0, &txn);
	if (rc != 0)
		return lmdb_status(rc);
	for (unsigned i = 0; i < store->nb_waiting && rc == 0; i++)
		rc = decide(store, txn, &store->waiting[i], &store->answers[i]);
	if (rc == 0)
		return lmdb_status(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return lmdb_status(rc);
}

static void on_commit(evutil_socket_t fd, short what, void *arg) {
	struct otp_store *store = arg;
	unsigned count = store->nb_waiting;
	int status = decide_all(store);

	if (status != 0)
		log_error(
			"otp_store", "questions=%u error=%s", count, log_value(strerror(-status)));
	store->nb_waiting = 0;
	for (unsigned i = 0; i < count; i++) {
		struct ipc_otp_answer *answer = &store->answers[i];

		answer->hdr.req = store->waiting[i].hdr.req;
		if (status != 0)
			answer->status = status;
		store->send(answer, store->arg);
	}
}

int otp_store_start(struct otp_store *store, struct event_base *base,
	void (*send)(struct ipc_otp_answer *msg, void *arg), void *arg) {
	store->send = send;
	store->arg = arg;
	store->commit = event_new(base, -1, 0, on_commit, store);
	return store->commit != NULL ? 0 : -ENOMEM;
}

void otp_store_ask(struct otp_store *store, const struct ipc_otp_ask *msg) {
	struct ipc_otp_answer busy = {.hdr.req = msg->hdr.req, .status = -EAGAIN};

	if (store->nb_waiting == WAITING_MAX) {
		store->send(&busy, store->arg);
		return;
	}
	store->waiting[store->nb_waiting++] = *msg;
	event_active(store->commit, EV_TIMEOUT, 0);
}
