// SPDX-License-Identifier: GPL-3.0-or-later
// Leases of inner addresses, sticky per user. Called by sessions.c and connect.c.
#include "controlplane/session/pools.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/session/record.h"

#define NONE UINT32_MAX

enum entry_state {
	ENTRY_FREE,
	ENTRY_LEASED,
	ENTRY_REMEMBERED,
};

struct entry {
	char *user; // leased or remembered
	uint64_t last_used;
	uint32_t session; // leased
	uint32_t newer, older; // remembered: in order of last use
	uint32_t user_next; // remembered: chain of its user's bucket
	uint8_t state;
	bool owned; // free ones are neither fresh nor remembered
};

// One family of one configured pool.
struct pool {
	char *name;
	struct cfg_pool cfg; // name is not used
	int family;
	uint32_t size, nb_leased, nb_remembered;
	struct entry *entries; // [size]
	uint64_t *fresh; // bitmap: 1 = nobody had it yet
	uint32_t fresh_from; // words below hold no 1
	uint32_t oldest, newest; // of the remembered
	uint32_t *buckets; // remembered by user
	uint32_t nb_buckets; // power of two
};

struct pools {
	size_t nb;
	struct pool pool[];
};

// --- addresses ---

static int addr_family(const struct abi_addr *addr) {
	return abi_addr_is4(addr) ? AF_INET : AF_INET6;
}

static struct abi_addr addr_at(const struct pool *pool, uint32_t n) {
	struct abi_addr addr = {0};

	if (pool->family == AF_INET) {
		addr.bytes[10] = addr.bytes[11] = 0xff;
		cfg_pool_address(&pool->cfg, AF_INET, n, addr.bytes + 12);
	} else {
		cfg_pool_address(&pool->cfg, AF_INET6, n, addr.bytes);
	}
	return addr;
}

static struct pool *find(const struct pools *pools, const struct abi_addr *addr, uint32_t *n) {
	int family = addr_family(addr);

	for (size_t i = 0; i < pools->nb; i++) {
		const struct pool *pool = &pools->pool[i];
		int64_t index;

		if (pool->family != family)
			continue;
		index = cfg_pool_index(
			&pool->cfg, family, family == AF_INET ? addr->bytes + 12 : addr->bytes);
		if (index >= 0 && index < pool->size) {
			*n = (uint32_t)index;
			return (struct pool *)(uintptr_t)pool;
		}
	}
	return NULL;
}

// --- the remembered: a list by time and a hash by user ---

static uint32_t *bucket_of(struct pool *pool, const char *user) {
	uint32_t hash = 2166136261u;

	while (*user)
		hash = (hash ^ (uint8_t)*user++) * 16777619u;
	return &pool->buckets[(hash ^ hash >> 15) & (pool->nb_buckets - 1)];
}

static void remembered_add(struct pool *pool, uint32_t n) {
	struct entry *entry = &pool->entries[n];
	uint32_t *bucket = bucket_of(pool, entry->user);

	entry->state = ENTRY_REMEMBERED;
	entry->older = pool->newest;
	entry->newer = NONE;
	if (pool->newest != NONE)
		pool->entries[pool->newest].newer = n;
	else
		pool->oldest = n;
	pool->newest = n;
	entry->user_next = *bucket;
	*bucket = n;
	pool->nb_remembered++;
}

static void remembered_del(struct pool *pool, uint32_t n) {
	struct entry *entry = &pool->entries[n];
	uint32_t *link = bucket_of(pool, entry->user);

	while (*link != n)
		link = &pool->entries[*link].user_next;
	*link = entry->user_next;
	if (entry->older != NONE)
		pool->entries[entry->older].newer = entry->newer;
	else
		pool->oldest = entry->newer;
	if (entry->newer != NONE)
		pool->entries[entry->newer].older = entry->older;
	else
		pool->newest = entry->older;
	entry->state = ENTRY_FREE;
	pool->nb_remembered--;
}

static uint32_t remembered_find(struct pool *pool, const char *user) {
	uint32_t n = *bucket_of(pool, user);

	while (n != NONE && strcmp(pool->entries[n].user, user) != 0)
		n = pool->entries[n].user_next;
	return n;
}

// --- the fresh: a bitmap ---

static bool fresh_has(const struct pool *pool, uint32_t n) {
	return pool->fresh[n / 64] >> (n % 64) & 1;
}

static void fresh_clear(struct pool *pool, uint32_t n) {
	pool->fresh[n / 64] &= ~(1ull << (n % 64));
}

static void fresh_set(struct pool *pool, uint32_t n) {
	pool->fresh[n / 64] |= 1ull << (n % 64);
	if (n / 64 < pool->fresh_from)
		pool->fresh_from = n / 64;
}

