// SPDX-License-Identifier: GPL-3.0-or-later
// Times a cache line that goes to and fro between two cores. Called by the benchmark of cores.
#include "tests/bench/lib/line.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "tests/bench/lib/rounds.h"

#define TURNS 2000u
#define ADDS 20000u
#define TRIES 100u // others use the machine, too

struct line {
	_Atomic uint32_t value;
} __attribute__((aligned(128)));

static struct line ball, sum, start_line;

struct player {
	unsigned cpu;
	uint32_t parity;
	double best_turn;
	double add[TRIES];
	int ret;
};

static int pin(unsigned cpu) {
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

// Both begin together: each adds one and waits until both have.
static void meet(uint32_t nth) {
	atomic_fetch_add(&start_line.value, 1);
	while (atomic_load_explicit(&start_line.value, memory_order_acquire) < 2 * nth)
		rte_pause();
}

static void *play(void *arg) {
	struct player *player = arg;

	player->ret = -pin(player->cpu);
	for (uint32_t try = 1; try <= TRIES; try++) {
		uint32_t base = (try - 1) * 2 * TURNS;
		uint64_t start;
		double turn;

		meet(2 * try - 1);
		start = rte_rdtsc();
		for (uint32_t i = 0; i < TURNS; i++) {
			uint32_t mine = base + 2 * i + player->parity;

			while (atomic_load_explicit(&ball.value, memory_order_acquire) != mine)
				;
			atomic_store_explicit(&ball.value, mine + 1, memory_order_release);
		}
		turn = (double)(rte_rdtsc() - start) / (2.0 * TURNS);
		meet(2 * try);
		start = rte_rdtsc();
		for (uint32_t i = 0; i < ADDS; i++)
			atomic_fetch_add_explicit(&sum.value, 1, memory_order_relaxed);
		player->add[try - 1] = (double)(rte_rdtsc() - start) / ADDS;
		if (try == 1 || turn < player->best_turn)
			player->best_turn = turn;
	}
	return NULL;
}

static double own_add(void) {
	double best = 0;

	for (unsigned try = 0; try < TRIES; try++) {
		uint64_t start = rte_rdtsc();
		double add;

		for (uint32_t i = 0; i < ADDS; i++)
			atomic_fetch_add_explicit(&sum.value, 1, memory_order_relaxed);
		add = (double)(rte_rdtsc() - start) / ADDS;
		if (try == 0 || add < best)
			best = add;
	}
	return best;
}

int line_measure(unsigned cpu_a, unsigned cpu_b, struct line_cost *cost) {
	struct player players[2] = {{.cpu = cpu_a, .parity = 0}, {.cpu = cpu_b, .parity = 1}};
	pthread_t threads[2];
	int ret = 0;

	cost->own_add = own_add();
	ball.value = start_line.value = 0;
	for (unsigned i = 0; i < 2; i++) {
		ret = pthread_create(&threads[i], NULL, play, &players[i]);
		if (ret != 0 && i == 1) {
			atomic_store(&start_line.value, UINT32_MAX); // nobody to wait for
			pthread_cancel(threads[0]);
			pthread_join(threads[0], NULL);
		}
		if (ret != 0)
			return -ret;
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (players[0].ret != 0 || players[1].ret != 0)
		return players[0].ret != 0 ? players[0].ret : players[1].ret;
	cost->transfer = players[0].best_turn < players[1].best_turn ? players[0].best_turn
								     : players[1].best_turn;
	// the one that is late adds alone at the end: the slower one tells what sharing costs
	for (unsigned i = 0; i < TRIES; i++)
		players[0].add[i] = RTE_MAX(players[0].add[i], players[1].add[i]);
	cost->shared_add = rounds_median(players[0].add, TRIES);
	return 0;
}
