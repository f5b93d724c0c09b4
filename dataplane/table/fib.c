// SPDX-License-Identifier: GPL-3.0-or-later
// Longest-prefix match: multibit trie in place, rules in a hash beside it. Called by netlink.
#include "dataplane/table/fib.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ROOT_BITS 16u
#define ROOT_SLOTS (1u << ROOT_BITS)
#define RULE_BUCKETS 16384u

_Atomic uintptr_t *dp_fib_root[DP_FIB_SIDES][2];

static struct dp_route *rules[DP_FIB_SIDES][RULE_BUCKETS];
static uint32_t nb_routes[DP_FIB_SIDES];

static void route_free(struct dp_reclaim *reclaim) {
	free((char *)reclaim - offsetof(struct dp_route, reclaim));
}

static void node_free(struct dp_reclaim *reclaim) {
	free((char *)reclaim - offsetof(struct dp_fib_node, reclaim));
}

static bool is_node(uintptr_t e) {
	return (e & 1) != 0;
}

static struct dp_fib_node *to_node(uintptr_t e) {
	return (struct dp_fib_node *)(e & ~(uintptr_t)1);
}

static const uint8_t *key_of(const struct dp_route *route) {
	return route->prefix.bytes + (route->v6 ? 0 : 12);
}

// All slots below that hold a route as long as or shorter than `old_len` get `new`. That is:
// adding (old_len = length of the new one) and removing (everything that is `gone`).
struct change {
	const struct dp_route *new; // NULL: no route
	const struct dp_route *gone; // remove or replace exactly this one; NULL: by length
	uint8_t len;
};

static bool takes(const struct change *change, uintptr_t e) {
	const struct dp_route *route = (const struct dp_route *)e;

	if (change->gone != NULL)
		return route == change->gone;
	return route == NULL || route->len <= change->len;
}

static void cover(_Atomic uintptr_t *slot, const struct change *change);

// A node whose slots are all the same says nothing that its parent could not.
static void fold(_Atomic uintptr_t *slot) {
	struct dp_fib_node *node = to_node(atomic_load_explicit(slot, memory_order_relaxed));
	uintptr_t first = atomic_load_explicit(&node->slot[0], memory_order_relaxed);

	if (is_node(first))
		return;
	for (unsigned i = 1; i < 256; i++) {
		if (atomic_load_explicit(&node->slot[i], memory_order_relaxed) != first)
			return;
	}
	atomic_store_explicit(slot, first, memory_order_release);
	dp_reclaim(&node->reclaim, node_free);
}

static void cover(_Atomic uintptr_t *slot, const struct change *change) {
	uintptr_t e = atomic_load_explicit(slot, memory_order_relaxed);

	if (!is_node(e)) {
		if (takes(change, e))
			atomic_store_explicit(slot, (uintptr_t)change->new, memory_order_release);
		return;
	}
	for (unsigned i = 0; i < 256; i++)
		cover(&to_node(e)->slot[i], change);
	fold(slot);
}

// Puts a node that says the same in the place of a route. 0 or -ENOMEM.
static int split(_Atomic uintptr_t *slot) {
	uintptr_t e = atomic_load_explicit(slot, memory_order_relaxed);
	struct dp_fib_node *node = malloc(sizeof(*node));

	if (node == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < 256; i++)
		atomic_init(&node->slot[i], e);
	atomic_store_explicit(slot, (uintptr_t)node | 1, memory_order_release);
	return 0;
}

// Applies the change to the prefix `key`/len within `slots`, an array indexed by the next `bits`.
static int apply(_Atomic uintptr_t *slots, unsigned bits, const uint8_t *key, unsigned len,
	const struct change *change) {
	unsigned index = bits == ROOT_BITS ? (unsigned)key[0] << 8 | key[1] : key[0];
	_Atomic uintptr_t *slot = &slots[index];
	int ret;

	if (len <= bits) {
		unsigned n = 1u << (bits - len), first = index & ~(n - 1);

		for (unsigned i = first; i < first + n; i++)
			cover(&slots[i], change);
		return 0;
	}
	if (!is_node(atomic_load_explicit(slot, memory_order_relaxed))) {
		ret = split(slot);
		if (ret != 0)
			return ret;
	}
	ret = apply(to_node(atomic_load_explicit(slot, memory_order_relaxed))->slot, 8,
		key + bits / 8, len - bits, change);
	fold(slot);
	return ret;
}

static int change_apply(unsigned side, const struct dp_route *of, const struct change *change) {
	int ret = apply(dp_fib_root[side][of->v6], ROOT_BITS, key_of(of), of->len, change);

	dp_way_changed();
	return ret;
}

static unsigned rule_hash(bool v6, const struct abi_addr *prefix, uint8_t len) {
	uint64_t a, b;

	memcpy(&a, prefix->bytes, 8);
	memcpy(&b, prefix->bytes + 8, 8);
	a ^= b * UINT64_C(0x9e3779b97f4a7c15) ^ ((uint64_t)len << 1 | v6);
	a *= UINT64_C(0xff51afd7ed558ccd);
	return (unsigned)(a >> 40) % RULE_BUCKETS;
}

