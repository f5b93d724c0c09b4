// SPDX-License-Identifier: GPL-3.0-or-later
// Our own addresses, a short list a port, learnt from the kernel. Read by classify and icmp-error.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "dataplane/abi/abi.h"
#include "dataplane/table/reclaim.h"

#define DP_LOCALS_MAX 64u // a port; further ones are the kernel's alone

struct dp_locals {
	uint32_t n;
	struct abi_addr addr[DP_LOCALS_MAX];
	struct dp_reclaim reclaim;
};

extern struct dp_locals *_Atomic dp_locals[ABI_PORTS_MAX];

// Any registered reader: is the address one of the port's interface?
static inline bool dp_local_has(uint8_t port, const struct abi_addr *addr) {
	const struct dp_locals *l = atomic_load_explicit(&dp_locals[port], memory_order_acquire);

	for (uint32_t i = 0; l != NULL && i < l->n; i++) {
		// the second half first: it is what tells addresses apart
		if (memcmp(l->addr[i].bytes + 8, addr->bytes + 8, 8) == 0 &&
			memcmp(l->addr[i].bytes, addr->bytes, 8) == 0)
			return true;
	}
	return false;
}

// The port's first address of the family that others can answer to (no link-local). False: none.
bool dp_local_first(uint8_t port, bool v6, struct abi_addr *out);

// Control thread. 0 or -ENOMEM, -ENOSPC; setting twice and removing what is not there are no-ops.
int dp_local_add(uint8_t port, const struct abi_addr *addr);
int dp_local_del(uint8_t port, const struct abi_addr *addr);
// Replaces the whole list in one step; n <= DP_LOCALS_MAX.
int dp_local_replace(uint8_t port, const struct abi_addr *addrs, uint32_t n);
// When no reader is left.
void dp_local_fini(void);
