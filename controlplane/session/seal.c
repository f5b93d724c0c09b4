// SPDX-License-Identifier: GPL-3.0-or-later
// Seals and opens. Called by store.c and share_record.c.
#include "controlplane/session/seal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>

static int aes_init(Aes *aes, const uint8_t *key) {
	if (wc_AesInit(aes, NULL, INVALID_DEVID) != 0)
		return -EIO;
	if (wc_AesGcmSetKey(aes, key, SEAL_KEY_LEN) == 0)
		return 0;
	wc_AesFree(aes);
	return -EIO;
}

static void aes_wipe(Aes *aes) {
	wc_AesFree(aes);
	explicit_bzero(aes, sizeof(*aes));
}

int seal_close(const uint8_t key[SEAL_KEY_LEN], const uint8_t *name, const uint8_t *text,
	size_t len, uint8_t nonce[SEAL_NONCE_LEN], uint8_t *out, uint8_t tag[SEAL_TAG_LEN]) {
	Aes aes;
	int rc;

	if (getrandom(nonce, SEAL_NONCE_LEN, 0) != (ssize_t)SEAL_NONCE_LEN ||
		aes_init(&aes, key) != 0)
		return -EIO;
	rc = wc_AesGcmEncrypt(&aes, out, text, (word32)len, nonce, SEAL_NONCE_LEN, tag,
		SEAL_TAG_LEN, name, IPC_HASH_LEN);
	aes_wipe(&aes);
	return rc == 0 ? 0 : -EIO;
}

int seal_open(const uint8_t key[SEAL_KEY_LEN], const uint8_t *name, const uint8_t *sealed,
	size_t len, const uint8_t nonce[SEAL_NONCE_LEN], const uint8_t tag[SEAL_TAG_LEN],
	uint8_t *text) {
	Aes aes;
	int rc;

	if (aes_init(&aes, key) != 0)
		return -EIO;
	rc = wc_AesGcmDecrypt(&aes, text, sealed, (word32)len, nonce, SEAL_NONCE_LEN, tag,
		SEAL_TAG_LEN, name, IPC_HASH_LEN);
	aes_wipe(&aes);
	if (rc == 0)
		return 0;
	explicit_bzero(text, len);
	return -EBADMSG;
}
