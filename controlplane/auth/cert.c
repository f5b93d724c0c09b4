// SPDX-License-Identifier: GPL-3.0-or-later
// One certificate chain with its private key: checking that they fit, and signing; called by
// certset.c. The only place in the program that holds a TLS private key.

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/sha.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "pem.h"

#define RSA_BITS_MIN 2048
#define DER_MAX 16384u

struct cert_pair {
	enum ipc_key type;
	union {
		RsaKey rsa;
		ecc_key ecc;
	} private_key;
	WC_RNG rng; // nonces and blinding
	uint8_t sha1[20];
	uint32_t chain_len;
	char chain[IPC_CHAIN_MAX];
};

// Hashes that TLS 1.2 and 1.3 sign, with the DER that PKCS #1 puts before them (RFC 8017, 9.2).
static const struct digest {
	enum wc_HashType type;
	uint8_t len;
	uint8_t info[19];
} digests[] = {
	{WC_HASH_TYPE_SHA256, 32,
		{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
			0x01, 0x05, 0x00, 0x04, 0x20}},
	{WC_HASH_TYPE_SHA384, 48,
		{0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
			0x02, 0x05, 0x00, 0x04, 0x30}},
	{WC_HASH_TYPE_SHA512, 64,
		{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
			0x03, 0x05, 0x00, 0x04, 0x40}},
};
#define NB_DIGESTS (sizeof(digests) / sizeof(digests[0]))

// --- loading ---

// Only certificates: the file may hold the key too, which goes to nobody.
static int chain_copy(struct cert_pair *pair, const char *pem) {
	size_t n;

	while ((pem = pem_first(pem, &n)) != NULL) {
		if (n >= IPC_CHAIN_MAX - pair->chain_len)
			return -E2BIG;
		memcpy(pair->chain + pair->chain_len, pem, n);
		pair->chain_len += (uint32_t)n;
		pem += n;
	}
	return pair->chain_len > 0 ? 0 : -ENOENT;
}

// Tries the key as RSA, then as ECDSA.
static int key_decode(struct cert_pair *pair, const uint8_t *der, word32 len) {
	word32 at = 0;

	if (wc_InitRsaKey(&pair->private_key.rsa, NULL) != 0)
		return -ENOMEM;
	if (wc_RsaPrivateKeyDecode(der, &at, &pair->private_key.rsa, len) == 0) {
		pair->type = IPC_KEY_RSA;
		return wc_RsaSetRNG(&pair->private_key.rsa, &pair->rng) == 0 ? 0 : -ENOMEM;
	}
	wc_FreeRsaKey(&pair->private_key.rsa);
	at = 0;
	if (wc_ecc_init(&pair->private_key.ecc) != 0)
		return -ENOMEM;
	if (wc_EccPrivateKeyDecode(der, &at, &pair->private_key.ecc, len) == 0) {
		pair->type = IPC_KEY_ECDSA;
		return 0;
	}
	wc_ecc_free(&pair->private_key.ecc);
	return -EINVAL;
}

static int key_load(struct cert_pair *pair, const char *pem, size_t len) {
	uint8_t *der_key = malloc(DER_MAX);
	int n, err = -EINVAL;

	if (der_key == NULL)
		return -ENOMEM;
	n = wc_KeyPemToDer((const unsigned char *)pem, (int)len, der_key, (int)DER_MAX, NULL);
	if (n > 0)
		err = key_decode(pair, der_key, (word32)n);
	explicit_bzero(der_key, DER_MAX);
	free(der_key);
	return err;
}

// Keys that TLS peers take and that fit the messages: RSA of 2048 bits and more, P-256, P-384.
static const char *key_weak(const struct cert_pair *pair) {
	if (pair->type == IPC_KEY_RSA) {
		int bytes = wc_RsaEncryptSize(&pair->private_key.rsa);

		if (bytes * 8 < RSA_BITS_MIN)
			return "an RSA key of fewer than 2048 bits";
		return bytes > 512 ? "an RSA key of more than 4096 bits" : NULL;
	}
	switch (wc_ecc_get_curve_id(pair->private_key.ecc.idx)) {
	case ECC_SECP256R1:
	case ECC_SECP384R1:
		return NULL;
	default:
		return "an ECDSA key on another curve than P-256 or P-384";
	}
}

static bool rsa_fits(const struct ipc_sign_req *req, struct ipc_signed *sig, DecodedCert *leaf) {
	uint8_t plain[IPC_SIGN_OUT_MAX];
	RsaKey public;
	word32 at = 0;
	bool ok = false;
	int n;

	if (wc_InitRsaKey(&public, NULL) != 0)
		return false;
	if (wc_RsaPublicKeyDecode(leaf->publicKey, &at, &public, leaf->pubKeySize) == 0) {
		n = wc_RsaSSL_Verify(sig->out, sig->out_len, plain, sizeof(plain), &public);
		ok = n == (int)req->in_len && memcmp(plain, req->in, req->in_len) == 0;
	}
	wc_FreeRsaKey(&public);
	return ok;
}

