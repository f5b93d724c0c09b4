// SPDX-License-Identifier: GPL-3.0-or-later
// Rounds: the measured unit of the packet-path benchmarks. Used between gateway and a benchmark.
//
// A hook behind the receive queues of the workers' memory ports sees each poll. When a poll finds
// nothing and all packets of the round have come out at the other side, it checks them and puts
// the next round's packets into the rings. This happens in a loop that found nothing to do, which
// the poll loop counts as idle: its own counter of busy cycles holds the packets' way alone, from
// rx to tx, without the generator. Where a loop did work after all (a handoff), the hook's own
// time is taken off.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/lib/gateway.h"
#include "tests/bench/lib/traffic.h"

#define ROUND_PACKETS_MAX 4096u // a worker
#define ROUND_SETS 2u
#define ROUND_SIZES_MAX 16u
#define ROUND_NODES_MAX 32u

// Clients first, first + stride, ... (count of them).
struct round_set {
	uint32_t first, stride, count;
};

struct round_job {
	enum direction dir;
	uint8_t cipher; // of the clients, for the bare call
	uint16_t sizes[ROUND_SIZES_MAX]; // inner bytes, in turn
	unsigned nb_sizes;
	unsigned packets; // a round and worker
	unsigned rounds;
	struct round_set sets[GATEWAY_WORKERS_MAX][ROUND_SETS]; // packets in turn from each
	unsigned nb_sets; // 0: that worker receives nothing
	bool only_first; // worker 0 alone receives packets
	bool random; // any client of the set, else one after the other
	bool checked; // checksums are the NIC's
	bool verify; // open and compare every packet
	bool profile; // cycles of nodes; costs a little itself
	bool bare; // after each round: the same buffers through the bare crypto call
};

struct round_node {
	char name[32];
	uint64_t cycles, calls, packets;
};

// Arrays have `rounds` entries, in TSC cycles.
struct round_result {
	unsigned rounds;
	uint64_t packets; // that came out
	uint64_t lost, unordered, wrong;
	const char *wrong_what; // of the first that was wrong
	double *cycles; // a packet, all workers' busy cycles
	double *busy[GATEWAY_WORKERS_MAX]; // of the round
	double *elapsed; // of the round
	double *bare; // a packet
	struct round_node nodes[GATEWAY_WORKERS_MAX][ROUND_NODES_MAX];
	unsigned nb_nodes;
	uint64_t profiled[GATEWAY_WORKERS_MAX]; // busy cycles that the nodes' are part of
};

// Cycles of nodes, of profiled jobs and all workers together.
struct round_profile {
	struct round_node nodes[ROUND_NODES_MAX];
	unsigned nb_nodes;
	uint64_t busy, packets;
};
void round_profile_add(struct round_profile *profile, const struct round_result *result);
// Prints "nodes":{...}, TSC cycles a packet; "outside" is the loop, the walk and its clock readings.
void round_profile_print(const struct round_profile *profile);

// After gateway_start, before gateway_run. 0 or -errno.
int rounds_init(unsigned workers);
// Runs a job on the workers and waits for it. 0, -ENOMEM, -ETIMEDOUT. Free the result.
int rounds_run(const struct round_job *job, struct round_result *result);
void rounds_free(struct round_result *result);

// Of n values; sorts them.
double rounds_min(double *values, unsigned n);
double rounds_median(double *values, unsigned n);
