// SPDX-License-Identifier: GPL-3.0-or-later
// Renders sessions, leases and the dataplane's statistics as JSON. Called by control.c.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/session/control.h"

static const char *const version_names[] = {
	[ABI_TLS12] = "TLS 1.2",
	[ABI_TLS13] = "TLS 1.3",
	[ABI_DTLS12] = "DTLS 1.2",
	[ABI_DTLS13] = "DTLS 1.3",
};

static const char *const cipher_names[] = {
	[ABI_AES_128_GCM] = "AES-128-GCM",
	[ABI_AES_256_GCM] = "AES-256-GCM",
	[ABI_CHACHA20_POLY1305] = "CHACHA20-POLY1305",
};

static const char *const end_names[ABI_END_MAX] = {
	[ABI_END_UNSPECIFIED] = "unspecified",
	[ABI_END_USER] = "user",
	[ABI_END_SERVER] = "server",
	[ABI_END_IDLE] = "idle timeout",
	[ABI_END_DPD] = "dead peer",
	[ABI_END_ERROR] = "error",
	[ABI_END_SESSION_TIMEOUT] = "session timeout",
	[ABI_END_TEMPORARY] = "connection lost",
	[ABI_END_REPLACED] = "replaced",
	[ABI_END_SEQ_EXHAUSTED] = "sequence numbers used up",
	[ABI_END_DISPLACED] = "replaced by a newer session",
};

