// SPDX-License-Identifier: GPL-3.0-or-later
// Record AEAD on the CPU by ipsec-mb's own functions. Called by crypto.c.
//
// AES-GCM is one call a record, without state besides the key. ChaCha20-Poly1305 is faster as a job
// (1,055 against 1,429 TSC cycles for 1,400 bytes on an EPYC of family 26), and jobs need a manager
// a thread.
#include "dataplane/crypto/backend.h"

#include <errno.h>

#ifdef PENSTOCK_IPSEC_MB

#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include <rte_common.h>
#include <rte_prefetch.h>

#include "dataplane/table/slab.h"

#define CHACHA_KEY_LEN 32u
#define NONCE_LEN 12u
#define AHEAD 4u // records whose keys are on their way

static struct {
	IMB_MGR **mgrs; // one an lcore; the first serves the control thread too
	unsigned nb_mgrs;
	struct dp_slab gcm, chacha;
} cpu;

static IMB_MGR *mgr_make(void) {
	IMB_MGR *mgr = alloc_mb_mgr(0);

	if (mgr == NULL)
		return NULL;
	init_mb_mgr_auto(mgr, NULL);
	if (imb_get_errno(mgr) == 0)
		return mgr;
	free_mb_mgr(mgr);
	return NULL;
}

int crypto_cpu_init(unsigned nb_lcores, uint32_t keys_max) {
	cpu.mgrs = calloc(nb_lcores, sizeof(*cpu.mgrs));
	if (cpu.mgrs == NULL)
		return -ENOMEM;
	for (; cpu.nb_mgrs < nb_lcores; cpu.nb_mgrs++) {
		cpu.mgrs[cpu.nb_mgrs] = mgr_make();
		if (cpu.mgrs[cpu.nb_mgrs] == NULL) {
			crypto_cpu_fini();
			return -ENOTSUP;
		}
	}
	dp_slab_init(&cpu.gcm, sizeof(struct gcm_key_data), keys_max);
	dp_slab_init(&cpu.chacha, CHACHA_KEY_LEN, keys_max);
	return 0;
}

void crypto_cpu_fini(void) {
	while (cpu.nb_mgrs > 0)
		free_mb_mgr(cpu.mgrs[--cpu.nb_mgrs]);
	free(cpu.mgrs);
	cpu.mgrs = NULL;
	dp_slab_fini(&cpu.gcm);
	dp_slab_fini(&cpu.chacha);
}

struct dp_key *crypto_cpu_key(enum abi_cipher cipher, const uint8_t *key, bool encrypt) {
	void *at = dp_slab_get(cipher == ABI_CHACHA20_POLY1305 ? &cpu.chacha : &cpu.gcm);

	if (at == NULL)
		return NULL;
	switch (cipher) {
	case ABI_AES_128_GCM:
		IMB_AES128_GCM_PRE(cpu.mgrs[0], key, at);
		break;
	case ABI_AES_256_GCM:
		IMB_AES256_GCM_PRE(cpu.mgrs[0], key, at);
		break;
	default:
		memcpy(at, key, CHACHA_KEY_LEN);
	}
	return key_make(at, (unsigned)cipher | (encrypt ? 0 : KEY_OPENS));
}

void crypto_cpu_key_free(struct dp_key *key) {
	bool chacha = (key_bits(key) & KEY_CIPHER) == ABI_CHACHA20_POLY1305;

	dp_slab_put(chacha ? &cpu.chacha : &cpu.gcm, key_at(key));
}

// Lines of a schedule where there are VAES and AVX-512: the round keys, then the powers of the hash
// key from the 48th down to the first. A record of n blocks is hashed with the n + 1 lowest.
#define LINES (RTE_ALIGN(sizeof(struct gcm_key_data), 64) / 64)
#define POWERS 3u // the first line of them

static inline __attribute__((always_inline)) void key_prefetch(
	const struct dp_key *key, uint16_t len) {
	unsigned bits = key_bits(key) & KEY_CIPHER, first;
	const char *at = key_at(key);

	rte_prefetch0(at);
	if (bits == ABI_CHACHA20_POLY1305)
		return;
	first = LINES - RTE_MIN((len / 16u + 6) / 4, LINES - POWERS);
	rte_prefetch0(at + 64);
	rte_prefetch0(at + 128);
	if (bits == ABI_AES_256_GCM)
		rte_prefetch0(at + 192);
	for (unsigned i = first; i < LINES; i++)
		rte_prefetch0(at + i * 64);
}

