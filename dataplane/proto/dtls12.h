// SPDX-License-Identifier: GPL-3.0-or-later
// DTLS 1.2 records (RFC 6347, 4.1): bytes in, bytes out. Used by the DTLS nodes.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"

#define DTLS12_HEADER_LEN 13u
#define DTLS12_TAG_LEN 16u
#define DTLS12_AAD_LEN 13u
#define DTLS12_EXPLICIT_MAX 8u
#define DTLS12_SEQ_MAX ((UINT64_C(1) << 48) - 1)

enum dtls12_type {
	DTLS12_CHANGE_CIPHER_SPEC = 20,
	DTLS12_ALERT = 21,
	DTLS12_HANDSHAKE = 22,
	DTLS12_APPLICATION_DATA = 23,
};

#define DTLS12_CLIENT_HELLO 1u
#define DTLS12_ALERT_CLOSE_NOTIFY 0u
#define DTLS12_ALERT_FATAL 2u

struct dtls12_record {
	const uint8_t *body; // in the source buffer
	uint16_t len; // of the body, bytes
	uint16_t epoch;
	uint64_t seq; // epoch << 48 | sequence number, as nonces and additional data have it
	uint8_t type; // enum dtls12_type
};

// Takes one record from [*src, end) and moves *src behind it. 0, or -EPROTO: not a DTLS 1.2
// record (version fe fd; fe ff as well in handshake records, whose version is not agreed yet).
int dtls12_parse(const uint8_t **src, const uint8_t *end, struct dtls12_record *record);

// Is the record the (first fragment of the) ClientHello of a new handshake?
bool dtls12_is_client_hello(const struct dtls12_record *record);

// Bytes of nonce on the wire before the ciphertext: GCM 8 (RFC 5288), ChaCha20 0 (RFC 7905).
unsigned dtls12_explicit_len(uint8_t cipher);

// Bytes that a record is longer than its text.
static inline unsigned dtls12_overhead(uint8_t cipher) {
	return DTLS12_HEADER_LEN + dtls12_explicit_len(cipher) + DTLS12_TAG_LEN;
}

// Nonce (12 bytes) and additional data (13 bytes) to open a record. Returns the length of its
// text, which lies dtls12_explicit_len() behind record->body; -EPROTO: too short.
int dtls12_open(const struct dtls12_record *record, uint8_t cipher, const uint8_t *iv,
	uint8_t *nonce, uint8_t *aad);

// Writes header and explicit nonce to `out` (DTLS12_HEADER_LEN + dtls12_explicit_len() bytes)
// for a text of `text_len` bytes with sequence `seq` (epoch << 48 | number), and the nonce and
// additional data to encrypt it with.
void dtls12_seal(uint8_t *out, uint8_t cipher, uint8_t type, uint64_t seq, uint16_t text_len,
	const uint8_t *iv, uint8_t *nonce, uint8_t *aad);
