// SPDX-License-Identifier: GPL-3.0-or-later
// Node outer-output: UDP, IP and Ethernet headers of datagrams for clients; data at the payload.
// `session` NULL: a handshake's with `tuple` set, which we fragment ourselves when it must be; else a
// record of `dtls`, which leaves whole, and IPv4 routers may cut it where the path has shrunk since
// CONNECT.
#include <rte_memcpy.h>
#include <rte_random.h>

#include "dataplane/node/edge.h"
#include "dataplane/node/fragment.h"
#include "dataplane/port.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/session.h"

#define OUTER_TTL 64u
#define AHEAD 4u // packets whose headers are on their way from the second cache

enum {
	EDGE_TX,
	EDGE_MAX,
};

// The next hop of one client's address; a burst goes to few. Valid within one call.
struct hop {
	struct abi_addr remote;
	const struct dp_port *port; // NULL: none found yet
	struct dp_neigh *neigh;
	uint8_t mac[6];
};

struct output {
	struct edge_run run;
	struct hop hop;
	uint32_t epoch; // of routes and neighbours, read before they are looked at
	uint32_t id; // next
};

// Identifications: a counter each worker with a random start (RFC 6864). At rate it wraps while
// fragments are in flight; pieces of two records put together fail their authentication.
static _Thread_local uint32_t next_id;
static _Thread_local bool id_started;

static uint32_t first_id(void) {
	if (unlikely(!id_started)) {
		next_id = (uint32_t)rte_rand();
		id_started = true;
	}
	return next_id;
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
	hop->neigh = neigh;
	return true;
}

static void ethernet(uint8_t *eth, const struct hop *hop, bool v6) {
	memcpy(eth, hop->mac, 6);
	memcpy(eth + 6, &hop->port->mac, 6);
	ip_store16(eth + 12, v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
}

static struct udp_headers headers_of(const struct abi_tuple *tuple, uint8_t dscp, bool v6) {
	unsigned at = v6 ? 0 : 12;

	return (struct udp_headers){
		.v6 = v6,
		// ICMP about datagrams of ours may be lost or forged: a path that shrank must not
		// become a black hole, so DF stays clear (WireGuard does the same).
		.dont_fragment = false,
		.dscp = dscp,
		.ttl = OUTER_TTL,
		.source = tuple->local.bytes + at,
		.destination = tuple->remote.bytes + at,
		.source_port = tuple->local_port,
		.destination_port = tuple->remote_port,
	};
}

static void offload_checksum(struct rte_mbuf *m, bool v6) {
	// one store: fields of bits one by one would each wait for the one before
	m->tx_offload = rte_mbuf_tx_offload(
		ETH_HEADER, v6 ? IP6_HEADER : IP4_HEADER, 0, 0, 0, 0, 0);
	m->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
}

static void transmit(struct output *out, struct rte_mbuf *m, bool v6) {
	uint8_t *eth = (uint8_t *)rte_pktmbuf_prepend(m, ETH_HEADER);

	if (eth == NULL) {
		dp_drop(&m, 1, ABI_C_drop_no_mbuf);
		return;
	}
	ethernet(eth, &out->hop, v6);
	dp_pkt(m)->port = out->hop.port->index;
	edge_add(&out->run, EDGE_TX, m);
}

// Datagrams of the control plane, which may be larger than the port takes.
static void output_handshake(struct output *out, struct rte_mbuf *m) {
	const struct abi_tuple *tuple = &dp_pkt(m)->tuple;
	bool v6 = !dp_addr_is4(&tuple->remote);
	struct rte_mbuf *pieces[FRAGMENTS_MAX];
	enum abi_counter counter = ABI_C_drop_no_route;
	struct udp_headers headers = headers_of(tuple, 0, v6);
	uint8_t *ip;
	unsigned n;

	if (!find_hop(&out->hop, tuple, &counter)) {
		dp_drop(&m, 1, counter);
		return;
	}
	headers.payload_len = m->data_len;
	ip = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)udp_headers_len(v6));
	if (ip == NULL) {
		dp_drop(&m, 1, ABI_C_drop_no_mbuf);
		return;
	}
	bool whole = m->data_len <= out->hop.port->mtu;
	bool offload = whole && (out->hop.port->flags & DP_PORT_TX_UDP_CKSUM);

	headers.id = (uint16_t)out->id++;
	headers.checksum = !offload;
	udp_write_headers(ip, &headers);
	m->ol_flags = 0;
	if (offload)
		offload_checksum(m, v6);
	if (whole) {
		transmit(out, m, v6);
		return;
	}
	n = v6 ? fragment6(m, out->hop.port->mtu, out->id++, pieces)
	       : fragment4(m, out->hop.port->mtu, pieces);
	for (unsigned i = 0; i < n; i++)
		transmit(out, pieces[i], v6);
	out->run.made = true;
}

