// SPDX-License-Identifier: GPL-3.0-or-later
// The store over LMDB: one file, opened, read, and what is to change in it collected; committed by
// store_commit.c. Called by sessions.c.
#include "controlplane/session/store.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "controlplane/proc/bytes.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/lmdb_status.h"
#include "controlplane/session/seal.h"
#include "controlplane/session/store_file.h"
#include "controlplane/session/store_int.h"

#define FORMAT_MAGIC 0x4b545350u

// --- opening ---

// A store of an earlier version is taken over: its records are read as they are, and get the
// present layout when they are next written.
static int format_upgrade(
	MDB_txn *txn, struct store *store, const MDB_val *found, const struct format *want) {
	MDB_val key = {6, (void *)(uintptr_t) "format"}, value;
	struct format now = *want, old;

	if (found->mv_size != sizeof(old))
		return MDB_VERSION_MISMATCH;
	memcpy(&old, found->mv_data, sizeof(old));
	if (old.magic == want->magic && old.version > want->version)
		return STORE_FILE_NEWER;
	if (old.magic != want->magic ||
		!record_version_known(old.version, old.session_size, old.lease_size))
		return MDB_VERSION_MISMATCH;
	log_info("store_upgrade", "file=%s from=%u to=%u", STORE_FILE, old.version, now.version);
	if (store->read_only)
		return 0;
	value = (MDB_val){sizeof(now), &now};
	return mdb_put(txn, store->meta, &key, &value, 0);
}

static int format_check(MDB_txn *txn, struct store *store) {
	struct format want = {FORMAT_MAGIC, RECORD_VERSION, sizeof(struct record_session),
		sizeof(struct record_lease), 0};
	MDB_val key = {6, (void *)(uintptr_t) "format"}, value;
	MDB_stat stat;
	int rc = mdb_get(txn, store->meta, &key, &value);

	if (rc == 0 && value.mv_size == sizeof(want) &&
		memcmp(value.mv_data, &want, sizeof(want)) == 0)
		return 0;
	if (rc == 0)
		return format_upgrade(txn, store, &value, &want);
	if (rc != MDB_NOTFOUND)
		return rc;
	// Without a format it must be empty: else it is not ours.
	rc = mdb_stat(txn, store->meta, &stat);
	if (rc == 0 && stat.ms_entries != 0)
		return MDB_VERSION_MISMATCH;
	value = (MDB_val){sizeof(want), &want};
	store->is_new = true;
	return rc ? rc : mdb_put(txn, store->meta, &key, &value, 0);
}

static int generation_load(MDB_txn *txn, struct store *store) {
	MDB_val key = {10, (void *)(uintptr_t) "generation"}, value;
	int rc = mdb_get(txn, store->meta, &key, &value);

	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc == 0 && value.mv_size != sizeof(store->generation))
		return MDB_VERSION_MISMATCH;
	if (rc == 0)
		memcpy(&store->generation, value.mv_data, sizeof(store->generation));
	store->generation_end = store->generation_safe = store->generation;
	return rc;
}

static int tables_open(struct store *store) {
	unsigned create = store->read_only ? 0 : MDB_CREATE;
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, store->read_only ? MDB_RDONLY : 0, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, "meta", create, &store->meta);
	if (!rc)
		rc = format_check(txn, store);
	if (!rc)
		rc = generation_load(txn, store);
	if (!rc)
		rc = mdb_dbi_open(txn, "sessions", create, &store->sessions);
	if (!rc)
		rc = mdb_dbi_open(txn, "leases", create, &store->leases);
	if (!rc)
		rc = mdb_dbi_open(txn, "scripts", create, &store->scripts);
	if (!rc)
		rc = mdb_dbi_open(txn, "accounting", create, &store->acct);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

static int env_open(struct store *store, size_t bytes_max) {
	int rc = store_file_open(
		&store->env, STORE_FILE, bytes_max, store->read_only ? MDB_RDONLY : 0);

	if (!rc)
		rc = tables_open(store);
	if (rc && store->env) {
		mdb_env_close(store->env);
		store->env = NULL;
	}
	return rc;
}

static bool is_bad_file(int rc) {
	return rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED ||
		rc == MDB_PAGE_NOTFOUND || rc == MDB_INCOMPATIBLE || rc == MDB_PANIC ||
		rc == MDB_DBS_FULL || rc == EINVAL || rc == STORE_FILE_CUT;
}

// The disk has become read-only: what is in the file counts, and nothing is added.
static int read_only_open(struct store *store, size_t bytes_max) {
	int rc;

	store->read_only = true;
	rc = env_open(store, bytes_max);
	if (!rc)
		store_fault_set(store, EROFS);
	return rc;
}

static const char *open_advice(int rc) {
	if (rc == STORE_FILE_NEWER)
		return "\"start that version again, or move the file away: users then log in "
		       "anew\"";
	if (lmdb_status(rc) == -ENOSPC)
		return "\"make room on the disk of the state directory\"";
	if (lmdb_status(rc) == -EROFS)
		return "\"make the state directory writable\"";
	return "\"see the kernel's log; move the file away to begin a new one\"";
}

