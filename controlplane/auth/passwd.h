// SPDX-License-Identifier: GPL-3.0-or-later
// The password file in memory: lines of user:groups:crypt(3). Pure parsing and verification.
#pragma once

#include <crypt.h>
#include <stdbool.h>
#include <stddef.h>

#include "controlplane/ipc/msg.h"

#define PASSWD_HASH_LEN 512u // longest hash taken, NUL included
#define PASSWD_FILE_MAX (64u << 20)

struct passwd_db;

// What it takes to decide about one login: also filled for unknown and locked users, so that the
// decision takes as long for them.
struct passwd_entry {
	char groups[IPC_GROUPS_LEN]; // comma separated, empty: none
	char hash_secret[PASSWD_HASH_LEN];
	bool usable; // false: unknown or locked; the password must be hashed nevertheless
};

// Parses a copy of the text (wiped when the db is freed). Empty lines and lines that begin with
// '#' are skipped; *bad counts lines that cannot be used. The first line of a user counts. NULL:
// no memory.
struct passwd_db *passwd_db_new(const char *text, size_t len, size_t *bad);
void passwd_db_free(struct passwd_db *db);
size_t passwd_db_users(const struct passwd_db *db);

void passwd_db_find(const struct passwd_db *db, const char *user, struct passwd_entry *entry);

// True when the user is in the file and not locked.
bool passwd_db_has(const struct passwd_db *db, const char *user);

// Hashes the password as the entry's hash says, and compares in constant time. Takes as long as
// that method takes, also for entries that are not usable; for these it returns false. `work` is
// the caller's scratch memory (large), wiped.
__attribute__((nonnull)) bool passwd_verify(
	const struct passwd_entry *entry, const char *password, struct crypt_data *work);
