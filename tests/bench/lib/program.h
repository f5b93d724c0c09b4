// SPDX-License-Identifier: GPL-3.0-or-later
// What the benchmarks of the packet path share as programs: options, CPUs, the processor's clock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/lib/gateway.h"
#include "tests/bench/lib/rounds.h"

#define PROGRAM_PACKETS_MAX 2048u // half of the gateway's buffers
#define PROGRAM_SKIP 77 // exit status: this machine cannot

struct program {
	const char *name;
	bool quick; // --short
	bool no_huge;
	bool filter; // sessions have one
	unsigned rounds; // 0: the benchmark's own choice
	unsigned repeats;
	uint32_t sessions; // 0: the benchmark's own choice
	unsigned packets; // a round; 0: the benchmark's own choice
	const char *cipher, *direction, *size; // NULL: all
};

// Parses the options; prints the usage and exits where they are wrong or asked for.
void program_options(struct program *program, int argc, char **argv, const char *more);

// CPUs for `n` workers: a single one has the last of those that the process may use, two share
// out what there is. Fewer CPUs than workers: -ENODEV.
int program_cpus(struct gateway_options *options, unsigned n);

// Rounds of which each packet must arrive, right and in order: rounds_run(), or -EIO with nothing
// to free. Says on stderr what went wrong.
int program_run(
	const struct program *program, const struct round_job *job, struct round_result *result);

// A quarter of the rounds once more, with what each node of the graph takes, which costs time and so
// has rounds of its own. Added to `profile`; as program_run().
int program_profile(
	const struct program *program, struct round_job job, struct round_profile *profile);

// TSC cycles for each cycle of the core, measured; and the TSC's rate.
double program_tsc_per_core(void);
double program_tsc_hz(void);

// The processor's name, from /proc/cpuinfo.
const char *program_cpu_name(void);