// Hardly ever set again, so the search goes over each word about once in the pool's life.
static uint32_t fresh_first(struct pool *pool) {
	uint32_t words = (pool->size + 63) / 64;

	while (pool->fresh_from < words && !pool->fresh[pool->fresh_from])
		pool->fresh_from++;
	if (pool->fresh_from == words)
		return NONE;
	return pool->fresh_from * 64 + (uint32_t)__builtin_ctzll(pool->fresh[pool->fresh_from]);
}

// --- making and freeing ---

static void pool_fini(struct pool *pool) {
	for (uint32_t n = 0; pool->entries && n < pool->size; n++)
		free(pool->entries[n].user);
	free(pool->entries);
	free(pool->fresh);
	free(pool->buckets);
	free(pool->name);
}

static int pool_init(struct pool *pool, const struct cfg_pool *cfg, int family) {
	uint32_t size = cfg_pool_size(cfg, family);

	pool->cfg = *cfg;
	pool->cfg.name = NULL;
	pool->name = strdup(cfg->name);
	pool->family = family;
	pool->size = size;
	pool->oldest = pool->newest = NONE;
	for (pool->nb_buckets = 64; pool->nb_buckets < size; pool->nb_buckets *= 2)
		;
	pool->entries = calloc(size ? size : 1, sizeof(*pool->entries));
	pool->fresh = calloc(size / 64 + 1, sizeof(*pool->fresh));
	pool->buckets = malloc(pool->nb_buckets * sizeof(*pool->buckets));
	if (!pool->name || !pool->entries || !pool->fresh || !pool->buckets)
		return -ENOMEM;
	memset(pool->buckets, 0xff, pool->nb_buckets * sizeof(*pool->buckets));
	for (uint32_t n = 0; n < size; n++)
		pool->fresh[n / 64] |= 1ull << (n % 64);
	return 0;
}

static size_t count_families(const struct cfg *cfg) {
	size_t nb = 0;

	for (size_t i = 0; i < cfg->nb_pools; i++)
		nb += (cfg->pools[i].v4.addr.family != 0) + (cfg->pools[i].v6.addr.family != 0);
	return nb;
}

struct pools *pools_new(const struct cfg *cfg) {
	size_t nb = count_families(cfg);
	struct pools *pools = calloc(1, sizeof(*pools) + nb * sizeof(struct pool));
	int ret = 0;

	if (!pools)
		return NULL;
	for (size_t i = 0; i < cfg->nb_pools && ret == 0; i++) {
		const struct cfg_pool *pool = &cfg->pools[i];

		if (pool->v4.addr.family)
			ret = pool_init(&pools->pool[pools->nb++], pool, AF_INET);
		if (ret == 0 && pool->v6.addr.family)
			ret = pool_init(&pools->pool[pools->nb++], pool, AF_INET6);
	}
	if (ret == 0) {
		pools_own(pools, cfg);
		return pools;
	}
	pools_free(pools);
	return NULL;
}

void pools_free(struct pools *pools) {
	if (!pools)
		return;
	for (size_t i = 0; i < pools->nb; i++)
		pool_fini(&pools->pool[i]);
	free(pools);
}

static bool prefix_same(const struct cfg_prefix *a, const struct cfg_prefix *b) {
	return a->addr.family == b->addr.family && a->len == b->len &&
		memcmp(a->addr.bytes, b->addr.bytes, sizeof(a->addr.bytes)) == 0;
}

