// SPDX-License-Identifier: GPL-3.0-or-later
// Edits a password file in one atomic step. Called by passwd_cmd.c.

#include "tools/cli/passwd.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)

// ---- names

static bool has_control(const char *text) {
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		if (*c < 0x20 || *c == 0x7f)
			return true;
	}
	return false;
}

const char *passwd_user_wrong(const char *user) {
	size_t len = strlen(user);
	if (len == 0)
		return "the user name is empty";
	if (len > PASSWD_USER_MAX)
		return "the user name is longer than 127 bytes";
	if (strchr(user, ':') != NULL)
		return "the user name contains ':'";
	if (has_control(user))
		return "the user name contains a control character";
	if (user[0] == '#' || user[0] == ' ' || user[len - 1] == ' ')
		return "the user name begins with '#' or begins or ends with a space";
	return NULL;
}

const char *passwd_groups_wrong(const char *groups) {
	if (strlen(groups) > PASSWD_GROUPS_MAX)
		return "the groups are longer than 511 bytes";
	if (strchr(groups, ':') != NULL || has_control(groups))
		return "the groups contain ':' or a control character";
	for (const char *g = groups; *g != '\0';) {
		size_t len = strcspn(g, ",");
		if (len == 0 || (g[len] == ',' && g[len + 1] == '\0'))
			return "a group's name is empty";
		if (len > PASSWD_GROUP_MAX)
			return "a group's name is longer than 63 bytes";
		g += len + (g[len] == ',');
	}
	return NULL;
}

const char *passwd_password_wrong(const char *password) {
	if (password[0] == '\0')
		return "the password is empty";
	if (strlen(password) > PASSWD_PASSWORD_MAX)
		return "the password is longer than 255 bytes";
	return NULL;
}

char *passwd_hash(const char *password) {
	struct crypt_data *work = calloc(1, sizeof(*work));
	char *salt = crypt_gensalt_ra("$y$", 0, NULL, 0);
	char *hash = NULL;
	if (work != NULL && salt != NULL) {
		const char *out = crypt_rn(password, salt, work, sizeof(*work));
		if (out != NULL && out[0] != '*')
			hash = strdup(out);
		else
			errno = EINVAL;
	}
	if (work != NULL)
		explicit_bzero(work, sizeof(*work));
	free(work);
	free(salt);
	return hash;
}

// ---- the text

// Fields of one line, without its end.
struct line {
	const char *start;
	size_t len;
	const char *groups, *hash; // NULL: not a user's line
	size_t groups_len, hash_len;
};

static struct line line_parse(const char *start, size_t len) {
	struct line line = {.start = start, .len = len};
	const char *first = memchr(start, ':', len);
	const char *second = first != NULL
		? memchr(first + 1, ':', len - (size_t)(first + 1 - start))
		: NULL;
	if (second == NULL || start[0] == '#')
		return line;
	line.groups = first + 1;
	line.groups_len = (size_t)(second - first - 1);
	line.hash = second + 1;
	line.hash_len = len - (size_t)(second + 1 - start);
	return line;
}

static bool line_is(const struct line *line, const char *user) {
	size_t len = strlen(user);
	return line->groups != NULL && (size_t)(line->groups - 1 - line->start) == len &&
		memcmp(line->start, user, len) == 0;
}

static void write_user(FILE *out, const struct passwd_change *change, const struct line *old) {
	const char *groups = change->groups != NULL ? change->groups : "";
	size_t groups_len = strlen(groups);
	const char *hash = change->hash;
	size_t hash_len = hash != NULL ? strlen(hash) : 0;
	if (old != NULL && change->groups == NULL) {
		groups = old->groups;
		groups_len = old->groups_len;
	}
	if (old != NULL && change->action != PASSWD_SET) {
		hash = old->hash;
		hash_len = old->hash_len;
	}
	while (change->action == PASSWD_UNLOCK && hash_len > 0 && hash[0] == '!') {
		hash++;
		hash_len--;
	}
	// ocpasswd writes '*' where there are no groups.
	if (groups_len == 0) {
		groups = "*";
		groups_len = 1;
	}
	fprintf(out, "%s:%.*s:%s%.*s\n", change->user, (int)groups_len, groups,
		change->action == PASSWD_LOCK ? "!" : "", (int)hash_len, hash);
}

