// SPDX-License-Identifier: GPL-3.0-or-later
// The poll loop of a packet worker: messages, graph walk, timers, quiescent state, idling.
//
// Adaptive idling: after IDLE_LOOPS empty loops the worker waits in ppoll() for its eventfd (what
// dp_handoff and dp_message_send ring) and for the descriptors of its sockets and TAPs. Devices
// that have no descriptor are polled meanwhile at a distance that doubles from SLEEP_MIN_NS to
// SLEEP_MAX_NS: the latency that they can gain, and the wake-ups an idle worker costs.
#include "dataplane/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_pause.h>
#include <urcu-qsbr.h>

#include "dataplane/graph.h"
#include "dataplane/pace.h"
#include "dataplane/port.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/session_timers.h"

#define IDLE_LOOPS 64u
#define IDLE_LOOPS_FDS 4u // when every source has a descriptor: a look costs what a sleep costs
#define SLEEP_MIN_NS 20000u
#define SLEEP_MAX_NS 300000u
#define SLEEP_FDS_NS 10000000u // when every source has a descriptor: as long as timers allow
#define SLEEP_DUE_NS 1000000u // when a stream waits for what no descriptor announces
#define TIMER_HZ 100u

struct idle {
	unsigned loops; // empty ones in a row
	unsigned loops_max; // before it sleeps
	struct dp_pace pace;
	uint32_t sleep_ns; // next sleep
	uint32_t sleep_min_ns, sleep_max_ns;
	struct pollfd *fds; // [0] is the wake-up
	nfds_t nb_fds;
};

static int idle_init(struct idle *idle, const struct dp_lcore *self) {
	idle->sleep_min_ns = idle->sleep_max_ns = SLEEP_FDS_NS;
	idle->loops_max = IDLE_LOOPS_FDS;
	idle->fds = calloc(self->nb_rxqs + 2, sizeof(*idle->fds));
	if (idle->fds == NULL)
		return -ENOMEM;
	idle->fds[idle->nb_fds++] = (struct pollfd){.fd = self->wake_fd, .events = POLLIN};
	if (dp_nb_streamers == 0)
		idle->fds[idle->nb_fds++] = (struct pollfd){
			.fd = dp_stream_poll_fd(), .events = POLLIN};
	for (unsigned i = 0; i < self->nb_rxqs; i++) {
		int fd = dp_port_rxq_fd(&self->rxqs[i], self);

		if (fd >= 0)
			idle->fds[idle->nb_fds++] = (struct pollfd){.fd = fd, .events = POLLIN};
		else {
			idle->sleep_min_ns = SLEEP_MIN_NS;
			idle->sleep_max_ns = SLEEP_MAX_NS;
			idle->loops_max = IDLE_LOOPS;
			idle->pace.blind = true;
		}
	}
	idle->sleep_ns = idle->sleep_min_ns;
	return 0;
}

static void idle_sleep(struct idle *idle, struct dp_lcore *self) {
	bool due = dp_nb_streamers == 0 && dp_stream_due();
	struct timespec timeout = {
		.tv_nsec = due ? RTE_MIN(idle->sleep_ns, SLEEP_DUE_NS) : idle->sleep_ns};
	eventfd_t bells;

	atomic_store_explicit(&self->sleeping, 1, memory_order_seq_cst);
	if (rte_ring_empty(self->inbox) && rte_ring_empty(self->messages)) {
		urcu_qsbr_thread_offline();
		ppoll(idle->fds, idle->nb_fds, &timeout, NULL);
		urcu_qsbr_thread_online();
	}
	atomic_store_explicit(&self->sleeping, 0, memory_order_relaxed);
	if (idle->fds[0].revents & POLLIN)
		eventfd_read(self->wake_fd, &bells);
	idle->fds[0].revents = 0;
	dp_pace_waited(&idle->pace);
	idle->sleep_ns = RTE_MIN(idle->sleep_ns * 2, idle->sleep_max_ns);
}

static void idle_step(struct idle *idle, struct dp_lcore *self, bool busy) {
	if (busy) {
		idle->loops = 0;
		idle->sleep_ns = idle->sleep_min_ns;
	} else if (dp_idle_busy) {
		rte_pause();
	} else if (idle->pace.hot) {
		urcu_qsbr_thread_offline();
		dp_pace_sleep();
		urcu_qsbr_thread_online();
	} else if (++idle->loops < idle->loops_max) {
		rte_pause();
	} else {
		idle_sleep(idle, self);
	}
}

static void run_messages(struct dp_lcore *self) {
	struct dp_message *message;

	while (rte_ring_sc_dequeue(self->messages, (void **)&message) == 0) {
		message->run(message);
		atomic_store_explicit(&message->done, 1, memory_order_release);
		self->work++;
	}
}

static void account(struct abi_worker_stats *stats, uint64_t cycles, bool busy, uint64_t work) {
	uint64_t *c = busy ? &stats->cycles_busy : &stats->cycles_idle;

	__atomic_store_n(c, *c + cycles, __ATOMIC_RELAXED);
	__atomic_store_n(&stats->packets, stats->packets + work, __ATOMIC_RELAXED);
	__atomic_store_n(&stats->loops, stats->loops + 1, __ATOMIC_RELAXED);
}

int dp_poll_loop(struct dp_lcore *self) {
	const uint64_t timer_cycles = dp_tsc_hz / TIMER_HZ;
	uint64_t now = rte_rdtsc(), before = now, next_timer = now;
	struct idle idle = {0};
	int ret = dp_nb_streamers == 0 ? dp_stream_join(self) : 0;

	if (ret != 0)
		return ret;
	ret = idle_init(&idle, self);
	if (ret != 0)
		goto out;
	prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
	urcu_qsbr_register_thread();
	while (!atomic_load_explicit(&dp_stop, memory_order_relaxed)) {
		bool busy;

		self->work = 0;
		run_messages(self);
		rte_graph_walk(self->graph);
		if (now >= next_timer) {
			dp_session_timers(self, now);
			next_timer = now + timer_cycles;
		}
		busy = self->work > 0;
		if (dp_nb_streamers == 0)
			busy |= dp_stream_poll(now, !busy);
		urcu_qsbr_quiescent_state();
		// The time of a loop that worked is busy; the sleep after an empty one is idle.
		dp_pace_count(&idle.pace, now, dp_tsc_hz, self->work);
		idle_step(&idle, self, busy);
		now = rte_rdtsc();
		account(self->stats, now - before, busy, self->work);
		before = now;
	}
	urcu_qsbr_unregister_thread();
	free(idle.fds);
out:
	if (dp_nb_streamers == 0)
		dp_stream_leave();
	return ret;
}
