// SPDX-License-Identifier: GPL-3.0-or-later
// Without the secret: nothing but a web server. With it: the portal, for the whole connection.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/edge/camouflage.h"
#include "controlplane/edge/portal.h"
#include "controlplane/edge/xmlauth.h"

#define COOKIE "webvpn=" B64 "\r\n"
#define B64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static char none[] = "", secret[] = "f00-bar.Baz_7", realm[] = "Members only";

static struct cfg cfg;
static const uint8_t sha1[20];
static const struct portal_env env = {.cfg = &cfg, .cert_sha1 = sha1, .chain_pem = ""};

static int setup(void **state) {
	cfg = (struct cfg){
		.hostname = none,
		.auth = {.requests_per_connection = 16, .timeout = 240, .default_group = none},
		.network = {.banner = none, .pre_login_banner = none, .default_domain = none},
	};
	cfg.auth.camouflage.secret = secret;
	cfg.auth.camouflage.realm = none;
	return 0;
}

struct exchange {
	struct portal portal;
	struct buf out;
	struct ipc_login login;
	struct ipc_connect connect;
	enum portal_todo todo;
};

static const char *ask(struct exchange *x, const char *text) {
	struct http_reader *reader = http_reader_new();
	size_t used;

	buf_reset(&x->out);
	memset(&x->login, 0, sizeof(x->login));
	memset(&x->connect, 0, sizeof(x->connect));
	assert_int_equal(http_reader_feed(reader, text, strlen(text), &used), 1);
	x->todo = portal_request(
		&x->portal, &env, http_reader_request(reader), &x->out, &x->login, &x->connect);
	buf_add(&x->out, "", 1);
	assert_false(x->out.failed);
	http_reader_free(reader);
	return (const char *)x->out.data;
}

