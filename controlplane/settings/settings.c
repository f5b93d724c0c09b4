// SPDX-License-Identifier: GPL-3.0-or-later
// Puts the settings of a session together. Called by session and edge.

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "controlplane/settings/settings.h"
#include "dataplane/abi/addr.h"

struct abi_addr settings_addr(const struct cfg_addr *addr) {
	struct abi_addr out = {0};

	if (addr->family == AF_INET) {
		out.bytes[10] = out.bytes[11] = 0xff;
		memcpy(out.bytes + 12, addr->bytes, 4);
	} else if (addr->family == AF_INET6) {
		memcpy(out.bytes, addr->bytes, 16);
	}
	return out;
}

static struct cfg_addr cfg_of(const struct abi_addr *addr) {
	struct cfg_addr out = {.family = abi_addr_is4(addr) ? AF_INET : AF_INET6};

	if (out.family == AF_INET)
		memcpy(out.bytes, addr->bytes + 12, 4);
	else
		memcpy(out.bytes, addr->bytes, 16);
	return out;
}

// --- the configuration's ---

static void put_lists(struct cfg_network *to, uint64_t set, const struct cfg_network *from) {
	if (set & CFG_SET_DNS) {
		to->dns = from->dns;
		to->nb_dns = from->nb_dns;
	}
	if (set & CFG_SET_NBNS) {
		to->nbns = from->nbns;
		to->nb_nbns = from->nb_nbns;
	}
	if (set & CFG_SET_SPLIT_INCLUDE) {
		to->split_include = from->split_include;
		to->nb_split_include = from->nb_split_include;
	}
	if (set & CFG_SET_SPLIT_EXCLUDE) {
		to->split_exclude = from->split_exclude;
		to->nb_split_exclude = from->nb_split_exclude;
	}
	if (set & CFG_SET_SPLIT_DNS) {
		to->split_dns = from->split_dns;
		to->nb_split_dns = from->nb_split_dns;
	}
	if (set & CFG_SET_CUSTOM_HEADERS) {
		to->custom_headers = from->custom_headers;
		to->nb_custom_headers = from->nb_custom_headers;
	}
}

static void put_texts(struct cfg_network *to, uint64_t set, const struct cfg_network *from) {
	if (set & CFG_SET_DEFAULT_DOMAIN)
		to->default_domain = from->default_domain;
	if (set & CFG_SET_BANNER)
		to->banner = from->banner;
	if (set & CFG_SET_PROXY_URL)
		to->proxy_url = from->proxy_url;
	if (set & CFG_SET_TUNNEL_ALL_DNS)
		to->tunnel_all_dns = from->tunnel_all_dns;
	if (set & CFG_SET_CLIENT_BYPASS)
		to->client_bypass_protocol = from->client_bypass_protocol;
}

static void put_numbers(struct cfg_network *to, uint64_t set, const struct cfg_network *from) {
	if (set & CFG_SET_MTU)
		to->mtu = from->mtu;
	if (set & CFG_SET_KEEPALIVE)
		to->keepalive = from->keepalive;
	if (set & CFG_SET_DPD)
		to->dpd = from->dpd;
	if (set & CFG_SET_MOBILE_DPD)
		to->mobile_dpd = from->mobile_dpd;
	if (set & CFG_SET_IDLE_TIMEOUT)
		to->idle_timeout = from->idle_timeout;
	if (set & CFG_SET_MOBILE_IDLE)
		to->mobile_idle_timeout = from->mobile_idle_timeout;
	if (set & CFG_SET_SESSION_TIMEOUT)
		to->session_timeout = from->session_timeout;
	if (set & CFG_SET_REKEY_TIME)
		to->rekey_time = from->rekey_time;
	if (set & CFG_SET_SWITCH_TO_TCP)
		to->switch_to_tcp = from->switch_to_tcp;
	if (set & CFG_SET_RX_RATE)
		to->rx_rate = from->rx_rate;
	if (set & CFG_SET_TX_RATE)
		to->tx_rate = from->tx_rate;
	if (set & CFG_SET_DSCP) {
		to->dscp = from->dscp;
		to->dscp_copy = from->dscp_copy;
	}
}

static void put_reach(struct cfg_reach *to, uint64_t set, const struct cfg_reach *from) {
	if (set & CFG_SET_TO_ROUTES)
		to->to_routes = from->to_routes;
	if (!(set & CFG_SET_TO_PORTS))
		return;
	to->mode = from->mode;
	to->services = from->services;
	to->nb_services = from->nb_services;
}

// A server that names a filter means to restrict: without it nothing is reached.
static void put_filter(struct settings *to, const struct cfg *cfg, const char *name) {
	const struct cfg_filter *filter = cfg_filter_find(cfg, name);

	to->filter = name;
	to->filter_unknown = !filter;
	if (filter)
		put_reach(&to->network.reach, filter->set, &filter->reach);
	else
		to->network.reach = (struct cfg_reach){.to_routes = true, .mode = CFG_REACH_ALLOW};
}