// Makes the channel's headers anew: its first packet, or routes or neighbours have changed.
static __attribute__((noinline)) bool outer_make(struct output *out, struct dp_dtls *dtls,
	const struct dp_session *session, enum abi_counter *counter) {
	struct dp_outer *outer = &dtls->outer;
	bool v6 = !dp_addr_is4(&dtls->tuple.remote);
	struct udp_headers headers = headers_of(&dtls->tuple, session->policy.dscp, v6);
	unsigned ip_len = v6 ? IP6_HEADER : IP4_HEADER;
	uint8_t *eth, *ip;

	if (!find_hop(&out->hop, &dtls->tuple, counter))
		return false;
	outer->len = (uint8_t)(ETH_HEADER + udp_headers_len(v6));
	outer->port = out->hop.port->index;
	outer->max = (uint16_t)(out->hop.port->mtu - udp_headers_len(v6));
	outer->neigh = out->hop.neigh;
	eth = outer->headers + sizeof(outer->headers) - outer->len;
	ip = eth + ETH_HEADER;
	ethernet(eth, &out->hop, v6);
	udp_write_headers(ip, &headers);
	memset(ip + ip_len + 4, 0, 4); // lengths and checksums are each packet's own
	memset(ip + (v6 ? 4 : 2), 0, 2);
	if (!v6)
		memset(ip + 10, 0, 2);
	outer->ip_sum = v6 ? 0 : ip_sum(ip, IP4_HEADER, 0);
	outer->udp_sum = ip_sum_pseudo(ip, v6 ? 6 : 4, IP_PROTO_UDP, 0);
	dtls->copies = (session->flags & ABI_POLICY_DSCP_COPY) != 0; // policy.dscp is 0 then
	outer->epoch = out->epoch;
	return true;
}

// Into headers that have none.
static __attribute__((noinline)) void copy_tos(uint8_t *udp, bool v6, uint8_t tos) {
	uint8_t *ip = udp - (v6 ? IP6_HEADER : IP4_HEADER);

	if (v6) {
		ip[0] |= tos >> 4;
		ip[1] |= (uint8_t)(tos << 4);
		return;
	}
	ip_store16(ip + 10, ip_checksum_update(ip_load16(ip + 10), ip[1], tos));
	ip[1] = tos;
}

// A record: the channel's headers in one copy, then what is the packet's own.
static inline void output_record(struct output *out, struct rte_mbuf *m) {
	struct dp_pkt *pkt = dp_pkt(m);
	struct dp_outer *outer = &pkt->dtls->outer;
	enum abi_counter counter = ABI_C_drop_no_route;
	uint16_t len = (uint16_t)(m->data_len + UDP_HEADER), sum;
	uint8_t *udp;

	if (unlikely(outer->epoch != out->epoch) &&
		!outer_make(out, pkt->dtls, pkt->session, &counter)) {
		dp_drop(&m, 1, counter);
		return;
	}
	if (unlikely(m->data_len > outer->max)) {
		dp_drop(&m, 1, ABI_C_drop_too_big);
		return;
	}
	if (unlikely(m->data_off < sizeof(outer->headers))) {
		dp_drop(&m, 1, ABI_C_drop_no_mbuf);
		return;
	}
	udp = rte_pktmbuf_mtod(m, uint8_t *) - UDP_HEADER;
	rte_mov64(udp + UDP_HEADER - sizeof(outer->headers), outer->headers);
	bool v6 = outer->len != ETH_HEADER + IP4_HEADER + UDP_HEADER;

	if (v6) {
		ip_store16(udp - IP6_HEADER + 4, len);
	} else {
		uint16_t id = (uint16_t)out->id++, total = (uint16_t)(len + IP4_HEADER);
		uint8_t *ip = udp - IP4_HEADER;

		ip_store32(ip + 2, (uint32_t)total << 16 | id);
		ip_store16(ip + 10, ip_sum_finish(outer->ip_sum + total + id));
	}
	if (unlikely(pkt->dtls->copies))
		copy_tos(udp, v6, pkt->frame == DP_FRAME_DATA ? pkt->tos : 0);
	if (dp_ports[outer->port].flags & DP_PORT_TX_UDP_CKSUM) {
		sum = (uint16_t)~ip_sum_finish(outer->udp_sum + len);
		ip_store32(udp + 4, (uint32_t)len << 16 | sum);
		offload_checksum(m, v6);
	} else {
		uint32_t ports = (uint32_t)ip_load16(udp) + ip_load16(udp + 2);

		sum = ip_sum_finish(ip_sum(
			udp + UDP_HEADER, m->data_len, outer->udp_sum + ports + 2 * (uint32_t)len));
		if (sum == 0)
			sum = 0xffff; // 0 would say: no checksum
		ip_store32(udp + 4, (uint32_t)len << 16 | sum);
		m->ol_flags = 0;
	}
	dp_neigh_use(outer->neigh);
	m->data_off = (uint16_t)(m->data_off - outer->len); // there is room, see above
	m->data_len = (uint16_t)(m->data_len + outer->len);
	m->pkt_len += outer->len;
	pkt->port = outer->port;
	edge_add(&out->run, EDGE_TX, m);
}

static uint16_t outer_output_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct output out;

	edge_start(&out.run, graph, node);
	out.hop.port = NULL;
	out.epoch = dp_way_now();
	out.id = first_id();
	for (uint16_t i = 0; i < n; i++) {
		if (i + AHEAD < n && dp_pkt(objs[i + AHEAD])->session != NULL)
			rte_prefetch0(dp_pkt(objs[i + AHEAD])->dtls->outer.headers);
		if (dp_pkt(objs[i])->session != NULL)
			output_record(&out, objs[i]);
		else
			output_handshake(&out, objs[i]);
	}
	next_id = out.id;
	edge_finish(&out.run, objs, n);
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
