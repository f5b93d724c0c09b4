// SPDX-License-Identifier: GPL-3.0-or-later
// AES-256-GCM (NIST SP 800-38D) for what leaves the session process. Used by store.c and share_record.c.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"

#define SEAL_KEY_LEN 32u
#define SEAL_NONCE_LEN 12u
#define SEAL_TAG_LEN 16u

// Seals `len` bytes of `text` to `out` under a random nonce; `name` (IPC_HASH_LEN bytes) says what it is
// and has to be the same for opening it. 0 or -EIO.
int seal_close(const uint8_t key[SEAL_KEY_LEN], const uint8_t *name, const uint8_t *text,
	size_t len, uint8_t nonce[SEAL_NONCE_LEN], uint8_t *out, uint8_t tag[SEAL_TAG_LEN]);
// 0, -EIO, or -EBADMSG: it was sealed under another key or name, or changed; `text` is wiped then.
int seal_open(const uint8_t key[SEAL_KEY_LEN], const uint8_t *name, const uint8_t *sealed,
	size_t len, const uint8_t nonce[SEAL_NONCE_LEN], const uint8_t tag[SEAL_TAG_LEN],
	uint8_t *text);
