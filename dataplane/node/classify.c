// SPDX-License-Identifier: GPL-3.0-or-later
// Node classify: from the wire to the tunnels, the LAN side or the kernel, by port and headers.
//
// WAN: datagrams to a listening address and port leave with data at the UDP payload and the tuple
// set; their fragments go to be put together first. LAN: unicast packets for others leave with
// data at the IP header. All else is the kernel's, as whole frames.
#include "dataplane/l3.h"
#include "dataplane/node/edge.h"
#include "dataplane/port.h"
#include "dataplane/proto/dtls12.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/local.h"

enum {
	EDGE_DTLS_DECODE,
	EDGE_OUTER_REASSEMBLE,
	EDGE_L3_INPUT,
	EDGE_ARP_ND,
	EDGE_PUNT_KERNEL,
	EDGE_MAX,
};
#define DROP EDGE_MAX // plus the counter

#define INLINE static inline __attribute__((always_inline))

static unsigned drop(enum abi_counter counter) {
	return DROP + counter;
}

static bool ip_checksum_unknown(const struct rte_mbuf *m) {
	return (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) != RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

static bool udp_checksum_unknown(const struct rte_mbuf *m) {
	return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

// What is in the datagram proves itself: a checksum that is not in yet does no harm. Everything by
// value: the caller keeps it in registers.
static __attribute__((noinline)) bool udp_checksum_does(const uint8_t *ip, struct ip_info info) {
	struct udp_info udp;

	return udp_parse(ip, &info, true, &udp) ||
		(udp_checksum_is_partial(ip, &info) && udp_parse(ip, &info, false, &udp));
}

static bool is_application_data(const uint8_t *ip, const struct udp_info *udp) {
	return udp->payload_len > DTLS12_HEADER_LEN && ip[udp->payload] == DTLS12_APPLICATION_DATA;
}

// Where the last datagram of a burst was for, IPv4: so are the others, most of the time.
struct listener {
	const struct dp_port *port; // NULL: none yet
	uint32_t addr; // network byte order
	uint16_t udp_port; // network byte order
};

INLINE bool listens(struct listener *last, const struct dp_port *port, const uint8_t *to, bool v6,
	uint16_t udp_port) {
	struct abi_addr local;
	uint32_t addr;

	memcpy(&addr, to, sizeof(addr));
	if (!v6 && last->port == port && last->addr == addr && last->udp_port == udp_port)
		return true;
	dp_addr_from(&local, v6, to);
	if (!dp_l3_listens(port->index, &local, udp_port))
		return false;
	if (!v6)
		*last = (struct listener){port, addr, udp_port};
	return true;
}

// Which port a fragment is for shows when it is whole.
static __attribute__((noinline)) unsigned wan_fragment(
	const struct dp_port *port, const uint8_t *to, bool v6) {
	struct abi_addr local;

	dp_addr_from(&local, v6, to);
	return dp_l3_listens_on(port->index, &local) ? EDGE_OUTER_REASSEMBLE : EDGE_PUNT_KERNEL;
}

// A constant `v6` makes two functions of it.
INLINE unsigned wan_datagram(const struct dp_port *port, struct rte_mbuf *m, const uint8_t *ip,
	const struct ip_info *info, bool v6, struct listener *last) {
	struct abi_tuple *tuple = &dp_pkt(m)->tuple;
	const uint8_t *to = ip_destination(ip, v6 ? 6 : 4);
	struct udp_info udp;
	uint16_t udp_port;
	bool unsummed;

	if (unlikely(ip_is_fragment(info)))
		return wan_fragment(port, to, v6);
	if (info->total_len - info->header_len < (int)UDP_HEADER)
		return drop(ABI_C_drop_udp_bad);
	memcpy(&udp_port, ip + info->header_len + 2, 2);
	if (!listens(last, port, to, v6, udp_port))
		return EDGE_PUNT_KERNEL;
	if (unlikely(!udp_parse_header(ip, info, &udp) || udp.source == 0))
		return drop(ABI_C_drop_udp_bad);
	unsummed = udp_checksum_unknown(m);
	dp_pkt(m)->unsummed = unsummed;
	// IPv6 has no datagrams without a checksum (RFC 8200, 8.1). Application data that no NIC has
	// summed proves itself when it is opened: a sum over all of it would say less. It does not
	// prove its addresses: roam_find sums before it believes new ones.
	if (((unsummed && !is_application_data(ip, &udp)) ||
		    (v6 && ip_load16(ip + info->header_len + 6) == 0)) &&
		!udp_checksum_does(ip, *info))
		return drop(ABI_C_drop_udp_bad);
	dp_addr_from(&tuple->local, v6, to);
	dp_addr_from(&tuple->remote, v6, ip_source(ip, v6 ? 6 : 4));
	tuple->local_port = udp.destination;
	tuple->remote_port = udp.source;
	tuple->reserved = 0;
	m->data_off = (uint16_t)(m->data_off + ETH_HEADER + udp.payload); // one segment
	m->pkt_len = m->data_len = udp.payload_len;
	return EDGE_DTLS_DECODE;
}

INLINE unsigned wan_ip(const struct dp_port *port, struct rte_mbuf *m, struct listener *last) {
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, ETH_HEADER);
	struct ip_info info;

	if (ip_parse_quick(ip, m->data_len - ETH_HEADER, ip_checksum_unknown(m), &info) != IP_OK)
		return drop(ABI_C_drop_ip_bad);
	if (info.proto != IP_PROTO_UDP)
		return EDGE_PUNT_KERNEL;
	return info.version == 4 ? wan_datagram(port, m, ip, &info, false, last)
				 : wan_datagram(port, m, ip, &info, true, last);
}

static bool is_solicitation(const uint8_t *ip, uint16_t len) {
	return len > IP6_HEADER && ip[6] == IP_PROTO_ICMP6 && ip[IP6_HEADER] == 135;
}

INLINE unsigned lan_ip(const struct dp_port *port, struct rte_mbuf *m, bool v6, bool group) {
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, ETH_HEADER);
	uint16_t len = m->data_len - ETH_HEADER;
	struct abi_addr to;

	if (len < (v6 ? IP6_HEADER : IP4_HEADER) || ip[0] >> 4 != (v6 ? 6 : 4))
		return drop(ABI_C_drop_ip_bad);
	if (!(port->flags & DP_PORT_POINT_TO_HOST)) {
		if (v6 && is_solicitation(ip, len))
			return EDGE_ARP_ND;
		dp_addr_from(&to, v6, ip_destination(ip, v6 ? 6 : 4));
		if (group || dp_local_has(port->index, &to))
			return EDGE_PUNT_KERNEL;
		// What is never forwarded (link-local above all) is between host and kernel.
		if (v6 ? !ip_is_forwardable(ip + 24, 6) : !ip4_is_forwardable(ip_load32(ip + 16)))
			return EDGE_PUNT_KERNEL;
	} else if (group) {
		return drop(ABI_C_drop_multicast);
	}
	m->data_off += ETH_HEADER; // one segment, checked before
	m->pkt_len = m->data_len = len;
	return EDGE_L3_INPUT;
}

