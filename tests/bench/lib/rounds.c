// SPDX-License-Identifier: GPL-3.0-or-later
// The hook on the workers' receive queues that makes, collects and measures rounds of packets.
// Called by the benchmarks of the packet path.
#include "tests/bench/lib/rounds.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <urcu-qsbr.h>

#include "dataplane/graph.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

#define PATIENCE_S 2 // packets that do not come out for so long are lost
#define TIMEOUT_S 30

// One worker's side of the wires. That worker alone uses it.
struct side {
	struct rte_mbuf *out[GATEWAY_RING];
	unsigned nb_out;
	uint64_t rng;
	uint32_t next[ROUND_SETS];
	unsigned made; // packets so far, for sizes and sets in turn
	uint64_t busy_seen; // the loop's counter at the hook's last call
	uint64_t hook_last; // cycles of the hook's last call
	uint64_t hook_busy; // cycles of the hook in loops that did work
	uint64_t hook_all, hook_base; // in all loops, now and at the base of the nodes' cycles
	uint64_t busy_start, hook_start; // of the round
	uint64_t out_at; // TSC of the last packet that came out
	double busy; // of the round
	bool received; // a packet of the round, from the port
	struct round_node base[ROUND_NODES_MAX];
} __attribute__((aligned(64)));

static struct {
	unsigned workers;
	const struct round_job *_Atomic job;
	struct round_result *result;
	unsigned round; // in progress, worker 0 counts
	_Atomic unsigned came; // packets of the round that came out
	_Atomic unsigned expected;
	_Atomic unsigned arrived; // at the barriers, ever growing
	_Atomic uint64_t progress_at;
	uint64_t started_at;
	bool fresh; // no round has been made yet
	bool more; // rounds to come; worker 0 writes between two barriers
	struct traffic_record records[ROUND_SIZES_MAX];
	struct side *sides;
	sem_t finished;
} state;

static uint64_t next_random(struct side *side) {
	side->rng ^= side->rng << 13;
	side->rng ^= side->rng >> 7;
	side->rng ^= side->rng << 17;
	return side->rng;
}

// All workers come here in the same order, `step` times each.
static void barrier(unsigned *step) {
	unsigned until;

	*step += state.workers;
	atomic_fetch_add_explicit(&state.arrived, 1, memory_order_acq_rel);
	until = *step;
	while ((int)(atomic_load_explicit(&state.arrived, memory_order_acquire) - until) < 0)
		rte_pause();
}

static _Thread_local unsigned barrier_step;

static void nodes_read(const struct dp_lcore *self, struct round_node *nodes, unsigned *n) {
	struct rte_graph *graph = self->graph;
	struct rte_node *node;
	rte_graph_off_t off;
	rte_node_t count;

	*n = 0;
	rte_graph_foreach_node(count, off, graph, node) {
		if (*n == ROUND_NODES_MAX)
			break;
		memcpy(nodes[*n].name, node->name, sizeof(nodes[*n].name) - 1);
		nodes[*n].cycles = node->total_cycles;
		nodes[*n].calls = node->total_calls;
		nodes[*n].packets = node->total_objs;
		++*n;
	}
}

// The hook runs within node rx.
static void nodes_base(const struct dp_lcore *self, struct side *side) {
	unsigned ignored;

	nodes_read(self, side->base, &ignored);
	side->hook_base = side->hook_all;
}

// Adds what the nodes did since the base.
static void nodes_add(const struct dp_lcore *self, struct side *side) {
	struct round_node *sum = state.result->nodes[self->number];
	struct round_node now[ROUND_NODES_MAX];
	unsigned n;

	nodes_read(self, now, &n);
	for (unsigned i = 0; i < n; i++) {
		memcpy(sum[i].name, now[i].name, sizeof(sum[i].name));
		sum[i].cycles += now[i].cycles - side->base[i].cycles;
		sum[i].calls += now[i].calls - side->base[i].calls;
		sum[i].packets += now[i].packets - side->base[i].packets;
		if (strcmp(sum[i].name, DP_NODE_RX) == 0)
			sum[i].cycles -= side->hook_all - side->hook_base;
	}
	state.result->nb_nodes = n;
}

static void collect(const struct round_job *job, struct side *side, unsigned w) {
	struct rte_ring *ring = gateway_tx(job->dir == DOWN ? GATEWAY_WAN : GATEWAY_LAN, w);
	unsigned n = rte_ring_sc_dequeue_burst(
		ring, (void **)(side->out + side->nb_out), GATEWAY_RING - side->nb_out, NULL);

	if (n == 0)
		return;
	side->nb_out += n;
	side->out_at = rte_rdtsc();
	atomic_store_explicit(&state.progress_at, side->out_at, memory_order_relaxed);
	atomic_fetch_add_explicit(&state.came, n, memory_order_acq_rel);
}

