// SPDX-License-Identifier: GPL-3.0-or-later
// Address pools: who has which inner address, and who had it last. Used by sessions.c, connect.c.
//
// An address is free, leased (exactly one session holds it) or remembered for the user who held
// it last. A new lease takes, in this order, an address remembered for the same user, one that
// nobody had yet, the one that has been remembered for longest. Constant time but for the bitmap.
// Addresses that the configuration gives to users (owned) are nobody else's: they are never
// remembered, and leased by name alone.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/session/session.h"
#include "yang/config.h"

struct pools;

#define POOL_NO_SESSION UINT32_MAX

// Copies what it needs of the configuration. NULL: out of memory.
struct pools *pools_new(const struct cfg *cfg);
void pools_free(struct pools *pools);
// Does the configuration still describe these pools?
bool pools_same(const struct pools *pools, const struct cfg *cfg);
// Which pools may serve: by name, the first one first. NULL, or none: all.
struct pools_of {
	char *const *names;
	size_t nb;
};

// Is there a pool of this family among them at all?
bool pools_has(const struct pools *pools, const struct pools_of *of, int family);
// The addresses of cfg->users are owned from now on, all others are not. Leases stay.
void pools_own(struct pools *pools, const struct cfg *cfg);
bool pools_owned(const struct pools *pools, const struct abi_addr *addr);
// Length of what a client of this address gets: v4 128-mapped is not counted, so 32 or 1..128.
uint8_t pools_client_prefix(const struct pools *pools, const struct abi_addr *addr);
// Netmask of the pool, v4-mapped. All zero when the address is in no pool.
struct abi_addr pools_netmask4(const struct pools *pools, const struct abi_addr *addr);

// Leases an address of the family to session `index`. 0 or -ENOSPC: every pool is used up.
int pools_lease(struct pools *pools, const struct pools_of *of, int family, const char *user,
	uint32_t index, uint64_t now_s, struct abi_addr *addr);
// Takes this very address (of a session of the store, or the user's own). -EADDRNOTAVAIL: not in a
// pool; -EADDRINUSE.
int pools_take(struct pools *pools, const struct abi_addr *addr, const char *user, uint32_t index,
	uint64_t now_s);
// The session that has leased the address, or POOL_NO_SESSION.
uint32_t pools_holder(const struct pools *pools, const struct abi_addr *addr);
// The address as it is leased: that of its client's prefix (ipv6-client-prefix). All zero: not in
// a pool.
struct abi_addr pools_address(const struct pools *pools, const struct abi_addr *addr);
// The session is gone: the address stays remembered for its user. Unless `index` holds it: no-op.
void pools_release(
	struct pools *pools, const struct abi_addr *addr, uint32_t index, uint64_t now_s);
// Loading: this user had it last. To be called in order of time, oldest first. An address
// outside of all pools, or not free, is refused with false.
bool pools_remember(
	struct pools *pools, const struct abi_addr *addr, const char *user, uint64_t last_used);

int pools_each_lease(
	struct pools *pools, int (*each)(const struct lease_info *info, void *arg), void *arg);
int pools_each(
	struct pools *pools, int (*each)(const struct pool_info *info, void *arg), void *arg);
