// SPDX-License-Identifier: GPL-3.0-or-later
// A session's record as it is in the shared store. Called by share.c.
//
// Gateways that share have one byte order and know each other's layouts (record.h).
#include <errno.h>
#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "controlplane/session/share.h"

// A key for each session, of the key of all (as HKDF-Expand, RFC 5869, 2.3): one key under random nonces
// is good for 2^32 records (NIST SP 800-38D, 8.3), and busy gateways write as many in a month.
static int key_of(const uint8_t key[SEAL_KEY_LEN], const uint8_t name[IPC_HASH_LEN],
	uint8_t own_secret[SEAL_KEY_LEN]) {
	static const uint8_t one = 1;
	Hmac hmac;
	int rc;

	_Static_assert(SEAL_KEY_LEN == WC_SHA256_DIGEST_SIZE, "one block");
	if (wc_HmacInit(&hmac, NULL, INVALID_DEVID) != 0)
		return -EIO;
	rc = wc_HmacSetKey(&hmac, WC_SHA256, key, SEAL_KEY_LEN);
	if (rc == 0)
		rc = wc_HmacUpdate(&hmac, name, IPC_HASH_LEN);
	if (rc == 0)
		rc = wc_HmacUpdate(&hmac, &one, sizeof(one));
	if (rc == 0)
		rc = wc_HmacFinal(&hmac, own_secret);
	wc_HmacFree(&hmac);
	return rc == 0 ? 0 : -EIO;
}

int share_record_seal(
	const uint8_t key[SEAL_KEY_LEN], const struct record_session *record, uint8_t *blob) {
	struct record_session plain = *record;
	uint8_t own_secret[SEAL_KEY_LEN];
	int ret = key_of(key, record->cookie_hash, own_secret);

	// Of the connection at hand, which another gateway cannot go on with.
	memset(&plain.sealed, 0, sizeof(plain.sealed));
	memset(plain.app_id, 0, sizeof(plain.app_id));
	if (ret == 0)
		ret = seal_close(own_secret, plain.cookie_hash, (const uint8_t *)&plain,
			sizeof(plain), blob, blob + SEAL_NONCE_LEN + SEAL_TAG_LEN,
			blob + SEAL_NONCE_LEN);
	explicit_bzero(own_secret, sizeof(own_secret));
	explicit_bzero(&plain, sizeof(plain));
	return ret;
}

int share_record_open(const uint8_t key[SEAL_KEY_LEN], const uint8_t name[IPC_HASH_LEN],
	const uint8_t *blob, size_t len, struct record_session *record) {
	uint8_t plain[IPC_SHARE_BLOB_MAX], own_secret[SEAL_KEY_LEN];
	size_t head = SEAL_NONCE_LEN + SEAL_TAG_LEN;
	int ret;

	if (len <= head || len > sizeof(plain))
		return -EBADMSG;
	ret = key_of(key, name, own_secret);
	if (ret == 0)
		ret = seal_open(own_secret, name, blob + head, len - head, blob,
			blob + SEAL_NONCE_LEN, plain);
	explicit_bzero(own_secret, sizeof(own_secret));
	if (ret == 0 &&
		(!record_session_read(plain, len - head, record) ||
			memcmp(record->cookie_hash, name, IPC_HASH_LEN) != 0))
		ret = -EPROTO;
	explicit_bzero(plain, sizeof(plain));
	return ret;
}