static void put(struct settings *to, const struct cfg *cfg, const struct cfg_settings *from) {
	uint64_t set = from->set;

	if (set & CFG_SET_IROUTES) {
		to->iroutes = from->iroutes;
		to->nb_iroutes = from->nb_iroutes;
	}
	if (set & CFG_SET_FILTER)
		put_filter(to, cfg, from->filter);
	put_reach(&to->network.reach, set, &from->network.reach);
	put_lists(&to->network, set, &from->network);
	put_texts(&to->network, set, &from->network);
	put_numbers(&to->network, set, &from->network);
	if (set & CFG_SET_HOSTNAME)
		to->hostname = from->hostname;
	if (set & CFG_SET_POOLS) {
		to->pools = from->pools;
		to->nb_pools = from->nb_pools;
	}
	if (set & CFG_SET_NO_UDP)
		to->no_udp = from->no_udp;
	if (set & CFG_SET_MAX_SAME_CLIENTS)
		to->max_same_clients = from->max_same_clients;
	if (set & CFG_SET_DENY_ROAMING)
		to->deny_roaming = from->deny_roaming;
	if (set & CFG_SET_IPV4)
		to->inner4 = settings_addr(&from->ipv4);
	if (set & CFG_SET_IPV6)
		to->inner6 = settings_addr(&from->ipv6);
}

// --- the authentication server's ---

static void put_extra_lists(struct settings *to, const struct ipc_user_settings *from) {
	for (unsigned i = 0; i < from->nb_dns; i++)
		to->dns[i] = cfg_of(&from->dns[i]);
	if (from->nb_dns) {
		to->network.dns = to->dns;
		to->network.nb_dns = from->nb_dns;
	}
	for (unsigned i = 0; i < from->nb_routes; i++)
		to->routes[i] = (struct cfg_prefix){
			cfg_of(&from->routes[i].addr), from->routes[i].len};
	if (from->nb_routes) {
		to->network.split_include = to->routes;
		to->network.nb_split_include = from->nb_routes;
	}
}

static void put_extra(
	struct settings *to, const struct cfg *cfg, const struct ipc_user_settings *from) {
	uint32_t set = from->set;

	if (set & IPC_SET_FILTER)
		put_filter(to, cfg, from->filter);
	put_extra_lists(to, from);
	if (set & IPC_SET_INNER4)
		to->inner4 = from->inner4;
	if (set & IPC_SET_INNER6)
		to->inner6 = from->inner6;
	if (set & IPC_SET_NETMASK4)
		to->netmask4 = from->netmask4;
	if (set & IPC_SET_RX_RATE)
		to->network.rx_rate = from->rx_rate;
	if (set & IPC_SET_TX_RATE)
		to->network.tx_rate = from->tx_rate;
	if (set & IPC_SET_SESSION_TIMEOUT)
		to->network.session_timeout = from->session_timeout;
	if (set & IPC_SET_IDLE_TIMEOUT) {
		to->network.idle_timeout = from->idle_timeout;
		to->network.mobile_idle_timeout = 0; // it is said of this very user
	}
	if (set & IPC_SET_INTERIM)
		to->interim_interval = from->interim_interval;
}

// --- routes for everybody ---

// The list of one level with that of the configuration's top behind it, in `room`.
static void append(struct cfg_prefix *room, struct cfg_prefix **list, size_t *n,
	const struct cfg_prefix *more, size_t nb_more) {
	if (*list == more || nb_more == 0)
		return;
	if (*list != room && *n > 0)
		memcpy(room, *list, *n * sizeof(*room));
	memcpy(room + *n, more, nb_more * sizeof(*room));
	*list = room;
	*n += nb_more;
}

static void append_routes(struct settings *to, const struct cfg_network *top) {
	struct cfg_network *net = &to->network;

	append(to->routes, &net->split_include, &net->nb_split_include, top->split_include,
		top->nb_split_include);
	append(to->no_routes, &net->split_exclude, &net->nb_split_exclude, top->split_exclude,
		top->nb_split_exclude);
}

void settings_compute(
	struct settings *settings, const struct cfg *cfg, const struct settings_who *who) {
	const struct cfg_vhost *vhost = cfg_vhost_find(cfg, who->server_name);
	const struct cfg_group *group = who->group ? cfg_group_find(cfg, who->group) : NULL;
	const struct cfg_user *user = who->user ? cfg_user_find(cfg, who->user) : NULL;

	memset(settings, 0, offsetof(struct settings, routes));
	settings->network = cfg->network;
	settings->max_same_clients = cfg->auth.max_same_clients;
	settings->deny_roaming = cfg->auth.deny_roaming;
	settings->interim_interval = cfg->radius.interim_interval;
	if (vhost)
		put(settings, cfg, &vhost->settings);
	if (group)
		put(settings, cfg, &group->settings);
	if (user)
		put(settings, cfg, &user->settings);
	if (who->extra)
		put_extra(settings, cfg, who->extra);
	if (cfg->network.append_routes)
		append_routes(settings, &cfg->network);
}
