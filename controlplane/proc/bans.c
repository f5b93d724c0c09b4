// SPDX-License-Identifier: GPL-3.0-or-later
// Points and bans of addresses in a table of fixed size; called by session/guard.c, edge/guard.c.

#include "bans.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "controlplane/ipc/addr.h"

#define PREFIX_BYTES 8u // of the /64

struct entry {
	LIST_ENTRY(entry) hash;
	TAILQ_ENTRY(entry) order; // in bans->banned by until_s, or in bans->counted by last use
	struct ban_info info;
};

TAILQ_HEAD(entries, entry);
LIST_HEAD(bucket, entry);

struct bans {
	struct bans_hooks hooks;
	struct bans_limits limits;
	struct entry *pool;
	uint32_t entries, used; // those of the pool from `used` on were never touched
	struct bucket *buckets; // as many as entries
	struct entries banned, counted, free;
	uint32_t nb_banned;
	uint64_t overflows;
	uint64_t key[2]; // nobody outside can choose whose bucket he shares
};

struct bans *bans_new(uint32_t entries, const struct bans_hooks *hooks) {
	struct bans *bans = calloc(1, sizeof(*bans));

	if (bans == NULL)
		return NULL;
	if (hooks != NULL)
		bans->hooks = *hooks;
	bans->entries = entries;
	TAILQ_INIT(&bans->banned);
	TAILQ_INIT(&bans->counted);
	TAILQ_INIT(&bans->free);
	// All zero is an empty list; pages that are never used are never there.
	bans->pool = calloc(entries, sizeof(*bans->pool));
	bans->buckets = calloc(entries, sizeof(*bans->buckets));
	if (bans->pool != NULL && bans->buckets != NULL &&
		getrandom(bans->key, sizeof(bans->key), 0) == sizeof(bans->key))
		return bans;
	bans_free(bans);
	return NULL;
}

void bans_free(struct bans *bans) {
	if (bans == NULL)
		return;
	free(bans->pool);
	free(bans->buckets);
	free(bans);
}

// --- look-up ---

static uint64_t mix(uint64_t v) {
	v *= 0x9e3779b97f4a7c15u;
	v ^= v >> 32;
	v *= 0xd6e8feb86659fd93u;
	return v ^ v >> 32;
}

static struct bucket *bucket_of(struct bans *bans, const struct abi_addr *addr, uint8_t len) {
	uint64_t half[2];

	memcpy(half, addr->bytes, sizeof(half));
	half[0] = mix(half[0] ^ bans->key[0]);
	return &bans->buckets[mix(half[0] ^ half[1] ^ bans->key[1] ^ len) & (bans->entries - 1)];
}

static struct entry *find(struct bans *bans, const struct abi_addr *addr, uint8_t len) {
	struct entry *entry;

	LIST_FOREACH(entry, bucket_of(bans, addr, len), hash) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		if (entry->info.prefix_len == len &&
			memcmp(&entry->info.addr, addr, sizeof(*addr)) == 0)
			return entry;
	}
	return NULL;
}

// False: an IPv4 address has no /64.
static bool prefix_of(const struct abi_addr *addr, struct abi_addr *prefix) {
	if (abi_addr_is4(addr))
		return false;
	*prefix = (struct abi_addr){0};
	memcpy(prefix->bytes, addr->bytes, PREFIX_BYTES);
	return true;
}

// --- life of an entry ---

static void entry_drop(struct bans *bans, struct entry *entry) {
	LIST_REMOVE(entry, hash);
	if (entry->info.until_s != 0) {
		TAILQ_REMOVE(&bans->banned, entry, order);
		bans->nb_banned--;
	} else {
		TAILQ_REMOVE(&bans->counted, entry, order);
	}
	TAILQ_INSERT_HEAD(&bans->free, entry, order);
}

// Nobody is banned longer than to his time.
static void expire(struct bans *bans, uint64_t now_s) {
	struct entry *entry;

	while ((entry = TAILQ_FIRST(&bans->banned)) != NULL && entry->info.until_s <= now_s)
		entry_drop(bans, entry);
}

// A free place, else that of whoever was quiet for longest. Bans never fill the table, so that
// there always is one.
static struct entry *place(struct bans *bans) {
	struct entry *entry;

	if (TAILQ_EMPTY(&bans->free) && bans->used < bans->entries)
		return &bans->pool[bans->used++];
	if (TAILQ_EMPTY(&bans->free))
		entry_drop(bans, TAILQ_LAST(&bans->counted, entries));
	entry = TAILQ_FIRST(&bans->free);
	TAILQ_REMOVE(&bans->free, entry, order);
	return entry;
}

static struct entry *entry_new(
	struct bans *bans, const struct abi_addr *addr, uint8_t len, uint64_t now_s) {
	struct entry *entry = place(bans);

	entry->info = (struct ban_info){.addr = *addr, .prefix_len = len, .counting_s = now_s};
	LIST_INSERT_HEAD(bucket_of(bans, addr, len), entry, hash);
	TAILQ_INSERT_HEAD(&bans->counted, entry, order);
	return entry;
}

