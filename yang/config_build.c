// SPDX-License-Identifier: GPL-3.0-or-later
// Makes a struct cfg of libyang's data tree and frees it. Called by config.c.

#include <stdlib.h>
#include <string.h>

#include "yang/config_tree.h"

#define PORT_DEFAULT 443

// ---- the parts

static void build_listen(struct build *build, const struct lyd_node *top, struct cfg *cfg) {
	const struct lyd_node *node = tree_child(top, "listen");
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
	cfg->listen = build_entries(build, node, &cfg->nb_listen, sizeof(*cfg->listen));
	for (size_t i = 0; i < cfg->nb_listen; i++, node = tree_next(node)) {
		build_addr(tree_text(node, "address"), &cfg->listen[i].addr);
		cfg->listen[i].tcp_port = tree_number(node, "tcp-port");
		cfg->listen[i].udp_port = tree_number(node, "udp-port");
		cfg->listen[i].proxy_required = strcmp(tree_text(node, "proxy-protocol"),
							"required") == 0;
		build_prefixes(build, node, "trusted-proxy", &cfg->listen[i].trusted_proxies,
			&cfg->listen[i].nb_trusted_proxies);
	}
}

static void build_certificates(struct build *build, const struct lyd_node *top, struct cfg *cfg) {
	const struct lyd_node *node = tree_child(top, "certificate");
	cfg->certificates = build_entries(
		build, node, &cfg->nb_certificates, sizeof(*cfg->certificates));
	for (size_t i = 0; i < cfg->nb_certificates; i++, node = tree_next(node)) {
		struct cfg_certificate *cert = &cfg->certificates[i];
		cert->name = build_string(build, node, "name");
		cert->certificate_file = build_string(build, node, "certificate-file");
		cert->key_file = build_string(build, node, "key-file");
		build_strings(
			build, node, "server-name", &cert->server_names, &cert->nb_server_names);
	}
}

// The gateway's address, or the first of the network.
static void build_gateway(const struct lyd_node *node, const char *name,
	const struct cfg_prefix *net, struct cfg_addr *gateway) {
	build_addr(tree_text(node, name), gateway);
	if (gateway->family != 0 || net->addr.family == 0)
		return;
	*gateway = net->addr;
	gateway->bytes[addr_len(gateway) - 1] |= 1;
}

static void build_pools(struct build *build, const struct lyd_node *top, struct cfg *cfg) {
	const struct lyd_node *node = tree_child(top, "pool");
	cfg->pools = build_entries(build, node, &cfg->nb_pools, sizeof(*cfg->pools));
	for (size_t i = 0; i < cfg->nb_pools; i++, node = tree_next(node)) {
		struct cfg_pool *pool = &cfg->pools[i];
		pool->name = build_string(build, node, "name");
		build_prefix(tree_text(node, "ipv4-network"), &pool->v4);
		build_prefix(tree_text(node, "ipv6-network"), &pool->v6);
		build_gateway(node, "ipv4-gateway", &pool->v4, &pool->gateway4);
		build_gateway(node, "ipv6-gateway", &pool->v6, &pool->gateway6);
		pool->v6_client_prefix = tree_number(node, "ipv6-client-prefix");
		if (pool->v6_client_prefix == 0)
			pool->v6_client_prefix = 128;
	}
}

static void build_port(struct build *build, const struct lyd_node *node, struct cfg_port *port) {
	static const char *const modes[] = {"dedicated", "shared", "tap", NULL};
	static const char *const drivers[] = {"auto", "af-xdp", "af-packet", "devargs", NULL};
	port->name = build_string(build, node, "name");
	port->role = strcmp(tree_text(node, "role"), "wan") == 0 ? CFG_ROLE_WAN : CFG_ROLE_LAN;
	port->mode = (enum cfg_port_mode)tree_choice(node, "mode", modes);
	port->driver = (enum cfg_driver)tree_choice(node, "driver", drivers);
	port->device = build_string(build, node, "device");
	port->kernel_if = build_string(build, node, "kernel-interface");
	build_prefixes(build, node, "address", &port->addresses, &port->nb_addresses);
	port->mtu = tree_number(node, "mtu");
	port->rx_queues = tree_number(node, "rx-queues");
	port->descriptors = tree_number(node, "descriptors");
}

static void build_dataplane(
	struct build *build, const struct lyd_node *node, struct cfg_dataplane *dp) {
	static const char *const idle[] = {"adaptive", "busy", NULL};
	const struct lyd_node *cpu = tree_child(node, "cpu");
	const struct lyd_node *port = tree_child(node, "port");
	dp->workers = tree_number(node, "workers");
	dp->streamers = tree_number(node, "streamers");
	dp->cpus = build_entries(build, cpu, &dp->nb_cpus, sizeof(*dp->cpus));
	for (size_t i = 0; i < dp->nb_cpus; i++, cpu = tree_next(cpu))
		dp->cpus[i] = (uint32_t)strtoul(lyd_get_value(cpu), NULL, 10);
	dp->idle = (enum cfg_idle)tree_choice(node, "idle", idle);
	dp->hugepages = tree_bool(node, "hugepages");
	dp->memory_mb = tree_number(node, "memory");
	dp->sessions_max = tree_number(node, "sessions-max");
	dp->mbufs = tree_number(node, "buffers");
	dp->client_to_client = tree_bool(node, "client-to-client");
	dp->handshake_rate = tree_number(node, "handshake-rate");
	dp->icmp_rate = tree_number(node, "icmp-rate");
	dp->ports = build_entries(build, port, &dp->nb_ports, sizeof(*dp->ports));
	for (size_t i = 0; i < dp->nb_ports; i++, port = tree_next(port))
		build_port(build, port, &dp->ports[i]);
}

