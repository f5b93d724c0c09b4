// SPDX-License-Identifier: GPL-3.0-or-later
// Opens LMDB files so that neither a full disk nor a damaged file ends the process. Called by
// store.c, otp_store.c and role.c.
#include "controlplane/session/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/proc/log.h"

#define MAP_MIN ((size_t)16 << 20)
#define TABLES_MAX 8u
#define TABLE_NAME_MAX 64u
#define LOCK_FILE_BYTES 8192 // what LMDB takes for its 126 readers
#define PAGE_BYTES 4096u

const char *store_file_error(int rc) {
	if (rc == STORE_FILE_NEWER)
		return "it was written by a newer version of this software";
	if (rc == STORE_FILE_CUT)
		return "it is shorter than it says";
	return mdb_strerror(rc);
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

// LMDB maps its lock file and writes to the mapping: where the disk is full that is a SIGBUS too,
// unless the blocks are there before.
static int lock_file_make(const char *name) {
	char lock[64];
	int fd, rc;

	snprintf(lock, sizeof(lock), "%s-lock", name);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	rc = posix_fallocate(fd, 0, LOCK_FILE_BYTES);
	close(fd);
	return rc == EOPNOTSUPP || rc == EINVAL ? 0 : rc;
}

int store_file_open(MDB_env **env, const char *name, size_t bytes_max, unsigned flags) {
	struct stat st;
	int rc = flags & MDB_RDONLY ? 0 : lock_file_make(name);

	*env = NULL;
	// LMDB would take an empty one for new.
	if (!rc && stat(name, &st) == 0 && st.st_size == 0)
		rc = STORE_FILE_CUT;
	if (!rc)
		rc = mdb_env_create(env);
	if (rc)
		return rc;
	mdb_env_set_maxdbs(*env, TABLES_MAX);
	mdb_env_set_mapsize(*env, bytes_max < MAP_MIN ? MAP_MIN : bytes_max);
	rc = mdb_env_open(*env, name, MDB_NOSUBDIR | flags, 0600);
	if (!rc && is_cut(*env))
		rc = STORE_FILE_CUT;
	if (rc) {
		mdb_env_close(*env);
		*env = NULL;
	}
	return rc;
}

// Not to be optimised away.
static volatile uint8_t touched;

static void touch(const MDB_val *value) {
	const uint8_t *data = value->mv_data;

	for (size_t i = 0; i < value->mv_size; i += PAGE_BYTES)
		touched = data[i];
	if (value->mv_size)
		touched = data[value->mv_size - 1];
}

// Every page of every entry is read: what is damaged shows, or ends this process.
static int walk(
	MDB_txn *txn, MDB_dbi table, int (*each)(const MDB_val *key, void *arg), void *arg) {
	MDB_val key, value;
	MDB_cursor *cursor;
	MDB_stat stat;
	size_t left;
	int rc = mdb_stat(txn, table, &stat);

	if (!rc)
		rc = mdb_cursor_open(txn, table, &cursor);
	if (rc)
		return rc;
	// Pages that point at each other in a ring would keep us here for ever.
	left = stat.ms_entries;
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		touch(&value);
		rc = !left-- ? MDB_CORRUPTED : each ? each(&key, arg) : 0;
		if (rc)
			break;
	}
	mdb_cursor_close(cursor);
	if (rc != MDB_NOTFOUND)
		return rc;
	return left ? MDB_CORRUPTED : 0;
}

static int walk_table(const MDB_val *key, void *arg) {
	MDB_txn *txn = arg;
	char name[TABLE_NAME_MAX];
	MDB_dbi table;
	int rc;

	if (key->mv_size >= sizeof(name))
		return MDB_CORRUPTED;
	memcpy(name, key->mv_data, key->mv_size);
	name[key->mv_size] = 0;
	rc = mdb_dbi_open(txn, name, 0, &table);
	return rc ? rc : walk(txn, table, NULL, NULL);
}

int store_file_check(const char *name) {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi main_table;
	int rc = store_file_open(&env, name, 0, MDB_RDONLY | MDB_NOLOCK);

	if (rc)
		return rc == ENOENT ? 0 : rc;
	rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (!rc) {
		rc = mdb_dbi_open(txn, NULL, 0, &main_table);
		if (!rc)
			rc = walk(txn, main_table, walk_table, txn);
		mdb_txn_abort(txn);
	}
	mdb_env_close(env);
	return rc;
}

int store_file_set_aside(int dir_fd, const char *name, const char *why) {
	char kept[64];

	snprintf(kept, sizeof(kept), "%s.bad-%lld", name, (long long)time(NULL));
	if (renameat(dir_fd, name, dir_fd, kept) < 0) {
		int status = -errno;

		log_error("store_set_aside", "file=session/%s error=%s text=%s", name,
			log_value(strerror(-status)),
			"\"it is damaged and cannot be renamed: move it away\"");
		return status;
	}
	log_error("store_set_aside", "file=session/%s kept_as=session/%s reason=%s", name, kept,
		log_value(why));
	return 0;
}