static bool addr_same(const struct cfg_addr *a, const struct cfg_addr *b) {
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool pool_same(const struct pool *pool, const struct cfg_pool *cfg, int family) {
	return pool->family == family && strcmp(pool->name, cfg->name) == 0 &&
		prefix_same(&pool->cfg.v4, &cfg->v4) && prefix_same(&pool->cfg.v6, &cfg->v6) &&
		addr_same(&pool->cfg.gateway4, &cfg->gateway4) &&
		addr_same(&pool->cfg.gateway6, &cfg->gateway6) &&
		pool->cfg.v6_client_prefix == cfg->v6_client_prefix;
}

bool pools_same(const struct pools *pools, const struct cfg *cfg) {
	size_t n = 0;

	if (count_families(cfg) != pools->nb)
		return false;
	for (size_t i = 0; i < cfg->nb_pools; i++) {
		const struct cfg_pool *pool = &cfg->pools[i];

		if (pool->v4.addr.family && !pool_same(&pools->pool[n++], pool, AF_INET))
			return false;
		if (pool->v6.addr.family && !pool_same(&pools->pool[n++], pool, AF_INET6))
			return false;
	}
	return true;
}

// Does this pool serve, as the n-th of `of`?
static bool serves(const struct pool *pool, const struct pools_of *of, size_t n, int family) {
	if (pool->family != family || !pool->size)
		return false;
	return !of || !of->nb || strcmp(pool->name, of->names[n]) == 0;
}

static size_t places(const struct pools_of *of) {
	return of && of->nb ? of->nb : 1;
}

// The pools that serve, in order of preference; from *at (0 at first) on. NULL: no more.
static struct pool *serving_next(
	struct pools *pools, const struct pools_of *of, int family, size_t *at) {
	for (; *at < places(of) * pools->nb; (*at)++) {
		struct pool *pool = &pools->pool[*at % pools->nb];

		if (serves(pool, of, *at / pools->nb, family)) {
			(*at)++;
			return pool;
		}
	}
	return NULL;
}

bool pools_has(const struct pools *pools, const struct pools_of *of, int family) {
	size_t at = 0;

	return serving_next((struct pools *)(uintptr_t)pools, of, family, &at) != NULL;
}

// --- addresses of users ---

static void own(struct pools *pools, const struct cfg_addr *from) {
	struct abi_addr addr = {0};
	struct pool *pool;
	struct entry *entry;
	uint32_t n;

	if (from->family == AF_INET) {
		addr.bytes[10] = addr.bytes[11] = 0xff;
		memcpy(addr.bytes + 12, from->bytes, 4);
	} else {
		memcpy(addr.bytes, from->bytes, 16);
	}
	pool = from->family ? find(pools, &addr, &n) : NULL;
	if (!pool)
		return; // the pools have changed, which needs a restart
	entry = &pool->entries[n];
	entry->owned = true;
	fresh_clear(pool, n);
	if (entry->state == ENTRY_REMEMBERED) {
		remembered_del(pool, n);
		free(entry->user);
		entry->user = NULL;
	}
}

static void disown(struct pool *pool, uint32_t n) {
	if (!pool->entries[n].owned)
		return;
	pool->entries[n].owned = false;
	if (pool->entries[n].state == ENTRY_FREE)
		fresh_set(pool, n);
}

void pools_own(struct pools *pools, const struct cfg *cfg) {
	for (size_t i = 0; i < pools->nb; i++) {
		for (uint32_t n = 0; n < pools->pool[i].size; n++)
			disown(&pools->pool[i], n);
	}
	for (size_t i = 0; i < cfg->nb_users; i++) {
		own(pools, &cfg->users[i].settings.ipv4);
		own(pools, &cfg->users[i].settings.ipv6);
	}
}

bool pools_owned(const struct pools *pools, const struct abi_addr *addr) {
	uint32_t n;
	const struct pool *pool = find(pools, addr, &n);

	return pool && pool->entries[n].owned;
}

uint8_t pools_client_prefix(const struct pools *pools, const struct abi_addr *addr) {
	uint32_t n;
	const struct pool *pool = find(pools, addr, &n);

	if (!pool)
		return 0;
	if (pool->family == AF_INET)
		return 32;
	return pool->cfg.v6_client_prefix ? pool->cfg.v6_client_prefix : 128;
}

struct abi_addr pools_netmask4(const struct pools *pools, const struct abi_addr *addr) {
	struct abi_addr mask = {0};
	uint32_t n, bits;
	const struct pool *pool = abi_addr_is4(addr) ? find(pools, addr, &n) : NULL;

	if (!pool)
		return mask;
	bits = pool->cfg.v4.len ? 0xffffffffu << (32 - pool->cfg.v4.len) : 0;
	mask.bytes[10] = mask.bytes[11] = 0xff;
	for (int i = 0; i < 4; i++)
		mask.bytes[12 + i] = (uint8_t)(bits >> (24 - 8 * i));
	return mask;
}

// --- leasing ---

// Gives entry n to the session. Its user's name may be kept from before.
static int lease(struct pool *pool, uint32_t n, const char *user, uint32_t index, uint64_t now_s) {
	struct entry *entry = &pool->entries[n];
	char *name = entry->user && strcmp(entry->user, user) == 0 ? entry->user : strdup(user);

	if (!name)
		return -ENOMEM;
	if (entry->state == ENTRY_REMEMBERED)
		remembered_del(pool, n);
	fresh_clear(pool, n);
	if (name != entry->user)
		free(entry->user);
	entry->user = name;
	entry->state = ENTRY_LEASED;
	entry->session = index;
	entry->last_used = now_s;
	pool->nb_leased++;
	return 0;
}

// The address that has been remembered for longest, in any pool that serves.
static uint32_t choose_oldest(
	struct pools *pools, const struct pools_of *of, int family, struct pool **chosen) {
	uint64_t oldest = UINT64_MAX;
	uint32_t n = NONE;
	struct pool *pool;

	for (size_t at = 0; (pool = serving_next(pools, of, family, &at));) {
		if (pool->oldest != NONE && pool->entries[pool->oldest].last_used < oldest) {
			oldest = pool->entries[pool->oldest].last_used;
			n = pool->oldest;
			*chosen = pool;
		}
	}
	return n;
}

static uint32_t choose(struct pools *pools, const struct pools_of *of, int family, const char *user,
	struct pool **chosen) {
	struct pool *pool;

	// What is remembered for the user somewhere comes before what is fresh anywhere.
	for (int step = 0; step < 2; step++) {
		for (size_t at = 0; (pool = serving_next(pools, of, family, &at));) {
			uint32_t n = step == 0 ? remembered_find(pool, user) : fresh_first(pool);

			if (n != NONE) {
				*chosen = pool;
				return n;
			}
		}
	}
	return choose_oldest(pools, of, family, chosen);
}

int pools_lease(struct pools *pools, const struct pools_of *of, int family, const char *user,
	uint32_t index, uint64_t now_s, struct abi_addr *addr) {
	struct pool *pool = NULL;
	uint32_t n = choose(pools, of, family, user, &pool);
	int ret;

	if (n == NONE)
		return -ENOSPC;
	ret = lease(pool, n, user, index, now_s);
	if (ret == 0)
		*addr = addr_at(pool, n);
	return ret;
}

int pools_take(struct pools *pools, const struct abi_addr *addr, const char *user, uint32_t index,
	uint64_t now_s) {
	uint32_t n;
	struct pool *pool = find(pools, addr, &n);

	if (!pool)
		return -EADDRNOTAVAIL;
	if (pool->entries[n].state == ENTRY_LEASED)
		return pool->entries[n].session == index ? 0 : -EADDRINUSE;
	return lease(pool, n, user, index, now_s);
}

void pools_release(
	struct pools *pools, const struct abi_addr *addr, uint32_t index, uint64_t now_s) {
	uint32_t n;
	struct pool *pool = find(pools, addr, &n);

	if (!pool || pool->entries[n].state != ENTRY_LEASED || pool->entries[n].session != index)
		return;
	pool->nb_leased--;
	pool->entries[n].session = POOL_NO_SESSION;
	pool->entries[n].last_used = now_s;
	if (!pool->entries[n].owned) {
		remembered_add(pool, n);
		return;
	}
	pool->entries[n].state = ENTRY_FREE;
	free(pool->entries[n].user);
	pool->entries[n].user = NULL;
}

uint32_t pools_holder(const struct pools *pools, const struct abi_addr *addr) {
	uint32_t n;
	const struct pool *pool = find(pools, addr, &n);

	return pool && pool->entries[n].state == ENTRY_LEASED ? pool->entries[n].session
							      : POOL_NO_SESSION;
}

struct abi_addr pools_address(const struct pools *pools, const struct abi_addr *addr) {
	uint32_t n;
	const struct pool *pool = find(pools, addr, &n);

	return pool ? addr_at(pool, n) : (struct abi_addr){0};
}

bool pools_remember(
	struct pools *pools, const struct abi_addr *addr, const char *user, uint64_t last_used) {
	uint32_t n;
	struct pool *pool = find(pools, addr, &n);

	if (!pool || !fresh_has(pool, n))
		return false;
	pool->entries[n].user = strdup(user);
	if (!pool->entries[n].user)
		return false;
	fresh_clear(pool, n);
	pool->entries[n].session = POOL_NO_SESSION;
	pool->entries[n].last_used = last_used;
	remembered_add(pool, n);
	return true;
}

// --- showing ---

int pools_each_lease(
	struct pools *pools, int (*each)(const struct lease_info *info, void *arg), void *arg) {
	int ret = 0;

	for (size_t i = 0; i < pools->nb; i++) {
		const struct pool *pool = &pools->pool[i];

		for (uint32_t n = 0; n < pool->size && ret == 0; n++) {
			const struct entry *entry = &pool->entries[n];
			struct lease_info info = {
				.pool = pool->name,
				.user = entry->user,
				.in_use = entry->state == ENTRY_LEASED,
				.id = entry->session,
				.last_used = entry->last_used,
			};

			if (entry->state == ENTRY_FREE)
				continue;
			info.addr = addr_at(pool, n);
			ret = each(&info, arg);
		}
	}
	return ret;
}

int pools_each(
	struct pools *pools, int (*each)(const struct pool_info *info, void *arg), void *arg) {
	int ret = 0;

	for (size_t i = 0; i < pools->nb && ret == 0; i++) {
		const struct pool *pool = &pools->pool[i];
		struct pool_info info = {
			pool->name, pool->family, pool->size, pool->nb_leased, pool->nb_remembered};

		ret = each(&info, arg);
	}
	return ret;
}
