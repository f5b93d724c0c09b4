// SPDX-License-Identifier: GPL-3.0-or-later
// Node lan-output: the link header of packets for the LAN; `adjacency` is their route.
#include "dataplane/node/edge.h"
#include "dataplane/node/fragment.h"
#include "dataplane/port.h"
#include "dataplane/proto/icmp.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"
#include "dataplane/table/fib.h"

enum {
	EDGE_TX,
	EDGE_ICMP_ERROR,
	EDGE_MAX,
};

// The last next hop found: bursts go to few. Valid within one call.
struct last {
	const struct dp_route *route;
	struct abi_addr hop;
	bool resolved;
	uint8_t mac[6];
};

static bool resolve(struct last *last, const struct dp_route *route, const uint8_t *to) {
	struct dp_neigh *neigh = route->neigh;
	struct abi_addr hop;

	if (likely(last->resolved && last->route == route) &&
		(neigh != NULL ||
			memcmp(to, last->hop.bytes + (route->v6 ? 0 : 12), route->v6 ? 16 : 4) ==
				0))
		return true;
	dp_addr_from(&hop, route->v6, to);
	if (neigh == NULL)
		neigh = dp_neigh_lookup(route->port, &hop);
	else
		hop = neigh->addr;
	last->resolved = neigh != NULL && dp_neigh_mac(neigh, last->mac);
	if (!last->resolved) {
		dp_neigh_request(dp_self->number, route->port, &hop);
		return false;
	}
	last->route = route;
	last->hop = hop;
	return true;
}

static void transmit(struct edge_run *run, const struct last *last, struct rte_mbuf *m) {
	const struct dp_port *port = &dp_ports[dp_pkt(m)->port];
	bool v6 = *rte_pktmbuf_mtod(m, const uint8_t *) >> 4 == 6;
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(m, ETH_HEADER);

	if (eth == NULL) {
		dp_drop(&m, 1, ABI_C_drop_no_mbuf);
		return;
	}
	memcpy(eth, last->mac, 6);
	memcpy(eth + 6, &port->mac, 6);
	ip_store16(eth + 12, v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
	edge_add(run, EDGE_TX, m);
}

static void output(struct edge_run *run, struct last *last, struct rte_mbuf *m) {
	struct dp_pkt *pkt = dp_pkt(m);
	const struct dp_route *route = pkt->adjacency;
	const struct dp_port *port = &dp_ports[pkt->port];
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	struct rte_mbuf *pieces[FRAGMENTS_MAX];
	unsigned n;

	if (!resolve(last, route, ip_destination(ip, route->v6 ? 6 : 4))) {
		dp_drop(&m, 1, ABI_C_drop_no_neighbour);
		return;
	}
	if (m->data_len <= port->mtu) {
		transmit(run, last, m);
		return;
	}
	if (route->v6 || (ip[6] & 0x40)) {
		pkt->icmp_kind = ICMP_TOO_BIG;
		pkt->icmp_mtu = port->mtu;
		edge_add(run, EDGE_ICMP_ERROR, m);
		return;
	}
	n = fragment4(m, port->mtu, pieces);
	for (unsigned i = 0; i < n; i++)
		transmit(run, last, pieces[i]);
	run->made = true;
}

static uint16_t lan_output_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run;
	struct last last = {.resolved = false};

	edge_start(&run, graph, node);
	for (uint16_t i = 0; i < n; i++)
		output(&run, &last, objs[i]);
	edge_finish(&run, objs, n);
	return n;
}

static struct rte_node_register lan_output_node = {
	.name = DP_NODE_LAN_OUTPUT,
	.process = lan_output_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TX] = DP_NODE_TX,
			[EDGE_ICMP_ERROR] = DP_NODE_ICMP_ERROR,
		},
};
RTE_NODE_REGISTER(lan_output_node);
