// SPDX-License-Identifier: GPL-3.0-or-later
// Logins by an Authorization field: what is offered to whom, what of a field is taken, and the
// answers, as curl --negotiate and openconnect read them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/edge/encode.h"
#include "controlplane/edge/httpauth.h"
#include "controlplane/edge/portal.h"
#include "controlplane/edge/xmlauth.h"

#define INIT \
	"<config-auth client=\"vpn\" type=\"init\"><version who=\"vpn\">v9</version></config-auth>"
#define REPLY "username=ann&password=pw"
#define SUPPORT "X-Support-HTTP-Auth: true\r\n"

static char no_text[] = "";
static struct cfg_alternative kerberos_or_form[] = {
	{.factors = {CFG_FACTOR_KERBEROS, CFG_FACTOR_OTP}, .nb_factors = 2},
	{.factors = {CFG_FACTOR_PASSWORD_FILE}, .nb_factors = 1},
};
static struct cfg_alternative kerberos_or_bearer[] = {
	{.factors = {CFG_FACTOR_KERBEROS}, .nb_factors = 1},
	{.factors = {CFG_FACTOR_OIDC}, .nb_factors = 1},
};
static struct cfg cfg = {
	.auth = {.requests_per_connection = 100,
		.timeout = 240,
		.default_group = no_text,
		.camouflage = {.secret = no_text, .realm = no_text}},
	.network = {.banner = no_text, .pre_login_banner = no_text},
};
static const uint8_t sha1[20];
static const struct portal_env env = {.cfg = &cfg, .cert_sha1 = sha1, .chain_pem = ""};

struct exchange {
	struct portal portal;
	struct buf out;
	struct ipc_login login;
	enum portal_todo todo;
};

static void ask(struct exchange *x, const char *method, const char *headers, const char *body) {
	struct http_reader *reader = http_reader_new();
	struct ipc_connect connect = {0};
	static char text[65536];
	size_t used;

	buf_reset(&x->out);
	memset(&x->login, 0, sizeof(x->login));
	http_reader_long_authorization(reader, true);
	snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n%sContent-Length: %zu\r\n\r\n%s", method,
		headers, strlen(body), body);
	assert_int_equal(http_reader_feed(reader, text, strlen(text), &used), 1);
	x->todo = portal_request(
		&x->portal, &env, http_reader_request(reader), &x->out, &x->login, &connect);
	buf_add(&x->out, "", 1);
	http_reader_free(reader);
}

static void answered(struct exchange *x, const struct ipc_login_result *result) {
	buf_reset(&x->out);
	portal_login_result(&x->portal, &env, result, &x->out);
	buf_add(&x->out, "", 1);
	assert_false(x->out.failed);
}

static const char *text_of(const struct exchange *x) {
	return (const char *)x->out.data;
}

static void has(const struct exchange *x, const char *what) {
	if (strstr(text_of(x), what) == NULL)
		fail_msg("no \"%s\" in:\n%s", what, text_of(x));
}

static void has_not(const struct exchange *x, const char *what) {
	if (strstr(text_of(x), what) != NULL)
		fail_msg("\"%s\" in:\n%s", what, text_of(x));
}

static void offer(struct cfg_alternative *list, size_t n) {
	cfg.auth.alternatives = list;
	cfg.auth.nb_alternatives = n;
}

static void done(struct exchange *x) {
	buf_reset(&x->out);
	buf_reset(&x->portal.token);
}

// A form for all but those that say they know better.
static void test_form_beside(void **state) {
	struct exchange x = {0};

	offer(kerberos_or_form, 2);
	ask(&x, "POST", "", INIT);
	has(&x, "HTTP/1.1 200 OK");
	has(&x, "<form method");
	ask(&x, "POST", SUPPORT, INIT);
	has(&x, "HTTP/1.1 401 Unauthorized\r\nConnection: Keep-Alive\r\n");
	has(&x, "X-HTTP-Auth-Support: fallback\r\nWWW-Authenticate: Negotiate\r\n");
	has(&x, "Content-Length: 0\r\n\r\n");
	has_not(&x, "Bearer");
	ask(&x, "GET", SUPPORT, "");
	has(&x, "HTTP/1.1 401 ");
	// A password is a password.
	ask(&x, "POST", SUPPORT, REPLY);
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_int_equal(x.portal.scheme, IPC_SCHEME_NONE);
	assert_string_equal(x.login.username, "ann");
	done(&x);
}

