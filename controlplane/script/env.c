// SPDX-License-Identifier: GPL-3.0-or-later
// Makes the environment of a script; called by script.c.
//
// Names are those that scripts for ocserv know; what has no name there begins with PENSTOCK_.
// Addresses are made into text here. Names of users and groups are taken as they are or not at
// all: a changed name would be another user's. What a client says of itself (host name, program,
// device) is a label: each character that a careless script could trip over becomes '_'.
#include "env.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/ipc/ipc.h"
#include "controlplane/settings/settings.h"

#define VARIABLES_MAX 64u
#define LIST_MAX 65536u // bytes of one list

struct maker {
	char **env;
	unsigned nb;
	int status;
};

__attribute__((format(printf, 3, 4))) static void put(
	struct maker *maker, const char *name, const char *fmt, ...) {
	char *value = NULL, *line = NULL;
	va_list args;

	if (maker->status != 0)
		return;
	va_start(args, fmt);
	if (vasprintf(&value, fmt, args) < 0)
		value = NULL;
	va_end(args);
	if (value == NULL || maker->nb == VARIABLES_MAX ||
		asprintf(&line, "%s=%s", name, value) < 0)
		maker->status = -ENOMEM;
	else
		maker->env[maker->nb++] = line;
	free(value);
}

// ---- strings

bool script_name_ok(const char *name, size_t len) {
	if (len == 0 || strchr(".- ", name[0]) != NULL)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c < 0x80 && !isalnum(c) && strchr("._@+=:,%\\ -", c) == NULL)
			return false;
		if (c == '\0')
			return false;
	}
	return true;
}

static bool groups_ok(const char *groups) {
	while (*groups) {
		size_t len = strcspn(groups, ",");

		if (!script_name_ok(groups, len))
			return false;
		groups += len + (groups[len] == ',');
	}
	return true;
}

static void put_label(struct maker *maker, const char *name, const char *said) {
	char safe[IPC_NAME_LEN];
	size_t len = strnlen(said, sizeof(safe) - 1);

	_Static_assert(sizeof(safe) >= IPC_AGENT_LEN, "all labels fit");
	if (len == 0)
		return;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)said[i];
		safe[i] = (char)(isalnum(c) || strchr("._@+=:, ()-", c) != NULL ? c : '_');
	}
	safe[len] = '\0';
	// No option of a command, no hidden file.
	if (safe[0] == '-' || safe[0] == '.')
		safe[0] = '_';
	put(maker, name, "%s", safe);
}

// ---- addresses

static void put_addr(struct maker *maker, const char *name, const struct abi_addr *addr) {
	char text[ADDR_TEXT_LEN];

	if (!abi_addr_none(addr))
		put(maker, name, "%s", addr_text(addr, text));
}

static void put_cfg_addr(struct maker *maker, const char *name, const struct cfg_addr *addr) {
	char text[INET6_ADDRSTRLEN];

	if (addr->family && inet_ntop(addr->family, addr->bytes, text, sizeof(text)))
		put(maker, name, "%s", text);
}

// The pool that the address is of, or NULL.
static const struct cfg_pool *pool_of(const struct cfg *cfg, const struct abi_addr *addr) {
	int family = abi_addr_is4(addr) ? AF_INET : AF_INET6;
	const uint8_t *bytes = family == AF_INET ? addr->bytes + 12 : addr->bytes;

	for (size_t i = 0; !abi_addr_none(addr) && i < cfg->nb_pools; i++) {
		const struct cfg_pool *pool = &cfg->pools[i];
		bool has = family == AF_INET ? pool->v4.addr.family : pool->v6.addr.family;

		if (has && cfg_pool_index(pool, family, bytes) >= 0)
			return pool;
	}
	return NULL;
}

// The gateway's own end of the tunnel.
static void put_local(
	struct maker *maker, const struct cfg *cfg, const struct ipc_script_facts *facts) {
	const struct cfg_pool *v4 = pool_of(cfg, &facts->inner4);
	const struct cfg_pool *v6 = pool_of(cfg, &facts->inner6);

	if (v4 != NULL)
		put_cfg_addr(maker, "IP_LOCAL", &v4->gateway4);
	if (v6 == NULL)
		return;
	if (abi_addr_none(&facts->inner4))
		put_cfg_addr(maker, "IP_LOCAL", &v6->gateway6);
	put_cfg_addr(maker, "IPV6_LOCAL", &v6->gateway6);
}