int store_open(struct store **out, int dir_fd, size_t bytes_max, const struct store_hooks *hooks) {
	struct store *store = calloc(1, sizeof(*store));
	int rc;

	if (!store)
		return -ENOMEM;
	if (hooks)
		store->hooks = *hooks;
	// LMDB takes a path, and in the sandbox there is neither /proc nor any other directory.
	rc = fchdir(dir_fd) < 0 ? errno : env_open(store, bytes_max);
	if (is_bad_file(rc) && store_file_set_aside(dir_fd, STORE_FILE, store_file_error(rc)) == 0)
		rc = env_open(store, bytes_max);
	if (lmdb_status(rc) == -EROFS)
		rc = read_only_open(store, bytes_max);
	if (rc) {
		log_error("store_open", "file=session/%s error=%s text=%s", STORE_FILE,
			log_value(store_file_error(rc)), open_advice(rc));
		free(store);
		return rc > 0 ? -rc : rc == STORE_FILE_NEWER ? -EPROTO : -EIO;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store) {
	if (!store)
		return;
	for (size_t i = 0; i < store->nb_ops; i++)
		store_op_free(store->ops[i]);
	for (size_t i = 0; i < store->nb_kept; i++)
		store_op_free(store->kept[i]);
	free(store->ops);
	free(store->kept);
	mdb_env_close(store->env);
	explicit_bzero(store, sizeof(*store));
	free(store);
}

// --- reading ---

static int load_table(
	MDB_txn *txn, MDB_dbi table, bool (*each)(const MDB_val *value, void *arg), void *arg) {
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, table, &cursor), bad = 0;

	if (rc)
		return lmdb_status(rc);
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
		bad += !each(&value, arg);
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? bad : lmdb_status(rc);
}

struct load {
	void (*session)(const struct record_session *record, void *arg);
	void (*lease)(const struct record_lease *record, void *arg);
	void *arg;
};

static bool load_session(const MDB_val *value, void *arg) {
	struct load *load = arg;
	struct record_session record;
	bool ok = record_session_read(value->mv_data, value->mv_size, &record);

	if (ok)
		load->session(&record, load->arg);
	return ok;
}

static bool load_lease(const MDB_val *value, void *arg) {
	struct load *load = arg;
	struct record_lease record;
	bool ok = record_lease_read(value->mv_data, value->mv_size, &record);

	if (ok)
		load->lease(&record, load->arg);
	return ok;
}

int store_load(struct store *store, void (*session)(const struct record_session *record, void *arg),
	void (*lease)(const struct record_lease *record, void *arg), void *arg) {
	struct load load = {session, lease, arg};
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), bad, bad_leases;

	if (rc)
		return lmdb_status(rc);
	bad_leases = load_table(txn, store->leases, load_lease, &load);
	bad = load_table(txn, store->sessions, load_session, &load);
	mdb_txn_abort(txn);
	if (bad < 0 || bad_leases < 0)
		return bad < 0 ? bad : bad_leases;
	if (bad + bad_leases)
		log_error("store_bad_records", "sessions=%d leases=%d", bad, bad_leases);
	return bad + bad_leases;
}

struct script_load {
	void (*each)(const struct record_script *record, void *arg);
	void *arg;
};

static bool load_script(const MDB_val *value, void *arg) {
	struct script_load *load = arg;
	struct record_script record;
	bool ok = record_script_read(value->mv_data, value->mv_size, &record);

	if (ok)
		load->each(&record, load->arg);
	return ok;
}

int store_scripts_load(struct store *store,
	void (*each)(const struct record_script *record, void *arg), void *arg) {
	struct script_load load = {each, arg};
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), bad;

	if (rc)
		return lmdb_status(rc);
	bad = load_table(txn, store->scripts, load_script, &load);
	mdb_txn_abort(txn);
	if (bad > 0)
		log_error("store_bad_records", "scripts=%d", bad);
	return bad;
}

int store_script_get(struct store *store, uint64_t id, struct record_script *out) {
	uint64_t key_id = htobe64(id);
	MDB_val key = {sizeof(key_id), &key_id}, value;
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
	bool ok;

	if (rc)
		return -EIO;
	rc = mdb_get(txn, store->scripts, &key, &value);
	ok = rc == 0 && record_script_read(value.mv_data, value.mv_size, out);
	mdb_txn_abort(txn);
	return ok ? 0 : rc == MDB_NOTFOUND ? -ENOENT : -EIO;
}

int store_session_get(
	struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN], struct record_session *out) {
	MDB_val key = {IPC_HASH_LEN, (void *)(uintptr_t)cookie_hash}, value;
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
	bool ok;

	if (rc)
		return -EIO;
	rc = mdb_get(txn, store->sessions, &key, &value);
	ok = rc == 0 && record_session_read(value.mv_data, value.mv_size, out);
	mdb_txn_abort(txn);
	return ok ? 0 : rc == MDB_NOTFOUND ? -ENOENT : -EIO;
}

void store_acct_key(uint64_t number, uint8_t key[8]) {
	bytes_put(key, 8, number);
}

