// SPDX-License-Identifier: GPL-3.0-or-later
// Tables and numbers of penstockctl: alignment, width, wrapping, hostile text, each answer.

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <jansson.h>

#include "tools/cli/render.h"
#include "tools/cli/table.h"

// What the last call wrote; valid until the next one.
static char *shown;
static size_t shown_len;

static FILE *screen(void) {
	free(shown);
	shown = NULL;
	return open_memstream(&shown, &shown_len);
}

static struct table *sample(void) {
	struct table *table = table_new();
	table_column(table, "N", TABLE_RIGHT);
	table_column(table, "Name", 0);
	table_column(table, "Extra", TABLE_DROP(1));
	table_column(table, "Text", TABLE_WRAP);
	return table;
}

static void test_align(void **state) {
	struct table *table = sample();
	FILE *out = screen();
	const char *cells[] = {"1", "alice", "x", "one", "100", "b", "yy", "two"};
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(table_cell(table, cells[i]), 0);
	assert_int_equal(table_rows(table), 2);
	table_print(table, out, 0);
	fclose(out);
	assert_string_equal(shown,
		"  N  Name   Extra  Text\n"
		"  1  alice  x      one\n"
		"100  b      yy     two\n");
	table_free(table);
}

static void test_width(void **state) {
	struct table *table = sample();
	const char *cells[] = {"1", "alice", "x", "one two three four five six seven"};
	for (size_t i = 0; i < 4; i++)
		table_cell(table, cells[i]);
	FILE *out = screen();
	table_print(table, out, 35); // without Extra, wrapped
	fclose(out);
	assert_string_equal(shown,
		"N  Name   Text\n"
		"1  alice  one two three four five\n"
		"          six seven\n");
	out = screen();
	table_print(table, out, 10); // too narrow to wrap: as it is
	fclose(out);
	assert_non_null(strstr(shown, "1  alice  one two three four five six seven\n"));
	table_free(table);
}

static void test_hostile_text(void **state) {
	struct table *table = table_new();
	table_column(table, "A", 0);
	table_column(table, "B", 0);
	table_cell(table, "\x1b[2Jx\r\n\x07");
	table_cell(table, "y");
	table_cell(table, "\xff\xfe");
	table_cell(table, "J\xc3\xb6rg");
	FILE *out = screen();
	table_print(table, out, 0);
	fclose(out);
	assert_null(strchr(shown, '\x1b'));
	assert_null(strchr(shown, '\r'));
	assert_non_null(strstr(shown, "?[2Jx???  y\n"));
	table_free(table);
}

