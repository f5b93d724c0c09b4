// SPDX-License-Identifier: GPL-3.0-or-later
// What one session gets: the configuration's network settings, over them those of its virtual host,
// its group and its user, over all what an authentication server said. Used by session and edge.
//
// Nothing is kept: it is computed anew whenever it is needed, so that a reload counts from the
// session's next CONNECT on (timeouts, rates and the like at once).
#pragma once

#include "controlplane/ipc/msg.h"
#include "yang/config.h"

// Whose settings. All of it may be missing.
struct settings_who {
	const char *server_name; // SNI of the login
	const char *group; // the one that counts
	const char *user;
	const struct ipc_user_settings *extra; // checked with ipc_user_settings_ok()
};

// Points into the configuration, into `extra` and into itself: valid while those are, and not to
// be copied.
struct settings {
	struct cfg_network network;
	const char *hostname; // that the client is told to be its own; NULL: as it said
	char *const *pools; // names of those that addresses are from
	size_t nb_pools; // 0: all
	bool no_udp; // no DTLS
	uint32_t max_same_clients; // 0: no limit
	bool deny_roaming;
	struct abi_addr inner4, inner6; // the user's own; all zero: of a pool
	struct abi_addr netmask4; // that the client is told; all zero: the pool's
	uint32_t interim_interval; // of accounting, seconds; 0: none
	const struct cfg_prefix *iroutes; // networks behind the client
	size_t nb_iroutes;
	const char *filter; // name of the one that counts, or was asked for; NULL: none
	bool filter_unknown; // no such filter: the session reaches nothing
	// What `extra` says, as `network` has it.
	struct cfg_addr dns[IPC_USER_DNS];
	// The same, or those of a user with the ones that everybody has behind them. Filled where
	// they are needed.
	struct cfg_prefix routes[2 * CFG_ROUTES_MAX], no_routes[2 * CFG_ROUTES_MAX];
};

// The boundary's form.
struct abi_addr settings_addr(const struct cfg_addr *addr);

void settings_compute(
	struct settings *settings, const struct cfg *cfg, const struct settings_who *who);
