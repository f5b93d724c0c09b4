// SPDX-License-Identifier: GPL-3.0-or-later
// Indexes of the session table: outer tuples (cuckoo hash, lock-free readers), client addresses
// (chains through an array), inner addresses (direct). Written by the control thread, read by all.
#include "dataplane/table/session_index.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_jhash.h>
#include <rte_prefetch.h>
#include <rte_random.h>

#include "dataplane/table/session.h"
#include "dataplane/table/slab.h"
#include "yang/config.h"

#define POOLS_MAX 64u
#define POOL4_PREFIX_MIN 8u
#define POOL6_ENTRIES_MAX (1u << 21) // clients' prefixes of a v6 pool that can be in use
#define CHAIN_MAX 64u // steps at most: a reader may meet a chain under change

// Of a pool: which session (NULL: none) has the n-th address or prefix.
struct pool {
	bool has4, has6;
	uint32_t base4, size4; // host order
	struct dp_session *_Atomic *by4;
	unsigned __int128 base6; // already shifted
	unsigned shift6; // bits that are the client's own
	unsigned __int128 span6; // prefixes in the pool
	uint32_t size6; // entries of by6
	struct dp_session *_Atomic *by6;
};

// A session's place in the chain of its client's address.
struct link {
	_Atomic uint32_t next; // index + 1
	bool linked; // ctl
	struct abi_addr remote; // readers may see it torn: the record's authenticity decides
};

struct free_position {
	struct dp_reclaim reclaim;
	int32_t position;
};

static struct rte_hash *tuples;
static struct link *links;
static _Atomic uint32_t *heads; // by hash of the address; index + 1
static uint32_t heads_mask, heads_seed;
static struct pool pools[POOLS_MAX];
static unsigned nb_pools;