static void build_http_headers(struct build *build, const struct lyd_node *top, struct cfg *cfg) {
	const struct lyd_node *node = tree_child(top, "http-header");

	cfg->http_headers = build_entries(
		build, node, &cfg->nb_http_headers, sizeof(*cfg->http_headers));
	for (size_t i = 0; i < cfg->nb_http_headers; i++, node = tree_next(node)) {
		cfg->http_headers[i].name = build_string(build, node, "name");
		cfg->http_headers[i].value = build_string(build, node, "value");
	}
}

static void build_share(struct build *build, const struct lyd_node *node, struct cfg_share *share) {
	share->node = build_string(build, node, "node");
	share->socket = build_string(build, node, "socket");
	build_addr(tree_text(node, "address"), &share->address);
	share->port = tree_number(node, "port");
	share->username = build_string(build, node, "username");
	share->password_file = build_string(build, node, "password-file");
	share->secret_file = build_string(build, node, "secret-file");
	share->prefix = build_string(build, node, "prefix");
	share->allow_away = strcmp(tree_text(node, "logins-while-away"), "allow") == 0;
}

struct cfg *cfg_build(const struct lyd_node *penstock) {
	static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
	struct build build = {0};
	struct cfg *cfg = calloc(1, sizeof(*cfg));
	while (penstock != NULL && strcmp(LYD_NAME(penstock), "penstock") != 0)
		penstock = penstock->next;
	if (cfg == NULL)
		return NULL;
	cfg->hostname = build_string(&build, penstock, "hostname");
	build_listen(&build, penstock, cfg);
	build_certificates(&build, penstock, cfg);
	cfg->tls12 = tree_bool(tree_child(penstock, "tls"), "tls-1.2");
	cfg->tls13 = tree_bool(tree_child(penstock, "tls"), "tls-1.3");
	cfg->dtls_psk = tree_bool(tree_child(penstock, "dtls"), "psk");
	cfg->dtls_legacy = tree_bool(tree_child(penstock, "dtls"), "legacy");
	cfg->state_dir = build_string(&build, penstock, "state-directory");
	cfg->run_dir = build_string(&build, penstock, "run-directory");
	build_http_headers(&build, penstock, cfg);
	cfg->health_path = build_string(&build, penstock, "health-path");
	cfg->edges = tree_number(penstock, "edges");
	cfg->connections_per_edge = tree_number(penstock, "connections-per-edge");
	cfg->recycle_after = tree_number(tree_child(penstock, "edge"), "recycle-after");
	cfg->recycle_timeout = tree_number(tree_child(penstock, "edge"), "recycle-timeout");
	cfg->signature_rate = tree_number(penstock, "signature-rate");
	cfg->log_level = (enum cfg_log_level)tree_choice(penstock, "log-level", levels);
	build_access(&build, penstock, cfg);
	build_filters(&build, tree_child(penstock, "filter"), cfg);
	build_share(&build, tree_child(penstock, "shared-store"), &cfg->share);
	build_network(&build, tree_child(penstock, "network"), &cfg->network);
	build_pools(&build, penstock, cfg);
	build_dataplane(&build, tree_child(penstock, "dataplane"), &cfg->dataplane);
	if (build.oom) {
		cfg_free(cfg);
		return NULL;
	}
	return cfg;
}

// ---- free

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
		build_strings_free(cert->server_names, cert->nb_server_names);
	}
	for (size_t i = 0; i < cfg->nb_http_headers; i++) {
		free(cfg->http_headers[i].name);
		free(cfg->http_headers[i].value);
	}
	free(cfg->http_headers);
	for (size_t i = 0; i < cfg->nb_pools; i++)
		free(cfg->pools[i].name);
	free(cfg->certificates);
	free(cfg->pools);
	for (size_t i = 0; i < cfg->nb_listen; i++)
		free(cfg->listen[i].trusted_proxies);
	free(cfg->listen);
	free(cfg->hostname);
	free(cfg->share.node);
	free(cfg->share.socket);
	free(cfg->share.username);
	free(cfg->share.password_file);
	free(cfg->share.secret_file);
	free(cfg->share.prefix);
	free(cfg->state_dir);
	free(cfg->run_dir);
	free(cfg->health_path);
	build_access_free(cfg);
	build_filters_free(cfg);
	build_network_free(&cfg->network);
	dataplane_free(&cfg->dataplane);
	free(cfg);
}
