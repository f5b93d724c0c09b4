// SPDX-License-Identifier: GPL-3.0-or-later
// The rules of the configuration that YANG cannot say. Called by config.c on a converted one.

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "yang/config_priv.h"

#define TOP "/penstock:penstock"

static const struct cfg_prefix reserved[] = {
	{{AF_INET, {0}}, 8}, // this network
	{{AF_INET, {127}}, 8}, // loopback
	{{AF_INET, {224}}, 3}, // multicast and class E
	{{AF_INET6, {0}}, 8}, // unspecified, loopback, v4-mapped
	{{AF_INET6, {0xfe, 0x80}}, 10}, // link-local
	{{AF_INET6, {0xff}}, 8}, // multicast
};

static bool is_reserved(const struct cfg_prefix *net) {
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
		if (prefix_overlap(net, &reserved[i]))
			return true;
	}
	return false;
}

// ---- listen

static bool same_socket(const struct cfg_listen *a, const struct cfg_listen *b) {
	if (a->addr.family != 0 && b->addr.family != 0 && !addr_equal(&a->addr, &b->addr))
		return false;
	return a->tcp_port == b->tcp_port || (a->udp_port != 0 && a->udp_port == b->udp_port);
}

static void check_listen(struct errors *errors, const struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_listen; i++) {
		for (size_t k = 0; k < i; k++) {
			if (!same_socket(&cfg->listen[i], &cfg->listen[k]))
				continue;
			errors_add(errors,
				TOP
				"/listen[%zu]: address and port of entry %zu again: tcp-port %u, "
				"udp-port %u, expected an address and ports of its own",
				i + 1, k + 1, cfg->listen[i].tcp_port, cfg->listen[i].udp_port);
			break;
		}
	}
}

static void check_proxies(struct errors *errors, const struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_listen; i++) {
		const struct cfg_listen *listen = &cfg->listen[i];
		if (listen->proxy_required && listen->nb_trusted_proxies == 0)
			errors_add(errors,
				TOP
				"/listen[%zu]: proxy-protocol without a trusted-proxy, expected "
				"the proxy's address: from elsewhere anybody could name any "
				"address",
				i + 1);
		if (!listen->proxy_required && listen->nb_trusted_proxies > 0)
			errors_add(errors,
				TOP "/listen[%zu]: trusted-proxy without proxy-protocol, expected "
				    "\"required\" there: nobody is trusted to name addresses",
				i + 1);
	}
}

// ---- certificates

static bool has_name(const struct cfg_certificate *cert, const char *name) {
	for (size_t i = 0; i < cert->nb_server_names; i++) {
		if (strcasecmp(cert->server_names[i], name) == 0)
			return true;
	}
	return false;
}

static void check_certificates(struct errors *errors, const struct cfg *cfg) {
	for (size_t i = 1; i < cfg->nb_certificates; i++) {
		const struct cfg_certificate *cert = &cfg->certificates[i];
		for (size_t n = 0; n < cert->nb_server_names; n++) {
			for (size_t k = 0; k < i; k++) {
				if (has_name(&cfg->certificates[k], cert->server_names[n]))
					errors_add(errors,
						TOP
						"/certificate[name='%s']/server-name: used "
						"twice: %s, expected a name that certificate %s "
						"does not have",
						cert->name, cert->server_names[n],
						cfg->certificates[k].name);
			}
		}
	}
}

// ---- headers

// What a connection, a login or a tunnel is made of is not for the configuration to say.
static bool header_is_ours(const char *name) {
	static const char *const ours[] = {"Connection", "Content-Length", "Content-Type",
		"Content-Encoding", "Location", "Set-Cookie", "Trailer", "Transfer-Encoding",
		"Upgrade", "WWW-Authenticate", "X-Reason", "X-Transcend-Version"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		if (strcasecmp(name, ours[i]) == 0)
			return true;
	}
	return strncasecmp(name, "X-CSTP-", 7) == 0 || strncasecmp(name, "X-DTLS", 6) == 0;
}

static void check_http_headers(struct errors *errors, const struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_http_headers; i++) {
		if (header_is_ours(cfg->http_headers[i].name))
			errors_add(errors,
				TOP "/http-header[name='%s']/name: a header that the gateway sends "
				    "itself, expected another one",
				cfg->http_headers[i].name);
	}
}

// ---- pools

static void pool_error(struct errors *errors, const struct cfg_pool *pool, const char *leaf,
	const char *what, const char *value, const char *expected) {
	errors_add(errors, TOP "/pool[name='%s']/%s: %s: %s, expected %s", pool->name, leaf, what,
		value, expected);
}

