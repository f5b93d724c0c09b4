// SPDX-License-Identifier: GPL-3.0-or-later
// The least that a record costs: ipsec-mb and cryptodev alone, cycles a packet. Run by tools/bench.
//
// Usage: floor [--short]. One core, one key, bursts of 32 records that stay in the cache, encrypted
// and decrypted in place in turn. A round is some thousand packets with each way and size in turn;
// each figure is of its best round (cycles_packet) and of the median one.
#include "floor.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#define RECORDS_MAX 96u // eight times the mix
#define MIX 0u
#define WAYS_MAX 8u // a cipher
#define ROUND_PACKETS 4608u // a multiple of RECORDS_MAX
#define ROUNDS 250u
#define ROUNDS_SHORT 8u
#define IMUL_CYCLES 3u // latency of a 64-bit multiplication on every x86-64 core since 2008
#define IMULS 1000000u

static const char *const cipher_names[] = {
	[FLOOR_AES_128_GCM] = "aes-128-gcm",
	[FLOOR_AES_256_GCM] = "aes-256-gcm",
	[FLOOR_CHACHA20_POLY1305] = "chacha20-poly1305",
};

// Inner IP packets, bytes. The mix is 7 of 64, 4 of 576 and 1 of 1400: the simple IMIX with its
// largest cut to what a tunnel takes.
static const uint16_t sizes[] = {64, 256, 512, 1400, MIX};
static const uint16_t mix[] = {64, 64, 576, 64, 1400, 64, 576, 64, 576, 64, 64, 576};

// The rounds of one way with one size, both directions.
struct figure {
	const struct floor_way *way;
	uint16_t size; // MIX: the mix
	double *cycles[2]; // [encrypt][round], TSC cycles a packet
};

static struct floor_record records[RECORDS_MAX];
static uint64_t tsc_cost; // of reading the counter, cycles

static uint64_t now(void) {
	return rte_rdtsc();
}

static void measure_tsc(void) {
	tsc_cost = UINT64_MAX;
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t start = now();

		tsc_cost = RTE_MIN(tsc_cost, now() - start);
	}
}

// Core cycles a TSC cycle: how fast a chain of multiplications ran, of which each waits for the
// one before. 0 where that cannot be told.
static double clock_ratio(void) {
#ifdef __x86_64__
	double best = 0;

	for (unsigned round = 0; round < 20; round++) {
		uint64_t x = 3, start = now();

		for (unsigned i = 0; i < IMULS / 10; i++)
			__asm__ volatile("imul %0, %0\n\timul %0, %0\n\timul %0, %0\n\t"
					 "imul %0, %0\n\timul %0, %0\n\timul %0, %0\n\t"
					 "imul %0, %0\n\timul %0, %0\n\timul %0, %0\n\t"
					 "imul %0, %0"
					 : "+r"(x));
		best = RTE_MAX(best, (double)IMULS * IMUL_CYCLES / (double)(now() - start));
	}
	return best;
#else
	return 0;
#endif
}

static uint16_t size_of(uint16_t size, unsigned i) {
	return size == MIX ? mix[i % RTE_DIM(mix)] : size;
}

static void records_make(void) {
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
		"floor", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);

	for (unsigned i = 0; i < RECORDS_MAX; i++) {
		struct floor_record *r = &records[i];

		r->m = pool != NULL ? rte_pktmbuf_alloc(pool) : NULL;
		if (r->m == NULL)
			rte_exit(EXIT_FAILURE, "no memory for packets\n");
		for (unsigned b = 0; b < sizeof(r->nonce); b++)
			r->nonce[b] = (uint8_t)(i * 7 + b);
		for (unsigned b = 0; b < FLOOR_AAD_LEN; b++)
			r->aad[b] = (uint8_t)(i * 5 + b);
	}
}

// Sets lengths and plain text; how many records there are of this size.
static unsigned records_fill(uint16_t size) {
	unsigned n = size == MIX ? RECORDS_MAX : FLOOR_BURST;

	for (unsigned i = 0; i < n; i++) {
		records[i].len = size_of(size, i);
		records[i].m->data_len = (uint16_t)(records[i].len + FLOOR_TAG_LEN);
		records[i].m->pkt_len = records[i].m->data_len;
		memset(rte_pktmbuf_mtod(records[i].m, uint8_t *), (int)i, records[i].len);
	}
	return n;
}

