// SPDX-License-Identifier: GPL-3.0-or-later
// Makes a struct cfg of libyang's data tree and frees it. Called by config.c.

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "yang/config_priv.h"

#define PORT_DEFAULT 443

// `oom` stays set once an allocation has failed: the result is then thrown away as a whole.
struct build {
	bool oom;
};

// ---- the data tree

static const struct lyd_node *child(const struct lyd_node *parent, const char *name) {
	const struct lyd_node *node = parent != NULL ? lyd_child(parent) : NULL;
	while (node != NULL && strcmp(LYD_NAME(node), name) != 0)
		node = node->next;
	return node;
}

// The next entry of the same list or leaf-list: entries are neighbours.
static const struct lyd_node *next(const struct lyd_node *node) {
	return node->next != NULL && node->next->schema == node->schema ? node->next : NULL;
}

static size_t count(const struct lyd_node *node) {
	size_t n = 0;
	for (; node != NULL; node = next(node))
		n++;
	return n;
}

static const char *text(const struct lyd_node *parent, const char *name) {
	const struct lyd_node *node = child(parent, name);
	const char *value = node != NULL ? lyd_get_value(node) : NULL;
	return value != NULL ? value : "";
}

static uint32_t number(const struct lyd_node *parent, const char *name) {
	return (uint32_t)strtoul(text(parent, name), NULL, 10);
}

static bool boolean(const struct lyd_node *parent, const char *name) {
	return strcmp(text(parent, name), "true") == 0;
}

// The place of the value in `names`; the first one when it is not there.
static unsigned choice(const struct lyd_node *parent, const char *name, const char *const *names) {
	const char *value = text(parent, name);
	for (unsigned i = 0; names[i] != NULL; i++) {
		if (strcmp(names[i], value) == 0)
			return i;
	}
	return 0;
}

static char *copy(struct build *build, const char *value) {
	char *dup = strdup(value);
	if (dup == NULL)
		build->oom = true;
	return dup;
}

static char *string(struct build *build, const struct lyd_node *parent, const char *name) {
	return copy(build, text(parent, name));
}

// Zeroed entries for a list; *n is 0 when there are none.
static void *entries(struct build *build, const struct lyd_node *first, size_t *n, size_t size) {
	void *list;
	*n = count(first);
	if (*n == 0)
		return NULL;
	list = calloc(*n, size);
	if (list == NULL) {
		build->oom = true;
		*n = 0;
	}
	return list;
}

static void strings(struct build *build, const struct lyd_node *parent, const char *name,
	char ***list, size_t *n) {
	const struct lyd_node *node = child(parent, name);
	*list = entries(build, node, n, sizeof(**list));
	for (size_t i = 0; i < *n; i++, node = next(node))
		(*list)[i] = copy(build, lyd_get_value(node));
}

// ---- addresses

static void parse_addr(const char *value, struct cfg_addr *addr) {
	memset(addr, 0, sizeof(*addr));
	if (inet_pton(AF_INET, value, addr->bytes) == 1)
		addr->family = AF_INET;
	else if (inet_pton(AF_INET6, value, addr->bytes) == 1)
		addr->family = AF_INET6;
}

// Family 0 when it is no prefix, which cfg_cross_check() reports.
static void parse_prefix(const char *value, struct cfg_prefix *prefix) {
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(value, '/');
	memset(prefix, 0, sizeof(*prefix));
	if (slash == NULL || (size_t)(slash - value) >= sizeof(host))
		return;
	memcpy(host, value, slash - value);
	host[slash - value] = '\0';
	parse_addr(host, &prefix->addr);
	unsigned long len = strtoul(slash + 1, NULL, 10);
	if (len > addr_bits(&prefix->addr))
		memset(prefix, 0, sizeof(*prefix));
	else
		prefix->len = (uint8_t)len;
}

static void addresses(struct build *build, const struct lyd_node *parent, const char *name,
	struct cfg_addr **list, size_t *n) {
	const struct lyd_node *node = child(parent, name);
	*list = entries(build, node, n, sizeof(**list));
	for (size_t i = 0; i < *n; i++, node = next(node))
		parse_addr(lyd_get_value(node), &(*list)[i]);
}

static void prefixes(struct build *build, const struct lyd_node *parent, const char *name,
	struct cfg_prefix **list, size_t *n) {
	const struct lyd_node *node = child(parent, name);
	*list = entries(build, node, n, sizeof(**list));
	for (size_t i = 0; i < *n; i++, node = next(node))
		parse_prefix(lyd_get_value(node), &(*list)[i]);
}

// ---- the parts

