// SPDX-License-Identifier: GPL-3.0-or-later
// How sessions are found: by outer tuple, by the client's address, by inner address. The session
// table alone writes these; see session.h for lookups.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"

struct cfg;
struct dp_session;

int session_index_init(uint32_t max);
void session_index_fini(void);
int session_index_pools(const struct cfg *cfg);

// Outer tuple to session: the last one to claim a tuple has it. 0, -ENOSPC.
int session_index_tuple_add(const struct abi_tuple *tuple, struct dp_session *session);
// Takes the tuple back if it is still this session's: before the session itself is reclaimed.
void session_index_tuple_del(const struct abi_tuple *tuple, const struct dp_session *session);
// Puts the session into the list of `remote`'s clients, out of the one it was in.
void session_index_remote_set(uint32_t index, const struct abi_addr *remote);
void session_index_remote_clear(uint32_t index);

// Inner addresses. -EINVAL: in no pool, or a prefix that is more than the pool's unit;
// -EADDRINUSE.
int session_index_inner_check(
	const struct abi_addr *inner4, const struct abi_addr *inner6, uint8_t prefix6);
void session_index_inner_set(
	struct dp_session *session, const struct abi_addr *inner4, const struct abi_addr *inner6);
void session_index_inner_clear(const struct abi_addr *inner4, const struct abi_addr *inner6);

static inline bool addr_none(const struct abi_addr *addr) {
	uint8_t any = 0;

	for (unsigned i = 0; i < sizeof(addr->bytes); i++)
		any |= addr->bytes[i];
	return any == 0;
}

// v4-mapped?
static inline bool addr_is4(const struct abi_addr *addr) {
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return __builtin_memcmp(addr->bytes, prefix, sizeof(prefix)) == 0;
}

static inline uint32_t addr_get4(const struct abi_addr *addr) {
	uint32_t v4;

	__builtin_memcpy(&v4, addr->bytes + 12, sizeof(v4));
	return v4;
}
