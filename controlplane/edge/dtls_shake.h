// SPDX-License-Identifier: GPL-3.0-or-later
// One DTLS 1.2 server handshake on memory: datagrams in, datagrams out, record keys at the end.
//
// wolfSSL does the handshake, with a PSK (PSK-NEGOTIATE) or by resuming the session that the
// client's master secret describes (legacy). Knows nothing of rings and sessions; used by dtls.c.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "controlplane/edge/dtls_hello.h"
#include "controlplane/ipc/msg.h"

struct dtls_shake_ctx; // one a process: suites and callbacks
struct dtls_shake;

// NULL when wolfSSL cannot be set up. `mtu` is the largest datagram payload to send.
struct dtls_shake_ctx *dtls_shake_ctx_new(uint16_t mtu);
void dtls_shake_ctx_free(struct dtls_shake_ctx *ctx);

// Gets each datagram of a flight, in order. Must not call back into the handshake.
typedef void (*dtls_shake_send)(const uint8_t *data, size_t len, void *arg);

struct dtls_shake_opts {
	const struct ipc_dtls_params *params; // mode PSK or LEGACY; secrets are copied
	const uint8_t *app_id; // IPC_APP_ID_LEN bytes: the legacy session id
	struct dtls_bytes suites; // of the hello: which name of the legacy cipher the client uses
	const uint8_t *cookie_secret; // DTLS_SECRET_LEN bytes: the one of the hello's cookie
	const uint8_t *peer; // DTLS_PEER_LEN bytes
	dtls_shake_send send;
	void *arg;
};
// NULL on failure. The first input must be the ClientHello with the cookie.
struct dtls_shake *dtls_shake_new(struct dtls_shake_ctx *ctx, const struct dtls_shake_opts *opts);
// Frees the object and wipes its secrets. NULL is allowed.
void dtls_shake_free(struct dtls_shake *shake);

// 0: goes on; 1: done; -EPROTO: failed (dtls_shake_error says why), free it.
int dtls_shake_input(struct dtls_shake *shake, const uint8_t *data, size_t len);
// The timer of dtls_shake_timeout_ms() ran out: sends the flight again. 0 or -ETIMEDOUT.
int dtls_shake_timer(struct dtls_shake *shake);
unsigned dtls_shake_timeout_ms(struct dtls_shake *shake);
const char *dtls_shake_error(const struct dtls_shake *shake);

// After 1: keys, salts, sequence numbers and epoch of both directions into *dtls (tuple and mtu
// are the caller's). 0 or -EIO.
int dtls_shake_keys(struct dtls_shake *shake, struct abi_cmd_dtls_set *dtls);
