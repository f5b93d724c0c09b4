// SPDX-License-Identifier: GPL-3.0-or-later
// Lcores: their structures, how work reaches them, how they start and stop. Called by all.
#include "dataplane/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>

#include "dataplane/loop.h"
#include "dataplane/stats.h"
#include "dataplane/stream/stream.h"
#include "yang/config.h"

#define INBOX_SIZE 4096u // packets
#define MESSAGES_SIZE 1024u
#define EVENTS_SIZE 4096u
#define NICE (-15)
#define SLICE_NS 100000u

struct dp_lcore *dp_lcores;
unsigned dp_nb_workers, dp_nb_streamers;
_Thread_local struct dp_lcore *dp_self;
uint64_t dp_tsc_hz;
_Atomic bool dp_stop;
bool dp_idle_busy;

static struct rte_ring *events; // struct abi_evt from all lcores to the control thread
static int events_fd = -1;
static _Atomic bool events_waiting; // the control thread sleeps on events_fd

void dp_drop(struct rte_mbuf **pkts, unsigned n, enum abi_counter counter) {
	if (n == 0)
		return;
	dp_count(counter, n);
	rte_pktmbuf_free_bulk(pkts, n);
}

void dp_lcore_wake(struct dp_lcore *lcore) {
	if (dp_idle_busy)
		return; // nobody sleeps
	// Orders the enqueue before the look at `sleeping`; the sleeper sets it, then looks again.
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&lcore->sleeping, memory_order_relaxed))
		eventfd_write(lcore->wake_fd, 1);
}

// The control thread has no counters of its own among the workers': its own slot is the last.
static struct abi_worker_stats *own_stats(void) {
	if (dp_self != NULL)
		return dp_self->stats;
	return &dp_stats->worker[dp_nb_workers + dp_nb_streamers];
}

static void count_own(enum abi_counter counter, uint64_t n) {
	uint64_t *c = &own_stats()->counters[counter];

	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}

void dp_handoff(struct dp_lcore *to, struct rte_mbuf **pkts, unsigned n) {
	unsigned done = rte_ring_mp_enqueue_burst(to->inbox, (void **)pkts, n, NULL);

	if (done > 0 && to != dp_self)
		dp_lcore_wake(to);
	if (done < n) {
		count_own(ABI_C_drop_handoff_full, n - done);
		rte_pktmbuf_free_bulk(pkts + done, n - done);
	}
	if (dp_self != NULL && dp_self->kind == ABI_WORKER_PACKET && to != dp_self)
		dp_count(ABI_C_handoff, done);
}

int dp_message_send(struct dp_lcore *to, struct dp_message *message) {
	atomic_store_explicit(&message->done, 0, memory_order_relaxed);
	if (rte_ring_mp_enqueue(to->messages, message) != 0)
		return -EAGAIN;
	dp_lcore_wake(to);
	return 0;
}

void dp_event(const struct abi_evt *evt) {
	if (rte_ring_mp_enqueue_elem(events, (void *)(uintptr_t)evt, sizeof(*evt)) != 0) {
		count_own(ABI_C_abi_evt_full, 1);
		return;
	}
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&events_waiting, memory_order_relaxed) &&
		atomic_exchange(&events_waiting, false))
		eventfd_write(events_fd, 1);
}

unsigned dp_event_take(struct abi_evt *evts, unsigned n) {
	return rte_ring_sc_dequeue_burst_elem(events, evts, sizeof(*evts), n, NULL);
}

int dp_event_fd(void) {
	return events_fd;
}

bool dp_event_wait(bool waiting) {
	atomic_store(&events_waiting, waiting);
	if (!waiting || rte_ring_empty(events))
		return true;
	atomic_store(&events_waiting, false);
	return false;
}

static struct rte_ring *ring_make(const char *what, unsigned lcore_no, unsigned size) {
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s-%u", what, lcore_no);
	return rte_ring_create(name, size, SOCKET_ID_ANY, RING_F_SC_DEQ);
}

// The CPU that an lcore of EAL is held to; UINT32_MAX: it may run on several.
static uint32_t cpu_of(unsigned eal_lcore) {
	rte_cpuset_t set = rte_lcore_cpuset(eal_lcore);

	if (CPU_COUNT(&set) != 1)
		return UINT32_MAX;
	for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set))
			return cpu;
	}
	return UINT32_MAX;
}

