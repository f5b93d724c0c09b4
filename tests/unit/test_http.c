// SPDX-License-Identifier: GPL-3.0-or-later
// Requests as bytes in, at every way of splitting them; limits; forms, encodings, cookies.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/edge/encode.h"
#include "controlplane/edge/form.h"
#include "controlplane/edge/http.h"
#include "yang/server_name.h"

static const char login[] = "POST /auth?x=1 HTTP/1.1\r\n"
			    "Host: vpn.example.org\r\n"
			    "User-Agent:   Open AnyConnect VPN Agent v9.01-3  \r\n"
			    "Cookie: webvpncontext=abc; webvpn=dGVzdA==\r\n"
			    "X-Empty:\r\n"
			    "Content-Length: 5\r\n"
			    "\r\n"
			    "a=b&c";

static void check_login(const struct http_request *req) {
	const char *value;
	size_t len;

	assert_int_equal(req->method, HTTP_M_POST);
	assert_string_equal(req->path, "/auth");
	assert_true(req->keep_alive);
	assert_int_equal(req->body_len, 5);
	assert_string_equal(req->body, "a=b&c");
	assert_string_equal(
		http_header_get(req, "user-agent"), "Open AnyConnect VPN Agent v9.01-3");
	assert_string_equal(http_header_get(req, "X-Empty"), "");
	assert_null(http_header_get(req, "X-None"));
	assert_true(http_cookie_get(req, "webvpn", &value, &len));
	assert_int_equal(len, 8);
	assert_memory_equal(value, "dGVzdA==", 8);
	assert_false(http_cookie_get(req, "webvp", &value, &len));
}

static void test_split_everywhere(void **state) {
	struct http_reader *reader = http_reader_new();
	size_t used, len = sizeof(login) - 1;

	for (size_t cut = 1; cut < len; cut++) {
		assert_int_equal(http_reader_feed(reader, login, cut, &used), 0);
		assert_int_equal(used, cut);
		assert_true(http_reader_started(reader));
		assert_int_equal(http_reader_feed(reader, login + cut, len - cut, &used), 1);
		assert_int_equal(used, len - cut);
		assert_false(http_reader_started(reader));
		check_login(http_reader_request(reader));
		http_reader_next(reader);
	}
	for (size_t i = 0; i + 1 < len; i++)
		assert_int_equal(http_reader_feed(reader, login + i, 1, &used), 0);
	assert_int_equal(http_reader_feed(reader, login + len - 1, 1, &used), 1);
	check_login(http_reader_request(reader));
	http_reader_free(reader);
}

static int feed_text(const char *text, size_t *used) {
	struct http_reader *reader = http_reader_new();
	int status = http_reader_feed(reader, text, strlen(text), used);

	http_reader_free(reader);
	return status;
}

static void test_pipelined(void **state) {
	const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
	size_t used;

	assert_int_equal(feed_text(text, &used), 1);
	assert_int_equal(used, 27);
}

static void test_connect(void **state) {
	struct http_reader *reader = http_reader_new();
	const char text[] = "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\n"
			    "Content-Length: 4\r\n\r\nSTF\1";
	const char bare[] = "CONNECT CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\n\r\n";
	size_t used;

	assert_int_equal(http_reader_feed(reader, text, sizeof(text) - 1, &used), 1);
	assert_int_equal(used, sizeof(text) - 5);
	assert_int_equal(http_reader_request(reader)->method, HTTP_M_CONNECT);
	assert_string_equal(http_reader_request(reader)->path, "/CSCOSSLC/tunnel");
	http_reader_next(reader);
	assert_int_equal(http_reader_feed(reader, bare, sizeof(bare) - 1, &used), 1);
	assert_string_equal(http_reader_request(reader)->path, "CSCOSSLC/tunnel");
	http_reader_free(reader);
}

static void target_is(const char *target, const char *path, const char *query) {
	struct http_reader *reader = http_reader_new();
	char text[256];
	size_t used;

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
	assert_int_equal(http_reader_feed(reader, text, strlen(text), &used), 1);
	assert_string_equal(http_reader_request(reader)->path, path);
	assert_string_equal(http_reader_request(reader)->query, query);
	http_reader_free(reader);
}

static void test_targets(void **state) {
	target_is("/", "/", "");
	target_is("/a/b?c=d&e", "/a/b", "c=d&e");
	target_is("/?", "/", "");
	target_is("/?a?b", "/", "a?b");
	target_is("/?a#b", "/", "a");
	target_is("/#a?b", "/", "");
	target_is("https://host", "/", "");
	target_is("https://host?q", "/", "q");
	target_is("http://host:8443/a?q", "/a", "q");
}

static void test_bad(void **state) {
	size_t used;

	assert_int_equal(feed_text("\x16\x03\x01", &used), 400);
	assert_int_equal(feed_text("GET / HTTP/2.0\r\n\r\n", &used), 400);
	assert_int_equal(feed_text("GET /\r\n\r\n", &used), 400);
	assert_int_equal(feed_text("GET / HTTP/1.1\r\nA: \x01\r\n\r\n", &used), 400);
	assert_int_equal(feed_text("GET / HTTP/1.1\r\nB\x01: x\r\n\r\n", &used), 400);
	assert_int_equal(
		feed_text("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
			&used),
		400);
	assert_int_equal(feed_text("POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n", &used), 413);
}

