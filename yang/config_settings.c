// SPDX-License-Identifier: GPL-3.0-or-later
// The parts of a struct cfg that say what sessions get. Called by config_build.c, config_access.c.

#include <stdlib.h>
#include <string.h>

#include "yang/config_tree.h"

// ---- where clients may reach

static void build_range(const char *text, struct cfg_service *service) {
	char *dash;
	service->low = (uint16_t)strtoul(text, &dash, 10);
	unsigned long high = *dash == '-' ? strtoul(dash + 1, NULL, 10) : service->low;
	// What is no range comes out as one that config_cross_settings.c refuses.
	service->high = high <= UINT16_MAX ? (uint16_t)high : 0;
	if (strtoul(text, NULL, 10) > UINT16_MAX)
		service->high = 0, service->low = UINT16_MAX;
}

static size_t count_services(const struct lyd_node *protocol) {
	size_t n = 0;
	for (; protocol != NULL; protocol = tree_next(protocol)) {
		const struct lyd_node *port = tree_child(protocol, "port");
		size_t ports = 0;
		for (; port != NULL; port = tree_next(port))
			ports++;
		n += ports > 0 ? ports : 1;
	}
	return n;
}

static void build_services(
	struct build *build, const struct lyd_node *protocol, struct cfg_reach *reach) {
	static const char *const names[] = {"tcp", "udp", "sctp", "icmp", "icmpv6", "esp", NULL};
	size_t n = 0, max = count_services(protocol);
	reach->services = max > 0 ? calloc(max, sizeof(*reach->services)) : NULL;
	build->oom |= max > 0 && reach->services == NULL;
	for (; protocol != NULL && reach->services != NULL; protocol = tree_next(protocol)) {
		const struct lyd_node *port = tree_child(protocol, "port");
		struct cfg_service service = {.high = UINT16_MAX};
		service.protocol = (enum cfg_protocol)tree_choice(protocol, "name", names);
		if (port == NULL)
			reach->services[n++] = service;
		for (; port != NULL; port = tree_next(port)) {
			build_range(lyd_get_value(port), &service);
			reach->services[n++] = service;
		}
	}
	reach->nb_services = n;
}

static void build_reach(struct build *build, const struct lyd_node *node, struct cfg_reach *reach) {
	static const char *const modes[] = {"allow", "deny", NULL};
	const struct lyd_node *ports = tree_child(node, "restrict-to-ports");
	reach->to_routes = tree_bool(node, "restrict-to-routes");
	if (ports == NULL)
		return;
	reach->mode = tree_choice(ports, "mode", modes) == 0 ? CFG_REACH_ALLOW : CFG_REACH_DENY;
	build_services(build, tree_child(ports, "protocol"), reach);
}

void build_filters(struct build *build, const struct lyd_node *node, struct cfg *cfg) {
	cfg->filters = build_entries(build, node, &cfg->nb_filters, sizeof(*cfg->filters));
	for (size_t i = 0; i < cfg->nb_filters; i++, node = tree_next(node)) {
		struct cfg_filter *filter = &cfg->filters[i];
		filter->name = build_string(build, node, "name");
		if (tree_child(node, "restrict-to-routes") != NULL)
			filter->set |= CFG_SET_TO_ROUTES;
		if (tree_child(node, "restrict-to-ports") != NULL)
			filter->set |= CFG_SET_TO_PORTS;
		build_reach(build, node, &filter->reach);
	}
}

void build_filters_free(struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_filters; i++) {
		free(cfg->filters[i].name);
		free(cfg->filters[i].reach.services);
	}
	free(cfg->filters);
}

// ---- the whole

void build_network(struct build *build, const struct lyd_node *node, struct cfg_network *net) {
	build_addresses(build, node, "dns", &net->dns, &net->nb_dns);
	build_addresses(build, node, "nbns", &net->nbns, &net->nb_nbns);
	build_prefixes(build, node, "split-include", &net->split_include, &net->nb_split_include);
	build_prefixes(build, node, "split-exclude", &net->split_exclude, &net->nb_split_exclude);
	build_strings(build, node, "split-dns", &net->split_dns, &net->nb_split_dns);
	net->default_domain = build_string(build, node, "default-domain");
	net->tunnel_all_dns = tree_bool(node, "tunnel-all-dns");
	net->client_bypass_protocol = tree_bool(node, "client-bypass-protocol");
	net->banner = build_string(build, node, "banner");
	net->proxy_url = build_string(build, node, "proxy-url");
	build_strings(build, node, "custom-header", &net->custom_headers, &net->nb_custom_headers);
	net->pre_login_banner = build_string(build, node, "pre-login-banner");
	net->mtu = tree_number(node, "mtu");
	net->keepalive = tree_number(node, "keepalive");
	net->dpd = tree_number(node, "dpd");
	net->mobile_dpd = tree_number(node, "mobile-dpd");
	net->idle_timeout = tree_number(node, "idle-timeout");
	net->mobile_idle_timeout = tree_number(node, "mobile-idle-timeout");
	net->session_timeout = tree_number(node, "session-timeout");
	net->rekey_time = tree_number(node, "rekey-time");
	net->switch_to_tcp = tree_number(node, "switch-to-tcp-timeout");
	net->rx_rate = tree_number(node, "rx-rate");
	net->tx_rate = tree_number(node, "tx-rate");
	net->dscp_copy = strcmp(tree_text(node, "dscp"), "copy") == 0;
	net->dscp = net->dscp_copy ? 0 : tree_number(node, "dscp");
	build_reach(build, node, &net->reach);
	net->append_routes = tree_bool(node, "append-routes");
}

