// SPDX-License-Identifier: GPL-3.0-or-later
// The rules on settings of virtual hosts, groups and users that YANG cannot say. Called by
// config_cross.c.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yang/config_priv.h"

#define TOP "/penstock:penstock"
#define PATH_LEN 192

static const struct cfg_pool *pool_find(const struct cfg *cfg, const char *name) {
	for (size_t i = 0; i < cfg->nb_pools; i++) {
		if (strcmp(cfg->pools[i].name, name) == 0)
			return &cfg->pools[i];
	}
	return NULL;
}

static void check_pool_names(struct errors *errors, const struct cfg *cfg,
	const struct cfg_settings *settings, const char *path) {
	for (size_t i = 0; i < settings->nb_pools; i++) {
		if (pool_find(cfg, settings->pools[i]) == NULL)
			errors_add(errors,
				"%s/pool[%zu]: unknown pool: %s, expected the name of an entry of "
				"pool",
				path, i + 1, settings->pools[i]);
	}
}

static bool has_ipv6(const struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_pools; i++) {
		if (cfg->pools[i].v6.addr.family != 0)
			return true;
	}
	return false;
}

// ---- where clients may reach

static void check_services(struct errors *errors, const struct cfg_reach *reach, const char *path) {
	static const char *const names[] = {"tcp", "udp", "sctp", "icmp", "icmpv6", "esp"};
	for (size_t i = 0; i < reach->nb_services; i++) {
		const struct cfg_service *service = &reach->services[i];
		if (service->low > service->high)
			errors_add(errors,
				"%s/restrict-to-ports/protocol[name='%s']/port: not a range of "
				"ports, expected a port, or the lower and the higher of two, from "
				"1 to 65535",
				path, names[service->protocol]);
	}
}

static void check_filter_name(struct errors *errors, const struct cfg *cfg,
	const struct cfg_settings *settings, const char *path) {
	if ((settings->set & CFG_SET_FILTER) && cfg_filter_find(cfg, settings->filter) == NULL)
		errors_add(errors,
			"%s/filter: unknown filter: %s, expected the name of an entry of filter",
			path, settings->filter);
}

// ---- networks behind clients

static bool meets_pool(const struct cfg *cfg, const struct cfg_prefix *net) {
	for (size_t i = 0; i < cfg->nb_pools; i++) {
		const struct cfg_pool *pool = &cfg->pools[i];
		if ((pool->v4.addr.family != 0 && prefix_overlap(net, &pool->v4)) ||
			(pool->v6.addr.family != 0 && prefix_overlap(net, &pool->v6)))
			return true;
	}
	return false;
}

static void check_iroutes(struct errors *errors, const struct cfg *cfg,
	const struct cfg_settings *settings, const char *path) {
	for (size_t i = 0; i < settings->nb_iroutes; i++) {
		const struct cfg_prefix *net = &settings->iroutes[i];
		if (net->len == 0 || meets_pool(cfg, net))
			errors_add(errors,
				"%s/iroute[%zu]: not a network behind a client: %s/%u, expected "
				"one that has nothing in common with a pool, and not everything",
				path, i + 1, addr_text(&net->addr), net->len);
	}
}

// ---- the settings of one level

static void check_one(struct errors *errors, const struct cfg *cfg,
	const struct cfg_settings *settings, const char *path) {
	const struct cfg_network *net = &settings->network;
	check_pool_names(errors, cfg, settings, path);
	check_filter_name(errors, cfg, settings, path);
	check_iroutes(errors, cfg, settings, path);
	check_services(errors, &net->reach, path);
	if (net->tunnel_all_dns && net->nb_dns == 0 && cfg->network.nb_dns == 0)
		errors_add(errors,
			"%s: tunnel-all-dns is true but there is no dns, expected a DNS server "
			"that clients can reach through the tunnel, here or in network",
			path);
	if (net->mtu != 0 && net->mtu < 1280 && has_ipv6(cfg))
		errors_add(errors,
			"%s/mtu: too small for IPv6: %u, expected at least 1280, or no pool with "
			"ipv6-network",
			path, net->mtu);
}

// ---- addresses of users

