// SPDX-License-Identifier: GPL-3.0-or-later
// Brings what store.c has collected to the disk, in batches, and makes up for what the disk did not
// take. Called by sessions.c.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/lmdb_status.h"
#include "controlplane/session/store_file.h"
#include "controlplane/session/store_int.h"

#define GENERATION_BLOCK 65536u
#define MAP_SPARE ((size_t)1 << 20)
#define TELL_AGAIN_S 60u
#define REOPEN_S 10u // a file that can only be read is opened anew after so long

void store_op_free(struct op *op) {
	explicit_bzero(op, sizeof(*op));
	free(op);
}

// --- faults ---

static const char *fault_advice(int rc) {
	switch (rc) {
	case MDB_MAP_FULL:
		return "\"the file has reached its bound: raise dataplane/sessions-max; until then "
		       "nobody logs in\"";
	case MDB_PANIC:
		return "\"LMDB has given up on it: it is opened anew\"";
	}
	switch (lmdb_status(rc)) {
	case -ENOSPC:
		return "\"make room on the disk of the state directory: until then nobody logs in\"";
	case -EROFS:
		return "\"make the state directory writable: until then nobody logs in\"";
	default:
		return "\"see the kernel's log for the disk; nobody logs in\"";
	}
}

void store_fault_set(struct store *store, int rc) {
	int status = lmdb_status(rc);
	uint64_t now = clock_s();

	store->panic = store->panic || rc == MDB_PANIC;
	if (store->fault == status)
		return;
	store->fault = status;
	store->fault_s = now;
	if (store->told == status && now - store->told_s < TELL_AGAIN_S)
		return;
	store->told = status;
	store->told_s = now;
	log_error("store_fault", "file=session/%s error=%s text=%s", STORE_FILE,
		log_value(mdb_strerror(rc)), fault_advice(rc));
}

static void fault_clear(struct store *store) {
	if (!store->fault)
		return;
	if (store->told_s >= store->fault_s)
		log_info("store_recovered", "file=session/%s after_s=%llu", STORE_FILE,
			(unsigned long long)(clock_s() - store->fault_s));
	store->fault = 0;
	store->back = true;
}

bool store_is_new(const struct store *store) {
	return store->is_new;
}

int store_fault(const struct store *store) {
	return store->fault;
}

// --- committing ---

