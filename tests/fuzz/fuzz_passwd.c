// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the parser of the password file, and looks users up in what came out. Run by tools/check.

#include <stdlib.h>
#include <string.h>

#include "controlplane/auth/passwd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Up to the first line break: a user that the file may know.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const uint8_t *stop = memchr(data, '\n', size);
	size_t len = stop ? (size_t)(stop - data) : 0;
	struct passwd_entry entry;
	char user[IPC_USER_LEN];
	struct passwd_db *db;
	size_t bad;

	if (len >= sizeof(user))
		len = sizeof(user) - 1;
	memcpy(user, data, len);
	user[len] = 0;
	db = passwd_db_new((const char *)data + len, size - len, &bad);
	if (db == NULL)
		return 0;
	passwd_db_find(db, user, &entry);
	// There is always something to hash.
	if (entry.hash_secret[0] == 0 || entry.hash_secret[0] == '*')
		abort();
	if (entry.usable && entry.hash_secret[0] == '!')
		abort();
	passwd_db_free(db);
	return 0;
}