static void test_numbers(void **state) {
	char text[FORMAT_LEN];
	assert_string_equal(format_bytes(0, text), "0 B");
	assert_string_equal(format_bytes(999, text), "999 B");
	assert_string_equal(format_bytes(1000, text), "1.0 kB");
	assert_string_equal(format_bytes(999949, text), "999.9 kB");
	assert_string_equal(format_bytes(999950, text), "1.0 MB");
	assert_string_equal(format_bytes(1500000000, text), "1.5 GB");
	assert_string_equal(format_bytes(UINT64_MAX, text), "18.4 EB");
	assert_string_equal(format_count(0, text), "0");
	assert_string_equal(format_count(999, text), "999");
	assert_string_equal(format_count(1234567, text), "1,234,567");
	assert_string_equal(format_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
	assert_string_equal(format_duration(7, text), "7s");
	assert_string_equal(format_duration(306, text), "5m 06s");
	assert_string_equal(format_duration(3 * 3600 + 240, text), "3h 04m");
	assert_string_equal(format_duration(86400 + 7200, text), "1d 02h");
	assert_string_equal(format_time(0, text), "never");
	assert_string_equal(format_time(1000000000, text), "2001-09-09 01:46:40");
	assert_non_null(format_duration(UINT64_MAX, text));
	assert_non_null(format_time(UINT64_MAX, text));
}

static json_t *parse(const char *text) {
	json_t *json = json_loads(text, 0, NULL);
	assert_non_null(json);
	return json;
}

static void test_sessions(void **state) {
	json_t *json = parse(
		"[{\"id\": 3, \"user\": \"alice\", \"groups\": \"\", \"state\": \"connected\","
		"\"channel\": \"DTLS\", \"remote_address\": \"192.0.2.9\", \"remote_port\": 5000,"
		"\"ipv4\": \"10.0.0.2\", \"ipv6\": \"\", \"tls_cipher\": \"AES-128-GCM\","
		"\"tls_version\": \"TLS 1.3\", \"dtls_cipher\": \"AES-256-GCM\", \"dtls_mode\": \"psk\","
		"\"rx_bytes\": 1500, \"tx_bytes\": 2000000, \"rx_packets\": 1000, \"idle\": 65, \"worker\": 1,"
		"\"connected_at\": 1000, \"logged_in_at\": 990, \"agent\": \"openconnect\"}]");
	FILE *out = screen();
	render_sessions(out, json, 0, 4600);
	fclose(out);
	assert_string_equal(shown,
		"ID  User   Groups  Remote     IPv4      IPv6  State      Channel  Cipher           RX      TX    Idle   Since  Agent\n"
		" 3  alice  -       192.0.2.9  10.0.0.2  -     connected  DTLS     AES-256-GCM  1.5 kB  2.0 MB  1m 05s  1h 00m  openconnect\n");
	out = screen();
	render_sessions(out, json, 60, 4600);
	fclose(out);
	assert_string_equal(shown,
		"ID  User   Remote     IPv4      Channel      RX      TX\n"
		" 3  alice  192.0.2.9  10.0.0.2  DTLS     1.5 kB  2.0 MB\n");
	out = screen();
	render_session(out, json_array_get(json, 0), 4600);
	fclose(out);
	assert_non_null(strstr(shown, "Session 3"));
	assert_non_null(strstr(shown, "192.0.2.9:5000"));
	assert_non_null(strstr(shown, "TLS 1.3 AES-128-GCM"));
	assert_non_null(strstr(shown, "DTLS 1.2 AES-256-GCM (psk)"));
	assert_non_null(strstr(shown, "1.5 kB in 1,000 packets"));
	assert_non_null(strstr(shown, "1m 05s"));
	json_decref(json);
	json = parse("[]");
	out = screen();
	render_sessions(out, json, 80, 0);
	fclose(out);
	assert_string_equal(shown, "There are no sessions.\n");
	json_decref(json);
}

static void test_counters(void **state) {
	json_t *json = parse(
		"[{\"name\": \"rx_packets\", \"value\": 1000, \"description\": \"Packets received\"},"
		"{\"name\": \"drop_source\", \"value\": 0, \"description\": \"Dropped: source\"}]");
	FILE *out = screen();
	render_counters(out, json, 0, false);
	fclose(out);
	assert_string_equal(shown,
		"Counter     Value  Meaning\n"
		"rx_packets  1,000  Packets received\n");
	out = screen();
	render_counters(out, json, 0, true);
	fclose(out);
	assert_non_null(strstr(shown, "drop_source      0  Dropped: source\n"));
	json_decref(json);
}

static void test_workers(void **state) {
	json_t *before = parse(
		"[{\"lcore\": 1, \"kind\": \"packet\", \"cpu\": 2, \"cycles_busy\": 1000,"
		"\"cycles_idle\": 9000, \"packets\": 10, \"loops\": 100, \"syscalls\": 0}]");
	json_t *after = parse(
		"[{\"lcore\": 1, \"kind\": \"packet\", \"cpu\": 2, \"cycles_busy\": 4000,"
		"\"cycles_idle\": 10000, \"packets\": 40, \"loops\": 1100, \"syscalls\": 0}]");
	FILE *out = screen();
	render_workers(out, after, NULL, 0, 0);
	fclose(out);
	assert_string_equal(shown,
		"Core  Kind    CPU    Busy  Packets  Cycles/packet  Loops  Syscalls\n"
		"   1  packet    2  28.6 %       40            100  1,100         0\n");
	out = screen();
	render_workers(out, after, before, 2, 0); // 30 packets, 3,000 of 4,000 cycles in 2 s
	fclose(out);
	assert_string_equal(shown,
		"Core  Kind    CPU    Busy  Packets/s  Cycles/packet  Loops/s  Syscalls/s\n"
		"   1  packet    2  75.0 %         15            100      500           0\n");
	json_decref(before);
	json_decref(after);
}

// An answer of another version, or of something else, is shown as far as it goes.
static void test_strange_answers(void **state) {
	static const char *const texts[] = {"{}", "[]", "[1]", "[{}]", "[[]]", "null",
		"[{\"id\": \"x\", \"user\": 5, \"rx_bytes\": -1, \"value\": 1}]"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		json_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);
		FILE *out = screen();
		render_sessions(out, json, 80, 1);
		render_session(out, json, 1);
		render_interfaces(out, json, 80);
		render_counters(out, json, 80, false);
		render_workers(out, json, json, 1, 80);
		render_leases(out, json, 80, 1);
		render_bans(out, json, 80, 1);
		render_pools(out, json, 80);
		render_version(out, json);
		render_status(out, json, 80, 1);
		fclose(out);
		json_decref(json);
	}
}

static int setup(void **state) {
	setlocale(LC_CTYPE, "C.UTF-8");
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

static int teardown(void **state) {
	free(shown);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_align),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_strange_answers),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