static int op_apply(struct store *store, MDB_txn *txn, struct op *op) {
	MDB_val key, value;
	uint64_t id;
	uint8_t number[8];
	int rc;

	switch (op->type) {
	case OP_SESSION_PUT:
		key = (MDB_val){IPC_HASH_LEN, op->session.cookie_hash};
		value = (MDB_val){sizeof(op->session), &op->session};
		return mdb_put(txn, store->sessions, &key, &value, 0);
	case OP_SESSION_DEL:
		key = (MDB_val){IPC_HASH_LEN, op->cookie_hash};
		rc = mdb_del(txn, store->sessions, &key, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	case OP_LEASE_PUT:
		key = (MDB_val){sizeof(op->lease.addr), &op->lease.addr};
		value = (MDB_val){sizeof(op->lease), &op->lease};
		return mdb_put(txn, store->leases, &key, &value, 0);
	case OP_LEASE_DEL:
		key = (MDB_val){sizeof(op->addr), &op->addr};
		rc = mdb_del(txn, store->leases, &key, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	case OP_SCRIPT_PUT:
		id = htobe64(op->script.facts.id);
		key = (MDB_val){sizeof(id), &id};
		value = (MDB_val){sizeof(op->script), &op->script};
		return mdb_put(txn, store->scripts, &key, &value, 0);
	case OP_SCRIPT_DEL:
		key = (MDB_val){sizeof(op->script_id), &op->script_id};
		rc = mdb_del(txn, store->scripts, &key, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	case OP_ACCT_PUT:
		store_acct_key(op->acct.acct.hdr.req, number);
		key = (MDB_val){sizeof(number), number};
		value = (MDB_val){sizeof(op->acct), &op->acct};
		return mdb_put(txn, store->acct, &key, &value, 0);
	case OP_ACCT_DEL:
		store_acct_key(op->acct_number, number);
		key = (MDB_val){sizeof(number), number};
		rc = mdb_del(txn, store->acct, &key, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	}
	return EINVAL;
}

static int generation_save(struct store *store, MDB_txn *txn) {
	MDB_val key = {10, (void *)(uintptr_t) "generation"};
	MDB_val value = {sizeof(store->generation_end), &store->generation_end};

	return mdb_put(txn, store->meta, &key, &value, 0);
}

// All of them or none. LMDB's error.
static int commit_range(struct store *store, struct op **ops, size_t nb, bool generation) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (rc)
		return rc;
	if (generation)
		rc = generation_save(store, txn);
	for (size_t i = 0; i < nb && !rc; i++)
		rc = op_apply(store, txn, ops[i]);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (!rc && generation)
		store->generation_safe = store->generation_end;
	return rc;
}

static bool is_delete(const struct op *op) {
	return op->type == OP_SESSION_DEL || op->type == OP_LEASE_DEL ||
		op->type == OP_SCRIPT_DEL || op->type == OP_ACCT_DEL;
}

// Deleting needs a few free pages, too: what frees space may go beyond the limit.
static int commit_delete(struct store *store, struct op **op) {
	int rc = commit_range(store, op, 1, false);
	MDB_envinfo info;

	if (rc != MDB_MAP_FULL || mdb_env_info(store->env, &info) != 0)
		return rc;
	rc = mdb_env_set_mapsize(store->env, info.me_mapsize + MAP_SPARE);
	return rc ? rc : commit_range(store, op, 1, false);
}

// The whole did not fit. One by one, so that deletions do not fail with the rest; the first put
// that finds no room speaks for those behind it, so that this stays short.
static void commit_singly(struct store *store, struct op **ops, size_t nb) {
	int failed = 0, rc;

	for (size_t i = 0; i < nb; i++) {
		if (is_delete(ops[i])) {
			ops[i]->status = lmdb_status(commit_delete(store, &ops[i]));
			continue;
		}
		rc = failed ? failed : commit_range(store, &ops[i], 1, false);
		ops[i]->status = lmdb_status(rc);
		failed = rc;
	}
	if (store->generation_safe != store->generation_end)
		(void)commit_range(store, NULL, 0, true);
}

// A key that is never written again: its deletion can be made up for at any time. (A lease's can be;
// what is remembered of it does no harm.)
static bool is_final(const struct op *op) {
	return is_delete(op) && op->type != OP_LEASE_DEL;
}

// What was deleted must not come back with the next start. As many as there are records at most: the
// deletion of what is not on disk does not fail.
static void op_keep(struct store *store, struct op *op) {
	if (store->nb_kept == store->kept_size) {
		size_t size = store->kept_size ? store->kept_size * 2 : 64;
		struct op **kept = reallocarray(store->kept, size, sizeof(struct op *));

		if (!kept) {
			log_error("store_delete", "text=\"no memory to make up for it\"");
			store_op_free(op);
			return;
		}
		store->kept = kept;
		store->kept_size = size;
	}
	op->done = NULL;
	store->kept[store->nb_kept++] = op;
}

// The deletion of what is not there writes nothing: it proves nothing either.
static bool has_put(struct op **ops, size_t nb) {
	for (size_t i = 0; i < nb; i++)
		if (!is_delete(ops[i]))
			return true;
	return false;
}

void store_commit(struct store *store) {
	struct op **ops = store->ops;
	size_t nb = store->nb_ops;
	int rc;

	if (!nb)
		return;
	// The done functions collect into a new list.
	store->ops = NULL;
	store->nb_ops = store->ops_size = 0;
	rc = commit_range(store, ops, nb, store->generation_safe != store->generation_end);
	if (rc) {
		store_fault_set(store, rc);
		commit_singly(store, ops, nb);
	} else if (has_put(ops, nb)) {
		fault_clear(store);
	}
	for (size_t i = 0; i < nb; i++) {
		if (ops[i]->done)
			ops[i]->done(ops[i]->status, ops[i]->arg);
		if (ops[i]->status != 0 && is_final(ops[i]))
			op_keep(store, ops[i]);
		else
			store_op_free(ops[i]);
	}
	free(ops);
}

static void kept_free(struct store *store) {
	for (size_t i = 0; i < store->nb_kept; i++)
		store_op_free(store->kept[i]);
	store->nb_kept = 0;
}

enum store_tick store_tick(struct store *store) {
	bool back;
	int rc;

	if ((store->read_only || store->panic) && clock_s() - store->fault_s >= REOPEN_S)
		return STORE_REOPEN;
	if (store->fault || store->nb_kept) {
		rc = commit_range(store, store->kept, store->nb_kept, true);
		if (rc) {
			store_fault_set(store, rc);
			return STORE_FAULTY;
		}
		kept_free(store);
		fault_clear(store);
	}
	back = store->back;
	store->back = false;
	return back ? STORE_BACK : STORE_FINE;
}

bool store_is_pending(const struct store *store) {
	return store->nb_ops > 0;
}

uint32_t store_generation_next(struct store *store) {
	if (store->generation == store->generation_end)
		store->generation_end += GENERATION_BLOCK;
	if (++store->generation == 0)
		return store_generation_next(store);
	return store->generation;
}

void store_generation_used(struct store *store, uint32_t generation) {
	if ((int32_t)(generation - store->generation) > 0)
		store->generation = store->generation_end = generation;
}

bool store_generation_safe(const struct store *store) {
	return (int32_t)(store->generation_safe - store->generation) >= 0;
}
