// SPDX-License-Identifier: GPL-3.0-or-later
// DTLS 1.2 records (RFC 6347, 4.1), GCM (RFC 5288) and ChaCha20-Poly1305 (RFC 7905). Called by
// the nodes dtls-decode and dtls-encode.
#include "dataplane/proto/dtls12.h"

#include <errno.h>
#include <string.h>

#include "dataplane/proto/bytes.h"

#define VERSION_DTLS10 0xfeffu
#define VERSION_DTLS12 0xfefdu
#define SALT_LEN 4u

int dtls12_parse(const uint8_t **src, const uint8_t *end, struct dtls12_record *record) {
	const uint8_t *p = *src;
	uint16_t version, len;

	if ((size_t)(end - p) < DTLS12_HEADER_LEN)
		return -EPROTO;
	version = get16(p + 1);
	len = get16(p + 11);
	if (p[0] < DTLS12_CHANGE_CIPHER_SPEC || p[0] > DTLS12_APPLICATION_DATA)
		return -EPROTO;
	if (version != VERSION_DTLS12 && (version != VERSION_DTLS10 || p[0] != DTLS12_HANDSHAKE))
		return -EPROTO;
	if (len > (size_t)(end - p) - DTLS12_HEADER_LEN)
		return -EPROTO;
	record->type = p[0];
	record->seq = get64(p + 3);
	record->epoch = (uint16_t)(record->seq >> 48);
	record->len = len;
	record->body = p + DTLS12_HEADER_LEN;
	*src = record->body + len;
	return 0;
}

bool dtls12_is_client_hello(const struct dtls12_record *record) {
	return record->type == DTLS12_HANDSHAKE && record->epoch == 0 && record->len > 0 &&
		record->body[0] == DTLS12_CLIENT_HELLO;
}

unsigned dtls12_explicit_len(uint8_t cipher) {
	return cipher == ABI_CHACHA20_POLY1305 ? 0 : DTLS12_EXPLICIT_MAX;
}

// RFC 7905, 2: the IV xor the 64 bits of epoch and number, padded on the left.
static void nonce_xor(const uint8_t *iv, uint64_t seq, uint8_t *nonce) {
	uint8_t be[8];

	put64(be, seq);
	memcpy(nonce, iv, ABI_IV_MAX);
	for (unsigned i = 0; i < sizeof(be); i++)
		nonce[4 + i] ^= be[i];
}

// RFC 5246, 6.2.3.3, with epoch and number for seq_num (RFC 6347, 4.1.2.1).
static void aad_fill(uint8_t *aad, uint64_t seq, uint8_t type, uint16_t text_len) {
	put64(aad, seq);
	aad[8] = type;
	put16(aad + 9, VERSION_DTLS12);
	put16(aad + 11, text_len);
}

int dtls12_open(const struct dtls12_record *record, uint8_t cipher, const uint8_t *iv,
	uint8_t *nonce, uint8_t *aad) {
	unsigned explicit_len = dtls12_explicit_len(cipher);
	uint16_t text_len;

	if (record->len < explicit_len + DTLS12_TAG_LEN)
		return -EPROTO;
	text_len = (uint16_t)(record->len - explicit_len - DTLS12_TAG_LEN);
	if (explicit_len == 0) {
		nonce_xor(iv, record->seq, nonce);
	} else {
		memcpy(nonce, iv, SALT_LEN);
		memcpy(nonce + SALT_LEN, record->body, DTLS12_EXPLICIT_MAX);
	}
	aad_fill(aad, record->seq, record->type, text_len);
	return text_len;
}

void dtls12_seal(uint8_t *out, uint8_t cipher, uint8_t type, uint64_t seq, uint16_t text_len,
	const uint8_t *iv, uint8_t *nonce, uint8_t *aad) {
	unsigned explicit_len = dtls12_explicit_len(cipher);

	out[0] = type;
	put16(out + 1, VERSION_DTLS12);
	put64(out + 3, seq);
	put16(out + 11, (uint16_t)(explicit_len + text_len + DTLS12_TAG_LEN));
	if (explicit_len == 0) {
		nonce_xor(iv, seq, nonce);
	} else {
		// Counted from where the handshake left off, see struct abi_keys.
		uint64_t explicit = get64(iv + SALT_LEN) + seq;

		put64(out + DTLS12_HEADER_LEN, explicit);
		memcpy(nonce, iv, SALT_LEN);
		put64(nonce + SALT_LEN, explicit);
	}
	aad_fill(aad, seq, type, text_len);
}