static void put_addresses(
	struct maker *maker, const struct cfg *cfg, const struct ipc_script_facts *facts) {
	bool only6 = abi_addr_none(&facts->inner4);

	put_addr(maker, "IP_REAL", &facts->remote);
	put_addr(maker, "IP_REAL_LOCAL", &facts->local);
	put_local(maker, cfg, facts);
	put_addr(maker, "IP_REMOTE", only6 ? &facts->inner6 : &facts->inner4);
	put_addr(maker, "IPV6_REMOTE", &facts->inner6);
	if (!abi_addr_none(&facts->inner6))
		put(maker, "IPV6_PREFIX", "%u", facts->inner6_prefix);
}

// ---- lists

struct list {
	char *text;
	size_t len;
	int status;
};

static void list_add(struct list *list, const char *item) {
	size_t len = strlen(item);

	if (list->status == 0 && list->len + len + 1 >= LIST_MAX)
		list->status = -E2BIG;
	if (list->status != 0)
		return;
	memcpy(list->text + list->len, item, len);
	list->text[list->len + len] = ' ';
	list->len += len + 1;
}

// As ocserv writes them: IPv4 with a netmask, IPv6 with a length.
static void prefix_text(const struct cfg_prefix *prefix, bool mask, char *text, size_t size) {
	char addr[INET6_ADDRSTRLEN], netmask[INET_ADDRSTRLEN];
	struct in_addr bits = {0};

	inet_ntop(prefix->addr.family, prefix->addr.bytes, addr, sizeof(addr));
	if (mask && prefix->addr.family == AF_INET) {
		if (prefix->len > 0)
			bits.s_addr = htonl(~0u << (32 - prefix->len));
		snprintf(text, size, "%s/%s", addr,
			inet_ntop(AF_INET, &bits, netmask, sizeof(netmask)));
	} else {
		snprintf(text, size, "%s/%u", addr, prefix->len);
	}
}

struct list_of {
	const struct cfg_prefix *prefixes;
	const struct cfg_addr *addrs;
	size_t nb;
};

// `family` 0: both.
static void put_list(
	struct maker *maker, const char *name, const struct list_of *of, int family, bool mask) {
	struct list list = {malloc(LIST_MAX), 0, 0};
	char text[INET6_ADDRSTRLEN + INET_ADDRSTRLEN + 2];

	if (list.text == NULL)
		list.status = -ENOMEM;
	for (size_t i = 0; list.status == 0 && i < of->nb; i++) {
		const struct cfg_addr *addr = of->prefixes ? &of->prefixes[i].addr : &of->addrs[i];

		if (family && addr->family != family)
			continue;
		if (of->prefixes)
			prefix_text(&of->prefixes[i], mask, text, sizeof(text));
		else
			inet_ntop(addr->family, addr->bytes, text, sizeof(text));
		list_add(&list, text);
	}
	if (list.status != 0)
		maker->status = list.status;
	else if (list.len > 0)
		put(maker, name, "%.*s", (int)list.len - 1, list.text);
	free(list.text);
}

static void put_lists(struct maker *maker, const struct cfg_network *network) {
	const struct list_of routes = {network->split_include, NULL, network->nb_split_include};
	const struct list_of no_routes = {network->split_exclude, NULL, network->nb_split_exclude};
	const struct list_of dns = {NULL, network->dns, network->nb_dns};

	put_list(maker, "OCSERV_ROUTES", &routes, 0, true);
	put_list(maker, "OCSERV_ROUTES4", &routes, AF_INET, true);
	put_list(maker, "OCSERV_ROUTES6", &routes, AF_INET6, true);
	put_list(maker, "OCSERV_NO_ROUTES", &no_routes, 0, true);
	put_list(maker, "OCSERV_NO_ROUTES4", &no_routes, AF_INET, true);
	put_list(maker, "OCSERV_NO_ROUTES6", &no_routes, AF_INET6, true);
	put_list(maker, "OCSERV_DNS", &dns, 0, false);
	put_list(maker, "OCSERV_DNS4", &dns, AF_INET, false);
	put_list(maker, "OCSERV_DNS6", &dns, AF_INET6, false);
	put_list(maker, "PENSTOCK_ROUTES", &routes, 0, false);
	put_list(maker, "PENSTOCK_NO_ROUTES", &no_routes, 0, false);
}

// ---- where the client may reach

// As ocserv writes them, "tcp 443 icmp all"; ranges as iptables does, "udp 8000:8099".
static void put_services(struct maker *maker, const struct cfg_reach *reach) {
	static const char *const names[CFG_PROTOCOL_MAX] = {
		"tcp", "udp", "sctp", "icmp", "icmpv6", "esp"};
	struct list list = {malloc(LIST_MAX), 0, 0};

	if (list.text == NULL)
		list.status = -ENOMEM;
	for (size_t i = 0; i < reach->nb_services; i++) {
		const struct cfg_service *service = &reach->services[i];
		char text[32];

		if (service->protocol >= CFG_PROTOCOL_ICMP)
			snprintf(text, sizeof(text), "%s all", names[service->protocol]);
		else if (service->low == service->high)
			snprintf(text, sizeof(text), "%s %u", names[service->protocol],
				service->low);
		else
			snprintf(text, sizeof(text), "%s %u:%u", names[service->protocol],
				service->low, service->high);
		list_add(&list, text);
	}
	if (list.status != 0)
		maker->status = list.status;
	else if (list.len > 0)
		put(maker,
			reach->mode == CFG_REACH_ALLOW ? "OCSERV_ALLOW_PORTS" : "OCSERV_DENY_PORTS",
			"%.*s", (int)list.len - 1, list.text);
	free(list.text);
}

