// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of the control plane as tables for people. Called by show.c.

#include "tools/cli/render.h"

#include <string.h>

#include "tools/cli/table.h"

static const char *text(const json_t *object, const char *key) {
	const char *value = json_string_value(json_object_get(object, key));
	return value != NULL ? value : "";
}

// "-" stands for "none": an empty cell looks like a mistake.
static const char *or_dash(const char *value) {
	return value[0] != '\0' ? value : "-";
}

static uint64_t number(const json_t *object, const char *key) {
	json_int_t value = json_integer_value(json_object_get(object, key));
	return value > 0 ? (uint64_t)value : 0;
}

static bool has_number(const json_t *object, const char *key) {
	return json_is_integer(json_object_get(object, key));
}

static uint64_t ago(uint64_t when, uint64_t now) {
	return now > when ? now - when : 0;
}

static void cell_bytes(struct table *table, const json_t *object, const char *key) {
	char buf[FORMAT_LEN];
	table_cell(table, format_bytes(number(object, key), buf));
}

static void cell_count(struct table *table, const json_t *object, const char *key) {
	char buf[FORMAT_LEN];
	table_cell(table, format_count(number(object, key), buf));
}

// Prints and frees, or says that there is nothing to show.
static void finish(struct table *table, FILE *out, unsigned width, const char *none) {
	if (table_rows(table) > 0)
		table_print(table, out, width);
	else
		fprintf(out, "%s\n", none);
	table_free(table);
}

// ---- sessions

static const char *cipher(const json_t *session) {
	bool dtls = strcmp(text(session, "channel"), "DTLS") == 0;
	return or_dash(text(session, dtls ? "dtls_cipher" : "tls_cipher"));
}

// How long the session is in its state.
static uint64_t since(const json_t *session) {
	const char *state = text(session, "state");
	if (strcmp(state, "connected") == 0)
		return number(session, "connected_at");
	if (strcmp(state, "disconnected") == 0)
		return number(session, "disconnected_at");
	return number(session, "logged_in_at");
}

static void session_row(struct table *table, const json_t *session, uint64_t now) {
	char buf[FORMAT_LEN];
	table_cellf(table, "%llu", (unsigned long long)number(session, "id"));
	table_cell(table, text(session, "user"));
	table_cell(table, or_dash(text(session, "groups")));
	table_cell(table, or_dash(text(session, "remote_address")));
	table_cell(table, or_dash(text(session, "ipv4")));
	table_cell(table, or_dash(text(session, "ipv6")));
	table_cell(table, text(session, "state"));
	table_cell(table, text(session, "channel"));
	table_cell(table, cipher(session));
	cell_bytes(table, session, "rx_bytes");
	cell_bytes(table, session, "tx_bytes");
	table_cell(table,
		has_number(session, "idle") ? format_duration(number(session, "idle"), buf) : "-");
	table_cell(table, format_duration(ago(since(session), now), buf));
	table_cell(table, or_dash(text(session, "agent")));
}

void render_sessions(FILE *out, const json_t *sessions, unsigned width, uint64_t now) {
	struct table *table = table_new();
	const json_t *session;
	size_t i;
	if (table == NULL)
		return;
	table_column(table, "ID", TABLE_RIGHT);
	table_column(table, "User", 0);
	table_column(table, "Groups", TABLE_DROP(8));
	table_column(table, "Remote", TABLE_DROP(1));
	table_column(table, "IPv4", 0);
	table_column(table, "IPv6", TABLE_DROP(5));
	table_column(table, "State", TABLE_DROP(3));
	table_column(table, "Channel", 0);
	table_column(table, "Cipher", TABLE_DROP(7));
	table_column(table, "RX", TABLE_RIGHT);
	table_column(table, "TX", TABLE_RIGHT);
	table_column(table, "Idle", TABLE_RIGHT | TABLE_DROP(4));
	table_column(table, "Since", TABLE_RIGHT | TABLE_DROP(2));
	table_column(table, "Agent", TABLE_DROP(9));
	json_array_foreach(sessions, i, session)
		session_row(table, session, now);
	finish(table, out, width, "There are no sessions.");
}

