// SPDX-License-Identifier: GPL-3.0-or-later
// Tokens of one-time passwords: lines of the users file, and the test vectors of RFC 4226 and 6238.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/auth/otp.h"

#define KEY "3132333435363738393031323334353637383930" // "12345678901234567890", of both RFCs

static struct otp_db *db_of(const char *text, size_t usable, size_t unusable) {
	size_t bad;
	struct otp_db *db = otp_db_new(text, strlen(text), &bad);

	assert_non_null(db);
	assert_int_equal(otp_db_tokens(db), usable);
	assert_int_equal(bad, unusable);
	return db;
}

static struct otp_token token_of(const char *line) {
	struct otp_db *db = db_of(line, 1, 0);
	struct otp_token tokens[OTP_TOKENS_MAX];

	assert_int_equal(otp_db_find(db, "ann", tokens), 1);
	otp_db_free(db);
	return tokens[0];
}

static void test_lines(void **state) {
	static const char *const bad[] = {"HOTP ann -", "HOTP/T30 ann - 31323334353637383", // odd
		"HOTP/T30 ann - 313233343536373839", // 9 bytes
		"HOTP/T30 ann - zz323334353637383930", "MOTP ann - " KEY, "HOTP/T0 ann - " KEY,
		"HOTP/T30x ann - " KEY, "HOTP/T30/5 ann - " KEY, "HOTP/T30/9 ann - " KEY,
		"HOTP/T30/6/6 ann - " KEY, "HOTP/E1 ann - " KEY, "HOTP/X ann - " KEY,
		"HOTP ann - " KEY " -1", "HOTP ann - " KEY " 1x",
		"HOTP ann 12345678901234567890123456789012 " KEY, "HOTP ann - " KEY KEY KEY KEY};
	struct otp_token token;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		otp_db_free(db_of(bad[i], 0, 1));
	otp_db_free(db_of("# a comment\n\n   \n\r\n  # another", 0, 0));
	token = token_of("\tHOTP/T60/8  ann\t99 " KEY " -3 0 2009-06-12T17:52:32L 345678\r\n");
	assert_true(token.totp);
	assert_int_equal(token.step_s, 60);
	assert_int_equal(token.digits, 8);
	assert_int_equal(token.drift, -3);
	assert_string_equal(token.pin_secret, "99");
	assert_int_equal(token.key_len, 20);
	assert_memory_equal(token.key_secret, "12345678901234567890", 20);
	token = token_of("HOTP ann + " KEY);
	assert_false(token.totp);
	assert_int_equal(token.digits, 6);
	assert_string_equal(token.pin_secret, "");
	token = token_of("HOTP/E/7 ann - " KEY " 42");
	assert_int_equal(token.digits, 7);
	assert_int_equal(token.counter, 42);
}

// A NUL in the file ends no line early.
static void test_nul(void **state) {
	static const char text[] = "HOTP ann - " KEY "\0\nHOTP bob - " KEY;
	struct otp_token tokens[OTP_TOKENS_MAX];
	size_t bad;
	struct otp_db *db = otp_db_new(text, sizeof(text) - 1, &bad);

	assert_int_equal(bad, 1);
	assert_int_equal(otp_db_find(db, "ann", tokens), 0);
	assert_int_equal(otp_db_find(db, "bob", tokens), 1);
	otp_db_free(db);
}

static void test_find(void **state) {
	struct otp_db *db = db_of("HOTP bob - " KEY " 1\nHOTP ann - " KEY " 2\nHOTP bob - " KEY
				  " 3\nHOTP bobby - " KEY " 4\nHOTP bob - " KEY
				  " 5\nHOTP bob - " KEY " 6\nHOTP bob - " KEY " 7\n",
		7, 0);
	struct otp_token tokens[OTP_TOKENS_MAX];

	assert_int_equal(otp_db_find(db, "bob", tokens), OTP_TOKENS_MAX);
	assert_int_equal(tokens[0].counter, 1);
	assert_int_equal(tokens[1].counter, 3);
	assert_int_equal(tokens[3].counter, 6);
	assert_int_equal(otp_db_find(db, "bobby", tokens), 1);
	assert_int_equal(tokens[0].counter, 4);
	assert_int_equal(otp_db_find(db, "bo", tokens), 0);
	assert_int_equal(otp_db_find(db, "", tokens), 0);
	assert_int_equal(otp_db_find(db, "zoe", tokens), 0);
	assert_true(otp_db_has(db, "bob"));
	assert_false(otp_db_has(db, "bo"));
	otp_db_free(db);
	// Lines that cannot be used hide no other.
	db = db_of("MOTP bob - " KEY "\nHOTP\nHOTP cid\nHOTP bob - " KEY " 9\n", 1, 3);
	assert_int_equal(otp_db_find(db, "bob", tokens), 1);
	assert_int_equal(tokens[0].counter, 9);
	assert_int_equal(otp_db_find(db, "cid", tokens), 0);
	assert_true(otp_db_has(db, "cid"));
	otp_db_free(db);
}

