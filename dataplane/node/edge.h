// SPDX-License-Identifier: GPL-3.0-or-later
// Runs of packets for the same edge, so that a burst costs few enqueues. Used by layer-3 nodes.
#pragma once

#include "dataplane/graph.h"

struct edge_run {
	struct rte_graph *graph;
	struct rte_node *node;
	unsigned edge;
	uint16_t n;
	struct rte_mbuf *pkts[DP_BURST];
};

static inline void edge_flush(struct edge_run *run) {
	if (run->n > 0)
		rte_node_enqueue(
			run->graph, run->node, (rte_edge_t)run->edge, (void **)run->pkts, run->n);
	run->n = 0;
}

static inline void edge_add(struct edge_run *run, unsigned edge, struct rte_mbuf *m) {
	if (run->n == DP_BURST || run->edge != edge)
		edge_flush(run);
	run->edge = edge;
	run->pkts[run->n++] = m;
}