// Neither the network's own address nor its broadcast address.
static bool is_host4(const struct cfg_addr *addr, unsigned len) {
	uint32_t mask = UINT32_MAX >> len;
	uint32_t host = (uint32_t)addr->bytes[0] << 24 | addr->bytes[1] << 16 |
		addr->bytes[2] << 8 | addr->bytes[3];
	return (host & mask) != 0 && (host & mask) != mask;
}

static void check_pool4(struct errors *errors, const struct cfg_pool *pool) {
	const struct cfg_prefix *net = &pool->v4;
	if (net->addr.family != AF_INET)
		return;
	if (net->len < 8 || net->len > 30)
		pool_error(errors, pool, "ipv4-network", "wrong prefix length", prefix_text(net),
			"/8 to /30");
	else if (is_reserved(net))
		pool_error(errors, pool, "ipv4-network", "reserved network", prefix_text(net),
			"a unicast network");
	else if (!addr_in(&pool->gateway4, net))
		pool_error(errors, pool, "ipv4-gateway", "not in the pool",
			addr_text(&pool->gateway4), prefix_text(net));
	else if (!is_host4(&pool->gateway4, net->len))
		pool_error(errors, pool, "ipv4-gateway", "not a host address",
			addr_text(&pool->gateway4),
			"neither the first nor the last address of the network");
}

static void check_pool6(struct errors *errors, const struct cfg_pool *pool) {
	const struct cfg_prefix *net = &pool->v6;
	struct cfg_prefix first = *net;
	char prefix[8];
	if (net->addr.family != AF_INET6)
		return;
	snprintf(prefix, sizeof(prefix), "%u", pool->v6_client_prefix);
	first.len = pool->v6_client_prefix;
	if (net->len < 16 || net->len > 126)
		pool_error(errors, pool, "ipv6-network", "wrong prefix length", prefix_text(net),
			"/16 to /126");
	else if (is_reserved(net))
		pool_error(errors, pool, "ipv6-network", "reserved network", prefix_text(net),
			"a unicast network");
	else if (pool->v6_client_prefix < net->len + 2)
		pool_error(errors, pool, "ipv6-client-prefix", "too short", prefix,
			"at least 2 more than the length of ipv6-network");
	else if (!addr_in(&pool->gateway6, net))
		pool_error(errors, pool, "ipv6-gateway", "not in the pool",
			addr_text(&pool->gateway6), prefix_text(net));
	else if (addr_equal(&pool->gateway6, &net->addr))
		pool_error(errors, pool, "ipv6-gateway", "not a host address",
			addr_text(&pool->gateway6), "not the first address of the network");
	else if (pool->v6_client_prefix < 128 && !addr_in(&pool->gateway6, &first))
		pool_error(errors, pool, "ipv6-gateway", "in a client's prefix",
			addr_text(&pool->gateway6), prefix_text(&first));
}

static void check_pools(struct errors *errors, const struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_pools; i++) {
		const struct cfg_pool *pool = &cfg->pools[i];
		check_pool4(errors, pool);
		check_pool6(errors, pool);
		for (size_t k = 0; k < i; k++) {
			const struct cfg_pool *other = &cfg->pools[k];
			if (prefix_overlap(&pool->v4, &other->v4))
				pool_error(errors, pool, "ipv4-network", "overlaps another pool",
					prefix_text(&pool->v4), "a network of its own");
			if (prefix_overlap(&pool->v6, &other->v6))
				pool_error(errors, pool, "ipv6-network", "overlaps another pool",
					prefix_text(&pool->v6), "a network of its own");
		}
		if (pool->v6.addr.family != 0 && cfg->network.mtu != 0 && cfg->network.mtu < 1280)
			errors_add(errors,
				TOP
				"/network/mtu: too small for IPv6: %u, expected at least 1280, or "
				"no ipv6-network in pool %s",
				cfg->network.mtu, pool->name);
	}
}

// ---- ports

static const char *kernel_name(const struct cfg_port *port) {
	if (port->mode == CFG_PORT_SHARED)
		return port->device;
	return port->kernel_if[0] != '\0' ? port->kernel_if : port->name;
}