static bool complete(unsigned w) {
	unsigned came = atomic_load_explicit(&state.came, memory_order_acquire);
	uint64_t quiet;

	if (came >= atomic_load_explicit(&state.expected, memory_order_acquire))
		return true;
	quiet = rte_rdtsc() - atomic_load_explicit(&state.progress_at, memory_order_relaxed);
	if (w == 0 && (int64_t)quiet > (int64_t)(dp_tsc_hz * PATIENCE_S)) {
		state.result->lost += atomic_load(&state.expected) - came;
		atomic_store_explicit(&state.expected, came, memory_order_release);
		return true;
	}
	return false;
}

static void check(const struct round_job *job, struct rte_mbuf *m) {
	struct round_result *result = state.result;
	const char *wrong = NULL;
	uint32_t client;
	uint16_t size;

	if (!traffic_tag(m, &client, &size))
		wrong = "a packet of nobody";
	else if (job->verify)
		wrong = traffic_check(m, job->dir, job->checked);
	if (wrong == NULL && !traffic_in_order(m))
		__atomic_fetch_add(&result->unordered, 1, __ATOMIC_RELAXED);
	if (wrong == NULL)
		return;
	__atomic_fetch_add(&result->wrong, 1, __ATOMIC_RELAXED);
	result->wrong_what = wrong;
}

// The buffers that came out, once more, through nothing but the cipher.
static double bare(const struct round_job *job, struct side *side) {
	const struct bare_key *key = traffic_key(job->dir, job->cipher);
	uint64_t start = rte_rdtsc();

	for (unsigned i = 0; i < side->nb_out; i++) {
		const struct traffic_record *r = &state.records[i % job->nb_sizes];
		uint8_t *text = (uint8_t *)side->out[i]->buf_addr + RTE_PKTMBUF_HEADROOM +
			r->text_at;

		if (job->dir == DOWN)
			bare_seal(key, text, text, r->text_len, r->nonce, r->aad, sizeof(r->aad));
		else
			bare_open(key, text, text, r->text_len, r->nonce, r->aad, sizeof(r->aad));
	}
	return side->nb_out > 0 ? (double)(rte_rdtsc() - start) / side->nb_out : 0;
}

static void end_round(const struct round_job *job, struct side *side, struct dp_lcore *self) {
	side->busy = (double)(self->stats->cycles_busy - side->busy_start) -
		(double)(side->hook_busy - side->hook_start);
	if (job->profile) {
		nodes_add(self, side);
		state.result->profiled[self->number] += (uint64_t)side->busy;
	}
	for (unsigned i = 0; i < side->nb_out; i++)
		check(job, side->out[i]);
	if (job->bare && self->number == 0)
		state.result->bare[state.round] = bare(job, side);
	rte_pktmbuf_free_bulk(side->out, side->nb_out);
	side->nb_out = 0;
}

// Worker 0, when all have ended the round.
static void sum_round(void) {
	struct round_result *result = state.result;
	unsigned came = atomic_load(&state.came), r = state.round;
	uint64_t end = 0;
	double sum = 0;

	for (unsigned w = 0; w < state.workers; w++) {
		result->busy[w][r] = state.sides[w].busy;
		sum += state.sides[w].busy;
		end = RTE_MAX(end, state.sides[w].out_at);
	}
	result->packets += came;
	result->cycles[r] = came > 0 ? sum / came : 0;
	result->elapsed[r] = (double)(end - state.started_at);
	state.round++;
}

static uint32_t pick(const struct round_job *job, struct side *side, unsigned w) {
	unsigned s = side->made % job->nb_sets;
	const struct round_set *set = &job->sets[w][s];
	uint32_t i;

	if (job->random)
		i = (uint32_t)((next_random(side) >> 16) % set->count);
	else
		i = side->next[s]++ % set->count;
	return set->first + set->stride * i;
}