// Name and value, cleaned as table cells are; nothing when there is no value.
static void line(struct table *table, const char *name, const char *value) {
	if (value[0] == '\0')
		return;
	table_cell(table, name);
	table_cell(table, value);
}

static void line_time(struct table *table, const char *name, uint64_t when, uint64_t now) {
	char at[FORMAT_LEN], span[FORMAT_LEN];
	if (when == 0)
		return;
	bool future = when > now;
	table_cell(table, name);
	table_cellf(table, "%s (%s%s%s)", format_time(when, at), future ? "in " : "",
		format_duration(future ? when - now : now - when, span), future ? "" : " ago");
}

static void line_security(struct table *table, const json_t *session) {
	char value[128];
	if (text(session, "tls_cipher")[0] != '\0') {
		snprintf(value, sizeof(value), "%s %s", text(session, "tls_version"),
			text(session, "tls_cipher"));
		line(table, "  TLS", value);
	}
	if (text(session, "dtls_cipher")[0] != '\0') {
		snprintf(value, sizeof(value), "DTLS 1.2 %s (%s)", text(session, "dtls_cipher"),
			text(session, "dtls_mode"));
		line(table, "  DTLS", value);
	}
}

static void line_traffic(struct table *table, const char *name, const json_t *session,
	const char *packets, const char *bytes) {
	char a[FORMAT_LEN], b[FORMAT_LEN];
	table_cell(table, name);
	table_cellf(table, "%s in %s packets", format_bytes(number(session, bytes), a),
		format_count(number(session, packets), b));
}

static void line_addr_port(struct table *table, const char *name, const json_t *session,
	const char *addr, const char *port) {
	const char *value = text(session, addr);
	if (value[0] == '\0')
		return;
	uint64_t nr = number(session, port);
	table_cell(table, name);
	if (nr == 0)
		table_cell(table, value);
	else
		table_cellf(table, strchr(value, ':') != NULL ? "[%s]:%llu" : "%s:%llu", value,
			(unsigned long long)nr);
}

static void line_iroutes(struct table *table, const json_t *session) {
	const json_t *network;
	size_t i;
	json_array_foreach(json_object_get(session, "iroutes"), i, network)
		line(table, i == 0 ? "  iRoutes" : "",
			json_is_string(network) ? json_string_value(network) : "");
}

// Networks behind clients, one a line.
void render_iroutes(FILE *out, const json_t *sessions, unsigned width) {
	struct table *table = table_new();
	const json_t *session, *network;
	size_t i, k;
	if (table == NULL)
		return;
	table_column(table, "ID", TABLE_RIGHT);
	table_column(table, "User", 0);
	table_column(table, "Virtual host", TABLE_DROP(2));
	table_column(table, "IPv4", TABLE_DROP(1));
	table_column(table, "IPv6", TABLE_DROP(3));
	table_column(table, "iRoute", 0);
	json_array_foreach(sessions, i, session) {
		json_array_foreach(json_object_get(session, "iroutes"), k, network) {
			table_cellf(table, "%llu", (unsigned long long)number(session, "id"));
			table_cell(table, text(session, "user"));
			table_cell(table, or_dash(text(session, "virtual_host")));
			table_cell(table, or_dash(text(session, "ipv4")));
			table_cell(table, or_dash(text(session, "ipv6")));
			table_cell(
				table, json_is_string(network) ? json_string_value(network) : "");
		}
	}
	finish(table, out, width, "No network is behind a client.");
}

// "tcp(443), icmp()", or "!(tcp(25))".
static void line_services(struct table *table, const json_t *session) {
	const json_t *list = json_object_get(session, "restricted_to_ports"), *service;
	const char *mode = text(session, "restricted_to_ports_mode");
	bool deny = strcmp(mode, "deny") == 0;
	char value[512] = "";
	size_t i, len = 0;
	if (strcmp(mode, "allow") != 0 && !deny)
		return;
	json_array_foreach(list, i, service) {
		const char *word = json_string_value(service);
		if (word == NULL || len + strlen(word) + 8 > sizeof(value)) {
			len += (size_t)snprintf(value + len, sizeof(value) - len, ", ...");
			break;
		}
		len += (size_t)snprintf(
			value + len, sizeof(value) - len, "%s%s", i > 0 ? ", " : "", word);
	}
	table_cell(table, "  Restricted to ports");
	table_cellf(table, deny ? "!(%s)" : "%s", len > 0 || deny ? value : "none");
}

