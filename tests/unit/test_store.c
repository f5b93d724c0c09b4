// SPDX-License-Identifier: GPL-3.0-or-later
// The session store: what was acknowledged is there after a kill, bad files are kept, full is said.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "controlplane/session/session.h"
#include "controlplane/session/store.h"
#include "controlplane/session/store_file.h"

#define MIB ((size_t)1 << 20)

struct dir {
	char path[64];
	int fd;
};

static int setup(void **state) {
	struct dir *dir = calloc(1, sizeof(*dir));

	snprintf(dir->path, sizeof(dir->path), "/tmp/penstock-store-XXXXXX");
	if (!mkdtemp(dir->path))
		return -1;
	dir->fd = open(dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = dir;
	return dir->fd < 0;
}

static int teardown(void **state) {
	struct dir *dir = *state;
	char cmd[128];
	int ret;

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir->path);
	ret = chdir("/");
	ret |= system(cmd);
	close(dir->fd);
	free(dir);
	return ret;
}

static struct store *open_store(struct dir *dir, size_t bytes) {
	struct store *store = NULL;
	uint8_t secret[STORE_SECRET_LEN] = {42};

	assert_int_equal(store_open(&store, dir->fd, bytes, NULL), 0);
	assert_int_equal(store_secret_set(store, secret), 0);
	return store;
}

static void make(struct record_session *record, uint32_t n) {
	record_session_init(record);
	memcpy(record->cookie_hash, &n, sizeof(n));
	record->sid = (struct abi_sid){n, n + 1};
	record->state = SESSION_CONNECTED;
	snprintf(record->user, sizeof(record->user), "user%u", n);
}

struct loaded {
	unsigned sessions, leases;
	uint32_t highest;
	struct record_session last;
};

static void on_session(const struct record_session *record, void *arg) {
	struct loaded *loaded = arg;

	loaded->sessions++;
	loaded->last = *record;
	if (record->sid.index > loaded->highest)
		loaded->highest = record->sid.index;
}

static void on_lease(const struct record_lease *record, void *arg) {
	((struct loaded *)arg)->leases++;
}

static void note(int status, void *arg) {
	*(int *)arg = status;
}

static void test_round_trip(void **state) {
	struct store *store = open_store(*state, MIB);
	struct record_session record;
	struct record_lease lease;
	struct loaded loaded = {0};
	int status = 1;

	make(&record, 7);
	record_lease_init(&lease);
	lease.addr.bytes[0] = 0xfd;
	snprintf(lease.user, sizeof(lease.user), "ann");
	assert_int_equal(store_session_put(store, &record, note, &status), 0);
	assert_int_equal(store_lease_put(store, &lease), 0);
	assert_int_equal(status, 1); // not before the commit
	store_commit(store);
	assert_int_equal(status, 0);
	store_close(store);
	store = open_store(*state, MIB);
	assert_int_equal(store_load(store, on_session, on_lease, &loaded), 0);
	assert_int_equal(loaded.sessions, 1);
	assert_int_equal(loaded.leases, 1);
	assert_memory_equal(&loaded.last, &record, sizeof(record));
	assert_int_equal(store_session_del(store, record.cookie_hash, note, &status), 0);
	assert_int_equal(store_lease_del(store, &lease.addr), 0);
	store_commit(store);
	memset(&loaded, 0, sizeof(loaded));
	assert_int_equal(store_load(store, on_session, on_lease, &loaded), 0);
	assert_int_equal(loaded.sessions + loaded.leases, 0);
	store_close(store);
}

