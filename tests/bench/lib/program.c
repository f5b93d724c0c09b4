// SPDX-License-Identifier: GPL-3.0-or-later
// Options and facts of the machine. Called by the benchmarks of the packet path.
#include "tests/bench/lib/program.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

static void usage(FILE *out, const char *name, const char *more) {
	fprintf(out,
		"Usage: %s [OPTION]...\n"
		"Prints one JSON object a line and result; progress goes to stderr. Needs root.\n"
		"\n"
		"  --short            some seconds: whether it works, not how fast\n"
		"  --cipher NAME      aes-128-gcm, aes-256-gcm or chacha20-poly1305 alone\n"
		"  --direction DIR    down or up alone\n"
		"  --size BYTES       of inner packets, or imix, alone\n"
		"  --sessions N       that packets go round\n"
		"  --packets N        of a round, 2048 at most: how many buffers are in use\n"
		"  --rounds N         of each repeat\n"
		"  --repeats N        through all in turn\n"
		"  --no-huge          without huge pages\n"
		"  --filter           sessions are held to a network and ports\n"
		"%s",
		name, more);
}

static unsigned number(const char *text) {
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value > UINT32_MAX) {
		fprintf(stderr, "not a number: %s\n", text);
		exit(EXIT_FAILURE);
	}
	return (unsigned)value;
}

void program_options(struct program *program, int argc, char **argv, const char *more) {
	static const struct option known[] = {
		{"short", no_argument, NULL, 's'},
		{"cipher", required_argument, NULL, 'c'},
		{"direction", required_argument, NULL, 'd'},
		{"size", required_argument, NULL, 'z'},
		{"sessions", required_argument, NULL, 'n'},
		{"packets", required_argument, NULL, 'k'},
		{"rounds", required_argument, NULL, 'r'},
		{"repeats", required_argument, NULL, 'p'},
		{"no-huge", no_argument, NULL, 'm'},
		{"filter", no_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (opt) {
		case 's':
			program->quick = true;
			break;
		case 'c':
			program->cipher = optarg;
			break;
		case 'd':
			program->direction = optarg;
			break;
		case 'z':
			program->size = optarg;
			break;
		case 'n':
			program->sessions = number(optarg);
			break;
		case 'k':
			program->packets = number(optarg);
			if (program->packets == 0 || program->packets > PROGRAM_PACKETS_MAX) {
				fprintf(stderr, "%s: %u packets at most\n", program->name,
					PROGRAM_PACKETS_MAX);
				exit(EXIT_FAILURE);
			}
			break;
		case 'r':
			program->rounds = number(optarg);
			break;
		case 'p':
			program->repeats = number(optarg);
			break;
		case 'm':
			program->no_huge = true;
			break;
		case 'f':
			program->filter = true;
			break;
		case 'h':
			usage(stdout, program->name, more);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr, program->name, more);
			exit(EXIT_FAILURE);
		}
	}
}

int program_cpus(struct gateway_options *options, unsigned n) {
	unsigned cpus[CPU_SETSIZE], found = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -errno;
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set))
			cpus[found++] = cpu;
	}
	if (found < n)
		return -ENODEV;
	options->workers = n;
	options->cpu_worker = cpus[found - 1];
	options->cpu_rest = cpus[0];
	return 0;
}

int program_run(
	const struct program *program, const struct round_job *job, struct round_result *result) {
	int ret = rounds_run(job, result);

	if (ret != 0) {
		fprintf(stderr, "%s: %s\n", program->name, strerror(-ret));
		return ret;
	}
	if (result->lost + result->wrong + result->unordered == 0)
		return 0;
	fprintf(stderr, "%s: %llu packets lost, %llu wrong (%s), %llu out of order\n",
		program->name, (unsigned long long)result->lost, (unsigned long long)result->wrong,
		result->wrong_what != NULL ? result->wrong_what : "none",
		(unsigned long long)result->unordered);
	rounds_free(result);
	return -EIO;
}

int program_profile(
	const struct program *program, struct round_job job, struct round_profile *profile) {
	struct round_result result;
	int ret;

	job.bare = false;
	job.profile = true;
	job.rounds = (program->rounds + 3) / 4;
	ret = program_run(program, &job, &result);
	if (ret != 0)
		return ret;
	round_profile_add(profile, &result);
	rounds_free(&result);
	return 0;
}

double program_tsc_hz(void) {
	return (double)rte_get_tsc_hz();
}

// A chain of additions takes a cycle each.
double program_tsc_per_core(void) {
	const unsigned n = 20000000;
	double best = 0;

	for (unsigned round = 0; round < 5; round++) {
		uint64_t x = 0, start = rte_rdtsc();
		double ratio;

		for (unsigned i = 0; i < n; i += 8)
			__asm__ volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
					 "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0"
					 : "+r"(x));
		ratio = (double)(rte_rdtsc() - start) / n;
		if (best == 0 || ratio < best)
			best = ratio;
	}
	return best;
}

const char *program_cpu_name(void) {
	static char name[128];
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	strcpy(name, "unknown");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "model name : %127[^\n]", name) == 1)
			break;
	}
	if (file != NULL)
		fclose(file);
	return name;
}
