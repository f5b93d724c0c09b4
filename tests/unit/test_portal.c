// SPDX-License-Identifier: GPL-3.0-or-later
// Whole requests in, whole answers out: logins by XML and form, URLs, limits.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/edge/xmlauth.h"
#include "portal_fixture.h"

#define INIT \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<config-auth client=\"vpn\" type=\"init\" " \
	"aggregate-auth-version=\"2\"><version who=\"vpn\">v9.01-3</version>" \
	"<device-id>linux-64</device-id><group-select>staff</group-select>" \
	"<group-access>https://x/</group-access></config-auth>"
#define REPLY(user, pass) \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<config-auth client=\"vpn\" " \
	"type=\"auth-reply\"><version who=\"vpn\">v9.01-3</version><auth><username>" user \
	"</username><password>" pass \
	"</password></auth><group-select>staff</group-select></config-auth>"

static void test_xml_form(void **state) {
	struct exchange x = {0};

	post(&x, AGENT, INIT);
	assert_int_equal(x.todo, PORTAL_ANSWERED);
	has(&x, "HTTP/1.1 200 OK\r\n");
	has(&x, "Content-Type: text/xml\r\n");
	has(&x, "X-Transcend-Version: 1\r\n");
	has(&x,
		"\r\n\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<config-auth client=\"vpn\" type=\"auth-request\">");
	has(&x, "<auth id=\"main\">");
	has(&x, "<form method=\"post\" action=\"/auth\">");
	has(&x, "<input type=\"text\" name=\"username\" label=\"Username:\"/>");
	has(&x, "<input type=\"password\" name=\"password\" label=\"Password:\"/>");
	length_fits(&x);
	assert_false(x.portal.close);
	ask(&x, "GET / HTTP/1.1\r\n" AGENT "\r\n");
	has(&x, "<form method");
	ask(&x, "HEAD / HTTP/1.1\r\n" AGENT "\r\n");
	has(&x, "HTTP/1.1 200 OK");
	has_not(&x, "<form");
	ask(&x, "GET / HTTP/1.1\r\nUser-Agent: Open AnyConnect VPN Agent v3.01\r\n\r\n");
	has(&x, "<auth id=\"main\">");
	has_not(&x, "config-auth");
	buf_reset(&x.out);
}

static void test_xml_login(void **state) {
	struct ipc_login_result result = {.status = IPC_LOGIN_OK};
	struct exchange x = {0};

	post(&x, AGENT, REPLY("b&#246;b", "a&amp;b&lt;c"));
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_string_equal(x.login.username,
		"b\xc3\xb6"
		"b");
	assert_string_equal(x.login.password, "a&b<c");
	assert_string_equal(x.login.group, "staff");
	assert_string_equal(x.login.agent, "Open AnyConnect VPN Agent v9.01-3");
	buf_reset(&x.out);
	for (unsigned i = 0; i < IPC_COOKIE_LEN; i++)
		result.cookie[i] = (uint8_t)i;
	portal_login_result(&x.portal, &env, &result, &x.out);
	buf_add(&x.out, "", 1);
	has(&x, "Set-Cookie: webvpn=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=; Secure; HttpOnly");
	has(&x, "Set-Cookie: webvpncontext=AAEC");
	has(&x, "&sh:ABCD000000000000000000000000000000000000; path=/");
	has(&x, "<auth id=\"success\">");
	has(&x, "<banner>Welcome: 100%\n&lt;b&gt;</banner>");
	length_fits(&x);
	assert_false(x.portal.close);
	buf_reset(&x.out);
}

static void test_xml_hostile(void **state) {
	static const char *const bad[] = {
		"<",
		"<config-auth",
		"<html></html>",
		"<!DOCTYPE a [<!ENTITY e \"x\">]><config-auth type=\"init\">&e;</config-auth>",
		"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><config-auth type=\"init\"></config-auth>",
		"<config-auth type=\"auth-reply\">&e;</config-auth>",
		"<config-auth type=\"auth-reply\"><auth><username>a</username><username>b</username>"
		"</auth></config-auth>",
		"<config-auth type=\"auth-reply\"><auth><username>a&#10;b</username></auth>"
		"</config-auth>",
		"<config-auth type=\"auth-reply\"><auth><username><b/></username></auth>"
		"</config-auth>",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct exchange x = {0};

		post(&x, AGENT, bad[i]);
		assert_int_equal(x.todo, PORTAL_ANSWERED);
		has(&x, "HTTP/1.1 400 Bad Request\r\n");
		assert_true(x.portal.close);
		buf_reset(&x.out);
	}
}

