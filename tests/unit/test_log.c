// SPDX-License-Identifier: GPL-3.0-or-later
// Log lines: their form, levels, and that no value from outside can make another line or key.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/proc/log.h"

static int saved_stderr, ends[2];

static void capture(void) {
	fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
}

static const char *captured(void) {
	static char text[16384];
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(ends[1]);
	ssize_t n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_form(void **state) {
	capture();
	unsetenv("JOURNAL_STREAM");
	log_open("auth", -1);
	log_info("login", "user=%s remote=%s", log_value("bob"), "192.0.2.1");
	const char *text = captured();
	assert_memory_equal(text, "time=", 5);
	assert_non_null(
		strstr(text, "Z level=info role=auth event=login user=bob remote=192.0.2.1\n"));
	assert_int_equal(strlen(text), strcspn(text, "\n") + 1);
}

static void test_index(void **state) {
	capture();
	log_open("edge", 3);
	log_error("x", "a=1");
	assert_non_null(strstr(captured(), " level=error role=edge index=3 event=x a=1\n"));
}

// systemd says where its stream is: then a line starts with the priority, without a time.
static void test_journal(void **state) {
	char stream[64];
	struct stat st;
	capture();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("auth", -1);
	log_warning("x", "a=1");
	assert_string_equal(captured(), "<4>level=warning role=auth event=x a=1\n");
	unsetenv("JOURNAL_STREAM");
	log_open("auth", -1);
}

static void test_levels(void **state) {
	capture();
	log_level_set(CFG_LOG_WARNING);
	log_info("no", "a=1");
	log_debug("no", "a=1");
	log_warning("yes", "a=1");
	const char *text = captured();
	assert_null(strstr(text, "event=no"));
	assert_non_null(strstr(text, "event=yes"));
	log_level_set(CFG_LOG_DEBUG);
	assert_true(log_enabled(CFG_LOG_DEBUG));
	log_level_set(CFG_LOG_INFO);
	assert_false(log_enabled(CFG_LOG_DEBUG));
}

// Even where log_value() was forgotten, a line stays one line.
static void test_control_characters(void **state) {
	capture();
	log_info("x", "a=%s", "1\nlevel=error role=auth event=forged\x1b[2J");
	const char *text = captured();
	assert_int_equal(strlen(text), strcspn(text, "\n") + 1);
	assert_null(strchr(text, '\x1b'));
}

static void test_long_line(void **state) {
	static char big[20000];
	memset(big, 'x', sizeof(big) - 1);
	capture();
	log_info("x", "a=%s", big);
	const char *text = captured();
	assert_true(strlen(text) <= 4096);
	assert_int_equal(strlen(text), strcspn(text, "\n") + 1);
}

static void test_value(void **state) {
	assert_string_equal(log_value("bob@example.org"), "bob@example.org");
	assert_string_equal(log_value("/a/b-c_d.e:1+2%"), "/a/b-c_d.e:1+2%");
	assert_string_equal(log_value(""), "\"\"");
	assert_string_equal(log_value(NULL), "\"\"");
	assert_string_equal(log_value("a b"), "\"a b\"");
	assert_string_equal(log_value("a=b"), "\"a=b\"");
	assert_string_equal(log_value("a\"b\\c"), "\"a\\\"b\\\\c\"");
	assert_string_equal(log_value("a\nb\x7f"), "\"a\\x0ab\\x7f\"");
	assert_string_equal(log_value("\xc3\xbc"), "\"\\xc3\\xbc\"");
}

static void test_value_long(void **state) {
	char text[300];
	memset(text, 'x', sizeof(text));
	text[200] = '\0';
	assert_int_equal(strlen(log_value(text)), 200);
	text[200] = 'x';
	text[299] = '\0';
	const char *shown = log_value(text);
	assert_int_equal(strlen(shown), 200 + 3 + 2);
	assert_string_equal(shown + 201, "...\"");
	// The longest that there can be: every byte escaped.
	memset(text, 1, 299);
	assert_int_equal(strlen(log_value(text)), 200 * 4 + 3 + 2);
}

static void test_value_rotates(void **state) {
	char line[256];
	snprintf(line, sizeof(line), "%s %s %s %s %s %s %s %s", log_value("1"), log_value("2"),
		log_value("3"), log_value("4"), log_value("5"), log_value("6"), log_value("7"),
		log_value("8"));
	assert_true(strlen(line) == 15);
	for (char c = '1'; c <= '8'; c++)
		assert_non_null(strchr(line, c));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_value_long),
		cmocka_unit_test(test_value_rotates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
