// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of record crypto: published vectors, records of OpenSSL, bursts, tampering.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <rte_cryptodev.h>

#include "dataplane/crypto/crypto.h"
#include "dataplane/proto/dtls12.h"
#include "tests/unit/dtls12_vectors.h"
#include "tests/unit/eal.h"

static struct rte_mempool *pool;

static struct rte_mbuf *mbuf_of(const void *bytes, unsigned len, unsigned extra) {
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	char *to;

	assert_non_null(m);
	to = rte_pktmbuf_append(m, (uint16_t)(len + extra));
	assert_non_null(to);
	memcpy(to, bytes, len);
	return m;
}

// NIST CAVP gcmEncryptExtIV128/256 (first of [PTlen 128, AADlen 128]), RFC 8439 2.8.2.
static const struct {
	enum abi_cipher cipher;
	const char *key, *nonce, *aad, *plain, *sealed;
} vectors[] = {
	{ABI_AES_128_GCM, "c939cc13397c1d37de6ae0e1cb7c423c", "b3d8cc017cbb89b39e0f67e2",
		"24825602bd12a984e0092d3e448eda5f", "c3b3c41f113a31b73d9a5cd432103069",
		"93fe7d9e9bfd10348a5606e5cafa73540032a1dc85f1c9786925a2e71d8272dd"},
	{ABI_AES_256_GCM, "92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b",
		"ac93a1a6145299bde902f21a", "1e0889016f67601c8ebea4943bc23ad6",
		"2d71bcfa914e4ac045b2aa60955fad24",
		"8995ae2e6df3dbf96fac7b7137bae67feca5aa77d51d4a0a14d9c51e1da474ab"},
	{ABI_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
		"070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
		"4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a"
		"204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f72207468"
		"65206675747572652c2073756e73637265656e20776f756c642062652069742e",
		"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282"
		"fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab3"
		"24e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e"
		"902ecbd0600691"},
};

static void test_published(void **state) {
	for (unsigned i = 0; i < RTE_DIM(vectors); i++) {
		uint8_t key[32], plain[256], sealed[256];
		unsigned n = from_hex(vectors[i].plain, plain, sizeof(plain)), aad_len;
		struct dp_crypt op = {.len = (uint16_t)n};
		struct dp_key *enc, *dec;

		from_hex(vectors[i].key, key, sizeof(key));
		assert_int_equal(from_hex(vectors[i].sealed, sealed, sizeof(sealed)), n + 16);
		from_hex(vectors[i].nonce, op.nonce, 12);
		aad_len = from_hex(vectors[i].aad, op.aad, 16);
		op.aad_len = (uint8_t)aad_len;
		enc = dp_key_new(vectors[i].cipher, key, true, op.aad_len);
		dec = dp_key_new(vectors[i].cipher, key, false, op.aad_len);
		assert_non_null(enc);
		assert_non_null(dec);
		op.m = mbuf_of(plain, n, 16);
		op.key = enc;
		dp_crypto_run(0, &op, 1);
		assert_true(op.ok);
		assert_memory_equal(rte_pktmbuf_mtod(op.m, void *), sealed, n + 16);
		op.key = dec;
		dp_crypto_run(0, &op, 1);
		assert_true(op.ok);
		assert_memory_equal(rte_pktmbuf_mtod(op.m, void *), plain, n);
		rte_pktmbuf_free(op.m);
		dp_key_free(enc);
		dp_key_free(dec);
	}
}

static void open_record(uint8_t cipher, const char *key_hex, const char *iv_hex,
	const char *record_hex, const char *want) {
	uint8_t key[32] = {0}, iv[12] = {0}, bytes[256];
	unsigned n = from_hex(record_hex, bytes, sizeof(bytes));
	const uint8_t *src = bytes;
	struct dtls12_record r;
	struct dp_crypt op = {.aad_len = 13};
	struct dp_key *k;
	int len;

	from_hex(key_hex, key, sizeof(key));
	from_hex(iv_hex, iv, sizeof(iv));
	assert_int_equal(dtls12_parse(&src, bytes + n, &r), 0);
	len = dtls12_open(&r, cipher, iv, op.nonce, op.aad);
	assert_int_equal(len, 23);
	k = dp_key_new(cipher, key, false, 13);
	assert_non_null(k);
	op.m = mbuf_of(bytes, n, 0);
	op.key = k;
	op.offset = (uint16_t)(13 + dtls12_explicit_len(cipher));
	op.len = (uint16_t)len;
	dp_crypto_run(0, &op, 1);
	assert_true(op.ok);
	assert_memory_equal(rte_pktmbuf_mtod_offset(op.m, char *, op.offset), want, 23);
	rte_pktmbuf_free(op.m);
	dp_key_free(k);
}

