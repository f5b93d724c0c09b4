// SPDX-License-Identifier: GPL-3.0-or-later
// Node arp-nd: answers hosts on the LAN that look for a connected client's address with the port's
// MAC (proxy ARP, RFC 1027; proxy ND, RFC 4861 7.2.8). All other requests are the kernel's.
#include "dataplane/l3.h"
#include "dataplane/node/edge.h"
#include "dataplane/port.h"
#include "dataplane/proto/nd.h"
#include "dataplane/table/session.h"

enum {
	EDGE_TX,
	EDGE_PUNT_KERNEL,
	EDGE_MAX,
};

static bool is_client(const struct nd_request *request) {
	uint32_t addr4;

	if (request->v6)
		return dp_session_by_inner6(request->target) != NULL;
	memcpy(&addr4, request->target, 4);
	return dp_session_by_inner4(addr4) != NULL;
}

static unsigned answer(struct rte_mbuf *m) {
	const struct dp_port *port = &dp_ports[dp_pkt(m)->port];
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	struct nd_request request;

	if (!arp_parse(frame, m->data_len, &request) && !nd_parse(frame, m->data_len, &request))
		return EDGE_PUNT_KERNEL;
	if (!is_client(&request))
		return EDGE_PUNT_KERNEL;
	rte_pktmbuf_reset(m);
	size_t len = nd_answer_write(
		rte_pktmbuf_mtod(m, uint8_t *), &request, port->mac.addr_bytes);

	rte_pktmbuf_append(m, (uint16_t)len);
	return EDGE_TX;
}

static uint16_t arp_nd_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};

	for (uint16_t i = 0; i < n; i++)
		edge_add(&run, answer(objs[i]), objs[i]);
	edge_flush(&run);
	return n;
}

static struct rte_node_register arp_nd_node = {
	.name = DP_NODE_ARP_ND,
	.process = arp_nd_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TX] = DP_NODE_TX,
			[EDGE_PUNT_KERNEL] = DP_NODE_PUNT_KERNEL,
		},
};
RTE_NODE_REGISTER(arp_nd_node);