// The child writes until it is killed; it tells each commit that was acknowledged.
static void write_forever(struct dir *dir, int out) {
	struct store *store = open_store(dir, 64 * MIB);

	for (uint32_t n = 0;; n++) {
		struct record_session record;
		int status = 1;

		make(&record, n);
		if (store_session_put(store, &record, note, &status) != 0)
			_exit(1);
		store_commit(store);
		if (status != 0 || write(out, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

static void test_kill(void **state) {
	for (int round = 0; round < 3; round++) {
		struct loaded loaded = {0};
		struct store *store;
		uint32_t n = 0;
		int pipes[2];
		pid_t pid;

		assert_int_equal(pipe(pipes), 0);
		pid = fork();
		if (pid == 0)
			write_forever(*state, pipes[1]);
		close(pipes[1]);
		for (int i = 0; i < 40 + round; i++)
			assert_int_equal(read(pipes[0], &n, sizeof(n)), sizeof(n));
		kill(pid, SIGKILL);
		while (read(pipes[0], &n, sizeof(n)) == sizeof(n))
			;
		close(pipes[0]);
		waitpid(pid, NULL, 0);
		store = open_store(*state, 64 * MIB);
		assert_int_equal(store_load(store, on_session, on_lease, &loaded), 0);
		assert_true(loaded.highest >= n);
		assert_true(loaded.sessions >= n + 1);
		store_close(store);
	}
}

static bool has_aside(struct dir *dir) {
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "ls %s/sessions.mdb.bad-* >/dev/null 2>&1", dir->path);
	return system(cmd) == 0;
}

static void write_file(struct dir *dir, const void *data, size_t len) {
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir->path, STORE_FILE);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void test_foreign(void **state) {
	char text[8192];
	struct store *store;

	memset(text, 'x', sizeof(text));
	write_file(*state, text, sizeof(text));
	store = open_store(*state, MIB);
	assert_true(has_aside(*state));
	store_close(store);
}

static void test_torn(void **state) {
	struct dir *dir = *state;
	struct store *store = open_store(dir, 16 * MIB);
	struct record_session record;
	char path[128];

	for (uint32_t n = 0; n < 50; n++) {
		make(&record, n);
		assert_int_equal(store_session_put(store, &record, NULL, NULL), 0);
	}
	store_commit(store);
	store_close(store);
	snprintf(path, sizeof(path), "%s/%s", dir->path, STORE_FILE);
	assert_int_equal(truncate(path, 3 * 4096), 0);
	store = open_store(dir, 16 * MIB);
	assert_true(has_aside(dir));
	store_close(store);
}

// Whatever another program has written where the version of the records stands.
static void put_format(struct dir *dir, const void *format, size_t len) {
	MDB_val key = {6, (void *)(uintptr_t) "format"}, value = {len, (void *)(uintptr_t)format};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir->path, STORE_FILE);
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 8);
	assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
	assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void test_other_version(void **state) {
	struct dir *dir = *state;
	struct store *store = open_store(dir, MIB);
	uint8_t format[12] = {0};

	store_close(store);
	put_format(dir, format, sizeof(format));
	store = open_store(dir, MIB);
	assert_true(has_aside(dir));
	store_close(store);
}

// Writes what a program with records of an earlier version has left.
static void write_old(struct dir *dir, uint16_t version, uint16_t len) {
	struct {
		uint32_t magic;
		uint16_t version, session_size, lease_size, reserved;
	} format = {0x4b545350u, version, len, sizeof(struct record_lease), 0};
	const size_t used = offsetof(struct record_session, used);
	struct record_session record;
	uint8_t bytes[sizeof(record)];
	MDB_val key = {6, (void *)(uintptr_t) "format"}, value = {sizeof(format), &format};
	MDB_val cookie = {IPC_HASH_LEN, record.cookie_hash}, old = {len, bytes};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta, sessions;
	char path[128];

	make(&record, 7);
	record.version = version;
	record.size = len;
	record.expires = 12345;
	record.wishes = 3;
	snprintf(record.device_platform, sizeof(record.device_platform), "linux");
	memcpy(bytes, &record, sizeof(record));
	if (version == 1)
		memmove(bytes + used, bytes + used + 2 * sizeof(struct record_usage), len - used);
	snprintf(path, sizeof(path), "%s/%s", dir->path, STORE_FILE);
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 4);
	assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", MDB_CREATE, &meta), 0);
	assert_int_equal(mdb_dbi_open(txn, "sessions", MDB_CREATE, &sessions), 0);
	assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
	assert_int_equal(mdb_put(txn, sessions, &cookie, &old, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

// What an earlier version acknowledged is there, beside what this one writes.
static void upgrade(struct dir *dir, uint16_t version, uint16_t len) {
	struct record_session record;
	struct loaded loaded = {0};
	struct store *store;

	write_old(dir, version, len);
	store = open_store(dir, MIB);
	assert_false(has_aside(dir));
	assert_int_equal(store_load(store, on_session, on_lease, &loaded), 0);
	assert_int_equal(loaded.sessions, 1);
	assert_int_equal(loaded.last.version, RECORD_VERSION);
	assert_string_equal(loaded.last.user, "user7");
	assert_int_equal(loaded.last.expires, 12345);
	assert_int_equal(loaded.last.wishes, 3);
	assert_int_equal(loaded.last.used.rx_bytes, 0);
	assert_string_equal(loaded.last.device_platform, "linux");
	assert_string_equal(loaded.last.group, "");
	assert_int_equal(loaded.last.settings.set, 0);
	assert_int_equal(loaded.last.facts.class_len, 0);
	make(&record, 8);
	assert_int_equal(store_session_put(store, &record, NULL, NULL), 0);
	store_commit(store);
	store_close(store);
	store = open_store(dir, MIB);
	assert_false(has_aside(dir));
	memset(&loaded, 0, sizeof(loaded));
	assert_int_equal(store_load(store, on_session, on_lease, &loaded), 0);
	assert_int_equal(loaded.sessions, 2);
	store_close(store);
}

static void test_version_1(void **state) {
	upgrade(*state, 1, RECORD_SESSION_LEN_1);
}

static void test_version_2(void **state) {
	upgrade(*state, 2, RECORD_SESSION_LEN_2);
}

static void test_version_3(void **state) {
	upgrade(*state, 3, RECORD_SESSION_LEN_3);
}

// Records that wait for a server over an upgrade are not lost.
static void test_acct_version_3(void **state) {
	struct record_acct record, out;

	record_acct_init(&record);
	record.acct.hdr.req = 9;
	record.acct.kind = IPC_ACCT_STOP;
	strcpy(record.acct.session_id, "0011223344556677");
	strcpy(record.acct.username, "ann");
	record.acct.facts.authentic = IPC_AUTHENTIC_RADIUS;
	memcpy(record.acct.facts.class_values, "\x03one\x02xy", 7);
	record.acct.facts.class_len = 7;
	assert_true(record_acct_read(&record, sizeof(record), &out));
	assert_memory_equal(&out, &record, sizeof(record));
	record.acct.facts.class_len = 6; // ends in the middle of a value
	assert_false(record_acct_read(&record, sizeof(record), &out));
	record.version = 3;
	record.size = RECORD_ACCT_LEN_3;
	assert_true(record_acct_read(&record, RECORD_ACCT_LEN_3, &out));
	assert_string_equal(out.acct.username, "ann");
	assert_int_equal(out.acct.facts.class_len, 0);
	assert_int_equal(out.version, RECORD_VERSION);
	assert_false(record_acct_read(&record, sizeof(record), &out));
}

// Disconnect scripts that are due over an upgrade.
static void test_script_version_1(void **state) {
	struct record_script record, out;

	record_script_init(&record);
	record.facts.id = 9;
	strcpy(record.facts.user, "ann");
	record.facts.settings.nb_dns = IPC_USER_DNS + 1;
	assert_false(record_script_read(&record, sizeof(record), &out));
	record.version = 1;
	record.size = RECORD_SCRIPT_LEN_1;
	assert_true(record_script_read(&record, RECORD_SCRIPT_LEN_1, &out));
	assert_string_equal(out.facts.user, "ann");
	assert_int_equal(out.facts.settings.nb_dns, 0);
	assert_int_equal(out.version, RECORD_SCRIPT_VERSION);
}

// Settings that no authentication server may say are not believed.
static void test_bad_settings(void **state) {
	struct record_session record, out;

	make(&record, 1);
	record.settings.set = IPC_SET_INNER4;
	memcpy(&record.settings.inner4, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x0a\0\x07", 16);
	record.settings.nb_routes = IPC_USER_ROUTES;
	assert_true(record_session_read(&record, sizeof(record), &out));
	assert_memory_equal(&out, &record, sizeof(out));
	record.settings.nb_routes = IPC_USER_ROUTES + 1;
	assert_false(record_session_read(&record, sizeof(record), &out));
	record.settings.nb_routes = 1;
	record.settings.routes[0].len = 129;
	assert_false(record_session_read(&record, sizeof(record), &out));
	record.settings.routes[0].addr = record.settings.inner4;
	record.settings.routes[0].len = 33; // of an IPv4 address
	assert_false(record_session_read(&record, sizeof(record), &out));
	record.settings.routes[0].len = 32;
	assert_true(record_session_read(&record, sizeof(record), &out));
	record.settings.set = 1u << 31;
	assert_false(record_session_read(&record, sizeof(record), &out));
	record.settings.set = IPC_SET_INNER6; // all zero
	assert_false(record_session_read(&record, sizeof(record), &out));
}

static void test_bad_record(void **state) {
	struct store *store = open_store(*state, MIB);
	struct record_session record;
	struct loaded loaded = {0};

	make(&record, 1);
	record.version = 9;
	assert_int_equal(store_session_put(store, &record, NULL, NULL), 0);
	make(&record, 2);
	assert_int_equal(store_session_put(store, &record, NULL, NULL), 0);
	store_commit(store);
	assert_int_equal(store_load(store, on_session, on_lease, &loaded), 1);
	assert_int_equal(loaded.sessions, 1);
	assert_int_equal(loaded.last.sid.index, 2);
	store_close(store);
}

// Full: the puts are refused one by one, what was stored stays, deletes still work.
static void test_full(void **state) {
	struct store *store = open_store(*state, 1); // the least there is: 16 MiB
	struct loaded loaded = {0};
	uint32_t n = 0, stored = 0;
	int status = 0;

	while (status == 0) {
		struct record_session record;

		for (int i = 0; i < 500; i++) {
			make(&record, n++);
			assert_int_equal(store_session_put(store, &record, note, &status), 0);
		}
		store_commit(store);
		assert_true(n < 50000);
	}
	assert_int_equal(status, -ENOSPC);
	assert_true(store_load(store, on_session, on_lease, &loaded) == 0);
	stored = loaded.sessions;
	assert_true(stored > 1000);
	for (uint32_t i = 0; i < 500; i++) {
		struct record_session record;

		make(&record, i);
		assert_int_equal(store_session_del(store, record.cookie_hash, note, &status), 0);
	}
	store_commit(store);
	assert_int_equal(status, 0);
	memset(&loaded, 0, sizeof(loaded));
	store_load(store, on_session, on_lease, &loaded);
	assert_int_equal(loaded.sessions, stored - 500);
	store_close(store);
}

// The disk is full, as far as this process can see: its files may not grow.
static void disk_full(bool full) {
	struct rlimit limit;
	struct stat st;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(stat(STORE_FILE, &st), 0);
	limit.rlim_cur = full ? (rlim_t)st.st_size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int put(struct store *store, uint32_t n) {
	struct record_session record;
	int status = 1;

	make(&record, n);
	assert_int_equal(store_session_put(store, &record, note, &status), 0);
	store_commit(store);
	return status;
}

static uint32_t put_until_full(struct store *store) {
	uint32_t n = 0;

	disk_full(true);
	while (put(store, n) == 0)
		assert_true(++n < 1000);
	assert_int_equal(store_fault(store), -ENOSPC);
	return n;
}

// A deletion that the full disk does not take is made up for, and the fault goes with its cause.
static void test_full_disk(void **state) {
	struct store *store = open_store(*state, MIB);
	struct loaded loaded = {0};
	uint8_t hash[IPC_HASH_LEN] = {0};
	uint32_t stored = put_until_full(store);
	enum store_tick tick;
	int status = 0;

	for (uint32_t i = 0; i < stored && status == 0; i++) {
		memcpy(hash, &i, sizeof(i));
		assert_int_equal(store_session_del(store, hash, note, &status), 0);
		store_commit(store);
	}
	tick = store_tick(store);
	assert_true(tick == STORE_BACK || tick == STORE_FAULTY);
	disk_full(false);
	if (tick == STORE_FAULTY)
		assert_int_equal(store_tick(store), STORE_BACK);
	assert_int_equal(store_fault(store), 0);
	assert_int_equal(store_tick(store), STORE_FINE);
	store_close(store);
	store = open_store(*state, MIB);
	store_load(store, on_session, on_lease, &loaded);
	if (status == 0)
		assert_int_equal(loaded.sessions, 0);
	else
		assert_true(loaded.sessions < stored);
	assert_int_equal(put(store, 5000), 0);
	store_close(store);
}

// The block of numbers is not on disk: the next process would give the same ones.
static void test_generation_unsafe(void **state) {
	struct store *store = open_store(*state, MIB);

	put_until_full(store);
	for (int i = 0; i < 65537; i++)
		store_generation_next(store);
	assert_int_not_equal(put(store, 4000), 0);
	assert_false(store_generation_safe(store));
	disk_full(false);
	assert_int_equal(store_tick(store), STORE_BACK);
	assert_true(store_generation_safe(store));
	store_generation_used(store, 1000000);
	assert_int_equal(store_generation_next(store), 1000001);
	store_close(store);
}

static void set_version(struct dir *dir, uint16_t version) {
	struct {
		uint32_t magic;
		uint16_t version, session_size, lease_size, reserved;
	} format = {0x4b545350u, version, 5000, 200, 0};

	put_format(dir, &format, sizeof(format));
}

// A newer version's file is left as it is: that version can go on with it.
static void test_newer_version(void **state) {
	struct store *store = open_store(*state, MIB);

	assert_int_equal(put(store, 1), 0);
	store_close(store);
	set_version(*state, RECORD_VERSION + 1);
	assert_int_equal(store_open(&store, ((struct dir *)*state)->fd, MIB, NULL), -EPROTO);
	assert_false(has_aside(*state));
	assert_int_equal(store_file_check(STORE_FILE), 0);
}

static void test_empty_file(void **state) {
	struct store *store;

	write_file(*state, "", 0);
	store = open_store(*state, MIB);
	assert_true(has_aside(*state));
	assert_true(store_is_new(store));
	store_close(store);
}

// 0: the check says that it is good. In a process of its own, as in role.c: it may die of it.
static int checked(void) {
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		_exit(store_file_check(STORE_FILE) != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void garble(unsigned seed) {
	int fd = open(STORE_FILE, O_RDWR);
	uint8_t page[4096];
	struct stat st;

	srand(seed);
	assert_int_equal(fstat(fd, &st), 0);
	// The meta pages stay: LMDB would refuse others by itself.
	for (off_t at = 2 * 4096; at < st.st_size; at += 4096) {
		for (size_t i = 0; i < sizeof(page); i++)
			page[i] = (uint8_t)rand();
		assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
	}
	close(fd);
}

static void test_garbage_inside(void **state) {
	struct store *store = open_store(*state, MIB);

	for (uint32_t n = 0; n < 20; n++)
		assert_int_equal(put(store, n), 0);
	store_close(store);
	assert_int_equal(checked(), 0);
	for (unsigned seed = 0; seed < 20; seed++) {
		garble(seed);
		assert_int_not_equal(checked(), 0);
	}
}

static void test_generations(void **state) {
	struct store *store = open_store(*state, MIB);
	struct record_session record;
	uint32_t last = 0;

	for (int i = 0; i < 100; i++) {
		uint32_t next = store_generation_next(store);

		assert_true(next > last);
		last = next;
	}
	make(&record, 1);
	assert_int_equal(store_session_put(store, &record, NULL, NULL), 0);
	store_commit(store);
	store_close(store);
	store = open_store(*state, MIB);
	assert_true(store_generation_next(store) > last);
	store_close(store);
}

static void test_seal(void **state) {
	struct store *store = open_store(*state, MIB);
	uint8_t secrets[RECORD_SECRETS_LEN], out[RECORD_SECRETS_LEN], hash[IPC_HASH_LEN] = {1};
	uint8_t other[STORE_SECRET_LEN] = {43};
	struct record_sealed sealed;

	memset(secrets, 0x5a, sizeof(secrets));
	assert_int_equal(store_seal(store, hash, secrets, &sealed), 0);
	assert_memory_not_equal(sealed.text, secrets, sizeof(secrets));
	assert_int_equal(store_unseal(store, hash, &sealed, out), 0);
	assert_memory_equal(out, secrets, sizeof(secrets));
	hash[0] = 2;
	assert_int_equal(store_unseal(store, hash, &sealed, out), -EBADMSG);
	hash[0] = 1;
	assert_int_equal(store_secret_set(store, other), 0);
	assert_int_equal(store_unseal(store, hash, &sealed, out), -EBADMSG);
	store_close(store);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_round_trip),
		T(test_kill),
		T(test_foreign),
		T(test_torn),
		T(test_other_version),
		T(test_version_1),
		T(test_version_2),
		T(test_version_3),
		T(test_acct_version_3),
		T(test_script_version_1),
		T(test_bad_settings),
		T(test_bad_record),
		T(test_full),
		T(test_full_disk),
		T(test_generation_unsafe),
		T(test_newer_version),
		T(test_empty_file),
		T(test_garbage_inside),
		T(test_generations),
		T(test_seal),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
