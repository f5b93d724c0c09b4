// SPDX-License-Identifier: GPL-3.0-or-later
// Node inject: handshake datagrams of the control plane, data at the UDP payload, tuple set.
//
// The control thread has checked their addresses: dp_inject_valid().
#include "dataplane/l3.h"
#include "dataplane/node/edge.h"

enum {
	EDGE_OUTER_OUTPUT,
	EDGE_MAX,
};

static uint16_t inject_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];

		dp_pkt(m)->session = NULL; // tells outer-output that it may be fragmented
		m->ol_flags = 0;
		dp_count(ABI_C_inject, 1);
		edge_add(&run, EDGE_OUTER_OUTPUT, m);
	}
	edge_flush(&run);
	return n;
}

static struct rte_node_register inject_node = {
	.name = DP_NODE_INJECT,
	.process = inject_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_OUTER_OUTPUT] = DP_NODE_OUTER_OUTPUT,
		},
};
RTE_NODE_REGISTER(inject_node);
