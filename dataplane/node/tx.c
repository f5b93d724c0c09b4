// SPDX-License-Identifier: GPL-3.0-or-later
// Sends complete frames: runs of packets for the same port go out in one burst.
//
// A worker without a transmit queue on that port (few devices have fewer queues than there are
// workers) hands the frames to the worker that has one.
#include "dataplane/graph.h"
#include "dataplane/port.h"

static void send_run(struct dp_port *port, struct rte_mbuf **pkts, uint16_t n) {
	struct dp_lcore *self = dp_self;
	uint16_t sent;

	if (port->txq_of[self->number] == DP_PORT_NONE) {
		for (uint16_t i = 0; i < n; i++)
			dp_pkt(pkts[i])->resume = DP_RESUME_TX;
		dp_handoff(&dp_lcores[port->tx_worker], pkts, n);
		return;
	}
	sent = dp_port_tx(port, self, pkts, n);
	dp_count(ABI_C_tx_packets, sent);
	if (sent < n)
		dp_drop(pkts + sent, n - sent, ABI_C_drop_tx_full);
}

static uint16_t tx_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint16_t start = 0;

	for (uint16_t i = 1; i <= n; i++) {
		if (i < n && dp_pkt(pkts[i])->port == dp_pkt(pkts[start])->port)
			continue;
		send_run(&dp_ports[dp_pkt(pkts[start])->port], pkts + start, i - start);
		start = i;
	}
	return n;
}

static struct rte_node_register tx_node = {
	.name = DP_NODE_TX,
	.process = tx_process,
};
RTE_NODE_REGISTER(tx_node);
