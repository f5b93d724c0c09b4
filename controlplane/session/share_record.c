// SPDX-License-Identifier: GPL-3.0-or-later
// A session's record as it is in the shared store. Called by share.c.
//
// Gateways that share have one byte order and know each other's layouts (record.h).
#include <errno.h>
#include <string.h>

#include "controlplane/session/share.h"

int share_record_seal(
	const uint8_t key[SEAL_KEY_LEN], const struct record_session *record, uint8_t *blob) {
	struct record_session plain = *record;
	int ret;

	// Of the connection at hand, which another gateway cannot go on with.
	memset(&plain.sealed, 0, sizeof(plain.sealed));
	memset(plain.app_id, 0, sizeof(plain.app_id));
	ret = seal_close(key, plain.cookie_hash, (const uint8_t *)&plain, sizeof(plain), blob,
		blob + SEAL_NONCE_LEN + SEAL_TAG_LEN, blob + SEAL_NONCE_LEN);
	explicit_bzero(&plain, sizeof(plain));
	return ret;
}

int share_record_open(const uint8_t key[SEAL_KEY_LEN], const uint8_t name[IPC_HASH_LEN],
	const uint8_t *blob, size_t len, struct record_session *record) {
	uint8_t plain[IPC_SHARE_BLOB_MAX];
	size_t head = SEAL_NONCE_LEN + SEAL_TAG_LEN;
	int ret;

	if (len <= head || len > sizeof(plain))
		return -EBADMSG;
	ret = seal_open(key, name, blob + head, len - head, blob, blob + SEAL_NONCE_LEN, plain);
	if (ret == 0 &&
		(!record_session_read(plain, len - head, record) ||
			memcmp(record->cookie_hash, name, IPC_HASH_LEN) != 0))
		ret = -EPROTO;
	explicit_bzero(plain, sizeof(plain));
	return ret;
}