static bool interface_name_ok(const char *name) {
	return name[0] != '\0' && strlen(name) <= 15 && strpbrk(name, "/: ") == NULL &&
		strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void port_error(struct errors *errors, const struct cfg_port *port, const char *leaf,
	const char *what, const char *value, const char *expected) {
	errors_add(errors, TOP "/dataplane/port[name='%s']/%s: %s: %s, expected %s", port->name,
		leaf, what, value, expected);
}

static void check_port_addresses(struct errors *errors, const struct cfg *cfg, size_t index) {
	const struct cfg_port *port = &cfg->dataplane.ports[index];
	for (size_t i = 0; i < port->nb_addresses; i++) {
		const struct cfg_prefix *a = &port->addresses[i];
		struct cfg_prefix host = *a;
		host.len = addr_bits(&a->addr);
		if (a->addr.family == 0) {
			errors_add(errors,
				TOP "/dataplane/port[name='%s']/address[%zu]: wrong value: not an "
				    "address, expected an address and its prefix length, such as "
				    "192.0.2.1/24",
				port->name, i + 1);
			continue;
		}
		bool link_local = a->addr.family == AF_INET6 && a->addr.bytes[0] == 0xfe;
		if (a->len == 0 || (is_reserved(&host) && !link_local))
			port_error(errors, port, "address", "not an address for an interface",
				prefix_text(a), "a unicast address and its prefix length");
		if (a->addr.family == AF_INET6 && port->mtu != 0 && port->mtu < 1280)
			port_error(errors, port, "mtu", "too small for the address", prefix_text(a),
				"at least 1280 with IPv6");
		for (size_t k = 0; k < cfg->nb_pools; k++) {
			const struct cfg_pool *pool = &cfg->pools[k];
			if (cfg_pool_index(pool, a->addr.family, a->addr.bytes) >= 0)
				port_error(errors, port, "address", "leased to clients",
					prefix_text(a), "an address outside of the pools");
		}
	}
}

static void check_port_device(struct errors *errors, const struct cfg_port *port) {
	bool by_name = port->driver == CFG_DRIVER_AF_XDP || port->driver == CFG_DRIVER_AF_PACKET ||
		port->mode == CFG_PORT_SHARED;
	if (port->mode == CFG_PORT_TAP) {
		if (port->driver != CFG_DRIVER_AUTO)
			port_error(errors, port, "driver", "wrong value", "a driver of a device",
				"auto with mode tap");
	} else if (by_name && port->device[0] != '\0' && !interface_name_ok(port->device)) {
		port_error(errors, port, "device", "wrong value", port->device,
			"the name of a network interface with this driver and mode");
	}
	if (port->mode != CFG_PORT_SHARED && !interface_name_ok(kernel_name(port)))
		port_error(errors, port, "kernel-interface",
			"missing: the port's name is too long for it", port->name,
			"at most 15 characters");
}

static void check_ports(struct errors *errors, const struct cfg *cfg) {
	const struct cfg_dataplane *dp = &cfg->dataplane;
	for (size_t i = 0; i < dp->nb_ports; i++) {
		check_port_device(errors, &dp->ports[i]);
		check_port_addresses(errors, cfg, i);
		for (size_t k = 0; k < i; k++) {
			// Two ports with the same explicit name are YANG's unique.
			if (strcmp(kernel_name(&dp->ports[i]), kernel_name(&dp->ports[k])) == 0 &&
				(dp->ports[i].kernel_if[0] == '\0' ||
					dp->ports[k].kernel_if[0] == '\0'))
				port_error(errors, &dp->ports[i], "kernel-interface", "used twice",
					kernel_name(&dp->ports[i]), "a name of its own");
		}
	}
}

// ---- the rest

static void check_limits(struct errors *errors, const struct cfg *cfg) {
	if (cfg->auth.max_clients > cfg->dataplane.sessions_max)
		errors_add(errors,
			TOP "/authentication/max-clients: more than dataplane/sessions-max: %u, "
			    "expected at most %u",
			cfg->auth.max_clients, cfg->dataplane.sessions_max);
	if (strcmp(cfg->state_dir, cfg->run_dir) == 0)
		errors_add(errors,
			TOP "/state-directory: the same as run-directory: %s, expected a directory "
			    "that survives a restart",
			cfg->state_dir);
}

void cfg_cross_check(struct errors *errors, const struct cfg *cfg) {
	check_listen(errors, cfg);
	check_proxies(errors, cfg);
	check_certificates(errors, cfg);
	check_http_headers(errors, cfg);
	check_pools(errors, cfg);
	check_ports(errors, cfg);
	check_limits(errors, cfg);
	cfg_cross_check_access(errors, cfg);
	cfg_cross_check_settings(errors, cfg);
}
