// SPDX-License-Identifier: GPL-3.0-or-later
// Throwaway private keys: wolfSSL wants one of the certificate's type and size to be loaded, and
// then asks the signature callbacks instead.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"

// Reads the leaf certificate. The result is malloc'ed DER for wolfSSL_CTX_use_PrivateKey_buffer();
// it signs nothing that the certificate verifies. NULL: not a key of that type.
uint8_t *tls_throwaway_key(
	const uint8_t *leaf_der, size_t leaf_len, enum ipc_key type, size_t *len);

// The DNS names of a certificate (the common name when there are none): malloc'ed strings in a
// malloc'ed array; *n of them. NULL: no memory or no certificate.
char **tls_cert_names(const uint8_t *leaf_der, size_t leaf_len, size_t *n);
