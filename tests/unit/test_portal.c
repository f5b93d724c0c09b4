// SPDX-License-Identifier: GPL-3.0-or-later
// Whole requests in, whole answers out: logins by XML and form, URLs, limits, CONNECT and its
// headers as clients read them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "controlplane/edge/portal.h"
#include "controlplane/edge/xmlauth.h"

#define AGENT "User-Agent: Open AnyConnect VPN Agent v9.01-3\r\n"

static struct cfg_addr dns[] = {
	{AF_INET, {192, 0, 2, 53}},
	{AF_INET6, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53}},
};
static struct cfg_prefix include[] = {
	{{AF_INET, {10, 1, 0, 0}}, 16},
	{{AF_INET6, {0x20, 0x01, 0x0d, 0xb8, 0, 1}}, 48},
};
static struct cfg_prefix exclude[] = {{{AF_INET, {10, 1, 2, 0}}, 23}};
static char *split_dns[] = {"example.org", "example.net"};

static char no_text[] = "";

static struct cfg cfg = {
	.hostname = "vpn.example.org",
	.dtls_psk = true,
	.dtls_legacy = true,
	.auth =
		{
			.requests_per_connection = 16,
			.timeout = 240,
			.default_group = no_text,
			.camouflage = {.secret = no_text, .realm = no_text},
		},
	.network =
		{
			.dns = dns,
			.nb_dns = 2,
			.nbns = dns,
			.nb_nbns = 1,
			.split_include = include,
			.nb_split_include = 2,
			.split_exclude = exclude,
			.nb_split_exclude = 1,
			.split_dns = split_dns,
			.nb_split_dns = 2,
			.default_domain = "example.org",
			.tunnel_all_dns = true,
			.banner = "Welcome: 100%\n<b>",
			.pre_login_banner = "",
		},
};

static const uint8_t sha1[20] = {0xab, 0xcd};
static struct portal_env env = {.cfg = &cfg, .cert_sha1 = sha1, .chain_pem = ""};

struct exchange {
	struct portal portal;
	struct buf out;
	struct ipc_login login;
	struct ipc_connect connect;
	enum portal_todo todo;
};

// One request of a connection; the answer is a C string in out.data.
static void ask(struct exchange *x, const char *text) {
	struct http_reader *reader = http_reader_new();
	size_t used;

	buf_reset(&x->out);
	memset(&x->login, 0, sizeof(x->login));
	memset(&x->connect, 0, sizeof(x->connect));
	x->connect.tls_cipher = ABI_AES_128_GCM;
	assert_int_equal(http_reader_feed(reader, text, strlen(text), &used), 1);
	x->todo = portal_request(
		&x->portal, &env, http_reader_request(reader), &x->out, &x->login, &x->connect);
	buf_add(&x->out, "", 1);
	assert_false(x->out.failed);
	http_reader_free(reader);
}

static const char *text_of(const struct exchange *x) {
	return (const char *)x->out.data;
}

static void post(struct exchange *x, const char *headers, const char *body) {
	char text[4096];

	snprintf(text, sizeof(text),
		"POST /auth HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s", headers,
		strlen(body), body);
	ask(x, text);
}

static void has(const struct exchange *x, const char *what) {
	if (strstr(text_of(x), what) == NULL)
		fail_msg("no \"%s\" in:\n%s", what, text_of(x));
}

static void has_not(const struct exchange *x, const char *what) {
	if (strstr(text_of(x), what) != NULL)
		fail_msg("\"%s\" in:\n%s", what, text_of(x));
}

// The announced length is that of the body.
static void length_fits(const struct exchange *x) {
	const char *length = strstr(text_of(x), "Content-Length: ");
	const char *body = strstr(text_of(x), "\r\n\r\n");

	assert_non_null(length);
	assert_non_null(body);
	assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
}

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

#define COOKIE "Cookie: webvpn=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n"
#define SECRET \
	"X-DTLS-Master-Secret: 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F" \
	"202122232425262728292A2B2C2D2E2F\r\n"

