// SPDX-License-Identifier: GPL-3.0-or-later
// Runs of packets for the same edge, so that a burst costs few enqueues. Used by layer-3 nodes.
#pragma once

#include "dataplane/graph.h"

struct edge_run {
	struct rte_graph *graph;
	struct rte_node *node;
	unsigned edge;
	uint16_t n;
	bool made; // packets were added that the node did not get: pieces of others
	struct rte_mbuf *pkts[DP_BURST];
};

static inline void edge_start(
	struct edge_run *run, struct rte_graph *graph, struct rte_node *node) {
	run->graph = graph;
	run->node = node;
	run->edge = 0;
	run->n = 0;
	run->made = false;
}

static inline void edge_flush(struct edge_run *run) {
	if (run->n > 0)
		rte_node_enqueue(
			run->graph, run->node, (rte_edge_t)run->edge, (void **)run->pkts, run->n);
	run->n = 0;
}

static inline void edge_add(struct edge_run *run, unsigned edge, struct rte_mbuf *m) {
	if (unlikely(run->n == DP_BURST || run->edge != edge)) {
		edge_flush(run);
		run->edge = edge;
	}
	run->pkts[run->n++] = m;
}

// A piece of a packet that is no more.
static inline void edge_add_made(struct edge_run *run, unsigned edge, struct rte_mbuf *m) {
	run->made = true;
	edge_add(run, edge, m);
}

// At the end of a node that got `objs`, `n` of them: when all go the same way in their order, the
// vector itself moves on and nothing is copied.
static inline void edge_finish(struct edge_run *run, void **objs, uint16_t n) {
	if (likely(run->n == n && !run->made && run->node->idx == n && run->node->objs == objs))
		rte_node_next_stream_move(run->graph, run->node, (rte_edge_t)run->edge);
	else
		edge_flush(run);
}