static const char *const state_names[] = {
	[SESSION_AUTHENTICATED] = "authenticated",
	[SESSION_CONNECTED] = "connected",
	[SESSION_DISCONNECTED] = "disconnected",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME(array, i) ((size_t)(i) < COUNT(array) && (array)[i] != NULL ? (array)[i] : "")

// Takes over `value`. NULL makes the object NULL, so that one check at the end is enough.
static void put(json_t **object, const char *key, json_t *value) {
	if (*object == NULL || value == NULL || json_object_set_new(*object, key, value) < 0) {
		if (*object == NULL)
			json_decref(value);
		json_decref(*object);
		*object = NULL;
	}
}

static void put_int(json_t **object, const char *key, uint64_t value) {
	put(object, key, json_integer((json_int_t)value));
}

static void put_bool(json_t **object, const char *key, bool value) {
	put(object, key, json_boolean(value));
}

// Bytes that are not UTF-8 (a client's own words) become '?'.
static void put_text(json_t **object, const char *key, const char *text) {
	char safe[1024];
	json_t *value = json_string(text != NULL ? text : "");
	if (value == NULL) {
		size_t n = strnlen(text, sizeof(safe) - 1);
		for (size_t i = 0; i < n; i++)
			safe[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
		safe[n] = '\0';
		value = json_string(safe);
	}
	put(object, key, value);
}

// A name of the statistics region, which need not hold a NUL.
static void put_name(json_t **object, const char *key, const char *name) {
	char copy[ABI_NAME_LEN + 1];
	memcpy(copy, name, ABI_NAME_LEN);
	copy[ABI_NAME_LEN] = '\0';
	put_text(object, key, copy);
}

// Appends and returns the list, or frees it when there is no memory.
static json_t *append(json_t *list, json_t *value) {
	if (list != NULL && value != NULL && json_array_append_new(list, value) == 0)
		return list;
	if (list == NULL)
		json_decref(value);
	json_decref(list);
	return NULL;
}

static void put_addr(json_t **object, const char *key, const struct abi_addr *addr) {
	char text[ADDR_TEXT_LEN];
	put_text(object, key, abi_addr_none(addr) ? "" : addr_text(addr, text));
}

// ---- sessions

const char *show_channel(const struct session_info *info) {
	unsigned tx = info->stats.channel_tx;
	if (info->state != SESSION_CONNECTED)
		return "none";
	if (info->stats.generation == 0)
		tx = info->channels & ABI_CHANNEL_DTLS	      ? 2
			: info->channels & ABI_CHANNEL_STREAM ? 1
							      : 0;
	return tx == 2 ? "DTLS" : tx == 1 ? "TLS" : "none";
}

static void put_inner6(json_t **object, const struct session_info *info) {
	char text[ADDR_TEXT_LEN + 5];

	text[0] = '\0';
	if (!abi_addr_none(&info->inner6)) {
		addr_text(&info->inner6, text);
		sprintf(text + strlen(text), "/%u", info->inner6_prefix);
	}
	put_text(object, "ipv6", text);
}

static void put_ciphers(json_t **object, const struct session_info *info) {
	static const char *const modes[] = {"none", "psk", "legacy"};
	bool tls = info->channels & ABI_CHANNEL_STREAM;
	bool dtls = info->dtls_cipher != 0;
	put_text(object, "tls_version", tls ? NAME(version_names, info->tls_version) : "");
	put_text(object, "tls_cipher", tls ? NAME(cipher_names, info->tls_cipher) : "");
	put_text(object, "dtls_mode", NAME(modes, info->dtls_mode));
	put_text(object, "dtls_cipher", dtls ? NAME(cipher_names, info->dtls_cipher) : "");
	if (info->channels & ABI_CHANNEL_DTLS) {
		put_addr(object, "dtls_remote_address", &info->dtls_tuple.remote);
		put_int(object, "dtls_remote_port", ntohs(info->dtls_tuple.remote_port));
	}
}

static void put_traffic(json_t **object, const struct abi_session_stats *stats,
	const struct session_usage *total, uint64_t now) {
	uint64_t last = stats->last_data_s > stats->last_rx_s ? stats->last_data_s
							      : stats->last_rx_s;
	bool live = stats->generation != 0;
	put_int(object, "rx_packets", stats->rx_packets);
	put_int(object, "rx_bytes", stats->rx_bytes);
	put_int(object, "tx_packets", stats->tx_packets);
	put_int(object, "tx_bytes", stats->tx_bytes);
	put_int(object, "total_rx_packets", total->rx_packets);
	put_int(object, "total_rx_bytes", total->rx_bytes);
	put_int(object, "total_tx_packets", total->tx_packets);
	put_int(object, "total_tx_bytes", total->tx_bytes);
	put(object, "worker", live ? json_integer(stats->worker) : json_null());
	put(object, "idle",
		live && stats->last_data_s != 0 && now >= stats->last_data_s
			? json_integer((json_int_t)(now - stats->last_data_s))
			: json_null());
	put(object, "silent",
		live && last != 0 && now >= last ? json_integer((json_int_t)(now - last))
						 : json_null());
}

// ["tcp(443)", "udp(8000-8099)", "icmp()"], as ocserv writes them.
static json_t *services(const struct cfg_reach *reach) {
	static const char *const names[CFG_PROTOCOL_MAX] = {
		"tcp", "udp", "sctp", "icmp", "icmpv6", "esp"};
	json_t *list = json_array();
	for (size_t i = 0; i < reach->nb_services; i++) {
		const struct cfg_service *service = &reach->services[i];
		char ports[16] = "";
		if (service->low == service->high)
			snprintf(ports, sizeof(ports), "%u", service->low);
		else if (service->low != 0)
			snprintf(ports, sizeof(ports), "%u-%u", service->low, service->high);
		list = append(list, json_sprintf("%s(%s)", NAME(names, service->protocol), ports));
	}
	return list;
}

static json_t *networks(const struct abi_prefix *prefix, unsigned nb) {
	json_t *list = json_array();
	char text[ADDR_TEXT_LEN];
	for (unsigned i = 0; i < nb; i++)
		list = append(list,
			json_sprintf("%s/%u", addr_text(&prefix[i].addr, text), prefix[i].len));
	return list;
}

static void put_reach(json_t **object, const struct session_info *info) {
	static const char *const modes[] = {"all", "allow", "deny"};
	put_text(object, "filter", info->filter);
	put_bool(object, "restricted_to_routes", info->reach.to_routes);
	put_text(object, "restricted_to_ports_mode", NAME(modes, info->reach.mode));
	put(object, "restricted_to_ports", services(&info->reach));
	put(object, "dscp", info->dscp_copy ? json_string("copy") : json_sprintf("%u", info->dscp));
	put(object, "iroutes", networks(info->iroutes, info->nb_iroutes));
	put_int(object, "filtered_routes", info->stats.filtered_routes);
	put_int(object, "filtered_ports", info->stats.filtered_ports);
}

json_t *show_session(const struct session_info *info, uint64_t now) {
	json_t *object = json_object();
	put_int(&object, "id", info->sid.index);
	put_int(&object, "generation", info->sid.generation);
	put_text(&object, "user", info->user);
	put_text(&object, "groups", info->groups);
	put_text(&object, "group", info->group);
	put_text(&object, "virtual_host", info->virtual_host);
	put_text(&object, "state", NAME(state_names, info->state));
	put_text(&object, "channel", show_channel(info));
	put_addr(&object, "remote_address", &info->remote);
	put_int(&object, "remote_port", info->remote_port);
	put_addr(&object, "ipv4", &info->inner4);
	put_inner6(&object, info);
	put_ciphers(&object, info);
	put_text(&object, "agent", info->agent);
	put_text(&object, "hostname", info->hostname);
	put_text(&object, "device_type", info->device_type);
	put_text(&object, "device_platform", info->device_platform);
	put_text(&object, "server_name", info->server_name);
	put_int(&object, "logged_in_at", info->created);
	put_int(&object, "started_at", info->started);
	put_int(&object, "connected_at", info->connected);
	put_int(&object, "disconnected_at", info->disconnected);
	put_int(&object, "cookie_expires_at", info->expires);
	put_int(&object, "session_ends_at", info->session_ends);
	put_text(&object, "last_end", info->disconnected ? NAME(end_names, info->last_end) : "");
	put_int(&object, "tls_mtu", info->cstp_mtu);
	put_int(&object, "dtls_mtu", info->dtls_mtu);
	put_int(&object, "link_mtu", info->base_mtu);
	put_reach(&object, info);
	put_traffic(&object, &info->stats, &info->total, now);
	return object;
}

json_t *show_lease(const struct lease_info *info) {
	json_t *object = json_object();
	put_text(&object, "pool", info->pool);
	put_addr(&object, "address", &info->addr);
	put_text(&object, "user", info->user);
	put_bool(&object, "in_use", info->in_use);
	put(&object, "session", info->in_use ? json_integer(info->id) : json_null());
	put_int(&object, "last_used_at", info->last_used);
	return object;
}

json_t *show_ban(const struct bans *bans, const struct ban_info *info, uint64_t now) {
	// The clock of bans is set by nobody; people read the other one.
	int64_t realtime = (int64_t)time(NULL) - (int64_t)now;
	bool banned = info->until_s != 0;
	json_t *object = json_object();
	char text[ADDR_TEXT_LEN + 4];
	addr_text(&info->addr, text);
	if (info->prefix_len != 128)
		strcat(text, "/64");
	put_text(&object, "address", text);
	put_bool(&object, "banned", banned);
	put_int(&object, "score", bans_score(bans, info));
	put_int(&object, "wrong_passwords", info->wrong_passwords);
	put_int(&object, "connections", info->connections);
	put_int(&object, "refused", info->refused);
	put_int(&object, "counting_since_at", (uint64_t)((int64_t)info->counting_s + realtime));
	put_int(&object, "banned_at", banned ? (uint64_t)((int64_t)info->since_s + realtime) : 0);
	put_int(&object, "ends_at", banned ? (uint64_t)((int64_t)info->until_s + realtime) : 0);
	return object;
}

static int add_pool(const struct pool_info *info, void *arg) {
	json_t *object = json_object();
	put_text(&object, "pool", info->name);
	put_text(&object, "family", info->family == AF_INET ? "ipv4" : "ipv6");
	put_int(&object, "size", info->size);
	put_int(&object, "used", info->used);
	put_int(&object, "remembered", info->remembered);
	return object != NULL ? json_array_append_new(arg, object) : -1;
}

json_t *show_pools(struct session_mgr *mgr) {
	json_t *list = json_array();
	if (list != NULL && pool_info_each(mgr, add_pool, list) != 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static const char *store_state(int fault) {
	return fault == 0	   ? "ok"
		: fault == -ENOSPC ? "full"
		: fault == -EROFS  ? "read-only"
				   : "failing";
}

json_t *show_totals(struct session_mgr *mgr) {
	struct session_totals totals;
	json_t *object = json_object();
	session_totals(mgr, &totals);
	put_int(&object, "connected", totals.connected);
	put_int(&object, "disconnected", totals.disconnected);
	put_int(&object, "authenticated", totals.authenticated);
	put_int(&object, "max_clients", totals.max_clients);
	put_int(&object, "logins", totals.logins);
	put_int(&object, "connects", totals.connects);
	put_int(&object, "ended", totals.ended);
	put_int(&object, "refused", totals.refused);
	put_int(&object, "bans", totals.bans);
	put_int(&object, "refused_banned", totals.refused_banned);
	put_int(&object, "ban_overflows", totals.ban_overflows);
	put_bool(&object, "dataplane", totals.dataplane);
	put_int(&object, "dataplane_sessions", totals.dataplane_sessions);
	put_bool(&object, "draining", totals.draining);
	put_bool(&object, "stopping", totals.stopping);
	put_int(&object, "drain_ends_at", totals.drain_ends);
	put_int(&object, "scripts_due", totals.scripts_due);
	put_text(&object, "store", store_state(totals.store_fault));
	return object;
}

// ---- statistics

static uint64_t load(const uint64_t *counter) {
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

// A number of entries that another process wrote.
static uint32_t bounded(const uint32_t *n, uint32_t max) {
	uint32_t value = __atomic_load_n(n, __ATOMIC_RELAXED);
	return value < max ? value : max;
}

static json_t *show_port(const struct abi_port_stats *port) {
	json_t *object = json_object();
	char mac[18];
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", port->mac[0], port->mac[1],
		port->mac[2], port->mac[3], port->mac[4], port->mac[5]);
	put_name(&object, "name", port->name);
	put_text(&object, "role", port->role == 1 ? "wan" : port->role == 2 ? "lan" : "");
	put_name(&object, "driver", port->driver);
	put_name(&object, "kernel_interface", port->kernel_if);
	put_text(&object, "mac", mac);
	put_bool(&object, "up", port->up);
	put_int(&object, "mtu", port->mtu);
	put_int(&object, "rx_packets", load(&port->rx_packets));
	put_int(&object, "rx_bytes", load(&port->rx_bytes));
	put_int(&object, "tx_packets", load(&port->tx_packets));
	put_int(&object, "tx_bytes", load(&port->tx_bytes));
	put_int(&object, "rx_dropped", load(&port->rx_dropped));
	put_int(&object, "tx_dropped", load(&port->tx_dropped));
	put_int(&object, "rx_errors", load(&port->rx_errors));
	return object;
}

// ---- RADIUS

static json_t *radius_count(const struct ipc_radius_count *count) {
	json_t *object = json_object();
	put_int(&object, "sent", count->sent);
	put_int(&object, "sent_again", count->resent);
	put_int(&object, "answered", count->answered);
	put_int(&object, "given_up", count->given_up);
	put_int(&object, "answers_unusable", count->unusable);
	put_int(&object, "answers_unexpected", count->unexpected);
	return object;
}

static json_t *dynauth_count(const struct ipc_radius_counts *counts) {
	json_t *object = json_object();
	put_int(&object, "disconnects", counts->disconnects);
	put_int(&object, "disconnects_refused", counts->disconnects_refused);
	put_int(&object, "changes", counts->changes);
	put_int(&object, "changes_refused", counts->changes_refused);
	put_int(&object, "repeated", counts->repeated);
	put_int(&object, "dropped_foreign", counts->foreign);
	put_int(&object, "dropped_unusable", counts->unusable);
	put_int(&object, "dropped_stale", counts->stale);
	put_int(&object, "dropped_overflow", counts->overflow);
	return object;
}

json_t *show_radius(struct session_mgr *mgr) {
	uint32_t waiting;
	const struct ipc_radius_counts *counts = session_radius_counts(mgr, &waiting);
	json_t *object = json_object(), *accounting = radius_count(&counts->acct);
	put_int(&accounting, "waiting", waiting);
	put(&object, "authentication", radius_count(&counts->auth));
	put(&object, "accounting", accounting);
	put(&object, "dynamic_authorization", dynauth_count(counts));
	return object;
}

// ---- the dataplane

json_t *show_interfaces(const struct abi_stats *stats) {
	json_t *list = json_array();
	uint32_t n = bounded(&stats->nb_ports, ABI_PORTS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		if (stats->port[i].name[0] != '\0')
			list = append(list, show_port(&stats->port[i]));
	}
	return list;
}

json_t *show_counters(const struct abi_stats *stats) {
	static const struct {
		const char *name, *text;
	} counters[] = {
#define X(name, text) {#name, text},
		ABI_COUNTERS(X)
#undef X
	};
	json_t *list = json_array();
	uint32_t workers = bounded(&stats->nb_workers, ABI_STATS_WORKERS);
	uint32_t known = bounded(&stats->nb_counters, ABI_C_MAX);
	for (uint32_t c = 0; c < known; c++) {
		json_t *object = json_object();
		uint64_t sum = 0;
		for (uint32_t i = 0; i < workers; i++)
			sum += load(&stats->worker[i].counters[c]);
		put_text(&object, "name", counters[c].name);
		put_int(&object, "value", sum);
		put_text(&object, "description", counters[c].text);
		list = append(list, object);
	}
	return list;
}

static json_t *show_worker(const struct abi_worker_stats *worker, uint64_t tsc_hz) {
	static const char *const kinds[] = {"", "packet", "stream", "control"};
	json_t *object = json_object();
	uint64_t busy = load(&worker->cycles_busy), idle = load(&worker->cycles_idle);
	uint64_t packets = load(&worker->packets);
	double total = (double)busy + (double)idle;
	put_int(&object, "lcore", worker->lcore);
	put_text(&object, "kind", NAME(kinds, worker->kind));
	put(&object, "cpu", worker->cpu != UINT32_MAX ? json_integer(worker->cpu) : json_null());
	put_int(&object, "loops", load(&worker->loops));
	put_int(&object, "packets", packets);
	put_int(&object, "syscalls", load(&worker->syscalls));
	put_int(&object, "cycles_busy", busy);
	put_int(&object, "cycles_idle", idle);
	put_int(&object, "cycles_per_second", tsc_hz);
	put(&object, "busy_share", json_real(total > 0 ? (double)busy / total : 0));
	put(&object, "cycles_per_packet",
		packets > 0 ? json_real((double)busy / (double)packets) : json_null());
	return object;
}

json_t *show_workers(const struct abi_stats *stats) {
	json_t *list = json_array();
	uint32_t n = bounded(&stats->nb_workers, ABI_STATS_WORKERS);
	for (uint32_t i = 0; i < n; i++) {
		if (stats->worker[i].kind != 0)
			list = append(list, show_worker(&stats->worker[i], load(&stats->tsc_hz)));
	}
	return list;
}

json_t *show_version(const struct abi_stats *stats) {
	json_t *object = json_object();
	put_text(&object, "controlplane", PENSTOCK_VERSION);
	put_int(&object, "abi", ABI_VERSION);
	if (stats != NULL) {
		put_name(&object, "dataplane", stats->build);
		put_name(&object, "dpdk", stats->dpdk_version);
		put_int(&object, "dataplane_started_at", load(&stats->start_realtime_s));
	} else {
		put(&object, "dataplane", json_null());
	}
	return object;
}
