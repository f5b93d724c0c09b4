// SPDX-License-Identifier: GPL-3.0-or-later
// Hands whole frames to the kernel through the TAP twin of the port they arrived on.
//
// A port without a twin has none to hand to: a shared NIC's frames that are not the VPN's stay
// with the kernel anyway, and what a TAP sent came from the kernel.
#include "dataplane/graph.h"
#include "dataplane/port.h"

static void punt_run(struct dp_port *port, struct rte_mbuf **pkts, uint16_t n) {
	uint16_t sent;

	if (!(port->flags & DP_PORT_HAS_TWIN)) {
		dp_drop(pkts, n, ABI_C_drop_not_ours);
		return;
	}
	sent = dp_port_twin_tx(port, dp_self, pkts, n);
	dp_count(ABI_C_punt_kernel, sent);
	if (sent < n)
		dp_drop(pkts + sent, n - sent, ABI_C_drop_kernel_full);
}

static uint16_t punt_kernel_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	uint16_t start = 0;

	for (uint16_t i = 1; i <= n; i++) {
		if (i < n && dp_pkt(pkts[i])->port == dp_pkt(pkts[start])->port)
			continue;
		punt_run(&dp_ports[dp_pkt(pkts[start])->port], pkts + start, i - start);
		start = i;
	}
	return n;
}

static struct rte_node_register punt_kernel_node = {
	.name = DP_NODE_PUNT_KERNEL,
	.process = punt_kernel_process,
};
RTE_NODE_REGISTER(punt_kernel_node);
