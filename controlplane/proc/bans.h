// SPDX-License-Identifier: GPL-3.0-or-later
// What addresses have done wrong, and which are banned for it. The session process counts here
// (session/guard.c); edges keep a copy of the bans alone (edge/guard.c).
//
// An IPv4 address is one entry; an IPv6 address is one, and its /64 another with a limit of its
// own: a host that changes its addresses is caught by the /64, one bad host of many by itself. The
// table has a fixed size. A stranger takes the place of whoever was quiet for longest; a ban gives
// its place to nobody before its time, and bans take three quarters of the table at most. Times
// are CLOCK_MONOTONIC seconds, given by the caller.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/addr.h"
#include "yang/config.h"

#define BANS_ENTRIES 65536u // power of two
#define BANS_MAX (BANS_ENTRIES / 4 * 3)

// A copy of what the configuration says. The prefixes stay the caller's.
struct bans_limits {
	uint32_t max_score; // of an address; 0: nothing is counted, nobody banned
	uint32_t max_score_prefix; // of an IPv6 /64
	uint32_t points_wrong_password, points_connection;
	uint32_t ban_time_s;
	uint32_t reset_time_s; // what was done is forgotten so long after its first
	const struct cfg_prefix *exempt;
	size_t nb_exempt;
};

struct ban_info {
	struct abi_addr addr; // v4-mapped; the host part of a /64 is zero
	uint8_t prefix_len; // 128, or 64
	uint32_t wrong_passwords, connections; // since `counting_s`
	uint64_t refused; // connections, since the ban began
	uint64_t counting_s;
	uint64_t since_s, until_s; // of the ban; until_s 0: not banned
};

struct bans_hooks {
	// A ban began, or (`lifted`) ended before its time. Not called when its time has come.
	void (*changed)(const struct ban_info *info, bool lifted, void *arg);
	void *arg;
};

struct bans;

// The limits of a configuration, to whose prefixes they point.
struct bans_limits bans_limits_of(const struct cfg *cfg);

// `entries` at most BANS_ENTRIES, a power of two from 4. NULL: no memory or no random numbers.
struct bans *bans_new(uint32_t entries, const struct bans_hooks *hooks);
void bans_free(struct bans *bans);

// New limits count at once: bans that they do not know any more are lifted, the others get their
// new time. The prefixes of before are not looked at any more.
void bans_limits_set(struct bans *bans, const struct bans_limits *limits, uint64_t now_s);

// The prefixes alone: all that a copy of the bans needs of the limits.
void bans_exempt_set(struct bans *bans, const struct cfg_prefix *exempt, size_t nb_exempt);

// Counts. What a banned address does is not counted: nobody can prolong a ban.
void bans_wrong_password(struct bans *bans, const struct abi_addr *addr, uint64_t now_s);
void bans_connections(struct bans *bans, const struct abi_addr *addr, uint32_t n, uint64_t now_s);
// Connections that were refused for a ban.
void bans_refused(struct bans *bans, const struct abi_addr *addr, uint32_t n, uint64_t now_s);

// The address or its /64 is banned.
bool bans_banned(struct bans *bans, const struct abi_addr *addr, uint64_t now_s);
bool bans_exempt(const struct bans *bans, const struct abi_addr *addr);
// A ban decided elsewhere. 0, -ENOSPC (BANS_MAX are there), or -EINVAL: no such prefix, or it is
// over. Tells the hook unless it was there before.
int bans_put(struct bans *bans, const struct ban_info *info, uint64_t now_s);
// Ends the bans of the address, and of its /64, and forgets their points. True: there was one.
bool bans_lift(struct bans *bans, const struct abi_addr *addr, uint64_t now_s);
// The one ban of exactly this prefix.
bool bans_lift_one(
	struct bans *bans, const struct abi_addr *addr, uint8_t prefix_len, uint64_t now_s);
// All of them; returns how many there were.
uint32_t bans_lift_all(struct bans *bans, uint64_t now_s);

// Bans in force.
uint32_t bans_count(struct bans *bans, uint64_t now_s);
// Bans that found no place since the start.
uint64_t bans_overflows(const struct bans *bans);
uint32_t bans_score(const struct bans *bans, const struct ban_info *info);
// Calls `each` for every ban, the first to end first; then, with `all`, for the other addresses
// that have points, the last to get some first. Until it returns non-zero; returns that. `skip`
// entries are left out at the beginning. `each` changes nothing here.
int bans_each(struct bans *bans, bool all, uint32_t skip, uint64_t now_s,
	int (*each)(const struct ban_info *info, void *arg), void *arg);