static void mask(struct abi_addr *prefix, bool v6, uint8_t len) {
	unsigned bits = v6 ? len : 96u + len;

	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

		if (keep < 8)
			prefix->bytes[i] &= (uint8_t)(0xff00 >> keep);
	}
}

// The place of the best route of exactly this prefix; *place is NULL when there is none.
static struct dp_route **rule_find(
	unsigned side, bool v6, const struct abi_addr *prefix, uint8_t len) {
	struct dp_route **place = &rules[side][rule_hash(v6, prefix, len)];

	while (*place != NULL &&
		((*place)->v6 != v6 || (*place)->len != len ||
			memcmp(&(*place)->prefix, prefix, sizeof(*prefix)) != 0))
		place = &(*place)->bucket_next;
	return place;
}

// The best route of the longest prefix that is shorter and holds this one.
static const struct dp_route *cover_of(unsigned side, const struct dp_route *route) {
	struct abi_addr prefix = route->prefix;

	for (unsigned len = route->len; len-- > 0;) {
		mask(&prefix, route->v6, (uint8_t)len);
		const struct dp_route *found = *rule_find(side, route->v6, &prefix, (uint8_t)len);

		if (found != NULL)
			return found;
	}
	return NULL;
}

static bool same_route(const struct dp_route *route, const struct dp_route_spec *spec,
	const struct dp_neigh *neigh) {
	return route->metric == spec->metric && route->port == spec->port &&
		route->type == spec->type && route->neigh == neigh;
}

static struct dp_route *route_new(const struct dp_route_spec *spec, const struct abi_addr *prefix) {
	struct dp_route *route = calloc(1, sizeof(*route));
	struct abi_addr gateway;

	if (route == NULL)
		return NULL;
	route->type = spec->type;
	route->port = spec->port;
	route->v6 = spec->v6;
	route->len = spec->len;
	route->metric = spec->metric;
	route->epoch = spec->epoch;
	route->sid = spec->sid;
	route->prefix = *prefix;
	if (spec->type == DP_ROUTE_VIA && spec->neigh != NULL) {
		route->neigh = spec->neigh;
	} else if (spec->type == DP_ROUTE_VIA) {
		dp_addr_from(&gateway, spec->v6, spec->gateway);
		route->neigh = dp_neigh_get(spec->port, &gateway);
		if (route->neigh == NULL) {
			free(route);
			return NULL;
		}
	}
	if (route->neigh != NULL)
		route->neigh->refs++;
	return route;
}

static void route_drop(unsigned side, struct dp_route *route) {
	nb_routes[side]--;
	if (route->neigh != NULL) {
		route->neigh->refs--;
		dp_neigh_release(route->neigh);
	}
	dp_reclaim(&route->reclaim, route_free);
}

// Takes the candidate at *link off the list whose head is *place, and out of the trie.
static void candidate_remove(unsigned side, struct dp_route **place, struct dp_route **link) {
	struct dp_route *route = *link, *next = route->next;
	struct change change = {.gone = route};

	if (place != link) {
		*link = next;
		route_drop(side, route);
		return;
	}
	if (next != NULL) {
		next->bucket_next = route->bucket_next;
		*place = next;
		change.new = next;
	} else {
		*place = route->bucket_next;
		change.new = cover_of(side, route);
	}
	// Its slots are there: this path splits nothing and so cannot fail, but where a shorter
	// prefix was folded back there is nothing to do either.
	change_apply(side, route, &change);
	route_drop(side, route);
}

static int candidate_add(unsigned side, struct dp_route **place, struct dp_route *route) {
	struct dp_route *head = *place;
	struct change change = {.new = route, .len = route->len};
	int ret;

	if (head != NULL && head->metric <= route->metric && route->type != DP_ROUTE_SESSION) {
		while (head->next != NULL && head->next->metric <= route->metric)
			head = head->next;
		route->next = head->next;
		head->next = route;
		nb_routes[side]++;
		return 0;
	}
	ret = change_apply(side, route, &change);
	if (ret != 0)
		return ret;
	route->next = head;
	route->bucket_next = head != NULL ? head->bucket_next : *place;
	*place = route;
	nb_routes[side]++;
	return 0;
}

static bool spec_prefix(const struct dp_route_spec *spec, struct abi_addr *prefix) {
	if (spec->side >= DP_FIB_SIDES || spec->len > (spec->v6 ? 128 : 32))
		return false;
	dp_addr_from(prefix, spec->v6, spec->prefix);
	mask(prefix, spec->v6, spec->len);
	return true;
}

