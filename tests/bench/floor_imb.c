// SPDX-License-Identifier: GPL-3.0-or-later
// Bare ipsec-mb for tests/bench/floor: the direct calls and the burst of jobs.
#include "floor.h"

#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include <rte_debug.h>
#include <rte_malloc.h>

struct imb {
	struct gcm_key_data gcm __rte_aligned(64);
	uint8_t key[FLOOR_KEY_MAX];
	IMB_MGR *mgr;
};

static const struct {
	IMB_CIPHER_MODE mode;
	IMB_HASH_ALG hash;
	uint64_t key_len;
} algorithms[FLOOR_CIPHERS] = {
	[FLOOR_AES_128_GCM] = {IMB_CIPHER_GCM, IMB_AUTH_AES_GMAC, 16},
	[FLOOR_AES_256_GCM] = {IMB_CIPHER_GCM, IMB_AUTH_AES_GMAC, 32},
	[FLOOR_CHACHA20_POLY1305] = {IMB_CIPHER_CHACHA20_POLY1305, IMB_AUTH_CHACHA20_POLY1305, 32},
};

static bool tag_equal(const uint8_t *a, const uint8_t *b) {
	uint64_t x[2], y[2];

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

static unsigned run_gcm(
	const struct floor_way *way, bool encrypt, struct floor_record *records, unsigned n) {
	struct imb *imb = way->state;
	bool aes256 = way->cipher == FLOOR_AES_256_GCM;
	aes_gcm_enc_dec_t crypt;
	struct gcm_context_data ctx;
	unsigned good = 0;

	if (encrypt)
		crypt = aes256 ? imb->mgr->gcm256_enc : imb->mgr->gcm128_enc;
	else
		crypt = aes256 ? imb->mgr->gcm256_dec : imb->mgr->gcm128_dec;
	for (unsigned i = 0; i < n; i++) {
		struct floor_record *r = &records[i];
		uint8_t *text = rte_pktmbuf_mtod(r->m, uint8_t *);
		uint8_t *tag = text + r->len, ours[FLOOR_TAG_LEN];

		crypt(&imb->gcm, &ctx, text, text, r->len, r->nonce, r->aad, FLOOR_AAD_LEN,
			encrypt ? tag : ours, FLOOR_TAG_LEN);
		good += encrypt || tag_equal(ours, tag);
	}
	return good;
}

static unsigned run_chacha(
	const struct floor_way *way, bool encrypt, struct floor_record *records, unsigned n) {
	struct imb *imb = way->state;
	struct chacha20_poly1305_context_data ctx;
	unsigned good = 0;

	for (unsigned i = 0; i < n; i++) {
		struct floor_record *r = &records[i];
		uint8_t *text = rte_pktmbuf_mtod(r->m, uint8_t *);
		uint8_t *tag = text + r->len, ours[FLOOR_TAG_LEN];

		IMB_CHACHA20_POLY1305_INIT(
			imb->mgr, imb->key, &ctx, r->nonce, r->aad, FLOOR_AAD_LEN);
		if (encrypt) {
			IMB_CHACHA20_POLY1305_ENC_UPDATE(
				imb->mgr, imb->key, &ctx, text, text, r->len);
			IMB_CHACHA20_POLY1305_ENC_FINALIZE(imb->mgr, &ctx, tag, FLOOR_TAG_LEN);
			good++;
		} else {
			IMB_CHACHA20_POLY1305_DEC_UPDATE(
				imb->mgr, imb->key, &ctx, text, text, r->len);
			IMB_CHACHA20_POLY1305_DEC_FINALIZE(imb->mgr, &ctx, ours, FLOOR_TAG_LEN);
			good += tag_equal(ours, tag);
		}
	}
	return good;
}

static void job_fill(IMB_JOB *job, const struct floor_way *way, bool encrypt,
	const struct floor_record *r, uint8_t *tag) {
	const struct imb *imb = way->state;
	bool chacha = way->cipher == FLOOR_CHACHA20_POLY1305;
	uint8_t *text = rte_pktmbuf_mtod(r->m, uint8_t *);

	job->cipher_mode = algorithms[way->cipher].mode;
	job->hash_alg = algorithms[way->cipher].hash;
	job->cipher_direction = encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->chain_order = encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = job->dec_keys = chacha ? (const void *)imb->key : &imb->gcm;
	job->key_len_in_bytes = algorithms[way->cipher].key_len;
	job->src = job->dst = text;
	job->cipher_start_src_offset_in_bytes = job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = r->len;
	job->iv = r->nonce;
	job->iv_len_in_bytes = FLOOR_NONCE_LEN;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = FLOOR_TAG_LEN;
	if (chacha) {
		job->u.CHACHA20_POLY1305.aad = r->aad;
		job->u.CHACHA20_POLY1305.aad_len_in_bytes = FLOOR_AAD_LEN;
	} else {
		job->u.GCM.aad = r->aad;
		job->u.GCM.aad_len_in_bytes = FLOOR_AAD_LEN;
	}
}

static unsigned run_jobs(
	const struct floor_way *way, bool encrypt, struct floor_record *records, unsigned n) {
	struct imb *imb = way->state;
	IMB_JOB *jobs[FLOOR_BURST];
	uint8_t tags[FLOOR_BURST][FLOOR_TAG_LEN];
	unsigned done, good = 0;

	if (IMB_GET_NEXT_BURST(imb->mgr, n, jobs) != n)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *tag = rte_pktmbuf_mtod(records[i].m, uint8_t *) + records[i].len;

		job_fill(jobs[i], way, encrypt, &records[i], encrypt ? tag : tags[i]);
	}
	done = IMB_SUBMIT_BURST_NOCHECK(imb->mgr, n, jobs);
	for (unsigned i = 0; i < done; i++)
		good += jobs[i]->status == IMB_STATUS_COMPLETED;
	while (done < n) { // no AEAD waits for company in the versions known, but it may
		unsigned more = IMB_FLUSH_BURST(imb->mgr, n - done, jobs);

		for (unsigned i = 0; i < more; i++)
			good += jobs[i]->status == IMB_STATUS_COMPLETED;
		if (more == 0)
			return 0;
		done += more;
	}
	if (encrypt)
		return good;
	for (unsigned i = 0; i < n; i++)
		good -= !tag_equal(
			tags[i], rte_pktmbuf_mtod(records[i].m, uint8_t *) + records[i].len);
	return good;
}

