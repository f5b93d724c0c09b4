// SPDX-License-Identifier: GPL-3.0-or-later
// Node l3-forward: the next hop of inner packets: a client's session by its address, else a route.
//
// Data at a valid IP header of `m->data_len` bytes. Clients are found by index before any longest
// prefix match; an address of a pool is never looked for on the LAN.
#include "dataplane/l3.h"
#include "dataplane/node/edge.h"
#include "dataplane/node/fragment.h"
#include "dataplane/port.h"
#include "dataplane/proto/icmp.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/mss.h"
#include "dataplane/proto/nd.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/session.h"

enum {
	EDGE_TUNNEL_OUT,
	EDGE_LAN_OUTPUT,
	EDGE_ICMP_ERROR,
	EDGE_ICMP_LOCAL,
	EDGE_PUNT_KERNEL,
	EDGE_MAX,
};
#define DROP EDGE_MAX

struct packet {
	struct rte_mbuf *m;
	struct dp_pkt *pkt;
	uint8_t *ip;
	struct ip_info info;
	bool v6;
	uint16_t mtu; // of the tunnel it goes into
};

static unsigned icmp(struct packet *p, enum icmp_kind kind, uint16_t mtu) {
	p->pkt->icmp_kind = (uint8_t)kind;
	p->pkt->icmp_mtu = mtu;
	return EDGE_ICMP_ERROR;
}

// Of the channel that tunnel-out will take, inner bytes.
static uint16_t session_mtu(struct dp_session *session) {
	struct dp_dtls *dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);
	bool stream = atomic_load_explicit(&session->tx_channel, memory_order_relaxed) != 2;

	return dtls != NULL && !stream && dtls->mtu != 0 ? RTE_MIN(dtls->mtu, session->mtu)
							 : session->mtu;
}

static bool hop_left(const struct packet *p) {
	return (p->pkt->l3_flags & DP_L3_LOCAL) || p->info.ttl > 1;
}

static void hop_take(struct packet *p) {
	if (!(p->pkt->l3_flags & DP_L3_LOCAL))
		ip_ttl_decrement(p->ip, p->info.version);
}

static bool may_reach(const struct dp_session *from, const struct dp_session *to) {
	return dp_l3.client_to_client && (from->flags & to->flags & ABI_POLICY_CLIENT_TO_CLIENT);
}

static unsigned to_client(struct packet *p, struct dp_session *session) {
	struct dp_session *from = p->pkt->session;
	uint16_t mtu = session_mtu(session), mss_mtu = mtu;

	if (from != NULL) {
		if (!may_reach(from, session))
			return icmp(p, ICMP_PROHIBITED, 0);
		mss_mtu = RTE_MIN(mtu, session_mtu(from));
	}
	if (!hop_left(p))
		return icmp(p, ICMP_TIME_EXCEEDED, 0);
	if (p->info.total_len > mtu && p->info.dont_fragment)
		return icmp(p, ICMP_TOO_BIG, mtu);
	hop_take(p);
	if (mss_clamp(p->ip, &p->info, mss_mtu))
		dp_count(ABI_C_mss_clamped, 1);
	if (from != NULL)
		dp_count(ABI_C_client_to_client, 1);
	p->pkt->session = session;
	p->pkt->sid = session->sid;
	p->mtu = mtu;
	return EDGE_TUNNEL_OUT;
}

