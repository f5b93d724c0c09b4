// SPDX-License-Identifier: GPL-3.0-or-later
// Record AEAD by DPDK cryptodev in bursts: QAT and the like, or the virtual devices of a CPU that
// ipsec-mb does not serve. Called by crypto.c.
#include "dataplane/crypto/backend.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cryptodev.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_lcore.h>
#include <rte_prefetch.h>

#define CRYPTO_DESCRIPTORS 256u
#define CRYPTO_PREFETCH_LINES 14u // round keys and the first hash keys of GCM
#define CRYPTO_PREFETCH_AHEAD 4u
#define CRYPTO_PATIENCE 5u // a device that needs a fifth of a second has failed,
#define CRYPTO_POLLS_MIN 1000u // unless it was this thread that did not run

// Behind each operation: the nonce, then the additional data.
#define NONCE_OFFSET (sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op))
#define AAD_OFFSET (NONCE_OFFSET + 16u)
#define OP_PRIV_SIZE 32u
#define NONCE_LEN 12u

struct algorithm {
	enum crypto_family family;
	enum rte_crypto_aead_algorithm aead;
	uint16_t key_len;
};

static const struct algorithm algorithms[] = {
	[ABI_AES_128_GCM] = {FAMILY_GCM, RTE_CRYPTO_AEAD_AES_GCM, 16},
	[ABI_AES_256_GCM] = {FAMILY_GCM, RTE_CRYPTO_AEAD_AES_GCM, 32},
	[ABI_CHACHA20_POLY1305] = {FAMILY_CHACHA, RTE_CRYPTO_AEAD_CHACHA20_POLY1305, 32},
};

// Virtual devices to make when no device of the machine does the job, best first.
static const struct {
	enum crypto_family family;
	const char *name;
} vdevs[] = {
	{FAMILY_GCM, "crypto_aesni_gcm"},
	{FAMILY_GCM, "crypto_openssl"}, // CPUs without AES-NI
	{FAMILY_CHACHA, "crypto_chacha20_poly1305"},
};

// One caller's queue pair on one device.
struct queue {
	struct rte_crypto_op *ops[CRYPTO_BURST]; // kept for good
	uint64_t missing; // of the burst that runs: bit i: ops[i] did not come back
	unsigned late; // operations that the device still has from a burst that was given up
	struct rte_mbuf *held[CRYPTO_BURST]; // what it may still write to
	unsigned nb_held;
};

static struct {
	int dev[FAMILY_MAX]; // device id, -1: none
	struct rte_mempool *sessions;
	struct rte_mempool *ops;
	struct queue *queues; // FAMILY_MAX an lcore; two families of one device share the first
	_Atomic unsigned late; // queues with operations that are late
	unsigned nb_lcores;
} crypto = {.dev = {-1, -1}};

static bool device_can(uint8_t dev, const struct algorithm *alg, unsigned nb_lcores) {
	const struct rte_cryptodev_sym_capability_idx idx = {
		.type = RTE_CRYPTO_SYM_XFORM_AEAD,
		.algo.aead = alg->aead,
	};
	const struct rte_cryptodev_symmetric_capability *cap;
	struct rte_cryptodev_info info;

	rte_cryptodev_info_get(dev, &info);
	if (info.max_nb_queue_pairs < nb_lcores)
		return false;
	cap = rte_cryptodev_sym_capability_get(dev, &idx);
	return cap != NULL &&
		rte_cryptodev_sym_capability_check_aead(
			cap, alg->key_len, DP_TAG_LEN, 13, NONCE_LEN) == 0;
}

static int device_find(enum crypto_family family, unsigned nb_lcores) {
	for (uint8_t dev = 0; dev < RTE_CRYPTO_MAX_DEVS; dev++) {
		bool all = rte_cryptodev_is_valid_dev(dev);

		for (unsigned i = 0; all && i < RTE_DIM(algorithms); i++)
			if (algorithms[i].key_len != 0 && algorithms[i].family == family)
				all = device_can(dev, &algorithms[i], nb_lcores);
		if (all)
			return dev;
	}
	return -ENODEV;
}

