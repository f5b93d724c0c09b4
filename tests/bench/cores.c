// SPDX-License-Identifier: GPL-3.0-or-later
// Benchmark: one and two workers, sessions owned by the worker that receives their packets or by
// the other one: throughput, cycles a packet, what a handoff costs, and whether the order is kept.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/abi/abi.h"
#include "dataplane/graph.h"
#include "dataplane/worker.h"
#include "tests/bench/lib/gateway.h"
#include "tests/bench/lib/line.h"
#include "tests/bench/lib/program.h"
#include "tests/bench/lib/rounds.h"
#include "tests/bench/lib/traffic.h"

#define PACKETS 512u // a round and worker
#define ROUNDS 200u
#define REPEATS 5u
#define CLIENTS 64u // half of them owned by each worker
#define CIPHER ABI_AES_128_GCM

static const uint16_t sizes[] = {64, 1400};

// Whose sessions the packets are that a worker receives.
enum mode {
	OWN,
	HALF, // every other packet belongs to the other worker
	OTHER, // each one does
	ONE_WAY, // worker 0 receives all, worker 1 owns all
	MODES,
};

static const struct {
	const char *name;
	double handoff; // part of the packets
} modes[MODES] = {
	[OWN] = {"own", 0},
	[HALF] = {"half", 0.5},
	[OTHER] = {"other", 1},
	[ONE_WAY] = {"one-way", 1},
};

struct line {
	enum direction dir;
	uint16_t size;
	enum mode mode;
	double *cycles, *elapsed, *busy[GATEWAY_WORKERS_MAX];
	unsigned n;
	uint64_t packets, handed;
	struct round_profile profile;
};

static struct program program = {
	.name = "cores", .repeats = REPEATS, .rounds = ROUNDS, .packets = PACKETS};
static unsigned workers;
static struct line *lines;
static unsigned nb_lines;

// Session index n belongs to worker n % 2. Each client's packets arrive at one worker only, as
// those of one flow do.
static struct round_set set_of(unsigned w, bool own) {
	if (workers == 1)
		return (struct round_set){0, 1, CLIENTS};
	return own ? (struct round_set){w, 4, CLIENTS / 4}
		   : (struct round_set){2 + (1 - w), 4, CLIENTS / 4};
}

static struct round_job job_of(enum direction dir, uint16_t size, enum mode mode) {
	struct round_job job = {
		.dir = dir,
		.cipher = CIPHER,
		.sizes = {size},
		.nb_sizes = 1,
		.packets = program.packets,
		.rounds = program.rounds,
		.nb_sets = mode == HALF ? 2 : 1,
		.only_first = mode == ONE_WAY,
		.checked = true,
	};

	for (unsigned w = 0; w < workers; w++) {
		job.sets[w][0] = set_of(w, mode == OWN || mode == HALF);
		job.sets[w][1] = set_of(w, false);
	}
	return job;
}

static int verify_one(enum direction dir, enum mode mode) {
	struct round_job job = job_of(dir, 1400, mode);
	struct round_result result;
	int ret;

	job.rounds = 4;
	job.verify = true;
	ret = program_run(&program, &job, &result);
	if (ret == 0)
		rounds_free(&result);
	return ret;
}

// Upward first: each client's record makes its channel the one that it is answered on.
static int verify(void) {
	int ret = verify_one(UP, OWN);

	for (unsigned mode = OTHER; ret == 0 && mode <= OTHER && workers > 1; mode++)
		ret = verify_one(UP, mode);
	for (unsigned i = 0; ret == 0 && i < nb_lines; i++)
		ret = verify_one(lines[i].dir, lines[i].mode);
	return ret;
}

static uint64_t handed(void) {
	uint64_t sum = 0;

	for (unsigned w = 0; w < workers; w++)
		sum += __atomic_load_n(
			&dp_lcores[w].stats->counters[ABI_C_handoff], __ATOMIC_RELAXED);
	return sum;
}

static int measure(struct line *line) {
	struct round_job job = job_of(line->dir, line->size, line->mode);
	uint64_t before = handed();
	struct round_result result;
	int ret = program_run(&program, &job, &result);

	if (ret != 0)
		return ret;
	line->handed += handed() - before;
	line->packets += result.packets;
	for (unsigned i = 0; i < result.rounds; i++, line->n++) {
		line->cycles[line->n] = result.cycles[i];
		line->elapsed[line->n] = result.elapsed[i];
		for (unsigned w = 0; w < workers; w++)
			line->busy[w][line->n] = result.busy[w][i];
	}
	rounds_free(&result);
	return program_profile(&program, job, &line->profile);
}

static const struct line *line_of(enum direction dir, uint16_t size, enum mode mode) {
	for (unsigned i = 0; i < nb_lines; i++) {
		if (lines[i].dir == dir && lines[i].size == size && lines[i].mode == mode)
			return &lines[i];
	}
	return NULL;
}

static double least(const struct line *line) {
	return rounds_min(line->cycles, line->n);
}

// The receiving side: what the handoff-rx node takes; the rest of the difference to packets that
// nobody hands off is the sending side's, and lines that the other core has to fetch.
static void print_handoff(const struct line *line) {
	const struct line *own = line_of(line->dir, line->size, OWN);
	double cost = (least(line) - least(own)) / modes[line->mode].handoff, node = 0;
	double cost_median = (rounds_median(line->cycles, line->n) -
				     rounds_median(own->cycles, own->n)) /
		modes[line->mode].handoff;
	uint64_t packets = 0;

	for (unsigned i = 0; i < line->profile.nb_nodes; i++) {
		const struct round_node *n = &line->profile.nodes[i];

		if (strcmp(n->name, DP_NODE_HANDOFF_RX) != 0)
			continue;
		node = (double)n->cycles;
		packets = n->packets;
	}
	printf("\"handoff_cycles\":%.1f,\"handoff_cycles_median\":%.1f,"
	       "\"handoff_rx_cycles\":%.1f,",
		cost, cost_median, packets > 0 ? node / (double)packets : 0);
}

