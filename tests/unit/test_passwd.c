// SPDX-License-Identifier: GPL-3.0-or-later
// The password file: parsing, every hash that libcrypt knows, and equal time for all refusals.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "controlplane/auth/passwd.h"

static struct crypt_data work;

static bool try(const struct passwd_db *db, const char *user, const char *password) {
	struct passwd_entry entry;

	passwd_db_find(db, user, &entry);
	return passwd_verify(&entry, password, &work);
}

static char *hash_new(const char *prefix, const char *password) {
	struct crypt_data data = {0};
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];

	assert_non_null(crypt_gensalt_rn(prefix, 0, NULL, 0, setting, sizeof(setting)));
	return strdup(crypt_rn(password, setting, &data, sizeof(data)));
}

static void test_methods(void **state) {
	static const char *const prefixes[] = {"$y$", "$gy$", "$7$", "$2b$", "$6$", "$5$", "$1$"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		char *hash = hash_new(prefixes[i], "s3cret pass");
		struct passwd_db *db;
		char line[1024];
		size_t bad;
		int n;

		n = snprintf(line, sizeof(line), "bob:staff,admin:%s\n", hash);
		db = passwd_db_new(line, (size_t)n, &bad);
		assert_int_equal(bad, 0);
		assert_int_equal(passwd_db_users(db), 1);
		assert_true(try(db, "bob", "s3cret pass"));
		assert_false(try(db, "bob", "s3cret pasS"));
		assert_false(try(db, "bob", ""));
		assert_false(try(db, "eve", "s3cret pass"));
		passwd_db_free(db);
		free(hash);
	}
}

// Vectors that others made: glibc's documentation of crypt(3) for SHA-512, OpenBSD's for bcrypt.
static void test_vectors(void **state) {
	static const char text[] =
		"sha:*:$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OT"
		"LiBFdcbYEdFCoEOfaS35inz1\n"
		"bcrypt::$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";
	struct passwd_entry entry;
	struct passwd_db *db;
	size_t bad;

	db = passwd_db_new(text, sizeof(text) - 1, &bad);
	assert_int_equal(bad, 0);
	assert_true(try(db, "sha", "Hello world!"));
	assert_true(try(db, "bcrypt", "U*U"));
	passwd_db_find(db, "sha", &entry);
	assert_true(entry.usable);
	assert_string_equal(entry.groups, "");
	passwd_db_free(db);
}

static void test_lines(void **state) {
	char *hash = hash_new("$5$", "pw"), *other = hash_new("$5$", "pw2");
	struct passwd_entry entry;
	struct passwd_db *db;
	char text[2048];
	size_t bad;
	int n;

	n = snprintf(text, sizeof(text),
		"# comment\n\nlocked:*:!%s\r\nbob:a,b:%s\nbob:c:%s\n:x:%s\nshort:%s\nnohash:x:\n"
		"junk:x:x\ncolon:g:%s:more\nlast:*:%s",
		hash, hash, other, hash, hash, hash, hash);
	db = passwd_db_new(text, (size_t)n, &bad);
	assert_int_equal(bad, 4);
	assert_int_equal(passwd_db_users(db), 5);
	assert_false(try(db, "locked", "pw"));
	assert_true(try(db, "bob", "pw"));
	assert_false(try(db, "bob", "pw2")); // the first line counts
	assert_true(try(db, "colon", "pw"));
	assert_true(try(db, "last", "pw"));
	assert_false(try(db, "nohash", ""));
	assert_false(try(db, "", "pw"));
	passwd_db_find(db, "bob", &entry);
	assert_string_equal(entry.groups, "a,b");
	passwd_db_find(db, "locked", &entry);
	assert_false(entry.usable);
	assert_string_equal(entry.hash_secret, hash);
	passwd_db_find(db, "nobody", &entry);
	assert_false(entry.usable);
	assert_memory_equal(entry.hash_secret, "$5$", 3); // the method of the first usable line
	passwd_db_free(db);
	free(hash);
	free(other);
}

static void test_empty_file(void **state) {
	struct passwd_entry entry;
	struct passwd_db *db;
	size_t bad;

	db = passwd_db_new("", 0, &bad);
	assert_int_equal(passwd_db_users(db), 0);
	assert_false(try(db, "bob", "pw"));
	passwd_db_find(db, "bob", &entry);
	assert_int_equal(crypt_checksalt(entry.hash_secret), CRYPT_SALT_OK);
	passwd_db_free(db);
	// A NUL inside a line makes it no line.
	db = passwd_db_new("bob:\0:x\n", 8, &bad);
	assert_int_equal(bad, 1);
	passwd_db_free(db);
}

static double cpu_ms(const struct passwd_db *db, const char *user) {
	struct timespec from, to;
	double best = 1e9;

	for (int i = 0; i < 5; i++) {
		double ms;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		try(db, user, "wrong password");
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		ms = (double)(to.tv_sec - from.tv_sec) * 1e3 +
			(double)(to.tv_nsec - from.tv_nsec) / 1e6;
		best = ms < best ? ms : best;
	}
	return best;
}

// The work itself, not the clock on the wall: a wrong password, an unknown user and a locked one
// hash once each with the same method.
static void test_same_time(void **state) {
	char *hash = hash_new("$y$", "pw");
	double wrong, unknown, locked;
	struct passwd_db *db;
	char text[1024];
	size_t bad;
	int n;

	n = snprintf(text, sizeof(text), "bob:*:%s\nlocked:*:!%s\n", hash, hash);
	db = passwd_db_new(text, (size_t)n, &bad);
	wrong = cpu_ms(db, "bob");
	unknown = cpu_ms(db, "nobody");
	locked = cpu_ms(db, "locked");
	print_message("wrong %.2f ms, unknown %.2f ms, locked %.2f ms\n", wrong, unknown, locked);
	assert_true(unknown > wrong * 0.5 && unknown < wrong * 2);
	assert_true(locked > wrong * 0.5 && locked < wrong * 2);
	passwd_db_free(db);
	free(hash);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_empty_file),
		cmocka_unit_test(test_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
