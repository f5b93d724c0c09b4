// SPDX-License-Identifier: GPL-3.0-or-later
// How work reaches lcores: hand-off, messages, events, waking a sleeper; with real EAL threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include <rte_eal.h>
#include <urcu-qsbr.h>

#include "dataplane/loop.h"
#include "dataplane/port.h"
#include "dataplane/stats.h"
#include "dataplane/stream/stream.h"
#include "dataplane/worker.h"
#include "yang/config.h"

#define PACKETS 20000u
#define POOL 8191u

struct rte_mempool *dp_mbuf_pool;

static struct cfg config = {.dataplane = {.workers = 2, .streamers = 1, .sessions_max = 4}};
static _Atomic uint64_t taken[3]; // packets, by lcore
static _Atomic uint64_t slept; // times that an lcore waited for its bell

// Body of an lcore in this test: takes what comes, and sleeps without a timeout when nothing
// does, so that a lost wake-up hangs the test (and its time limit ends it).
static int drain_loop(struct dp_lcore *self) {
	struct pollfd bell = {.fd = self->wake_fd, .events = POLLIN};
	struct rte_mbuf *pkts[DP_BURST];
	struct dp_message *message;
	eventfd_t bells;

	while (!atomic_load(&dp_stop)) {
		unsigned n = rte_ring_sc_dequeue_burst(self->inbox, (void **)pkts, DP_BURST, NULL);

		rte_pktmbuf_free_bulk(pkts, n);
		taken[self->lcore_no] += n;
		while (rte_ring_sc_dequeue(self->messages, (void **)&message) == 0) {
			message->run(message);
			atomic_store(&message->done, 1);
			n++;
		}
		if (n > 0)
			continue;
		atomic_store(&self->sleeping, 1);
		if (rte_ring_empty(self->inbox) && rte_ring_empty(self->messages)) {
			slept++;
			poll(&bell, 1, -1);
			eventfd_read(self->wake_fd, &bells);
		}
		atomic_store(&self->sleeping, 0);
	}
	return 0;
}

int dp_poll_loop(struct dp_lcore *self) {
	return drain_loop(self);
}

int dp_stream_lcore_main(struct dp_lcore *self) {
	return drain_loop(self);
}

static uint64_t counter(unsigned slot, enum abi_counter which) {
	return __atomic_load_n(&dp_stats->worker[slot].counters[which], __ATOMIC_RELAXED);
}

static int setup(void **state) {
	return dp_stats_init(&config) != 0 || dp_lcores_init(&config) != 0;
}

static int teardown(void **state) {
	dp_lcores_fini();
	dp_stats_fini();
	for (unsigned i = 0; i < 3; i++)
		taken[i] = 0;
	return 0;
}

static void give(struct dp_lcore *to, unsigned n) {
	struct rte_mbuf *pkts[DP_BURST];

	while (rte_pktmbuf_alloc_bulk(dp_mbuf_pool, pkts, n) != 0)
		rte_pause(); // the lcores give some back
	dp_handoff(to, pkts, n);
}

static void test_lcores_name_the_cpu_they_are_held_to(void **state) {
	for (unsigned slot = 0; slot < 3; slot++)
		assert_int_equal(dp_stats->worker[slot].cpu, 0); // --lcores below
}

static void test_every_packet_arrives(void **state) {
	uint64_t dropped = 0;

	assert_int_equal(dp_lcores_launch(), 0);
	for (unsigned i = 0; i < PACKETS; i++)
		give(&dp_lcores[i % 3], 1 + i % 7);
	for (unsigned i = 0, sent = 0; i < 3; i++, sent = 0) {
		for (unsigned k = i; k < PACKETS; k += 3)
			sent += 1 + k % 7;
		// the control thread counts what did not fit, for all three together
		dropped = counter(3, ABI_C_drop_handoff_full);
		while (taken[i] + dropped < sent)
			dropped = counter(3, ABI_C_drop_handoff_full);
	}
	dp_lcores_stop();
	assert_true(slept > 0);
	assert_int_equal(rte_mempool_avail_count(dp_mbuf_pool), POOL);
}

static void test_full_inbox_drops_and_counts(void **state) {
	unsigned size = rte_ring_get_capacity(dp_lcores[0].inbox);

	for (unsigned i = 0; i < size + 10; i++)
		give(&dp_lcores[0], 1);
	assert_int_equal(rte_ring_count(dp_lcores[0].inbox), size);
	assert_int_equal(counter(3, ABI_C_drop_handoff_full), 10);
	dp_lcores_fini(); // frees what lies in the inbox
	assert_int_equal(rte_mempool_avail_count(dp_mbuf_pool), POOL);
	assert_int_equal(dp_lcores_init(&config), 0);
}

static void add_value(struct dp_message *message) {
	*(uint64_t *)message->arg += message->value;
}

static void test_messages_run_in_order_on_the_lcore(void **state) {
	struct dp_message messages[100];
	uint64_t sum = 0;

	assert_int_equal(dp_lcores_launch(), 0);
	for (unsigned i = 0; i < 100; i++) {
		messages[i] = (struct dp_message){.run = add_value, .arg = &sum, .value = i};
		assert_int_equal(dp_message_send(&dp_lcores[1], &messages[i]), 0);
	}
	while (!atomic_load(&messages[99].done))
		rte_pause();
	assert_int_equal(sum, 4950);
	dp_lcores_stop();
}

static void test_full_messages_say_so(void **state) {
	struct dp_message message = {.run = add_value};
	int ret = 0;

	for (unsigned i = 0; i < 100000 && ret == 0; i++)
		ret = dp_message_send(&dp_lcores[0], &message);
	assert_int_equal(ret, -EAGAIN);
}

static void test_events_reach_the_control_thread(void **state) {
	struct abi_evt evt = {.type = ABI_EVT_SESSION_END, .sid = {7, 9}}, got[4];
	eventfd_t bells;

	assert_true(dp_event_wait(true)); // may sleep: nothing is there
	dp_event(&evt);
	assert_int_equal(eventfd_read(dp_event_fd(), &bells), 0);
	assert_false(dp_event_wait(true));
	assert_int_equal(dp_event_take(got, 4), 1);
	assert_memory_equal(&got[0], &evt, sizeof(evt));
	assert_int_equal(dp_event_take(got, 4), 0);
	dp_event(&evt); // nobody waits: no bell
	assert_int_equal(eventfd_read(dp_event_fd(), &bells), -1);
	for (unsigned i = 0; i < 10000; i++)
		dp_event(&evt);
	assert_int_not_equal(counter(3, ABI_C_abi_evt_full), 0);
}

int main(int argc, char **argv) {
	char *args[] = {"test_worker", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
		"--lcores=0@0,1@0,2@0,3@0", "--main-lcore=0", "-m64", "--iova-mode=va",
		"--file-prefix=penstock", NULL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_lcores_name_the_cpu_they_are_held_to, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_packet_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_inbox_drops_and_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_messages_run_in_order_on_the_lcore, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_messages_say_so, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_events_reach_the_control_thread, setup, teardown),
	};

	if (rte_eal_init((int)RTE_DIM(args) - 1, args) < 0)
		return 1;
	dp_mbuf_pool = rte_pktmbuf_pool_create(
		"packets", POOL, 0, DP_PKT_PRIV_SIZE, 256, SOCKET_ID_ANY);
	return dp_mbuf_pool != NULL ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
