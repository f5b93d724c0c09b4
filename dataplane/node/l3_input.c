// SPDX-License-Identifier: GPL-3.0-or-later
// Node l3-input: checks the headers of inner packets, from clients and from the LAN alike.
//
// Data at the IP header; `session` is the client's whose packet it is, NULL from the LAN.
#include "dataplane/node/edge.h"
#include "dataplane/port.h"
#include "dataplane/proto/ip.h"

enum {
	EDGE_L3_FORWARD,
	EDGE_MAX,
};
#define DROP EDGE_MAX

static unsigned input(struct rte_mbuf *m) {
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	bool good = dp_pkt(m)->session == NULL &&
		(m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	struct ip_info info;

	if (m->nb_segs > 1 || ip_parse(ip, m->data_len, !good, &info) != IP_OK)
		return DROP + ABI_C_drop_inner_bad;
	if (ip_is_multicast(ip_destination(ip, info.version), info.version))
		return DROP + ABI_C_drop_multicast;
	if (!ip_is_forwardable(ip_destination(ip, info.version), info.version) ||
		!ip_is_forwardable(ip_source(ip, info.version), info.version))
		return DROP + ABI_C_drop_inner_bad;
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - info.total_len)); // Ethernet padding
	m->ol_flags = 0; // what was received says nothing about what is sent
	dp_pkt(m)->l3_flags = 0;
	dp_pkt(m)->icmp_kind = 0;
	return EDGE_L3_FORWARD;
}

static uint16_t l3_input_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		unsigned edge = input(m);

		if (edge >= DROP)
			dp_drop(&m, 1, (enum abi_counter)(edge - DROP));
		else
			edge_add(&run, edge, m);
	}
	edge_flush(&run);
	return n;
}

static struct rte_node_register l3_input_node = {
	.name = DP_NODE_L3_INPUT,
	.process = l3_input_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_L3_FORWARD] = DP_NODE_L3_FORWARD,
		},
};
RTE_NODE_REGISTER(l3_input_node);
