// SPDX-License-Identifier: GPL-3.0-or-later
// Which changed settings take effect only after a restart. Called by the supervisor on reload.

#include <string.h>

#include "yang/config_priv.h"

static bool same_prefix(const struct cfg_prefix *a, const struct cfg_prefix *b) {
	return a->len == b->len && addr_equal(&a->addr, &b->addr);
}

static bool same_listen(const struct cfg *a, const struct cfg *b) {
	if (a->nb_listen != b->nb_listen)
		return false;
	for (size_t i = 0; i < a->nb_listen; i++) {
		const struct cfg_listen *x = &a->listen[i], *y = &b->listen[i];
		if (!addr_equal(&x->addr, &y->addr) || x->tcp_port != y->tcp_port ||
			x->udp_port != y->udp_port || x->proxy_required != y->proxy_required ||
			x->nb_trusted_proxies != y->nb_trusted_proxies)
			return false;
		for (size_t k = 0; k < x->nb_trusted_proxies; k++) {
			if (!same_prefix(&x->trusted_proxies[k], &y->trusted_proxies[k]))
				return false;
		}
	}
	return true;
}

// The dataplane makes its tables of the networks; names and gateways are the control plane's,
// whose leases depend on them.
static bool same_pools(const struct cfg *a, const struct cfg *b) {
	if (a->nb_pools != b->nb_pools)
		return false;
	for (size_t i = 0; i < a->nb_pools; i++) {
		const struct cfg_pool *x = &a->pools[i], *y = &b->pools[i];
		if (strcmp(x->name, y->name) != 0 || !same_prefix(&x->v4, &y->v4) ||
			!same_prefix(&x->v6, &y->v6) || !addr_equal(&x->gateway4, &y->gateway4) ||
			!addr_equal(&x->gateway6, &y->gateway6) ||
			x->v6_client_prefix != y->v6_client_prefix)
			return false;
	}
	return true;
}

// Its keys and its connection belong to the processes that were started with them.
static bool same_share(const struct cfg_share *a, const struct cfg_share *b) {
	return strcmp(a->node, b->node) == 0 && strcmp(a->socket, b->socket) == 0 &&
		addr_equal(&a->address, &b->address) && a->port == b->port &&
		strcmp(a->username, b->username) == 0 &&
		strcmp(a->password_file, b->password_file) == 0 &&
		strcmp(a->secret_file, b->secret_file) == 0 && strcmp(a->prefix, b->prefix) == 0;
}

static bool same_port(const struct cfg_port *a, const struct cfg_port *b) {
	if (strcmp(a->name, b->name) != 0 || strcmp(a->device, b->device) != 0 ||
		strcmp(a->kernel_if, b->kernel_if) != 0 || a->nb_addresses != b->nb_addresses)
		return false;
	for (size_t i = 0; i < a->nb_addresses; i++) {
		if (!same_prefix(&a->addresses[i], &b->addresses[i]))
			return false;
	}
	return a->role == b->role && a->mode == b->mode && a->driver == b->driver &&
		a->mtu == b->mtu && a->rx_queues == b->rx_queues &&
		a->descriptors == b->descriptors;
}

static bool same_ports(const struct cfg_dataplane *a, const struct cfg_dataplane *b) {
	if (a->nb_ports != b->nb_ports)
		return false;
	for (size_t i = 0; i < a->nb_ports; i++) {
		if (!same_port(&a->ports[i], &b->ports[i]))
			return false;
	}
	return true;
}

static bool same_cpus(const struct cfg_dataplane *a, const struct cfg_dataplane *b) {
	return a->nb_cpus == b->nb_cpus &&
		(a->nb_cpus == 0 || memcmp(a->cpus, b->cpus, a->nb_cpus * sizeof(*a->cpus)) == 0);
}

size_t cfg_restart_needed(
	const struct cfg *old, const struct cfg *new, const char **paths, size_t max) {
	const struct cfg_dataplane *a = &old->dataplane, *b = &new->dataplane;
	const struct {
		const char *path;
		bool same;
	} settings[] = {
		{"listen", same_listen(old, new)},
		{"pool", same_pools(old, new)},
		{"radius/dynamic-authorization/listen-address",
			addr_equal(&old->radius.dynauth.addr, &new->radius.dynauth.addr)},
		{"radius/dynamic-authorization/port",
			old->radius.dynauth.port == new->radius.dynauth.port},
		// What these need of root the supervisor has given up where they were not there.
		{"scripts (the first)", cfg_has_scripts(old) || !cfg_has_scripts(new)},
		{"factor pam (the first)",
			cfg_uses_factor(old, CFG_FACTOR_PAM) ||
				!cfg_uses_factor(new, CFG_FACTOR_PAM)},
		{"shared-store", same_share(&old->share, &new->share)},
		{"state-directory", strcmp(old->state_dir, new->state_dir) == 0},
		{"run-directory", strcmp(old->run_dir, new->run_dir) == 0},
		{"edges", old->edges == new->edges},
		{"connections-per-edge", old->connections_per_edge == new->connections_per_edge},
		{"dataplane/workers", a->workers == b->workers},
		{"dataplane/streamers", a->streamers == b->streamers},
		{"dataplane/cpu", same_cpus(a, b)},
		{"dataplane/idle", a->idle == b->idle},
		{"dataplane/hugepages", a->hugepages == b->hugepages},
		{"dataplane/memory", a->memory_mb == b->memory_mb},
		{"dataplane/sessions-max", a->sessions_max == b->sessions_max},
		{"dataplane/buffers", a->mbufs == b->mbufs},
		{"dataplane/handshake-rate", a->handshake_rate == b->handshake_rate},
		{"dataplane/icmp-rate", a->icmp_rate == b->icmp_rate},
		{"dataplane/port", same_ports(a, b)},
	};
	size_t n = 0;
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		if (settings[i].same)
			continue;
		if (n < max)
			paths[n] = settings[i].path;
		n++;
	}
	return n;
}