static void test_connect_request(void **state) {
	struct exchange x = {0};

	ask(&x,
		"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\n" AGENT COOKIE SECRET
		"X-CSTP-Hostname: laptop\r\nX-CSTP-Base-MTU: 1500\r\nX-CSTP-MTU: 1390\r\n"
		"X-CSTP-Address-Type: IPv6,IPv4\r\nX-CSTP-Full-IPv6-Capability: true\r\n"
		"X-DTLS-CipherSuite: PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM:OC-DTLS1_2-AES128-GCM:"
		"AES128-SHA\r\n\r\n");
	assert_int_equal(x.todo, PORTAL_CONNECT);
	assert_true(x.portal.close);
	assert_int_equal(x.connect.cookie[31], 31);
	assert_int_equal(x.connect.master[47], 0x2f);
	assert_int_equal(x.connect.base_mtu, 1500);
	assert_int_equal(x.connect.mtu, 1390);
	assert_int_equal(x.connect.wishes,
		IPC_WISH_V4 | IPC_WISH_V6 | IPC_WISH_FULL_IPV6 | IPC_WISH_DTLS_PSK);
	assert_string_equal(x.connect.hostname, "laptop");
	// The suite like the TLS channel's wins over the stronger one.
	assert_int_equal(x.connect.legacy_cipher, ABI_AES_128_GCM);
	assert_string_equal(x.portal.offer.legacy_name, "OC-DTLS1_2-AES128-GCM");
	assert_false(x.portal.offer.dtls12);

	ask(&x,
		"CONNECT CSCOSSLC/tunnel HTTP/1.1\r\nUser-Agent: Cisco AnyConnect 4.9\r\n" COOKIE
			SECRET
		"X-DTLS12-CipherSuite: ECDHE-RSA-AES256-GCM-SHA384:AES256-GCM-SHA384\r\n"
		"X-DTLS-CipherSuite: OC-DTLS1_2-AES128-GCM\r\n"
		"X-AnyConnect-Identifier-DeviceType: phone\r\n\r\n");
	assert_int_equal(x.todo, PORTAL_CONNECT);
	assert_int_equal(x.connect.wishes, IPC_WISH_V4 | IPC_WISH_MOBILE | IPC_WISH_CISCO);
	assert_string_equal(x.portal.offer.legacy_name, "AES256-GCM-SHA384");
	assert_true(x.portal.offer.dtls12);
	assert_string_equal(x.connect.device_type, "phone");
	ask(&x,
		"CONNECT CSCOSSLC/tunnel HTTP/1.1\r\n" COOKIE
		"X-AnyConnect-Identifier-DeviceType: laptop\r\n"
		"X-AnyConnect-Identifier-Platform: win\r\n\r\n");
	assert_int_equal(x.connect.wishes, IPC_WISH_V4);

	ask(&x,
		"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\n" COOKIE "X-DTLS-CipherSuite: AES128-SHA\r\n"
		"X-DTLS-Master-Secret: 00\r\n\r\n");
	assert_int_equal(x.connect.legacy_cipher, 0);
	assert_null(x.portal.offer.legacy_name);
	buf_reset(&x.out);
}

static void test_connect_refused(void **state) {
	struct exchange x = {0};

	ask(&x, "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\n\r\n");
	has(&x, "HTTP/1.1 401 Cookie is not acceptable\r\n");
	ask(&x, "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nCookie: webvpn=AAEC\r\n\r\n");
	has(&x, "HTTP/1.1 401 Cookie is not acceptable\r\n");
	ask(&x, "CONNECT example.org:443 HTTP/1.1\r\n" COOKIE "\r\n");
	has(&x, "HTTP/1.1 404 ");
	assert_true(x.portal.close);
	buf_reset(&x.out);
}

static void addr4(struct abi_addr *addr, const char *text) {
	memset(addr, 0, sizeof(*addr));
	addr->bytes[10] = addr->bytes[11] = 0xff;
	inet_pton(AF_INET, text, addr->bytes + 12);
}

static struct ipc_connect_result result_new(void) {
	struct ipc_connect_result r = {
		.inner6_prefix = 128,
		.dtls = IPC_DTLS_PSK,
		.udp_port = 443,
		.cstp_mtu = 1406,
		.dtls_mtu = 1434,
		.base_mtu = 1500,
		.dpd = 90,
		.keepalive = 32400,
		.rekey_time = 3600,
	};

	addr4(&r.inner4, "10.0.0.7");
	addr4(&r.netmask4, "255.255.255.0");
	inet_pton(AF_INET6, "2001:db8::7", r.inner6.bytes);
	memset(r.app_id, 0xa5, sizeof(r.app_id));
	return r;
}

