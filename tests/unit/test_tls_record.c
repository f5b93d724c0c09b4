// SPDX-License-Identifier: GPL-3.0-or-later
// Tests of dataplane/proto/tls_record.c and crypto/tls13_update.c. Run by meson test.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/chacha20_poly1305.h>

#include <errno.h>
#include <string.h>

#include "dataplane/crypto/tls13_update.h"
#include "dataplane/proto/tls_record.h"

static const uint8_t iv[12] = {
	0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab};

static const uint8_t salt[12] = {0xa0, 0xa1, 0xa2, 0xa3};

static void test_find(void **state) {
	assert_non_null(tls_protection_find(ABI_TLS13, ABI_AES_256_GCM));
	assert_null(tls_protection_find(ABI_DTLS12, ABI_AES_128_GCM));
	assert_null(tls_protection_find(ABI_TLS12, 0));
}

static void test_parse_bounds(void **state) {
	const struct tls_protection *p = tls_protection_find(ABI_TLS12, ABI_AES_128_GCM);
	uint8_t record[64] = {23, 3, 3, 0, 24 + 4};
	struct tls_record out;

	for (unsigned len = 0; len < 5 + 28; len++)
		assert_int_equal(tls_record_parse(p, record, record + len, &out), 0);
	assert_int_equal(tls_record_parse(p, record, record + 40, &out), 33);
	assert_int_equal(out.text_offset, 13);
	assert_int_equal(out.text_len, 4);
	record[4] = 23; // shorter than nonce and tag
	assert_int_equal(tls_record_parse(p, record, record + 40, &out), -EPROTO);
	record[3] = 0x42; // longer than any record
	assert_int_equal(tls_record_parse(p, record, record + 40, &out), -EPROTO);
	record[3] = 0;
	record[4] = 28;
	record[2] = 1;
	assert_int_equal(tls_record_parse(p, record, record + 40, &out), -EPROTO);
	record[2] = 3;
	record[0] = 24;
	assert_int_equal(tls_record_parse(p, record, record + 40, &out), -EPROTO);
	p = tls_protection_find(ABI_TLS13, ABI_AES_128_GCM);
	record[0] = 22; // in the clear after the handshake
	assert_int_equal(tls_record_parse(p, record, record + 40, &out), -EPROTO);
}

static void test_inner_type(void **state) {
	const struct tls_protection *p = tls_protection_find(ABI_TLS13, ABI_AES_128_GCM);
	const uint8_t padded[] = {'a', 'b', 23, 0, 0, 0}, empty[] = {0, 0};
	uint16_t len = sizeof(padded);

	assert_int_equal(tls_inner_type(p, 23, padded, &len), 23);
	assert_int_equal(len, 2);
	len = sizeof(empty);
	assert_int_equal(tls_inner_type(p, 23, empty, &len), -EPROTO);
	len = 0;
	assert_int_equal(tls_inner_type(p, 23, empty, &len), -EPROTO);
	p = tls_protection_find(ABI_TLS12, ABI_AES_128_GCM);
	len = sizeof(padded);
	assert_int_equal(tls_inner_type(p, 21, padded, &len), 21);
	assert_int_equal(len, sizeof(padded));
}

static void test_nonce_and_aad(void **state) {
	const struct tls_protection *p = tls_protection_find(ABI_TLS13, ABI_CHACHA20_POLY1305);
	uint8_t record[64], nonce[12], aad[13];
	const uint8_t want_nonce[12] = {
		0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xab, 0xa9};

	assert_int_equal(tls_record_seal(p, record, 23, 3, iv, 0x102, nonce, aad), 4);
	assert_memory_equal(nonce, want_nonce, 12);
	assert_memory_equal(aad, ((uint8_t[]){23, 3, 3, 0, 20}), 5);
	assert_memory_equal(record, aad, 5);
	assert_int_equal(record[5 + 3], 23);

	p = tls_protection_find(ABI_TLS12, ABI_AES_128_GCM);
	assert_int_equal(
		tls_record_seal(p, record, 21, 2, salt, 0x0102030405060708, nonce, aad), 2);
	assert_memory_equal(aad, ((uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 21, 3, 3, 0, 2}), 13);
	assert_memory_equal(record, ((uint8_t[]){21, 3, 3, 0, 26, 1, 2, 3, 4, 5, 6, 7, 8}), 13);
	assert_memory_equal(
		nonce, ((uint8_t[]){0xa0, 0xa1, 0xa2, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8}), 12);
}

