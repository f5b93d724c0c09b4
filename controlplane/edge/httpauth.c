// SPDX-License-Identifier: GPL-3.0-or-later
// Logins by an Authorization field instead of a form; called by portal.c.

#include "httpauth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "encode.h"

struct httpauth_offers httpauth_offers(const struct cfg *cfg, const char *server_name) {
	struct httpauth_offers offers = {0};
	const struct cfg_alternative *alternative;
	size_t count;

	alternative = cfg_alternatives(cfg, cfg_vhost_find(cfg, server_name), &count);
	for (size_t i = 0; i < count; i++, alternative++) {
		switch (alternative->factors[0]) {
		case CFG_FACTOR_KERBEROS:
			offers.negotiate = true;
			break;
		case CFG_FACTOR_OIDC:
			offers.bearer = true;
			break;
		default:
			offers.form = true;
			break;
		}
	}
	return offers;
}

bool httpauth_any(const struct httpauth_offers *offers) {
	return offers->negotiate || offers->bearer;
}

bool httpauth_wanted(const struct httpauth_offers *offers, const struct http_request *req) {
	const char *support = http_header_get(req, "X-Support-HTTP-Auth");

	return httpauth_any(offers) &&
		(!offers->form || (support != NULL && strcasecmp(support, "true") == 0));
}

// The rest of the field behind the name of the scheme (case does not matter, RFC 9110, 11.1).
static const char *after_scheme(const char *value, const char *scheme) {
	size_t len = strlen(scheme);

	if (strncasecmp(value, scheme, len) != 0 || value[len] != ' ')
		return NULL;
	return value + len + strspn(value + len, " ");
}

static bool negotiate_read(const char *text, struct buf *token) {
	size_t text_len = strlen(text), len = text_len / 4 * 3;
	uint8_t *data;
	bool ok;

	if (text_len == 0 || text_len % 4 != 0)
		return false;
	len -= (text[text_len - 1] == '=') + (text[text_len - 2] == '=');
	if (len == 0 || len > IPC_TOKEN_LEN)
		return false;
	data = malloc(len);
	if (data == NULL)
		return false;
	ok = base64_decode(data, len, text, text_len);
	if (ok)
		buf_add(token, data, len);
	explicit_bzero(data, len);
	free(data);
	return ok && !token->failed;
}

// The characters of b64token (RFC 6750, 2.1).
static bool bearer_read(const char *text, struct buf *token) {
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-._~+/=";
	size_t len = strlen(text);

	if (len == 0 || len > IPC_TOKEN_LEN || strspn(text, allowed) != len)
		return false;
	buf_add(token, text, len);
	return !token->failed;
}

enum ipc_scheme httpauth_read(
	const struct httpauth_offers *offers, const struct http_request *req, struct buf *token) {
	const char *value = http_header_get(req, "Authorization");
	const char *text;

	if (value == NULL)
		return IPC_SCHEME_NONE;
	text = offers->negotiate ? after_scheme(value, "Negotiate") : NULL;
	if (text != NULL)
		return negotiate_read(text, token) ? IPC_SCHEME_NEGOTIATE : IPC_SCHEME_NONE;
	text = offers->bearer ? after_scheme(value, "Bearer") : NULL;
	if (text != NULL)
		return bearer_read(text, token) ? IPC_SCHEME_BEARER : IPC_SCHEME_NONE;
	return IPC_SCHEME_NONE;
}

void httpauth_challenge(
	const struct httpauth_offers *offers, enum ipc_scheme failed, struct buf *out) {
	// openconnect's word for: without any of these there will be a form.
	if (offers->form)
		buf_puts(out, "X-HTTP-Auth-Support: fallback\r\n");
	if (offers->negotiate)
		buf_puts(out, "WWW-Authenticate: Negotiate\r\n");
	// RFC 6750, 3.1.
	if (offers->bearer)
		buf_printf(out, "WWW-Authenticate: Bearer%s\r\n",
			failed == IPC_SCHEME_BEARER ? " error=\"invalid_token\"" : "");
}

void httpauth_token(const uint8_t *token, size_t len, struct buf *out) {
	char text[BASE64_LEN(IPC_TOKEN_ANSWER_LEN) + 1];

	if (len == 0 || len > IPC_TOKEN_ANSWER_LEN)
		return;
	base64_encode(text, token, len);
	buf_printf(out, "WWW-Authenticate: Negotiate %s\r\n", text);
	explicit_bzero(text, sizeof(text));
}