static void test_no_form(void **state) {
	struct exchange x = {0};

	offer(kerberos_or_bearer, 2);
	ask(&x, "POST", "", INIT);
	has(&x, "HTTP/1.1 401 ");
	has(&x, "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Bearer\r\n");
	has_not(&x, "fallback");
	ask(&x, "HEAD", "", "");
	has(&x, "HTTP/1.1 401 ");
	done(&x);
	offer(NULL, 0);
}

static void token_is(struct exchange *x, const char *field, const void *token, size_t len) {
	enum ipc_scheme scheme = IPC_SCHEME_NEGOTIATE;

	if (field[0] == 'B' || field[0] == 'b')
		scheme = IPC_SCHEME_BEARER;
	for (unsigned i = 0; i < 2; i++) {
		char headers[256];

		snprintf(headers, sizeof(headers), "Authorization: %s\r\n", field);
		ask(x, i == 0 ? "POST" : "GET", headers, i == 0 ? INIT : "");
		assert_int_equal(x->todo, PORTAL_LOGIN);
		assert_int_equal(x->portal.scheme, scheme);
		assert_int_equal(x->portal.token.len, len);
		assert_memory_equal(x->portal.token.data, token, len);
		assert_string_equal(x->login.username, "");
		buf_reset(&x->portal.token);
	}
}

static void no_token(struct exchange *x, const char *field) {
	char headers[256];

	snprintf(headers, sizeof(headers), "Authorization: %s\r\n", field);
	ask(x, "POST", headers, INIT);
	assert_int_equal(x->todo, PORTAL_ANSWERED);
	assert_int_equal(x->portal.token.len, 0);
	has(x, "HTTP/1.1 401 ");
}

static void test_tokens(void **state) {
	struct exchange x = {0};

	offer(kerberos_or_bearer, 2);
	token_is(&x, "Negotiate YWI=", "ab", 2);
	token_is(&x, "negotiate  YWJj", "abc", 3);
	token_is(&x, "Negotiate YQ==", "a", 1);
	token_is(&x, "BEARER a.b-c_d~e+f/g=", "a.b-c_d~e+f/g=", 14);
	no_token(&x, "");
	no_token(&x, "Negotiate");
	no_token(&x, "Negotiate ");
	no_token(&x, "NegotiateYWI=");
	no_token(&x, "Negotiate YWI");
	no_token(&x, "Negotiate ====");
	no_token(&x, "Negotiate YWI=YWI=");
	no_token(&x, "Negotiate YW I=");
	no_token(&x, "Bearer a b");
	no_token(&x, "Bearer \"a\"");
	no_token(&x, "Basic YW5uOnB3");
	done(&x);
	// Not offered: as if it were not there.
	offer(kerberos_or_form, 2);
	ask(&x, "POST", "Authorization: Bearer abc\r\n", INIT);
	assert_int_equal(x.todo, PORTAL_ANSWERED);
	has(&x, "<form method");
	done(&x);
}

// As long as a token may be, and one byte more.
static void test_longest(void **state) {
	static char headers[40000];
	static uint8_t data[IPC_TOKEN_LEN + 3];
	struct exchange x = {0};
	int at;

	offer(kerberos_or_form, 2);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	at = snprintf(headers, sizeof(headers), "authorization: Negotiate ");
	base64_encode(headers + at, data, IPC_TOKEN_LEN);
	strcat(headers, "\r\n");
	ask(&x, "POST", headers, INIT);
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_int_equal(x.portal.token.len, IPC_TOKEN_LEN);
	assert_memory_equal(x.portal.token.data, data, IPC_TOKEN_LEN);
	buf_reset(&x.portal.token);
	base64_encode(headers + at, data, IPC_TOKEN_LEN + 1);
	strcat(headers, "\r\n");
	ask(&x, "POST", headers, INIT);
	assert_int_equal(x.todo, PORTAL_ANSWERED);
	done(&x);
}