static void check_address(struct errors *errors, const struct cfg *cfg, const char *path,
	const struct cfg_addr *addr) {
	const char *leaf = addr->family == AF_INET ? "ipv4-address" : "ipv6-address";
	if (addr->family == 0)
		return;
	for (size_t i = 0; i < cfg->nb_pools; i++) {
		if (cfg_pool_index(&cfg->pools[i], addr->family, addr->bytes) >= 0)
			return;
	}
	errors_add(errors,
		"%s/%s: not in a pool: %s, expected an address that a pool leases (not the "
		"gateway's, nor the first or last of its network)",
		path, leaf, addr_text(addr));
}

// What a user has: an address or, by the pool's ipv6-client-prefix, a prefix.
struct owned {
	size_t pool;
	int64_t index;
	const struct cfg_user *user;
	const struct cfg_addr *addr;
};

static int by_place(const void *a, const void *b) {
	const struct owned *x = a, *y = b;
	int order = (x->addr->family > y->addr->family) - (x->addr->family < y->addr->family);
	if (order == 0)
		order = (x->pool > y->pool) - (x->pool < y->pool);
	if (order == 0)
		order = (x->index > y->index) - (x->index < y->index);
	return order != 0 ? order : strcmp(x->user->name, y->user->name);
}

static void owned_add(const struct cfg *cfg, const struct cfg_user *user,
	const struct cfg_addr *addr, struct owned *owned, size_t *n) {
	for (size_t i = 0; addr->family != 0 && i < cfg->nb_pools; i++) {
		int64_t index = cfg_pool_index(&cfg->pools[i], addr->family, addr->bytes);
		if (index >= 0) {
			owned[(*n)++] = (struct owned){i, index, user, addr};
			return;
		}
	}
}

// There may be thousands of users: sorted, equal ones are neighbours.
static void check_owned_once(struct errors *errors, const struct cfg *cfg) {
	struct owned *owned = calloc(2 * cfg->nb_users + 1, sizeof(*owned));
	size_t n = 0;
	if (owned == NULL) {
		errors->oom = true;
		return;
	}
	for (size_t i = 0; i < cfg->nb_users; i++) {
		const struct cfg_settings *settings = &cfg->users[i].settings;
		owned_add(cfg, &cfg->users[i], &settings->ipv4, owned, &n);
		owned_add(cfg, &cfg->users[i], &settings->ipv6, owned, &n);
	}
	qsort(owned, n, sizeof(*owned), by_place);
	for (size_t i = 1; i < n; i++) {
		const struct owned *a = &owned[i - 1], *b = &owned[i];
		if (a->addr->family != b->addr->family || a->pool != b->pool ||
			a->index != b->index)
			continue;
		errors_add(errors,
			TOP "/user[name='%s']/settings/%s: used twice: %s, expected an address "
			    "(or client prefix) that user %s does not have",
			b->user->name, b->addr->family == AF_INET ? "ipv4-address" : "ipv6-address",
			addr_text(b->addr), a->user->name);
	}
	free(owned);
}

void cfg_cross_check_settings(struct errors *errors, const struct cfg *cfg) {
	char path[PATH_LEN];
	check_services(errors, &cfg->network.reach, TOP "/network");
	for (size_t i = 0; i < cfg->nb_filters; i++) {
		snprintf(path, sizeof(path), TOP "/filter[name='%s']", cfg->filters[i].name);
		check_services(errors, &cfg->filters[i].reach, path);
	}
	for (size_t i = 0; i < cfg->nb_vhosts; i++) {
		snprintf(path, sizeof(path), TOP "/virtual-host[name='%s']/settings",
			cfg->vhosts[i].name);
		check_one(errors, cfg, &cfg->vhosts[i].settings, path);
	}
	for (size_t i = 0; i < cfg->nb_groups; i++) {
		snprintf(path, sizeof(path), TOP "/group[name='%s']/settings", cfg->groups[i].name);
		check_one(errors, cfg, &cfg->groups[i].settings, path);
	}
	for (size_t i = 0; i < cfg->nb_users; i++) {
		const struct cfg_settings *settings = &cfg->users[i].settings;
		snprintf(path, sizeof(path), TOP "/user[name='%s']/settings", cfg->users[i].name);
		check_one(errors, cfg, settings, path);
		check_address(errors, cfg, path, &settings->ipv4);
		check_address(errors, cfg, path, &settings->ipv6);
	}
	check_owned_once(errors, cfg);
}
