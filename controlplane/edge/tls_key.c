// SPDX-License-Identifier: GPL-3.0-or-later
// Throwaway private keys and the names of a certificate; called by tls.c.

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tls_key.h"

#define MODULUS_MAX 1024u
#define NAMES_MAX 256u

// A DER writer that only knows what an RSAPrivateKey is made of (RFC 8017, A.1.2).
struct der {
	uint8_t data[2 * MODULUS_MAX];
	size_t len;
};

static void der_header(struct der *der, uint8_t tag, size_t len) {
	der->data[der->len++] = tag;
	if (len >= 0x80)
		der->data[der->len++] = len > 0xff ? 0x82 : 0x81;
	if (len > 0xff)
		der->data[der->len++] = (uint8_t)(len >> 8);
	der->data[der->len++] = (uint8_t)len;
}

static void der_integer(struct der *der, const uint8_t *number, size_t len) {
	bool pad = number[0] >= 0x80; // not negative

	der_header(der, 0x02, len + pad);
	if (pad)
		der->data[der->len++] = 0;
	memcpy(der->data + der->len, number, len);
	der->len += len;
}

// The public numbers of the certificate and nonsense for the private ones.
static uint8_t *rsa_key(DecodedCert *leaf, size_t *len) {
	uint8_t e[8], n[MODULUS_MAX];
	word32 e_len = sizeof(e), n_len = sizeof(n), at = 0;
	static const uint8_t zero, three = 3;
	struct der body = {.len = 0}, whole = {.len = 0};
	RsaKey public;
	uint8_t *out = NULL;

	if (wc_InitRsaKey(&public, NULL) != 0)
		return NULL;
	if (wc_RsaPublicKeyDecode(leaf->publicKey, &at, &public, leaf->pubKeySize) != 0 ||
		wc_RsaFlattenPublicKey(&public, e, &e_len, n, &n_len) != 0)
		goto out;
	der_integer(&body, &zero, 1);
	der_integer(&body, n, n_len);
	der_integer(&body, e, e_len);
	for (int i = 0; i < 6; i++) // d, p, q, d mod p-1, d mod q-1, 1/q mod p
		der_integer(&body, &three, 1);
	der_header(&whole, 0x30, body.len);
	memcpy(whole.data + whole.len, body.data, body.len);
	whole.len += body.len;
	out = malloc(whole.len);
	if (out != NULL) {
		memcpy(out, whole.data, whole.len);
		*len = whole.len;
	}
out:
	wc_FreeRsaKey(&public);
	return out;
}

// A fresh key on the certificate's curve.
static uint8_t *ecc_key_new(DecodedCert *leaf, size_t *len) {
	ecc_key public, fresh;
	word32 at = 0;
	uint8_t *out = NULL;
	WC_RNG rng;
	int n;

	if (wc_InitRng(&rng) != 0)
		return NULL;
	wc_ecc_init(&public);
	wc_ecc_init(&fresh);
	if (wc_EccPublicKeyDecode(leaf->publicKey, &at, &public, leaf->pubKeySize) != 0 ||
		wc_ecc_make_key_ex(
			&rng, wc_ecc_size(&public), &fresh, wc_ecc_get_curve_id(public.idx)) != 0)
		goto out;
	out = malloc(512);
	n = out ? wc_EccKeyToDer(&fresh, out, 512) : -1;
	if (n <= 0) {
		free(out);
		out = NULL;
	} else {
		*len = (size_t)n;
	}
out:
	wc_ecc_free(&public);
	wc_ecc_free(&fresh);
	wc_FreeRng(&rng);
	return out;
}

uint8_t *tls_throwaway_key(
	const uint8_t *leaf_der, size_t leaf_len, enum ipc_key type, size_t *len) {
	DecodedCert leaf;
	uint8_t *key = NULL;

	wc_InitDecodedCert(&leaf, leaf_der, (word32)leaf_len, NULL);
	if (wc_ParseCert(&leaf, CERT_TYPE, NO_VERIFY, NULL) == 0) {
		if (type == IPC_KEY_RSA && leaf.keyOID == RSAk)
			key = rsa_key(&leaf, len);
		else if (type == IPC_KEY_ECDSA && leaf.keyOID == ECDSAk)
			key = ecc_key_new(&leaf, len);
	}
	wc_FreeDecodedCert(&leaf);
	return key;
}

static bool name_add(char **names, size_t *n, const char *name, int len) {
	if (*n == NAMES_MAX || len <= 0 || len > 255 || memchr(name, '\0', (size_t)len) != NULL)
		return true;
	names[*n] = strndup(name, (size_t)len);
	if (names[*n] == NULL)
		return false;
	(*n)++;
	return true;
}

char **tls_cert_names(const uint8_t *leaf_der, size_t leaf_len, size_t *n) {
	char **names = calloc(NAMES_MAX, sizeof(*names));
	DecodedCert leaf;
	bool ok = names != NULL;

	*n = 0;
	wc_InitDecodedCert(&leaf, leaf_der, (word32)leaf_len, NULL);
	if (wc_ParseCert(&leaf, CERT_TYPE, NO_VERIFY, NULL) != 0)
		ok = false;
	for (DNS_entry *alt = ok ? leaf.altNames : NULL; ok && alt != NULL; alt = alt->next) {
		if (alt->type == ASN_DNS_TYPE)
			ok = name_add(names, n, alt->name, alt->len);
	}
	if (ok && *n == 0 && leaf.subjectCN != NULL)
		ok = name_add(names, n, leaf.subjectCN, leaf.subjectCNLen);
	wc_FreeDecodedCert(&leaf);
	if (ok)
		return names;
	for (size_t i = 0; i < *n; i++)
		free(names[i]);
	free(names);
	*n = 0;
	return NULL;
}
