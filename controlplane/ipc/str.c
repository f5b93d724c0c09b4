// SPDX-License-Identifier: GPL-3.0-or-later
// Checks of strings, settings and records in messages, called by every handler before it uses one;
// and words for what they hold.
#include "dataplane/abi/addr.h"
#include "ipc.h"

#define SET_ALL \
	(IPC_SET_INNER4 | IPC_SET_INNER6 | IPC_SET_RX_RATE | IPC_SET_TX_RATE | \
		IPC_SET_SESSION_TIMEOUT | IPC_SET_IDLE_TIMEOUT | IPC_SET_INTERIM | \
		IPC_SET_NETMASK4 | IPC_SET_FILTER)

bool ipc_str_ok(const char *str, size_t len) {
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)str[i];
		if (c == '\0')
			return true;
		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return false;
}

static bool prefix_ok(const struct ipc_prefix *prefix) {
	return prefix->len <= (abi_addr_is4(&prefix->addr) ? 32 : 128);
}

static bool lists_ok(const struct ipc_user_settings *settings) {
	if (settings->nb_dns > IPC_USER_DNS || settings->nb_routes > IPC_USER_ROUTES)
		return false;
	for (unsigned i = 0; i < settings->nb_dns; i++) {
		if (abi_addr_none(&settings->dns[i]))
			return false;
	}
	for (unsigned i = 0; i < settings->nb_routes; i++) {
		if (!prefix_ok(&settings->routes[i]))
			return false;
	}
	return true;
}

bool ipc_user_settings_ok(const struct ipc_user_settings *settings) {
	uint32_t set = settings->set;

	if (set & ~SET_ALL || settings->inner6_prefix > 128)
		return false;
	if (set & IPC_SET_INNER4 && !abi_addr_is4(&settings->inner4))
		return false;
	if (set & IPC_SET_NETMASK4 && !abi_addr_is4(&settings->netmask4))
		return false;
	if (set & IPC_SET_INNER6 &&
		(abi_addr_is4(&settings->inner6) || abi_addr_none(&settings->inner6)))
		return false;
	return lists_ok(settings) && ipc_str_ok(settings->groups, sizeof(settings->groups)) &&
		ipc_str_ok(settings->filter, sizeof(settings->filter)) &&
		!(set & IPC_SET_FILTER) == !settings->filter[0];
}

bool ipc_user_settings_empty(const struct ipc_user_settings *settings) {
	return !settings->set && !settings->nb_dns && !settings->nb_routes;
}

bool ipc_acct_facts_ok(const struct ipc_acct_facts *facts) {
	unsigned at = 0;

	if (facts->authentic > IPC_AUTHENTIC_REMOTE || facts->password_file > 1 ||
		facts->class_len > IPC_CLASS_LEN)
		return false;
	while (at < facts->class_len) {
		unsigned len = facts->class_values[at];

		if (len == 0 || len > 253 || at + 1 + len > facts->class_len)
			return false;
		at += 1 + len;
	}
	return true;
}

bool ipc_change_ok(const struct ipc_change *change) {
	const struct ipc_user_settings *settings = &change->settings;

	if (change->kind != IPC_CHANGE_DISCONNECT && change->kind != IPC_CHANGE_SETTINGS)
		return false;
	if (change->by & ~IPC_BY_ALL || !(change->by & IPC_BY_SESSION))
		return false;
	if (!ipc_str_ok(change->session_id, sizeof(change->session_id)) ||
		!ipc_str_ok(change->username, sizeof(change->username)) ||
		!ipc_str_ok(change->short_name, sizeof(change->short_name)))
		return false;
	if (!prefix_ok(&change->inner6) || !ipc_user_settings_ok(settings))
		return false;
	if (change->kind == IPC_CHANGE_DISCONNECT)
		return ipc_user_settings_empty(settings) && !settings->groups[0];
	return settings->set && !(settings->set & ~IPC_SET_CHANGEABLE) && !settings->nb_dns &&
		!settings->nb_routes && !settings->groups[0];
}

bool ipc_acct_ok(const struct ipc_acct *acct) {
	return (acct->kind == IPC_ACCT_START || acct->kind == IPC_ACCT_STOP ||
		       acct->kind == IPC_ACCT_INTERIM) &&
		ipc_str_ok(acct->session_id, sizeof(acct->session_id)) &&
		acct->session_id[0] != '\0' && ipc_str_ok(acct->username, sizeof(acct->username)) &&
		acct->username[0] != '\0' && ipc_str_ok(acct->agent, sizeof(acct->agent)) &&
		(abi_addr_none(&acct->inner4) || abi_addr_is4(&acct->inner4)) &&
		!abi_addr_is4(&acct->inner6) && ipc_acct_facts_ok(&acct->facts);
}

bool ipc_script_facts_ok(const struct ipc_script_facts *facts) {
	return facts->id && facts->session < ABI_SESSIONS_MAX && facts->end < ABI_END_MAX &&
		facts->inner6_prefix <= 128 && ipc_str_ok(facts->user, sizeof(facts->user)) &&
		facts->user[0] != '\0' && ipc_str_ok(facts->groups, sizeof(facts->groups)) &&
		ipc_str_ok(facts->group, sizeof(facts->group)) &&
		ipc_str_ok(facts->server_name, sizeof(facts->server_name)) &&
		ipc_str_ok(facts->hostname, sizeof(facts->hostname)) &&
		ipc_str_ok(facts->agent, sizeof(facts->agent)) &&
		ipc_str_ok(facts->device_type, sizeof(facts->device_type)) &&
		ipc_str_ok(facts->device_platform, sizeof(facts->device_platform)) &&
		ipc_user_settings_ok(&facts->settings);
}

const char *ipc_end_name(uint32_t end) {
	static const char *const names[] = {
		[ABI_END_UNSPECIFIED] = "unspecified",
		[ABI_END_USER] = "user",
		[ABI_END_SERVER] = "server",
		[ABI_END_IDLE] = "idle",
		[ABI_END_DPD] = "dpd",
		[ABI_END_ERROR] = "error",
		[ABI_END_SESSION_TIMEOUT] = "session-timeout",
		[ABI_END_TEMPORARY] = "temporary",
		[ABI_END_REPLACED] = "replaced",
		[ABI_END_SEQ_EXHAUSTED] = "keys-exhausted",
		[ABI_END_DISPLACED] = "displaced",
	};
	_Static_assert(sizeof(names) / sizeof(names[0]) == ABI_END_MAX, "each end has a name");

	return end < ABI_END_MAX ? names[end] : "unknown";
}
