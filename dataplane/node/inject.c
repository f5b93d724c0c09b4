// SPDX-License-Identifier: GPL-3.0-or-later
// Node inject: handshake datagrams of the control plane, data at the UDP payload, tuple set.
//
// An edge process may only send from where the VPN listens: it cannot take other addresses.
#include "dataplane/l3.h"
#include "dataplane/node/edge.h"
#include "dataplane/port.h"
#include "dataplane/proto/ip.h"
#include "dataplane/table/fib.h"

enum {
	EDGE_OUTER_OUTPUT,
	EDGE_MAX,
};

static bool acceptable(const struct abi_tuple *tuple) {
	bool v4 = dp_addr_is4(&tuple->local);
	uint8_t version = v4 ? 4 : 6;

	if (v4 != dp_addr_is4(&tuple->remote) || tuple->remote_port == 0)
		return false;
	if (ip_is_multicast(tuple->remote.bytes + (v4 ? 12 : 0), version))
		return false;
	for (unsigned i = 0; i < dp_nb_ports; i++) {
		if (dp_ports[i].role == CFG_ROLE_WAN &&
			dp_l3_listens((uint8_t)i, &tuple->local, tuple->local_port))
			return true;
	}
	return false;
}

static uint16_t inject_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];

		if (!acceptable(&dp_pkt(m)->tuple)) {
			dp_drop(&m, 1, ABI_C_drop_inject_bad);
			continue;
		}
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