static void test_openssl_records(void **state) {
	for (unsigned i = 0; i < RTE_DIM(dtls12_vectors); i++) {
		const struct dtls12_vector *v = &dtls12_vectors[i];

		open_record(v->cipher, v->client_key, v->client_iv, v->client_record,
			"\0hello from the client\n");
		open_record(v->cipher, v->server_key, v->server_iv, v->server_record,
			"\0hello from the server\n");
	}
}

// Many sessions, ciphers and sizes in one run, larger than a burst; every fifth is tampered with.
static void test_bursts(void **state) {
	enum {
		N = 200
	};
	static struct dp_crypt ops[N];
	static struct dp_key *enc[9], *dec[9];
	static uint8_t text[N][1500];
	uint8_t key[32];

	srand(2);
	for (unsigned i = 0; i < 9; i++) {
		for (unsigned j = 0; j < 32; j++)
			key[j] = (uint8_t)(i * 7 + j);
		enc[i] = dp_key_new((enum abi_cipher)(1 + i % 3), key, true, 13);
		dec[i] = dp_key_new((enum abi_cipher)(1 + i % 3), key, false, 13);
		assert_non_null(enc[i]);
		assert_non_null(dec[i]);
	}
	for (unsigned i = 0; i < N; i++) {
		unsigned len = (unsigned)rand() % 1400;

		for (unsigned j = 0; j < len; j++)
			text[i][j] = (uint8_t)rand();
		ops[i] = (struct dp_crypt){
			.m = mbuf_of(text[i], len, 16),
			.key = enc[i % 9],
			.len = (uint16_t)len,
			.aad_len = 13,
		};
		memset(ops[i].nonce, (int)i, 12);
		memset(ops[i].aad, (int)i + 1, 13);
	}
	dp_crypto_run(1, ops, N);
	for (unsigned i = 0; i < N; i++) {
		uint8_t *bytes = rte_pktmbuf_mtod(ops[i].m, uint8_t *);

		assert_true(ops[i].ok);
		ops[i].key = dec[i % 9];
		if (i % 5 == 0)
			bytes[(unsigned)rand() % (ops[i].len + 16u)] ^= 1;
		else if (i % 7 == 0)
			ops[i].aad[12] ^= 0x80;
		else if (i % 11 == 0)
			ops[i].nonce[11] ^= 1;
	}
	dp_crypto_run(0, ops, N);
	for (unsigned i = 0; i < N; i++) {
		bool good = i % 5 != 0 && i % 7 != 0 && i % 11 != 0;

		assert_int_equal(ops[i].ok, good);
		if (good)
			assert_memory_equal(
				rte_pktmbuf_mtod(ops[i].m, void *), text[i], ops[i].len);
		rte_pktmbuf_free(ops[i].m);
	}
	for (unsigned i = 0; i < 9; i++) {
		dp_key_free(enc[i]);
		dp_key_free(dec[i]);
	}
}

static void test_pool_ends(void **state) {
	struct dp_key *keys[65];
	uint8_t key[32] = {1};
	unsigned n = 0;

	while (n < 65 && (keys[n] = dp_key_new(ABI_AES_256_GCM, key, true, 13)) != NULL)
		n++;
	assert_int_equal(n, 64);
	assert_int_equal(errno, ENOSPC);
	// freed keys leave nothing behind (but the link to the next free one), and their places can
	// be had again
	dp_key_free(keys[0]);
	for (unsigned i = 8; i < 1000; i++)
		assert_int_equal(((uint8_t *)((uintptr_t)keys[0] & ~UINT64_C(63)))[i], 0);
	keys[0] = dp_key_new(ABI_AES_128_GCM, key, false, 5);
	assert_non_null(keys[0]);
	for (unsigned i = 0; i < n; i++)
		dp_key_free(keys[i]);
	assert_null(dp_key_new((enum abi_cipher)0, key, true, 13));
	assert_int_equal(errno, EINVAL);
	assert_null(dp_key_new((enum abi_cipher)4, key, true, 13));
	assert_null(dp_key_new(ABI_AES_128_GCM, key, true, 17));
	dp_key_free(NULL);
}

