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
#include "content.h"
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

// --- signing ---

// What is signed: a known hash of something.
struct hashed {
	const struct digest *digest;
	uint8_t value[WC_MAX_DIGEST_SIZE];
};

#define INFO_MAX (sizeof(digests[0].info) + WC_MAX_DIGEST_SIZE)

// The DigestInfo of PKCS #1. Returns its length.
static size_t info_make(const struct hashed *hashed, uint8_t *info) {
	const struct digest *digest = hashed->digest;

	memcpy(info, digest->info, sizeof(digest->info));
	memcpy(info + sizeof(digest->info), hashed->value, digest->len);
	return sizeof(digest->info) + digest->len;
}

static int ecdsa_sign(struct cert_pair *pair, const struct hashed *hashed, struct ipc_signed *out) {
	word32 len = IPC_SIGN_OUT_MAX;

	if (pair->type != IPC_KEY_ECDSA)
		return -EINVAL;
	if (wc_ecc_sign_hash(hashed->value, hashed->digest->len, out->out, &len, &pair->rng,
		    &pair->private_key.ecc) != 0)
		return -EIO;
	out->out_len = len;
	return 0;
}

// A signature with a fault in one half of the CRT gives the key away: each is verified before it
// leaves.
static int pkcs1_sign(struct cert_pair *pair, const struct hashed *hashed, struct ipc_signed *out) {
	uint8_t plain[IPC_SIGN_OUT_MAX], info[INFO_MAX];
	size_t len = info_make(hashed, info);
	int n;

	if (pair->type != IPC_KEY_RSA)
		return -EINVAL;
	n = wc_RsaSSL_Sign(
		info, (word32)len, out->out, IPC_SIGN_OUT_MAX, &pair->private_key.rsa, &pair->rng);
	if (n <= 0)
		return -EIO;
	out->out_len = (uint32_t)n;
	n = wc_RsaSSL_Verify(out->out, out->out_len, plain, sizeof(plain), &pair->private_key.rsa);
	return n == (int)len && memcmp(plain, info, len) == 0 ? 0 : -EIO;
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

static int pss_sign(struct cert_pair *pair, const struct hashed *hashed, struct ipc_signed *out) {
	const struct digest *digest = hashed->digest;
	uint8_t copy[IPC_SIGN_OUT_MAX], plain[IPC_SIGN_OUT_MAX];
	int n;

	if (pair->type != IPC_KEY_RSA)
		return -EINVAL;
	n = wc_RsaPSS_Sign(hashed->value, digest->len, out->out, IPC_SIGN_OUT_MAX, digest->type,
		mgf_of(digest->type), &pair->private_key.rsa, &pair->rng);
	if (n <= 0)
		return -EIO;
	out->out_len = (uint32_t)n;
	memcpy(copy, out->out, out->out_len);
	n = wc_RsaPSS_VerifyCheck(copy, out->out_len, plain, sizeof(plain), hashed->value,
		digest->len, digest->type, mgf_of(digest->type), &pair->private_key.rsa);
	return n > 0 ? 0 : -EIO;
}

static int hashed_sign(struct cert_pair *pair, uint32_t kind, const struct hashed *hashed,
	struct ipc_signed *out) {
	switch (kind) {
	case IPC_SIGN_ECDSA:
		return ecdsa_sign(pair, hashed, out);
	case IPC_SIGN_RSA_PKCS1:
		return pkcs1_sign(pair, hashed, out);
	case IPC_SIGN_RSA_PSS:
		return pss_sign(pair, hashed, out);
	default:
		return -EINVAL;
	}
}

static const struct digest *digest_by_type(uint32_t type) {
	for (size_t i = 0; i < NB_DIGESTS; i++) {
		if ((uint32_t)digests[i].type == type)
			return &digests[i];
	}
	return NULL;
}

// Nothing is signed that was not made here.
static int content_hash(const struct ipc_sign_req *req, struct hashed *hashed) {
	struct content content;

	hashed->digest = digest_by_type(req->hash);
	if (hashed->digest == NULL || content_make(req, &content) != 0)
		return -EINVAL;
	return wc_Hash(hashed->digest->type, content.bytes, (word32)content.len, hashed->value,
		       hashed->digest->len) == 0
		? 0
		: -EIO;
}

int cert_pair_sign(struct cert_pair *pair, const struct ipc_sign_req *req, struct ipc_signed *out) {
	struct hashed hashed;
	int err;

	memset(out, 0, sizeof(*out));
	err = content_hash(req, &hashed);
	if (err == 0)
		err = hashed_sign(pair, req->kind, &hashed, out);
	if (err != 0)
		explicit_bzero(out, sizeof(*out));
	out->status = err;
	return err;
}

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

static bool rsa_fits(const struct hashed *hashed, struct ipc_signed *sig, DecodedCert *leaf) {
	uint8_t plain[IPC_SIGN_OUT_MAX], info[INFO_MAX];
	size_t len = info_make(hashed, info);
	RsaKey public;
	word32 at = 0;
	bool ok = false;
	int n;

	if (wc_InitRsaKey(&public, NULL) != 0)
		return false;
	if (wc_RsaPublicKeyDecode(leaf->publicKey, &at, &public, leaf->pubKeySize) == 0) {
		n = wc_RsaSSL_Verify(sig->out, sig->out_len, plain, sizeof(plain), &public);
		ok = n == (int)len && memcmp(plain, info, len) == 0;
	}
	wc_FreeRsaKey(&public);
	return ok;
}

static bool ecc_fits(const struct hashed *hashed, struct ipc_signed *sig, DecodedCert *leaf) {
	ecc_key public;
	word32 at = 0;
	int ok = 0;

	if (wc_ecc_init(&public) != 0)
		return false;
	if (wc_EccPublicKeyDecode(leaf->publicKey, &at, &public, leaf->pubKeySize) != 0 ||
		wc_ecc_verify_hash(sig->out, sig->out_len, hashed->value, hashed->digest->len, &ok,
			&public) != 0)
		ok = 0;
	wc_ecc_free(&public);
	return ok == 1;
}

// The proof that key and certificate belong together: a signature that the certificate verifies.
static bool key_fits(struct cert_pair *pair, DecodedCert *leaf) {
	struct hashed hashed = {.digest = &digests[0]};
	bool rsa = pair->type == IPC_KEY_RSA;
	struct ipc_signed sig = {.status = 0};

	memset(hashed.value, 0x5a, digests[0].len);
	if (leaf->keyOID != (rsa ? RSAk : ECDSAk) ||
		hashed_sign(pair, rsa ? IPC_SIGN_RSA_PKCS1 : IPC_SIGN_ECDSA, &hashed, &sig) != 0)
		return false;
	return rsa ? rsa_fits(&hashed, &sig, leaf) : ecc_fits(&hashed, &sig, leaf);
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