static int device_make(enum crypto_family family, unsigned nb_lcores) {
	char args[96];
	int dev = device_find(family, nb_lcores);

	for (unsigned i = 0; dev < 0 && i < RTE_DIM(vdevs); i++) {
		if (vdevs[i].family != family)
			continue;
		snprintf(args, sizeof(args), "%s,max_nb_queue_pairs=%u", vdevs[i].name, nb_lcores);
		if (rte_dev_probe(args) == 0)
			dev = device_find(family, nb_lcores);
	}
	return dev;
}

static int device_start(uint8_t dev, unsigned nb_lcores) {
	struct rte_cryptodev_config config = {
		.socket_id = SOCKET_ID_ANY,
		.nb_queue_pairs = (uint16_t)nb_lcores,
		.ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO | RTE_CRYPTODEV_FF_SECURITY,
	};
	const struct rte_cryptodev_qp_conf qp = {
		.nb_descriptors = CRYPTO_DESCRIPTORS,
		.mp_session = crypto.sessions,
	};
	int rc = rte_cryptodev_configure(dev, &config);

	for (unsigned i = 0; rc == 0 && i < nb_lcores; i++)
		rc = rte_cryptodev_queue_pair_setup(
			dev, (uint16_t)i, &qp, rte_cryptodev_socket_id(dev));
	return rc == 0 ? rte_cryptodev_start(dev) : rc;
}

static unsigned private_size(void) {
	unsigned size = 0;

	for (unsigned i = 0; i < FAMILY_MAX; i++) {
		if (crypto.dev[i] >= 0)
			size = RTE_MAX(size,
				rte_cryptodev_sym_get_private_session_size((uint8_t)crypto.dev[i]));
	}
	return size;
}

static int pools_make(unsigned nb_lcores, uint32_t keys_max) {
	crypto.sessions = rte_cryptodev_sym_session_pool_create(
		"dp_keys", keys_max, private_size(), 0, 0, SOCKET_ID_ANY);
	crypto.ops = rte_crypto_op_pool_create("dp_crypto_ops", RTE_CRYPTO_OP_TYPE_SYMMETRIC,
		nb_lcores * FAMILY_MAX * CRYPTO_BURST, 0, OP_PRIV_SIZE, SOCKET_ID_ANY);
	crypto.queues = calloc(nb_lcores * FAMILY_MAX, sizeof(*crypto.queues));
	if (crypto.sessions == NULL || crypto.ops == NULL || crypto.queues == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < nb_lcores * FAMILY_MAX; i++)
		if (rte_crypto_op_bulk_alloc(crypto.ops, RTE_CRYPTO_OP_TYPE_SYMMETRIC,
			    crypto.queues[i].ops, CRYPTO_BURST) != CRYPTO_BURST)
			return -ENOMEM;
	crypto.nb_lcores = nb_lcores;
	return 0;
}

int crypto_device_find(enum crypto_family family, unsigned nb_lcores, bool make) {
	crypto.dev[family] = make ? device_make(family, nb_lcores) : device_find(family, nb_lcores);
	return crypto.dev[family] < 0 ? crypto.dev[family] : 0;
}

int crypto_device_start(unsigned nb_lcores, uint32_t keys_max) {
	int rc = pools_make(nb_lcores, keys_max);

	for (unsigned i = 0; rc == 0 && i < FAMILY_MAX; i++) {
		bool started = i == FAMILY_CHACHA && crypto.dev[i] == crypto.dev[FAMILY_GCM];

		if (crypto.dev[i] >= 0 && !started)
			rc = device_start((uint8_t)crypto.dev[i], nb_lcores);
	}
	return rc;
}