static void test_form_login(void **state) {
	struct exchange x = {0};

	post(&x, "Content-Type: application/x-www-form-urlencoded\r\n",
		"group_list=g&username=bob&password=p%26w");
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_string_equal(x.login.username, "bob");
	assert_string_equal(x.login.password, "p&w");
	assert_string_equal(x.login.group, "g");
	post(&x, "", "username=bob");
	assert_int_equal(x.todo, PORTAL_ANSWERED);
	has(&x, "<form");
	post(&x, "", "username=%zz");
	has(&x, "HTTP/1.1 400");
	buf_reset(&x.out);
}

// Auth's answer to the login at hand.
static void answered(struct exchange *x, const struct ipc_login_result *result) {
	buf_reset(&x->out);
	portal_login_result(&x->portal, &env, result, &x->out);
	buf_add(&x->out, "", 1);
	assert_false(x->out.failed);
}

static const struct ipc_login_result again = {
	.status = IPC_LOGIN_FORM,
	.form = IPC_FORM_FIRST,
	.transaction = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	.message = "Login failed. Please enter your username and password.",
};
#define CONTEXT "webvpncontext=AQIDBAUGBwgJCgsMDQ4PEA=="

// A wrong password: the form again, and a transaction that goes with the connection and by cookie.
static void test_form_again(void **state) {
	static const uint8_t none[IPC_TRANSACTION_LEN];
	struct ipc_login_result denied = {.status = IPC_LOGIN_DENIED};
	struct exchange x = {0}, other = {0};

	post(&x, AGENT, REPLY("bob", "wrong"));
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_memory_equal(x.login.transaction, none, sizeof(none));
	answered(&x, &again);
	has(&x, "HTTP/1.1 200 OK");
	has(&x, "Set-Cookie: " CONTEXT "; Max-Age=240; path=/; Secure; HttpOnly\r\n");
	has(&x, "<message>Login failed. Please enter");
	has(&x, "name=\"username\"");
	length_fits(&x);
	assert_false(x.portal.close);
	post(&x, AGENT, REPLY("bob", "wrong"));
	assert_memory_equal(x.login.transaction, again.transaction, sizeof(none));
	post(&other, "Cookie: " CONTEXT "\r\n", "username=bob&password=pw");
	assert_int_equal(other.todo, PORTAL_LOGIN);
	assert_memory_equal(other.login.transaction, again.transaction, sizeof(none));
	// The cookie of a session is no transaction.
	post(&other, "Cookie: webvpncontext=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n",
		"username=bob&password=pw");
	assert_memory_equal(other.login.transaction, none, sizeof(none));
	answered(&x, &denied);
	has(&x, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	assert_true(x.portal.close);
	assert_memory_equal(x.portal.transaction, none, sizeof(none));
	buf_reset(&x.out);
	buf_reset(&other.out);
}

#define ANSWER(field, text) \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<config-auth client=\"vpn\" " \
	"type=\"auth-reply\"><auth><" field ">" text "</" field "></auth></config-auth>"

// A further form has one field; its answer has no username.
static void test_further_form(void **state) {
	struct ipc_login_result code = again;
	struct exchange x = {0};

	code.form = IPC_FORM_ANSWER;
	strcpy(code.message, "Code <of> your token & nothing else");
	strcpy(code.label, "Code:");
	post(&x, AGENT, ANSWER("secondary_password", "123"));
	assert_int_equal(x.todo, PORTAL_ANSWERED); // to what?
	has(&x, "name=\"username\"");
	answered(&x, &code);
	has(&x, "<message>Code &lt;of&gt; your token &amp; nothing else</message>");
	has(&x, "<input type=\"password\" name=\"secondary_password\" label=\"Code:\"/>\n</form>");
	has_not(&x, "username");
	strcpy(code.message, "M\xfcller"); // ISO 8859-1: a server may say anything
	strcpy(code.label, "\xff:");
	code.round = 1;
	answered(&x, &code);
	has(&x, "<message>M?ller</message>");
	has(&x, "label=\"?:\"");
	has(&x, "name=\"secondary_password2\"");
	post(&x, AGENT, ANSWER("secondary_password2", "123"));
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_string_equal(x.login.password, "123");
	assert_string_equal(x.login.username, "");
	assert_memory_equal(x.login.transaction, again.transaction, IPC_TRANSACTION_LEN);
	// openconnect names some fields "password" again; forms do as XML.
	post(&x, AGENT, ANSWER("password", "456"));
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_string_equal(x.login.password, "456");
	post(&x, "", "secondary_password=7%38");
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_string_equal(x.login.password, "78");
	// With a username it is the first form again, and an unknown field is none.
	post(&x, AGENT, REPLY("bob", "pw"));
	assert_string_equal(x.login.username, "bob");
	post(&x, AGENT, ANSWER("secondary_passwords", "123"));
	assert_string_equal(x.login.password, "");
	post(&x, AGENT,
		"<config-auth type=\"auth-reply\"><auth><secondary_password>1</secondary_password>"
		"<secondary_password2>2</secondary_password2></auth></config-auth>");
	has(&x, "HTTP/1.1 400");
	buf_reset(&x.out);
}

static struct cfg_group groups[] = {
	{.name = "staff", .label = "Staff & co", .selectable = true},
	{.name = "guests", .label = "guests", .selectable = true},
	{.name = "own ers", .label = "own ers", .selectable = false},
};

static void groups_set(bool select, bool by_url) {
	cfg.groups = groups;
	cfg.nb_groups = select || by_url ? 3 : 0;
	cfg.auth.select_group = select;
	cfg.auth.group_by_url = by_url;
}

static void test_group_select(void **state) {
	struct exchange x = {0};

	groups_set(true, false);
	ask(&x, "GET / HTTP/1.1\r\n" AGENT "\r\n");
	has(&x,
		"<select name=\"group_list\" label=\"Group:\">\n"
		"<option value=\"staff\">Staff &amp; co</option>\n"
		"<option value=\"guests\">guests</option>\n</select>\n");
	has_not(&x, "own ers");
	// The one asked for comes first, and is marked.
	post(&x, AGENT,
		"<config-auth type=\"init\"><group-select>guests</group-select></config-auth>");
	has(&x,
		"<option value=\"guests\" selected=\"true\">guests</option>\n"
		"<option value=\"staff\">");
	post(&x, AGENT, REPLY("bob", "pw"));
	assert_string_equal(x.login.group, "staff");
	// By its label, and without one.
	post(&x, "", "username=bob&password=pw&group_list=Staff+%26+co");
	assert_string_equal(x.login.group, "staff");
	post(&x, "", "username=bob&password=pw");
	assert_string_equal(x.login.group, "");
	// The further forms do not ask again.
	answered(&x, &again);
	has(&x, "<select");
	groups_set(false, false);
	buf_reset(&x.out);
}

static void test_group_by_url(void **state) {
	struct exchange x = {0};

	ask(&x, "GET /staff HTTP/1.1\r\n" AGENT "\r\n");
	has(&x, "HTTP/1.1 404");
	groups_set(false, true);
	ask(&x, "GET /staff HTTP/1.1\r\n" AGENT "\r\n");
	has(&x, "<form method=\"post\" action=\"/staff\">");
	has_not(&x, "<select");
	ask(&x, "GET /strangers HTTP/1.1\r\n" AGENT "\r\n");
	has(&x, "HTTP/1.1 404");
	ask(&x, "GET /own%20ers/?a HTTP/1.1\r\n" AGENT "\r\n");
	has(&x, "<form method=\"post\" action=\"/own%20ers\">");
	ask(&x, "POST /staff HTTP/1.1\r\nContent-Length: 24\r\n\r\nusername=bob&password=pw");
	assert_int_equal(x.todo, PORTAL_LOGIN);
	assert_string_equal(x.login.group, "staff");
	answered(&x, &again);
	has(&x, "action=\"/staff\"");
	// What the user chose counts more than the path.
	ask(&x,
		"POST /staff HTTP/1.1\r\nContent-Length: 42\r\n\r\n"
		"username=bob&password=pw&group_list=guests");
	assert_string_equal(x.login.group, "guests");
	post(&x, AGENT,
		"<config-auth type=\"init\"><group-access>https://[::1]:443/own%20ers</group-access>"
		"</config-auth>");
	has(&x, "action=\"/own%20ers\"");
	post(&x, AGENT,
		"<config-auth type=\"init\"><group-access>https://x/nobody</group-access>"
		"</config-auth>");
	has(&x, "action=\"/auth\"");
	groups_set(false, false);
	buf_reset(&x.out);
}

static void test_login_error(void **state) {
	struct ipc_login_result error = {.status = IPC_LOGIN_ERROR, .reason = "Server busy"};
	struct exchange x = {0};

	post(&x, AGENT, REPLY("bob", "pw"));
	buf_reset(&x.out);
	portal_login_result(&x.portal, &env, &error, &x.out);
	buf_add(&x.out, "", 1);
	has(&x, "HTTP/1.1 503 Service Unavailable\r\n");
	has(&x, "X-Reason: Server busy\r\n");
	assert_true(x.portal.close);
	buf_reset(&x.out);
}

static void test_requests(void **state) {
	struct exchange x = {0};

	for (int i = 0; i < 16; i++) {
		assert_false(x.portal.close);
		ask(&x, "GET /1/binaries/update.txt HTTP/1.1\r\n\r\n");
		has(&x, "0,0,0000\n");
	}
	assert_true(x.portal.close);
	has(&x, "Connection: close\r\n");
	buf_reset(&x.out);
}

static void test_urls(void **state) {
	static const char *const there[] = {"/", "/auth", "/VPN", "/svc", "/VPNManifest.xml",
		"/1/index.html", "/1/Linux_64", "/1/binaries/vpndownloader.sh",
		"/+CSCOT+/translation-table?type=x", "/+CSCOT+/oem-customization"};
	static const char *const absent[] = {
		"/x", "/auth/", "/1/", "/profiles/a.xml", "/../etc", "/cert.pem", "/favicon.ico"};
	struct exchange x = {0};
	char text[256];

	for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n\r\n", there[i]);
		x.portal.requests = 0;
		ask(&x, text);
		has(&x, "HTTP/1.1 200 OK\r\n");
		length_fits(&x);
	}
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n\r\n", absent[i]);
		ask(&x, text);
		has(&x, "HTTP/1.1 404 Not Found\r\n");
		has(&x, "<html><body><h1>404 Not Found</h1></body></html>");
	}
	ask(&x, "PUT / HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 405 Method Not Allowed\r\n");
	has(&x, "Allow: GET, HEAD, POST\r\n");
	ask(&x, "POST /cert.pem HTTP/1.1\r\n\r\n");
	has(&x, "Allow: GET, HEAD\r\n");
	ask(&x, "GET /logout HTTP/1.1\r\n\r\n");
	has(&x, "Set-Cookie: webvpn=; expires=Thu, 01 Jan 1970");
	buf_reset(&x.out);
}