static const struct {
	const char *leaf;
	uint64_t bit;
} leaves[] = {
	{"dns", CFG_SET_DNS},
	{"nbns", CFG_SET_NBNS},
	{"split-include", CFG_SET_SPLIT_INCLUDE},
	{"split-exclude", CFG_SET_SPLIT_EXCLUDE},
	{"split-dns", CFG_SET_SPLIT_DNS},
	{"default-domain", CFG_SET_DEFAULT_DOMAIN},
	{"tunnel-all-dns", CFG_SET_TUNNEL_ALL_DNS},
	{"client-bypass-protocol", CFG_SET_CLIENT_BYPASS},
	{"banner", CFG_SET_BANNER},
	{"proxy-url", CFG_SET_PROXY_URL},
	{"custom-header", CFG_SET_CUSTOM_HEADERS},
	{"mtu", CFG_SET_MTU},
	{"keepalive", CFG_SET_KEEPALIVE},
	{"dpd", CFG_SET_DPD},
	{"mobile-dpd", CFG_SET_MOBILE_DPD},
	{"idle-timeout", CFG_SET_IDLE_TIMEOUT},
	{"mobile-idle-timeout", CFG_SET_MOBILE_IDLE},
	{"session-timeout", CFG_SET_SESSION_TIMEOUT},
	{"rekey-time", CFG_SET_REKEY_TIME},
	{"switch-to-tcp-timeout", CFG_SET_SWITCH_TO_TCP},
	{"rx-rate", CFG_SET_RX_RATE},
	{"tx-rate", CFG_SET_TX_RATE},
	{"hostname", CFG_SET_HOSTNAME},
	{"pool", CFG_SET_POOLS},
	{"no-udp", CFG_SET_NO_UDP},
	{"max-same-clients", CFG_SET_MAX_SAME_CLIENTS},
	{"deny-roaming", CFG_SET_DENY_ROAMING},
	{"ipv4-address", CFG_SET_IPV4},
	{"ipv6-address", CFG_SET_IPV6},
	{"restrict-to-routes", CFG_SET_TO_ROUTES},
	{"restrict-to-ports", CFG_SET_TO_PORTS},
	{"filter", CFG_SET_FILTER},
	{"iroute", CFG_SET_IROUTES},
	{"dscp", CFG_SET_DSCP},
};

void build_settings(
	struct build *build, const struct lyd_node *node, struct cfg_settings *settings) {
	for (size_t i = 0; i < sizeof(leaves) / sizeof(*leaves); i++) {
		if (tree_child(node, leaves[i].leaf) != NULL)
			settings->set |= leaves[i].bit;
	}
	build_network(build, node, &settings->network);
	settings->hostname = build_string(build, node, "hostname");
	build_strings(build, node, "pool", &settings->pools, &settings->nb_pools);
	settings->no_udp = tree_bool(node, "no-udp");
	settings->max_same_clients = tree_number(node, "max-same-clients");
	settings->deny_roaming = tree_bool(node, "deny-roaming");
	build_addr(tree_text(node, "ipv4-address"), &settings->ipv4);
	build_addr(tree_text(node, "ipv6-address"), &settings->ipv6);
	settings->filter = build_string(build, node, "filter");
	build_prefixes(build, node, "iroute", &settings->iroutes, &settings->nb_iroutes);
}

// ---- free

void build_network_free(struct cfg_network *net) {
	free(net->dns);
	free(net->nbns);
	free(net->split_include);
	free(net->split_exclude);
	build_strings_free(net->split_dns, net->nb_split_dns);
	free(net->default_domain);
	free(net->banner);
	free(net->proxy_url);
	build_strings_free(net->custom_headers, net->nb_custom_headers);
	free(net->pre_login_banner);
	free(net->reach.services);
}

void build_settings_free(struct cfg_settings *settings) {
	build_network_free(&settings->network);
	free(settings->hostname);
	free(settings->filter);
	free(settings->iroutes);
	build_strings_free(settings->pools, settings->nb_pools);
}
