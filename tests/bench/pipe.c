// SPDX-License-Identifier: GPL-3.0-or-later
// Benchmark: one worker's whole packet walk between memory ports, both directions, each cipher and
// size: cycles a packet, by node, and against the bare crypto call on the same buffers.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/abi/abi.h"
#include "tests/bench/lib/gateway.h"
#include "tests/bench/lib/hops.h"
#include "tests/bench/lib/program.h"
#include "tests/bench/lib/rounds.h"
#include "tests/bench/lib/traffic.h"

#define PACKETS 256u // a round: four bursts, buffers that the second-level cache holds
#define ROUNDS 400u
#define REPEATS 5u

static const struct {
	const char *name;
	unsigned n;
	uint16_t sizes[12];
} sizes[] = {
	{"64", 1, {64}},
	{"256", 1, {256}},
	{"512", 1, {512}},
	{"1400", 1, {1400}},
	// Simple IMIX, 7:4:1, mixed.
	{"imix", 12, {64, 576, 64, 64, 576, 64, 1400, 64, 576, 64, 576, 64}},
};
static const uint8_t ciphers[] = {ABI_AES_128_GCM, ABI_AES_256_GCM, ABI_CHACHA20_POLY1305};

// One line of the result.
struct line {
	enum direction dir;
	uint8_t cipher;
	unsigned size; // index in sizes
	bool checked;
	double *cycles, *bare;
	unsigned n;
	uint64_t packets, failed;
	struct round_profile profile;
};

static struct program program = {
	.name = "pipe", .repeats = REPEATS, .rounds = ROUNDS, .packets = PACKETS};
static uint32_t sessions = 1; // of each cipher
static struct line *lines;
static unsigned nb_lines;

static bool wanted(const char *only, const char *name) {
	return only == NULL || strcmp(only, name) == 0;
}

static void line_add(enum direction dir, uint8_t cipher, unsigned size, bool checked) {
	unsigned n = program.repeats * program.rounds;
	struct line *line;

	lines = realloc(lines, (nb_lines + 1) * sizeof(*lines));
	line = &lines[nb_lines++];
	*line = (struct line){.dir = dir, .cipher = cipher, .size = size, .checked = checked};
	line->cycles = calloc(n, sizeof(double));
	line->bare = calloc(n, sizeof(double));
}

static void lines_choose(void) {
	for (unsigned c = 0; c < RTE_DIM(ciphers); c++) {
		if (!wanted(program.cipher, traffic_cipher_name(ciphers[c])))
			continue;
		for (unsigned s = 0; s < RTE_DIM(sizes); s++) {
			if (!wanted(program.size, sizes[s].name))
				continue;
			for (unsigned d = DOWN; d <= UP; d++) {
				if (!wanted(program.direction, traffic_direction_name(d)))
					continue;
				line_add(d, ciphers[c], s, true);
				line_add(d, ciphers[c], s, false);
			}
		}
	}
}

static struct round_job job_of(const struct line *line) {
	struct round_job job = {
		.dir = line->dir,
		.cipher = line->cipher,
		.nb_sizes = sizes[line->size].n,
		.packets = program.packets,
		.rounds = program.rounds,
		.sets[0][0] = {0, 1, sessions},
		.nb_sets = 1,
		.checked = line->checked,
	};

	memcpy(job.sizes, sizes[line->size].sizes, sizeof(sizes[0].sizes));
	while (ciphers[job.sets[0][0].first / sessions] != line->cipher)
		job.sets[0][0].first += sessions;
	return job;
}

static int run(const struct round_job *job, struct line *line, struct round_result *result) {
	int ret = rounds_run(job, result);

	if (ret != 0) {
		fprintf(stderr, "pipe: %s\n", strerror(-ret));
		return ret;
	}
	line->failed += result->lost + result->wrong + result->unordered;
	if (result->wrong > 0)
		fprintf(stderr, "pipe: wrong: %s\n", result->wrong_what);
	return 0;
}

// Every packet opened and compared; a DTLS record of each client makes its channel the one in use.
static int verify(struct line *line) {
	struct round_job job = job_of(line);
	struct round_result result;
	int ret;

	job.rounds = 4;
	job.verify = true;
	ret = run(&job, line, &result);
	if (ret != 0)
		return ret;
	rounds_free(&result);
	return line->failed == 0 ? 0 : -1;
}

static int measure(struct line *line) {
	struct round_job job = job_of(line);
	struct round_result result;
	int ret;

	job.bare = true;
	ret = run(&job, line, &result);
	if (ret != 0)
		return ret;
	for (unsigned i = 0; i < result.rounds; i++) {
		line->cycles[line->n] = result.cycles[i];
		line->bare[line->n++] = result.bare[i];
	}
	line->packets += result.packets;
	rounds_free(&result);
	return program_profile(&program, job, &line->profile);
}

