// SPDX-License-Identifier: GPL-3.0-or-later
// Node dtls-encode: frames become DTLS 1.2 records, sealed in one burst, towards outer-output.
#include "dataplane/graph.h"
#include "dataplane/node/tunnel.h"
#include "dataplane/proto/dtls12.h"

enum {
	EDGE_OUTER_OUTPUT,
	EDGE_MAX,
};

// The control plane hears in good time that the numbers run out (a new tunnel brings new keys).
#define SEQ_WORN (DTLS12_SEQ_MAX / 2)

struct out {
	struct dp_crypt ops[DP_BURST];
	unsigned n;
	struct rte_mbuf *away[DP_BURST];
	unsigned nb_away;
};

// RFC 6347, 4.1: a sequence number must never come again. The channel ends instead.
static bool seq_usable(struct dp_session *session, struct dp_dtls *dtls) {
	if (dtls->tx_seq > DTLS12_SEQ_MAX) {
		if (!dtls->closed) {
			dp_dtls_close(dtls);
			session->dtls_live = false;
			tunnel_dtls_event(
				session, ABI_EVT_DTLS_DOWN, ABI_END_SEQ_EXHAUSTED, &dtls->tuple);
		}
		return false;
	}
	if (dtls->tx_seq >= SEQ_WORN && !dtls->worn) {
		dtls->worn = true;
		tunnel_dtls_event(session, ABI_EVT_REKEY, ABI_END_UNSPECIFIED, &dtls->tuple);
	}
	return true;
}

// Puts header, nonce, frame type and room for the tag around the payload.
static bool wrap(struct rte_mbuf *m, struct dp_dtls *dtls, struct dp_crypt *op) {
	unsigned head = DTLS12_HEADER_LEN + dtls12_explicit_len(dtls->cipher);
	uint16_t text_len;
	uint8_t *record;

	if (m->nb_segs != 1 && rte_pktmbuf_linearize(m) != 0)
		return false;
	if (rte_pktmbuf_headroom(m) < head + 1 || rte_pktmbuf_tailroom(m) < DTLS12_TAG_LEN)
		return false;
	// one store a field: prepend and append would each wait for the stores before
	text_len = (uint16_t)(m->data_len + 1);
	m->data_off = (uint16_t)(m->data_off - head - 1);
	m->pkt_len = m->data_len = (uint16_t)(head + text_len + DTLS12_TAG_LEN);
	record = rte_pktmbuf_mtod(m, uint8_t *);
	record[head] = dp_pkt(m)->frame;
	dp_pkt(m)->seq = (uint64_t)dtls->epoch << 48 | dtls->tx_seq++;
	dtls12_seal(record, dtls->cipher, DTLS12_APPLICATION_DATA, dp_pkt(m)->seq, text_len,
		dtls->tx_iv, op->nonce, op->aad);
	op->m = m;
	op->key = dtls->tx_key;
	op->offset = (uint16_t)head;
	op->len = text_len;
	op->aad_len = DTLS12_AAD_LEN;
	return true;
}

static void prepare(struct out *out, struct rte_mbuf *m) {
	struct dp_pkt *pkt = dp_pkt(m);
	struct dp_session *session = pkt->session;
	struct dp_dtls *dtls;

	if (unlikely(session == NULL)) {
		dp_drop(&m, 1, ABI_C_drop_stale);
		return;
	}
	if (session->owner != dp_self->number) {
		pkt->resume = DP_RESUME_DTLS_ENCODE;
		out->away[out->nb_away++] = m;
		return;
	}
	dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);
	if (dtls == NULL) {
		dp_drop(&m, 1, ABI_C_drop_no_channel);
		return;
	}
	if (!seq_usable(session, dtls)) {
		dp_drop(&m, 1, ABI_C_drop_seq_exhausted);
		return;
	}
	pkt->dtls = dtls;
	if (wrap(m, dtls, &out->ops[out->n])) {
		if (out->n == 0 || out->ops[out->n].key != out->ops[out->n - 1].key)
			dp_key_prefetch(dtls->tx_key, out->ops[out->n].len);
		out->n++;
	} else {
		dp_drop(&m, 1, ABI_C_drop_too_big);
	}
}

// Do packets of few sessions follow each other? Their keys are loaded once.
static bool is_run(void **objs, unsigned n) {
	const struct dp_session *first = dp_pkt(objs[0])->session;

	return dp_pkt(objs[n / 4])->session == first && dp_pkt(objs[n / 2])->session == first &&
		dp_pkt(objs[n - 1])->session == first;
}

// A few records are prepared, and their keys loaded, while those before are encrypted.
static void seal(struct out *out, void **objs, unsigned n) {
	unsigned step = is_run(objs, n) ? DP_BURST : dp_crypto_step(), run = 0;

	for (unsigned at = 0; at < n; at += step) {
		unsigned end = RTE_MIN(at + step, n), ready = out->n;

		for (unsigned i = at; i < end; i++)
			prepare(out, objs[i]);
		dp_crypto_run(dp_self->lcore_no, out->ops + run, ready - run);
		run = ready;
	}
	dp_crypto_run(dp_self->lcore_no, out->ops + run, out->n - run);
}

static uint16_t dtls_encode_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	for (uint16_t done = 0; done < n;) {
		uint16_t burst = RTE_MIN((uint16_t)(n - done), (uint16_t)DP_BURST);
		void *sealed[DP_BURST];
		uint16_t nb = 0;
		struct out out;

		out.n = out.nb_away = 0;
		seal(&out, objs + done, burst);
		tunnel_to_owners(out.away, out.nb_away);
		for (unsigned i = 0; i < out.n; i++) {
			if (out.ops[i].ok)
				sealed[nb++] = out.ops[i].m;
			else
				dp_drop(&out.ops[i].m, 1, ABI_C_drop_crypto);
		}
		dp_count(ABI_C_dtls_tx, nb);
		tunnel_enqueue(graph, node, EDGE_OUTER_OUTPUT, sealed, nb);
		done += burst;
	}
	return n;
}

static struct rte_node_register dtls_encode_node = {
	.name = DP_NODE_DTLS_ENCODE,
	.process = dtls_encode_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_OUTER_OUTPUT] = DP_NODE_OUTER_OUTPUT,
		},
};
RTE_NODE_REGISTER(dtls_encode_node);