void crypto_device_fini(void) {
	for (unsigned i = 0; i < FAMILY_MAX; i++) {
		if (crypto.dev[i] < 0)
			continue;
		rte_cryptodev_stop((uint8_t)crypto.dev[i]);
		rte_cryptodev_close((uint8_t)crypto.dev[i]);
		if (crypto.dev[FAMILY_CHACHA] == crypto.dev[FAMILY_GCM])
			crypto.dev[FAMILY_CHACHA] = -1;
		crypto.dev[i] = -1;
	}
	rte_mempool_free(crypto.ops);
	rte_mempool_free(crypto.sessions);
	free(crypto.queues);
	crypto.ops = crypto.sessions = NULL;
	crypto.queues = NULL;
	atomic_store(&crypto.late, 0);
	crypto.nb_lcores = 0;
}

// The driver's session itself, so that the packet path has one pointer less to follow.
struct dp_key *crypto_device_key(
	enum abi_cipher cipher, const uint8_t *key, bool encrypt, uint8_t aad_len) {
	const struct algorithm *alg = &algorithms[cipher];
	struct rte_crypto_sym_xform xform = {
		.type = RTE_CRYPTO_SYM_XFORM_AEAD,
		.aead =
			{
				.op = encrypt ? RTE_CRYPTO_AEAD_OP_ENCRYPT
					      : RTE_CRYPTO_AEAD_OP_DECRYPT,
				.algo = alg->aead,
				.key = {.data = key, .length = alg->key_len},
				.iv = {.offset = NONCE_OFFSET, .length = NONCE_LEN},
				.digest_length = DP_TAG_LEN,
				.aad_length = aad_len,
			},
	};
	void *session = rte_cryptodev_sym_session_create(
		(uint8_t)crypto.dev[alg->family], &xform, crypto.sessions);

	if (session == NULL) {
		errno = ENOSPC;
		return NULL;
	}
	return key_make(session, (unsigned)cipher | (encrypt ? 0 : KEY_OPENS) | KEY_DEVICE);
}

void crypto_device_key_free(struct dp_key *key) {
	enum crypto_family family = crypto_family(key_bits(key) & KEY_CIPHER);
	void *session = key_at(key);

	// A failed device may still read it. Better lost until the restart that it needs anyway.
	if (atomic_load_explicit(&crypto.late, memory_order_acquire) != 0)
		return;
	rte_cryptodev_sym_session_free((uint8_t)crypto.dev[family], session);
	// it lies in the pool now, from which only this thread takes: wipe what the driver left
	explicit_bzero(session, crypto.sessions->elt_size);
}

static void key_prefetch(const struct dp_key *key) {
	const char *line = key_at(key);

	for (unsigned i = 0; i < CRYPTO_PREFETCH_LINES; i++)
		rte_prefetch0(line + i * RTE_CACHE_LINE_SIZE);
}

static void op_fill(struct rte_crypto_op *op, const struct dp_crypt *c) {
	uint8_t *aad = rte_crypto_op_ctod_offset(op, uint8_t *, AAD_OFFSET);
	struct rte_crypto_sym_op *sym = op->sym;
	unsigned tag = (unsigned)c->offset + c->len;

	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	op->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	memcpy(rte_crypto_op_ctod_offset(op, uint8_t *, NONCE_OFFSET), c->nonce, NONCE_LEN);
	memcpy(aad, c->aad, sizeof(c->aad));
	sym->m_src = c->m;
	sym->m_dst = NULL;
	sym->session = key_at(c->key);
	sym->aead.data.offset = c->offset;
	sym->aead.data.length = c->len;
	sym->aead.digest.data = rte_pktmbuf_mtod_offset(c->m, uint8_t *, tag);
	sym->aead.digest.phys_addr = rte_pktmbuf_iova_offset(c->m, tag);
	sym->aead.aad.data = aad;
	sym->aead.aad.phys_addr = rte_crypto_op_ctophys_offset(op, AAD_OFFSET);
}

static bool among(const struct rte_crypto_op *op, struct rte_crypto_op *const *done, unsigned n) {
	for (unsigned i = 0; i < n; i++)
		if (done[i] == op)
			return true;
	return false;
}