void crypto_cpu_prefetch(const struct dp_key *key, uint16_t len) {
	key_prefetch(key, len);
}

static bool tag_equal(const uint8_t *a, const uint8_t *b) {
	uint64_t x[2], y[2];

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

// False: nothing was done.
static bool chacha(IMB_MGR *mgr, const struct dp_crypt *op, uint8_t *text, uint8_t *tag) {
	bool encrypt = !(key_bits(op->key) & KEY_OPENS);
	IMB_JOB *job = IMB_GET_NEXT_JOB(mgr);

	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->chain_order = encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = job->dec_keys = key_at(op->key);
	job->key_len_in_bytes = CHACHA_KEY_LEN;
	job->src = job->dst = text;
	job->cipher_start_src_offset_in_bytes = job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = op->len;
	job->iv = op->nonce;
	job->iv_len_in_bytes = NONCE_LEN;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = DP_TAG_LEN;
	job->u.CHACHA20_POLY1305.aad = op->aad;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = op->aad_len;
	job = IMB_SUBMIT_JOB_NOCHECK(mgr);
	while (job == NULL) // no AEAD waits for company in the versions known, but it may
		job = IMB_FLUSH_JOB(mgr);
	return job->status == IMB_STATUS_COMPLETED;
}

static void run(IMB_MGR *mgr, struct dp_crypt *op) {
	uint8_t *text = rte_pktmbuf_mtod_offset(op->m, uint8_t *, op->offset), tag[DP_TAG_LEN];
	const struct gcm_key_data *key = key_at(op->key);
	struct gcm_context_data ctx;

	op->failed = false;
	op->ok = true;
	switch (key_bits(op->key)) {
	case ABI_AES_128_GCM:
		mgr->gcm128_enc(key, &ctx, text, text, op->len, op->nonce, op->aad, op->aad_len,
			text + op->len, DP_TAG_LEN);
		return;
	case ABI_AES_256_GCM:
		mgr->gcm256_enc(key, &ctx, text, text, op->len, op->nonce, op->aad, op->aad_len,
			text + op->len, DP_TAG_LEN);
		return;
	case ABI_CHACHA20_POLY1305:
		op->failed = !chacha(mgr, op, text, text + op->len);
		op->ok = !op->failed;
		return;
	case ABI_AES_128_GCM | KEY_OPENS:
		mgr->gcm128_dec(key, &ctx, text, text, op->len, op->nonce, op->aad, op->aad_len,
			tag, DP_TAG_LEN);
		break;
	case ABI_AES_256_GCM | KEY_OPENS:
		mgr->gcm256_dec(key, &ctx, text, text, op->len, op->nonce, op->aad, op->aad_len,
			tag, DP_TAG_LEN);
		break;
	default:
		op->failed = !chacha(mgr, op, text, tag);
		if (op->failed) {
			op->ok = false;
			return;
		}
	}
	op->ok = tag_equal(tag, text + op->len);
}

void crypto_cpu_run(unsigned lcore_no, struct dp_crypt *ops, unsigned n) {
	IMB_MGR *mgr = cpu.mgrs[lcore_no];

	// the first ones' are the caller's to load
	for (unsigned i = 0; i < n; i++) {
		if (i + AHEAD < n && ops[i + AHEAD].key != ops[i + AHEAD - 1].key)
			key_prefetch(ops[i + AHEAD].key, ops[i + AHEAD].len);
		run(mgr, &ops[i]);
	}
}

#else

int crypto_cpu_init(unsigned nb_lcores, uint32_t keys_max) {
	return -ENOTSUP;
}

void crypto_cpu_fini(void) {
}

struct dp_key *crypto_cpu_key(enum abi_cipher cipher, const uint8_t *key, bool encrypt) {
	errno = EINVAL;
	return NULL;
}

void crypto_cpu_key_free(struct dp_key *key) {
}

void crypto_cpu_prefetch(const struct dp_key *key, uint16_t len) {
}

void crypto_cpu_run(unsigned lcore_no, struct dp_crypt *ops, unsigned n) {
}

#endif
