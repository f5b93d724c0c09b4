// SPDX-License-Identifier: GPL-3.0-or-later
// Source node: polls the receive queues and twins that the worker was given.
//
// What a twin sends is the kernel's own frame for the wire: it goes to tx as it is. Looking whether
// there is something costs a system call, so a worker that has work looks every TWIN_US only.
#include <rte_cycles.h>

#include "dataplane/graph.h"
#include "dataplane/port.h"

enum {
	CLASSIFY,
	TX,
	NB_EDGES,
};

#define TWIN_US 50u

static _Thread_local uint64_t twins_due; // TSC

static void mark(struct rte_mbuf **pkts, uint16_t n, const struct dp_port *port) {
	for (uint16_t i = 0; i < n; i++) {
		struct dp_pkt *pkt = dp_pkt(pkts[i]);

		if (i + 4 < n) {
			rte_prefetch0(dp_pkt(pkts[i + 4]));
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + 4], void *));
		}
		pkt->port = port->index;
	}
}

static uint16_t rx_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct rte_mbuf *pkts[DP_BURST];
	struct dp_lcore *self = dp_self;
	uint64_t now = rte_rdtsc();
	bool twins = now >= twins_due;
	uint16_t total = 0;

	if (twins)
		twins_due = now + dp_tsc_hz / 1000000 * TWIN_US;
	for (unsigned i = 0; i < self->nb_rxqs; i++) {
		const struct dp_rxq *rxq = &self->rxqs[i];

		if (rxq->twin && !twins)
			continue;
		if (rxq->twin)
			n = dp_port_twin_rx(rxq->port, self, pkts, DP_BURST);
		else
			n = dp_port_rx(rxq->port, self, rxq->queue, pkts, DP_BURST);
		if (n == 0)
			continue;
		mark(pkts, n, rxq->port);
		if (!rxq->twin)
			dp_count(ABI_C_rx_packets, n);
		rte_node_enqueue(graph, node, rxq->twin ? TX : CLASSIFY, (void **)pkts, n);
		total += n;
	}
	if (total == 0)
		twins_due = 0; // nothing else to do
	self->work += total;
	return total;
}

static struct rte_node_register rx_node = {
	.name = DP_NODE_RX,
	.flags = RTE_NODE_SOURCE_F,
	.process = rx_process,
	.nb_edges = NB_EDGES,
	.next_nodes =
		{
			[CLASSIFY] = DP_NODE_CLASSIFY,
			[TX] = DP_NODE_TX,
		},
};
RTE_NODE_REGISTER(rx_node);