static uint16_t gives_nothing(void *qp, struct rte_crypto_op **ops, uint16_t n) {
	return 0;
}

// A device that takes operations and keeps them: they fail, what it may write to stays alive, and
// when it gives them back all is well again.
static void test_device_hangs(void **state) {
	static const uint8_t key[16] = {1};
	struct dp_key *enc = dp_key_new(ABI_AES_128_GCM, key, true, 13), *keys[64];
	struct dp_crypt ops[3];
	dequeue_pkt_burst_t dequeue[RTE_CRYPTO_MAX_DEVS];

	assert_non_null(enc);
	for (unsigned i = 0; i < RTE_CRYPTO_MAX_DEVS; i++) {
		dequeue[i] = rte_crypto_fp_ops[i].dequeue_burst;
		rte_crypto_fp_ops[i].dequeue_burst = gives_nothing;
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < RTE_DIM(ops); i++) {
			ops[i] = (struct dp_crypt){.m = mbuf_of("text", 4, 16),
				.key = enc,
				.len = 4,
				.aad_len = 13,
				.ok = true};
		}
		dp_crypto_run(0, ops, RTE_DIM(ops));
		for (unsigned i = 0; i < RTE_DIM(ops); i++) {
			assert_false(ops[i].ok);
			assert_true(ops[i].failed);
			// the second time they never reached the device
			assert_int_equal(rte_mbuf_refcnt_read(ops[i].m), round == 0 ? 2 : 1);
			rte_pktmbuf_free(ops[i].m);
		}
	}
	assert_int_equal(rte_mempool_in_use_count(pool), RTE_DIM(ops));
	for (unsigned i = 0; i < RTE_CRYPTO_MAX_DEVS; i++)
		rte_crypto_fp_ops[i].dequeue_burst = dequeue[i];
	ops[0] = (struct dp_crypt){
		.m = mbuf_of("text", 4, 16), .key = enc, .len = 4, .aad_len = 13};
	dp_crypto_run(0, ops, 1);
	assert_true(ops[0].ok);
	assert_false(ops[0].failed);
	rte_pktmbuf_free(ops[0].m);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	// keys can be freed again
	dp_key_free(enc);
	for (unsigned i = 0; i < RTE_DIM(keys); i++) {
		keys[i] = dp_key_new(ABI_AES_128_GCM, key, true, 13);
		assert_non_null(keys[i]);
	}
	for (unsigned i = 0; i < RTE_DIM(keys); i++)
		dp_key_free(keys[i]);
}

// The records that are empty: nothing but a tag.
static void test_empty(void **state) {
	static const uint8_t key_bytes[32] = {1};

	for (unsigned cipher = ABI_AES_128_GCM; cipher <= ABI_CHACHA20_POLY1305; cipher++) {
		struct dp_key *enc = dp_key_new(cipher, key_bytes, true, 13);
		struct dp_key *dec = dp_key_new(cipher, key_bytes, false, 13);
		struct dp_crypt op = {.m = mbuf_of("", 0, 16), .key = enc, .aad_len = 13};

		dp_crypto_run(0, &op, 1);
		assert_true(op.ok);
		op.key = dec;
		dp_crypto_run(0, &op, 1);
		assert_true(op.ok);
		op.aad[0] ^= 1;
		dp_crypto_run(0, &op, 1);
		assert_false(op.ok);
		assert_false(op.failed);
		rte_pktmbuf_free(op.m);
		dp_key_free(enc);
		dp_key_free(dec);
	}
}

static int setup(void **state) {
	pool = rte_pktmbuf_pool_create(
		"test", 511, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	return pool != NULL && dp_crypto_init(2, 64) == 0 ? 0 : -1;
}

static int setup_devices(void **state) {
	pool = rte_pktmbuf_pool_create(
		"test", 511, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	return pool != NULL && dp_crypto_init_devices(2, 64) == 0 ? 0 : -1;
}

static int teardown(void **state) {
	dp_crypto_fini();
	rte_mempool_free(pool);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_openssl_records),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_pool_ends),
	};
	const struct CMUnitTest device_tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_pool_ends),
		cmocka_unit_test(test_device_hangs),
	};
	int failed;

	if (test_eal_init() < 0)
		return 1;
	failed = cmocka_run_group_tests_name("cpu", tests, setup, teardown);
	failed += cmocka_run_group_tests_name("devices", device_tests, setup_devices, teardown);
	rte_eal_cleanup();
	return failed;
}