int dp_fib_add(const struct dp_route_spec *spec) {
	struct abi_addr prefix;
	struct dp_route **place, *route, **link;
	int ret;

	if (!spec_prefix(spec, &prefix))
		return -EINVAL;
	if (spec->type == DP_ROUTE_VIA && spec->gateway == NULL && spec->neigh == NULL)
		return -EINVAL;
	route = route_new(spec, &prefix);
	if (route == NULL)
		return errno == ENOSPC ? -ENOSPC : -ENOMEM;
	place = rule_find(spec->side, spec->v6, &prefix, spec->len);
	for (link = place; *link != NULL; link = &(*link)->next) {
		if (same_route(*link, spec, route->neigh)) {
			(*link)->epoch = spec->epoch;
			if (route->neigh != NULL)
				route->neigh->refs--;
			free(route);
			return 0;
		}
	}
	ret = candidate_add(spec->side, place, route);
	if (ret != 0) {
		if (route->neigh != NULL) {
			route->neigh->refs--;
			dp_neigh_release(route->neigh);
		}
		free(route);
		return ret;
	}
	if (!spec->replace)
		return 0;
	for (link = place = rule_find(spec->side, spec->v6, &prefix, spec->len); *link != NULL;) {
		if (*link != route && (*link)->metric == spec->metric &&
			(*link)->type != DP_ROUTE_SESSION) {
			candidate_remove(spec->side, place, link);
			link = place = rule_find(spec->side, spec->v6, &prefix, spec->len);
		} else {
			link = &(*link)->next;
		}
	}
	return 0;
}

int dp_fib_del(const struct dp_route_spec *spec) {
	struct abi_addr prefix, gateway;
	struct dp_route **place, **link;

	if (!spec_prefix(spec, &prefix))
		return -EINVAL;
	if (spec->gateway != NULL)
		dp_addr_from(&gateway, spec->v6, spec->gateway);
	place = rule_find(spec->side, spec->v6, &prefix, spec->len);
	for (link = place; *link != NULL; link = &(*link)->next) {
		const struct dp_route *r = *link;

		if (r->metric != spec->metric || r->port != spec->port)
			continue;
		if (spec->gateway != NULL &&
			(r->neigh == NULL ||
				memcmp(&r->neigh->addr, &gateway, sizeof(gateway)) != 0))
			continue;
		candidate_remove(spec->side, place, link);
		return 0;
	}
	return -ESRCH;
}

bool dp_fib_has_session(const struct dp_route_spec *spec) {
	struct abi_addr prefix;

	if (!spec_prefix(spec, &prefix))
		return false;
	for (const struct dp_route *r = *rule_find(spec->side, spec->v6, &prefix, spec->len);
		r != NULL; r = r->next) {
		if (r->type == DP_ROUTE_SESSION)
			return true;
	}
	return false;
}

// Removes one route that is out of date from the bucket. False: there is none.
static bool sweep_one(unsigned side, struct dp_route **bucket, uint32_t epoch) {
	for (struct dp_route **place = bucket; *place != NULL; place = &(*place)->bucket_next) {
		for (struct dp_route **link = place; *link != NULL; link = &(*link)->next) {
			if ((*link)->epoch == 0 || (*link)->epoch == epoch)
				continue;
			candidate_remove(side, place, link);
			return true;
		}
	}
	return false;
}

void dp_fib_sweep(uint32_t epoch) {
	for (unsigned side = 0; side < DP_FIB_SIDES; side++) {
		for (unsigned i = 0; i < RULE_BUCKETS; i++) {
			while (sweep_one(side, &rules[side][i], epoch))
				;
		}
	}
}

uint32_t dp_fib_count(enum dp_fib_side side) {
	return nb_routes[side];
}

int dp_fib_init(void) {
	for (unsigned side = 0; side < DP_FIB_SIDES; side++) {
		for (unsigned v6 = 0; v6 < 2; v6++) {
			dp_fib_root[side][v6] = calloc(ROOT_SLOTS, sizeof(**dp_fib_root[side]));
			if (dp_fib_root[side][v6] == NULL) {
				dp_fib_fini();
				return -ENOMEM;
			}
		}
	}
	return 0;
}

static void free_nodes(_Atomic uintptr_t *slots, unsigned n) {
	for (unsigned i = 0; i < n; i++) {
		uintptr_t e = atomic_load(&slots[i]);

		if (is_node(e)) {
			free_nodes(to_node(e)->slot, 256);
			free(to_node(e));
		}
	}
}

static void free_rules(struct dp_route *head) {
	while (head != NULL) {
		struct dp_route *bucket_next = head->bucket_next;

		for (struct dp_route *route = head, *next; route != NULL; route = next) {
			next = route->next;
			free(route);
		}
		head = bucket_next;
	}
}

void dp_fib_fini(void) {
	for (unsigned side = 0; side < DP_FIB_SIDES; side++) {
		for (unsigned v6 = 0; v6 < 2; v6++) {
			if (dp_fib_root[side][v6] != NULL)
				free_nodes(dp_fib_root[side][v6], ROOT_SLOTS);
			free(dp_fib_root[side][v6]);
			dp_fib_root[side][v6] = NULL;
		}
		for (unsigned i = 0; i < RULE_BUCKETS; i++) {
			free_rules(rules[side][i]);
			rules[side][i] = NULL;
		}
		nb_routes[side] = 0;
	}
}
