// SPDX-License-Identifier: GPL-3.0-or-later
// Nodes l3-input and l3-forward: the next hop of inner packets: a client's session by its address,
// else a route. l3-input gets packets from clients and the LAN alike and checks their headers first;
// l3-forward gets what was made here.
//
// Data at the IP header; `session` is the client's whose packet it is, NULL from the LAN. Clients are
// found by index before any longest prefix match; an address of a pool is never looked for on the
// LAN. They are two nodes in one file because a header is parsed once (docs/decisions/0012).
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

// Lives in registers: whoever is not inlined must not be given its address.
struct packet {
	struct rte_mbuf *m;
	struct dp_pkt *pkt;
	uint8_t *ip;
	struct dp_session *from; // NULL: not a client's
	struct ip_info info;
	bool local; // made here, not forwarded
	bool v6;
	uint16_t mtu; // of the tunnel it goes into
};

#define INLINE static inline __attribute__((always_inline))

// Packets whose channels, and whose sessions are on their way.
#define AHEAD 8u
#define AHEAD_SESSION 16u

INLINE unsigned icmp(struct packet *p, enum icmp_kind kind, uint16_t mtu) {
	p->pkt->icmp_kind = (uint8_t)kind;
	p->pkt->icmp_mtu = mtu;
	return EDGE_ICMP_ERROR;
}

// Of the channel that tunnel-out will take, inner bytes.
static uint16_t session_mtu(struct dp_session *session) {
	struct dp_dtls *dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);
	bool stream = atomic_load_explicit(&session->tx_channel, memory_order_relaxed) != 2;

	return dtls != NULL && !stream && session->dtls_mtu != 0
		? RTE_MIN(session->dtls_mtu, session->mtu)
		: session->mtu;
}

INLINE bool hop_left(const struct packet *p) {
	return p->local || p->info.ttl > 1;
}

INLINE void hop_take(struct packet *p) {
	if (!p->local)
		ip_ttl_decrement(p->ip, p->info.version);
}

static __attribute__((noinline)) void clamp(uint8_t *ip, struct ip_info info, uint16_t mtu) {
	if (mss_clamp(ip, &info, mtu))
		dp_count(ABI_C_mss_clamped, 1);
}

// What the session's filter says of a packet that its client sent, or that comes to it. The client
// is told; others only find out that nobody answers. Runs on any worker, so the count is shared. The
// header is parsed again: what the caller knows of it stays in registers.
static __attribute__((noinline)) unsigned filter(
	struct rte_mbuf *m, struct dp_session *session, bool to_client) {
	static const struct {
		enum abi_counter counter;
		enum icmp_kind kind;
	} reasons[] = {
		[FILTER_ROUTE] = {ABI_C_drop_filter_route, ICMP_FILTERED_ROUTE},
		[FILTER_PORT] = {ABI_C_drop_filter_port, ICMP_FILTERED_PORT},
		[FILTER_FRAGMENT] = {ABI_C_drop_filter_fragment, ICMP_FILTERED_FRAGMENT},
	};
	const struct dp_filter *rules = atomic_load_explicit(
		&session->filter, memory_order_acquire);
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	enum filter_verdict verdict;
	struct ip_info info;

	if (rules == NULL) // it has just gone
		return 0;
	if (ip_parse_quick(ip, m->data_len, false, &info) != IP_OK)
		return DROP + ABI_C_drop_inner_bad;
	verdict = filter_match(&rules->rules, ip, &info, to_client);
	if (likely(verdict == FILTER_PASS))
		return 0;
	__atomic_fetch_add(verdict == FILTER_ROUTE ? &session->stats->filtered_routes
						   : &session->stats->filtered_ports,
		1, __ATOMIC_RELAXED);
	if (to_client)
		return DROP + reasons[verdict].counter;
	dp_pkt(m)->icmp_kind = (uint8_t)reasons[verdict].kind;
	dp_pkt(m)->icmp_mtu = 0;
	return EDGE_ICMP_ERROR;
}

// 0 (which is an edge, but no verdict's): it may pass.
INLINE unsigned filter_from(const struct packet *p) {
	if (p->from == NULL ||
		likely(!atomic_load_explicit(&p->from->filtered, memory_order_relaxed)))
		return 0;
	return filter(p->m, p->from, false);
}

INLINE unsigned filter_to(const struct packet *p, struct dp_session *session) {
	if (likely(!atomic_load_explicit(&session->filtered, memory_order_relaxed)) || p->local)
		return 0;
	return filter(p->m, session, true);
}

static bool may_reach(const struct dp_session *from, const struct dp_session *to) {
	return dp_l3.client_to_client && (from->flags & to->flags & ABI_POLICY_CLIENT_TO_CLIENT);
}

