// SPDX-License-Identifier: GPL-3.0-or-later
// CAs and certificates of the tests' own; used by tests of clients' certificates.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "identity.h"

static long serial;

static void name_add(X509_NAME *name, const char *field, const char *value) {
	assert_int_equal(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
				 (const unsigned char *)value, -1, -1, 0),
		1);
}

static void extension_add(X509 *cert, X509 *issuer, const char *text) {
	char *copy = strdup(text), *value = strchr(copy, '=');
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	*value++ = '\0';
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf(NULL, &ctx, copy, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
	free(copy);
}

static void extensions_add(X509 *cert, X509 *issuer, const struct recipe *recipe) {
	if (recipe->extensions[0] == NULL)
		extension_add(cert, issuer, CLIENT);
	for (size_t i = 0; i < 4 && recipe->extensions[i] != NULL; i++) {
		if (recipe->extensions[i][0] != '\0')
			extension_add(cert, issuer, recipe->extensions[i]);
	}
}

struct identity identity_begin(const struct identity *issuer, const struct recipe *recipe) {
	struct identity made = {.cert = X509_new(),
		.key = recipe->rsa_bits ? EVP_RSA_gen(recipe->rsa_bits) : EVP_EC_gen("P-256")};
	long ends = recipe->begins || recipe->ends ? recipe->ends : 10 * DAY;

	assert_non_null(made.key);
	X509_set_version(made.cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(made.cert), recipe->begins ? recipe->begins : -60);
	X509_gmtime_adj(X509_getm_notAfter(made.cert), ends);
	X509_set_pubkey(made.cert, made.key);
	extensions_add(made.cert, issuer ? issuer->cert : made.cert, recipe);
	return made;
}

void identity_sign(
	struct identity *made, const struct identity *issuer, const struct recipe *recipe) {
	const struct identity *by = issuer ? issuer : made;

	X509_set_issuer_name(made->cert, X509_get_subject_name(by->cert));
	assert_true(X509_sign(made->cert, by->key, recipe->md ? recipe->md : EVP_sha256()) > 0);
}

struct identity identity_make(
	const struct identity *issuer, const char *user, const struct recipe *recipe) {
	struct identity made = identity_begin(issuer, recipe);

	name_add(X509_get_subject_name(made.cert), "CN", user);
	name_add(X509_get_subject_name(made.cert), UID, user);
	identity_sign(&made, issuer, recipe);
	return made;
}

void identity_drop(struct identity *identity) {
	X509_free(identity->cert);
	EVP_PKEY_free(identity->key);
	*identity = (struct identity){0};
}

size_t identity_chain_put(uint8_t *out, X509 *const *certs, size_t n) {
	uint8_t *at = out;

	for (size_t i = 0; i < n; i++) {
		int len = i2d_X509(certs[i], NULL);

		*at++ = (uint8_t)(len >> 16);
		*at++ = (uint8_t)(len >> 8);
		*at++ = (uint8_t)len;
		i2d_X509(certs[i], &at);
	}
	return (size_t)(at - out);
}

struct client_chain identity_chain(X509 *leaf, X509 *issuer) {
	X509 *certs[] = {leaf, issuer};
	struct client_chain chain;
	uint8_t data[8192];
	size_t len = identity_chain_put(data, certs, issuer != NULL ? 2 : 1);

	assert_int_equal(client_chain_read(&chain, data, len), 0);
	return chain;
}