static void build_listen(struct build *build, const struct lyd_node *top, struct cfg *cfg) {
	const struct lyd_node *node = child(top, "listen");
	if (node == NULL) {
		cfg->listen = calloc(1, sizeof(*cfg->listen));
		build->oom |= cfg->listen == NULL;
		if (cfg->listen == NULL)
			return;
		cfg->nb_listen = 1;
		cfg->listen[0].tcp_port = PORT_DEFAULT;
		cfg->listen[0].udp_port = PORT_DEFAULT;
		return;
	}
	cfg->listen = entries(build, node, &cfg->nb_listen, sizeof(*cfg->listen));
	for (size_t i = 0; i < cfg->nb_listen; i++, node = next(node)) {
		parse_addr(text(node, "address"), &cfg->listen[i].addr);
		cfg->listen[i].tcp_port = number(node, "tcp-port");
		cfg->listen[i].udp_port = number(node, "udp-port");
	}
}

static void build_certificates(struct build *build, const struct lyd_node *top, struct cfg *cfg) {
	const struct lyd_node *node = child(top, "certificate");
	cfg->certificates = entries(build, node, &cfg->nb_certificates, sizeof(*cfg->certificates));
	for (size_t i = 0; i < cfg->nb_certificates; i++, node = next(node)) {
		struct cfg_certificate *cert = &cfg->certificates[i];
		cert->name = string(build, node, "name");
		cert->certificate_file = string(build, node, "certificate-file");
		cert->key_file = string(build, node, "key-file");
		strings(build, node, "server-name", &cert->server_names, &cert->nb_server_names);
	}
}

static void build_auth(struct build *build, const struct lyd_node *node, struct cfg_auth *auth) {
	auth->password_file = string(build, node, "password-file");
	auth->password_tries = number(node, "password-tries");
	auth->requests_per_connection = number(node, "requests-per-connection");
	auth->timeout = number(node, "login-timeout");
	auth->header_timeout = number(node, "request-timeout");
	auth->cookie_timeout = number(node, "cookie-timeout");
	auth->max_clients = number(node, "max-clients");
	auth->max_same_clients = number(node, "max-same-clients");
}

// The gateway's address, or the first of the network.
static void build_gateway(const struct lyd_node *node, const char *name,
	const struct cfg_prefix *net, struct cfg_addr *gateway) {
	parse_addr(text(node, name), gateway);
	if (gateway->family != 0 || net->addr.family == 0)
		return;
	*gateway = net->addr;
	gateway->bytes[addr_len(gateway) - 1] |= 1;
}

static void build_pools(struct build *build, const struct lyd_node *top, struct cfg *cfg) {
	const struct lyd_node *node = child(top, "pool");
	cfg->pools = entries(build, node, &cfg->nb_pools, sizeof(*cfg->pools));
	for (size_t i = 0; i < cfg->nb_pools; i++, node = next(node)) {
		struct cfg_pool *pool = &cfg->pools[i];
		pool->name = string(build, node, "name");
		parse_prefix(text(node, "ipv4-network"), &pool->v4);
		parse_prefix(text(node, "ipv6-network"), &pool->v6);
		build_gateway(node, "ipv4-gateway", &pool->v4, &pool->gateway4);
		build_gateway(node, "ipv6-gateway", &pool->v6, &pool->gateway6);
		pool->v6_client_prefix = number(node, "ipv6-client-prefix");
		if (pool->v6_client_prefix == 0)
			pool->v6_client_prefix = 128;
	}
}

static void build_network(
	struct build *build, const struct lyd_node *node, struct cfg_network *net) {
	addresses(build, node, "dns", &net->dns, &net->nb_dns);
	addresses(build, node, "nbns", &net->nbns, &net->nb_nbns);
	prefixes(build, node, "split-include", &net->split_include, &net->nb_split_include);
	prefixes(build, node, "split-exclude", &net->split_exclude, &net->nb_split_exclude);
	strings(build, node, "split-dns", &net->split_dns, &net->nb_split_dns);
	net->default_domain = string(build, node, "default-domain");
	net->tunnel_all_dns = boolean(node, "tunnel-all-dns");
	net->client_bypass_protocol = boolean(node, "client-bypass-protocol");
	net->banner = string(build, node, "banner");
	net->pre_login_banner = string(build, node, "pre-login-banner");
	net->mtu = number(node, "mtu");
	net->keepalive = number(node, "keepalive");
	net->dpd = number(node, "dpd");
	net->mobile_dpd = number(node, "mobile-dpd");
	net->idle_timeout = number(node, "idle-timeout");
	net->session_timeout = number(node, "session-timeout");
	net->rekey_time = number(node, "rekey-time");
	net->switch_to_tcp = number(node, "switch-to-tcp-timeout");
	net->rx_rate = number(node, "rx-rate");
	net->tx_rate = number(node, "tx-rate");
}