static void changed(struct bans *bans, const struct entry *entry, bool lifted) {
	if (bans->hooks.changed != NULL)
		bans->hooks.changed(&entry->info, lifted, bans->hooks.arg);
}

// --- bans ---

static int ban(struct bans *bans, struct entry *entry, uint64_t since_s, uint64_t until_s) {
	struct entry *before;

	if (bans->nb_banned >= bans->entries / 4 * 3) {
		bans->overflows++;
		return -ENOSPC;
	}
	TAILQ_REMOVE(&bans->counted, entry, order);
	entry->info.since_s = since_s;
	entry->info.until_s = until_s;
	bans->nb_banned++;
	// Nearly always the last: they all run equally long.
	before = TAILQ_LAST(&bans->banned, entries);
	while (before != NULL && before->info.until_s > until_s)
		before = TAILQ_PREV(before, entries, order);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&bans->banned, before, entry, order);
	else
		TAILQ_INSERT_HEAD(&bans->banned, entry, order);
	changed(bans, entry, false);
	return 0;
}

static void lift(struct bans *bans, struct entry *entry) {
	struct entry copy = *entry;

	entry_drop(bans, entry);
	changed(bans, &copy, true);
}

uint32_t bans_score(const struct bans *bans, const struct ban_info *info) {
	uint64_t score = (uint64_t)info->wrong_passwords * bans->limits.points_wrong_password +
		(uint64_t)info->connections * bans->limits.points_connection;

	return score < UINT32_MAX ? (uint32_t)score : UINT32_MAX;
}

static uint32_t limit_of(const struct bans *bans, const struct ban_info *info) {
	return info->prefix_len == 128 ? bans->limits.max_score : bans->limits.max_score_prefix;
}

static uint32_t add(uint32_t to, uint32_t n) {
	return to < UINT32_MAX - n ? to + n : UINT32_MAX;
}

static void count(struct bans *bans, const struct abi_addr *addr, uint8_t len, uint32_t wrong,
	uint32_t connections, uint64_t now_s) {
	struct entry *entry = find(bans, addr, len);
	struct ban_info *info;

	if (entry == NULL)
		entry = entry_new(bans, addr, len, now_s);
	info = &entry->info;
	if (info->until_s != 0)
		return;
	TAILQ_REMOVE(&bans->counted, entry, order);
	TAILQ_INSERT_HEAD(&bans->counted, entry, order);
	if (now_s - info->counting_s >= bans->limits.reset_time_s) {
		info->wrong_passwords = info->connections = 0;
		info->counting_s = now_s;
	}
	info->wrong_passwords = add(info->wrong_passwords, wrong);
	info->connections = add(info->connections, connections);
	if (bans_score(bans, info) >= limit_of(bans, info))
		ban(bans, entry, now_s, now_s + bans->limits.ban_time_s);
}

static void count_both(struct bans *bans, const struct abi_addr *addr, uint32_t wrong,
	uint32_t connections, uint64_t now_s) {
	struct abi_addr prefix;

	expire(bans, now_s);
	if (bans->limits.max_score == 0 || bans_exempt(bans, addr) ||
		bans_banned(bans, addr, now_s))
		return;
	if (prefix_of(addr, &prefix))
		count(bans, &prefix, 64, wrong, connections, now_s);
	count(bans, addr, 128, wrong, connections, now_s);
}

void bans_wrong_password(struct bans *bans, const struct abi_addr *addr, uint64_t now_s) {
	if (bans->limits.points_wrong_password != 0)
		count_both(bans, addr, 1, 0, now_s);
}

void bans_connections(struct bans *bans, const struct abi_addr *addr, uint32_t n, uint64_t now_s) {
	if (bans->limits.points_connection != 0 && n != 0)
		count_both(bans, addr, 0, n, now_s);
}

// That of the address, else that of its /64.
static struct entry *ban_find(struct bans *bans, const struct abi_addr *addr, uint64_t now_s) {
	struct abi_addr prefix;
	struct entry *entry;

	if (bans->nb_banned == 0)
		return NULL;
	entry = find(bans, addr, 128);
	if (entry != NULL && entry->info.until_s > now_s)
		return entry;
	entry = prefix_of(addr, &prefix) ? find(bans, &prefix, 64) : NULL;
	return entry != NULL && entry->info.until_s > now_s ? entry : NULL;
}

bool bans_banned(struct bans *bans, const struct abi_addr *addr, uint64_t now_s) {
	return ban_find(bans, addr, now_s) != NULL && !bans_exempt(bans, addr);
}

void bans_refused(struct bans *bans, const struct abi_addr *addr, uint32_t n, uint64_t now_s) {
	struct entry *entry = ban_find(bans, addr, now_s);

	if (entry != NULL)
		entry->info.refused += n;
}

static bool info_ok(const struct ban_info *info, uint64_t now_s) {
	struct abi_addr prefix;

	if (abi_addr_none(&info->addr) || info->until_s <= now_s)
		return false;
	if (info->prefix_len == 128)
		return true;
	return info->prefix_len == 64 && prefix_of(&info->addr, &prefix) &&
		memcmp(&prefix, &info->addr, sizeof(prefix)) == 0;
}

