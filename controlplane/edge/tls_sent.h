// SPDX-License-Identifier: GPL-3.0-or-later
// Follows the TLS records that leave a connection, for the explicit nonce of the last one.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// All zero at the start. In TLS 1.2 with GCM the nonce's explicit part goes with each record
// (RFC 5288, 3); wolfSSL does not tell it, so it is read from what is sent.
struct tls_sent {
	uint8_t head[13]; // header and explicit nonce of the record at hand
	uint8_t nb_head; // bytes of it that were seen
	uint32_t left; // bytes of the record still to come, once the header is whole
	bool encrypted; // a ChangeCipherSpec has gone out
	bool have_nonce;
	uint64_t nonce; // of the last whole record that had one
};

// `len` bytes have been sent.
void tls_sent_add(struct tls_sent *sent, const uint8_t *data, size_t len);
// The explicit nonce that the next record takes when they count up by one. False: no encrypted
// record was sent, or the last one is not whole.
bool tls_sent_next_nonce(const struct tls_sent *sent, uint64_t *nonce);
