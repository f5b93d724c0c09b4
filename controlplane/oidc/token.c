// SPDX-License-Identifier: GPL-3.0-or-later
// Checks bearer tokens by cjose and jansson, with the rules of RFC 8725; called by oidc.c.
//
// The algorithm is decided by the configuration and the key, never by the token alone: what is not
// allowed is refused before a key is looked for, and a key serves only its own type.

#include "token.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/proc/wiping.h"

// --- the outside: header.payload.signature ---

// The signature may be missing as far as this goes: no algorithm that is allowed has an empty one.
static bool is_compact(const char *token, size_t len) {
	const char *header_end = len <= IPC_TOKEN_LEN ? memchr(token, '.', len) : NULL;
	const char *end = token + len, *payload_end;

	if (header_end == NULL)
		return false;
	payload_end = memchr(header_end + 1, '.', (size_t)(end - header_end - 1));
	return payload_end != NULL && oidc_is_base64url(token, (size_t)(header_end - token)) &&
		oidc_is_base64url(header_end + 1, (size_t)(payload_end - header_end - 1)) &&
		(payload_end + 1 == end ||
			oidc_is_base64url(payload_end + 1, (size_t)(end - payload_end - 1)));
}

// An access or ID token, and no other kind of JWT that the issuer signs (RFC 8725, 3.11).
static bool is_type(const json_t *header) {
	const json_t *typ = json_object_get(header, "typ");
	const char *text = json_string_value(typ);

	if (typ == NULL)
		return true;
	return text != NULL &&
		(strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0 ||
			strcasecmp(text, "application/at+jwt") == 0);
}

static bool is_allowed(const struct cfg_oidc *rules, const char *alg) {
	for (size_t i = 0; i < rules->nb_algorithms; i++) {
		if (strcmp(rules->algorithms[i], alg) == 0)
			return true;
	}
	return false;
}

static enum ipc_oidc_status signature_check(
	const struct cfg_oidc *rules, const struct oidc_keys *keys, cjose_jws_t *jws) {
	const json_t *header = (const json_t *)cjose_jws_get_protected(jws);
	const char *alg = json_string_value(json_object_get(header, "alg"));
	const json_t *kid = json_object_get(header, "kid");
	const cjose_jwk_t *jwk;

	// What must be understood (RFC 7515, 4.1.11) is nothing that we do.
	if (alg == NULL || !is_type(header) || json_object_get(header, "crit") != NULL ||
		(kid != NULL && !json_is_string(kid)))
		return IPC_OIDC_MALFORMED;
	if (!is_allowed(rules, alg))
		return IPC_OIDC_ALGORITHM;
	jwk = keys != NULL ? oidc_keys_find(keys, alg, json_string_value(kid)) : NULL;
	if (jwk == NULL)
		return IPC_OIDC_UNKNOWN_KEY;
	return cjose_jws_verify(jws, jwk, NULL) ? IPC_OIDC_ACCEPTED : IPC_OIDC_SIGNATURE;
}

// --- claims ---

static bool is_text(const json_t *value, const char *text) {
	const char *have = json_string_value(value);

	return have != NULL && strcmp(have, text) == 0;
}

// A string, or an array that has it: RFC 7519, 4.1.3.
static bool has_audience(const struct cfg_oidc *rules, const json_t *aud) {
	for (size_t i = 0; i < rules->nb_audiences; i++) {
		const json_t *entry;
		size_t n;

		if (is_text(aud, rules->audiences[i]))
			return true;
		json_array_foreach(aud, n, entry) {
			if (is_text(entry, rules->audiences[i]))
				return true;
		}
	}
	return false;
}

static bool seconds_get(const json_t *claims, const char *name, double *seconds) {
	const json_t *value = json_object_get(claims, name);

	*seconds = json_number_value(value);
	return json_is_number(value) && isfinite(*seconds);
}

static enum ipc_oidc_status time_check(
	const struct cfg_oidc *rules, const json_t *claims, time_t now) {
	static const char *const not_before[] = {"nbf", "iat"};
	double at, skew = rules->clock_skew;

	if (!seconds_get(claims, "exp", &at))
		return IPC_OIDC_MALFORMED;
	if (at + skew <= (double)now)
		return IPC_OIDC_EXPIRED;
	for (size_t i = 0; i < 2; i++) {
		if (json_object_get(claims, not_before[i]) == NULL)
			continue;
		if (!seconds_get(claims, not_before[i], &at))
			return IPC_OIDC_MALFORMED;
		if (at - skew > (double)now)
			return IPC_OIDC_NOT_YET;
	}
	return IPC_OIDC_ACCEPTED;
}

