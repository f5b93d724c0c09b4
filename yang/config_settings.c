// SPDX-License-Identifier: GPL-3.0-or-later
// The parts of a struct cfg that say what sessions get. Called by config_build.c, config_access.c.

#include <stdlib.h>

#include "yang/config_tree.h"

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
	net->append_routes = tree_bool(node, "append-routes");
}

static const struct {
	const char *leaf;
	uint32_t bit;
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
	free(net->pre_login_banner);
}

void build_settings_free(struct cfg_settings *settings) {
	build_network_free(&settings->network);
	free(settings->hostname);
	build_strings_free(settings->pools, settings->nb_pools);
}
