// SPDX-License-Identifier: GPL-3.0-or-later
// Trial decryption of records from unknown addresses, within bounds. Called by dtls-decode.
#include "dataplane/node/roam.h"

#include <string.h>

#include "dataplane/port.h"
#include "dataplane/proto/ip.h"
#include "dataplane/worker.h"

#define ROAM_CANDIDATES 8u
#define ROAM_RATE 1000u // trials a second and worker: what forged records can cost
#define ROAM_BURST 100u

static _Thread_local struct {
	uint64_t last; // TSC
	uint32_t tokens;
	bool started;
} bucket;

static bool rate_take(uint64_t now) {
	uint64_t interval = dp_tsc_hz / ROAM_RATE, earned;

	if (!bucket.started) {
		bucket.started = true;
		bucket.last = now;
		bucket.tokens = ROAM_BURST;
	}
	earned = (now - bucket.last) / interval;
	if (earned > 0) {
		bucket.tokens = (uint32_t)RTE_MIN(bucket.tokens + earned, (uint64_t)ROAM_BURST);
		bucket.last = now;
	}
	if (bucket.tokens == 0)
		return false;
	bucket.tokens--;
	return true;
}

// Another owner's window is read as it is: a hint, the owner checks for itself.
static bool possible(const struct dp_dtls *dtls, const struct dtls12_record *record) {
	return dtls != NULL && dtls->rx_epoch == record->epoch &&
		dp_replay_check(&dtls->replay, record->seq & DTLS12_SEQ_MAX);
}

// A copy of the record for one candidate: opening it in place would destroy it for the next.
static bool trial(struct rte_mbuf *m, const struct dtls12_record *record,
	const struct dp_dtls *dtls, struct dp_crypt *op) {
	unsigned offset = DTLS12_HEADER_LEN + dtls12_explicit_len(dtls->rx_cipher);
	int len = dtls12_open(record, dtls->rx_cipher, dtls->rx_iv, op->nonce, op->aad);
	uint16_t bytes = (uint16_t)(DTLS12_HEADER_LEN + record->len);
	char *copy;

	if (len < 0)
		return false;
	op->m = rte_pktmbuf_alloc(dp_mbuf_pool);
	copy = op->m != NULL ? rte_pktmbuf_append(op->m, bytes) : NULL;
	if (copy == NULL) {
		rte_pktmbuf_free(op->m);
		return false;
	}
	memcpy(copy, rte_pktmbuf_mtod(m, char *), bytes);
	op->key = dtls->rx_key;
	op->offset = (uint16_t)offset;
	op->len = (uint16_t)len;
	op->aad_len = DTLS12_AAD_LEN;
	return true;
}

static struct dp_session *try_all(struct rte_mbuf *m, const struct dtls12_record *record,
	struct dp_session **candidates, unsigned n) {
	struct dp_session *of[ROAM_CANDIDATES], *found = NULL;
	struct dp_crypt ops[ROAM_CANDIDATES];
	unsigned nb = 0;

	for (unsigned i = 0; i < n; i++) {
		struct dp_dtls *dtls = atomic_load_explicit(
			&candidates[i]->dtls, memory_order_acquire);

		if (!possible(dtls, record) || !trial(m, record, dtls, &ops[nb]))
			continue;
		of[nb++] = candidates[i];
	}
	dp_crypto_run(dp_self->lcore_no, ops, nb);
	for (unsigned i = 0; i < nb; i++) {
		if (ops[i].ok && found == NULL)
			found = of[i];
		rte_pktmbuf_free(ops[i].m);
	}
	return found;
}

// The checksum of a datagram whose UDP header is before the data. A record proves nothing about the
// addresses that it came with: damaged ones would take the session with them.
static bool checksum_does(struct rte_mbuf *m) {
	const struct abi_tuple *tuple = &dp_pkt(m)->tuple;
	const uint8_t *udp = rte_pktmbuf_mtod(m, const uint8_t *) - UDP_HEADER;
	uint16_t len = (uint16_t)(m->data_len + UDP_HEADER), sum = ip_load16(udp + 6);
	uint32_t pseudo = IP_PROTO_UDP + (uint32_t)len;
	uint16_t partial;

	// what is before a mapped IPv4 address sums up to 0xffff, which is nothing
	pseudo = ip_sum(tuple->local.bytes, sizeof(tuple->local.bytes), pseudo);
	pseudo = ip_sum(tuple->remote.bytes, sizeof(tuple->remote.bytes), pseudo);
	partial = (uint16_t)~ip_sum_finish(pseudo);
	if (sum == 0 || sum == partial)
		return true; // IPv4: none; the kernel's own, not complete yet
	return ip_sum_finish(ip_sum(udp, len, pseudo)) == 0;
}

struct dp_session *roam_find(
	struct rte_mbuf *m, const struct dtls12_record *record, uint64_t now, int *reason) {
	const struct abi_tuple *tuple = &dp_pkt(m)->tuple;
	struct dp_session *candidates[ROAM_CANDIDATES], *session;
	unsigned n = dp_session_candidates(&tuple->remote, candidates, ROAM_CANDIDATES);

	*reason = ABI_C_drop_dtls_unknown;
	if (n == 0)
		return NULL;
	// moved a moment ago: the control thread has not told the hash yet
	for (unsigned i = 0; i < n; i++) {
		struct dp_dtls *dtls = atomic_load_explicit(
			&candidates[i]->dtls, memory_order_acquire);

		if (dtls != NULL && dp_tuple_equal(&dtls->tuple, tuple))
			return candidates[i];
	}
	if (dp_pkt(m)->unsummed && !checksum_does(m)) {
		*reason = ABI_C_drop_udp_bad;
		return NULL;
	}
	if (!rate_take(now)) {
		*reason = ABI_C_drop_roam_rate;
		return NULL;
	}
	session = try_all(m, record, candidates, n);
	if (session == NULL)
		*reason = ABI_C_drop_dtls_auth;
	return session;
}
