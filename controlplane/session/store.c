// SPDX-License-Identifier: GPL-3.0-or-later
// The store over LMDB: one file, one writer, changes committed in batches. Called by sessions.c.
#include "controlplane/session/store.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "controlplane/proc/bytes.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/lmdb_status.h"

#define FORMAT_MAGIC 0x4b545350u
#define GENERATION_BLOCK 65536u
#define MAP_MIN ((size_t)16 << 20)
#define MAP_SPARE ((size_t)1 << 20)

enum op_type {
	OP_SESSION_PUT,
	OP_SESSION_DEL,
	OP_LEASE_PUT,
	OP_LEASE_DEL,
	OP_SCRIPT_PUT,
	OP_SCRIPT_DEL,
	OP_ACCT_PUT,
	OP_ACCT_DEL,
};

struct op {
	enum op_type type;
	int status;
	store_done done;
	void *arg;
	union {
		struct record_session session;
		struct record_lease lease;
		struct record_script script;
		uint64_t script_id; // big endian: the key
		uint8_t cookie_hash[IPC_HASH_LEN];
		struct abi_addr addr;
		struct record_acct acct;
		uint64_t acct_number;
	};
};

// The "format" entry of the meta table.
struct format {
	uint32_t magic;
	uint16_t version; // RECORD_VERSION
	uint16_t session_size, lease_size;
	uint16_t reserved;
};
_Static_assert(sizeof(struct format) == 12, "format");

struct store {
	MDB_env *env;
	MDB_dbi sessions, leases, scripts, acct, meta;
	struct store_hooks hooks;
	struct op **ops;
	size_t nb_ops, ops_size;
	uint32_t generation; // last given out
	uint32_t generation_end; // reserved on disk up to here
	bool generation_dirty;
	bool has_key;
	uint8_t seal_key[32];
};

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
	if (old.magic != want->magic ||
		!record_version_known(old.version, old.session_size, old.lease_size))
		return MDB_VERSION_MISMATCH;
	log_info("store_upgrade", "file=%s from=%u to=%u", STORE_FILE, old.version, now.version);
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
	store->generation_end = store->generation;
	return rc;
}

static int tables_open(struct store *store) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &store->meta);
	if (!rc)
		rc = format_check(txn, store);
	if (!rc)
		rc = generation_load(txn, store);
	if (!rc)
		rc = mdb_dbi_open(txn, "sessions", MDB_CREATE, &store->sessions);
	if (!rc)
		rc = mdb_dbi_open(txn, "leases", MDB_CREATE, &store->leases);
	if (!rc)
		rc = mdb_dbi_open(txn, "scripts", MDB_CREATE, &store->scripts);
	if (!rc)
		rc = mdb_dbi_open(txn, "accounting", MDB_CREATE, &store->acct);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

// A file cut short would turn the first access beyond its end into a SIGBUS.
static bool is_cut(MDB_env *env) {
	MDB_envinfo info;
	MDB_stat stat;
	struct stat st;
	int fd;

	if (mdb_env_info(env, &info) || mdb_env_stat(env, &stat) || mdb_env_get_fd(env, &fd) ||
		fstat(fd, &st))
		return true;
	return (uint64_t)st.st_size < (uint64_t)stat.ms_psize * (info.me_last_pgno + 1);
}

static int env_open(struct store *store, int dir_fd, size_t bytes_max) {
	int rc;

	// LMDB takes a path, and in the sandbox there is neither /proc nor any other directory.
	if (fchdir(dir_fd) < 0)
		return errno;
	rc = mdb_env_create(&store->env);
	if (rc)
		return rc;
	mdb_env_set_maxdbs(store->env, 8);
	mdb_env_set_mapsize(store->env, bytes_max < MAP_MIN ? MAP_MIN : bytes_max);
	rc = mdb_env_open(store->env, STORE_FILE, MDB_NOSUBDIR, 0600);
	if (!rc && is_cut(store->env))
		rc = MDB_CORRUPTED;
	if (!rc)
		rc = tables_open(store);
	if (rc) {
		mdb_env_close(store->env);
		store->env = NULL;
	}
	return rc;
}