static void line_filtered(struct table *table, const json_t *session) {
	char a[FORMAT_LEN], b[FORMAT_LEN];
	if (number(session, "filtered_routes") == 0 && number(session, "filtered_ports") == 0)
		return;
	table_cell(table, "  Filtered");
	table_cellf(table, "%s packets by routes, %s by ports",
		format_count(number(session, "filtered_routes"), a),
		format_count(number(session, "filtered_ports"), b));
}

void render_session(FILE *out, const json_t *session, uint64_t now) {
	struct table *table = table_new();
	char buf[FORMAT_LEN], title[FORMAT_LEN];
	if (table == NULL)
		return;
	snprintf(title, sizeof(title), "Session %llu", (unsigned long long)number(session, "id"));
	table_column(table, title, 0);
	table_column(table, "", 0);
	line(table, "  User", text(session, "user"));
	line(table, "  Groups", text(session, "groups"));
	line(table, "  Group", text(session, "group"));
	line(table, "  Virtual host", text(session, "virtual_host"));
	line(table, "  State", text(session, "state"));
	line(table, "  Channel", text(session, "channel"));
	line_addr_port(table, "  Remote", session, "remote_address", "remote_port");
	line_addr_port(table, "  DTLS remote", session, "dtls_remote_address", "dtls_remote_port");
	line(table, "  IPv4", text(session, "ipv4"));
	line(table, "  IPv6", text(session, "ipv6"));
	line_security(table, session);
	line(table, "  Agent", text(session, "agent"));
	line(table, "  Host name", text(session, "hostname"));
	line(table, "  Device", text(session, "device_type"));
	line(table, "  Platform", text(session, "device_platform"));
	line(table, "  Server name", text(session, "server_name"));
	line_time(table, "  Logged in", number(session, "logged_in_at"), now);
	line_time(table, "  Connected", number(session, "connected_at"), now);
	line_time(table, "  Disconnected", number(session, "disconnected_at"), now);
	line(table, "  Last end", text(session, "last_end"));
	line_time(table, "  Cookie dies", number(session, "cookie_expires_at"), now);
	line_time(table, "  Session ends", number(session, "session_ends_at"), now);
	if (number(session, "tls_mtu") != 0) {
		table_cell(table, "  MTU");
		table_cellf(table, "%llu over TLS, %llu over DTLS, link %llu",
			(unsigned long long)number(session, "tls_mtu"),
			(unsigned long long)number(session, "dtls_mtu"),
			(unsigned long long)number(session, "link_mtu"));
	}
	if (strcmp(text(session, "dscp"), "0") != 0)
		line(table, "  DSCP", text(session, "dscp"));
	line_iroutes(table, session);
	line(table, "  Filter", text(session, "filter"));
	if (json_is_true(json_object_get(session, "restricted_to_routes")))
		line(table, "  Restricted to routes", "yes");
	line_services(table, session);
	line_filtered(table, session);
	line_traffic(table, "  Received", session, "rx_packets", "rx_bytes");
	line_traffic(table, "  Sent", session, "tx_packets", "tx_bytes");
	line_traffic(table, "  Received in all", session, "total_rx_packets", "total_rx_bytes");
	line_traffic(table, "  Sent in all", session, "total_tx_packets", "total_tx_bytes");
	if (has_number(session, "idle"))
		line(table, "  Idle", format_duration(number(session, "idle"), buf));
	if (has_number(session, "worker")) {
		table_cell(table, "  Worker");
		table_cellf(table, "%llu", (unsigned long long)number(session, "worker"));
	}
	table_print(table, out, 0);
	table_free(table);
}

// ---- dataplane

