// SPDX-License-Identifier: GPL-3.0-or-later
// Routes of the two sides, from the kernel: longest-prefix match for l3-forward and outer-output.
//
// A multibit trie, 16 bits at the root and 8 a level: two or three loads for IPv4. rte_lpm and
// rte_fib take 64 MB for each table, four of which do not fit a small machine, and give back
// their tbl8 groups by a QSBR other than ours; this one starts at 512 KB a table.
// docs/decisions/0006 says more. Slots change by single atomic stores; nodes and routes are freed
// a grace period after they went out of use.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"
#include "dataplane/table/neigh.h"

enum dp_fib_side {
	DP_FIB_WAN = 0,
	DP_FIB_LAN = 1,
	DP_FIB_SIDES,
};

enum dp_route_type {
	DP_ROUTE_LINK = 1, // on the link: the destination is the next hop
	DP_ROUTE_VIA, // through `neigh`
	DP_ROUTE_LOCAL, // an address of the kernel's interface
	DP_ROUTE_REJECT, // unreachable, blackhole, broadcast
	DP_ROUTE_SESSION, // behind the client of `sid`: goes before the kernel's of the same prefix
};
#define DP_ROUTE_NO_PORT 0xffu // of DP_ROUTE_SESSION

struct dp_route {
	uint8_t type; // enum dp_route_type
	uint8_t port; // index in dp_ports
	uint8_t v6;
	uint8_t len; // of the prefix, in its family
	struct dp_neigh *neigh; // DP_ROUTE_VIA; else NULL
	struct abi_sid sid; // DP_ROUTE_SESSION: the session, which may have ended
	// ctl alone
	struct abi_addr prefix; // v4-mapped
	uint32_t metric; // lower wins
	uint32_t epoch; // of the dump that saw it last
	struct dp_route *next; // other routes of the same prefix, by metric
	struct dp_route *bucket_next; // first of its prefix: in the control thread's hash
	struct dp_reclaim reclaim;
};

// A slot: 0 no route; bit 0 set: a struct dp_fib_node; else a struct dp_route.
struct dp_fib_node {
	_Atomic uintptr_t slot[256];
	struct dp_reclaim reclaim;
};

extern _Atomic uintptr_t *dp_fib_root[DP_FIB_SIDES][2]; // [side][v6], 65,536 slots each

// Any registered reader. addr: 4 or 16 bytes. NULL: no route.
static inline const struct dp_route *dp_fib_lookup(
	enum dp_fib_side side, bool v6, const uint8_t *addr) {
	uintptr_t e = atomic_load_explicit(
		&dp_fib_root[side][v6][addr[0] << 8 | addr[1]], memory_order_acquire);

	for (addr += 2; e & 1; addr++) {
		struct dp_fib_node *node = (struct dp_fib_node *)(e & ~(uintptr_t)1);

		e = atomic_load_explicit(&node->slot[*addr], memory_order_acquire);
	}
	return (const struct dp_route *)e;
}

int dp_fib_init(void);
void dp_fib_fini(void); // when no reader is left

// What the control thread says about a route.
struct dp_route_spec {
	uint8_t side; // enum dp_fib_side
	uint8_t type;
	uint8_t port;
	bool v6;
	uint8_t len;
	uint32_t metric;
	const uint8_t *prefix; // 4 or 16 bytes; host bits are ignored
	const uint8_t *gateway; // DP_ROUTE_VIA: 4 or 16 bytes
	struct dp_neigh *neigh; // DP_ROUTE_VIA: instead of gateway
	struct abi_sid sid; // DP_ROUTE_SESSION
	bool replace; // takes the place of others with the same prefix and metric
	uint32_t epoch;
};

// Control thread. Adding what is there refreshes its epoch. 0 or -EINVAL, -ENOMEM, -ENOSPC.
int dp_fib_add(const struct dp_route_spec *spec);
// Removes the route with the same prefix, metric, port and (unless NULL) gateway. 0 or -ESRCH.
int dp_fib_del(const struct dp_route_spec *spec);
// Is there a route to a session of exactly this prefix?
bool dp_fib_has_session(const struct dp_route_spec *spec);
// Removes the routes whose epoch is neither `epoch` nor 0 (0: ours, not the kernel's).
void dp_fib_sweep(uint32_t epoch);
uint32_t dp_fib_count(enum dp_fib_side side);

// v4 addresses in the boundary's form.
static inline void dp_addr_from(struct abi_addr *out, bool v6, const uint8_t *bytes) {
	if (v6) {
		__builtin_memcpy(out->bytes, bytes, 16);
		return;
	}
	// whole words: what is compared right after is read as such
	const uint64_t zero = 0;
	uint32_t v4;

	__builtin_memcpy(&v4, bytes, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t low = (uint64_t)v4 << 32 | 0xffff0000;
#else
	uint64_t low = UINT64_C(0xffff00000000) | v4;
#endif
	__builtin_memcpy(out->bytes, &zero, 8);
	__builtin_memcpy(out->bytes + 8, &low, 8);
}

static inline bool dp_addr_is4(const struct abi_addr *addr) {
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return __builtin_memcmp(addr->bytes, mapped, 12) == 0;
}
