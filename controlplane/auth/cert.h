// SPDX-License-Identifier: GPL-3.0-or-later
// One certificate chain with its private key: checking that they fit, and signing. No I/O.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"

struct cert_pair;

// What a pair is made of. Names are for messages.
struct cert_source {
	const char *chain_pem, *key_pem; // NUL-terminated
	size_t key_len;
	const char *chain_name, *key_name;
};

// NULL: refused, `text` says why and names the file. A certificate that is past its date or not
// yet valid is taken with a warning in `text` (else text is empty).
struct cert_pair *cert_pair_new(const struct cert_source *source, char *text, size_t len);
// Wipes the key.
void cert_pair_free(struct cert_pair *pair);

// Fills key_type, chain_len, chain and sha1.
void cert_pair_describe(const struct cert_pair *pair, struct ipc_certs *msg);

// 20 bytes: SHA-1 of the leaf's DER.
const uint8_t *cert_pair_sha1(const struct cert_pair *pair);

// Signs the handshake of which an edge tells; the request comes from the network side. 0 or -EINVAL
// (no handshake of a TLS server, or not one for this type of key), -EIO.
int cert_pair_sign(struct cert_pair *pair, const struct ipc_sign_req *req, struct ipc_signed *out);
