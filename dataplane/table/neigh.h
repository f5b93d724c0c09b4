// SPDX-License-Identifier: GPL-3.0-or-later
// Neighbours: link addresses of next hops, learnt from the kernel. Read by output nodes.
//
// The control thread writes, workers read without locks: entries are freed a grace period after
// they left the table, a link address changes in one atomic store. Workers ask for what is not
// resolved through a ring of their own.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"
#include "dataplane/table/reclaim.h"

#define DP_NEIGH_MAX 65536u
#define DP_NEIGH_VALID (UINT64_C(1) << 48)

struct dp_neigh {
	struct abi_addr addr;
	uint8_t port; // index in dp_ports
	_Atomic uint8_t used; // workers: sent to since the control thread last looked
	_Atomic uint64_t link; // MAC in bits 0-47 (first byte lowest), DP_NEIGH_VALID
	struct dp_neigh *_Atomic next; // in the bucket
	// ctl alone
	uint32_t refs; // routes through it
	bool known; // the kernel has it
	bool fresh; // the kernel confirmed it, or holds it for good: no need to probe
	uint32_t epoch; // of the dump that saw it last
	struct dp_reclaim reclaim;
};

// Counts changes of routes, neighbours and their link addresses, never 0. Who keeps what it found
// looks it up anew when this is another: read it before the lookup. What left the tables is freed a
// grace period after it was counted.
extern _Atomic uint32_t dp_way_epoch;

static inline uint32_t dp_way_now(void) {
	return atomic_load_explicit(&dp_way_epoch, memory_order_acquire);
}

// Control thread: after a change, before what it took out is given to dp_reclaim.
void dp_way_changed(void);

struct dp_neigh_request {
	struct abi_addr addr;
	uint8_t port;
};

// Boot: for `workers` packet workers. 0 or -ENOMEM.
int dp_neigh_init(unsigned workers);
// When no reader is left.
void dp_neigh_fini(void);

// Any registered reader; valid until its next quiescent state. NULL: unknown.
struct dp_neigh *dp_neigh_lookup(uint8_t port, const struct abi_addr *addr);

// Says that something is sent there. Read before write: the line stays shared among workers.
static inline void dp_neigh_use(struct dp_neigh *neigh) {
	if (!atomic_load_explicit(&neigh->used, memory_order_relaxed))
		atomic_store_explicit(&neigh->used, 1, memory_order_relaxed);
}

// Copies the link address. False: not resolved.
static inline bool dp_neigh_mac(struct dp_neigh *neigh, uint8_t mac[6]) {
	uint64_t link = atomic_load_explicit(&neigh->link, memory_order_acquire);

	if (!(link & DP_NEIGH_VALID))
		return false;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)(link >> (8 * i));
	dp_neigh_use(neigh);
	return true;
}

// Worker: asks the control thread to resolve. Never blocks; lost when 64 are waiting (the next
// packet asks again). Rings the bell once until the control thread takes them.
void dp_neigh_request(unsigned worker, uint8_t port, const struct abi_addr *addr);
// Control thread: readable when there are requests. take: false when there is none.
int dp_neigh_request_fd(void);
void dp_neigh_request_clear(void);
bool dp_neigh_request_take(struct dp_neigh_request *request);

// Control thread: finds or makes an entry without link address. NULL: the table is full.
struct dp_neigh *dp_neigh_get(uint8_t port, const struct abi_addr *addr);
// Sets (NULL: takes away) the link address.
void dp_neigh_set(struct dp_neigh *neigh, const uint8_t *mac);
// Removes the entry unless a route uses it or the kernel has it.
void dp_neigh_release(struct dp_neigh *neigh);
// Calls fn for every entry; fn may release it.
void dp_neigh_each(void (*fn)(struct dp_neigh *neigh, void *arg), void *arg);
uint32_t dp_neigh_count(void);
