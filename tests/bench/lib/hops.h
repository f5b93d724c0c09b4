// SPDX-License-Identifier: GPL-3.0-or-later
// What it costs to pass packets from node to node in rte_graph. Used by the benchmark of the pipe.
#pragma once

struct hop_cost {
	double run; // TSC cycles a packet and hop, enqueued as the dataplane's nodes do
	double moved; // the whole stream given on without a copy
	double called; // no graph: the next function is called with the same array
};

// After EAL started, on an lcore. 0 or -errno.
int hops_measure(struct hop_cost *cost);
