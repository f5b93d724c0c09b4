// SPDX-License-Identifier: GPL-3.0-or-later
// CAs and certificates of the tests' own, made by OpenSSL.
#pragma once

#include <openssl/x509.h>

#include "controlplane/auth/client_cert.h"

#define DAY (24L * 3600)
#define UID "0.9.2342.19200300.100.1.1"
#define CLIENT "extendedKeyUsage=clientAuth"
#define CA "basicConstraints=critical,CA:TRUE"
#define CA_KEY "keyUsage=critical,keyCertSign,cRLSign"

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

// What a certificate has; all zero is one of a client for ten days.
struct recipe {
	const char *extensions[4]; // NULL: those of a client
	long begins, ends; // s from now; both 0: the usual
	const EVP_MD *md; // NULL: SHA-256
	unsigned rsa_bits; // 0: P-256
};

// `issuer` NULL: its own. The subject stays to be filled, then identity_sign().
struct identity identity_begin(const struct identity *issuer, const struct recipe *recipe);
void identity_sign(
	struct identity *made, const struct identity *issuer, const struct recipe *recipe);
// With the name as its common name and user id.
struct identity identity_make(
	const struct identity *issuer, const char *user, const struct recipe *recipe);
void identity_drop(struct identity *identity);

// The chain behind their lengths, as auth gets it from an edge. Returns the bytes.
size_t identity_chain_put(uint8_t *out, X509 *const *certs, size_t n);
// Of a certificate and (or NULL) another one.
struct client_chain identity_chain(X509 *leaf, X509 *issuer);