void render_interfaces(FILE *out, const json_t *ports, unsigned width) {
	struct table *table = table_new();
	const json_t *port;
	size_t i;
	if (table == NULL)
		return;
	table_column(table, "Name", 0);
	table_column(table, "Role", 0);
	table_column(table, "State", 0);
	table_column(table, "Driver", TABLE_DROP(5));
	table_column(table, "Kernel", TABLE_DROP(6));
	table_column(table, "MAC", TABLE_DROP(8));
	table_column(table, "MTU", TABLE_RIGHT | TABLE_DROP(7));
	table_column(table, "RX packets", TABLE_RIGHT | TABLE_DROP(3));
	table_column(table, "RX", TABLE_RIGHT);
	table_column(table, "TX packets", TABLE_RIGHT | TABLE_DROP(2));
	table_column(table, "TX", TABLE_RIGHT);
	table_column(table, "RX drops", TABLE_RIGHT);
	table_column(table, "TX drops", TABLE_RIGHT);
	table_column(table, "Errors", TABLE_RIGHT | TABLE_DROP(1));
	json_array_foreach(ports, i, port) {
		table_cell(table, text(port, "name"));
		table_cell(table, or_dash(text(port, "role")));
		table_cell(table, json_is_true(json_object_get(port, "up")) ? "up" : "down");
		table_cell(table, or_dash(text(port, "driver")));
		table_cell(table, or_dash(text(port, "kernel_interface")));
		table_cell(table, text(port, "mac"));
		table_cellf(table, "%llu", (unsigned long long)number(port, "mtu"));
		cell_count(table, port, "rx_packets");
		cell_bytes(table, port, "rx_bytes");
		cell_count(table, port, "tx_packets");
		cell_bytes(table, port, "tx_bytes");
		cell_count(table, port, "rx_dropped");
		cell_count(table, port, "tx_dropped");
		cell_count(table, port, "rx_errors");
	}
	finish(table, out, width, "There are no interfaces.");
}

void render_counters(FILE *out, const json_t *counters, unsigned width, bool all) {
	struct table *table = table_new();
	const json_t *counter;
	size_t i;
	if (table == NULL)
		return;
	table_column(table, "Counter", 0);
	table_column(table, "Value", TABLE_RIGHT);
	table_column(table, "Meaning", TABLE_WRAP);
	json_array_foreach(counters, i, counter) {
		if (!all && number(counter, "value") == 0)
			continue;
		table_cell(table, text(counter, "name"));
		cell_count(table, counter, "value");
		table_cell(table, text(counter, "description"));
	}
	finish(table, out, width, "All counters are zero (--all shows them).");
}

static const json_t *worker_before(const json_t *before, const json_t *worker) {
	const json_t *other;
	size_t i;
	json_array_foreach(before, i, other) {
		if (number(other, "lcore") == number(worker, "lcore") &&
			strcmp(text(other, "kind"), text(worker, "kind")) == 0)
			return other;
	}
	return NULL;
}

// What was counted since the earlier sample; a counter that went back (a restart) gives 0.
static double difference(const json_t *worker, const json_t *before, const char *key) {
	double old = before != NULL ? (double)number(before, key) : 0;
	double value = (double)number(worker, key) - old;
	return value > 0 ? value : 0;
}

static void worker_row(
	struct table *table, const json_t *worker, const json_t *before, double interval_s) {
	char buf[FORMAT_LEN];
	double busy = difference(worker, before, "cycles_busy");
	double cycles = busy + difference(worker, before, "cycles_idle");
	double packets = difference(worker, before, "packets");
	double per_s = interval_s > 0 ? interval_s : 1;
	table_cellf(table, "%llu", (unsigned long long)number(worker, "lcore"));
	table_cell(table, text(worker, "kind"));
	if (json_is_integer(json_object_get(worker, "cpu")))
		table_cellf(table, "%llu", (unsigned long long)number(worker, "cpu"));
	else
		table_cell(table, "any");
	if (cycles > 0)
		table_cellf(table, "%.1f %%", 100 * busy / cycles);
	else
		table_cell(table, "-");
	table_cell(table, format_count((uint64_t)(packets / per_s), buf));
	if (packets > 0)
		table_cellf(table, "%.0f", busy / packets);
	else
		table_cell(table, "-");
	table_cell(
		table, format_count((uint64_t)(difference(worker, before, "loops") / per_s), buf));
	table_cell(table,
		format_count((uint64_t)(difference(worker, before, "syscalls") / per_s), buf));
}

