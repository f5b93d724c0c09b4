// SPDX-License-Identifier: GPL-3.0-or-later
// Edits a password file: lines of user:groups:crypt(3). Used by `penstockctl passwd`.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PASSWD_USER_MAX 127u // bytes
#define PASSWD_GROUPS_MAX 511u
#define PASSWD_GROUP_MAX 63u
#define PASSWD_PASSWORD_MAX 255u

enum passwd_action {
	PASSWD_SET, // password (and groups where given) of a new or existing user
	PASSWD_DELETE,
	PASSWD_LOCK,
	PASSWD_UNLOCK,
};

struct passwd_change {
	enum passwd_action action;
	const char *user;
	const char *groups; // NULL: as they are
	const char *hash; // PASSWD_SET
};

// NULL when it can be used, else what is wrong with it.
const char *passwd_user_wrong(const char *user);
const char *passwd_groups_wrong(const char *groups);
const char *passwd_password_wrong(const char *password);

// Hashes with yescrypt and a new salt. The result is malloc'ed; NULL with errno.
char *passwd_hash(const char *password);

// The text with one user changed: malloc'ed in *out. Other lines stay as they are. 0, -ENOENT
// (unknown user), -EALREADY (locked or unlocked before) or -ENOMEM.
int passwd_edit(const char *text, size_t len, const struct passwd_change *change, char **out,
	size_t *out_len);

// Replaces the file in one step, holding a lock against others that do the same. A new file has
// mode 0600; an existing one keeps its owner. As passwd_edit(), or -errno.
int passwd_file_edit(const char *path, const struct passwd_change *change);
