// SPDX-License-Identifier: GPL-3.0-or-later
// What a TLS server signs, made of what an edge says of its handshake; called by cert.c and signer.c.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"

#define CONTENT_MAX IPC_SIGN_IN_MAX

struct content {
	size_t len;
	uint8_t bytes[CONTENT_MAX];
};

// The bytes of a CertificateVerify (RFC 8446, 4.4.3) or a ServerKeyExchange (RFC 8422, 5.4). 0, or
// -EINVAL: no handshake has that.
int content_make(const struct ipc_sign_req *req, struct content *out);

// Does the server's random in a request for TLS 1.2 say that the server knows TLS 1.3? Such a server
// must say so (RFC 8446, 4.1.3), and clients that know it too then refuse.
bool content_admits_tls13(const struct ipc_sign_req *req);
