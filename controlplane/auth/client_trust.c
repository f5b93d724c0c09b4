// SPDX-License-Identifier: GPL-3.0-or-later
// Checks clients' certificates against CAs and revocation lists, by OpenSSL's libcrypto; called by
// factor_certificate.c.
//
// Strict where the library is not: a certificate must say that it is one of a client (extended key
// usage), a CA that it is one (basic constraints), and with revocation lists each certificate below
// the CA that is trusted needs one that is in its time.

#include "client_trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/proc/bytes.h"

#define DEPTH_MAX 8 // CAs between a client's certificate and one that is trusted
#define LEN_LEN 2u
#define NAME_MAX_LEN 256u // wolfSSL, which tells clients, has no room for more
#define SECURITY_LEVEL 2 // 112 bits: RSA of 2,048, no SHA-1

struct client_trust {
	STACK_OF(X509) * cas; // NULL: none yet
	STACK_OF(X509_CRL) * crls[CFG_CRL_FILES_MAX]; // NULL: none yet
	X509_STORE *store; // of all these; NULL: to be made anew
};

struct client_trust *client_trust_new(void) {
	return calloc(1, sizeof(struct client_trust));
}

static void store_drop(struct client_trust *trust) {
	X509_STORE_free(trust->store);
	trust->store = NULL;
}

static void crls_drop(struct client_trust *trust, unsigned file) {
	sk_X509_CRL_pop_free(trust->crls[file], X509_CRL_free);
	trust->crls[file] = NULL;
}

void client_trust_free(struct client_trust *trust) {
	if (trust == NULL)
		return;
	store_drop(trust);
	for (unsigned i = 0; i < CFG_CRL_FILES_MAX; i++)
		crls_drop(trust, i);
	sk_X509_pop_free(trust->cas, X509_free);
	free(trust);
}

// ---- files

// Behind the last object of a PEM file, and not in the middle of a broken one.
static bool pem_at_end(void) {
	unsigned long error = ERR_peek_last_error();

	return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

int client_trust_cas_set(struct client_trust *trust, const char *text, size_t len) {
	BIO *bio = BIO_new_mem_buf(text, (int)len);
	STACK_OF(X509) *cas = sk_X509_new_null();
	X509 *cert;
	bool ok = bio != NULL && cas != NULL;

	ERR_clear_error();
	while (ok && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		// X509_check_ca() also says what extensions that cannot be read are worth: nothing.
		ok = X509_check_ca(cert) == 1 && sk_X509_push(cas, cert) > 0;
		if (!ok)
			X509_free(cert);
	}
	ok = ok && pem_at_end() && sk_X509_num(cas) > 0;
	ERR_clear_error();
	BIO_free(bio);
	if (!ok) {
		sk_X509_pop_free(cas, X509_free);
		return -EINVAL;
	}
	sk_X509_pop_free(trust->cas, X509_free);
	trust->cas = cas;
	store_drop(trust);
	return 0;
}

// Not signed by a CA of its issuer's name that is known here. Of others nothing can be said yet.
static bool is_forged(const struct client_trust *trust, X509_CRL *crl) {
	bool known = false;

	for (int i = 0; i < sk_X509_num(trust->cas); i++) {
		X509 *ca = sk_X509_value(trust->cas, i);

		if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) != 0)
			continue;
		if (X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
			return false;
		known = true;
	}
	return known;
}

static bool crl_add(
	const struct client_trust *trust, STACK_OF(X509_CRL) * crls, X509_CRL *crl, bool *expired) {
	const ASN1_TIME *end = X509_CRL_get0_nextUpdate(crl);

	if (end == NULL || is_forged(trust, crl) || sk_X509_CRL_push(crls, crl) == 0) {
		X509_CRL_free(crl);
		return false;
	}
	*expired |= X509_cmp_current_time(end) <= 0;
	return true;
}

static bool crls_read(const struct client_trust *trust, STACK_OF(X509_CRL) * crls, const char *text,
	size_t len, bool *expired) {
	const unsigned char *at = (const unsigned char *)text;
	X509_CRL *crl;
	BIO *bio;
	bool ok;

	if (len > 0 && at[0] == 0x30) { // DER: a SEQUENCE
		crl = d2i_X509_CRL(NULL, &at, (long)len);
		if (crl != NULL && at != (const unsigned char *)text + len) {
			X509_CRL_free(crl);
			crl = NULL;
		}
		return crl != NULL && crl_add(trust, crls, crl, expired);
	}
	bio = BIO_new_mem_buf(text, (int)len);
	ok = bio != NULL;
	while (ok && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL)
		ok = crl_add(trust, crls, crl, expired);
	ok = ok && pem_at_end();
	BIO_free(bio);
	return ok && sk_X509_CRL_num(crls) > 0;
}