static bool ecc_fits(const struct ipc_sign_req *req, struct ipc_signed *sig, DecodedCert *leaf) {
	ecc_key public;
	word32 at = 0;
	int ok = 0;

	if (wc_ecc_init(&public) != 0)
		return false;
	if (wc_EccPublicKeyDecode(leaf->publicKey, &at, &public, leaf->pubKeySize) != 0 ||
		wc_ecc_verify_hash(sig->out, sig->out_len, req->in, req->in_len, &ok, &public) != 0)
		ok = 0;
	wc_ecc_free(&public);
	return ok == 1;
}

// The proof that key and certificate belong together: a signature that the certificate verifies.
static bool key_fits(struct cert_pair *pair, DecodedCert *leaf) {
	struct ipc_sign_req req = {.kind = IPC_SIGN_ECDSA, .in_len = 32};
	struct ipc_signed sig;

	if (pair->type == IPC_KEY_RSA) {
		req.kind = IPC_SIGN_RSA_PKCS1;
		req.in_len = sizeof(digests[0].info) + 32;
		memcpy(req.in, digests[0].info, sizeof(digests[0].info));
	}
	memset(req.in + req.in_len - 32, 0x5a, 32);
	if (leaf->keyOID != (pair->type == IPC_KEY_RSA ? RSAk : ECDSAk))
		return false;
	if (cert_pair_sign(pair, &req, &sig) != 0)
		return false;
	return pair->type == IPC_KEY_RSA ? rsa_fits(&req, &sig, leaf) : ecc_fits(&req, &sig, leaf);
}

static void dates_check(
	const uint8_t *der, size_t der_len, const char *name, char *text, size_t len) {
	WOLFSSL_X509 *x509 = wolfSSL_X509_d2i(NULL, der, (int)der_len);

	if (x509 == NULL)
		return;
	if (wolfSSL_X509_cmp_current_time(wolfSSL_X509_get_notAfter(x509)) < 0)
		snprintf(text, len, "%s: the certificate has expired", name);
	else if (wolfSSL_X509_cmp_current_time(wolfSSL_X509_get_notBefore(x509)) > 0)
		snprintf(text, len, "%s: the certificate is not valid yet", name);
	wolfSSL_X509_free(x509);
}

static int leaf_check(
	struct cert_pair *pair, const struct cert_source *source, char *text, size_t len) {
	const char *pem;
	size_t n, der_len;
	DecodedCert leaf;
	uint8_t *der;
	int err = -EINVAL;

	pem = pem_first(pair->chain, &n);
	der = pem_to_der(pem, n, &der_len);
	if (der == NULL) {
		snprintf(text, len, "%s: the first certificate cannot be decoded",
			source->chain_name);
		return -EINVAL;
	}
	wc_InitDecodedCert(&leaf, der, (word32)der_len, NULL);
	if (wc_ParseCert(&leaf, CERT_TYPE, NO_VERIFY, NULL) != 0) {
		snprintf(text, len, "%s: the first certificate cannot be decoded",
			source->chain_name);
	} else if (!key_fits(pair, &leaf)) {
		snprintf(text, len, "%s: the key is not that of the certificate in %s",
			source->key_name, source->chain_name);
	} else {
		err = wc_ShaHash(der, (word32)der_len, pair->sha1) == 0 ? 0 : -EIO;
		dates_check(der, der_len, source->chain_name, text, len);
	}
	wc_FreeDecodedCert(&leaf);
	free(der);
	return err;
}

struct cert_pair *cert_pair_new(const struct cert_source *source, char *text, size_t len) {
	struct cert_pair *pair = calloc(1, sizeof(*pair));
	const char *weak;
	int err;

	text[0] = '\0';
	if (pair == NULL || wc_InitRng(&pair->rng) != 0) {
		snprintf(text, len, "%s: no memory or no random numbers", source->chain_name);
		free(pair);
		return NULL;
	}
	err = chain_copy(pair, source->chain_pem);
	if (err != 0) {
		snprintf(text, len,
			err == -E2BIG ? "%s: the chain is longer than 24 KiB"
				      : "%s: there is no certificate (PEM) in it",
			source->chain_name);
		goto fail;
	}
	if (key_load(pair, source->key_pem, source->key_len) != 0) {
		snprintf(text, len,
			"%s: there is no RSA or ECDSA private key (PEM, not encrypted) in it",
			source->key_name);
		goto fail;
	}
	weak = key_weak(pair);
	if (weak != NULL) {
		snprintf(text, len, "%s: %s", source->key_name, weak);
		goto fail;
	}
	if (leaf_check(pair, source, text, len) == 0)
		return pair;
fail:
	cert_pair_free(pair);
	return NULL;
}

