// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of the DTLS 1.2 record codec, with records of OpenSSL.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/proto/dtls12.h"
#include "tests/unit/dtls12_vectors.h"

static void test_parse_openssl(void **state) {
	for (unsigned i = 0; i < 3; i++) {
		const struct dtls12_vector *v = &dtls12_vectors[i];
		uint8_t bytes[256], iv[12] = {0}, nonce[12], aad[13];
		unsigned n = from_hex(v->client_record, bytes, sizeof(bytes));
		const uint8_t *src = bytes;
		struct dtls12_record r;
		int len;

		assert_int_equal(dtls12_parse(&src, bytes + n, &r), 0);
		assert_ptr_equal(src, bytes + n);
		assert_int_equal(r.type, DTLS12_APPLICATION_DATA);
		assert_int_equal(r.epoch, 1);
		assert_int_equal(r.seq, (UINT64_C(1) << 48) + 1);
		from_hex(v->client_iv, iv, sizeof(iv));
		len = dtls12_open(&r, v->cipher, iv, nonce, aad);
		assert_int_equal(len, 23);
		assert_int_equal(n - (unsigned)len, dtls12_overhead(v->cipher));
		assert_memory_equal(aad, bytes + 3, 8);
		assert_int_equal(aad[8], 23);
		assert_int_equal(aad[12], 23);
		if (v->cipher != ABI_CHACHA20_POLY1305) {
			assert_memory_equal(nonce, iv, 4);
			assert_memory_equal(nonce + 4, bytes + 13, 8);
		} else {
			assert_memory_equal(nonce, iv, 4);
			assert_int_equal(nonce[5], iv[5] ^ 1);
			assert_int_equal(nonce[11], iv[11] ^ 1);
		}
	}
}

static void test_client_hello(void **state) {
	uint8_t bytes[256];
	unsigned n = from_hex(dtls12_client_hello, bytes, sizeof(bytes));
	const uint8_t *src = bytes;
	struct dtls12_record r;

	assert_int_equal(dtls12_parse(&src, bytes + n, &r), 0);
	assert_true(dtls12_is_client_hello(&r));
	bytes[13] = 2; // ServerHello
	assert_false(dtls12_is_client_hello(&r));
	bytes[13] = 1;
	bytes[4] = 1; // epoch 1
	src = bytes;
	assert_int_equal(dtls12_parse(&src, bytes + n, &r), 0);
	assert_false(dtls12_is_client_hello(&r));
}

static int parse(const uint8_t *bytes, unsigned n) {
	const uint8_t *src = bytes;
	struct dtls12_record r;

	return dtls12_parse(&src, bytes + n, &r);
}

static void test_malformed(void **state) {
	uint8_t good[64] = {23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 5, 0, 32}, b[64];

	assert_int_equal(parse(good, 45), 0);
	for (unsigned n = 0; n < 45; n++)
		assert_int_equal(parse(good, n), -EPROTO);
	for (unsigned type = 0; type < 256; type++) {
		memcpy(b, good, sizeof(b));
		b[0] = (uint8_t)type;
		assert_int_equal(parse(b, 45), type >= 20 && type <= 23 ? 0 : -EPROTO);
	}
	memcpy(b, good, sizeof(b));
	b[2] = 0xff; // DTLS 1.0: handshakes alone
	assert_int_equal(parse(b, 45), -EPROTO);
	b[0] = 22;
	assert_int_equal(parse(b, 45), 0);
	b[1] = 3;
	b[2] = 3;
	assert_int_equal(parse(b, 45), -EPROTO);
	memcpy(b, good, sizeof(b));
	b[11] = 0xff;
	assert_int_equal(parse(b, 64), -EPROTO);
}

// A text of no bytes is the shortest that opens.
static void test_open_short(void **state) {
	uint8_t body[64] = {0}, iv[12] = {0}, nonce[12], aad[13];
	struct dtls12_record r = {.body = body, .type = 23};

	r.len = 23;
	assert_int_equal(dtls12_open(&r, ABI_AES_128_GCM, iv, nonce, aad), -EPROTO);
	r.len = 24;
	assert_int_equal(dtls12_open(&r, ABI_AES_128_GCM, iv, nonce, aad), 0);
	r.len = 15;
	assert_int_equal(dtls12_open(&r, ABI_CHACHA20_POLY1305, iv, nonce, aad), -EPROTO);
	r.len = 16;
	assert_int_equal(dtls12_open(&r, ABI_CHACHA20_POLY1305, iv, nonce, aad), 0);
}

static void test_several_records(void **state) {
	uint8_t bytes[64] = {23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 5, 0, 3, 1, 2, 3, 21, 0xfe, 0xfd,
		0, 1, 0, 0, 0, 0, 0, 6, 0, 0};
	const uint8_t *src = bytes, *end = bytes + 29;
	struct dtls12_record r;

	assert_int_equal(dtls12_parse(&src, end, &r), 0);
	assert_int_equal(r.len, 3);
	assert_int_equal(dtls12_parse(&src, end, &r), 0);
	assert_int_equal(r.type, 21);
	assert_int_equal(r.seq & DTLS12_SEQ_MAX, 6);
	assert_ptr_equal(src, end);
	assert_int_equal(dtls12_parse(&src, end, &r), -EPROTO);
}

// What seal writes, parse and open read back with the same nonce and additional data.
static void test_seal(void **state) {
	for (unsigned cipher = ABI_AES_128_GCM; cipher <= ABI_CHACHA20_POLY1305; cipher++) {
		uint8_t bytes[256] = {0}, iv[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
		uint8_t nonce[2][12], aad[2][13];
		uint64_t seq = UINT64_C(1) << 48 | UINT64_C(0xa1b2c3d4e5f6);
		const uint8_t *src = bytes;
		struct dtls12_record r;

		dtls12_seal(bytes, (uint8_t)cipher, 23, seq, 100, iv, nonce[0], aad[0]);
		assert_int_equal(
			dtls12_parse(&src, bytes + 100 + dtls12_overhead((uint8_t)cipher), &r), 0);
		assert_int_equal(r.seq, seq);
		assert_int_equal(dtls12_open(&r, (uint8_t)cipher, iv, nonce[1], aad[1]), 100);
		assert_memory_equal(nonce[0], nonce[1], 12);
		// 0x05060708090a0b0c + 0x0001a1b2c3d4e5f6
		if (cipher != ABI_CHACHA20_POLY1305)
			assert_memory_equal(nonce[0] + 4,
				((uint8_t[]){0x05, 0x07, 0xa8, 0xba, 0xcc, 0xde, 0xf1, 0x02}), 8);
		assert_memory_equal(aad[0], aad[1], 13);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_openssl),
		cmocka_unit_test(test_client_hello),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_open_short),
		cmocka_unit_test(test_several_records),
		cmocka_unit_test(test_seal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