int session_index_init(uint32_t max) {
	struct rte_hash_parameters params = {
		.name = "dp_tuples",
		// a session has one tuple, and for some seconds the one before
		.entries = max + max / 4 + 64,
		.key_len = sizeof(struct abi_tuple),
		.hash_func = rte_hash_crc,
		.hash_func_init_val = (uint32_t)rte_rand(),
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF |
			RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	nb_pools = 0;
	heads_mask = rte_align32pow2(max) - 1;
	heads_seed = (uint32_t)rte_rand();
	tuples = rte_hash_create(&params);
	links = calloc(max, sizeof(*links));
	heads = calloc((size_t)heads_mask + 1, sizeof(*heads));
	if (tuples != NULL && links != NULL && heads != NULL)
		return 0;
	session_index_fini();
	return -ENOMEM;
}

void session_index_fini(void) {
	for (unsigned i = 0; i < nb_pools; i++) {
		free((void *)pools[i].by4);
		free((void *)pools[i].by6);
	}
	memset(pools, 0, sizeof(pools));
	nb_pools = 0;
	rte_hash_free(tuples);
	free(links);
	free((void *)heads);
	tuples = NULL;
	links = NULL;
	heads = NULL;
}

// Outer tuples.

int session_index_tuple_add(const struct abi_tuple *tuple, struct dp_session *session) {
	return rte_hash_add_key_data(tuples, tuple, session) == 0 ? 0 : -ENOSPC;
}

static void position_release(struct dp_reclaim *reclaim) {
	struct free_position *p = (struct free_position *)reclaim;

	if (tuples != NULL)
		rte_hash_free_key_with_position(tuples, p->position);
	free(p);
}

void session_index_tuple_del(const struct abi_tuple *tuple, const struct dp_session *session) {
	struct free_position *p;
	int32_t position;
	void *data;

	if (rte_hash_lookup_data(tuples, tuple, &data) < 0 || data != session)
		return;
	position = rte_hash_del_key(tuples, tuple);
	p = malloc(sizeof(*p));
	if (p == NULL)
		return; // the place is lost, but nobody finds the session
	p->position = position;
	dp_reclaim(&p->reclaim, position_release);
}

void dp_session_lookup_bulk(
	const struct abi_tuple *const *keys, unsigned n, struct dp_session **out) {
	uint64_t hits = 0;

	memset(out, 0, n * sizeof(*out));
	if (n == 0 ||
		rte_hash_lookup_bulk_data(
			tuples, (const void **)(uintptr_t)keys, n, &hits, (void **)out) <= 0)
		return;
	for (unsigned i = 0; i < n; i++)
		if (!(hits >> i & 1))
			out[i] = NULL;
}

// Clients of one address.

static uint32_t remote_bucket(const struct abi_addr *remote) {
	uint32_t words[4];

	memcpy(words, remote->bytes, sizeof(words));
	return rte_jhash_32b(words, RTE_DIM(words), heads_seed) & heads_mask;
}

void session_index_remote_clear(uint32_t index) {
	struct link *link = &links[index];
	_Atomic uint32_t *at;

	if (!link->linked)
		return;
	for (at = &heads[remote_bucket(&link->remote)]; *at != 0; at = &links[*at - 1].next) {
		if (*at != index + 1)
			continue;
		atomic_store_explicit(at, link->next, memory_order_release);
		break;
	}
	link->linked = false;
}

void session_index_remote_set(uint32_t index, const struct abi_addr *remote) {
	struct link *link = &links[index];
	_Atomic uint32_t *head = &heads[remote_bucket(remote)];

	if (link->linked && memcmp(&link->remote, remote, sizeof(*remote)) == 0)
		return;
	session_index_remote_clear(index);
	link->remote = *remote;
	link->linked = true;
	atomic_store_explicit(&link->next, *head, memory_order_relaxed);
	atomic_store_explicit(head, index + 1, memory_order_release);
}

unsigned dp_session_candidates(
	const struct abi_addr *remote, struct dp_session **out, unsigned max) {
	uint32_t at = atomic_load_explicit(&heads[remote_bucket(remote)], memory_order_acquire);
	unsigned n = 0;

	for (unsigned steps = 0; at != 0 && n < max && steps < CHAIN_MAX; steps++) {
		struct dp_session *session = dp_session_at(at - 1);

		if (session != NULL && memcmp(&links[at - 1].remote, remote, sizeof(*remote)) == 0)
			out[n++] = session;
		at = atomic_load_explicit(&links[at - 1].next, memory_order_acquire);
	}
	return n;
}

// Inner addresses.

static unsigned __int128 load128(const uint8_t *bytes) {
	unsigned __int128 v = 0;

	for (unsigned i = 0; i < 16; i++)
		v = v << 8 | bytes[i];
	return v;
}

static int pool_set4(struct pool *pool, const struct cfg_prefix *v4) {
	uint32_t addr;

	if (v4->addr.family != AF_INET)
		return 0;
	if (v4->len < POOL4_PREFIX_MIN || v4->len > 32)
		return -E2BIG;
	memcpy(&addr, v4->addr.bytes, sizeof(addr));
	pool->size4 = 1u << (32 - v4->len);
	pool->base4 = ntohl(addr) & ~(pool->size4 - 1);
	pool->by4 = dp_table_alloc(pool->size4, sizeof(*pool->by4));
	pool->has4 = pool->by4 != NULL;
	return pool->has4 ? 0 : -ENOMEM;
}

static int pool_set6(struct pool *pool, const struct cfg_pool *cfg) {
	const struct cfg_prefix *v6 = &cfg->v6;
	unsigned client = cfg->v6_client_prefix != 0 ? cfg->v6_client_prefix : 128;

	if (v6->addr.family != AF_INET6)
		return 0;
	if (client > 128 || v6->len > client || client == 0)
		return -EINVAL;
	pool->shift6 = 128 - client;
	pool->span6 = client - v6->len >= 127 ? (unsigned __int128)1 << 127
					      : (unsigned __int128)1 << (client - v6->len);
	pool->base6 = (load128(v6->addr.bytes) >> pool->shift6) & ~(pool->span6 - 1);
	pool->size6 = pool->span6 > POOL6_ENTRIES_MAX ? POOL6_ENTRIES_MAX : (uint32_t)pool->span6;
	pool->by6 = dp_table_alloc(pool->size6, sizeof(*pool->by6));
	pool->has6 = pool->by6 != NULL;
	return pool->has6 ? 0 : -ENOMEM;
}

int session_index_pools(const struct cfg *cfg) {
	if (cfg->nb_pools > POOLS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < cfg->nb_pools; i++) {
		int rc = pool_set4(&pools[i], &cfg->pools[i].v4);

		nb_pools = (unsigned)i + 1;
		if (rc == 0)
			rc = pool_set6(&pools[i], &cfg->pools[i]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

// The entry of an address; NULL: in no pool, or none that a session can have.
static struct dp_session *_Atomic *entry4(uint32_t addr, bool *inside) {
	uint32_t host = ntohl(addr);

	for (unsigned i = 0; i < nb_pools; i++) {
		if (!pools[i].has4 || host - pools[i].base4 >= pools[i].size4)
			continue;
		*inside = true;
		return &pools[i].by4[host - pools[i].base4];
	}
	*inside = false;
	return NULL;
}

static struct dp_session *_Atomic *entry6(const uint8_t *addr, bool *inside, unsigned *unit) {
	unsigned __int128 full = load128(addr);

	*inside = false;
	for (unsigned i = 0; i < nb_pools; i++) {
		unsigned __int128 n;

		if (!pools[i].has6)
			continue;
		n = (full >> pools[i].shift6) - pools[i].base6;
		if (n >= pools[i].span6)
			continue;
		*inside = true;
		*unit = 128 - pools[i].shift6;
		return n < pools[i].size6 ? &pools[i].by6[(uint32_t)n] : NULL;
	}
	return NULL;
}

static struct dp_session *entry_session(struct dp_session *const _Atomic *entry) {
	return entry != NULL ? atomic_load_explicit(entry, memory_order_acquire) : NULL;
}

static int entry_check(struct dp_session *const _Atomic *entry) {
	if (entry == NULL)
		return -EINVAL;
	return entry_session(entry) != NULL ? -EADDRINUSE : 0;
}

int session_index_inner_check(
	const struct abi_addr *inner4, const struct abi_addr *inner6, uint8_t prefix6) {
	unsigned unit = 128;
	bool inside;
	int rc = 0;

	if (!addr_none(inner4))
		rc = entry_check(entry4(addr_get4(inner4), &inside));
	if (rc == 0 && !addr_none(inner6))
		rc = entry_check(entry6(inner6->bytes, &inside, &unit));
	if (rc == 0 && !addr_none(inner6) && prefix6 < unit)
		return -EINVAL;
	return rc;
}

static void inner_store(
	const struct abi_addr *inner4, const struct abi_addr *inner6, struct dp_session *value) {
	struct dp_session *_Atomic *entry;
	unsigned unit;
	bool inside;

	if (!addr_none(inner4)) {
		entry = entry4(addr_get4(inner4), &inside);
		if (entry != NULL)
			atomic_store_explicit(entry, value, memory_order_release);
	}
	if (!addr_none(inner6)) {
		entry = entry6(inner6->bytes, &inside, &unit);
		if (entry != NULL)
			atomic_store_explicit(entry, value, memory_order_release);
	}
}

void session_index_inner_set(
	struct dp_session *session, const struct abi_addr *inner4, const struct abi_addr *inner6) {
	inner_store(inner4, inner6, session);
}

void session_index_inner_clear(const struct abi_addr *inner4, const struct abi_addr *inner6) {
	inner_store(inner4, inner6, NULL);
}

uint64_t dp_session_inner_bulk(const uint8_t *const *ips, unsigned n, struct dp_session **out) {
	struct dp_session *_Atomic *entries[64];
	uint64_t pool = 0;
	unsigned unit;
	bool inside;

	for (unsigned i = 0; i < n; i++) {
		uint32_t addr;

		if (ips[i][0] >> 4 == 6) {
			entries[i] = entry6(ips[i] + 24, &inside, &unit);
		} else {
			memcpy(&addr, ips[i] + 16, sizeof(addr));
			entries[i] = entry4(addr, &inside);
		}
		pool |= (uint64_t)inside << i;
		rte_prefetch0((const void *)(uintptr_t)entries[i]);
	}
	for (unsigned i = 0; i < n; i++)
		out[i] = entry_session(entries[i]);
	return pool;
}

struct dp_session *dp_session_by_inner4(uint32_t addr) {
	bool inside;

	return entry_session(entry4(addr, &inside));
}

struct dp_session *dp_session_by_inner6(const uint8_t *addr) {
	struct dp_session *session;
	unsigned unit;
	bool inside;

	session = entry_session(entry6(addr, &inside, &unit));
	// a prefix longer than the pool's unit owns that part of it alone
	if (session != NULL && !dp_session_has6(session, addr))
		return NULL;
	return session;
}

bool dp_session_pool4(uint32_t addr) {
	bool inside;

	entry4(addr, &inside);
	return inside;
}

bool dp_session_pool6(const uint8_t *addr) {
	unsigned unit;
	bool inside;

	entry6(addr, &inside, &unit);
	return inside;
}