INLINE unsigned to_client(struct packet *p, struct dp_session *session) {
	struct dp_session *from = p->from;
	uint16_t mtu = session_mtu(session), mss_mtu = mtu;
	unsigned refused = filter_to(p, session);

	if (unlikely(refused != 0))
		return refused;
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
	if (p->info.proto == IP_PROTO_TCP)
		clamp(p->ip, p->info, mss_mtu);
	if (from != NULL)
		dp_count(ABI_C_client_to_client, 1);
	p->pkt->session = session;
	p->pkt->sid = session->sid;
	p->mtu = mtu;
	return EDGE_TUNNEL_OUT;
}

// An address of the kernel behind a twin: as a frame that came from the wire.
static __attribute__((noinline)) unsigned to_kernel(
	struct rte_mbuf *m, bool v6, const struct dp_port *port) {
	uint8_t *eth;

	if (!(port->flags & DP_PORT_HAS_TWIN))
		return DROP + ABI_C_drop_not_ours;
	eth = (uint8_t *)rte_pktmbuf_prepend(m, ETH_HEADER);
	if (eth == NULL)
		return DROP + ABI_C_drop_no_mbuf;
	memcpy(eth, &port->mac, 6);
	memset(eth + 6, 0, 6);
	eth[6] = 2; // locally administered: nobody's
	ip_store16(eth + 12, v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
	dp_pkt(m)->port = port->index;
	return EDGE_PUNT_KERNEL;
}

// *behind: the session whose client is the way to there, with EDGE_TUNNEL_OUT.
INLINE unsigned to_lan(struct packet *p, bool gateway, struct dp_session **behind) {
	const uint8_t *to = ip_destination(p->ip, p->info.version);
	const struct dp_route *route = dp_fib_lookup(DP_FIB_LAN, p->v6, to);

	if (unlikely(route != NULL && route->type == DP_ROUTE_SESSION)) {
		*behind = dp_session_get(route->sid);
		// what its own client sends there would come back to it
		return *behind != NULL && *behind != p->from ? EDGE_TUNNEL_OUT
							     : icmp(p, ICMP_NET_UNREACHABLE, 0);
	}
	bool from_lan = p->from == NULL && !p->local;
	const struct dp_port *port = route != NULL ? &dp_ports[route->port] : NULL;

	if (route != NULL && route->type == DP_ROUTE_LOCAL)
		return to_kernel(p->m, p->v6, port);
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
	if (p->info.proto == IP_PROTO_TCP && p->from != NULL)
		clamp(p->ip, p->info, session_mtu(p->from));
	p->pkt->port = port->index;
	p->pkt->adjacency = route;
	return EDGE_LAN_OUTPUT;
}

// Headers of what came from outside. Returns DROP with the counter, or 0.
INLINE unsigned check(struct packet *p) {
	struct rte_mbuf *m = p->m;
	bool good = p->from == NULL &&
		(m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	const uint8_t *ip = p->ip;

	if (m->nb_segs > 1 || ip_parse_quick(ip, m->data_len, !good, &p->info) != IP_OK)
		return DROP + ABI_C_drop_inner_bad;
	bool usable = p->info.version == 4
		? ip4_is_forwardable(ip_load32(ip + 12)) && ip4_is_forwardable(ip_load32(ip + 16))
		: ip_is_forwardable(ip + 8, 6) && ip_is_forwardable(ip + 24, 6);

	if (unlikely(!usable))
		return DROP +
			(ip_is_multicast(ip_destination(ip, p->info.version), p->info.version)
					? ABI_C_drop_multicast
					: ABI_C_drop_inner_bad);
	m->pkt_len = m->data_len = p->info.total_len; // Ethernet padding goes
	m->ol_flags = 0; // what was received says nothing about what is sent
	p->pkt->l3_flags = 0;
	p->pkt->icmp_kind = 0;
	return 0;
}

// `session`: who has the destination's address; `pool`: a pool has it.
INLINE unsigned forward(struct packet *p, struct dp_session *session, bool pool) {
	unsigned edge = filter_from(p);

	p->v6 = p->info.version == 6;
	p->mtu = UINT16_MAX;
	if (unlikely(edge != 0))
		return edge;
	if (session != NULL && (likely(!p->v6) || dp_session_has6(session, p->ip + 24)))
		goto client;
	if (unlikely(pool) && !dp_l3_is_gateway(p->v6, ip_destination(p->ip, p->info.version)))
		return icmp(p, ICMP_HOST_UNREACHABLE, 0);
	edge = to_lan(p, pool, &session);
	if (likely(edge != EDGE_TUNNEL_OUT))
		return edge;
client:
	return to_client(p, session);
}

static __attribute__((noinline)) void drop(struct rte_mbuf *m, unsigned edge) {
	dp_drop(&m, 1, (enum abi_counter)(edge - DROP));
}

static __attribute__((noinline)) void emit_pieces(
	struct edge_run *run, struct rte_mbuf *m, uint16_t mtu) {
	struct rte_mbuf *pieces[FRAGMENTS_MAX];
	unsigned n = fragment4(m, mtu, pieces);

	for (unsigned i = 0; i < n; i++)
		edge_add_made(run, EDGE_TUNNEL_OUT, pieces[i]);
}

INLINE void emit(struct edge_run *run, struct packet *p, unsigned edge) {
	if (unlikely(edge >= DROP))
		drop(p->m, edge);
	else if (likely(edge != EDGE_TUNNEL_OUT || p->info.total_len <= p->mtu))
		edge_add(run, edge, p->m);
	else
		emit_pieces(run, p->m, p->mtu);
}

// Starts to load what the nodes behind need of a session, its counters and its channel.
static void prefetch_channel(struct dp_session *session) {
	struct dp_dtls *dtls;

	// another owner writes to its lines all the time: they stay there
	if (session == NULL || session->owner != dp_self->number)
		return;
	rte_prefetch0(&session->last_rx);
	dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);
	rte_prefetch0(session->stats);
	if (dtls == NULL)
		return;
	rte_prefetch0(dtls);
	rte_prefetch0((const char *)dtls + 64);
}

// At most DP_BURST packets; with constants for what differs between the two nodes.
INLINE void burst(struct edge_run *run, void **objs, unsigned n, bool checked) {
	const uint8_t *ips[DP_BURST];
	struct dp_session *sessions[DP_BURST];
	uint64_t pool;

	for (unsigned i = 0; i < n; i++)
		ips[i] = rte_pktmbuf_mtod((struct rte_mbuf *)objs[i], const uint8_t *);
	pool = dp_session_inner_bulk(ips, n, sessions);
	for (unsigned i = 0; i < n && i < AHEAD_SESSION; i++)
		rte_prefetch0(sessions[i]); // NULL: nothing
	for (unsigned i = 0; i < n && i < AHEAD; i++)
		prefetch_channel(sessions[i]);
	for (unsigned i = 0; i < n; i++) {
		struct packet p = {.m = objs[i]};
		unsigned edge = 0;

		if (i + AHEAD_SESSION < n)
			rte_prefetch0(sessions[i + AHEAD_SESSION]);
		if (i + AHEAD < n) {
			prefetch_channel(sessions[i + AHEAD]);
			rte_prefetch0_write(ips[i + AHEAD] - 64); // where new headers will be
		}
		p.pkt = dp_pkt(p.m);
		p.ip = rte_pktmbuf_mtod(p.m, uint8_t *);
		p.from = p.pkt->session;
		p.local = checked && (p.pkt->l3_flags & DP_L3_LOCAL);
		if (!checked)
			edge = check(&p);
		else if (ip_parse_quick(p.ip, p.m->data_len, false, &p.info) != IP_OK)
			edge = DROP + ABI_C_drop_inner_bad;
		if (likely(edge < DROP))
			edge = forward(&p, sessions[i], pool >> i & 1);
		emit(run, &p, edge);
	}
}

INLINE uint16_t process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n, bool checked) {
	struct edge_run run;

	edge_start(&run, graph, node);
	for (uint16_t done = 0; done < n; done = (uint16_t)(done + DP_BURST))
		burst(&run, objs + done, RTE_MIN((unsigned)(n - done), DP_BURST), checked);
	edge_finish(&run, objs, n);
	return n;
}

static uint16_t l3_input_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	return process(graph, node, objs, n, false);
}

static uint16_t l3_forward_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	return process(graph, node, objs, n, true);
}

#define EDGES \
	{ \
		[EDGE_TUNNEL_OUT] = DP_NODE_TUNNEL_OUT, [EDGE_LAN_OUTPUT] = DP_NODE_LAN_OUTPUT, \
		[EDGE_ICMP_ERROR] = DP_NODE_ICMP_ERROR, [EDGE_ICMP_LOCAL] = DP_NODE_ICMP_LOCAL, \
		[EDGE_PUNT_KERNEL] = DP_NODE_PUNT_KERNEL, \
	}

static struct rte_node_register l3_input_node = {
	.name = DP_NODE_L3_INPUT,
	.process = l3_input_process,
	.nb_edges = EDGE_MAX,
	.next_nodes = EDGES,
};
RTE_NODE_REGISTER(l3_input_node);

static struct rte_node_register l3_forward_node = {
	.name = DP_NODE_L3_FORWARD,
	.process = l3_forward_process,
	.nb_edges = EDGE_MAX,
	.next_nodes = EDGES,
};
RTE_NODE_REGISTER(l3_forward_node);
