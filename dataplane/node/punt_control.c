// SPDX-License-Identifier: GPL-3.0-or-later
// Node punt-control: handshakes for the control plane, within its rate.
#include "dataplane/ctl/punt.h"
#include "dataplane/graph.h"

#include <rte_cycles.h>

// One second's worth at once at most, but some always: a handshake takes several datagrams.
static _Thread_local struct {
	uint64_t last; // TSC
	uint64_t tokens;
	bool started;
} bucket;

static unsigned rate_take(unsigned n) {
	uint64_t rate = dp_punt_rate(), burst = RTE_MAX(rate, UINT64_C(16));
	uint64_t now = rte_rdtsc(), earned;

	if (!bucket.started) {
		bucket.started = true;
		bucket.last = now;
		bucket.tokens = burst;
	}
	earned = now - bucket.last >= dp_tsc_hz ? burst : (now - bucket.last) * rate / dp_tsc_hz;
	if (earned > 0) {
		bucket.tokens = RTE_MIN(bucket.tokens + earned, burst);
		bucket.last = now;
	}
	n = (unsigned)RTE_MIN((uint64_t)n, bucket.tokens);
	bucket.tokens -= n;
	return n;
}

static uint16_t punt_control_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct rte_mbuf **pkts = (struct rte_mbuf **)objs;
	unsigned allowed = rate_take(n);
	unsigned done;

	dp_drop(pkts + allowed, n - allowed, ABI_C_drop_punt_rate);
	for (unsigned i = 0; i < allowed; i++)
		dp_pkt(pkts[i])->worker = dp_self->number;
	done = dp_punt_leave(pkts, allowed);
	dp_count(ABI_C_punt_control, done);
	dp_drop(pkts + done, allowed - done, ABI_C_drop_punt_full);
	return n;
}

static struct rte_node_register punt_control_node = {
	.name = DP_NODE_PUNT_CONTROL,
	.process = punt_control_process,
};
RTE_NODE_REGISTER(punt_control_node);