static void records_check(unsigned n, const struct floor_way *way) {
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *text = rte_pktmbuf_mtod(records[i].m, uint8_t *);

		for (unsigned b = 0; b < records[i].len; b++)
			if (text[b] != (uint8_t)i)
				rte_exit(EXIT_FAILURE, "%s %s %s: the text came back wrong\n",
					way->layer, way->api, cipher_names[way->cipher]);
	}
}

// One burst one way: its cycles.
static uint64_t burst(const struct floor_way *way, bool encrypt, unsigned first) {
	uint64_t start = now(), took;
	unsigned good = way->run(way, encrypt, records + first, FLOOR_BURST);

	took = now() - start;
	if (good != FLOOR_BURST)
		rte_exit(EXIT_FAILURE, "%s %s %s: %u of %u records failed\n", way->layer, way->api,
			cipher_names[way->cipher], FLOOR_BURST - good, FLOOR_BURST);
	return took > tsc_cost ? took - tsc_cost : 0;
}

static void round_run(struct figure *figure, unsigned round) {
	unsigned n = records_fill(figure->size);
	uint64_t cycles[2] = {0};

	for (unsigned done = 0; done < ROUND_PACKETS; done += n)
		for (unsigned first = 0; first < n; first += FLOOR_BURST) {
			cycles[true] += burst(figure->way, true, first);
			cycles[false] += burst(figure->way, false, first);
		}
	records_check(n, figure->way);
	for (unsigned encrypt = 0; encrypt < 2; encrypt++)
		figure->cycles[encrypt][round] = (double)cycles[encrypt] / ROUND_PACKETS;
}

// Takes out the ways that this version of the library cannot do, and says which: what is left makes
// the same bytes of the same records, and takes its own back. How many are left.
static unsigned ways_keep(struct floor_way *ways, unsigned n) {
	static uint8_t first[FLOOR_BURST][2048];
	unsigned kept = 0;

	for (unsigned w = 0; w < n; w++) {
		bool same = true;

		records_fill(MIX);
		same = ways[w].run(&ways[w], true, records, FLOOR_BURST) == FLOOR_BURST;
		for (unsigned i = 0; i < FLOOR_BURST; i++) {
			const uint8_t *record = rte_pktmbuf_mtod(records[i].m, uint8_t *);

			if (kept == 0)
				memcpy(first[i], record, records[i].m->data_len);
			same = same && memcmp(first[i], record, records[i].m->data_len) == 0;
		}
		if (same && ways[w].run(&ways[w], false, records, FLOOR_BURST) == FLOOR_BURST)
			ways[kept++] = ways[w];
		else
			fprintf(stderr, "floor: left out, as it fails here: %s %s %s %s\n",
				ways[w].layer, ways[w].device != NULL ? ways[w].device : "",
				ways[w].api, cipher_names[ways[w].cipher]);
	}
	if (kept == 0)
		rte_exit(EXIT_FAILURE, "nothing here does %s\n", cipher_names[ways[0].cipher]);
	return kept;
}

static int compare(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const struct figure *figure, bool encrypt, unsigned rounds) {
	const struct floor_way *way = figure->way;
	double *cycles = figure->cycles[encrypt], bytes = 0, hz = (double)rte_get_tsc_hz();
	char size[8];

	qsort(cycles, rounds, sizeof(*cycles), compare);
	for (unsigned i = 0; i < RTE_DIM(mix); i++)
		bytes += size_of(figure->size, i) / (double)RTE_DIM(mix);
	snprintf(size, sizeof(size), figure->size == MIX ? "\"imix\"" : "%u", figure->size);
	printf("{\"bench\":\"floor\",\"layer\":\"%s\",\"api\":\"%s\",", way->layer, way->api);
	if (way->device != NULL)
		printf("\"device\":\"%s\",", way->device);
	printf("\"direction\":\"%s\",\"operation\":\"%s\",\"cipher\":\"%s\",\"size\":%s,",
		encrypt ? "down" : "up", encrypt ? "encrypt" : "decrypt", cipher_names[way->cipher],
		size);
	printf("\"cycles_packet\":%.1f,\"cycles_median\":%.1f,\"mpps\":%.3f,"
	       "\"gbps\":%.2f,\"rounds\":%u}\n",
		cycles[0], cycles[rounds / 2], hz / cycles[0] / 1e6,
		hz / cycles[0] * bytes * 8 / 1e9, rounds);
}