// One load each: behind either address is more that may be read.
static inline bool is_mac(const uint8_t *eth, const struct dp_port *port) {
	uint64_t to, ours;

	memcpy(&to, eth, sizeof(to));
	memcpy(&ours, (const char *)port + offsetof(struct dp_port, mac), sizeof(ours));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (to ^ ours) << 16 == 0;
#else
	return (to ^ ours) >> 16 == 0;
#endif
}

INLINE unsigned classify(struct rte_mbuf *m, struct listener *last) {
	struct dp_pkt *pkt = dp_pkt(m);
	const struct dp_port *port = &dp_ports[pkt->port];
	const uint8_t *eth;

	pkt->session = NULL;
	pkt->from_stream = 0;
	if ((m->nb_segs > 1 && rte_pktmbuf_linearize(m) != 0) || m->data_len < ETH_HEADER)
		return drop(ABI_C_drop_eth_bad);
	eth = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t type = ip_load16(eth + 12);
	bool group = (eth[0] & 1) != 0;

	// The other end of a TAP without neighbours may put any address there.
	if (!group && !(port->flags & DP_PORT_POINT_TO_HOST) && !is_mac(eth, port))
		return drop(ABI_C_drop_eth_bad);
	if (type != ETH_TYPE_IP4 && type != ETH_TYPE_IP6) {
		return type == ETH_TYPE_ARP && port->role == CFG_ROLE_LAN ? EDGE_ARP_ND
									  : EDGE_PUNT_KERNEL;
	}
	if (port->role == CFG_ROLE_LAN)
		return type == ETH_TYPE_IP4 ? lan_ip(port, m, false, group)
					    : lan_ip(port, m, true, group);
	return group ? EDGE_PUNT_KERNEL : wan_ip(port, m, last);
}

static uint16_t classify_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct listener last = {.port = NULL};
	struct edge_run run;

	edge_start(&run, graph, node);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i]; // node rx has had it loaded
		unsigned edge = classify(m, &last);

		if (unlikely(edge >= DROP))
			dp_drop(&m, 1, (enum abi_counter)(edge - DROP));
		else
			edge_add(&run, edge, m);
	}
	edge_finish(&run, objs, n);
	return n;
}

static struct rte_node_register classify_node = {
	.name = DP_NODE_CLASSIFY,
	.process = classify_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_DTLS_DECODE] = DP_NODE_DTLS_DECODE,
			[EDGE_OUTER_REASSEMBLE] = DP_NODE_OUTER_REASSEMBLE,
			[EDGE_L3_INPUT] = DP_NODE_L3_INPUT,
			[EDGE_ARP_ND] = DP_NODE_ARP_ND,
			[EDGE_PUNT_KERNEL] = DP_NODE_PUNT_KERNEL,
		},
};
RTE_NODE_REGISTER(classify_node);