void render_workers(
	FILE *out, const json_t *workers, const json_t *before, double interval_s, unsigned width) {
	struct table *table = table_new();
	bool rates = before != NULL;
	const json_t *worker;
	size_t i;
	if (table == NULL)
		return;
	table_column(table, "Core", TABLE_RIGHT);
	table_column(table, "Kind", 0);
	table_column(table, "CPU", TABLE_RIGHT);
	table_column(table, "Busy", TABLE_RIGHT);
	table_column(table, rates ? "Packets/s" : "Packets", TABLE_RIGHT);
	table_column(table, "Cycles/packet", TABLE_RIGHT);
	table_column(table, rates ? "Loops/s" : "Loops", TABLE_RIGHT | TABLE_DROP(2));
	table_column(table, rates ? "Syscalls/s" : "Syscalls", TABLE_RIGHT | TABLE_DROP(1));
	json_array_foreach(workers, i, worker)
		worker_row(table, worker, worker_before(before, worker), rates ? interval_s : 0);
	finish(table, out, width, "There are no workers.");
}

// ---- the rest

void render_leases(FILE *out, const json_t *leases, unsigned width, uint64_t now) {
	struct table *table = table_new();
	const json_t *lease;
	char buf[FORMAT_LEN];
	size_t i;
	if (table == NULL)
		return;
	table_column(table, "Address", 0);
	table_column(table, "User", 0);
	table_column(table, "Pool", TABLE_DROP(1));
	table_column(table, "State", 0);
	table_column(table, "Session", TABLE_RIGHT | TABLE_DROP(3));
	table_column(table, "Last used", TABLE_RIGHT | TABLE_DROP(2));
	json_array_foreach(leases, i, lease) {
		bool used = json_is_true(json_object_get(lease, "in_use"));
		uint64_t last = number(lease, "last_used_at");
		table_cell(table, text(lease, "address"));
		table_cell(table, or_dash(text(lease, "user")));
		table_cell(table, text(lease, "pool"));
		table_cell(table, used ? "in use" : "remembered");
		if (used)
			table_cellf(table, "%llu", (unsigned long long)number(lease, "session"));
		else
			table_cell(table, "-");
		if (used)
			table_cell(table, "now");
		else
			table_cell(table, last != 0 ? format_duration(ago(last, now), buf) : "-");
	}
	finish(table, out, width, "There are no leases.");
}

static void cell_time(struct table *table, uint64_t when) {
	char buf[FORMAT_LEN];
	table_cell(table, when != 0 ? format_time(when, buf) : "-");
}

void render_bans(FILE *out, const json_t *bans, unsigned width, uint64_t now) {
	struct table *table = table_new();
	const json_t *ban;
	char buf[FORMAT_LEN];
	size_t i;
	if (table == NULL)
		return;
	table_column(table, "Address", 0);
	table_column(table, "Score", TABLE_RIGHT);
	table_column(table, "Passwords", TABLE_RIGHT | TABLE_DROP(2));
	table_column(table, "Connections", TABLE_RIGHT | TABLE_DROP(3));
	table_column(table, "Since", TABLE_DROP(4));
	table_column(table, "Until", 0);
	table_column(table, "Left", TABLE_RIGHT);
	table_column(table, "Refused", TABLE_RIGHT | TABLE_DROP(1));
	json_array_foreach(bans, i, ban) {
		bool banned = json_is_true(json_object_get(ban, "banned"));
		uint64_t until = number(ban, "ends_at");
		table_cell(table, text(ban, "address"));
		cell_count(table, ban, "score");
		cell_count(table, ban, "wrong_passwords");
		cell_count(table, ban, "connections");
		cell_time(table, number(ban, banned ? "banned_at" : "counting_since_at"));
		cell_time(table, until);
		table_cell(table, banned ? format_duration(ago(now, until), buf) : "-");
		cell_count(table, ban, "refused");
	}
	finish(table, out, width, "Nobody is banned.");
}

void render_pools(FILE *out, const json_t *pools, unsigned width) {
	struct table *table = table_new();
	const json_t *pool;
	size_t i;
	if (table == NULL)
		return;
	table_column(table, "Pool", 0);
	table_column(table, "Family", 0);
	table_column(table, "Addresses", TABLE_RIGHT);
	table_column(table, "In use", TABLE_RIGHT);
	table_column(table, "Share", TABLE_RIGHT);
	table_column(table, "Remembered", TABLE_RIGHT);
	json_array_foreach(pools, i, pool) {
		uint64_t size = number(pool, "size");
		table_cell(table, text(pool, "pool"));
		table_cell(table, strcmp(text(pool, "family"), "ipv6") == 0 ? "IPv6" : "IPv4");
		cell_count(table, pool, "size");
		cell_count(table, pool, "used");
		table_cellf(table, "%.1f %%",
			size > 0 ? 100.0 * (double)number(pool, "used") / (double)size : 0);
		cell_count(table, pool, "remembered");
	}
	finish(table, out, width, "There are no pools.");
}