static int lcore_init(struct dp_lcore *lcore, unsigned lcore_no) {
	bool worker = lcore_no < dp_nb_workers;

	lcore->lcore_no = (uint16_t)lcore_no;
	lcore->number = (uint16_t)(worker ? lcore_no : lcore_no - dp_nb_workers);
	lcore->kind = worker ? ABI_WORKER_PACKET : ABI_WORKER_STREAM;
	lcore->cpu = cpu_of(lcore_no + 1); // EAL's lcore 0 is the control thread
	lcore->stats = &dp_stats->worker[lcore_no];
	lcore->stats->kind = lcore->kind;
	lcore->stats->lcore = lcore_no + 1;
	lcore->stats->cpu = lcore->cpu;
	lcore->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (lcore->wake_fd < 0)
		return -errno;
	lcore->inbox = ring_make("inbox", lcore_no, INBOX_SIZE);
	lcore->messages = ring_make("messages", lcore_no, MESSAGES_SIZE);
	return lcore->inbox != NULL && lcore->messages != NULL ? 0 : -ENOMEM;
}

static int events_init(void) {
	events = rte_ring_create_elem(
		"events", sizeof(struct abi_evt), EVENTS_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (events == NULL)
		return -ENOMEM;
	events_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return events_fd < 0 ? -errno : 0;
}

int dp_lcores_init(const struct cfg *cfg) {
	unsigned n = cfg->dataplane.workers + cfg->dataplane.streamers;
	struct abi_worker_stats *ctl = &dp_stats->worker[n];
	int ret;

	dp_tsc_hz = rte_get_tsc_hz();
	dp_idle_busy = cfg->dataplane.idle == CFG_IDLE_BUSY;
	dp_lcores = rte_zmalloc("lcores", n * sizeof(*dp_lcores), RTE_CACHE_LINE_SIZE);
	if (dp_lcores == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		dp_lcores[i].wake_fd = -1;
	dp_nb_workers = cfg->dataplane.workers;
	dp_nb_streamers = cfg->dataplane.streamers;
	ctl->kind = ABI_WORKER_CTL;
	ctl->cpu = UINT32_MAX; // floats
	ret = events_init();
	for (unsigned i = 0; ret == 0 && i < n; i++)
		ret = lcore_init(&dp_lcores[i], i);
	if (ret != 0)
		dp_lcores_fini();
	return ret;
}

static void inbox_free(struct rte_ring *inbox) {
	struct rte_mbuf *m;

	while (inbox != NULL && rte_ring_sc_dequeue(inbox, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(inbox);
}

void dp_lcores_fini(void) {
	for (unsigned i = 0; i < dp_nb_workers + dp_nb_streamers; i++) {
		inbox_free(dp_lcores[i].inbox);
		rte_ring_free(dp_lcores[i].messages);
		if (dp_lcores[i].wake_fd >= 0)
			close(dp_lcores[i].wake_fd);
	}
	rte_ring_free(events);
	events = NULL;
	if (events_fd >= 0)
		close(events_fd);
	events_fd = -1;
	rte_free(dp_lcores);
	dp_lcores = NULL;
	dp_nb_workers = dp_nb_streamers = 0;
}

// Where others share the CPU: what overruns a receive ring is waiting for one's turn. A short slice
// is taken often and early (EEVDF, Linux 6.12; kernels before ignore it), the weight keeps the share.
static void prefer(void) {
	struct sched_attr {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period; // ns
	} attr = {.size = sizeof(attr), .policy = SCHED_OTHER, .nice = NICE, .runtime = SLICE_NS};

	syscall(SYS_sched_setattr, 0, &attr, 0); // a preference: without the right to it, none
}

static int lcore_main(void *arg) {
	struct dp_lcore *lcore = arg;
	int ret;

	dp_self = lcore;
	prefer();
	if (lcore->kind == ABI_WORKER_PACKET)
		ret = dp_poll_loop(lcore);
	else
		ret = dp_stream_lcore_main(lcore);
	dp_self = NULL;
	return ret;
}

int dp_lcores_launch(void) {
	atomic_store(&dp_stop, false);
	for (unsigned i = 0; i < dp_nb_workers + dp_nb_streamers; i++) {
		int ret = rte_eal_remote_launch(lcore_main, &dp_lcores[i], i + 1);

		if (ret != 0) {
			dp_lcores_stop();
			return ret;
		}
	}
	return 0;
}

void dp_lcores_stop(void) {
	atomic_store(&dp_stop, true);
	for (unsigned i = 0; i < dp_nb_workers + dp_nb_streamers; i++)
		eventfd_write(dp_lcores[i].wake_fd, 1);
	for (unsigned i = 0; i < dp_nb_workers + dp_nb_streamers; i++)
		rte_eal_wait_lcore(i + 1);
}
