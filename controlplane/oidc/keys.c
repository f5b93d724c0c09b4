// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the documents of an OpenID provider by jansson and cjose; called by jwks.c and token.c.

#include "keys.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KID_LEN 256u
#define RSA_BITS_MIN 2048u // RFC 7518, 3.3
#define RSA_BITS_MAX 8192u // a larger one costs time for each token

// What signs: the key's type, and for EC its curve.
static const struct kind {
	const char *alg, *kty, *crv;
} kinds[] = {
	{"RS256", "RSA", NULL},
	{"RS384", "RSA", NULL},
	{"RS512", "RSA", NULL},
	{"PS256", "RSA", NULL},
	{"PS384", "RSA", NULL},
	{"PS512", "RSA", NULL},
	{"ES256", "EC", "P-256"},
	{"ES384", "EC", "P-384"},
	{"ES512", "EC", "P-521"},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct key {
	cjose_jwk_t *jwk;
	char kid[KID_LEN]; // empty: none
	char alg[8]; // empty: any that fits
	const char *kty, *crv; // of `kinds`
};

struct oidc_keys {
	size_t nb;
	struct key keys[OIDC_KEYS_MAX];
};

static const char *text_of(const json_t *object, const char *name) {
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

// The type and curve of a key, or NULL when no known algorithm signs with it.
static const struct kind *kind_of(const json_t *object) {
	const char *kty = text_of(object, "kty"), *crv = text_of(object, "crv");

	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].kty, kty) == 0 &&
			(kinds[i].crv == NULL || strcmp(kinds[i].crv, crv) == 0))
			return &kinds[i];
	}
	return NULL;
}

static bool is_large_enough(const struct kind *kind, const cjose_jwk_t *jwk) {
	size_t bits = cjose_jwk_get_keysize(jwk, NULL);

	return kind->crv != NULL || (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX);
}

bool oidc_is_base64url(const char *text, size_t len) {
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0' || strchr(alphabet, text[i]) == NULL)
			return false;
	}
	return len > 0 && len % 4 != 1;
}

// The public half of a key, of members that can be decoded: nothing else is cjose's to see.
static cjose_jwk_t *import(const struct kind *kind, const json_t *object) {
	static const char *const rsa[] = {"kty", "n", "e"}, *const ec[] = {"kty", "crv", "x", "y"};
	const char *const *names = kind->crv == NULL ? rsa : ec;
	size_t nb = kind->crv == NULL ? 3 : 4;
	json_t *public = json_object();
	cjose_jwk_t *jwk = NULL;
	bool ok = public != NULL;

	for (size_t i = 0; ok && i < nb; i++) {
		const char *text = text_of(object, names[i]);

		ok = (i < nb - 2 || oidc_is_base64url(text, strlen(text))) &&
			json_object_set(public, names[i], json_object_get(object, names[i])) == 0;
	}
	if (ok)
		jwk = cjose_jwk_import_json((cjose_header_t *)public, NULL);
	json_decref(public);
	return jwk;
}

// False: a key that is not for us.
static bool key_read(struct key *key, const json_t *object) {
	const struct kind *kind = kind_of(object);
	const char *use = text_of(object, "use"), *kid = text_of(object, "kid"),
		   *alg = text_of(object, "alg");

	if (kind == NULL || (use[0] != '\0' && strcmp(use, "sig") != 0) || strlen(kid) >= KID_LEN ||
		strlen(alg) >= sizeof(key->alg))
		return false;
	key->jwk = import(kind, object);
	if (key->jwk == NULL)
		return false;
	if (!is_large_enough(kind, key->jwk)) {
		cjose_jwk_release(key->jwk);
		return false;
	}
	strcpy(key->kid, kid);
	strcpy(key->alg, alg);
	key->kty = kind->kty;
	key->crv = kind->crv;
	return true;
}

struct oidc_keys *oidc_keys_new(const char *json, size_t len) {
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL), *object;
	struct oidc_keys *keys = root != NULL ? calloc(1, sizeof(*keys)) : NULL;
	size_t i;

	if (keys != NULL) {
		json_array_foreach(json_object_get(root, "keys"), i, object) {
			if (keys->nb < OIDC_KEYS_MAX && key_read(&keys->keys[keys->nb], object))
				keys->nb++;
		}
	}
	json_decref(root);
	if (keys != NULL && keys->nb == 0) {
		free(keys);
		keys = NULL;
	}
	return keys;
}

void oidc_keys_free(struct oidc_keys *keys) {
	if (keys == NULL)
		return;
	for (size_t i = 0; i < keys->nb; i++)
		cjose_jwk_release(keys->keys[i].jwk);
	free(keys);
}

size_t oidc_keys_count(const struct oidc_keys *keys) {
	return keys->nb;
}

static bool fits(const struct key *key, const struct kind *kind, const char *kid) {
	return strcmp(key->kty, kind->kty) == 0 &&
		(kind->crv == NULL || strcmp(key->crv, kind->crv) == 0) &&
		(key->alg[0] == '\0' || strcmp(key->alg, kind->alg) == 0) &&
		(kid == NULL || strcmp(key->kid, kid) == 0);
}

const cjose_jwk_t *oidc_keys_find(const struct oidc_keys *keys, const char *alg, const char *kid) {
	const struct kind *kind = NULL;
	const cjose_jwk_t *found = NULL;

	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(kinds[i].alg, alg) == 0)
			kind = &kinds[i];
	}
	for (size_t i = 0; kind != NULL && i < keys->nb; i++) {
		if (!fits(&keys->keys[i], kind, kid))
			continue;
		if (found != NULL) // which one is meant is not for us to try out
			return NULL;
		found = keys->keys[i].jwk;
	}
	return found;
}

const char *oidc_discovery_read(const char *json, size_t len, const char *issuer, char *jwks_uri) {
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
	const char *uri = text_of(root, "jwks_uri"), *wrong = NULL;

	if (!json_is_object(root))
		wrong = "the discovery document is no JSON object";
	else if (strcmp(text_of(root, "issuer"), issuer) != 0)
		wrong = "the discovery document is of another issuer";
	else if (strncasecmp(uri, "https://", 8) != 0 || strlen(uri) >= OIDC_URL_LEN)
		wrong = "the discovery document has no jwks_uri by https";
	else
		strcpy(jwks_uri, uri);
	json_decref(root);
	return wrong;
}

// One directive of the list, `len` characters.
static bool is_directive(const char *text, size_t len, const char *name) {
	return len == strlen(name) && strncasecmp(text, name, len) == 0;
}

long oidc_max_age(const char *value) {
	long age = -1;

	while (*value != '\0') {
		size_t len;

		value += strspn(value, " \t,");
		len = strcspn(value, " \t,");
		if (is_directive(value, len, "no-store") || is_directive(value, len, "no-cache"))
			return 0;
		if (len > 8 && strncasecmp(value, "max-age=", 8) == 0)
			age = strtol(value + 8 + (value[8] == '"'), NULL, 10);
		value += len;
	}
	return age < -1 ? 0 : age;
}
