// SPDX-License-Identifier: GPL-3.0-or-later
// What wolfSSL has hashed to be signed, for auth, which signs no hashes; called by tls.c.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"

struct tls_content {
	enum ipc_content content;
	uint32_t hash; // enum wc_HashType
	const uint8_t *in; // as struct ipc_sign_req has it; good until the next hash
	uint32_t in_len;
};

// Inside a signature callback: of what the `digest` is that it was given. `digest` may have other
// bytes before it (PKCS #1's DigestInfo). 0, or -ENOENT: of nothing that a handshake signs.
int tls_content_of(const uint8_t *digest, size_t digest_len, struct tls_content *out);
