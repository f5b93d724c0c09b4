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
	uint16_t mtu;
	uint8_t eth[ETH_HEADER];
};

static __attribute__((noinline)) bool resolve_new(
	struct last *last, const struct dp_route *route, const uint8_t *to) {
	const struct dp_port *port = &dp_ports[route->port];
	struct dp_neigh *neigh = route->neigh;
	struct abi_addr hop;

	dp_addr_from(&hop, route->v6, to);
	if (neigh == NULL)
		neigh = dp_neigh_lookup(route->port, &hop);
	else
		hop = neigh->addr;
	last->resolved = neigh != NULL && dp_neigh_mac(neigh, last->eth);
	if (!last->resolved) {
		dp_neigh_request(dp_self->number, route->port, &hop);
		return false;
	}
	last->route = route;
	last->hop = hop;
	last->mtu = port->mtu;
	memcpy(last->eth + 6, &port->mac, 6);
	ip_store16(last->eth + 12, route->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
	return true;
}

static inline bool resolve(struct last *last, const struct dp_route *route, const uint8_t *to) {
	if (likely(last->resolved && last->route == route) &&
		(likely(route->neigh != NULL) ||
			memcmp(to, last->hop.bytes + (route->v6 ? 0 : 12), route->v6 ? 16 : 4) ==
				0))
		return true;
	return resolve_new(last, route, to);
}

static inline void transmit(struct edge_run *run, const struct last *last, struct rte_mbuf *m) {
	uint8_t *eth;

	if (unlikely(m->data_off < ETH_HEADER)) {
		dp_drop(&m, 1, ABI_C_drop_no_mbuf);
		return;
	}
	// one store a field, and the header in two that overlap
	m->data_off = (uint16_t)(m->data_off - ETH_HEADER);
	m->data_len = (uint16_t)(m->data_len + ETH_HEADER);
	m->pkt_len += ETH_HEADER;
	eth = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(eth, last->eth, 8);
	memcpy(eth + ETH_HEADER - 8, last->eth + ETH_HEADER - 8, 8);
	edge_add(run, EDGE_TX, m);
}

// More than the port takes.
static __attribute__((noinline)) void output_big(
	struct edge_run *run, const struct last *last, struct rte_mbuf *m) {
	struct dp_pkt *pkt = dp_pkt(m);
	const struct dp_route *route = pkt->adjacency;
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	struct rte_mbuf *pieces[FRAGMENTS_MAX];
	unsigned n;

	if (route->v6 || (ip[6] & 0x40)) {
		pkt->icmp_kind = ICMP_TOO_BIG;
		pkt->icmp_mtu = last->mtu;
		edge_add(run, EDGE_ICMP_ERROR, m);
		return;
	}
	n = fragment4(m, last->mtu, pieces);
	for (unsigned i = 0; i < n; i++)
		transmit(run, last, pieces[i]);
	run->made = true;
}

static inline void output(struct edge_run *run, struct last *last, struct rte_mbuf *m) {
	const struct dp_route *route = dp_pkt(m)->adjacency;
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);

	if (unlikely(!resolve(last, route, ip_destination(ip, route->v6 ? 6 : 4))))
		dp_drop(&m, 1, ABI_C_drop_no_neighbour);
	else if (likely(m->data_len <= last->mtu))
		transmit(run, last, m);
	else
		output_big(run, last, m);
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
