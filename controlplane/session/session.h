// SPDX-License-Identifier: GPL-3.0-or-later
// The session manager as the rest of its process sees it: what exists, and what can be asked of it.
//
// Implemented by info.c; used by control*.c (the CLI's server). All calls are made in the event
// loop of the session process. Pointers in the info structures are valid until the callback
// returns.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"
#include "yang/config.h"
#include "dataplane/abi/abi.h"
#include "dataplane/abi/stats.h"

struct event_base;
struct bans;
struct session_mgr; // one a process

// Inner packets and octets; rx: from the client.
struct session_usage {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
};

enum session_state {
	SESSION_AUTHENTICATED = 1, // logged in, no CONNECT yet
	SESSION_CONNECTED = 2, // installed in the dataplane
	SESSION_DISCONNECTED = 3, // the cookie is still good
};

// Everything there is to show of one session. Addresses are v4-mapped, all zero: none. Times are
// CLOCK_REALTIME seconds, 0: never or not set.
struct session_info {
	struct abi_sid sid; // sid.index is the id for people
	enum session_state state;
	const char *user;
	const char *groups; // comma separated
	const char *group; // the one that counts, or empty
	const char *virtual_host; // name in the configuration, or empty
	const char *agent;
	const char *server_name; // SNI or Host of the login
	const char *hostname; // the client's own name
	const char *device_type;
	const char *device_platform;
	struct abi_addr remote; // of the last login or CONNECT
	uint16_t remote_port; // host order
	struct abi_addr inner4, inner6;
	uint8_t inner6_prefix;
	uint8_t tls_version, tls_cipher; // enum abi_version, abi_cipher of the stream
	uint8_t dtls_mode; // enum ipc_dtls
	uint8_t dtls_cipher; // enum abi_cipher, 0: no DTLS handshake yet
	uint8_t channels; // ABI_CHANNEL_* that are up
	struct abi_tuple dtls_tuple; // valid when channels has ABI_CHANNEL_DTLS
	uint16_t cstp_mtu, dtls_mtu, base_mtu; // bytes
	uint64_t created; // the login
	uint64_t started; // the first CONNECT: the session timeout counts from here
	uint64_t connected; // the last CONNECT
	uint64_t disconnected; // when the connection went
	uint64_t expires; // when the cookie dies (not connected), 0: not running
	uint64_t session_ends; // session timeout, 0: none
	enum abi_end last_end; // why the last connection ended
	// As the settings are now.
	struct cfg_reach reach; // where it may reach
	const char *filter; // name of the filter that counts, or empty
	uint8_t dscp;
	bool dscp_copy;
	struct abi_prefix
		iroutes[ABI_IROUTES_MAX]; // networks behind the client that are its own now
	unsigned nb_iroutes;
	// From the dataplane's statistics region; all zero when it is not attached or has none.
	struct abi_session_stats stats;
	// Of all connections of the session, the present one included, since the login: over
	// reconnections and over restarts of the control plane and the dataplane.
	struct session_usage total;
};

// Calls `each` for every session, in order of id, until it returns non-zero; returns that.
int session_info_each(struct session_mgr *mgr,
	int (*each)(const struct session_info *info, void *arg), void *arg);

// The session with this id. 0 or -ENOENT. The strings in *info stay valid until the event loop
// runs.
int session_info_get(struct session_mgr *mgr, uint32_t id, struct session_info *info);

// Operator's disconnect: the client is told, the cookie dies. 0 or -ENOENT.
int session_disconnect_id(struct session_mgr *mgr, uint32_t id);
// All sessions of the user. Returns how many there were.
unsigned session_disconnect_user(struct session_mgr *mgr, const char *user);
unsigned session_disconnect_all(struct session_mgr *mgr);

// One address that is leased or remembered for its last user.
struct lease_info {
	const char *pool; // name in the configuration
	struct abi_addr addr;
	const char *user;
	bool in_use; // by a session whose cookie is valid; else only remembered
	uint32_t id; // session id when in_use
	uint64_t last_used; // CLOCK_REALTIME seconds
};
int lease_info_each(
	struct session_mgr *mgr, int (*each)(const struct lease_info *info, void *arg), void *arg);

// One pool and family.
struct pool_info {
	const char *name;
	int family; // AF_INET or AF_INET6
	uint32_t size, used, remembered; // addresses; remembered are free but kept for their user
};
int pool_info_each(
	struct session_mgr *mgr, int (*each)(const struct pool_info *info, void *arg), void *arg);

struct session_totals {
	uint32_t authenticated, connected, disconnected;
	uint64_t logins, connects, ended; // since this process started
	uint64_t refused; // logins and CONNECTs answered with an error
	uint32_t bans; // addresses and networks that are banned now
	uint64_t refused_banned; // connections, since this process started
	uint64_t ban_overflows; // bans that found no place
	uint32_t max_clients;
	bool dataplane; // attached
	uint32_t dataplane_sessions; // that it has installed, as it says itself
	uint64_t boot_id;
	bool draining, stopping; // no new logins; the control plane ends when all have gone
	uint64_t drain_ends; // CLOCK_REALTIME: those that are left are disconnected; 0: never
	uint32_t scripts_due; // disconnect scripts that have not been run yet
	int store_fault; // 0, or why the store takes nothing: -ENOSPC, -EROFS, -EIO
};
void session_totals(struct session_mgr *mgr, struct session_totals *out);

// The validated read-only statistics region, NULL while the dataplane is away. Do not keep the
// pointer: ask each time. `sessions_max` entries of struct abi_session_stats lie behind it
// (session_stats_at()); both sizes were checked against the mapping.
const struct abi_stats *session_stats(struct session_mgr *mgr);
const struct abi_session_stats *session_stats_at(struct session_mgr *mgr, uint32_t index);

// What the radius process last told of its work, all zero without one; and how many accounting
// records wait for a server.
const struct ipc_radius_counts *session_radius_counts(struct session_mgr *mgr, uint32_t *waiting);

// Points and bans.
struct bans *session_bans(struct session_mgr *mgr);

const struct cfg *session_cfg(struct session_mgr *mgr);

// Asks the supervisor to reload the configuration; `done` gets its answer (status 0 or -errno and
// text for people), or -ETIMEDOUT after 30 s. Only one at a time: -EBUSY. 0 when asked.
int session_reload_request(
	struct session_mgr *mgr, void (*done)(int status, const char *text, void *arg), void *arg);

// Asks the supervisor to drain, to serve again (nothing set), or to stop. 0 or -errno.
int session_maintain_request(struct session_mgr *mgr, bool draining, bool stop, uint32_t timeout_s);

// Implemented by control.c (the CLI's server). `fd` is the listening socket and taken over; a
// second call replaces the first. 0 or -errno.
int control_listen(struct session_mgr *mgr, struct event_base *base, int fd);
void control_close(void);
