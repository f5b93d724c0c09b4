// SPDX-License-Identifier: GPL-3.0-or-later
// The documents of an OpenID provider: its discovery document and its keys (JWKS). No I/O.
#pragma once

#include <cjose/cjose.h>
#include <stdbool.h>
#include <stddef.h>

#define OIDC_KEYS_MAX 64u // keys of one set that are looked at
#define OIDC_URL_LEN 1024u

struct oidc_keys;

// A JSON Web Key Set (RFC 7517, 5). Kept are public keys for signatures that this library can check:
// RSA of 2,048 to 8,192 bits and the curves P-256, P-384 and P-521; others are skipped, symmetric
// ones above all: a public document holds no secret. NULL: not a set, no usable key, or no memory.
struct oidc_keys *oidc_keys_new(const char *json, size_t len);
void oidc_keys_free(struct oidc_keys *keys);
size_t oidc_keys_count(const struct oidc_keys *keys);

// The key for a signature by `alg` (RFC 7518, 3.1) whose id is `kid`; without an id (NULL) the only
// one that fits. NULL: none, or `alg` is not known. Owned by the set.
const cjose_jwk_t *oidc_keys_find(const struct oidc_keys *keys, const char *alg, const char *kid);

// Characters of base64url without padding (RFC 7515, 2), at least one. cjose 0.6.2 ends the process
// where it finds padding in the middle (an assertion), so it is given nothing else.
bool oidc_is_base64url(const char *text, size_t len);

// OpenID Connect Discovery 1.0, 4.2 and 4.3: the issuer has to be `issuer`, and the keys behind
// https. NULL: `jwks_uri` (OIDC_URL_LEN bytes) is filled; else what is wrong: a literal.
const char *oidc_discovery_read(const char *json, size_t len, const char *issuer, char *jwks_uri);

// Cache-Control's max-age in seconds (RFC 9111, 5.2.2); 0 for no-store and no-cache; -1: it says
// nothing about that.
long oidc_max_age(const char *value);
