// SPDX-License-Identifier: GPL-3.0-or-later
// What the tests of the portal and of CONNECT share.
#include "portal_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct cfg cfg = {
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
struct portal_env env = {.cfg = &cfg, .cert_sha1 = sha1, .chain_pem = ""};

void ask(struct exchange *x, const char *text) {
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

const char *text_of(const struct exchange *x) {
	return (const char *)x->out.data;
}

void post(struct exchange *x, const char *headers, const char *body) {
	char text[4096];

	snprintf(text, sizeof(text),
		"POST /auth HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s", headers,
		strlen(body), body);
	ask(x, text);
}

void has(const struct exchange *x, const char *what) {
	if (strstr(text_of(x), what) == NULL)
		fail_msg("no \"%s\" in:\n%s", what, text_of(x));
}

void has_not(const struct exchange *x, const char *what) {
	if (strstr(text_of(x), what) != NULL)
		fail_msg("\"%s\" in:\n%s", what, text_of(x));
}

void length_fits(const struct exchange *x) {
	const char *length = strstr(text_of(x), "Content-Length: ");
	const char *body = strstr(text_of(x), "\r\n\r\n");

	assert_non_null(length);
	assert_non_null(body);
	assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
}