static void run_all(const struct floor_way *ways, unsigned nb_ways, unsigned rounds) {
	unsigned nb = nb_ways * RTE_DIM(sizes);
	struct figure *figures = calloc(nb, sizeof(*figures));

	if (figures == NULL)
		rte_exit(EXIT_FAILURE, "no memory\n");
	for (unsigned i = 0; i < nb; i++) {
		figures[i].way = &ways[i / RTE_DIM(sizes)];
		figures[i].size = sizes[i % RTE_DIM(sizes)];
		for (unsigned e = 0; e < 2; e++) {
			figures[i].cycles[e] = calloc(rounds, sizeof(double));
			if (figures[i].cycles[e] == NULL)
				rte_exit(EXIT_FAILURE, "no memory\n");
		}
	}
	for (unsigned round = 0; round < rounds; round++) {
		if (round % RTE_MAX(rounds / 10, 1u) == 0)
			fprintf(stderr, "floor: %u %%\n", round * 100 / rounds);
		for (unsigned i = 0; i < nb; i++)
			round_run(&figures[i], round);
	}
	for (unsigned i = 0; i < nb; i++)
		for (unsigned e = 2; e-- > 0;) {
			print(&figures[i], e, rounds);
			free(figures[i].cycles[e]);
		}
	free(figures);
}

// On the last CPU that this process may use: the first takes most of a machine's interrupts.
static void eal_start(const char *program) {
	char name[64], lcores[32];
	char *args[] = {name, "--lcores", lcores, "--no-huge", "--no-pci", "--no-shconf",
		"--no-telemetry", "-m", "64", "--log-level=error", NULL};
	cpu_set_t set;
	int cpu = CPU_SETSIZE;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		rte_exit(EXIT_FAILURE, "sched_getaffinity: %s\n", strerror(errno));
	while (--cpu > 0 && !CPU_ISSET(cpu, &set))
		;
	snprintf(name, sizeof(name), "%s", program);
	snprintf(lcores, sizeof(lcores), "0@%d", cpu);
	if (rte_eal_init((int)RTE_DIM(args) - 1, args) < 0)
		rte_exit(EXIT_FAILURE, "DPDK does not start\n");
}

int main(int argc, char **argv) {
	static const struct option options[] = {{"short", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	static struct floor_way ways[FLOOR_CIPHERS * WAYS_MAX];
	unsigned nb_ways = 0, rounds = ROUNDS;
	uint8_t key[FLOOR_KEY_MAX];
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 's') {
			rounds = ROUNDS_SHORT;
		} else {
			fprintf(option == 'h' ? stdout : stderr, "usage: floor [--short]\n");
			return option == 'h' ? 0 : 2;
		}
	}
	eal_start(argv[0]);
	measure_tsc();
	records_make();
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 11 + 1);
	for (unsigned cipher = 0; cipher < FLOOR_CIPHERS; cipher++) {
		unsigned first = nb_ways;

		nb_ways = floor_imb_open(cipher, key, ways, nb_ways, RTE_DIM(ways));
		nb_ways = floor_cryptodev_open(cipher, key, ways, nb_ways, RTE_DIM(ways));
		nb_ways = first + ways_keep(ways + first, nb_ways - first);
	}
	printf("{\"bench\":\"floor\",\"layer\":\"clock\",\"tsc_hz\":%" PRIu64
	       ",\"core_cycles_tsc_cycle\":%.3f}\n",
		rte_get_tsc_hz(), clock_ratio());
	run_all(ways, nb_ways, rounds);
	floor_cryptodev_close();
	rte_eal_cleanup();
	return 0;
}
