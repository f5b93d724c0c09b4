// SPDX-License-Identifier: GPL-3.0-or-later
// TLS 1.2 and 1.3 records: bytes in, bytes out, no keys. Used by the stream lcores.
//
// RFC 5246 section 6.2, RFC 5288 (GCM), RFC 7905 (ChaCha20-Poly1305), RFC 8446 section 5.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"

#define TLS_HEADER_LEN 5u
#define TLS_EXPLICIT_LEN 8u // explicit nonce of GCM in TLS 1.2
#define TLS_TAG_LEN 16u
#define TLS_PLAIN_MAX 16384u
#define TLS_RECORD_MAX (TLS_HEADER_LEN + TLS_PLAIN_MAX + 256u) // RFC 8446, 5.2

enum tls_content {
	TLS_CHANGE_CIPHER_SPEC = 20,
	TLS_ALERT = 21,
	TLS_HANDSHAKE = 22,
	TLS_APPLICATION_DATA = 23,
};

#define TLS_HANDSHAKE_KEY_UPDATE 24u
#define TLS_KEY_UPDATE_LEN 5u // header and one byte
#define TLS_ALERT_CLOSE_NOTIFY 0u

// What differs between a version and cipher and another. A constant table; NULL: not supported.
struct tls_protection {
	enum abi_version version;
	enum abi_cipher cipher;
	uint8_t explicit_len; // nonce bytes in the record
	uint8_t inner_type_len; // 1 in TLS 1.3: the content type behind the text
	uint8_t aad_len; // 13 or 5
	uint8_t key_len;
	uint8_t hash_len; // of the traffic secret in TLS 1.3, else 0
	uint64_t records_max; // records one key may protect (RFC 8446, 5.5)
};

const struct tls_protection *tls_protection_find(unsigned version, unsigned cipher);

// Bytes that a record adds to its text.
static inline unsigned tls_overhead(const struct tls_protection *p) {
	return TLS_HEADER_LEN + p->explicit_len + p->inner_type_len + TLS_TAG_LEN;
}

// A record as it lies in a buffer.
struct tls_record {
	uint8_t type; // enum tls_content, the outer one
	uint16_t text_offset; // of the ciphertext from the record's start, bytes
	uint16_t text_len; // ciphertext without tag
	uint32_t len; // whole record with header
};

// Parses one record at the start of [src, end). Returns its length; 0 when more bytes are
// needed; -EPROTO when it can never be a record of this protection.
int tls_record_parse(const struct tls_protection *p, const uint8_t *src, const uint8_t *end,
	struct tls_record *out);

// Nonce (12 bytes) and additional data (p->aad_len bytes) to open a parsed record.
void tls_record_open(const struct tls_protection *p, const struct tls_record *record,
	const uint8_t *src, const uint8_t iv[ABI_IV_MAX], uint64_t seq, uint8_t nonce[12],
	uint8_t aad[13]);

// Writes header, explicit nonce and (behind the text) the inner type for a record of `len` text
// bytes; `record` points at the header, the text begins tls_text_offset() later. Fills nonce and
// additional data. Returns the length of what is to be encrypted (text and inner type).
unsigned tls_record_seal(const struct tls_protection *p, uint8_t *record, uint8_t type,
	uint16_t len, const uint8_t iv[ABI_IV_MAX], uint64_t seq, uint8_t nonce[12],
	uint8_t aad[13]);

static inline unsigned tls_text_offset(const struct tls_protection *p) {
	return TLS_HEADER_LEN + p->explicit_len;
}

// Of an opened TLS 1.3 text: strips padding and the content type (RFC 8446, 5.4). Returns the
// type, or -EPROTO when there is none; *len becomes the length of the content. In TLS 1.2 the
// outer type is the type and nothing is stripped.
int tls_inner_type(
	const struct tls_protection *p, uint8_t outer, const uint8_t *text, uint16_t *len);
