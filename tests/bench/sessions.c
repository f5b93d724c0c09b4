// SPDX-License-Identifier: GPL-3.0-or-later
// Benchmark: one worker with many sessions that are hit at random, both directions: cycles a packet
// against one session in the same table, in turn, and what a session costs in memory.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_mempool.h>

#include "dataplane/abi/abi.h"
#include "tests/bench/lib/gateway.h"
#include "tests/bench/lib/program.h"
#include "tests/bench/lib/rounds.h"
#include "tests/bench/lib/traffic.h"

#define PACKETS 256u // a round
#define ROUNDS 200u
#define REPEATS 5u
#define CIPHER ABI_AES_128_GCM
#define MEMORY_MIN 10000u // sessions: pages are counted, huge ones, too
#define KEYS_POOL "dp_keys"

static const uint32_t counts[] = {1, 1000, 10000, 60000, 100000, 1000000};
static const uint32_t counts_quick[] = {1, 1000};
static const uint16_t sizes[] = {64, 1400};

// Of one direction and size.
struct line {
	enum direction dir;
	uint16_t size;
	double *many, *one;
	unsigned n;
	struct round_profile profile;
};
#define LINES (2 * RTE_DIM(sizes))

struct memory {
	uint64_t total, keys;
};

static struct program program = {
	.name = "sessions", .repeats = REPEATS, .rounds = ROUNDS, .packets = PACKETS};
static struct memory *base; // of one session; shared with the processes that measure the others

static struct round_job job_of(enum direction dir, uint16_t size, uint32_t n) {
	return (struct round_job){
		.dir = dir,
		.cipher = CIPHER,
		.sizes = {size},
		.nb_sizes = 1,
		.packets = program.packets,
		.rounds = program.rounds,
		.sets[0][0] = {0, 1, n},
		.nb_sets = 1,
		.random = true,
		.checked = true,
	};
}

static int once(const struct round_job *job) {
	struct round_result result;
	int ret = program_run(&program, job, &result);

	if (ret == 0)
		rounds_free(&result);
	return ret;
}

// Every client sends a record, which makes its channel the one that it is answered on, and gets one,
// for which its channel's headers are made; then all is opened and compared for a while, both ways.
static int verify(uint32_t n) {
	static const enum direction order[] = {UP, DOWN};
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < RTE_DIM(order); i++) {
		struct round_job job = job_of(order[i], 64, n);

		job.random = false;
		job.rounds = (n + job.packets - 1) / job.packets;
		ret = once(&job);
	}
	for (unsigned i = 0; ret == 0 && i < RTE_DIM(order); i++) {
		struct round_job job = job_of(order[i], 1400, n);

		job.rounds = 8;
		job.verify = true;
		ret = once(&job);
	}
	return ret;
}

static int measure(struct line *line, uint32_t n) {
	double *values[2] = {line->many, line->one};

	for (unsigned i = 0; i < 2; i++) {
		struct round_job job = job_of(line->dir, line->size, i == 0 ? n : 1);
		struct round_result result;
		int ret = program_run(&program, &job, &result);

		if (ret != 0)
			return ret;
		memcpy(values[i] + line->n, result.cycles, result.rounds * sizeof(double));
		rounds_free(&result);
	}
	line->n += program.rounds;
	return program_profile(&program, job_of(line->dir, line->size, n), &line->profile);
}

// What sessions are made of, and what is set aside for them at boot; not the clients' own side.
static void memory_of(uint32_t n, struct memory *memory) {
	struct rte_mempool *keys = rte_mempool_lookup(KEYS_POOL);
	size_t key = keys != NULL ? rte_mempool_calc_obj_size(keys->elt_size, keys->flags, NULL)
				  : sizeof(struct gcm_key_data);

	memory->total = gateway_memory() - gateway_memory_booting() -
		(uint64_t)n * sizeof(*clients);
	memory->keys = 2 * key * n;
}