static void test_connect_answer(void **state) {
	struct ipc_connect_result r = result_new();
	struct cstp_offer offer = {.wishes = IPC_WISH_FULL_IPV6, .hostname = "laptop"};
	struct exchange x = {0};

	cstp_connect_answer(&x.out, &r, &offer, &cfg);
	buf_add(&x.out, "", 1);
	assert_string_equal(text_of(&x),
		"HTTP/1.1 200 CONNECTED\r\n"
		"X-CSTP-Version: 1\r\n"
		"X-CSTP-Server-Name: Penstock " PENSTOCK_VERSION "\r\n"
		"X-CSTP-Hostname: laptop\r\n"
		"X-CSTP-DPD: 90\r\n"
		"X-CSTP-Default-Domain: example.org\r\n"
		"X-CSTP-Address: 10.0.0.7\r\n"
		"X-CSTP-Netmask: 255.255.255.0\r\n"
		"X-CSTP-Address-IP6: 2001:db8::7/128\r\n"
		"X-CSTP-DNS: 192.0.2.53\r\n"
		"X-CSTP-DNS: 2001:db8::53\r\n"
		"X-CSTP-NBNS: 192.0.2.53\r\n"
		"X-CSTP-Split-DNS: example.org\r\n"
		"X-CSTP-Split-DNS: example.net\r\n"
		"X-CSTP-Split-Include: 10.1.0.0/255.255.0.0\r\n"
		"X-CSTP-Split-Include-IP6: 2001:db8:1::/48\r\n"
		"X-CSTP-Tunnel-All-DNS: true\r\n"
		"X-CSTP-Client-Bypass-Protocol: false\r\n"
		"X-CSTP-Split-Exclude: 10.1.2.0/255.255.254.0\r\n"
		"X-CSTP-Keepalive: 32400\r\n"
		"X-CSTP-Idle-Timeout: none\r\n"
		"X-CSTP-Smartcard-Removal-Disconnect: true\r\n"
		"X-CSTP-Rekey-Time: 3600\r\n"
		"X-CSTP-Rekey-Method: new-tunnel\r\n"
		"X-CSTP-Lease-Duration: none\r\n"
		"X-CSTP-Session-Timeout: none\r\n"
		"X-CSTP-Disconnected-Timeout: none\r\n"
		"X-CSTP-Keep: true\r\n"
		"X-CSTP-TCP-Keepalive: true\r\n"
		"X-CSTP-License: accept\r\n"
		"X-DTLS-DPD: 90\r\n"
		"X-DTLS-Port: 443\r\n"
		"X-DTLS-Rekey-Time: 3610\r\n"
		"X-DTLS-Rekey-Method: new-tunnel\r\n"
		"X-DTLS-Keepalive: 32400\r\n"
		"X-DTLS-App-ID: a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\r\n"
		"X-DTLS-CipherSuite: PSK-NEGOTIATE\r\n"
		"X-DTLS-MTU: 1434\r\n"
		"X-CSTP-Base-MTU: 1500\r\n"
		"X-CSTP-MTU: 1406\r\n"
		"X-CSTP-Banner: Welcome: 100%25%0A<b>\r\n"
		"\r\n");
	buf_reset(&x.out);
}