static void make(const struct round_job *job, struct side *side, unsigned w) {
	struct rte_ring *ring = gateway_rx(job->dir == DOWN ? GATEWAY_LAN : GATEWAY_WAN, w);
	struct rte_mbuf *pkts[ROUND_PACKETS_MAX];

	if (job->only_first && w != 0)
		return;
	if (rte_pktmbuf_alloc_bulk(dp_mbuf_pool, pkts, job->packets) != 0)
		return; // told as lost
	for (unsigned i = 0; i < job->packets; i++) {
		uint16_t size = job->sizes[side->made % job->nb_sizes];

		traffic_make(pkts[i], job->dir, pick(job, side, w), size, job->checked);
		side->made++;
	}
	rte_ring_sp_enqueue_bulk(ring, (void **)pkts, job->packets, NULL);
}

static void begin_round(const struct round_job *job, struct side *side, struct dp_lcore *self) {
	make(job, side, self->number);
	barrier(&barrier_step);
	side->received = false;
	if (job->profile)
		nodes_base(self, side);
	side->busy_start = self->stats->cycles_busy;
	side->hook_start = side->hook_busy;
	if (self->number == 0) {
		state.started_at = rte_rdtsc();
		atomic_store_explicit(&state.progress_at, state.started_at, memory_order_relaxed);
	}
}

// All of the round is out at the other side, on all workers.
static void next_round(const struct round_job *job, struct side *side, struct dp_lcore *self) {
	if (!state.fresh)
		end_round(job, side, self);
	barrier(&barrier_step);
	if (self->number == 0) {
		if (!state.fresh)
			sum_round();
		state.fresh = false;
		state.more = state.round < job->rounds;
		atomic_store(&state.came, 0);
		atomic_store(&state.expected, job->packets * (job->only_first ? 1 : state.workers));
		if (!state.more)
			atomic_store(&state.job, NULL);
	}
	barrier(&barrier_step);
	if (state.more)
		begin_round(job, side, self);
	else if (self->number == 0)
		sem_post(&state.finished); // the next job waits for all at its first barrier
}

static void step(const struct round_job *job, struct side *side, struct dp_lcore *self) {
	collect(job, side, self->number);
	// What the other worker still does may bring work: a worker that slept would be late for it.
	// But packets that this walk took out of the inbox wait for the hook's end.
	while (!complete(self->number)) {
		if (self->work > 0 || !rte_ring_empty(self->inbox))
			return;
		rte_pause();
	}
	next_round(job, side, self);
}

// rte_rx_callback_fn: after each poll of the queue; `arg` is the direction that begins here.
static uint16_t hook(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n,
	uint16_t max, void *arg) {
	const struct round_job *job = atomic_load_explicit(&state.job, memory_order_acquire);
	struct dp_lcore *self = dp_self;
	struct side *side = &state.sides[self->number];
	uint64_t start;

	if (job == NULL || job->dir != (enum direction)(uintptr_t)arg)
		return n;
	if (side->busy_seen != self->stats->cycles_busy)
		side->hook_busy += side->hook_last;
	side->busy_seen = self->stats->cycles_busy;
	side->hook_last = 0;
	if (n > 0) {
		if (job->profile && !side->received)
			nodes_base(self, side); // without the rest of the loop before
		side->received = true;
		return n;
	}
	start = rte_rdtsc();
	step(job, side, self);
	side->hook_last = rte_rdtsc() - start;
	side->hook_all += side->hook_last;
	return n;
}

int rounds_init(unsigned workers) {
	state.workers = workers;
	state.sides = aligned_alloc(64, workers * sizeof(*state.sides));
	if (state.sides == NULL || sem_init(&state.finished, 0, 0) != 0)
		return -ENOMEM;
	memset(state.sides, 0, workers * sizeof(*state.sides));
	for (unsigned w = 0; w < workers; w++) {
		state.sides[w].rng = 0x9e3779b97f4a7c15u * (w + 1);
		for (unsigned dir = DOWN; dir <= UP; dir++) {
			unsigned port = dir == DOWN ? GATEWAY_LAN : GATEWAY_WAN;

			if (rte_eth_add_rx_callback(dp_ports[port].port_id, gateway_queue(port, w),
				    hook, (void *)(uintptr_t)dir) == NULL)
				return -ENOMEM;
		}
	}
	return 0;
}

static int result_init(struct round_result *result, unsigned rounds) {
	memset(result, 0, sizeof(*result));
	result->rounds = rounds;
	result->cycles = calloc(rounds, sizeof(double));
	result->elapsed = calloc(rounds, sizeof(double));
	result->bare = calloc(rounds, sizeof(double));
	for (unsigned w = 0; w < state.workers; w++)
		result->busy[w] = calloc(rounds, sizeof(double));
	if (result->cycles != NULL && result->elapsed != NULL && result->bare != NULL &&
		result->busy[state.workers - 1] != NULL && result->busy[0] != NULL)
		return 0;
	rounds_free(result);
	return -ENOMEM;
}

