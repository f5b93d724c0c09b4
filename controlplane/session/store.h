// SPDX-License-Identifier: GPL-3.0-or-later
// The crash-safe store of sessions and leases. Used by sessions.c and connect.c.
//
// A small interface, so that a shared store can take LMDB's place: load everything once, put and
// delete records, hear when a change is safe on disk. Changes are collected and committed
// together once per pass of the event loop; nobody gets an answer before its change is on disk.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/session/record.h"

#define STORE_FILE "sessions.mdb"
#define STORE_SECRET_LEN 32u
#define STORE_PENDING_MAX 65536u

struct store;

// 0: on disk; -ENOSPC: full; -EROFS: cannot be written; -EIO: else. Nothing of it was stored then.
typedef void (*store_done)(int status, void *arg);

struct store_hooks {
	void (*pending)(void *arg); // the first change since the last commit was collected
	void *arg;
};

// Opens or makes STORE_FILE in the directory. One that is damaged or not ours is renamed (kept, with
// a log line) and a new one made; one of a newer version is left as it is: -EPROTO. One that cannot
// be written is read, and store_fault() is -EROFS. `bytes_max` bounds its size. 0 or -errno, logged.
// To be called before the sandbox: it opens files and changes the working directory.
int store_open(struct store **out, int dir_fd, size_t bytes_max, const struct store_hooks *hooks);
void store_close(struct store *store);

// The secret that seals what records hold of keys (32 bytes, from the run directory).
int store_secret_set(struct store *store, const uint8_t secret[STORE_SECRET_LEN]);

// Calls back for each valid record. A bad one is counted and logged, and stays where it is.
// Returns the number of bad records or -errno.
int store_load(struct store *store, void (*session)(const struct record_session *record, void *arg),
	void (*lease)(const struct record_lease *record, void *arg), void *arg);

// Collect a change. `done` may be NULL. 0, or -ENOBUFS: too many are pending (done is not called).
int store_session_put(
	struct store *store, const struct record_session *record, store_done done, void *arg);
int store_session_del(
	struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN], store_done done, void *arg);
int store_lease_put(struct store *store, const struct record_lease *record);
int store_lease_del(struct store *store, const struct abi_addr *addr);
int store_script_put(
	struct store *store, const struct record_script *record, store_done done, void *arg);
int store_script_del(struct store *store, uint64_t id);

// Disconnect scripts that are due, in order of their ids. Returns the number of bad records or
// -errno.
int store_scripts_load(struct store *store,
	void (*each)(const struct record_script *record, void *arg), void *arg);
// The session's record as committed. 0, -ENOENT or -EIO.
int store_session_get(
	struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN], struct record_session *out);
// One of them, as committed. 0, -ENOENT or -EIO.
int store_script_get(struct store *store, uint64_t id, struct record_script *out);

// Accounting records that wait for a server, by their number (acct.hdr.req), in order of it. A bad one
// is deleted: it could never be sent. Returns the number of bad ones or -errno.
int store_acct_load(
	struct store *store, void (*each)(const struct record_acct *record, void *arg), void *arg);
int store_acct_put(
	struct store *store, const struct record_acct *record, store_done done, void *arg);
int store_acct_del(struct store *store, uint64_t number);

// Commits what was collected, then calls the done functions in order (which may collect more).
// When the whole cannot be stored, each change is tried by itself; deletions that the disk does not
// take are kept, and made up for.
void store_commit(struct store *store);

enum store_tick {
	STORE_FINE,
	STORE_FAULTY, // nothing can be written
	STORE_BACK, // it could not be until now: what is not on disk should be saved again
	STORE_REOPEN, // only a new process can try to write
};

// Every second or so: tries again after a fault.
enum store_tick store_tick(struct store *store);
// There was none, or none that could be read: a new one was begun.
bool store_is_new(const struct store *store);
// 0, or why the last commit failed: -ENOSPC, -EROFS, -EIO.
int store_fault(const struct store *store);
bool store_is_pending(const struct store *store);

// A generation that was never used for any session of this store; never 0. Survives restarts:
// numbers are taken from the store in blocks, with the next commit.
uint32_t store_generation_next(struct store *store);
// Somebody has this one already: only later ones are given out.
void store_generation_used(struct store *store, uint32_t generation);
// False: the block of the last one is not on disk, it may come again after a restart.
bool store_generation_safe(const struct store *store);

// `secrets`: RECORD_SECRETS_LEN bytes. 0 or -EIO; unseal: -EBADMSG when it was sealed under
// another secret (the machine restarted) or changed.
int store_seal(struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN], const uint8_t *secrets,
	struct record_sealed *sealed);
int store_unseal(struct store *store, const uint8_t cookie_hash[IPC_HASH_LEN],
	const struct record_sealed *sealed, uint8_t *secrets);