int passwd_edit(const char *text, size_t len, const struct passwd_change *change, char **out,
	size_t *out_len) {
	unsigned found = 0;
	int status = 0;
	FILE *file = open_memstream(out, out_len);
	if (file == NULL)
		return -ENOMEM;
	for (const char *at = text, *end = text + len; at < end;) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		size_t line_len = (size_t)((eol != NULL ? eol : end) - at);
		struct line line = line_parse(at, line_len);
		bool ours = line_is(&line, change->user);
		bool locked = ours && line.hash_len > 0 && line.hash[0] == '!';
		if (!ours) {
			fwrite(at, 1, line_len, file);
			fputc('\n', file);
		} else if (found++ == 0 && change->action != PASSWD_DELETE) {
			// Further lines of the same user never counted: they go.
			if ((change->action == PASSWD_LOCK && locked) ||
				(change->action == PASSWD_UNLOCK && !locked))
				status = -EALREADY;
			write_user(file, change, &line);
		}
		at += line_len + 1;
	}
	if (found == 0 && change->action == PASSWD_SET)
		write_user(file, change, NULL);
	else if (found == 0)
		status = -ENOENT;
	if (ferror(file) | fclose(file))
		status = -ENOMEM;
	if (status != 0) {
		free(*out);
		*out = NULL;
	}
	return status;
}

// ---- the file

// Reads all of a regular file; *st is zero for one that is not there.
static int file_read(int dir, const char *name, char **text, size_t *len, struct stat *st) {
	int status = 0;
	*text = NULL;
	*len = 0;
	memset(st, 0, sizeof(*st));
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, st) < 0)
		status = -errno;
	else if (!S_ISREG(st->st_mode))
		status = -EINVAL;
	else if (st->st_size > FILE_MAX)
		status = -EFBIG;
	if (status == 0 && (*text = malloc((size_t)st->st_size + 1)) == NULL)
		status = -ENOMEM;
	while (status == 0 && *len < (size_t)st->st_size) {
		ssize_t n = read(fd, *text + *len, (size_t)st->st_size - *len);
		if (n < 0)
			status = -errno;
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	close(fd);
	return status;
}

static int write_all(int fd, const char *text, size_t len) {
	while (len > 0) {
		ssize_t n = write(fd, text, len);
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

// A new file beside it, complete and on the disk, takes its name.
static int file_replace(
	int dir, const char *name, const char *text, size_t len, const struct stat *st) {
	char temp[NAME_MAX + 1];
	int status = 0;
	if (snprintf(temp, sizeof(temp), "%s.%d.tmp", name, (int)getpid()) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (st->st_mode != 0 && (st->st_uid != geteuid() || st->st_gid != getegid()) &&
		fchown(fd, st->st_uid, st->st_gid) < 0)
		status = -errno;
	if (status == 0 && fchmod(fd, 0600) < 0)
		status = -errno;
	if (status == 0)
		status = write_all(fd, text, len);
	if (status == 0 && fsync(fd) < 0)
		status = -errno;
	if (close(fd) < 0 && status == 0)
		status = -errno;
	if (status == 0 && renameat(dir, temp, dir, name) < 0)
		status = -errno;
	if (status != 0)
		unlinkat(dir, temp, 0);
	else if (fsync(dir) < 0)
		status = -errno;
	return status;
}

static int edit_in(int dir, const char *name, const struct passwd_change *change) {
	char *text = NULL, *out = NULL;
	size_t len = 0, out_len = 0;
	struct stat st;
	int status = file_read(dir, name, &text, &len, &st);
	if (status == 0)
		status = passwd_edit(text, len, change, &out, &out_len);
	if (status == 0)
		status = file_replace(dir, name, out, out_len, &st);
	if (text != NULL)
		explicit_bzero(text, len);
	if (out != NULL)
		explicit_bzero(out, out_len);
	free(text);
	free(out);
	return status;
}

int passwd_file_edit(const char *path, const struct passwd_change *change) {
	// The file that a link points to is the one to replace.
	char *real = realpath(path, NULL);
	char *for_dir = strdup(real != NULL ? real : path);
	char *for_name = strdup(real != NULL ? real : path);
	int status = -ENOMEM, dir = -1;
	if (for_dir != NULL && for_name != NULL) {
		// The folder carries the lock: the file itself is another one after each change.
		dir = open(dirname(for_dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		status = dir >= 0 && flock(dir, LOCK_EX) == 0 ? 0 : -errno;
	}
	if (status == 0)
		status = edit_in(dir, basename(for_name), change);
	if (dir >= 0)
		close(dir);
	free(for_dir);
	free(for_name);
	free(real);
	return status;
}
