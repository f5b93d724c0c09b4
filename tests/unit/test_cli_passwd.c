// SPDX-License-Identifier: GPL-3.0-or-later
// Editing of the password file: its text, its file, and several editors at once.

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/cli/passwd.h"

static void expect(const char *before, struct passwd_change change, int status, const char *after) {
	char *out = NULL;
	size_t len = 0;
	assert_int_equal(passwd_edit(before, strlen(before), &change, &out, &len), status);
	if (status != 0) {
		assert_null(out);
		return;
	}
	assert_int_equal(len, strlen(after));
	assert_memory_equal(out, after, len);
	free(out);
}

#define SET(name, list, text) ((struct passwd_change){PASSWD_SET, name, list, text})
#define DO(what, name) ((struct passwd_change){what, name, NULL, NULL})

static void test_set(void **state) {
	expect("", SET("a", NULL, "$y$h"), 0, "a:*:$y$h\n");
	expect("", SET("a", "x,y", "$y$h"), 0, "a:x,y:$y$h\n");
	expect("# users\nb:g:1\n\n", SET("a", NULL, "h"), 0, "# users\nb:g:1\n\na:*:h\n");
	// The last line need not end; groups are kept unless given.
	expect("b:g:1\na:g1,g2:old", SET("a", NULL, "new"), 0, "b:g:1\na:g1,g2:new\n");
	expect("a:g1:old\nb:g:1\n", SET("a", "", "new"), 0, "a:*:new\nb:g:1\n");
	// Only the first line of a user ever counted.
	expect("a:g:1\nb:g:1\na:g:2\n", SET("a", NULL, "3"), 0, "a:g:3\nb:g:1\n");
	// No other user is taken for this one.
	expect("aa:g:1\nA:g:1\n#a:g:1\na\n", SET("a", NULL, "2"), 0,
		"aa:g:1\nA:g:1\n#a:g:1\na\na:*:2\n");
	expect("a:g:!old\n", SET("a", NULL, "new"), 0, "a:g:new\n"); // a new password unlocks
}

static void test_delete(void **state) {
	expect("a:g:1\nb:g:2\na:g:3\n", DO(PASSWD_DELETE, "a"), 0, "b:g:2\n");
	expect("b:g:2\n", DO(PASSWD_DELETE, "a"), -ENOENT, NULL);
	expect("", DO(PASSWD_DELETE, "a"), -ENOENT, NULL);
}

static void test_lock(void **state) {
	expect("a:g:$y$x\n", DO(PASSWD_LOCK, "a"), 0, "a:g:!$y$x\n");
	expect("a:g:!$y$x\n", DO(PASSWD_LOCK, "a"), -EALREADY, NULL);
	expect("a:g:!$y$x\n", DO(PASSWD_UNLOCK, "a"), 0, "a:g:$y$x\n");
	expect("a:g:!!$y$x\n", DO(PASSWD_UNLOCK, "a"), 0, "a:g:$y$x\n");
	expect("a:g:$y$x\n", DO(PASSWD_UNLOCK, "a"), -EALREADY, NULL);
	expect("b:g:1\n", DO(PASSWD_LOCK, "a"), -ENOENT, NULL);
}

static void test_names(void **state) {
	char longest[PASSWD_USER_MAX + 2];
	memset(longest, 'u', sizeof(longest));
	longest[PASSWD_USER_MAX] = '\0';
	assert_null(passwd_user_wrong(longest));
	longest[PASSWD_USER_MAX] = 'u';
	longest[PASSWD_USER_MAX + 1] = '\0';
	assert_non_null(passwd_user_wrong(longest));
	assert_null(passwd_user_wrong("J\xc3\xb6rg@example.org"));
	assert_null(passwd_user_wrong("two words"));
	static const char *const wrong[] = {"", "a:b", "a\nb", "a\tb", "a\x7f", "#a", " a", "a "};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_non_null(passwd_user_wrong(wrong[i]));
	assert_null(passwd_groups_wrong(""));
	assert_null(passwd_groups_wrong("a,b"));
	static const char *const lists[] = {",", "a,", ",a", "a,,b", "a:b", "a\n"};
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		assert_non_null(passwd_groups_wrong(lists[i]));
	assert_non_null(passwd_password_wrong(""));
	assert_null(passwd_password_wrong("x"));
}

static void test_hash(void **state) {
	char *a = passwd_hash("secret"), *b = passwd_hash("secret");
	assert_memory_equal(a, "$y$", 3); // yescrypt
	assert_string_not_equal(a, b); // salted
	assert_string_equal(crypt("secret", a), a);
	assert_string_not_equal(crypt("Secret", a), a);
	free(a);
	free(b);
}

// ---- files

static int setup(void **state) {
	char *dir = strdup("/tmp/penstock-passwd-XXXXXX");
	*state = dir;
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state) {
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", (char *)*state);
	free(*state);
	return chdir("/") == 0 ? system(cmd) : -1;
}

static char *slurp(const char *path) {
	static char text[65536];
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void test_file(void **state) {
	struct stat st, after;
	assert_int_equal(passwd_file_edit("f", &DO(PASSWD_LOCK, "a")), -ENOENT);
	assert_int_equal(access("f", F_OK), -1); // nothing was made
	assert_int_equal(passwd_file_edit("f", &SET("a", NULL, "h")), 0);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_string_equal(slurp("f"), "a:*:h\n");
	// A link stays one; what it points to is replaced, never written to.
	assert_int_equal(symlink("f", "link"), 0);
	assert_int_equal(passwd_file_edit("link", &SET("b", NULL, "h")), 0);
	assert_int_equal(lstat("link", &after), 0);
	assert_true(S_ISLNK(after.st_mode));
	assert_string_equal(slurp("f"), "a:*:h\nb:*:h\n");
	assert_int_equal(stat("f", &after), 0);
	assert_true(after.st_ino != st.st_ino);
	if (geteuid() == 0) {
		assert_int_equal(chown("f", 12, 34), 0);
		assert_int_equal(passwd_file_edit("f", &DO(PASSWD_DELETE, "a")), 0);
		assert_int_equal(stat("f", &after), 0);
		assert_int_equal(after.st_uid, 12);
		assert_int_equal(after.st_gid, 34);
		assert_int_equal(after.st_mode & 07777, 0600);
	}
	assert_int_equal(mkdir("d", 0700), 0);
	assert_int_equal(passwd_file_edit("d", &SET("a", NULL, "h")), -EINVAL);
	assert_int_equal(passwd_file_edit("none/f", &SET("a", NULL, "h")), -ENOENT);
}

// Twelve at once: each sees what the others have done.
static void test_concurrent(void **state) {
	char user[16];
	for (int i = 0; i < 12; i++) {
		if (fork() == 0) {
			int status = 0;
			for (int k = 0; k < 10 && status == 0; k++) {
				snprintf(user, sizeof(user), "u%d-%d", i, k);
				status = passwd_file_edit("f", &SET(user, NULL, "h"));
			}
			_exit(status == 0 ? 0 : 1);
		}
	}
	for (int i = 0; i < 12; i++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	unsigned lines = 0;
	for (const char *c = slurp("f"); *c != '\0'; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 120);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_hash),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_concurrent, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
