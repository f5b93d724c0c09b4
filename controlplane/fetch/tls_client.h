// SPDX-License-Identifier: GPL-3.0-or-later
// The client's side of TLS towards the provider: whom to trust, and whom to expect. No I/O.
#pragma once

#include <openssl/ssl.h>
#include <stddef.h>

// A context that trusts the certificates of `pem`, and nobody else. NULL: no memory, or (*nb is 0)
// there is no certificate in it. *nb: how many there are.
SSL_CTX *tls_client_new(const char *pem, size_t len, size_t *nb);
// A connection to a host (a name, or an address without brackets), whose certificate has to be its own
// (RFC 9525). NULL: no memory.
SSL *tls_client_open(SSL_CTX *ctx, const char *host);
