// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes what the OpenID Connect process reads: tokens as they come, claims behind a good signature,
// and the documents of a provider. Run by tools/check.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/oidc/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char issuer[] = "https://idp.example.net", audience[] = "penstock", es256[] = "ES256",
	    rs256[] = "RS256", name[] = "name", more[] = "groups", v[] = "v", is_true[] = "true";
static char *audiences[] = {audience}, *algorithms[] = {es256, rs256};
static struct cfg_claim required[] = {{v, is_true}};
static const struct cfg_oidc rules = {.issuer = issuer,
	.audiences = audiences,
	.nb_audiences = 1,
	.algorithms = algorithms,
	.nb_algorithms = 2,
	.required = required,
	.nb_required = 1,
	.user_claim = name,
	.group_claim = more,
	.clock_skew = 60};

static cjose_jwk_t *signing_key;
static struct oidc_keys *keys;

static void prepare(void) {
	char *json, set[4096];

	oidc_token_init();
	signing_key = cjose_jwk_create_EC_random(CJOSE_JWK_EC_P_256, NULL);
	json = cjose_jwk_to_json(signing_key, false, NULL);
	snprintf(set, sizeof(set), "{\"keys\":[%s]}", json);
	cjose_get_dealloc()(json);
	keys = oidc_keys_new(set, strlen(set));
	if (keys == NULL)
		abort();
}

static void token(const char *text, size_t len, bool is_signed) {
	char user[IPC_USER_LEN], groups[IPC_GROUPS_LEN];
	enum ipc_oidc_status status = oidc_token_check(
		&rules, keys, text, len, 1800000000, user, groups);

	if (status == IPC_OIDC_ACCEPTED && (!is_signed || user[0] == '\0'))
		abort();
	if (status != IPC_OIDC_ACCEPTED && (user[0] != '\0' || groups[0] != '\0'))
		abort();
	if (strnlen(groups, sizeof(groups)) == sizeof(groups))
		abort();
}

static void claims(const uint8_t *data, size_t size) {
	cjose_header_t *header = cjose_header_new(NULL);
	cjose_jws_t *jws;
	const char *text;

	cjose_header_set(header, CJOSE_HDR_ALG, es256, NULL);
	jws = cjose_jws_sign(signing_key, header, data, size, NULL);
	if (jws != NULL && cjose_jws_export(jws, &text, NULL))
		token(text, strlen(text), true);
	cjose_jws_release(jws);
	cjose_header_release(header);
}

static void documents(const char *text, size_t len) {
	char uri[OIDC_URL_LEN], *line = strndup(text, len);
	struct oidc_keys *set = oidc_keys_new(text, len);

	if (set != NULL && oidc_keys_count(set) == 0)
		abort();
	if (set != NULL)
		oidc_keys_find(set, rs256, NULL);
	oidc_keys_free(set);
	if (oidc_discovery_read(text, len, issuer, uri) == NULL && strlen(uri) < 9)
		abort();
	if (oidc_max_age(line) < -1)
		abort();
	free(line);
}

// The first byte says what the rest is.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (keys == NULL)
		prepare();
	if (size == 0)
		return 0;
	if (data[0] == 'c')
		claims(data + 1, size - 1);
	else if (data[0] == 'd')
		documents((const char *)data + 1, size - 1);
	else
		token((const char *)data + 1, size - 1, false);
	return 0;
}
