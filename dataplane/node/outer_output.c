// SPDX-License-Identifier: GPL-3.0-or-later
// Node outer-output: UDP, IP and Ethernet headers of datagrams for clients; data at the payload,
// tuple set. `session` NULL: a handshake's, which we fragment ourselves when it must be; DTLS data
// leaves whole, and IPv4 routers may cut it where the path has shrunk since CONNECT.
#include <rte_random.h>

#include "dataplane/node/edge.h"
#include "dataplane/node/fragment.h"
#include "dataplane/port.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/session.h"

#define OUTER_TTL 64u

enum {
	EDGE_TX,
	EDGE_MAX,
};

// The next hop of one client's address; a burst goes to few. Valid within one call.
struct hop {
	struct abi_addr remote;
	const struct dp_port *port; // NULL: none found yet
	uint8_t mac[6];
};

// Identifications: a counter each worker with a random start (RFC 6864). At rate it wraps while
// fragments are in flight; pieces of two records put together fail their authentication.
static _Thread_local uint32_t next_id;
static _Thread_local bool id_started;

static uint32_t fresh_id(void) {
	if (!id_started) {
		next_id = (uint32_t)rte_rand();
		id_started = true;
	}
	return next_id++;
}

// False: dropped reason in *counter.
static bool find_hop(struct hop *hop, const struct abi_tuple *tuple, enum abi_counter *counter) {
	bool v6 = !dp_addr_is4(&tuple->remote);
	const struct dp_route *route;
	struct dp_neigh *neigh;

	if (hop->port != NULL && memcmp(&hop->remote, &tuple->remote, sizeof(hop->remote)) == 0)
		return true;
	route = dp_fib_lookup(DP_FIB_WAN, v6, tuple->remote.bytes + (v6 ? 0 : 12));
	if (route == NULL || (route->type != DP_ROUTE_VIA && route->type != DP_ROUTE_LINK)) {
		*counter = ABI_C_drop_no_route;
		return false;
	}
	neigh = route->neigh != NULL ? route->neigh : dp_neigh_lookup(route->port, &tuple->remote);
	if (neigh == NULL || !dp_neigh_mac(neigh, hop->mac)) {
		dp_neigh_request(dp_self->number, route->port,
			route->neigh != NULL ? &route->neigh->addr : &tuple->remote);
		hop->port = NULL; // its MAC may be half another's
		*counter = ABI_C_drop_no_neighbour;
		return false;
	}
	hop->port = &dp_ports[route->port];
	hop->remote = tuple->remote;
	return true;
}

static void write_headers(struct rte_mbuf *m, uint8_t *ip, bool v6, bool whole,
	const struct dp_port *port, uint16_t payload_len) {
	struct dp_pkt *pkt = dp_pkt(m);
	unsigned at = v6 ? 0 : 12;
	bool offload = whole && (port->flags & DP_PORT_TX_UDP_CKSUM);
	struct udp_headers headers = {
		.v6 = v6,
		// ICMP about datagrams of ours may be lost or forged: a path that shrank must not
		// become a black hole, so DF stays clear (WireGuard does the same).
		.dont_fragment = false,
		.checksum = !offload,
		.dscp = pkt->session != NULL ? pkt->session->policy.dscp : 0,
		.ttl = OUTER_TTL,
		.id = (uint16_t)fresh_id(),
		.source = pkt->tuple.local.bytes + at,
		.destination = pkt->tuple.remote.bytes + at,
		.source_port = pkt->tuple.local_port,
		.destination_port = pkt->tuple.remote_port,
		.payload_len = payload_len,
	};

	udp_write_headers(ip, &headers);
	m->ol_flags = 0;
	if (offload) {
		m->l2_len = ETH_HEADER;
		m->l3_len = v6 ? IP6_HEADER : IP4_HEADER;
		m->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM |
			(v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
	}
}

static void transmit(struct edge_run *run, const struct hop *hop, struct rte_mbuf *m, bool v6) {
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(m, ETH_HEADER);

	if (eth == NULL) {
		dp_drop(&m, 1, ABI_C_drop_no_mbuf);
		return;
	}
	memcpy(eth, hop->mac, 6);
	memcpy(eth + 6, &hop->port->mac, 6);
	ip_store16(eth + 12, v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
	dp_pkt(m)->port = hop->port->index;
	edge_add(run, EDGE_TX, m);
}

static void output(struct edge_run *run, struct hop *hop, struct rte_mbuf *m) {
	struct dp_pkt *pkt = dp_pkt(m);
	bool v6 = !dp_addr_is4(&pkt->tuple.remote);
	uint16_t payload_len = m->data_len;
	struct rte_mbuf *pieces[FRAGMENTS_MAX];
	enum abi_counter counter = ABI_C_drop_no_route;
	uint8_t *ip;
	unsigned n;

	if (!find_hop(hop, &pkt->tuple, &counter)) {
		dp_drop(&m, 1, counter);
		return;
	}
	bool whole = payload_len + udp_headers_len(v6) <= hop->port->mtu;

	if (!whole && pkt->session != NULL) {
		dp_drop(&m, 1, ABI_C_drop_too_big);
		return;
	}
	ip = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)udp_headers_len(v6));
	if (ip == NULL) {
		dp_drop(&m, 1, ABI_C_drop_no_mbuf);
		return;
	}
	write_headers(m, ip, v6, whole, hop->port, payload_len);
	if (whole) {
		transmit(run, hop, m, v6);
		return;
	}
	n = v6 ? fragment6(m, hop->port->mtu, fresh_id(), pieces)
	       : fragment4(m, hop->port->mtu, pieces);
	for (unsigned i = 0; i < n; i++)
		transmit(run, hop, pieces[i], v6);
}

static uint16_t outer_output_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};
	struct hop hop = {.port = NULL};

	for (uint16_t i = 0; i < n; i++) {
		if (i + 4 < n)
			rte_prefetch0(dp_pkt(objs[i + 4]));
		output(&run, &hop, objs[i]);
	}
	edge_flush(&run);
	return n;
}

static struct rte_node_register outer_output_node = {
	.name = DP_NODE_OUTER_OUTPUT,
	.process = outer_output_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TX] = DP_NODE_TX,
		},
};
RTE_NODE_REGISTER(outer_output_node);
