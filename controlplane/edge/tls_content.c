// SPDX-License-Identifier: GPL-3.0-or-later
// What wolfSSL has hashed to be signed, for auth, which signs no hashes; called by tls.c.
//
// wolfSSL's signature callbacks get a hash, and nothing public tells of what. So its calls of its
// own hash functions come by here (the linker's --wrap), and what has the shape of a signed content
// is kept until the callback: each is hashed in one piece just before.

#include "tls_content.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

int __real_wc_Sha256Update(wc_Sha256 *sha, const byte *data, word32 len);
int __real_wc_Sha384Update(wc_Sha384 *sha, const byte *data, word32 len);
int __real_wc_Sha512Update(wc_Sha512 *sha, const byte *data, word32 len);
int __wrap_wc_Sha256Update(wc_Sha256 *sha, const byte *data, word32 len);
int __wrap_wc_Sha384Update(wc_Sha384 *sha, const byte *data, word32 len);
int __wrap_wc_Sha512Update(wc_Sha512 *sha, const byte *data, word32 len);

#define PAD_LEN 64u // RFC 8446, 4.4.3: spaces, the label, a zero byte, the transcript's hash
static const char label[] = "TLS 1.3, server CertificateVerify";
#define PREFIX_LEN (PAD_LEN + sizeof(label))

#define PARAMS_AT 64u // RFC 8422, 5.4: two randoms; curve type, curve, length of the key, key

// Handshakes of one process take turns, and none between hash and callback.
static struct {
	uint32_t hash;
	size_t len;
	uint8_t bytes[IPC_SIGN_IN_MAX];
} last;

static bool is_tls13(const uint8_t *data, size_t len) {
	return len > PREFIX_LEN && data[0] == ' ' &&
		memcmp(data + PAD_LEN, label, sizeof(label)) == 0;
}

static bool is_tls12(const uint8_t *data, size_t len) {
	return len > PARAMS_AT + 4 && data[PARAMS_AT] == 3 && data[PARAMS_AT + 1] == 0 &&
		len == PARAMS_AT + 4 + data[PARAMS_AT + 3];
}

static void look(enum wc_HashType hash, const uint8_t *data, size_t len) {
	if (len > sizeof(last.bytes) || (!is_tls13(data, len) && !is_tls12(data, len)))
		return;
	last.hash = (uint32_t)hash;
	last.len = len;
	memcpy(last.bytes, data, len);
}

int __wrap_wc_Sha256Update(wc_Sha256 *sha, const byte *data, word32 len) {
	look(WC_HASH_TYPE_SHA256, data, len);
	return __real_wc_Sha256Update(sha, data, len);
}

int __wrap_wc_Sha384Update(wc_Sha384 *sha, const byte *data, word32 len) {
	look(WC_HASH_TYPE_SHA384, data, len);
	return __real_wc_Sha384Update(sha, data, len);
}

int __wrap_wc_Sha512Update(wc_Sha512 *sha, const byte *data, word32 len) {
	look(WC_HASH_TYPE_SHA512, data, len);
	return __real_wc_Sha512Update(sha, data, len);
}

int tls_content_of(const uint8_t *digest, size_t digest_len, struct tls_content *out) {
	uint8_t again[WC_MAX_DIGEST_SIZE];
	int n = last.len > 0 ? wc_HashGetDigestSize((enum wc_HashType)last.hash) : 0;

	if (n <= 0 || digest_len < (size_t)n ||
		wc_Hash((enum wc_HashType)last.hash, last.bytes, (word32)last.len, again,
			(word32)n) != 0 ||
		memcmp(again, digest + digest_len - n, (size_t)n) != 0)
		return -ENOENT;
	*out = (struct tls_content){
		.content = IPC_CONTENT_TLS12,
		.hash = last.hash,
		.in = last.bytes,
		.in_len = (uint32_t)last.len,
	};
	if (is_tls13(last.bytes, last.len)) {
		out->content = IPC_CONTENT_TLS13;
		out->in += PREFIX_LEN;
		out->in_len -= PREFIX_LEN;
	}
	last.len = 0; // for this signature alone
	return 0;
}
