// SPDX-License-Identifier: GPL-3.0-or-later
// Bare cryptodev for tests/bench/floor: the PMDs that the dataplane uses, in both of their modes.
#include "floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cryptodev.h>
#include <rte_debug.h>
#include <rte_dev.h>
#include <rte_malloc.h>

#define DESCRIPTORS 256u
#define SESSIONS 64u
#define POLLS_MAX 100000000u // a software device answers at once

// Behind each operation: the nonce, then the additional data.
#define NONCE_OFFSET (sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op))
#define AAD_OFFSET (NONCE_OFFSET + 16u)
#define OP_PRIV_SIZE 32u

struct cryptodev {
	void *sessions[2]; // decrypt, encrypt
	struct rte_crypto_op *ops[FLOOR_BURST]; // kept for good
};

static const struct {
	enum rte_crypto_aead_algorithm aead;
	uint16_t key_len;
} algorithms[FLOOR_CIPHERS] = {
	[FLOOR_AES_128_GCM] = {RTE_CRYPTO_AEAD_AES_GCM, 16},
	[FLOOR_AES_256_GCM] = {RTE_CRYPTO_AEAD_AES_GCM, 32},
	[FLOOR_CHACHA20_POLY1305] = {RTE_CRYPTO_AEAD_CHACHA20_POLY1305, 32},
};

// The first of each family is what dataplane/crypto takes; the others are there to compare.
static const char *const names[] = {
	"crypto_aesni_gcm", "crypto_chacha20_poly1305", "crypto_aesni_mb"};

static struct rte_mempool *op_pool, *session_pools[RTE_DIM(names)];

static void op_fill(struct rte_crypto_op *op, void *session, const struct floor_record *r) {
	struct rte_crypto_sym_op *sym = op->sym;
	uint8_t *aad = rte_crypto_op_ctod_offset(op, uint8_t *, AAD_OFFSET);

	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	op->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	memcpy(rte_crypto_op_ctod_offset(op, uint8_t *, NONCE_OFFSET), r->nonce, FLOOR_NONCE_LEN);
	memcpy(aad, r->aad, sizeof(r->aad));
	sym->m_src = r->m;
	sym->m_dst = NULL;
	sym->session = session;
	sym->aead.data.offset = 0;
	sym->aead.data.length = r->len;
	sym->aead.digest.data = rte_pktmbuf_mtod_offset(r->m, uint8_t *, r->len);
	sym->aead.digest.phys_addr = rte_pktmbuf_iova_offset(r->m, r->len);
	sym->aead.aad.data = aad;
	sym->aead.aad.phys_addr = rte_crypto_op_ctophys_offset(op, AAD_OFFSET);
}

static unsigned run_queue(
	const struct floor_way *way, bool encrypt, struct floor_record *records, unsigned n) {
	struct cryptodev *state = way->state;
	struct rte_crypto_op *done[FLOOR_BURST];
	unsigned in = 0, out = 0, good = 0;

	for (unsigned i = 0; i < n; i++)
		op_fill(state->ops[i], state->sessions[encrypt], &records[i]);
	for (unsigned polls = 0; out < n && polls < POLLS_MAX; polls++) {
		if (in < n)
			in += rte_cryptodev_enqueue_burst(
				way->dev, 0, state->ops + in, (uint16_t)(n - in));
		out += rte_cryptodev_dequeue_burst(way->dev, 0, done + out, (uint16_t)(n - out));
	}
	for (unsigned i = 0; i < out; i++)
		good += done[i]->status == RTE_CRYPTO_OP_STATUS_SUCCESS;
	return good;
}

static unsigned run_cpu(
	const struct floor_way *way, bool encrypt, struct floor_record *records, unsigned n) {
	struct cryptodev *state = way->state;
	struct rte_crypto_va_iova_ptr iv[FLOOR_BURST], digest[FLOOR_BURST], aad[FLOOR_BURST];
	struct rte_crypto_sgl sgl[FLOOR_BURST];
	struct rte_crypto_vec vec[FLOOR_BURST];
	int32_t status[FLOOR_BURST];
	struct rte_crypto_sym_vec all = {
		.num = n,
		.src_sgl = sgl,
		.iv = iv,
		.digest = digest,
		.aad = aad,
		.status = status,
	};

	for (unsigned i = 0; i < n; i++) {
		struct floor_record *r = &records[i];
		uint8_t *text = rte_pktmbuf_mtod(r->m, uint8_t *);

		vec[i].base = text;
		vec[i].len = r->len;
		sgl[i].vec = &vec[i];
		sgl[i].num = 1;
		iv[i].va = r->nonce;
		aad[i].va = r->aad;
		digest[i].va = text + r->len;
	}
	return rte_cryptodev_sym_cpu_crypto_process(
		way->dev, state->sessions[encrypt], (union rte_crypto_sym_ofs){.raw = 0}, &all);
}