// The device took ops[0..in) of `n` and gave back `done`. The others stay its own, and so does
// what they point to, until it gives them back.
static void give_up(struct queue *queue, unsigned n, unsigned in, struct rte_crypto_op *const *done,
	unsigned out) {
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = queue->ops[i]->sym->m_src;

		if (among(queue->ops[i], done, out))
			continue;
		queue->missing |= UINT64_C(1) << i;
		if (i >= in)
			continue;
		rte_mbuf_refcnt_update(m, 1);
		queue->held[queue->nb_held++] = m;
	}
	queue->late = queue->nb_held;
	if (queue->late > 0)
		atomic_fetch_add_explicit(&crypto.late, 1, memory_order_release);
}

// True: nothing is late, the queue can be used.
static bool recover(uint8_t dev, uint16_t qp, struct queue *queue) {
	struct rte_crypto_op *done[CRYPTO_BURST];

	if (likely(queue->late == 0))
		return true;
	queue->late -= rte_cryptodev_dequeue_burst(dev, qp, done, (uint16_t)queue->late);
	if (queue->late > 0)
		return false;
	rte_pktmbuf_free_bulk(queue->held, queue->nb_held);
	queue->nb_held = 0;
	atomic_fetch_sub_explicit(&crypto.late, 1, memory_order_release);
	return true;
}

// All in, then all out, unless the device has failed.
static void pass(uint8_t dev, uint16_t qp, struct queue *queue, unsigned n) {
	struct rte_crypto_op *done[CRYPTO_BURST];
	unsigned in = 0, out = 0, polls = 0;
	uint64_t since = 0;

	while (out < n) {
		uint16_t more;

		if (in < n)
			in += rte_cryptodev_enqueue_burst(
				dev, qp, queue->ops + in, (uint16_t)(n - in));
		more = rte_cryptodev_dequeue_burst(dev, qp, done + out, (uint16_t)(n - out));
		out += more;
		if (more > 0) {
			polls = 0;
		} else if (polls++ == 0) {
			since = rte_rdtsc();
		} else if (polls > CRYPTO_POLLS_MIN &&
			rte_rdtsc() - since > rte_get_tsc_hz() / CRYPTO_PATIENCE) {
			give_up(queue, n, in, done, out);
			return;
		}
	}
}

// Up to CRYPTO_BURST operations of one device.
static void run_burst(
	uint8_t dev, uint16_t qp, struct queue *queue, struct dp_crypt **cs, unsigned n) {
	queue->missing = 0;
	if (!recover(dev, qp, queue)) {
		for (unsigned i = 0; i < n; i++) {
			cs[i]->ok = false;
			cs[i]->failed = true;
		}
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		op_fill(queue->ops[i], cs[i]);
		if (i + CRYPTO_PREFETCH_AHEAD < n &&
			cs[i + CRYPTO_PREFETCH_AHEAD]->key != cs[i]->key)
			key_prefetch(cs[i + CRYPTO_PREFETCH_AHEAD]->key);
	}
	pass(dev, qp, queue, n);
	for (unsigned i = 0; i < n; i++) {
		enum rte_crypto_op_status status = queue->ops[i]->status;
		bool missing = queue->missing >> i & 1;

		cs[i]->ok = !missing && status == RTE_CRYPTO_OP_STATUS_SUCCESS;
		cs[i]->failed = missing ||
			(status != RTE_CRYPTO_OP_STATUS_SUCCESS &&
				status != RTE_CRYPTO_OP_STATUS_AUTH_FAILED);
	}
}

void crypto_device_run(
	unsigned lcore_no, enum crypto_family family, struct dp_crypt **ops, unsigned n) {
	bool one = crypto.dev[FAMILY_CHACHA] == crypto.dev[FAMILY_GCM];

	run_burst((uint8_t)crypto.dev[family], (uint16_t)lcore_no,
		&crypto.queues[lcore_no * FAMILY_MAX + (one ? 0 : family)], ops, n);
}