static void print_line(const struct line *line) {
	double round_packets = program.packets * (line->mode == ONE_WAY ? 1 : workers);
	double rate = program_tsc_hz() * round_packets / rounds_median(line->elapsed, line->n);

	printf("{\"bench\":\"cores\",\"workers\":%u,\"sessions\":\"%s\",\"handoff\":%.1f,"
	       "\"direction\":\"%s\",\"cipher\":\"%s\",\"size\":%u,\"checksums\":\"nic\",",
		workers, modes[line->mode].name, modes[line->mode].handoff,
		traffic_direction_name(line->dir), traffic_cipher_name(CIPHER), line->size);
	printf("\"cycles_packet\":%.1f,\"cycles_median\":%.1f,\"mpps\":%.3f,\"gbps\":%.2f,",
		least(line), rounds_median(line->cycles, line->n), rate / 1e6,
		rate * line->size * 8 / 1e9);
	if (line->mode != OWN)
		print_handoff(line);
	for (unsigned w = 0; w < workers; w++)
		printf("\"worker_%u_cycles\":%.1f,", w,
			rounds_median(line->busy[w], line->n) / round_packets);
	round_profile_print(&line->profile);
	printf(",\"hugepages\":%s", gateway_hugepages() ? "true" : "false");
	printf(",\"handed\":%.3f,\"lost\":0,\"out_of_order\":0,\"cpu\":\"%s\"}\n",
		(double)line->handed / (double)line->packets, program_cpu_name());
}

static void lines_make(void) {
	static const enum direction both[] = {DOWN, UP};
	unsigned values = program.rounds * program.repeats;

	lines = calloc(2 * RTE_DIM(sizes) * MODES, sizeof(*lines));
	nb_lines = 0;
	for (unsigned d = 0; d < RTE_DIM(both); d++) {
		for (unsigned s = 0; s < RTE_DIM(sizes); s++) {
			for (unsigned m = OWN; m < (workers > 1 ? MODES : HALF); m++) {
				struct line *line = &lines[nb_lines++];

				*line = (struct line){.dir = both[d], .size = sizes[s], .mode = m};
				line->cycles = calloc(values, sizeof(double));
				line->elapsed = calloc(values, sizeof(double));
				for (unsigned w = 0; w < workers; w++)
					line->busy[w] = calloc(values, sizeof(double));
			}
		}
	}
}

static int run_workers(void) {
	struct gateway_options options = {.sessions_max = CLIENTS};
	int ret = program_cpus(&options, workers);

	lines_make();
	options.no_huge = program.no_huge;
	if (ret == 0)
		ret = gateway_start(&options);
	if (ret == 0)
		ret = traffic_init(CLIENTS);
	if (ret == 0)
		ret = traffic_clients_add(CLIENTS, CIPHER);
	if (ret == 0)
		ret = rounds_init(workers);
	if (ret == 0)
		ret = gateway_run();
	if (ret == 0)
		ret = verify();
	for (unsigned r = 0; ret == 0 && r < program.repeats; r++) {
		for (unsigned i = 0; ret == 0 && i < nb_lines; i++)
			ret = measure(&lines[i]);
	}
	for (unsigned i = 0; ret == 0 && i < nb_lines; i++)
		print_line(&lines[i]);
	gateway_stop();
	return ret;
}

// In a process of its own: DPDK starts once.
static int run_process(void) {
	int status = 0;
	pid_t pid;

	fprintf(stderr, "cores: %u workers\n", workers);
	pid = fork();
	if (pid == 0) {
		int ret = run_workers();

		if (ret != 0)
			fprintf(stderr, "cores: %s\n", strerror(-ret));
		fflush(stdout);
		_exit(ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0 : -1;
}

// What docs/performance.md argues from for more cores than this machine has. Before and after: a
// virtual machine's CPUs may share a cache or not, and change places.
static void print_cost_of_lines(const struct line_cost *before, const struct line_cost *after) {
	printf("{\"bench\":\"cores\",\"what\":\"cache line\",\"transfer_cycles\":%.1f,"
	       "\"transfer_cycles_after\":%.1f,\"own_add_cycles\":%.1f,"
	       "\"shared_add_cycles\":%.1f,\"cpu\":\"%s\",\"notes\":"
	       "\"Two cores do not show: more than two workers on one inbox (many producers), "
	       "transfers between cache or memory domains, a NIC that spreads flows, and memory "
	       "bandwidth shared by many. Handoff is to be read with transfer_cycles of its run: "
	       "about 100 within one cache, about 500 between two.\"}\n",
		before->transfer, after->transfer, before->own_add, before->shared_add,
		program_cpu_name());
}

int main(int argc, char **argv) {
	struct gateway_options options;
	struct line_cost before, after;
	int ret;

	program_options(&program, argc, argv, "");
	if (program.quick)
		program.repeats = 1, program.rounds = 20;
	if (program_cpus(&options, 2) != 0) {
		fprintf(stderr, "cores: needs two CPUs\n");
		return PROGRAM_SKIP;
	}
	ret = line_measure(options.cpu_rest, options.cpu_worker, &before);
	for (workers = 1; ret == 0 && workers <= 2; workers++)
		ret = run_process();
	if (ret == 0)
		ret = line_measure(options.cpu_rest, options.cpu_worker, &after);
	if (ret == 0)
		print_cost_of_lines(&before, &after);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
