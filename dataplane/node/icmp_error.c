// SPDX-License-Identifier: GPL-3.0-or-later
// Node icmp-error: packets that cannot go on become the ICMP errors about them, within a rate.
//
// `icmp_kind` says what is wrong, data at the IP header. The error is made in the same buffer.
#include <rte_cycles.h>

#include "dataplane/l3.h"
#include "dataplane/node/edge.h"
#include "dataplane/port.h"
#include "dataplane/proto/icmp.h"

enum {
	EDGE_L3_FORWARD,
	EDGE_MAX,
};

static const enum abi_counter reasons[ICMP_KIND_MAX] = {
	[ICMP_TIME_EXCEEDED] = ABI_C_drop_ttl,
	[ICMP_TOO_BIG] = ABI_C_drop_too_big,
	[ICMP_NET_UNREACHABLE] = ABI_C_drop_no_route,
	[ICMP_HOST_UNREACHABLE] = ABI_C_drop_no_session,
	[ICMP_PROHIBITED] = ABI_C_drop_client_to_client,
	[ICMP_FILTERED_ROUTE] = ABI_C_drop_filter_route,
	[ICMP_FILTERED_PORT] = ABI_C_drop_filter_port,
	[ICMP_FILTERED_FRAGMENT] = ABI_C_drop_filter_fragment,
};

// RFC 1812 4.3.2.8, RFC 4443 2.4 f: a token bucket, a tenth of a second's worth but at least 10.
static _Thread_local struct {
	uint64_t last; // TSC of the last whole token
	uint64_t tokens;
	bool started;
} bucket;

static bool rate_take(uint64_t now) {
	uint64_t rate = dp_l3.icmp_rate, most = RTE_MAX(rate / 10, UINT64_C(10)), earned;

	if (rate == 0)
		return false;
	if (!bucket.started || now - bucket.last >= dp_tsc_hz) {
		bucket.started = true;
		bucket.tokens = most;
		bucket.last = now;
	}
	earned = (now - bucket.last) * rate / dp_tsc_hz;
	if (earned > 0) {
		bucket.tokens = RTE_MIN(bucket.tokens + earned, most);
		bucket.last += earned * dp_tsc_hz / rate;
	}
	if (bucket.tokens == 0)
		return false;
	bucket.tokens--;
	return true;
}

// False: no error about this one; the packet is as it was.
static bool make_error(struct rte_mbuf *m, uint64_t now) {
	struct dp_pkt *pkt = dp_pkt(m);
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *), source[16];
	enum icmp_kind kind = pkt->icmp_kind;
	struct ip_info info;
	uint16_t quote;

	if (ip_parse(ip, m->data_len, false, &info) != IP_OK ||
		!icmp_error_allowed(ip, &info, kind))
		return false;
	if (!dp_l3_icmp_source(info.version == 6, ip_source(ip, info.version), pkt->port, source))
		return false;
	quote = icmp_error_quote_len(&info);
	if (rte_pktmbuf_headroom(m) < icmp_error_headers_len(info.version))
		return false;
	if (!rate_take(now)) {
		dp_count(ABI_C_drop_icmp_rate, 1);
		return false;
	}
	rte_pktmbuf_trim(m, m->data_len - quote);
	icmp_error_write(ip, quote, info.version, kind, pkt->icmp_mtu, source);
	rte_pktmbuf_prepend(m, (uint16_t)icmp_error_headers_len(info.version));
	pkt->session = NULL;
	pkt->l3_flags = DP_L3_LOCAL;
	dp_count(ABI_C_icmp_sent, 1);
	return true;
}

static uint16_t icmp_error_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run run = {.graph = graph, .node = node};
	uint64_t now = rte_rdtsc();

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];

		dp_count(reasons[dp_pkt(m)->icmp_kind], 1);
		if (make_error(m, now))
			edge_add(&run, EDGE_L3_FORWARD, m);
		else
			rte_pktmbuf_free(m);
	}
	edge_flush(&run);
	return n;
}

static struct rte_node_register icmp_error_node = {
	.name = DP_NODE_ICMP_ERROR,
	.process = icmp_error_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_L3_FORWARD] = DP_NODE_L3_FORWARD,
		},
};
RTE_NODE_REGISTER(icmp_error_node);