unsigned floor_imb_open(enum floor_cipher cipher, const uint8_t *key, struct floor_way *ways,
	unsigned n, unsigned max) {
	struct imb *imb = rte_zmalloc(NULL, sizeof(*imb), RTE_CACHE_LINE_SIZE);

	if (imb == NULL || n + 2 > max || (imb->mgr = alloc_mb_mgr(0)) == NULL)
		rte_exit(EXIT_FAILURE, "no memory for ipsec-mb\n");
	init_mb_mgr_auto(imb->mgr, NULL);
	if (imb_get_errno(imb->mgr) != 0)
		rte_exit(EXIT_FAILURE, "ipsec-mb: %s\n", imb_get_strerror(imb_get_errno(imb->mgr)));
	memcpy(imb->key, key, algorithms[cipher].key_len);
	if (cipher == FLOOR_AES_128_GCM)
		IMB_AES128_GCM_PRE(imb->mgr, key, &imb->gcm);
	else if (cipher == FLOOR_AES_256_GCM)
		IMB_AES256_GCM_PRE(imb->mgr, key, &imb->gcm);
	ways[n++] = (struct floor_way){
		.layer = "ipsec-mb",
		.api = "direct",
		.cipher = cipher,
		.run = cipher == FLOOR_CHACHA20_POLY1305 ? run_chacha : run_gcm,
		.state = imb,
	};
	ways[n++] = (struct floor_way){
		.layer = "ipsec-mb",
		.api = "burst-of-jobs",
		.cipher = cipher,
		.run = run_jobs,
		.state = imb,
	};
	return n;
}