static double inner_bytes(const struct line *line) {
	double sum = 0;

	for (unsigned i = 0; i < sizes[line->size].n; i++)
		sum += sizes[line->size].sizes[i];
	return sum / sizes[line->size].n;
}

static void print_line(struct line *line, double tsc_per_core) {
	double min = rounds_min(line->cycles, line->n),
	       median = rounds_median(line->cycles, line->n);
	double floor = rounds_min(line->bare, line->n), hz = program_tsc_hz();
	bool number = strcmp(sizes[line->size].name, "imix") != 0;

	printf("{\"bench\":\"pipe\",\"direction\":\"%s\",\"cipher\":\"%s\",\"size\":%s%s%s,",
		traffic_direction_name(line->dir), traffic_cipher_name(line->cipher),
		number ? "" : "\"", sizes[line->size].name, number ? "" : "\"");
	printf("\"checksums\":\"%s\",\"sessions\":%u,\"round\":%u,", line->checked ? "nic" : "cpu",
		sessions, program.packets);
	if (program.filter)
		printf("\"filter\":true,");
	printf("\"cycles_packet\":%.1f,\"cycles_median\":%.1f,", min, median);
	printf("\"floor_cycles\":%.1f,\"floor_median\":%.1f,\"ratio\":%.3f,\"ratio_median\":%.3f,",
		floor, rounds_median(line->bare, line->n), min / floor,
		median / rounds_median(line->bare, line->n));
	printf("\"mpps\":%.3f,\"gbps\":%.2f,", hz / median / 1e6,
		hz / median * inner_bytes(line) * 8 / 1e9);
	round_profile_print(&line->profile);
	printf(",\"hugepages\":%s", gateway_hugepages() ? "true" : "false");
	printf(",\"packets\":%llu,\"tsc_hz\":%.0f,\"tsc_per_core_cycle\":%.3f,\"cpu\":\"%s\","
	       "\"ipsec_mb\":\"%s\"}\n",
		(unsigned long long)line->packets, hz, tsc_per_core, program_cpu_name(),
		bare_version());
}

static int run_all(void) {
	lines_choose();
	if (nb_lines == 0) {
		fprintf(stderr, "pipe: nothing is left to measure\n");
		return -1;
	}
	// Upward first: the channel that a client used last is the one that it is answered on.
	for (unsigned c = 0; c < RTE_DIM(ciphers); c++) {
		struct line up = {.dir = UP, .cipher = ciphers[c], .size = 0};

		if (verify(&up) != 0)
			return -1;
	}
	for (unsigned i = 0; i < nb_lines; i++) {
		if (verify(&lines[i]) != 0)
			return -1;
	}
	for (unsigned r = 0; r < program.repeats; r++) {
		fprintf(stderr, "pipe: %u of %u\n", r + 1, program.repeats);
		for (unsigned i = 0; i < nb_lines; i++) {
			if (measure(&lines[i]) != 0)
				return -1;
		}
	}
	return 0;
}

// Of the way down: nine hops from node to node, and the walk itself.
static int print_graph(void) {
	struct hop_cost cost;
	int ret = hops_measure(&cost);

	if (ret == 0)
		printf("{\"bench\":\"pipe\",\"what\":\"rte_graph\",\"hop_cycles\":%.2f,"
		       "\"hop_cycles_moved\":%.2f,\"hop_cycles_called\":%.2f,\"cpu\":\"%s\"}\n",
			cost.run, cost.moved, cost.called, program_cpu_name());
	return ret;
}

static int start(void) {
	struct gateway_options options = {.sessions_max = 3 * sessions + 1};
	int ret = program_cpus(&options, 1);

	options.no_huge = program.no_huge;
	if (ret == 0)
		ret = gateway_start(&options);
	if (ret == 0)
		ret = traffic_init(3 * sessions);
	if (ret == 0 && program.filter)
		ret = traffic_filter();
	for (unsigned c = 0; ret == 0 && c < RTE_DIM(ciphers); c++)
		ret = traffic_clients_add(sessions, ciphers[c]);
	if (ret == 0)
		ret = rounds_init(1);
	return ret == 0 ? gateway_run() : ret;
}

int main(int argc, char **argv) {
	uint64_t failed = 0;
	double ratio;
	int ret;

	program_options(&program, argc, argv, "");
	if (program.quick)
		program.repeats = 1, program.rounds = 20;
	if (program.sessions != 0)
		sessions = program.sessions;
	ret = start();
	if (ret != 0) {
		fprintf(stderr, "pipe: %s\n", strerror(-ret));
		return EXIT_FAILURE;
	}
	ratio = program_tsc_per_core();
	ret = run_all();
	for (unsigned i = 0; ret == 0 && i < nb_lines; i++) {
		print_line(&lines[i], ratio);
		failed += lines[i].failed;
	}
	if (ret == 0)
		ret = print_graph();
	gateway_stop();
	return ret == 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