static void put_reach(struct maker *maker, const struct cfg_reach *reach) {
	if (reach->to_routes)
		put(maker, "OCSERV_RESTRICT_TO_ROUTES", "1");
	if (reach->mode != CFG_REACH_ALL)
		put_services(maker, reach);
}

// ---- the whole

static const char *device_of(const struct cfg *cfg) {
	for (size_t i = 0; i < cfg->dataplane.nb_ports; i++) {
		const struct cfg_port *port = &cfg->dataplane.ports[i];

		if (port->role == CFG_ROLE_LAN)
			return port->kernel_if[0] ? port->kernel_if : port->name;
	}
	return "";
}

static void put_end(struct maker *maker, const struct ipc_script_facts *facts) {
	put(maker, "STATS_BYTES_IN", "%llu", (unsigned long long)facts->rx_bytes);
	put(maker, "STATS_BYTES_OUT", "%llu", (unsigned long long)facts->tx_bytes);
	put(maker, "STATS_DURATION", "%llu", (unsigned long long)facts->duration);
	put(maker, "PENSTOCK_STATS_PACKETS_IN", "%llu", (unsigned long long)facts->rx_packets);
	put(maker, "PENSTOCK_STATS_PACKETS_OUT", "%llu", (unsigned long long)facts->tx_packets);
	put(maker, "PENSTOCK_END", "%s", ipc_end_name(facts->end));
}

static void put_names(
	struct maker *maker, const struct cfg *cfg, const struct ipc_script_facts *facts) {
	put(maker, "USERNAME", "%s", facts->user);
	put(maker, "GROUPNAME", "%s", facts->group);
	put(maker, "PENSTOCK_GROUPS", "%s", facts->groups);
	put_label(maker, "VHOST", facts->server_name[0] ? facts->server_name : cfg->hostname);
	put_label(maker, "HOSTNAME", facts->hostname);
	put_label(maker, "REMOTE_HOSTNAME", facts->hostname);
	put_label(maker, "USER_AGENT", facts->agent);
	put_label(maker, "DEVICE_TYPE", facts->device_type);
	put_label(maker, "DEVICE_PLATFORM", facts->device_platform);
	put(maker, "DEVICE", "%s", device_of(cfg));
}

static bool facts_ok(const struct ipc_script_facts *facts) {
	return ipc_script_facts_ok(facts) && script_name_ok(facts->user, strlen(facts->user)) &&
		groups_ok(facts->groups) && groups_ok(facts->group);
}

int script_env_make(const struct cfg *cfg, enum ipc_script_event event,
	const struct ipc_script_facts *facts, char ***env) {
	static const char *const reasons[] = {
		[IPC_SCRIPT_CONNECT] = "connect",
		[IPC_SCRIPT_DISCONNECT] = "disconnect",
		[IPC_SCRIPT_HOST_UPDATE] = "host-update",
	};
	const struct settings_who who = {
		facts->server_name, facts->group, facts->user, &facts->settings};
	struct settings settings;
	struct maker maker = {0};

	if (!facts_ok(facts))
		return -EINVAL;
	maker.env = calloc(VARIABLES_MAX + 1, sizeof(*maker.env));
	if (maker.env == NULL)
		return -ENOMEM;
	put(&maker, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	put(&maker, "LANG", "C.UTF-8");
	put(&maker, "REASON", "%s", reasons[event]);
	put(&maker, "ID", "%llu", (unsigned long long)facts->id);
	put(&maker, "PENSTOCK_SESSION", "%u", facts->session);
	put_names(&maker, cfg, facts);
	put_addresses(&maker, cfg, facts);
	settings_compute(&settings, cfg, &who);
	put_lists(&maker, &settings.network);
	put_reach(&maker, &settings.network.reach);
	if (event == IPC_SCRIPT_DISCONNECT)
		put_end(&maker, facts);
	if (maker.status == 0) {
		*env = maker.env;
		return 0;
	}
	script_env_free(maker.env);
	return maker.status;
}

void script_env_free(char **env) {
	if (env == NULL)
		return;
	for (char **at = env; *at != NULL; at++)
		free(*at);
	free(env);
}