void render_version(FILE *out, const json_t *version) {
	fprintf(out, "penstockctl    %s\n", PENSTOCK_VERSION);
	fprintf(out, "control plane  %s\n", or_dash(text(version, "controlplane")));
	if (text(version, "dataplane")[0] != '\0')
		fprintf(out, "dataplane      %s (%s)\n", text(version, "dataplane"),
			or_dash(text(version, "dpdk")));
	else
		fprintf(out, "dataplane      not attached\n");
	fprintf(out, "boundary       version %llu\n", (unsigned long long)number(version, "abi"));
}

void render_radius(FILE *out, const json_t *radius) {
	static const char *const parts[][2] = {{"authentication", "Authentication"},
		{"accounting", "Accounting"}, {"dynamic_authorization", "Dynamic authorization"}};
	const char *name;
	const json_t *value;
	char a[FORMAT_LEN];
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		fprintf(out, "%s%s\n", i > 0 ? "\n" : "", parts[i][1]);
		json_object_foreach(
			(json_t *)(uintptr_t)json_object_get(radius, parts[i][0]), name, value) {
			fprintf(out, "  %-20s %10s\n", name,
				format_count((uint64_t)json_integer_value(value), a));
		}
	}
}

void render_status(FILE *out, const json_t *status, unsigned width, uint64_t now) {
	const json_t *sessions = json_object_get(status, "sessions");
	const json_t *version = json_object_get(status, "version");
	uint64_t started = number(version, "dataplane_started_at");
	char a[FORMAT_LEN], b[FORMAT_LEN], c[FORMAT_LEN];
	fprintf(out, "Control plane  %s\n", or_dash(text(version, "controlplane")));
	if (json_is_true(json_object_get(sessions, "dataplane")))
		fprintf(out, "Dataplane      attached, %s, up %s\n",
			or_dash(text(version, "dataplane")), format_duration(ago(started, now), a));
	else
		fprintf(out,
			"Dataplane      NOT ATTACHED: no packets are forwarded for new clients\n");
	fprintf(out, "Sessions       %s connected, %s disconnected, %s logging in",
		format_count(number(sessions, "connected"), a),
		format_count(number(sessions, "disconnected"), b),
		format_count(number(sessions, "authenticated"), c));
	fprintf(out, " (at most %s)\n", format_count(number(sessions, "max_clients"), a));
	if (json_is_true(json_object_get(sessions, "draining"))) {
		uint64_t ends = number(sessions, "drain_ends_at");
		fprintf(out, "Maintenance    DRAINING: no new clients");
		if (ends != 0)
			fprintf(out, ", the others are disconnected in %s",
				format_duration(ends > now ? ends - now : 0, a));
		fprintf(out, "%s\n",
			json_is_true(json_object_get(sessions, "stopping")) ? ", then stop" : "");
	}
	if (strcmp(text(sessions, "store"), "ok") != 0)
		fprintf(out, "Store          %s: nobody logs in\n", text(sessions, "store"));
	if (number(sessions, "scripts_due") != 0)
		fprintf(out, "Scripts        %s disconnect scripts to run\n",
			format_count(number(sessions, "scripts_due"), a));
	fprintf(out, "Since start    %s logins, %s connects,",
		format_count(number(sessions, "logins"), a),
		format_count(number(sessions, "connects"), b));
	fprintf(out, " %s ended, %s refused\n", format_count(number(sessions, "ended"), a),
		format_count(number(sessions, "refused"), b));
	fprintf(out, "Banned         %s addresses, %s connections refused\n\n",
		format_count(number(sessions, "bans"), a),
		format_count(number(sessions, "refused_banned"), b));
	render_pools(out, json_object_get(status, "pools"), width);
}
