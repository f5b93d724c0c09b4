// SPDX-License-Identifier: GPL-3.0-or-later
// Source node: packets that other lcores handed to this worker go on where `resume` says.
//
// A session that they are for may have ended on the way: it is looked up again by its number; NULL
// when it is no more.
#include "dataplane/node/edge.h"
#include "dataplane/table/session.h"

#define BURSTS 4u // of DP_BURST in one walk, so that the ports have their turn

#define SESSIONS \
	(1u << DP_RESUME_DTLS_DECODE | 1u << DP_RESUME_TUNNEL_IN | 1u << DP_RESUME_TUNNEL_OUT | \
		1u << DP_RESUME_DTLS_ENCODE)

static void burst_resume(struct edge_run *run, struct rte_mbuf **pkts, unsigned n) {
	// all of it is in another core's cache: on its way at once, not one after the other
	for (unsigned i = 0; i < n; i++) {
		rte_prefetch0(pkts[i]);
		rte_prefetch0(dp_pkt(pkts[i]));
	}
	for (unsigned i = 0; i < n; i++) {
		struct dp_pkt *pkt = dp_pkt(pkts[i]);

		RTE_ASSERT(pkt->resume < DP_RESUME_MAX);
		if (SESSIONS >> pkt->resume & 1) {
			pkt->session = dp_session_at(pkt->sid.index);
			rte_prefetch0(pkt->session);
		}
		if (pkt->resume == DP_RESUME_DTLS_DECODE)
			rte_prefetch0(&pkt->tuple);
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
		rte_prefetch0(rte_pktmbuf_mtod_offset(pkts[i], void *, 64));
	}
	for (unsigned i = 0; i < n; i++) {
		struct dp_pkt *pkt = dp_pkt(pkts[i]);

		if ((SESSIONS >> pkt->resume & 1) && pkt->session != NULL &&
			pkt->session->sid.generation != pkt->sid.generation)
			pkt->session = NULL;
		edge_add(run, pkt->resume, pkts[i]);
	}
}

static uint16_t handoff_rx_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct rte_mbuf *pkts[DP_BURST];
	struct dp_lcore *self = dp_self;
	struct edge_run run;
	uint16_t total = 0;

	edge_start(&run, graph, node);
	for (unsigned burst = 0; burst < BURSTS; burst++) {
		n = (uint16_t)rte_ring_sc_dequeue_burst(self->inbox, (void **)pkts, DP_BURST, NULL);
		if (n == 0)
			break;
		burst_resume(&run, pkts, n);
		total = (uint16_t)(total + n);
		if (n < DP_BURST)
			break;
	}
	edge_flush(&run);
	self->work += total;
	return total;
}

static struct rte_node_register handoff_rx_node = {
	.name = DP_NODE_HANDOFF_RX,
	.flags = RTE_NODE_SOURCE_F,
	.process = handoff_rx_process,
	.nb_edges = DP_RESUME_MAX,
	.next_nodes =
		{
			[DP_RESUME_DTLS_DECODE] = DP_NODE_DTLS_DECODE,
			[DP_RESUME_TUNNEL_IN] = DP_NODE_TUNNEL_IN,
			[DP_RESUME_TUNNEL_OUT] = DP_NODE_TUNNEL_OUT,
			[DP_RESUME_DTLS_ENCODE] = DP_NODE_DTLS_ENCODE,
			[DP_RESUME_INJECT] = DP_NODE_INJECT,
			[DP_RESUME_TX] = DP_NODE_TX,
		},
};
RTE_NODE_REGISTER(handoff_rx_node);
