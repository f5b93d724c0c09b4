// SPDX-License-Identifier: GPL-3.0-or-later
// TLS contexts of the edge: one a certificate, none with a private key; signatures come from auth.
#pragma once

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <stdbool.h>

#include "controlplane/ipc/msg.h"
#include "tls_content.h"
#include "tls_sent.h"
#include "tls_ticket.h"
#include "yang/config.h"

struct edge_tls;
struct tls_set;

// One certificate, ready to serve. Lives as long as its set.
struct tls_cert {
	struct tls_set *set;
	uint32_t generation, index; // as signatures name it
	enum ipc_key type;
	WOLFSSL_CTX *ctx;
	WOLFSSL_CTX *asking; // asks clients for theirs; NULL: no method wants one
	const struct tls_tickets *tickets; // the process's, with which this one's are sealed
	uint8_t sha1[20];
	char *chain; // PEM
	char **names; // of the configuration, or of the certificate
	size_t nb_names;
};

// How a connection gets its signatures. Set with tls_signer_set(); called inside wolfSSL_accept().
// `out` holds *out_len bytes. 0, or a negative number, which fails the handshake.
struct tls_signer {
	int (*sign)(struct tls_signer *signer, enum ipc_sign kind,
		const struct tls_content *content, uint8_t *out, uint32_t *out_len);
};

// Traffic secrets of a TLS 1.3 connection, which wolfSSL does not give out later.
struct tls_secrets {
	uint8_t len; // 0: not there (TLS 1.2)
	uint8_t client_secret[ABI_SECRET_MAX];
	uint8_t server_secret[ABI_SECRET_MAX];
};

struct edge_tls *edge_tls_new(void);
void edge_tls_free(struct edge_tls *tls);

// One certificate from auth; the set is used once its last has come. 0, or -EINVAL: not valid (the
// sender is ended), -EAGAIN: more are to come, -ENOMEM, -EIO: cannot be used here.
int edge_tls_certs(struct edge_tls *tls, const struct cfg *cfg, const struct ipc_certs *msg);
// The configuration changed: builds the contexts anew. 0 or -errno (the old ones stay).
int edge_tls_reload(struct edge_tls *tls, const struct cfg *cfg);
// The CAs of clients from auth. 0, or -EINVAL: not valid (the sender is ended).
int edge_tls_peer_cas(struct edge_tls *tls, const struct ipc_client_cas *msg);
// Ticket keys from auth. 0, or -EINVAL: not valid (the sender is ended).
int edge_tls_ticket_keys(struct edge_tls *tls, const struct ipc_ticket_keys *msg);
// Certificates and ticket keys are there.
bool edge_tls_ready(const struct edge_tls *tls);

// The certificate for a server name ("" or unknown: the first). Takes a reference; NULL before
// edge_tls_ready().
struct tls_cert *edge_tls_select(struct edge_tls *tls, const char *server_name);
void tls_cert_unref(struct tls_cert *cert);

void tls_signer_set(WOLFSSL *ssl, struct tls_signer *signer);
// Collects the traffic secrets of a connection; before its handshake.
int tls_secrets_collect(WOLFSSL *ssl, struct tls_secrets *secrets);

// Record protection of an established connection, without which no stream can be handed over.
// 0, or -ENOTSUP (a cipher that is not offered), -ESTALE (keys were updated since the handshake).
// On failure nothing is left in *out. `sent` followed all that was sent on the connection.
int tls_keys_export(WOLFSSL *ssl, const struct tls_secrets *secrets, const struct tls_sent *sent,
	struct abi_cmd_stream_set *out);
enum abi_version tls_version_get(WOLFSSL *ssl);
enum abi_cipher tls_cipher_get(WOLFSSL *ssl);