int bans_put(struct bans *bans, const struct ban_info *info, uint64_t now_s) {
	struct entry *entry;

	if (!info_ok(info, now_s))
		return -EINVAL;
	expire(bans, now_s);
	entry = find(bans, &info->addr, info->prefix_len);
	if (entry != NULL && entry->info.until_s == info->until_s)
		return 0;
	if (entry != NULL)
		entry_drop(bans, entry);
	entry = entry_new(bans, &info->addr, info->prefix_len, now_s);
	entry->info.wrong_passwords = info->wrong_passwords;
	entry->info.connections = info->connections;
	return ban(bans, entry, info->since_s, info->until_s);
}

bool bans_lift_one(
	struct bans *bans, const struct abi_addr *addr, uint8_t prefix_len, uint64_t now_s) {
	struct entry *entry;
	bool was;

	expire(bans, now_s);
	entry = find(bans, addr, prefix_len);
	if (entry == NULL)
		return false;
	was = entry->info.until_s != 0;
	if (was)
		lift(bans, entry);
	else
		entry_drop(bans, entry);
	return was;
}

bool bans_lift(struct bans *bans, const struct abi_addr *addr, uint64_t now_s) {
	bool was = bans_lift_one(bans, addr, 128, now_s);
	struct abi_addr prefix;

	if (prefix_of(addr, &prefix))
		was = bans_lift_one(bans, &prefix, 64, now_s) || was;
	return was;
}

uint32_t bans_lift_all(struct bans *bans, uint64_t now_s) {
	uint32_t n = bans_count(bans, now_s);

	while (!TAILQ_EMPTY(&bans->counted))
		entry_drop(bans, TAILQ_FIRST(&bans->counted));
	while (!TAILQ_EMPTY(&bans->banned))
		lift(bans, TAILQ_FIRST(&bans->banned));
	return n;
}

// --- limits ---

struct bans_limits bans_limits_of(const struct cfg *cfg) {
	const struct cfg_brute_force *from = &cfg->auth.brute_force;

	return (struct bans_limits){
		.max_score = from->max_score,
		.max_score_prefix = from->max_score_prefix,
		.points_wrong_password = from->points_wrong_password,
		.points_connection = from->points_connection,
		.ban_time_s = from->ban_time,
		.reset_time_s = from->reset_time,
		.exempt = from->exempt,
		.nb_exempt = from->nb_exempt,
	};
}

void bans_exempt_set(struct bans *bans, const struct cfg_prefix *exempt, size_t nb_exempt) {
	bans->limits.exempt = exempt;
	bans->limits.nb_exempt = nb_exempt;
}

bool bans_exempt(const struct bans *bans, const struct abi_addr *addr) {
	for (size_t i = 0; i < bans->limits.nb_exempt; i++) {
		if (addr_in(addr, &bans->limits.exempt[i]))
			return true;
	}
	return false;
}

static bool still_banned(const struct bans *bans, const struct ban_info *info, uint64_t now_s) {
	return bans->limits.max_score != 0 && !bans_exempt(bans, &info->addr) &&
		info->until_s > now_s && bans_score(bans, info) >= limit_of(bans, info);
}

void bans_limits_set(struct bans *bans, const struct bans_limits *limits, uint64_t now_s) {
	bool longer = limits->ban_time_s != bans->limits.ban_time_s;
	struct entry *entry, *next;

	bans->limits = *limits;
	expire(bans, now_s);
	for (entry = TAILQ_FIRST(&bans->banned); entry != NULL; entry = next) {
		uint64_t before = entry->info.until_s;

		next = TAILQ_NEXT(entry, order);
		if (longer) // the order stays: all run equally long
			entry->info.until_s = entry->info.since_s + limits->ban_time_s;
		if (!still_banned(bans, &entry->info, now_s)) {
			lift(bans, entry);
			continue;
		}
		if (entry->info.until_s != before)
			changed(bans, entry, false);
	}
}

// --- looking ---

uint32_t bans_count(struct bans *bans, uint64_t now_s) {
	expire(bans, now_s);
	return bans->nb_banned;
}

uint64_t bans_overflows(const struct bans *bans) {
	return bans->overflows;
}

int bans_each(struct bans *bans, bool all, uint32_t skip, uint64_t now_s,
	int (*each)(const struct ban_info *info, void *arg), void *arg) {
	struct entry *entry;
	int ret = 0;

	expire(bans, now_s);
	TAILQ_FOREACH(entry, &bans->banned, order) {
		if (skip > 0)
			skip--;
		else if ((ret = each(&entry->info, arg)) != 0)
			return ret;
	}
	if (!all)
		return 0;
	TAILQ_FOREACH(entry, &bans->counted, order) {
		if (now_s - entry->info.counting_s >= bans->limits.reset_time_s)
			continue;
		if (skip > 0)
			skip--;
		else if ((ret = each(&entry->info, arg)) != 0)
			return ret;
	}
	return 0;
}