void rounds_free(struct round_result *result) {
	free(result->cycles);
	free(result->elapsed);
	free(result->bare);
	for (unsigned w = 0; w < GATEWAY_WORKERS_MAX; w++)
		free(result->busy[w]);
	memset(result, 0, sizeof(*result));
}

// The events that the sessions' first packets leave, so that their ring does not stay full.
static void events_drain(void) {
	struct abi_evt evts[64];

	while (dp_event_take(evts, RTE_DIM(evts)) > 0)
		;
}

static int wait_finished(void) {
	unsigned round = UINT_MAX;
	time_t since = time(NULL);
	int ret = -ETIMEDOUT;

	urcu_qsbr_thread_offline();
	while (time(NULL) - since < TIMEOUT_S) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 20000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (sem_timedwait(&state.finished, &until) == 0) {
			ret = 0;
			break;
		}
		events_drain();
		if (__atomic_load_n(&state.round, __ATOMIC_RELAXED) != round)
			since = time(NULL);
		round = __atomic_load_n(&state.round, __ATOMIC_RELAXED);
	}
	urcu_qsbr_thread_online();
	events_drain();
	return ret;
}

// Why packets did not come out: the dataplane counted it.
static void drops_print(void) {
	static const char *const names[] = {
#define X(name, text) #name,
		ABI_COUNTERS(X)
#undef X
	};

	for (unsigned i = 0; i < RTE_DIM(names); i++) {
		uint64_t n = 0;

		for (unsigned w = 0; w < state.workers; w++)
			n += __atomic_load_n(&dp_lcores[w].stats->counters[i], __ATOMIC_RELAXED);
		if (n > 0)
			fprintf(stderr, "bench: %s %llu\n", names[i], (unsigned long long)n);
	}
}

int rounds_run(const struct round_job *job, struct round_result *result) {
	int ret = result_init(result, job->rounds);

	if (ret != 0)
		return ret;
	for (unsigned i = 0; i < job->nb_sizes; i++)
		traffic_record(&state.records[i], job->cipher, job->sizes[i]);
	for (unsigned w = 0; w < state.workers; w++) {
		memset(state.sides[w].next, 0, sizeof(state.sides[w].next));
		state.sides[w].made = 0;
		state.sides[w].busy_seen = state.sides[w].hook_last = 0;
	}
	gateway_offload(job->checked);
	state.result = result;
	state.round = 0;
	state.fresh = true;
	atomic_store(&state.came, 0);
	atomic_store(&state.expected, 0);
	for (unsigned w = 0; w < state.workers; w++)
		dp_lcore_wake(&dp_lcores[w]);
	atomic_store_explicit(&state.job, job, memory_order_release);
	ret = wait_finished();
	if (ret != 0 || result->lost > 0)
		drops_print();
	if (ret != 0)
		rounds_free(result);
	return ret;
}

void round_profile_add(struct round_profile *profile, const struct round_result *result) {
	for (unsigned i = 0; i < result->nb_nodes; i++) {
		struct round_node *sum = &profile->nodes[i];

		for (unsigned w = 0; w < state.workers; w++) {
			const struct round_node *node = &result->nodes[w][i];

			memcpy(sum->name, node->name, sizeof(sum->name));
			sum->cycles += node->cycles;
			sum->calls += node->calls;
			sum->packets += node->packets;
		}
	}
	for (unsigned w = 0; w < state.workers; w++)
		profile->busy += result->profiled[w];
	profile->nb_nodes = result->nb_nodes;
	profile->packets += result->packets;
}

void round_profile_print(const struct round_profile *profile) {
	double packets = (double)profile->packets;
	uint64_t inside = 0;

	printf("\"nodes\":{");
	for (unsigned i = 0; i < profile->nb_nodes; i++) {
		const struct round_node *node = &profile->nodes[i];

		if (node->calls == 0)
			continue;
		inside += node->cycles;
		printf("\"%s\":%.1f,", node->name, (double)node->cycles / packets);
	}
	printf("\"outside\":%.1f}", ((double)profile->busy - (double)inside) / packets);
}

static int compare(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double rounds_min(double *values, unsigned n) {
	qsort(values, n, sizeof(*values), compare);
	return n > 0 ? values[0] : 0;
}

double rounds_median(double *values, unsigned n) {
	qsort(values, n, sizeof(*values), compare);
	return n > 0 ? values[n / 2] : 0;
}