static bool is_bad_file(int rc) {
	return rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED ||
		rc == MDB_PAGE_NOTFOUND || rc == MDB_INCOMPATIBLE || rc == MDB_PANIC ||
		rc == MDB_DBS_FULL || rc == EINVAL;
}

static int set_aside(int dir_fd, int rc) {
	char name[64];

	snprintf(name, sizeof(name), "%s.bad-%lld", STORE_FILE, (long long)time(NULL));
	if (renameat(dir_fd, STORE_FILE, dir_fd, name) < 0)
		return -errno;
	log_error("store_set_aside", "file=%s kept_as=%s reason=%s", STORE_FILE, name,
		log_value(mdb_strerror(rc)));
	return 0;
}

int store_open(struct store **out, int dir_fd, size_t bytes_max, const struct store_hooks *hooks) {
	struct store *store = calloc(1, sizeof(*store));
	int rc;

	if (!store)
		return -ENOMEM;
	if (hooks)
		store->hooks = *hooks;
	rc = env_open(store, dir_fd, bytes_max);
	if (is_bad_file(rc) && set_aside(dir_fd, rc) == 0)
		rc = env_open(store, dir_fd, bytes_max);
	if (rc) {
		log_error(
			"store_open", "file=%s error=%s", STORE_FILE, log_value(mdb_strerror(rc)));
		free(store);
		return rc > 0 ? -rc : -EIO;
	}
	*out = store;
	return 0;
}

static void op_free(struct op *op) {
	explicit_bzero(op, sizeof(*op));
	free(op);
}

void store_close(struct store *store) {
	if (!store)
		return;
	for (size_t i = 0; i < store->nb_ops; i++)
		op_free(store->ops[i]);
	free(store->ops);
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

// Numbers as keys, so that their order is that of the bytes.
static void acct_key(uint64_t number, uint8_t key[8]) {
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
		rc = mdb_cursor_del(cursor, 0);
		if (rc)
			break;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? bad : lmdb_status(rc);
}

int store_acct_load(
	struct store *store, void (*each)(const struct record_acct *record, void *arg), void *arg) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn), bad;

	if (rc)
		return lmdb_status(rc);
	bad = load_acct(store, txn, each, arg);
	if (bad <= 0) {
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
		acct_key(op->acct.acct.hdr.req, number);
		key = (MDB_val){sizeof(number), number};
		value = (MDB_val){sizeof(op->acct), &op->acct};
		return mdb_put(txn, store->acct, &key, &value, 0);
	case OP_ACCT_DEL:
		acct_key(op->acct_number, number);
		key = (MDB_val){sizeof(number), number};
		rc = mdb_del(txn, store->acct, &key, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	}
	return EINVAL;
}

static int generation_save(struct store *store, MDB_txn *txn) {
	MDB_val key = {10, (void *)(uintptr_t) "generation"};
	MDB_val value = {sizeof(store->generation_end), &store->generation_end};

	return store->generation_dirty ? mdb_put(txn, store->meta, &key, &value, 0) : 0;
}

static int commit_range(struct store *store, struct op **ops, size_t nb) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = generation_save(store, txn);
	for (size_t i = 0; i < nb && !rc; i++)
		rc = op_apply(store, txn, ops[i]);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (!rc)
		store->generation_dirty = false;
	return rc;
}

static bool is_delete(const struct op *op) {
	return op->type == OP_SESSION_DEL || op->type == OP_LEASE_DEL ||
		op->type == OP_SCRIPT_DEL || op->type == OP_ACCT_DEL;
}

