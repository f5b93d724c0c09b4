// SPDX-License-Identifier: GPL-3.0-or-later
// Node tunnel-in: acts on the clear frames of clients, from DTLS and from streams alike.
#include "dataplane/node/edge.h"
#include "dataplane/node/tunnel.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/fib.h"

#include <rte_cycles.h>

enum {
	EDGE_L3_INPUT,
	EDGE_DTLS_ENCODE,
	EDGE_MAX,
};

struct out {
	struct edge_run run;
	uint64_t now;
	struct rte_mbuf *away[DP_BURST]; // to other owners
	unsigned nb_away;
};

// The answer is the probe with another type, so that the client's MTU discovery works
// (protocol of openconnect: same id, same length).
static void answer_probe(struct out *out, struct dp_session *session, struct rte_mbuf *m) {
	struct dp_pkt *pkt = dp_pkt(m);

	pkt->frame = DP_FRAME_DPD_RESP;
	dp_count(ABI_C_dpd_answered, 1);
	session->last_tx = out->now;
	if (pkt->from_stream)
		dp_stream_send(session, &m, 1);
	else
		edge_add(&out->run, EDGE_DTLS_ENCODE, m);
}

// Is it the source of a host behind the client? Only asked when it is not the client's own.
static __attribute__((noinline)) bool is_behind(
	const struct dp_session *session, const uint8_t *ip) {
	bool v6 = ip[0] >> 4 == 6;
	const struct dp_route *route;

	if (!atomic_load_explicit(&session->routed, memory_order_acquire))
		return false;
	route = dp_fib_lookup(DP_FIB_LAN, v6, ip + (v6 ? 8 : 12));
	return route != NULL && route->type == DP_ROUTE_SESSION &&
		route->sid.index == session->sid.index &&
		route->sid.generation == session->sid.generation;
}

static inline void data(struct out *out, struct dp_session *session, struct rte_mbuf *m) {
	uint32_t ip_len = 0;
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	enum inner_verdict verdict = tunnel_inner_check(session, ip, m->data_len, &ip_len);

	if (unlikely(verdict == INNER_SOURCE) && is_behind(session, ip))
		verdict = tunnel_is_use(ip, m->data_len) ? INNER_OK : INNER_OK_ICMP;
	if (verdict >= INNER_BAD) {
		dp_drop(&m, 1, verdict == INNER_BAD ? ABI_C_drop_inner_bad : ABI_C_drop_source);
		return;
	}
	if (unlikely(session->limited) &&
		!tunnel_bucket_take(
			&session->rx_bucket, session->policy.rx_bytes_per_s, ip_len, out->now)) {
		dp_drop(&m, 1, ABI_C_drop_rate);
		return;
	}
	if (verdict == INNER_OK)
		session->last_data = out->now;
	m->pkt_len = m->data_len = (uint16_t)ip_len;
	tunnel_add(&session->stats->rx_packets, 1);
	tunnel_add(&session->stats->rx_bytes, ip_len);
	edge_add(&out->run, EDGE_L3_INPUT, m);
}

static inline void frame(struct out *out, struct dp_session *session, struct rte_mbuf *m) {
	switch (dp_pkt(m)->frame) {
	case DP_FRAME_DATA:
		data(out, session, m);
		return;
	case DP_FRAME_DPD_REQ:
		answer_probe(out, session, m);
		return;
	case DP_FRAME_DPD_RESP:
	case DP_FRAME_KEEPALIVE:
		break; // that it came is what it says
	case DP_FRAME_DISCONNECT:
	case DP_FRAME_TERMINATE:
		// with a text: BYE, the user left; empty: the client comes back by its cookie
		tunnel_end(session, m->data_len > 0 ? ABI_END_USER : ABI_END_TEMPORARY);
		break;
	default:
		dp_count(ABI_C_drop_dtls_type, 1);
	}
	rte_pktmbuf_free(m);
}

// What came in the stream says that the stream works; data there, that the client uses it now
// (a client probes the stream while its data goes by DTLS, so probes do not count).
static void from_stream(struct dp_session *session, uint8_t frame_type, uint64_t now) {
	session->last_rx = now;
	if (frame_type == DP_FRAME_DATA &&
		atomic_load_explicit(&session->tx_channel, memory_order_relaxed) != 1 &&
		atomic_load_explicit(&session->stream, memory_order_relaxed) != NULL)
		atomic_store_explicit(&session->tx_channel, 1, memory_order_relaxed);
}

static void away_flush(struct out *out) {
	tunnel_to_owners(out->away, out->nb_away);
	out->nb_away = 0;
}

static void away(struct out *out, struct rte_mbuf *m) {
	dp_pkt(m)->resume = DP_RESUME_TUNNEL_IN;
	out->away[out->nb_away++] = m;
	if (out->nb_away == DP_BURST)
		away_flush(out);
}

static inline void packet(struct out *out, struct rte_mbuf *m) {
	struct dp_pkt *pkt = dp_pkt(m);
	struct dp_session *session = pkt->session;

	if (unlikely(session == NULL || session->ended != 0)) {
		dp_drop(&m, 1, ABI_C_drop_stale);
		return;
	}
	if (session->owner != dp_self->number) {
		away(out, m);
		return;
	}
	if (pkt->from_stream)
		from_stream(session, pkt->frame, out->now);
	frame(out, session, m);
}

static uint16_t tunnel_in_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct out out;

	edge_start(&out.run, graph, node);
	out.now = rte_rdtsc();
	out.nb_away = 0;
	for (uint16_t i = 0; i < n; i++) {
		if (i + 4 < n)
			rte_prefetch0(rte_pktmbuf_mtod((struct rte_mbuf *)objs[i + 4], void *));
		packet(&out, objs[i]);
	}
	away_flush(&out);
	edge_finish(&out.run, objs, n);
	return n;
}

static struct rte_node_register tunnel_in_node = {
	.name = DP_NODE_TUNNEL_IN,
	.process = tunnel_in_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_L3_INPUT] = DP_NODE_L3_INPUT,
			[EDGE_DTLS_ENCODE] = DP_NODE_DTLS_ENCODE,
		},
};
RTE_NODE_REGISTER(tunnel_in_node);