static void print_line(const struct line *line, uint32_t n, const struct memory *memory) {
	double many = rounds_min(line->many, line->n), one = rounds_min(line->one, line->n);
	double many_median = rounds_median(line->many, line->n);
	double one_median = rounds_median(line->one, line->n);
	double total = ((double)memory->total - (double)base->total) / n;
	double keys = (double)memory->keys / n;

	printf("{\"bench\":\"sessions\",\"direction\":\"%s\",\"cipher\":\"%s\",\"size\":%u,"
	       "\"checksums\":\"nic\",\"sessions\":%u,",
		traffic_direction_name(line->dir), traffic_cipher_name(CIPHER), line->size, n);
	printf("\"cycles_packet\":%.1f,\"cycles_median\":%.1f,\"one_cycles\":%.1f,"
	       "\"one_median\":%.1f,\"ratio\":%.3f,\"ratio_median\":%.3f,\"mpps\":%.3f,",
		many, many_median, one, one_median, many / one, many_median / one_median,
		program_tsc_hz() / many_median / 1e6);
	if (n >= MEMORY_MIN)
		printf("\"bytes_session\":%.0f,\"bytes_keys\":%.0f,\"bytes_beside_keys\":%.0f,",
			total, keys, total - keys);
	round_profile_print(&line->profile);
	printf(",\"hugepages\":%s", gateway_hugepages() ? "true" : "false");
	printf(",\"bytes_all\":%llu,\"cpu\":\"%s\"}\n", (unsigned long long)memory->total,
		program_cpu_name());
}

static int start(uint32_t n) {
	struct gateway_options options = {.sessions_max = n};
	int ret = program_cpus(&options, 1);

	options.no_huge = program.no_huge;
	if (ret == 0)
		ret = gateway_start(&options);
	if (ret == 0)
		ret = traffic_init(n);
	if (ret == 0)
		ret = traffic_clients_add(n, CIPHER);
	return ret;
}

static int measure_all(struct line *lines, uint32_t n) {
	int ret = verify(n);

	for (unsigned r = 0; ret == 0 && r < program.repeats; r++) {
		for (unsigned i = 0; ret == 0 && i < LINES; i++)
			ret = measure(&lines[i], n);
	}
	return ret;
}

// In a process of its own: DPDK starts once, and the size of the tables is chosen then.
static int run_count(uint32_t n) {
	unsigned values = program.rounds * program.repeats;
	struct line lines[LINES];
	struct memory memory;
	int ret = start(n);

	if (ret != 0) {
		fprintf(stderr, "sessions: %u: %s\n", n, strerror(-ret));
		return ret;
	}
	memory_of(n, &memory);
	if (n == 1)
		*base = memory;
	for (unsigned i = 0; i < LINES; i++)
		lines[i] = (struct line){
			.dir = i % 2,
			.size = sizes[i / 2],
			.many = calloc(values, sizeof(double)),
			.one = calloc(values, sizeof(double)),
		};
	ret = rounds_init(1);
	if (ret == 0)
		ret = gateway_run();
	if (ret == 0)
		ret = measure_all(lines, n);
	for (unsigned i = 0; ret == 0 && i < LINES; i++)
		print_line(&lines[i], n, &memory);
	gateway_stop();
	return ret;
}

static int run_process(uint32_t n) {
	int status = 0;
	pid_t pid;

	fprintf(stderr, "sessions: %u\n", n);
	pid = fork();
	if (pid == 0) {
		int ret = run_count(n);

		fflush(stdout);
		_exit(ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0 : -1;
}

int main(int argc, char **argv) {
	const uint32_t *wanted = counts;
	uint32_t only[2] = {1, 0};
	unsigned n = RTE_DIM(counts);
	int ret = 0;

	program_options(&program, argc, argv, "");
	if (program.quick) {
		program.repeats = 1, program.rounds = 20;
		wanted = counts_quick, n = RTE_DIM(counts_quick);
	}
	if (program.sessions != 0) {
		only[1] = program.sessions;
		wanted = only, n = program.sessions > 1 ? 2 : 1;
	}
	base = mmap(NULL, sizeof(*base), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return EXIT_FAILURE;
	for (unsigned i = 0; i < n; i++)
		ret |= run_process(wanted[i]);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