// Deleting needs a few free pages, too: what frees space may go beyond the limit.
static int commit_delete(struct store *store, struct op **op) {
	int rc = commit_range(store, op, 1);
	MDB_envinfo info;

	if (rc != MDB_MAP_FULL || mdb_env_info(store->env, &info) != 0)
		return rc;
	rc = mdb_env_set_mapsize(store->env, info.me_mapsize + MAP_SPARE);
	return rc ? rc : commit_range(store, op, 1);
}

// The whole did not fit. One by one, so that deletions do not fail with the rest; the first put
// that finds no room speaks for those behind it, so that this stays short.
static void commit_singly(struct store *store, struct op **ops, size_t nb) {
	bool full = false;

	for (size_t i = 0; i < nb; i++) {
		if (is_delete(ops[i])) {
			ops[i]->status = lmdb_status(commit_delete(store, &ops[i]));
			continue;
		}
		ops[i]->status = full ? -ENOSPC : lmdb_status(commit_range(store, &ops[i], 1));
		full = full || ops[i]->status == -ENOSPC;
	}
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
	rc = commit_range(store, ops, nb);
	if (rc) {
		log_error("store_commit", "changes=%zu error=%s", nb, log_value(mdb_strerror(rc)));
		commit_singly(store, ops, nb);
	}
	for (size_t i = 0; i < nb; i++) {
		if (ops[i]->done)
			ops[i]->done(ops[i]->status, ops[i]->arg);
		op_free(ops[i]);
	}
	free(ops);
}

bool store_is_pending(const struct store *store) {
	return store->nb_ops > 0;
}

uint32_t store_generation_next(struct store *store) {
	if (store->generation == store->generation_end) {
		store->generation_end += GENERATION_BLOCK;
		store->generation_dirty = true;
	}
	if (++store->generation == 0)
		return store_generation_next(store);
	return store->generation;
}

// --- sealing ---

int store_secret_set(struct store *store, const uint8_t secret[STORE_SECRET_LEN]) {
	static const char info[] = "penstock session store v1";
	int rc = wc_HKDF(WC_SHA256, secret, STORE_SECRET_LEN, NULL, 0, (const byte *)info,
		sizeof(info) - 1, store->seal_key, sizeof(store->seal_key));

	store->has_key = rc == 0;
	return rc == 0 ? 0 : -EIO;
}

static int seal_aes(struct store *store, Aes *aes) {
	if (!store->has_key || wc_AesInit(aes, NULL, INVALID_DEVID) != 0)
		return -EIO;
	if (wc_AesGcmSetKey(aes, store->seal_key, sizeof(store->seal_key)) == 0)
		return 0;
	wc_AesFree(aes);
	return -EIO;
}

int store_seal(struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN], const uint8_t *secrets,
	struct record_sealed *sealed) {
	Aes aes;
	int rc;

	if (getrandom(sealed->nonce, sizeof(sealed->nonce), 0) != (ssize_t)sizeof(sealed->nonce) ||
		seal_aes(store, &aes) != 0)
		return -EIO;
	rc = wc_AesGcmEncrypt(&aes, sealed->text, secrets, RECORD_SECRETS_LEN, sealed->nonce,
		sizeof(sealed->nonce), sealed->tag, sizeof(sealed->tag), cookie_hash, IPC_HASH_LEN);
	wc_AesFree(&aes);
	explicit_bzero(&aes, sizeof(aes));
	return rc == 0 ? 0 : -EIO;
}

int store_unseal(struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN],
	const struct record_sealed *sealed, uint8_t *secrets) {
	Aes aes;
	int rc;

	if (seal_aes(store, &aes) != 0)
		return -EIO;
	rc = wc_AesGcmDecrypt(&aes, secrets, sealed->text, RECORD_SECRETS_LEN, sealed->nonce,
		sizeof(sealed->nonce), sealed->tag, sizeof(sealed->tag), cookie_hash, IPC_HASH_LEN);
	wc_AesFree(&aes);
	explicit_bzero(&aes, sizeof(aes));
	if (rc == 0)
		return 0;
	explicit_bzero(secrets, RECORD_SECRETS_LEN);
	return -EBADMSG;
}
