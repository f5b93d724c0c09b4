// SPDX-License-Identifier: GPL-3.0-or-later
// Certificates of clients: asking for one, and what came, for auth to judge.
#pragma once

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <stddef.h>
#include <stdint.h>

// What a client has shown in its handshake: each DER behind its length in three bytes, as the
// messages to auth have it. All zero at its start.
struct tls_peer_chain {
	uint8_t *data; // malloc'ed; NULL: nothing was shown, or more than a message holds
	size_t len;
};

void tls_peer_chain_free(struct tls_peer_chain *chain);

// Connections of this context ask for a certificate, do without if there is none, and are never
// resumed: a resumed one would have no certificate, or that of another time.
void tls_peer_ask(WOLFSSL_CTX *ctx);
// Whose certificates they ask for, as struct ipc_client_cas has it; with a name that cannot be sent
// they do not say.
void tls_peer_cas_set(WOLFSSL_CTX *ctx, const uint8_t *names, size_t len);
// Where this connection puts what it is shown. It is worth something once the handshake is done:
// then the client has proved to have the key.
void tls_peer_collect(WOLFSSL *ssl, struct tls_peer_chain *chain);
// After each step of a handshake: drops what wolfSSL kept of the client's certificates.
void tls_peer_forget(WOLFSSL_CTX *ctx);