// The server's tokens, and what follows when it says no.
static void test_answers(void **state) {
	struct ipc_login_result result = {.status = IPC_LOGIN_FORM,
		.form = IPC_FORM_TOKEN,
		.transaction = {1},
		.token_len = 3,
		.token = "xyz"};
	struct exchange x = {0};

	offer(kerberos_or_form, 2);
	ask(&x, "POST", SUPPORT "Authorization: Negotiate YWI=\r\n", INIT);
	buf_reset(&x.portal.token);
	answered(&x, &result);
	has(&x, "HTTP/1.1 401 Unauthorized\r\nConnection: Keep-Alive\r\n");
	has(&x, "WWW-Authenticate: Negotiate eHl6\r\n");
	has_not(&x, "Negotiate\r\n");
	ask(&x, "POST", SUPPORT "Authorization: Negotiate YWM=\r\n", INIT);
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_memory_equal(x.login.transaction, result.transaction, IPC_TRANSACTION_LEN);
	buf_reset(&x.portal.token);
	// No: the way to the form is shown.
	result.form = IPC_FORM_FIRST;
	result.token_len = 0;
	answered(&x, &result);
	has(&x, "HTTP/1.1 401 ");
	has(&x, "X-HTTP-Auth-Support: fallback\r\nWWW-Authenticate: Negotiate\r\n");
	ask(&x, "POST", "", INIT);
	has(&x, "<form method");
	// A further factor asks in a form.
	ask(&x, "POST", "Authorization: Negotiate YWI=\r\n", INIT);
	buf_reset(&x.portal.token);
	result.form = IPC_FORM_ANSWER;
	strcpy(result.label, "Code:");
	answered(&x, &result);
	has(&x, "HTTP/1.1 200 ");
	has(&x, "label=\"Code:\"");
	result.status = IPC_LOGIN_OK;
	result.token_len = 3;
	answered(&x, &result);
	has(&x, "HTTP/1.1 200 ");
	has(&x, "WWW-Authenticate: Negotiate eHl6\r\n");
	has(&x, "Set-Cookie: webvpn=");
	offer(kerberos_or_bearer, 2);
	ask(&x, "POST", "Authorization: Bearer abc\r\n", INIT);
	result.status = IPC_LOGIN_FORM;
	result.form = IPC_FORM_FIRST;
	answered(&x, &result);
	has(&x, "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Bearer error=\"invalid_token\"\r\n");
	done(&x);
}

// Where no scheme is offered the field is one of the head's, and as short.
static void test_reader(void **state) {
	static char text[65536];
	struct http_reader *reader = http_reader_new();
	const struct http_request *req = http_reader_request(reader);
	size_t used;
	int at;

	at = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nAuthorization: ");
	memset(text + at, 'a', HTTP_HEAD_MAX);
	strcpy(text + at + HTTP_HEAD_MAX, "  \r\nX: y\r\nauthorization: b\r\n\r\n");
	assert_int_equal(http_reader_feed(reader, text, strlen(text), &used), 431);
	http_reader_long_authorization(reader, true);
	http_reader_next(reader);
	for (unsigned piece = 1; piece < 100000; piece *= 10) {
		int status = 0;

		for (size_t i = 0; status == 0; i += used) {
			size_t left = strlen(text) - i;

			status = http_reader_feed(
				reader, text + i, left < piece ? left : piece, &used);
		}
		assert_int_equal(status, 1);
		assert_int_equal(strspn(http_header_get(req, "authorization"), "a"), HTTP_HEAD_MAX);
		assert_int_equal(strlen(http_header_get(req, "authorization")), HTTP_HEAD_MAX);
		assert_string_equal(http_header_get(req, "x"), "y");
		http_reader_next(reader);
	}
	memset(text + at, 'a', HTTP_AUTHORIZATION_MAX);
	strcpy(text + at + HTTP_AUTHORIZATION_MAX, "\r\n\r\n");
	assert_int_equal(http_reader_feed(reader, text, strlen(text), &used), 431);
	http_reader_next(reader);
	strcpy(text, "GET / HTTP/1.1\r\nAuthorization: \r\n\r\n");
	assert_int_equal(http_reader_feed(reader, text, strlen(text), &used), 1);
	assert_string_equal(http_header_get(req, "authorization"), "");
	http_reader_free(reader);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form_beside),
		cmocka_unit_test(test_no_form),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_reader),
	};

	if (xmlauth_init() != 0)
		return 1;
	return cmocka_run_group_tests_name("httpauth", tests, NULL, NULL);
}