static int load_acct(struct store *store, MDB_txn *txn,
	void (*each)(const struct record_acct *record, void *arg), void *arg) {
	struct record_acct record;
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, store->acct, &cursor), bad = 0;

	if (rc)
		return lmdb_status(rc);
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (key.mv_size == 8 && record_acct_read(value.mv_data, value.mv_size, &record) &&
			record.acct.hdr.req == bytes_get(key.mv_data, 8)) {
			each(&record, arg);
			continue;
		}
		bad++;
		rc = store->read_only ? 0 : mdb_cursor_del(cursor, 0);
		if (rc)
			break;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? bad : lmdb_status(rc);
}

int store_acct_load(
	struct store *store, void (*each)(const struct record_acct *record, void *arg), void *arg) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, store->read_only ? MDB_RDONLY : 0, &txn), bad;

	if (rc)
		return lmdb_status(rc);
	bad = load_acct(store, txn, each, arg);
	if (bad <= 0 || store->read_only) {
		mdb_txn_abort(txn);
		return bad;
	}
	log_error("store_bad_records", "accounting=%d", bad);
	rc = mdb_txn_commit(txn);
	return rc ? lmdb_status(rc) : bad;
}

// --- changing ---

static struct op *op_new(struct store *store, enum op_type type) {
	struct op *op;

	if (store->nb_ops >= STORE_PENDING_MAX)
		return NULL;
	if (store->nb_ops == store->ops_size) {
		size_t size = store->ops_size ? store->ops_size * 2 : 64;
		struct op **ops = reallocarray(store->ops, size, sizeof(struct op *));

		if (!ops)
			return NULL;
		store->ops = ops;
		store->ops_size = size;
	}
	op = calloc(1, sizeof(*op));
	if (!op)
		return NULL;
	op->type = type;
	store->ops[store->nb_ops++] = op;
	if (store->nb_ops == 1 && store->hooks.pending)
		store->hooks.pending(store->hooks.arg);
	return op;
}

int store_session_put(
	struct store *store, const struct record_session *record, store_done done, void *arg) {
	struct op *op = op_new(store, OP_SESSION_PUT);

	if (!op)
		return -ENOBUFS;
	op->session = *record;
	op->done = done;
	op->arg = arg;
	return 0;
}

int store_session_del(
	struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN], store_done done, void *arg) {
	struct op *op = op_new(store, OP_SESSION_DEL);

	if (!op)
		return -ENOBUFS;
	memcpy(op->cookie_hash, cookie_hash, IPC_HASH_LEN);
	op->done = done;
	op->arg = arg;
	return 0;
}

int store_lease_put(struct store *store, const struct record_lease *record) {
	struct op *op = op_new(store, OP_LEASE_PUT);

	if (!op)
		return -ENOBUFS;
	op->lease = *record;
	return 0;
}

int store_lease_del(struct store *store, const struct abi_addr *addr) {
	struct op *op = op_new(store, OP_LEASE_DEL);

	if (!op)
		return -ENOBUFS;
	op->addr = *addr;
	return 0;
}

int store_script_put(
	struct store *store, const struct record_script *record, store_done done, void *arg) {
	struct op *op = op_new(store, OP_SCRIPT_PUT);

	if (!op)
		return -ENOBUFS;
	op->script = *record;
	op->done = done;
	op->arg = arg;
	return 0;
}

int store_acct_put(
	struct store *store, const struct record_acct *record, store_done done, void *arg) {
	struct op *op = op_new(store, OP_ACCT_PUT);

	if (!op)
		return -ENOBUFS;
	op->acct = *record;
	op->done = done;
	op->arg = arg;
	return 0;
}

int store_script_del(struct store *store, uint64_t id) {
	struct op *op = op_new(store, OP_SCRIPT_DEL);

	if (!op)
		return -ENOBUFS;
	op->script_id = htobe64(id);
	return 0;
}

int store_acct_del(struct store *store, uint64_t number) {
	struct op *op = op_new(store, OP_ACCT_DEL);

	if (!op)
		return -ENOBUFS;
	op->acct_number = number;
	return 0;
}

// --- sealing ---

int store_secret_set(struct store *store, const uint8_t secret[STORE_SECRET_LEN]) {
	static const char info[] = "penstock session store v1";
	int rc = wc_HKDF(WC_SHA256, secret, STORE_SECRET_LEN, NULL, 0, (const byte *)info,
		sizeof(info) - 1, store->seal_key, sizeof(store->seal_key));

	store->has_key = rc == 0;
	return rc == 0 ? 0 : -EIO;
}

int store_seal(struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN], const uint8_t *secrets,
	struct record_sealed *sealed) {
	return store->has_key
		? seal_close(store->seal_key, cookie_hash, secrets, RECORD_SECRETS_LEN,
			  sealed->nonce, sealed->text, sealed->tag)
		: -EIO;
}

int store_unseal(struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN],
	const struct record_sealed *sealed, uint8_t *secrets) {
	return store->has_key ? seal_open(store->seal_key, cookie_hash, sealed->text,
					RECORD_SECRETS_LEN, sealed->nonce, sealed->tag, secrets)
			      : -EIO;
}
