// SPDX-License-Identifier: GPL-3.0-or-later
// Times rte_graph itself: chains of nodes that do nothing but pass packets on, short and long, and
// the same chain as plain calls. Called by the benchmark of the pipe.
#include "tests/bench/lib/hops.h"

#include <errno.h>

#include <rte_cycles.h>

#include "dataplane/graph.h"
#include "dataplane/node/edge.h"

#define LONG 9u // as many as the way down has
#define WALKS 2000u
#define TRIES 20u

static struct rte_mbuf *packets[DP_BURST]; // never looked at
static uint64_t arrived;

static uint16_t source(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	rte_node_enqueue(graph, node, 0, (void **)packets, DP_BURST);
	return DP_BURST;
}

static uint16_t run(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	struct edge_run out = {.graph = graph, .node = node};

	for (uint16_t i = 0; i < n; i++)
		edge_add(&out, 0, objs[i]);
	edge_flush(&out);
	return n;
}

static uint16_t moved(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	rte_node_next_stream_move(graph, node, 0);
	return n;
}

static uint16_t sink(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	arrived += n;
	return n;
}

static __rte_noinline uint16_t called(void **objs, uint16_t n, unsigned left) {
	void *out[DP_BURST];

	if (left == 0)
		return sink(NULL, NULL, objs, n);
	for (uint16_t i = 0; i < n; i++)
		out[i] = objs[i];
	return called(out, n, left - 1);
}

#define NODE(id, label, function, node_flags, edges, ...) \
	static struct rte_node_register id = { \
		.name = label, \
		.process = function, \
		.flags = node_flags, \
		.nb_edges = edges, \
		.next_nodes = {__VA_ARGS__}, \
	}; \
	RTE_NODE_REGISTER(id)

NODE(sink_node, "hop-sink", sink, 0, 0, NULL);
NODE(run1, "hop-run-1", run, 0, 1, "hop-sink");
NODE(run2, "hop-run-2", run, 0, 1, "hop-run-1");
NODE(run3, "hop-run-3", run, 0, 1, "hop-run-2");
NODE(run4, "hop-run-4", run, 0, 1, "hop-run-3");
NODE(run5, "hop-run-5", run, 0, 1, "hop-run-4");
NODE(run6, "hop-run-6", run, 0, 1, "hop-run-5");
NODE(run7, "hop-run-7", run, 0, 1, "hop-run-6");
NODE(run8, "hop-run-8", run, 0, 1, "hop-run-7");
NODE(run9, "hop-run-9", run, 0, 1, "hop-run-8");
NODE(moved1, "hop-moved-1", moved, 0, 1, "hop-sink");
NODE(moved2, "hop-moved-2", moved, 0, 1, "hop-moved-1");
NODE(moved3, "hop-moved-3", moved, 0, 1, "hop-moved-2");
NODE(moved4, "hop-moved-4", moved, 0, 1, "hop-moved-3");
NODE(moved5, "hop-moved-5", moved, 0, 1, "hop-moved-4");
NODE(moved6, "hop-moved-6", moved, 0, 1, "hop-moved-5");
NODE(moved7, "hop-moved-7", moved, 0, 1, "hop-moved-6");
NODE(moved8, "hop-moved-8", moved, 0, 1, "hop-moved-7");
NODE(moved9, "hop-moved-9", moved, 0, 1, "hop-moved-8");
NODE(run_short, "hop-source-run-1", source, RTE_NODE_SOURCE_F, 1, "hop-run-1");
NODE(run_long, "hop-source-run-9", source, RTE_NODE_SOURCE_F, 1, "hop-run-9");
NODE(moved_short, "hop-source-moved-1", source, RTE_NODE_SOURCE_F, 1, "hop-moved-1");
NODE(moved_long, "hop-source-moved-9", source, RTE_NODE_SOURCE_F, 1, "hop-moved-9");

// The least of some tries, cycles a packet.
static double time_walks(struct rte_graph *graph, unsigned calls) {
	double best = 0;

	for (unsigned try = 0; try < TRIES; try++) {
		uint64_t start = rte_rdtsc();
		double cycles;

		for (unsigned i = 0; i < WALKS; i++) {
			if (graph != NULL)
				rte_graph_walk(graph);
			else
				called((void **)packets, DP_BURST, calls);
		}
		cycles = (double)(rte_rdtsc() - start) / WALKS / DP_BURST;
		if (try == 0 || cycles < best)
			best = cycles;
	}
	return best;
}

static int time_graph(const char *source_name, double *cycles) {
	const char *names[] = {source_name};
	struct rte_graph_param param = {
		.socket_id = SOCKET_ID_ANY,
		.nb_node_patterns = 1,
		.node_patterns = names,
	};
	rte_graph_t id = rte_graph_create("hops", &param);

	if (id == RTE_GRAPH_ID_INVALID)
		return -ENOMEM;
	*cycles = time_walks(rte_graph_lookup("hops"), 0);
	rte_graph_destroy(id);
	return 0;
}

int hops_measure(struct hop_cost *cost) {
	double few, many;
	int ret = time_graph("hop-source-run-1", &few);

	if (ret == 0)
		ret = time_graph("hop-source-run-9", &many);
	if (ret != 0)
		return ret;
	cost->run = (many - few) / (LONG - 1);
	ret = time_graph("hop-source-moved-1", &few);
	if (ret == 0)
		ret = time_graph("hop-source-moved-9", &many);
	if (ret != 0)
		return ret;
	cost->moved = (many - few) / (LONG - 1);
	cost->called = (time_walks(NULL, LONG) - time_walks(NULL, 1)) / (LONG - 1);
	return arrived > 0 ? 0 : -EIO;
}
