// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the HTTP side of the edge: requests in pieces, through the whole table of URLs, to the
// answers. Run by tools/check.

#include <stdlib.h>
#include <string.h>

#include "controlplane/edge/portal.h"
#include "controlplane/edge/xmlauth.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A form, or an Authorization field of either scheme.
static struct cfg_alternative alternatives[] = {
	{.factors = {CFG_FACTOR_PASSWORD_FILE}, .nb_factors = 1},
	{.factors = {CFG_FACTOR_KERBEROS}, .nb_factors = 1},
	{.factors = {CFG_FACTOR_OIDC}, .nb_factors = 1},
};

static struct cfg cfg = {
	.dtls_psk = true,
	.dtls_legacy = true,
	.auth =
		{
			.alternatives = alternatives,
			.nb_alternatives = 3,
			.password_tries = 3,
			.requests_per_connection = 16,
			.camouflage = {.secret = "", .realm = ""},
		},
	.network = {.banner = "", .pre_login_banner = "", .default_domain = ""},
};

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	return xmlauth_init();
}

// What goes to other processes must pass their checks.
static void login_check(const struct portal *portal, const struct ipc_login *login) {
	bool token = portal->scheme != IPC_SCHEME_NONE;

	if (token != (portal->token.len > 0) || portal->token.len > IPC_TOKEN_LEN)
		abort();
	if (memchr(login->username, 0, sizeof(login->username)) == NULL ||
		memchr(login->password, 0, sizeof(login->password)) == NULL ||
		memchr(login->group, 0, sizeof(login->group)) == NULL ||
		memchr(login->agent, 0, sizeof(login->agent)) == NULL ||
		(login->username[0] == 0) != token)
		abort();
}

static void answer(
	struct portal *portal, const struct portal_env *env, const struct http_request *req) {
	struct ipc_connect connect = {.tls_cipher = ABI_AES_128_GCM};
	struct ipc_connect_result connected = {.dtls = IPC_DTLS_LEGACY, .udp_port = 443};
	struct ipc_login_result denied = {.status = IPC_LOGIN_DENIED};
	struct ipc_login login = {0};
	struct buf out = {0};

	switch (portal_request(portal, env, req, &out, &login, &connect)) {
	case PORTAL_ANSWERED:
		break;
	case PORTAL_LOGIN:
		login_check(portal, &login);
		portal_login_result(portal, env, &denied, &out);
		break;
	case PORTAL_CONNECT:
		cstp_connect_answer(&out, &connected, &portal->offer, env->cfg);
		break;
	}
	if (out.len < 12 || memcmp(out.data, "HTTP/1.1 ", 9) != 0)
		abort();
	buf_reset(&out);
}

// The first byte says how long the pieces are; long ones meet a camouflage.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const uint8_t sha1[20];
	const struct portal_env env = {.cfg = &cfg, .cert_sha1 = sha1, .chain_pem = ""};
	struct http_reader *reader = http_reader_new();
	struct portal portal = {0};
	const uint8_t *end = data + size;
	size_t piece = size > 0 && data[0] != 0 ? data[0] : 65536;
	int status = 0;

	cfg.auth.camouflage.secret = piece >= 128 ? "secret" : "";
	http_reader_long_authorization(reader, piece % 2 == 0);
	if (data < end)
		data++;
	while (data < end && status < 2 && !portal.close) {
		size_t len = (size_t)(end - data) < piece ? (size_t)(end - data) : piece;
		size_t used;

		status = http_reader_feed(reader, data, len, &used);
		if (used > len)
			abort();
		data += used;
		if (status == 0)
			continue;
		if (status == 1) {
			answer(&portal, &env, http_reader_request(reader));
			http_reader_next(reader);
		}
	}
	http_reader_free(reader);
	buf_reset(&portal.token);
	return 0;
}