static bool hides(struct exchange *x, const char *text) {
	const char *answer = ask(x, text);

	return x->todo == PORTAL_ANSWERED &&
		strncmp(answer, "HTTP/1.1 404 Not Found\r\n", 24) == 0 &&
		strstr(answer, "X-") == NULL && strstr(answer, "Set-Cookie") == NULL &&
		strstr(answer, "nginx") != NULL;
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_hides(void **state) {
	static const char *const requests[] = {
		GET("/"),
		GET("/auth"),
		GET("/cert.pem"),
		GET("/+CSCOT+/translation-table"),
		GET("/VPNManifest.xml"),
		GET("/?"),
		GET("/?f00-bar.Baz_"),
		GET("/?f00-bar.Baz_77"),
		GET("/?F00-bar.Baz_7"),
		GET("/?f00-bar.Baz_7&x"),
		GET("/?x&f00-bar.Baz_7"),
		GET("/f00-bar.Baz_7"),
		GET("/#f00-bar.Baz_7"),
		GET("/??f00-bar.Baz_7"),
		"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\nusername=u&password=p1234",
		"POST / HTTP/1.1\r\nHost: x\r\nX-Aggregate-Auth: 1\r\nContent-Length: 4\r\n\r\n<a/>",
		"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	};
	struct exchange x = {0};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (!hides(&x, requests[i]))
			fail_msg("not hidden: %s\n%s", requests[i], (const char *)x.out.data);
		assert_false(x.portal.known);
		assert_false(x.portal.close);
	}
	buf_reset(&x.out);
}

static void test_realm(void **state) {
	struct exchange x = {0};
	const char *answer;

	cfg.auth.camouflage.realm = realm;
	answer = ask(&x, GET("/"));
	assert_non_null(strstr(answer, "HTTP/1.1 401 Unauthorized\r\n"));
	assert_non_null(strstr(answer, "\r\nWWW-Authenticate: Basic realm=\"Members only\"\r\n"));
	// Its password is not what is looked for there.
	answer = ask(&x, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Zm9vOmJhcg==\r\n\r\n");
	assert_non_null(strstr(answer, "HTTP/1.1 401 Unauthorized\r\n"));
	buf_reset(&x.out);
}

static void test_shows(void **state) {
	struct exchange x = {0};
	const char *answer = ask(&x, GET("/?f00-bar.Baz_7"));

	assert_true(x.portal.known);
	assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
	// The answer to the form may come on a connection of its own.
	assert_non_null(strstr(answer, "action=\"/auth?f00-bar.Baz_7\""));
	ask(&x,
		"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\n"
		"username=u&password=p123");
	assert_int_equal(x.todo, PORTAL_LOGIN);
	x = (struct exchange){.out = x.out};
	ask(&x,
		"POST /auth?f00-bar.Baz_7 HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\n"
		"username=u&password=p123");
	assert_int_equal(x.todo, PORTAL_LOGIN);
	x = (struct exchange){.out = x.out};
	assert_non_null(strstr(ask(&x, GET("https://host?f00-bar.Baz_7")), "HTTP/1.1 200 OK"));
	buf_reset(&x.out);
}

static void test_off(void **state) {
	struct exchange x = {0};
	const char *answer;

	cfg.auth.camouflage.secret = none;
	answer = ask(&x, GET("/"));
	assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
	assert_non_null(strstr(answer, "action=\"/auth\""));
	buf_reset(&x.out);
}

static bool zero(const uint8_t cookie[IPC_COOKIE_LEN]) {
	static const uint8_t nothing[IPC_COOKIE_LEN];

	return memcmp(cookie, nothing, sizeof(nothing)) == 0;
}

// Each CONNECT asks, so that none is answered sooner than another; only a real one by its cookie.
static void test_connect(void **state) {
	static const uint8_t expected[] = {0, 1, 2, 3, 4, 5, 6, 7};
	struct exchange x = {0};

	ask(&x,
		"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\nCookie: " COOKIE
		"X-CSTP-Address-Type: IPv4\r\n\r\n");
	assert_int_equal(x.todo, PORTAL_CONNECT);
	assert_memory_equal(x.connect.cookie, expected, sizeof(expected));
	ask(&x, "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(x.todo, PORTAL_CONNECT);
	assert_false(zero(x.connect.cookie));
	ask(&x,
		"CONNECT /other HTTP/1.1\r\nHost: x\r\nCookie: " COOKIE
		"X-CSTP-Address-Type: IPv4\r\n\r\n");
	assert_int_equal(x.todo, PORTAL_CONNECT);
	assert_memory_not_equal(x.connect.cookie, expected, sizeof(expected));
	assert_true(x.portal.close);
	assert_false(x.portal.known);
	buf_reset(&x.out);
}

static void test_wrong(void **state) {
	struct exchange x = {0};

	assert_non_null(strstr(ask(&x, "GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 Bad Request"));
	assert_true(x.portal.close);
	assert_non_null(strstr(ask(&x, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), " 400 "));
	assert_true(hides(&x, "GET / HTTP/1.0\r\n\r\n"));
	assert_non_null(strstr(ask(&x, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), "405 Not Allowed"));
	buf_reset(&x.out);
}

// As many as an ordinary server takes on a connection, not as few as the portal.
static void test_requests(void **state) {
	struct exchange x = {0};

	for (unsigned i = 1; i < 1000; i++) {
		assert_true(hides(&x, GET("/")));
		assert_false(x.portal.close);
	}
	assert_true(hides(&x, GET("/")));
	assert_true(x.portal.close);
	buf_reset(&x.out);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_hides, setup),
		cmocka_unit_test_setup(test_realm, setup),
		cmocka_unit_test_setup(test_shows, setup),
		cmocka_unit_test_setup(test_off, setup),
		cmocka_unit_test_setup(test_connect, setup),
		cmocka_unit_test_setup(test_wrong, setup),
		cmocka_unit_test_setup(test_requests, setup),
	};

	if (xmlauth_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