static void test_limits(void **state) {
	static char text[70000];
	size_t used;

	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "GET /", 5);
	memcpy(text + 5 + HTTP_TARGET_MAX, " HTTP/1.1\r\n\r\n", 14);
	assert_int_equal(feed_text(text, &used), 414);
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
	memcpy(text + 19 + HTTP_HEAD_MAX, "\r\n\r\n", 5);
	assert_int_equal(feed_text(text, &used), 431);
	strcpy(text, "GET / HTTP/1.1\r\n");
	for (unsigned i = 0; i <= HTTP_HEADERS_MAX; i++)
		strcat(text, "A: b\r\n");
	strcat(text, "\r\n");
	assert_int_equal(feed_text(text, &used), 431);
	strcpy(text, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4001\r\n");
	memset(text + strlen(text), 'b', 0x4001);
	assert_int_equal(feed_text(text, &used), 413);
}

static void test_chunked(void **state) {
	struct http_reader *reader = http_reader_new();
	const char text[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
			    "3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
	size_t used;

	assert_int_equal(http_reader_feed(reader, text, sizeof(text) - 1, &used), 1);
	assert_string_equal(http_reader_request(reader)->body, "abcde");
	http_reader_free(reader);
}

static void test_form(void **state) {
	const char good[] = "group_list=staff&username=b%C3%B6b+x&password=a%26b%3D%2B&other=1";
	char name[IPC_USER_LEN * 2];
	struct creds creds;

	assert_int_equal(form_parse(&creds, good, sizeof(good) - 1), 0);
	assert_int_equal(creds.kind, CREDS_REPLY);
	assert_string_equal(creds.username,
		"b\xc3\xb6"
		"b x");
	assert_string_equal(creds.password, "a&b=+");
	assert_string_equal(creds.group, "staff");
	assert_int_equal(form_parse(&creds, "", 0), 0);
	assert_int_equal(creds.kind, CREDS_NONE);
	assert_int_equal(form_parse(&creds, "password=", 9), 0);
	assert_true(creds.has_password);
	assert_false(creds.has_username);
	assert_int_not_equal(form_parse(&creds, "username=%4", 11), 0);
	assert_int_not_equal(form_parse(&creds, "username=%00", 12), 0);
	assert_int_not_equal(form_parse(&creds, "username=a%0a", 13), 0);
	assert_int_not_equal(form_parse(&creds, "username=a&username=b", 21), 0);
	memset(name, 'a', sizeof(name));
	memcpy(name, "username=", 9);
	assert_int_not_equal(form_parse(&creds, name, sizeof(name)), 0);
	assert_int_equal(form_parse(&creds, name, 9 + IPC_USER_LEN - 1), 0);
}

// RFC 4648, section 10.
static void test_base64(void **state) {
	static const char *const vectors[] = {"", "", "f", "Zg==", "fo", "Zm8=", "foo", "Zm9v",
		"foob", "Zm9vYg==", "fooba", "Zm9vYmE=", "foobar", "Zm9vYmFy"};
	uint8_t all[256], back[256];
	char text[BASE64_LEN(256) + 1];

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i += 2) {
		size_t len = strlen(vectors[i]);

		base64_encode(text, (const uint8_t *)vectors[i], len);
		assert_string_equal(text, vectors[i + 1]);
		assert_true(base64_decode(back, len, text, strlen(text)));
		assert_memory_equal(back, vectors[i], len);
	}
	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)(i * 7);
	base64_encode(text, all, 256);
	assert_true(base64_decode(back, 256, text, strlen(text)));
	assert_memory_equal(all, back, 256);
	assert_false(base64_decode(back, 1, "Zh==", 4)); // bits that encode nothing
	assert_false(base64_decode(back, 1, "Zg=", 3));
	assert_false(base64_decode(back, 1, "Z===", 4));
	assert_false(base64_decode(back, 3, "Zm9-", 4));
	assert_false(base64_decode(back, 3, "Zm9vYg==", 8));
}

static void test_hex(void **state) {
	const uint8_t data[] = {0x00, 0xab, 0xff};
	uint8_t back[3];
	char text[7];

	hex_encode(text, data, 3, true);
	assert_string_equal(text, "00ABFF");
	hex_encode(text, data, 3, false);
	assert_string_equal(text, "00abff");
	assert_true(hex_decode(back, 3, "00aBFf", 6));
	assert_memory_equal(back, data, 3);
	assert_false(hex_decode(back, 3, "00aBF", 5));
	assert_false(hex_decode(back, 3, "00aBFg", 6));
}

static void test_server_name(void **state) {
	assert_true(server_name_matches("vpn.example.org", "VPN.example.ORG"));
	assert_true(server_name_matches("vpn.example.org", "vpn.example.org."));
	assert_false(server_name_matches("vpn.example.org", "vpn.example.com"));
	assert_true(server_name_matches("*.example.org", "vpn.example.org"));
	assert_false(server_name_matches("*.example.org", "a.b.example.org"));
	assert_false(server_name_matches("*.example.org", "example.org"));
	assert_false(server_name_matches("*.example.org", ".example.org"));
	assert_false(server_name_matches("*.org", "example.org"));
	assert_false(server_name_matches("vpn.example.org", ""));
	assert_false(server_name_matches("", ""));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_everywhere),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_chunked),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_server_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