// The explicit nonce goes on where the handshake ended: the number behind the salt plus the
// sequence number, modulo 2^64; the sequence number itself stays in the additional data.
static void test_nonce_continues(void **state) {
	const struct tls_protection *p = tls_protection_find(ABI_TLS12, ABI_AES_256_GCM);
	uint8_t tx_iv[12] = {1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe};
	uint8_t record[64], nonce[12], aad[13];

	assert_int_equal(tls_record_seal(p, record, 23, 2, tx_iv, 1, nonce, aad), 2);
	assert_memory_equal(record + 5, ((uint8_t[]){255, 255, 255, 255, 255, 255, 255, 255}), 8);
	assert_memory_equal(nonce + 4, record + 5, 8);
	assert_int_equal(tls_record_seal(p, record, 23, 2, tx_iv, 5, nonce, aad), 2);
	assert_memory_equal(record + 5, ((uint8_t[]){0, 0, 0, 0, 0, 0, 0, 3}), 8);
	assert_memory_equal(nonce, ((uint8_t[]){1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 3}), 12);
	assert_memory_equal(aad, ((uint8_t[]){0, 0, 0, 0, 0, 0, 0, 5, 23, 3, 3, 0, 2}), 13);
}

// What seal says and what open says about the same record are one.
static void test_seal_open_agree(void **state) {
	for (unsigned version = ABI_TLS12; version <= ABI_TLS13; version++)
		for (unsigned cipher = ABI_AES_128_GCM; cipher <= ABI_CHACHA20_POLY1305; cipher++) {
			const struct tls_protection *p = tls_protection_find(version, cipher);
			uint8_t record[256] = {0}, n1[12], n2[12], a1[13], a2[13];
			struct tls_record out;
			unsigned text = tls_record_seal(p, record, 23, 100, iv, 7, n1, a1);

			assert_int_equal(tls_record_parse(p, record, record + 256, &out),
				100 + tls_overhead(p));
			assert_int_equal(out.text_len, text);
			tls_record_open(p, &out, record, iv, 7, n2, a2);
			assert_memory_equal(n1, n2, 12);
			assert_memory_equal(a1, a2, p->aad_len);
		}
}

// RFC 8448, section 3 (simple 1-RTT handshake): the client's first application record.
static void test_rfc8448_record(void **state) {
	static const uint8_t key[16] = {0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8,
		0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51};
	static const uint8_t client_iv[12] = {
		0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9};
	static const uint8_t wire[] = {0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6,
		0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea,
		0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4,
		0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f,
		0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee,
		0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};
	const struct tls_protection *p = tls_protection_find(ABI_TLS13, ABI_AES_128_GCM);
	struct tls_record record;
	uint8_t nonce[12], aad[13], text[64];
	uint16_t len;
	Aes aes;

	assert_int_equal(tls_record_parse(p, wire, wire + sizeof(wire), &record), sizeof(wire));
	tls_record_open(p, &record, wire, client_iv, 0, nonce, aad);
	assert_int_equal(wc_AesInit(&aes, NULL, INVALID_DEVID), 0);
	assert_int_equal(wc_AesGcmSetKey(&aes, key, sizeof(key)), 0);
	assert_int_equal(
		wc_AesGcmDecrypt(&aes, text, wire + record.text_offset, record.text_len, nonce, 12,
			wire + record.text_offset + record.text_len, 16, aad, p->aad_len),
		0);
	wc_AesFree(&aes);
	len = record.text_len;
	assert_int_equal(tls_inner_type(p, record.type, text, &len), TLS_APPLICATION_DATA);
	assert_int_equal(len, 50);
	for (unsigned i = 0; i < len; i++)
		assert_int_equal(text[i], i);
}

// The update of a secret is pure: the same secret gives the same keys, another gives others, and
// the second update is not the first. (The label is checked against a real client's KeyUpdate in
// the integration tests.)
static void test_key_update(void **state) {
	const struct tls_protection *p = tls_protection_find(ABI_TLS13, ABI_AES_256_GCM);
	struct abi_keys a = {.secret_len = 48, .seq = 9}, b, bad = {.secret_len = 32};

	memset(a.secret, 0x5a, 48);
	b = a;
	assert_int_equal(tls13_keys_update(p, &a), 0);
	assert_int_equal(a.seq, 0);
	assert_int_equal(tls13_keys_update(p, &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(tls13_keys_update(p, &b), 0);
	assert_memory_not_equal(a.secret, b.secret, 48);
	assert_memory_not_equal(a.key, b.key, 32);
	assert_int_equal(tls13_keys_update(p, &bad), -EINVAL);
	p = tls_protection_find(ABI_TLS12, ABI_AES_256_GCM);
	assert_int_equal(tls13_keys_update(p, &a), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_parse_bounds),
		cmocka_unit_test(test_inner_type),
		cmocka_unit_test(test_nonce_and_aad),
		cmocka_unit_test(test_nonce_continues),
		cmocka_unit_test(test_seal_open_agree),
		cmocka_unit_test(test_rfc8448_record),
		cmocka_unit_test(test_key_update),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
