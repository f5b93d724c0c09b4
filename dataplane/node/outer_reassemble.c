// SPDX-License-Identifier: GPL-3.0-or-later
// Node outer-reassemble: fragments of datagrams that may be the VPN's, put together by rte_ip_frag
// within bounds of number and time, go back to classify as whole frames.
#include <rte_cycles.h>
#include <rte_ip_frag.h>

#include "dataplane/node/edge.h"
#include "dataplane/port.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"

#define DATAGRAMS 1024u // at once and worker, in buckets of 4
#define BUCKET_ENTRIES 4u
#define TIMEOUT_S 5u

enum {
	EDGE_CLASSIFY,
	EDGE_MAX,
};

struct reassembly {
	struct rte_ip_frag_tbl *table;
	struct rte_ip_frag_death_row dead;
};

static int reassemble_init(const struct rte_graph *graph, struct rte_node *node) {
	struct reassembly *r = rte_zmalloc("reassembly", sizeof(*r), RTE_CACHE_LINE_SIZE);

	if (r == NULL)
		return -ENOMEM;
	r->table = rte_ip_frag_table_create(DATAGRAMS / BUCKET_ENTRIES, BUCKET_ENTRIES, DATAGRAMS,
		rte_get_tsc_hz() * TIMEOUT_S, SOCKET_ID_ANY);
	if (r->table == NULL) {
		rte_free(r);
		return -ENOMEM;
	}
	memcpy(node->ctx, &r, sizeof(r));
	return 0;
}

static struct reassembly *state_of(const struct rte_node *node) {
	struct reassembly *r;

	memcpy(&r, node->ctx, sizeof(r));
	return r;
}

static void reassemble_fini(const struct rte_graph *graph, struct rte_node *node) {
	struct reassembly *r = state_of(node);

	if (r == NULL)
		return;
	rte_ip_frag_free_death_row(&r->dead, 0);
	rte_ip_frag_table_destroy(r->table);
	rte_free(r);
}

// What was given up (timeout, overlap, no room) waits in the death row.
static void bury(struct reassembly *r) {
	if (r->dead.cnt > 0)
		dp_count(ABI_C_drop_frag, r->dead.cnt);
	rte_ip_frag_free_death_row(&r->dead, 0);
}

// NULL: kept until the others come, or given up.
static struct rte_mbuf *add(struct reassembly *r, struct rte_mbuf *m, uint64_t now, bool *bad) {
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, ETH_HEADER);
	struct ip_info info;

	*bad = ip_parse(ip, m->data_len - ETH_HEADER, false, &info) != IP_OK;
	// In IPv6 rte_ip_frag takes only fragment headers right behind the IP header.
	*bad = *bad || (info.version == 6 && info.fragment_header != IP6_HEADER);
	// All but the last fragment carry multiples of 8 bytes (RFC 791, RFC 8200 4.5).
	*bad = *bad || (info.more_fragments && ((info.total_len - info.header_len) & 7) != 0);
	if (*bad)
		return NULL;
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - ETH_HEADER - info.total_len));
	m->l2_len = ETH_HEADER;
	m->l3_len = info.header_len;
	if (info.version == 4)
		return rte_ipv4_frag_reassemble_packet(
			r->table, &r->dead, m, now, (struct rte_ipv4_hdr *)ip);
	return rte_ipv6_frag_reassemble_packet(r->table, &r->dead, m, now,
		(struct rte_ipv6_hdr *)ip, (struct rte_ipv6_fragment_ext *)(ip + IP6_HEADER));
}

// The library leaves a chain, and the checksum to hardware.
static bool finish(struct rte_mbuf *m) {
	uint8_t *ip;

	if (rte_pktmbuf_linearize(m) != 0)
		return false;
	ip = rte_pktmbuf_mtod_offset(m, uint8_t *, ETH_HEADER);
	m->ol_flags = 0;
	m->l2_len = m->l3_len = 0;
	if (ip[0] >> 4 == 4)
		ip4_checksum_write(ip);
	return true;
}

static uint16_t reassemble_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};
	struct reassembly *r = state_of(node);
	uint64_t now = rte_rdtsc();

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i], *whole;
		bool bad;

		whole = add(r, m, now, &bad);
		if (bad) {
			dp_drop(&m, 1, ABI_C_drop_frag);
		} else if (whole != NULL && !finish(whole)) {
			dp_drop(&whole, 1, ABI_C_drop_frag);
		} else if (whole != NULL) {
			dp_count(ABI_C_reassembled, 1);
			edge_add(&run, EDGE_CLASSIFY, whole);
		}
		// The row holds what one call may give up, not a burst's worth.
		bury(r);
	}
	rte_ip_frag_table_del_expired_entries(r->table, &r->dead, now);
	bury(r);
	edge_flush(&run);
	return n;
}

static struct rte_node_register outer_reassemble_node = {
	.name = DP_NODE_OUTER_REASSEMBLE,
	.process = reassemble_process,
	.init = reassemble_init,
	.fini = reassemble_fini,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_CLASSIFY] = DP_NODE_CLASSIFY,
		},
};
RTE_NODE_REGISTER(outer_reassemble_node);
