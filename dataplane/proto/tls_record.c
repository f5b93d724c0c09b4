// SPDX-License-Identifier: GPL-3.0-or-later
// TLS records; see tls_record.h. Called by the stream lcores.

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "tls_record.h"

// RFC 8446, 5.5: 2^24.5 full records with AES-GCM; we stop at 2^24. ChaCha20-Poly1305 is bound
// by its sequence number. TLS 1.2 names no limit: its counter must not wrap (RFC 5246, 6.1).
#define GCM_RECORDS_MAX (UINT64_C(1) << 24)
#define SEQ_RECORDS_MAX (UINT64_MAX - 1)

static const struct tls_protection protections[] = {
	{ABI_TLS12, ABI_AES_128_GCM, 8, 0, 13, 16, 0, SEQ_RECORDS_MAX},
	{ABI_TLS12, ABI_AES_256_GCM, 8, 0, 13, 32, 0, SEQ_RECORDS_MAX},
	{ABI_TLS12, ABI_CHACHA20_POLY1305, 0, 0, 13, 32, 0, SEQ_RECORDS_MAX},
	{ABI_TLS13, ABI_AES_128_GCM, 0, 1, 5, 16, 32, GCM_RECORDS_MAX},
	{ABI_TLS13, ABI_AES_256_GCM, 0, 1, 5, 32, 48, GCM_RECORDS_MAX},
	{ABI_TLS13, ABI_CHACHA20_POLY1305, 0, 1, 5, 32, 32, SEQ_RECORDS_MAX},
};

const struct tls_protection *tls_protection_find(unsigned version, unsigned cipher) {
	for (size_t i = 0; i < sizeof(protections) / sizeof(protections[0]); i++)
		if (protections[i].version == version && protections[i].cipher == cipher)
			return &protections[i];
	return NULL;
}

int tls_record_parse(const struct tls_protection *p, const uint8_t *src, const uint8_t *end,
	struct tls_record *out) {
	size_t have = (size_t)(end - src);
	unsigned body, overhead = tls_overhead(p) - TLS_HEADER_LEN;

	if (have < TLS_HEADER_LEN)
		return 0;
	if (src[0] < TLS_CHANGE_CIPHER_SPEC || src[0] > TLS_APPLICATION_DATA)
		return -EPROTO;
	// After the handshake TLS 1.3 knows application data alone on the outside.
	if (p->version == ABI_TLS13 && src[0] != TLS_APPLICATION_DATA)
		return -EPROTO;
	if (src[1] != 3 || src[2] != 3)
		return -EPROTO;
	body = (unsigned)src[3] << 8 | src[4];
	if (body < overhead || body > TLS_RECORD_MAX - TLS_HEADER_LEN)
		return -EPROTO;
	if (have < TLS_HEADER_LEN + body)
		return 0;
	out->type = src[0];
	out->text_offset = (uint16_t)tls_text_offset(p);
	out->text_len = (uint16_t)(body - p->explicit_len - TLS_TAG_LEN);
	out->len = TLS_HEADER_LEN + body;
	return (int)out->len;
}

// GCM in TLS 1.2: salt and explicit nonce. All else: the IV with the sequence number xored in.
static void make_nonce(const struct tls_protection *p, const uint8_t *explicit_nonce,
	const uint8_t iv[ABI_IV_MAX], uint64_t seq, uint8_t nonce[12]) {
	memcpy(nonce, iv, 12);
	if (p->explicit_len != 0) {
		memcpy(nonce + 4, explicit_nonce, TLS_EXPLICIT_LEN);
		return;
	}
	for (unsigned i = 0; i < 8; i++)
		nonce[4 + i] ^= (uint8_t)(seq >> (56 - 8 * i));
}

// `len`: of the text in TLS 1.2, of the record's body in TLS 1.3.
static void make_aad(
	const struct tls_protection *p, uint8_t type, uint16_t len, uint64_t seq, uint8_t aad[13]) {
	uint8_t *header = aad;

	if (p->version == ABI_TLS12) {
		put64(aad, seq);
		header = aad + 8;
	}
	header[0] = type;
	header[1] = 3;
	header[2] = 3;
	put16(header + 3, len);
}

void tls_record_open(const struct tls_protection *p, const struct tls_record *record,
	const uint8_t *src, const uint8_t iv[ABI_IV_MAX], uint64_t seq, uint8_t nonce[12],
	uint8_t aad[13]) {
	uint16_t len = record->text_len;

	if (p->version == ABI_TLS13)
		len = (uint16_t)(record->len - TLS_HEADER_LEN);
	make_nonce(p, src + TLS_HEADER_LEN, iv, seq, nonce);
	make_aad(p, record->type, len, seq, aad);
}

unsigned tls_record_seal(const struct tls_protection *p, uint8_t *record, uint8_t type,
	uint16_t len, const uint8_t iv[ABI_IV_MAX], uint64_t seq, uint8_t nonce[12],
	uint8_t aad[13]) {
	uint16_t text = (uint16_t)(len + p->inner_type_len);
	uint16_t body = (uint16_t)(p->explicit_len + text + TLS_TAG_LEN);
	uint8_t outer = p->version == ABI_TLS13 ? TLS_APPLICATION_DATA : type;

	record[0] = outer;
	record[1] = 3;
	record[2] = 3;
	put16(record + 3, body);
	// Unique under one key because the sequence number is (RFC 5288, section 3); counted from
	// where the handshake left off, see struct abi_keys.
	if (p->explicit_len != 0)
		put64(record + TLS_HEADER_LEN, get64(iv + 4) + seq);
	if (p->inner_type_len != 0)
		record[tls_text_offset(p) + len] = type;
	make_nonce(p, record + TLS_HEADER_LEN, iv, seq, nonce);
	make_aad(p, outer, p->version == ABI_TLS13 ? body : len, seq, aad);
	return text;
}

int tls_inner_type(
	const struct tls_protection *p, uint8_t outer, const uint8_t *text, uint16_t *len) {
	uint16_t n = *len;

	if (p->version != ABI_TLS13)
		return n <= TLS_PLAIN_MAX ? outer : -EPROTO;
	while (n > 0 && text[n - 1] == 0)
		n--;
	if (n == 0 || n - 1u > TLS_PLAIN_MAX)
		return -EPROTO;
	*len = (uint16_t)(n - 1);
	return text[n - 1];
}