// Text as it is, true and false, whole numbers.
static bool is_value(const json_t *value, const char *text) {
	char number[32];

	if (json_is_boolean(value))
		return strcmp(text, json_is_true(value) ? "true" : "false") == 0;
	if (!json_is_integer(value))
		return is_text(value, text);
	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return strcmp(text, number) == 0;
}

static bool has_claim(const json_t *claims, const struct cfg_claim *wanted) {
	const json_t *value = json_object_get(claims, wanted->name), *entry;
	size_t n;

	if (is_value(value, wanted->value))
		return true;
	json_array_foreach(value, n, entry) {
		if (is_value(entry, wanted->value))
			return true;
	}
	return false;
}

static bool has_required(const struct cfg_oidc *rules, const json_t *claims) {
	for (size_t i = 0; i < rules->nb_required; i++) {
		if (!has_claim(claims, &rules->required[i]))
			return false;
	}
	return true;
}

static bool user_get(const struct cfg_oidc *rules, const json_t *claims, char *user) {
	const json_t *value = json_object_get(claims, rules->user_claim);
	const char *text = json_string_value(value);

	// A NUL within the name would cut it down to another's.
	if (text == NULL || text[0] == '\0' || strlen(text) != json_string_length(value) ||
		strlen(text) >= IPC_USER_LEN || !ipc_str_ok(text, IPC_USER_LEN))
		return false;
	strcpy(user, text);
	return true;
}

// A name that cannot stand in a list is no group of ours; what finds no place is left out.
static void group_add(const json_t *value, char *groups) {
	const char *name = json_string_value(value);
	size_t len = strlen(groups), more = name != NULL ? strlen(name) : 0;

	if (more == 0 || more != json_string_length(value) || more >= IPC_GROUP_LEN ||
		!ipc_str_ok(name, IPC_GROUP_LEN) || strpbrk(name, ",:;/?#") != NULL ||
		len + 1 + more >= IPC_GROUPS_LEN)
		return;
	snprintf(groups + len, IPC_GROUPS_LEN - len, "%s%s", len > 0 ? "," : "", name);
}

static void groups_get(const struct cfg_oidc *rules, const json_t *claims, char *groups) {
	const json_t *value = json_object_get(claims, rules->group_claim), *entry;
	size_t n;

	if (json_is_string(value))
		group_add(value, groups);
	json_array_foreach(value, n, entry)
		group_add(entry, groups);
}

static enum ipc_oidc_status claims_check(
	const struct cfg_oidc *rules, const json_t *claims, time_t now, char *user, char *groups) {
	enum ipc_oidc_status status;

	if (!json_is_object(claims))
		return IPC_OIDC_MALFORMED;
	if (!is_text(json_object_get(claims, "iss"), rules->issuer))
		return IPC_OIDC_ISSUER;
	if (!has_audience(rules, json_object_get(claims, "aud")))
		return IPC_OIDC_AUDIENCE;
	status = time_check(rules, claims, now);
	if (status != IPC_OIDC_ACCEPTED)
		return status;
	if (!has_required(rules, claims))
		return IPC_OIDC_CLAIM;
	if (!user_get(rules, claims, user))
		return IPC_OIDC_USER;
	groups_get(rules, claims, groups);
	return IPC_OIDC_ACCEPTED;
}

enum ipc_oidc_status oidc_token_check(const struct cfg_oidc *rules, const struct oidc_keys *keys,
	const char *token, size_t len, time_t now, char *user, char *groups) {
	enum ipc_oidc_status status;
	cjose_jws_t *jws;
	json_t *claims = NULL;
	uint8_t *text;
	size_t text_len;

	user[0] = groups[0] = '\0';
	if (!is_compact(token, len))
		return IPC_OIDC_MALFORMED;
	jws = cjose_jws_import(token, len, NULL);
	if (jws == NULL)
		return IPC_OIDC_MALFORMED;
	status = signature_check(rules, keys, jws);
	if (status == IPC_OIDC_ACCEPTED && cjose_jws_get_plaintext(jws, &text, &text_len, NULL))
		claims = json_loadb((const char *)text, text_len, JSON_REJECT_DUPLICATES, NULL);
	if (status == IPC_OIDC_ACCEPTED)
		status = claims_check(rules, claims, now, user, groups);
	json_decref(claims);
	cjose_jws_release(jws);
	return status;
}

void oidc_token_init(void) {
	json_set_alloc_funcs(malloc, wiping_free);
	cjose_set_alloc_funcs(malloc, wiping_realloc, wiping_free);
}