static void test_connect_variants(void **state) {
	struct ipc_connect_result r = result_new();
	struct cstp_offer offer = {.legacy_name = "AES256-GCM-SHA384", .dtls12 = true};
	struct exchange x = {0};

	r.dtls = IPC_DTLS_LEGACY;
	r.inner6_prefix = 64;
	r.session_timeout = 7200;
	r.session_remaining = 7000;
	r.idle_timeout = 600;
	r.rekey_time = 0;
	cstp_connect_answer(&x.out, &r, &offer, &cfg);
	buf_add(&x.out, "", 1);
	has(&x, "X-CSTP-Address: 2001:db8::7\r\nX-CSTP-Netmask: 2001:db8::/64\r\n");
	has_not(&x, "X-CSTP-Address-IP6");
	has(&x, "X-DTLS-Session-ID: a5a5");
	has(&x, "X-DTLS12-CipherSuite: AES256-GCM-SHA384\r\n");
	has(&x, "X-CSTP-Session-Timeout: 7200\r\nX-CSTP-Session-Timeout-Remaining: 7000\r\n");
	has(&x, "X-CSTP-Idle-Timeout: 600\r\n");
	has(&x, "X-CSTP-Rekey-Method: none\r\n");
	has_not(&x, "X-DTLS-App-ID");
	has_not(&x, "Rekey-Time");
	buf_reset(&x.out);

	r.dtls = IPC_DTLS_NONE;
	memset(&r.inner6, 0, sizeof(r.inner6));
	offer.wishes = IPC_WISH_CISCO | IPC_WISH_FULL_IPV6;
	cstp_connect_answer(&x.out, &r, &offer, &cfg);
	buf_add(&x.out, "", 1);
	has_not(&x, "X-DTLS");
	has_not(&x, "2001:db8::7");
	has(&x, "X-CSTP-DNS-IP6: 2001:db8::53\r\n");
	buf_reset(&x.out);

	r.status = 503;
	strcpy(r.reason, "No address left");
	cstp_connect_answer(&x.out, &r, &offer, &cfg);
	buf_add(&x.out, "", 1);
	assert_memory_equal(text_of(&x),
		"HTTP/1.1 503 Service Unavailable\r\nX-Reason: No address left\r\n", 61);
	buf_reset(&x.out);
}

// The answer is made of the settings of the session that the result names.
static void test_connect_settings(void **state) {
	static struct cfg_addr own_dns[] = {{AF_INET, {192, 0, 2, 54}}};
	static char line[] = "X-Desk: %{U} of %{G}%{", *lines[] = {line};
	static struct cfg_user user = {
		.name = "ann",
		.settings = {.set = CFG_SET_DNS | CFG_SET_BANNER | CFG_SET_HOSTNAME |
				CFG_SET_TUNNEL_ALL_DNS | CFG_SET_PROXY_URL | CFG_SET_CUSTOM_HEADERS,
			.network = {.dns = own_dns,
				.nb_dns = 1,
				.banner = "Hello, ann",
				.proxy_url = "http://pac.example.org/%{G}/%{U}.pac",
				.custom_headers = lines,
				.nb_custom_headers = 1},
			.hostname = "anns-laptop"},
	};
	struct ipc_connect_result r = result_new();
	struct cstp_offer offer = {.wishes = IPC_WISH_FULL_IPV6, .hostname = "laptop"};
	struct cfg with = cfg;
	struct exchange x = {0};

	with.users = &user;
	with.nb_users = 1;
	strcpy(r.username, "ann");
	strcpy(r.group, "a/b");
	r.settings.nb_routes = 1;
	addr4(&r.settings.routes[0].addr, "10.77.0.0");
	r.settings.routes[0].len = 16;
	cstp_connect_answer(&x.out, &r, &offer, &with);
	buf_add(&x.out, "", 1);
	has(&x, "X-CSTP-Hostname: anns-laptop\r\n");
	has(&x, "X-CSTP-DNS: 192.0.2.54\r\nX-CSTP-NBNS: 192.0.2.53\r\n");
	has_not(&x, "2001:db8::53");
	has(&x, "X-CSTP-Split-Include: 10.77.0.0/255.255.0.0\r\nX-CSTP-Tunnel-All-DNS: false\r\n");
	has(&x, "X-CSTP-Split-Exclude: 10.1.2.0/255.255.254.0\r\n");
	has(&x, "X-CSTP-Banner: Hello, ann\r\n");
	has(&x, "X-CSTP-MSIE-Proxy-PAC-URL: http://pac.example.org/a%2Fb/ann.pac\r\n");
	has(&x, "X-Desk: ann of a/b%{\r\n");
	buf_reset(&x.out);
	strcpy(r.username, "bob");
	r.settings.nb_routes = 0;
	cstp_connect_answer(&x.out, &r, &offer, &with);
	buf_add(&x.out, "", 1);
	has(&x, "X-CSTP-Hostname: laptop\r\n");
	has(&x, "X-CSTP-Split-Include: 10.1.0.0/255.255.0.0\r\n");
	has(&x, "X-CSTP-Banner: Welcome");
	buf_reset(&x.out);
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
		cmocka_unit_test(test_connect_request),
		cmocka_unit_test(test_connect_refused),
		cmocka_unit_test(test_connect_answer),
		cmocka_unit_test(test_connect_variants),
		cmocka_unit_test(test_connect_settings),
		cmocka_unit_test(test_drain_and_health),
	};

	if (xmlauth_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
