// SPDX-License-Identifier: GPL-3.0-or-later
// The password file in memory: lines of user:groups:crypt(3); called by login.c.

#include <stdlib.h>
#include <string.h>

#include "controlplane/proc/bytes.h"
#include "passwd.h"

// Used when the file has no hash whose method could be imitated (empty, or all lines broken).
#define DECOY_SETTING "$y$j9T$E3kUJ1GFN0cZVpTUw7zFS/$"

struct line {
	const char *user, *groups, *hash;
};

struct passwd_db {
	char *text_secret;
	size_t text_len;
	struct line *lines; // sorted by user
	size_t nb_lines;
	const char *decoy; // hash of the file's first usable line, or a setting
};

// True for a hash that crypt(3) can be asked to compute.
static bool hash_ok(const char *hash) {
	int salt;

	if (strlen(hash) >= PASSWD_HASH_LEN || hash[0] == '\0')
		return false;
	salt = crypt_checksalt(hash);
	return salt == CRYPT_SALT_OK || salt == CRYPT_SALT_METHOD_LEGACY;
}

static bool plain(const char *text) {
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

// Splits "user:groups:hash" in place. False: not such a line.
static bool line_split(char *text, struct line *line) {
	char *groups = strchr(text, ':');
	char *hash = groups ? strchr(groups + 1, ':') : NULL;

	if (hash == NULL || groups == text)
		return false;
	*groups++ = '\0';
	*hash++ = '\0';
	// Anything behind another colon belongs to other programs.
	hash[strcspn(hash, ":")] = '\0';
	if (strlen(text) >= IPC_USER_LEN || strlen(groups) >= IPC_GROUPS_LEN)
		return false;
	if (!plain(text) || !plain(groups))
		return false;
	// ocpasswd writes '*' for "no group".
	line->groups = strcmp(groups, "*") == 0 ? "" : groups;
	line->user = text;
	line->hash = hash;
	return hash_ok(hash + (hash[0] == '!'));
}

static int line_compare(const void *a, const void *b) {
	const struct line *x = a, *y = b;
	int order = strcmp(x->user, y->user);

	// Equal users stay in the file's order: the first one counts.
	return order != 0 ? order : (x->user > y->user) - (x->user < y->user);
}

static size_t lines_count(const char *text, size_t len) {
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

static void text_parse(struct passwd_db *db, size_t *bad) {
	char *end = db->text_secret + db->text_len;
	char *at = db->text_secret;

	while (at < end) {
		char *stop = memchr(at, '\n', (size_t)(end - at));
		char *next = stop ? stop + 1 : end;
		struct line line;

		if (stop == NULL)
			stop = end;
		if (stop > at && stop[-1] == '\r')
			stop--;
		*stop = '\0';
		if (at[0] != '\0' && at[0] != '#') {
			if (strlen(at) == (size_t)(stop - at) && line_split(at, &line))
				db->lines[db->nb_lines++] = line;
			else
				(*bad)++;
		}
		at = next;
	}
}

struct passwd_db *passwd_db_new(const char *text, size_t len, size_t *bad) {
	struct passwd_db *db = calloc(1, sizeof(*db));

	*bad = 0;
	if (db == NULL)
		return NULL;
	db->text_len = len;
	db->text_secret = malloc(len + 1);
	db->lines = calloc(lines_count(text, len), sizeof(*db->lines));
	if (db->text_secret == NULL || db->lines == NULL) {
		free(db->text_secret);
		free(db->lines);
		free(db);
		return NULL;
	}
	memcpy(db->text_secret, text, len);
	db->text_secret[len] = '\0';
	text_parse(db, bad);
	db->decoy = DECOY_SETTING;
	for (size_t i = 0; i < db->nb_lines; i++) {
		if (db->lines[i].hash[0] != '!') {
			db->decoy = db->lines[i].hash;
			break;
		}
	}
	qsort(db->lines, db->nb_lines, sizeof(*db->lines), line_compare);
	return db;
}

void passwd_db_free(struct passwd_db *db) {
	if (db == NULL)
		return;
	explicit_bzero(db->text_secret, db->text_len);
	free(db->text_secret);
	free(db->lines);
	free(db);
}

size_t passwd_db_users(const struct passwd_db *db) {
	return db->nb_lines;
}

// The first line of the user: the lower bound of a binary search.
static const struct line *line_find(const struct passwd_db *db, const char *user) {
	size_t lo = 0, hi = db->nb_lines;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(db->lines[mid].user, user) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == db->nb_lines || strcmp(db->lines[lo].user, user) != 0)
		return NULL;
	return &db->lines[lo];
}

void passwd_db_find(const struct passwd_db *db, const char *user, struct passwd_entry *entry) {
	const struct line *line = line_find(db, user);
	const char *hash = line ? line->hash : db->decoy;

	memset(entry, 0, sizeof(*entry));
	entry->usable = line != NULL && hash[0] != '!';
	strncpy(entry->hash_secret, hash + (hash[0] == '!'), PASSWD_HASH_LEN - 1);
	if (entry->usable)
		strncpy(entry->groups, line->groups, IPC_GROUPS_LEN - 1);
}

bool passwd_db_has(const struct passwd_db *db, const char *user) {
	const struct line *line = line_find(db, user);

	return line != NULL && line->hash[0] != '!';
}

// Equal strings, without saying by its time where they differ.
static bool same_text(const char *a, const char *b) {
	size_t len = strlen(a);

	return strlen(b) == len && bytes_same(a, b, len);
}

bool passwd_verify(
	const struct passwd_entry *entry, const char *password, struct crypt_data *work) {
	const char *hash;
	bool ok;

	memset(work, 0, sizeof(*work));
	hash = crypt_rn(password, entry->hash_secret, work, sizeof(*work));
	// A failure is NULL here; a text that begins with '*' never equals a usable hash.
	ok = hash != NULL && hash[0] != '*' && same_text(hash, entry->hash_secret);
	explicit_bzero(work, sizeof(*work));
	return ok && entry->usable;
}