static bool device_can(uint8_t dev, enum floor_cipher cipher) {
	const struct rte_cryptodev_sym_capability_idx idx = {
		.type = RTE_CRYPTO_SYM_XFORM_AEAD,
		.algo.aead = algorithms[cipher].aead,
	};
	const struct rte_cryptodev_symmetric_capability *cap = rte_cryptodev_sym_capability_get(
		dev, &idx);

	return cap != NULL &&
		rte_cryptodev_sym_capability_check_aead(cap, algorithms[cipher].key_len,
			FLOOR_TAG_LEN, FLOOR_AAD_LEN, FLOOR_NONCE_LEN) == 0;
}

// Once a device: its pool of sessions, one queue pair.
static bool device_start(unsigned which, uint8_t dev) {
	struct rte_cryptodev_config config = {
		.socket_id = SOCKET_ID_ANY,
		.nb_queue_pairs = 1,
		.ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO | RTE_CRYPTODEV_FF_SECURITY,
	};
	struct rte_cryptodev_qp_conf qp = {.nb_descriptors = DESCRIPTORS};

	session_pools[which] = rte_cryptodev_sym_session_pool_create(names[which], SESSIONS,
		rte_cryptodev_sym_get_private_session_size(dev), 0, 0, SOCKET_ID_ANY);
	qp.mp_session = session_pools[which];
	return qp.mp_session != NULL && rte_cryptodev_configure(dev, &config) == 0 &&
		rte_cryptodev_queue_pair_setup(dev, 0, &qp, SOCKET_ID_ANY) == 0 &&
		rte_cryptodev_start(dev) == 0;
}

static int device_get(unsigned which) {
	int dev;

	if (session_pools[which] == NULL) {
		if (rte_dev_probe(names[which]) != 0)
			return -1; // this DPDK was built without it, or the CPU lacks what it needs
		dev = rte_cryptodev_get_dev_id(names[which]);
		if (dev < 0 || !device_start(which, (uint8_t)dev))
			rte_exit(EXIT_FAILURE, "%s does not start\n", names[which]);
	}
	return rte_cryptodev_get_dev_id(names[which]);
}

static struct cryptodev *state_new(
	unsigned which, uint8_t dev, enum floor_cipher cipher, const uint8_t *key) {
	struct cryptodev *state = rte_zmalloc(NULL, sizeof(*state), RTE_CACHE_LINE_SIZE);
	struct rte_crypto_sym_xform xform = {.type = RTE_CRYPTO_SYM_XFORM_AEAD};

	if (op_pool == NULL)
		op_pool = rte_crypto_op_pool_create("floor_ops", RTE_CRYPTO_OP_TYPE_SYMMETRIC, 1023,
			0, OP_PRIV_SIZE, SOCKET_ID_ANY);
	if (state == NULL || op_pool == NULL ||
		rte_crypto_op_bulk_alloc(op_pool, RTE_CRYPTO_OP_TYPE_SYMMETRIC, state->ops,
			FLOOR_BURST) != FLOOR_BURST)
		rte_exit(EXIT_FAILURE, "no memory for %s\n", names[which]);
	for (unsigned encrypt = 0; encrypt < 2; encrypt++) {
		xform.aead = (struct rte_crypto_aead_xform){
			.op = encrypt ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT,
			.algo = algorithms[cipher].aead,
			.key = {.data = key, .length = algorithms[cipher].key_len},
			.iv = {.offset = NONCE_OFFSET, .length = FLOOR_NONCE_LEN},
			.digest_length = FLOOR_TAG_LEN,
			.aad_length = FLOOR_AAD_LEN,
		};
		state->sessions[encrypt] = rte_cryptodev_sym_session_create(
			dev, &xform, session_pools[which]);
		if (state->sessions[encrypt] == NULL)
			rte_exit(EXIT_FAILURE, "%s makes no session\n", names[which]);
	}
	return state;
}

unsigned floor_cryptodev_open(enum floor_cipher cipher, const uint8_t *key, struct floor_way *ways,
	unsigned n, unsigned max) {
	for (unsigned which = 0; which < RTE_DIM(names); which++) {
		struct rte_cryptodev_info info;
		struct floor_way way = {.layer = "cryptodev", .cipher = cipher};
		int dev = device_get(which);

		if (dev < 0 || !device_can((uint8_t)dev, cipher))
			continue;
		if (n + 2 > max)
			rte_exit(EXIT_FAILURE, "more devices than expected\n");
		way.device = names[which];
		way.dev = (uint8_t)dev;
		way.state = state_new(which, way.dev, cipher, key);
		way.api = "enqueue-dequeue";
		way.run = run_queue;
		ways[n++] = way;
		rte_cryptodev_info_get(way.dev, &info);
		if (!(info.feature_flags & RTE_CRYPTODEV_FF_SYM_CPU_CRYPTO))
			continue;
		way.api = "synchronous";
		way.run = run_cpu;
		ways[n++] = way;
	}
	return n;
}

void floor_cryptodev_close(void) {
	for (unsigned which = 0; which < RTE_DIM(names); which++)
		if (session_pools[which] != NULL)
			rte_cryptodev_stop((uint8_t)rte_cryptodev_get_dev_id(names[which]));
}
