// SPDX-License-Identifier: GPL-3.0-or-later
// TLS 1.3 key update by wolfCrypt's HKDF; see tls13_update.h. Called by the control thread.

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/kdf.h>

#include <errno.h>
#include <string.h>

#include "tls13_update.h"

// HKDF-Expand-Label(secret, label, "", len), RFC 8446, 7.1.
static int expand(const struct tls_protection *p, const uint8_t *secret, const char *label,
	uint8_t *out, unsigned len) {
	static const uint8_t protocol[] = "tls13 ";
	int digest = p->hash_len == 48 ? WC_HASH_TYPE_SHA384 : WC_HASH_TYPE_SHA256;

	if (wc_Tls13_HKDF_Expand_Label(out, len, secret, p->hash_len, protocol, 6,
		    (const uint8_t *)label, (word32)strlen(label), NULL, 0, digest) != 0)
		return -EINVAL;
	return 0;
}

int tls13_keys_update(const struct tls_protection *p, struct abi_keys *keys) {
	struct abi_keys next = {.secret_len = keys->secret_len};
	int ret = -EINVAL;

	if (p->version != ABI_TLS13 || keys->secret_len != p->hash_len)
		return -EINVAL;
	if (expand(p, keys->secret, "traffic upd", next.secret, p->hash_len) != 0)
		goto out;
	if (expand(p, next.secret, "key", next.key, p->key_len) != 0)
		goto out;
	if (expand(p, next.secret, "iv", next.iv, ABI_IV_MAX) != 0)
		goto out;
	*keys = next;
	ret = 0;
out:
	explicit_bzero(&next, sizeof(next));
	return ret;
}