// An address of the kernel behind a twin: as a frame that came from the wire.
static unsigned to_kernel(struct packet *p, const struct dp_port *port) {
	uint8_t *eth;

	if (!(port->flags & DP_PORT_HAS_TWIN))
		return DROP + ABI_C_drop_not_ours;
	eth = (uint8_t *)rte_pktmbuf_prepend(p->m, ETH_HEADER);
	if (eth == NULL)
		return DROP + ABI_C_drop_no_mbuf;
	memcpy(eth, &port->mac, 6);
	memset(eth + 6, 0, 6);
	eth[6] = 2; // locally administered: nobody's
	ip_store16(eth + 12, p->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
	p->pkt->port = port->index;
	return EDGE_PUNT_KERNEL;
}

static unsigned to_lan(struct packet *p, bool gateway) {
	const uint8_t *to = ip_destination(p->ip, p->info.version);
	const struct dp_route *route = dp_fib_lookup(DP_FIB_LAN, p->v6, to);
	bool from_lan = p->pkt->session == NULL && !(p->pkt->l3_flags & DP_L3_LOCAL);
	const struct dp_port *port = route != NULL ? &dp_ports[route->port] : NULL;

	if (route != NULL && route->type == DP_ROUTE_LOCAL)
		return to_kernel(p, port);
	if (gateway && (port == NULL || !(port->flags & DP_PORT_POINT_TO_HOST)))
		return EDGE_ICMP_LOCAL;
	// Back into the host that it came from would be a loop.
	if (port == NULL ||
		(from_lan && port->index == p->pkt->port && (port->flags & DP_PORT_POINT_TO_HOST)))
		return icmp(p, ICMP_NET_UNREACHABLE, 0);
	if (route->type == DP_ROUTE_REJECT)
		return icmp(p, ICMP_NET_UNREACHABLE, 0);
	if (!hop_left(p))
		return icmp(p, ICMP_TIME_EXCEEDED, 0);
	if (p->info.total_len > port->mtu && p->info.dont_fragment)
		return icmp(p, ICMP_TOO_BIG, port->mtu);
	hop_take(p);
	if (p->pkt->session != NULL && mss_clamp(p->ip, &p->info, session_mtu(p->pkt->session)))
		dp_count(ABI_C_mss_clamped, 1);
	p->pkt->port = port->index;
	p->pkt->adjacency = route;
	return EDGE_LAN_OUTPUT;
}

static unsigned forward(struct packet *p) {
	const uint8_t *to;
	struct dp_session *session;
	uint32_t to4;
	bool pool;

	p->pkt = dp_pkt(p->m);
	p->ip = rte_pktmbuf_mtod(p->m, uint8_t *);
	if (ip_parse(p->ip, p->m->data_len, false, &p->info) != IP_OK)
		return DROP + ABI_C_drop_inner_bad;
	p->v6 = p->info.version == 6;
	p->mtu = UINT16_MAX;
	to = ip_destination(p->ip, p->info.version);
	if (p->v6) {
		session = dp_session_by_inner6(to);
		pool = session == NULL && dp_session_pool6(to);
	} else {
		memcpy(&to4, to, 4);
		session = dp_session_by_inner4(to4);
		pool = session == NULL && dp_session_pool4(to4);
	}
	if (session != NULL)
		return to_client(p, session);
	if (dp_l3_is_gateway(p->v6, to))
		return to_lan(p, true);
	return pool ? icmp(p, ICMP_HOST_UNREACHABLE, 0) : to_lan(p, false);
}

static void emit(struct edge_run *run, struct packet *p, unsigned edge) {
	struct rte_mbuf *pieces[FRAGMENTS_MAX];
	unsigned n;

	if (edge >= DROP) {
		dp_drop(&p->m, 1, (enum abi_counter)(edge - DROP));
		return;
	}
	if (edge != EDGE_TUNNEL_OUT || p->info.total_len <= p->mtu) {
		edge_add(run, edge, p->m);
		return;
	}
	n = fragment4(p->m, p->mtu, pieces);
	for (unsigned i = 0; i < n; i++)
		edge_add(run, edge, pieces[i]);
}

static uint16_t l3_forward_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};

	for (uint16_t i = 0; i < n; i++) {
		struct packet p = {.m = objs[i]};
		unsigned edge = forward(&p);

		emit(&run, &p, edge);
	}
	edge_flush(&run);
	return n;
}

static struct rte_node_register l3_forward_node = {
	.name = DP_NODE_L3_FORWARD,
	.process = l3_forward_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TUNNEL_OUT] = DP_NODE_TUNNEL_OUT,
			[EDGE_LAN_OUTPUT] = DP_NODE_LAN_OUTPUT,
			[EDGE_ICMP_ERROR] = DP_NODE_ICMP_ERROR,
			[EDGE_ICMP_LOCAL] = DP_NODE_ICMP_LOCAL,
			[EDGE_PUNT_KERNEL] = DP_NODE_PUNT_KERNEL,
		},
};
RTE_NODE_REGISTER(l3_forward_node);