// RFC 4226, appendix D.
static void test_hotp(void **state) {
	static const char *const codes[] = {"755224", "287082", "359152", "969429", "338314",
		"254676", "287922", "162583", "399871", "520489"};
	struct otp_token token = token_of("HOTP ann - " KEY " 0");
	uint64_t factor, last;

	for (size_t i = 0; i < 10; i++) {
		assert_true(otp_token_check(&token, codes[i], NULL, 0, &factor));
		assert_int_equal(factor, i);
		for (last = 0; last < 12; last++)
			assert_int_equal(
				otp_token_check(&token, codes[i], &last, 0, &factor), last < i);
	}
	token.counter = 5;
	last = 2;
	assert_false(otp_token_check(&token, codes[4], &last, 0, &factor));
	assert_true(otp_token_check(&token, codes[5], &last, 0, &factor));
	// As far ahead as the window, and one further.
	token = token_of("HOTP ann - " KEY " 0");
	assert_true(otp_token_check(&token, "403154", NULL, 0, &factor)); // 10: oathtool -c 10
	assert_int_equal(factor, 10);
	assert_false(otp_token_check(&token, "481090", NULL, 0, &factor)); // 11
	last = 0;
	assert_true(otp_token_check(&token, "481090", &last, 0, &factor));
}

// RFC 6238, appendix B (SHA-1).
static void test_totp(void **state) {
	struct otp_token token = token_of("HOTP/T30/8 ann - " KEY);
	uint64_t factor, last;

	assert_true(otp_token_check(&token, "94287082", NULL, 59, &factor));
	assert_int_equal(factor, 1);
	assert_true(otp_token_check(&token, "07081804", NULL, 1111111109, &factor));
	assert_int_equal(factor, 0x23523ec);
	assert_true(otp_token_check(&token, "65353130", NULL, 20000000000, &factor));
	assert_int_equal(factor, 0x27bc86aa);
	// One step apart, each way, and no more.
	assert_true(otp_token_check(&token, "07081804", NULL, 1111111109 + 30, &factor));
	assert_int_equal(factor, 0x23523ec);
	assert_true(otp_token_check(&token, "07081804", NULL, 1111111109 - 30, &factor));
	assert_false(otp_token_check(&token, "07081804", NULL, 1111111109 + 60, &factor));
	assert_false(otp_token_check(&token, "07081804", NULL, 1111111109 - 60, &factor));
	// Used, or older than what was used.
	last = 0x23523ec - 1;
	assert_true(otp_token_check(&token, "07081804", &last, 1111111109, &factor));
	last++;
	assert_false(otp_token_check(&token, "07081804", &last, 1111111109, &factor));
	last++;
	assert_false(otp_token_check(&token, "07081804", &last, 1111111109, &factor));
	// A clock that is known to be ahead.
	token.drift = 2;
	assert_true(otp_token_check(&token, "07081804", NULL, 1111111109 - 60, &factor));
	assert_int_equal(factor, 0x23523ec);
	assert_false(otp_token_check(&token, "07081804", NULL, 1111111109, &factor));
}

static void test_text(void **state) {
	static const char *const bad[] = {"", "5", "75522", "7552244", "755225", "755224 ",
		" 755224", "75522a", "-55224", "755224\n"};
	struct otp_token token = token_of("HOTP ann - " KEY " 0");
	struct otp_token with_pin = token_of("HOTP ann 99 " KEY " 0");
	uint64_t factor;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(otp_token_check(&token, bad[i], NULL, 0, &factor));
	assert_true(otp_token_check(&with_pin, "99755224", NULL, 0, &factor));
	assert_false(otp_token_check(&with_pin, "755224", NULL, 0, &factor));
	assert_false(otp_token_check(&with_pin, "98755224", NULL, 0, &factor));
	assert_false(otp_token_check(&with_pin, "99755225", NULL, 0, &factor));
}

static void test_name(void **state) {
	struct otp_token token = token_of("HOTP ann - " KEY " 0"), other;
	uint8_t name[IPC_HASH_LEN], again[IPC_HASH_LEN];

	assert_int_equal(otp_token_name(&token, "ann", name), 0);
	// Neither counter nor PIN make another token of it: what was used stays used.
	other = token_of("HOTP ann 12 " KEY " 7");
	assert_int_equal(otp_token_name(&other, "ann", again), 0);
	assert_memory_equal(name, again, sizeof(name));
	assert_int_equal(otp_token_name(&token, "bob", again), 0);
	assert_memory_not_equal(name, again, sizeof(name));
	other.key_secret[0] ^= 1;
	assert_int_equal(otp_token_name(&other, "ann", again), 0);
	assert_memory_not_equal(name, again, sizeof(name));
	other = token_of("HOTP/T30 ann - " KEY);
	assert_int_equal(otp_token_name(&other, "ann", again), 0);
	assert_memory_not_equal(name, again, sizeof(name));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_hotp),
		cmocka_unit_test(test_totp),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