int client_trust_crls_set(
	struct client_trust *trust, unsigned file, const char *text, size_t len, bool *expired) {
	STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
	bool ok;

	*expired = false;
	ERR_clear_error();
	ok = crls != NULL && file < CFG_CRL_FILES_MAX && crls_read(trust, crls, text, len, expired);
	ERR_clear_error();
	if (!ok) {
		sk_X509_CRL_pop_free(crls, X509_CRL_free);
		return -EINVAL;
	}
	crls_drop(trust, file);
	trust->crls[file] = crls;
	store_drop(trust);
	return 0;
}

void client_trust_crls_limit(struct client_trust *trust, unsigned nb_files) {
	for (unsigned i = nb_files; i < CFG_CRL_FILES_MAX; i++) {
		if (trust->crls[i] == NULL)
			continue;
		crls_drop(trust, i);
		store_drop(trust);
	}
}

const char *client_trust_missing(const struct client_trust *trust, unsigned nb_files) {
	if (trust->cas == NULL)
		return "the CAs of clients cannot be read";
	for (unsigned i = 0; i < nb_files && i < CFG_CRL_FILES_MAX; i++) {
		if (trust->crls[i] == NULL)
			return "a revocation list cannot be read";
	}
	return NULL;
}

size_t client_trust_names(const struct client_trust *trust, uint8_t *out, size_t size) {
	size_t used = 0, len;
	const uint8_t *der;

	for (int i = 0; i < sk_X509_num(trust->cas); i++) {
		X509 *ca = sk_X509_value(trust->cas, i);

		if (X509_NAME_get0_der(X509_get_subject_name(ca), &der, &len) != 1 ||
			len > NAME_MAX_LEN || used + LEN_LEN + len > size)
			return 0;
		bytes_put(out + used, LEN_LEN, len);
		memcpy(out + used + LEN_LEN, der, len);
		used += LEN_LEN + len;
	}
	return used;
}

// ---- check

static X509_STORE *store_new(const struct client_trust *trust) {
	X509_STORE *store = X509_STORE_new();
	unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN; // a subordinate CA may be trusted alone
	bool ok = store != NULL;

	for (int i = 0; ok && i < sk_X509_num(trust->cas); i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(trust->cas, i)) == 1;
	for (unsigned f = 0; ok && f < CFG_CRL_FILES_MAX; f++) {
		for (int i = 0; ok && i < sk_X509_CRL_num(trust->crls[f]); i++)
			ok = X509_STORE_add_crl(store, sk_X509_CRL_value(trust->crls[f], i)) == 1;
		if (trust->crls[f] != NULL)
			flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
	}
	if (ok && X509_STORE_set_flags(store, flags) == 1)
		return store;
	X509_STORE_free(store);
	return NULL;
}

// Who is trusted by the configuration is not asked for a list that revokes it.
static int on_verify(int ok, X509_STORE_CTX *ctx) {
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	int last = sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) - 1;

	if (!ok && X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNABLE_TO_GET_CRL && depth > 0 &&
		depth == last)
		return 1;
	return ok;
}

// What the library lets pass.
static const char *chain_check(const STACK_OF(X509) * certs) {
	X509 *leaf = sk_X509_value(certs, 0);

	if ((X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) == 0 ||
		(X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT) == 0)
		return "certificate is not for clients (extended key usage)";
	// One that is in the file of CAs vouches for others, not for itself.
	if (sk_X509_num(certs) < 2)
		return "certificate is a CA's own";
	for (int i = 1; i < sk_X509_num(certs); i++) {
		if (X509_check_ca(sk_X509_value(certs, i)) != 1)
			return "issuer is not a CA (basic constraints)";
	}
	return NULL;
}

static const char *verify(X509_STORE_CTX *ctx) {
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	X509_STORE_CTX_set_verify_cb(ctx, on_verify);
	if (X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) != 1)
		return "certificate cannot be checked";
	if (X509_verify_cert(ctx) != 1)
		return X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
	return chain_check(X509_STORE_CTX_get0_chain(ctx));
}

static void issuer_take(X509_STORE_CTX *ctx, X509 **issuer) {
	*issuer = sk_X509_value(X509_STORE_CTX_get0_chain(ctx), 1);
	X509_up_ref(*issuer);
}

const char *client_trust_check(
	struct client_trust *trust, const struct client_chain *chain, X509 **issuer) {
	const char *why = "certificate cannot be checked";
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	if (trust->store == NULL)
		trust->store = store_new(trust);
	if (ctx != NULL && trust->store != NULL &&
		X509_STORE_CTX_init(
			ctx, trust->store, sk_X509_value(chain->certs, 0), chain->certs) == 1)
		why = verify(ctx);
	if (why == NULL && issuer != NULL)
		issuer_take(ctx, issuer);
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return why;
}