static void test_http_headers(void **state) {
	char name[] = "Strict-Transport-Security", value[] = "max-age=31536000";
	struct cfg_http_header header = {name, value};
	struct exchange x = {0};

	cfg.http_headers = &header;
	cfg.nb_http_headers = 1;
	ask(&x, "GET / HTTP/1.1\r\nHost: vpn\r\nUser-Agent: AnyConnect\r\n\r\n");
	has(&x, "\r\nStrict-Transport-Security: max-age=31536000\r\n");
	x.portal.requests = 0;
	ask(&x, "GET /none HTTP/1.1\r\nHost: vpn\r\nUser-Agent: AnyConnect\r\n\r\n");
	has(&x, "404");
	has(&x, "\r\nStrict-Transport-Security: max-age=31536000\r\n");
	buf_reset(&x.out);
	cfg.http_headers = NULL;
	cfg.nb_http_headers = 0;
}

static void test_plain_http(void **state) {
	const char *length = strstr(portal_plain_http, "Content-Length: ");
	const char *body = strstr(portal_plain_http, "\r\n\r\n") + 4;

	assert_memory_equal(portal_plain_http, "HTTP/1.1 400 ", 13);
	assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body));
}

// Maintenance: nobody new gets in, and load balancers see why.
static void test_drain_and_health(void **state) {
	static char health[] = "/up", secret[] = "a-secret-path", none[] = "";
	struct exchange x = {0};

	ask(&x, "GET /up HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 404 ");
	cfg.health_path = health;
	ask(&x, "GET /up HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 200 ");
	has(&x, "serving\n");
	ask(&x, "POST /up HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
	has(&x, "HTTP/1.1 404 ");
	// Behind camouflage, too, where everything else is hidden.
	cfg.auth.camouflage.secret = secret;
	ask(&x, "GET /up HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 200 ");
	ask(&x, "GET /cert.pem HTTP/1.1\r\nHost: x\r\n\r\n");
	has(&x, "HTTP/1.1 404 ");
	cfg.auth.camouflage.secret = none;
	memset(&x.portal, 0, sizeof(x.portal));
	// A process is away: who is there already may try.
	env.unavailable = "The gateway is starting";
	ask(&x, "GET /up HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 503 ");
	has(&x, "X-Reason: The gateway is starting\r\n");
	length_fits(&x);
	ask(&x, "HEAD /up HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 503 ");
	post(&x, "", "username=bob&password=pw");
	assert_int_equal(x.todo, PORTAL_LOGIN);
	env.draining = true;
	ask(&x, "GET / HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 503 ");
	post(&x, "", "username=bob&password=pw");
	assert_int_equal(x.todo, PORTAL_ANSWERED);
	has(&x, "HTTP/1.1 503 ");
	has(&x, "X-Reason: ");
	ask(&x, "GET /logout HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 200 ");
	env.draining = false;
	env.unavailable = NULL;
	cfg.health_path = NULL;
	buf_reset(&x.out);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xml_form),
		cmocka_unit_test(test_xml_login),
		cmocka_unit_test(test_xml_hostile),
		cmocka_unit_test(test_form_login),
		cmocka_unit_test(test_form_again),
		cmocka_unit_test(test_further_form),
		cmocka_unit_test(test_group_select),
		cmocka_unit_test(test_group_by_url),
		cmocka_unit_test(test_login_error),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_http_headers),
		cmocka_unit_test(test_plain_http),
		cmocka_unit_test(test_drain_and_health),
	};

	if (xmlauth_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