static void build_port(struct build *build, const struct lyd_node *node, struct cfg_port *port) {
	static const char *const modes[] = {"dedicated", "shared", "tap", NULL};
	static const char *const drivers[] = {"auto", "af-xdp", "af-packet", "devargs", NULL};
	port->name = string(build, node, "name");
	port->role = strcmp(text(node, "role"), "wan") == 0 ? CFG_ROLE_WAN : CFG_ROLE_LAN;
	port->mode = (enum cfg_port_mode)choice(node, "mode", modes);
	port->driver = (enum cfg_driver)choice(node, "driver", drivers);
	port->device = string(build, node, "device");
	port->kernel_if = string(build, node, "kernel-interface");
	prefixes(build, node, "address", &port->addresses, &port->nb_addresses);
	port->mtu = number(node, "mtu");
	port->rx_queues = number(node, "rx-queues");
	port->descriptors = number(node, "descriptors");
}

static void build_dataplane(
	struct build *build, const struct lyd_node *node, struct cfg_dataplane *dp) {
	static const char *const idle[] = {"adaptive", "busy", NULL};
	const struct lyd_node *cpu = child(node, "cpu");
	const struct lyd_node *port = child(node, "port");
	dp->workers = number(node, "workers");
	dp->streamers = number(node, "streamers");
	dp->cpus = entries(build, cpu, &dp->nb_cpus, sizeof(*dp->cpus));
	for (size_t i = 0; i < dp->nb_cpus; i++, cpu = next(cpu))
		dp->cpus[i] = (uint32_t)strtoul(lyd_get_value(cpu), NULL, 10);
	dp->idle = (enum cfg_idle)choice(node, "idle", idle);
	dp->hugepages = boolean(node, "hugepages");
	dp->memory_mb = number(node, "memory");
	dp->sessions_max = number(node, "sessions-max");
	dp->mbufs = number(node, "buffers");
	dp->client_to_client = boolean(node, "client-to-client");
	dp->handshake_rate = number(node, "handshake-rate");
	dp->icmp_rate = number(node, "icmp-rate");
	dp->ports = entries(build, port, &dp->nb_ports, sizeof(*dp->ports));
	for (size_t i = 0; i < dp->nb_ports; i++, port = next(port))
		build_port(build, port, &dp->ports[i]);
}

struct cfg *cfg_build(const struct lyd_node *penstock) {
	static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
	struct build build = {0};
	struct cfg *cfg = calloc(1, sizeof(*cfg));
	while (penstock != NULL && strcmp(LYD_NAME(penstock), "penstock") != 0)
		penstock = penstock->next;
	if (cfg == NULL)
		return NULL;
	cfg->hostname = string(&build, penstock, "hostname");
	build_listen(&build, penstock, cfg);
	build_certificates(&build, penstock, cfg);
	cfg->tls12 = boolean(child(penstock, "tls"), "tls-1.2");
	cfg->tls13 = boolean(child(penstock, "tls"), "tls-1.3");
	cfg->dtls_psk = boolean(child(penstock, "dtls"), "psk");
	cfg->dtls_legacy = boolean(child(penstock, "dtls"), "legacy");
	cfg->state_dir = string(&build, penstock, "state-directory");
	cfg->run_dir = string(&build, penstock, "run-directory");
	cfg->edges = number(penstock, "edges");
	cfg->connections_per_edge = number(penstock, "connections-per-edge");
	cfg->log_level = (enum cfg_log_level)choice(penstock, "log-level", levels);
	build_auth(&build, child(penstock, "authentication"), &cfg->auth);
	build_network(&build, child(penstock, "network"), &cfg->network);
	build_pools(&build, penstock, cfg);
	build_dataplane(&build, child(penstock, "dataplane"), &cfg->dataplane);
	if (build.oom) {
		cfg_free(cfg);
		return NULL;
	}
	return cfg;
}

// ---- free

static void strings_free(char **list, size_t n) {
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static void network_free(struct cfg_network *net) {
	free(net->dns);
	free(net->nbns);
	free(net->split_include);
	free(net->split_exclude);
	strings_free(net->split_dns, net->nb_split_dns);
	free(net->default_domain);
	free(net->banner);
	free(net->pre_login_banner);
}

static void dataplane_free(struct cfg_dataplane *dp) {
	for (size_t i = 0; i < dp->nb_ports; i++) {
		free(dp->ports[i].name);
		free(dp->ports[i].device);
		free(dp->ports[i].kernel_if);
		free(dp->ports[i].addresses);
	}
	free(dp->ports);
	free(dp->cpus);
}

void cfg_free(struct cfg *cfg) {
	if (cfg == NULL)
		return;
	for (size_t i = 0; i < cfg->nb_certificates; i++) {
		struct cfg_certificate *cert = &cfg->certificates[i];
		free(cert->name);
		free(cert->certificate_file);
		free(cert->key_file);
		strings_free(cert->server_names, cert->nb_server_names);
	}
	for (size_t i = 0; i < cfg->nb_pools; i++)
		free(cfg->pools[i].name);
	free(cfg->certificates);
	free(cfg->pools);
	free(cfg->listen);
	free(cfg->hostname);
	free(cfg->state_dir);
	free(cfg->run_dir);
	free(cfg->auth.password_file);
	network_free(&cfg->network);
	dataplane_free(&cfg->dataplane);
	free(cfg);
}
