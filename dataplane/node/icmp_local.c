// SPDX-License-Identifier: GPL-3.0-or-later
// Node icmp-local: answers pings of a pool's gateway address where no kernel interface holds it.
#include "dataplane/node/edge.h"
#include "dataplane/proto/icmp.h"

enum {
	EDGE_L3_FORWARD,
	EDGE_MAX,
};

static uint16_t icmp_local_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
		struct ip_info info;

		if (ip_parse(ip, m->data_len, false, &info) != IP_OK ||
			!icmp_echo_reply(ip, &info)) {
			dp_drop(&m, 1, ABI_C_drop_not_ours);
			continue;
		}
		dp_pkt(m)->session = NULL;
		dp_pkt(m)->l3_flags = DP_L3_LOCAL;
		dp_count(ABI_C_icmp_sent, 1);
		edge_add(&run, EDGE_L3_FORWARD, m);
	}
	edge_flush(&run);
	return n;
}

static struct rte_node_register icmp_local_node = {
	.name = DP_NODE_ICMP_LOCAL,
	.process = icmp_local_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_L3_FORWARD] = DP_NODE_L3_FORWARD,
		},
};
RTE_NODE_REGISTER(icmp_local_node);
