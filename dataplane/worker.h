// SPDX-License-Identifier: GPL-3.0-or-later
// Lcores: the poll loop of packet workers, their hand-off rings and counters. Used by all nodes.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/abi/cmd.h"
#include "dataplane/abi/stats.h"
#include "dataplane/pkt.h"

struct cfg;

#define DP_BURST 64u

// Numbers: workers 0..nb_workers-1; stream lcores follow in lcore_no: nb_workers + s.
struct dp_lcore {
	uint16_t lcore_no; // index into dp_lcores, and the crypto queue pair
	uint16_t number; // worker number or streamer number
	uint32_t kind; // enum abi_worker_kind
	unsigned cpu;
	struct rte_ring *inbox; // MPSC: packets handed to this lcore (mbufs, resume set)
	struct rte_ring *messages; // MPSC: struct dp_message * from the control thread
	struct abi_worker_stats *stats; // this lcore writes
	_Atomic uint32_t sleeping; // worker sleeps in adaptive mode: wake by eventfd
	int wake_fd;
	struct rte_graph *graph; // packet workers
	struct dp_rxq *rxqs; // packet workers: what node rx polls
	unsigned nb_rxqs;
	// Packets and messages of the present loop; nodes rx and handoff-rx count. Written all the
	// time, so on a line of its own: who hands packets over reads those above.
	uint64_t work __attribute__((aligned(64)));
} __attribute__((aligned(64)));

struct dp_port;

// One source of packets that a worker polls.
struct dp_rxq {
	struct dp_port *port;
	uint16_t queue; // of the device
	bool twin; // the TAP twin: what the kernel sends, goes out of the port
};

extern struct dp_lcore *dp_lcores;
extern unsigned dp_nb_workers, dp_nb_streamers;
extern _Thread_local struct dp_lcore *dp_self; // NULL on the control thread
extern uint64_t dp_tsc_hz;

static inline void dp_count(enum abi_counter counter, uint64_t n) {
	uint64_t *c = &dp_self->stats->counters[counter];

	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}

// Counts n packets under `counter` and frees them.
void dp_drop(struct rte_mbuf **pkts, unsigned n, enum abi_counter counter);

// Hands packets (dp_pkt(m)->resume set) to another lcore's inbox, wakes it if it sleeps. What
// does not fit is dropped and counted as drop_handoff_full.
void dp_handoff(struct dp_lcore *to, struct rte_mbuf **pkts, unsigned n);

// Work that the control thread gives to an lcore; run between bursts, must not block. The lcore
// calls run(), then sets done (release); the control thread frees.
struct dp_message {
	void (*run)(struct dp_message *message);
	void *arg;
	uint64_t value;
	_Atomic int done;
};

// Control thread: 0 or -EAGAIN.
int dp_message_send(struct dp_lcore *to, struct dp_message *message);

// Any lcore: an event for the control plane goes to the control thread (bounded, counted).
void dp_event(const struct abi_evt *evt);

// Control thread: takes up to n events that lcores left. dp_event_fd() is an eventfd that
// becomes readable when one arrives after dp_event_wait(true) said that the thread sleeps.
unsigned dp_event_take(struct abi_evt *evts, unsigned n);
int dp_event_fd(void);
// True before sleeping: returns false when events are there already (then do not sleep).
bool dp_event_wait(bool waiting);

// Ends the sleep of an lcore in adaptive mode; called after giving it work.
void dp_lcore_wake(struct dp_lcore *lcore);

// Boot: structures, rings and statistics of all lcores, before anything uses them. 0 or -errno.
int dp_lcores_init(const struct cfg *cfg);
void dp_lcores_fini(void);
// Starts the poll loops and stream lcores on their EAL threads, and stops them.
int dp_lcores_launch(void);
void dp_lcores_stop(void);
// Lcores leave their loops when this is true.
extern _Atomic bool dp_stop;
// Idle mode `busy`: nobody sleeps.
extern bool dp_idle_busy;