void cert_pair_free(struct cert_pair *pair) {
	if (pair == NULL)
		return;
	if (pair->type == IPC_KEY_RSA)
		wc_FreeRsaKey(&pair->private_key.rsa);
	else if (pair->type == IPC_KEY_ECDSA)
		wc_ecc_free(&pair->private_key.ecc);
	wc_FreeRng(&pair->rng);
	explicit_bzero(pair, sizeof(*pair));
	free(pair);
}

void cert_pair_describe(const struct cert_pair *pair, struct ipc_certs *msg) {
	msg->key_type = pair->type;
	msg->chain_len = pair->chain_len;
	memcpy(msg->sha1, pair->sha1, sizeof(msg->sha1));
	memset(msg->chain, 0, sizeof(msg->chain));
	memcpy(msg->chain, pair->chain, pair->chain_len);
}

const uint8_t *cert_pair_sha1(const struct cert_pair *pair) {
	return pair->sha1;
}

// --- signing ---

static const struct digest *digest_by_len(uint32_t len) {
	for (size_t i = 0; i < NB_DIGESTS; i++) {
		if (digests[i].len == len)
			return &digests[i];
	}
	return NULL;
}

// A whole DigestInfo of a known hash, or NULL.
static const struct digest *digest_by_info(const uint8_t *in, uint32_t len) {
	for (size_t i = 0; i < NB_DIGESTS; i++) {
		if (len == sizeof(digests[i].info) + digests[i].len &&
			memcmp(in, digests[i].info, sizeof(digests[i].info)) == 0)
			return &digests[i];
	}
	return NULL;
}

static int ecdsa_sign(
	struct cert_pair *pair, const struct ipc_sign_req *req, struct ipc_signed *out) {
	word32 len = IPC_SIGN_OUT_MAX;

	if (pair->type != IPC_KEY_ECDSA || digest_by_len(req->in_len) == NULL)
		return -EINVAL;
	if (wc_ecc_sign_hash(
		    req->in, req->in_len, out->out, &len, &pair->rng, &pair->private_key.ecc) != 0)
		return -EIO;
	out->out_len = len;
	return 0;
}

// A signature with a fault in one half of the CRT gives the key away: each is verified before it
// leaves.
static int pkcs1_sign(
	struct cert_pair *pair, const struct ipc_sign_req *req, struct ipc_signed *out) {
	uint8_t plain[IPC_SIGN_OUT_MAX];
	int n;

	if (pair->type != IPC_KEY_RSA || digest_by_info(req->in, req->in_len) == NULL)
		return -EINVAL;
	n = wc_RsaSSL_Sign(req->in, req->in_len, out->out, IPC_SIGN_OUT_MAX, &pair->private_key.rsa,
		&pair->rng);
	if (n <= 0)
		return -EIO;
	out->out_len = (uint32_t)n;
	n = wc_RsaSSL_Verify(out->out, out->out_len, plain, sizeof(plain), &pair->private_key.rsa);
	return n == (int)req->in_len && memcmp(plain, req->in, req->in_len) == 0 ? 0 : -EIO;
}

static int mgf_of(enum wc_HashType type) {
	switch (type) {
	case WC_HASH_TYPE_SHA256:
		return WC_MGF1SHA256;
	case WC_HASH_TYPE_SHA384:
		return WC_MGF1SHA384;
	default:
		return WC_MGF1SHA512;
	}
}

static int pss_sign(
	struct cert_pair *pair, const struct ipc_sign_req *req, struct ipc_signed *out) {
	const struct digest *digest = digest_by_len(req->in_len);
	uint8_t copy[IPC_SIGN_OUT_MAX], plain[IPC_SIGN_OUT_MAX];
	int n;

	if (pair->type != IPC_KEY_RSA || digest == NULL || req->hash != (uint32_t)digest->type)
		return -EINVAL;
	n = wc_RsaPSS_Sign(req->in, req->in_len, out->out, IPC_SIGN_OUT_MAX, digest->type,
		mgf_of(digest->type), &pair->private_key.rsa, &pair->rng);
	if (n <= 0)
		return -EIO;
	out->out_len = (uint32_t)n;
	memcpy(copy, out->out, out->out_len);
	n = wc_RsaPSS_VerifyCheck(copy, out->out_len, plain, sizeof(plain), req->in, req->in_len,
		digest->type, mgf_of(digest->type), &pair->private_key.rsa);
	return n > 0 ? 0 : -EIO;
}

int cert_pair_sign(struct cert_pair *pair, const struct ipc_sign_req *req, struct ipc_signed *out) {
	int err = -EINVAL;

	memset(out, 0, sizeof(*out));
	if (req->in_len > IPC_SIGN_IN_MAX)
		return -EINVAL;
	switch (req->kind) {
	case IPC_SIGN_ECDSA:
		err = ecdsa_sign(pair, req, out);
		break;
	case IPC_SIGN_RSA_PKCS1:
		err = pkcs1_sign(pair, req, out);
		break;
	case IPC_SIGN_RSA_PSS:
		err = pss_sign(pair, req, out);
		break;
	}
	if (err != 0)
		explicit_bzero(out, sizeof(*out));
	out->status = err;
	return err;
}
