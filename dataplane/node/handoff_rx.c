// SPDX-License-Identifier: GPL-3.0-or-later
// Source node: packets that other lcores handed to this worker go on where `resume` says.
#include "dataplane/graph.h"

#define BURSTS 4u // of DP_BURST in one walk, so that the ports have their turn

static uint16_t handoff_rx_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct rte_mbuf *pkts[DP_BURST];
	struct dp_lcore *self = dp_self;
	uint16_t total = 0;

	for (unsigned burst = 0; burst < BURSTS; burst++) {
		n = (uint16_t)rte_ring_sc_dequeue_burst(self->inbox, (void **)pkts, DP_BURST, NULL);
		for (uint16_t i = 0; i < n && i < 4; i++)
			rte_prefetch0(dp_pkt(pkts[i]));
		for (uint16_t i = 0; i < n; i++) {
			if (i + 4 < n)
				rte_prefetch0(dp_pkt(pkts[i + 4]));
			RTE_ASSERT(dp_pkt(pkts[i])->resume < DP_RESUME_MAX);
			rte_node_enqueue_x1(graph, node, dp_pkt(pkts[i])->resume, pkts[i]);
		}
		total += n;
		if (n < DP_BURST)
			break;
	}
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
