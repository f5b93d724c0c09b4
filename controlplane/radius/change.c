// SPDX-License-Identifier: GPL-3.0-or-later
// Reads what a Disconnect-Request or CoA-Request asks for. Called by dynauth.c with what packet.c has
// decoded.
//
// An attribute that cannot be obeyed refuses the whole request (RFC 5176, 2.2): all of it is done,
// or nothing.
#include "change.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "controlplane/ipc/ipc.h"
#include "dataplane/abi/addr.h"
#include "settings.h"

// What is said once at most.
#define SEEN_NAS_IDENTIFIER (1u << 30)
#define SEEN_NAS_ADDRESS (1u << 31)

struct reading {
	const struct change_self *self;
	struct ipc_change *change;
	uint32_t seen; // SEEN_*
};

bool change_timestamp(const struct rpacket *packet, uint32_t *seconds) {
	const void *cursor = NULL;
	struct rvalue value;
	while (rpacket_next(packet, &cursor, &value))
		if (value.attr == RATTR_EVENT_TIMESTAMP) {
			*seconds = value.number;
			return true;
		}
	return false;
}

// ---- which sessions

static uint32_t take_once(struct reading *reading, uint32_t by) {
	if (reading->change->by & by)
		return IPC_CAUSE_INVALID_REQUEST;
	reading->change->by |= by;
	return 0;
}

// What no session can have means no session.
static uint32_t take_text(
	struct reading *reading, const struct rvalue *value, uint32_t by, char *out, size_t size) {
	if (value->len == 0 || value->len >= size)
		return IPC_CAUSE_NO_SESSION;
	memcpy(out, value->bytes, value->len);
	out[value->len] = '\0';
	if (strlen(out) != value->len || !ipc_str_ok(out, size))
		return IPC_CAUSE_NO_SESSION;
	return take_once(reading, by);
}

// The way back of radius_user_name(): both are tried.
static uint32_t take_user(struct reading *reading, const struct rvalue *value) {
	struct ipc_change *change = reading->change;
	const char *realm = reading->self->default_realm;
	uint32_t cause = take_text(
		reading, value, IPC_BY_USERNAME, change->username, sizeof(change->username));
	const char *at = strchr(change->username, '@');
	if (cause == 0 && at != NULL && at != change->username && realm[0] != '\0' &&
		strcasecmp(at + 1, realm) == 0)
		snprintf(change->short_name, sizeof(change->short_name), "%.*s",
			(int)(at - change->username), change->username);
	return cause;
}

// Calling- and Called-Station-Id, as text of an address.
static uint32_t take_station(
	struct reading *reading, const struct rvalue *value, uint32_t by, struct abi_addr *addr) {
	char text[INET6_ADDRSTRLEN];
	uint32_t cause = take_text(reading, value, by, text, sizeof(text));
	if (cause != 0)
		return cause;
	if (inet_pton(AF_INET6, text, addr->bytes) == 1)
		return 0;
	*addr = (struct abi_addr){.bytes[10] = 0xff, .bytes[11] = 0xff};
	return inet_pton(AF_INET, text, addr->bytes + 12) == 1 ? 0 : IPC_CAUSE_NO_SESSION;
}

static uint32_t take_inner6(struct reading *reading, const struct rvalue *value) {
	if (value->prefix.len > 128 || abi_addr_is4(&value->prefix.addr))
		return IPC_CAUSE_INVALID_VALUE;
	reading->change->inner6 = value->prefix;
	return take_once(reading, IPC_BY_INNER6);
}

// ---- which gateway

static uint32_t take_nas_identifier(struct reading *reading, const struct rvalue *value) {
	const char *own = reading->self->nas_identifier;
	if (reading->seen & SEEN_NAS_IDENTIFIER)
		return IPC_CAUSE_INVALID_REQUEST;
	reading->seen |= SEEN_NAS_IDENTIFIER;
	return value->len == strlen(own) && memcmp(own, value->bytes, value->len) == 0
		? 0
		: IPC_CAUSE_NAS_MISMATCH;
}

// Without an address of the gateway's own each session has that which its client came to.
static uint32_t take_nas_address(struct reading *reading, const struct rvalue *value) {
	const struct abi_addr *own = &reading->self->nas_address;
	if (reading->seen & SEEN_NAS_ADDRESS)
		return IPC_CAUSE_NAS_MISMATCH;
	reading->seen |= SEEN_NAS_ADDRESS;
	if (!abi_addr_none(own))
		return memcmp(own, &value->prefix.addr, sizeof(*own)) == 0 ? 0
									   : IPC_CAUSE_NAS_MISMATCH;
	reading->change->nas = value->prefix.addr;
	reading->change->by |= IPC_BY_NAS;
	return 0;
}

// ---- what changes

static uint32_t take_filter(struct reading *reading, const struct rvalue *value) {
	struct ipc_user_settings *settings = &reading->change->settings;
	if (reading->change->kind != IPC_CHANGE_SETTINGS)
		return IPC_CAUSE_UNSUPPORTED_ATTRIBUTE;
	if (settings->set & IPC_SET_FILTER)
		return IPC_CAUSE_INVALID_REQUEST;
	return settings_add(settings, value, false) ? 0 : IPC_CAUSE_INVALID_VALUE;
}

static uint32_t take_setting(struct reading *reading, const struct rvalue *value) {
	struct ipc_user_settings *settings = &reading->change->settings;
	uint32_t before = settings->set;
	bool is_rate = value->attr == RATTR_RP_UPSTREAM_SPEED_LIMIT ||
		value->attr == RATTR_RP_DOWNSTREAM_SPEED_LIMIT;
	if (reading->change->kind != IPC_CHANGE_SETTINGS)
		return IPC_CAUSE_UNSUPPORTED_ATTRIBUTE;
	// A time of zero would lift nothing; a rate of zero is no limit.
	if (value->number == 0 && !is_rate)
		return IPC_CAUSE_INVALID_VALUE;
	if (!settings_add(settings, value, false))
		return IPC_CAUSE_INVALID_VALUE;
	return settings->set == before ? IPC_CAUSE_INVALID_REQUEST : 0; // twice
}

// ---- all of them

static uint32_t take_identity(struct reading *reading, const struct rvalue *value) {
	struct ipc_change *change = reading->change;
	switch (value->attr) {
	case RATTR_USER_NAME:
		return take_user(reading, value);
	case RATTR_ACCT_SESSION_ID:
		return take_text(reading, value, IPC_BY_SESSION_ID, change->session_id,
			sizeof(change->session_id));
	case RATTR_FRAMED_IP_ADDRESS:
		change->inner4 = value->prefix.addr;
		return take_once(reading, IPC_BY_INNER4);
	case RATTR_FRAMED_IPV6_ADDRESS:
	case RATTR_FRAMED_IPV6_PREFIX:
	case RATTR_DELEGATED_IPV6_PREFIX:
		return take_inner6(reading, value);
	case RATTR_CALLING_STATION_ID:
		return take_station(reading, value, IPC_BY_REMOTE, &change->remote);
	case RATTR_CALLED_STATION_ID:
		return take_station(reading, value, IPC_BY_LOCAL, &change->local);
	default:
		return IPC_CAUSE_UNSUPPORTED_ATTRIBUTE;
	}
}

static uint32_t take(struct reading *reading, const struct rvalue *value) {
	if (value->type == RVALUE_UNKNOWN)
		return IPC_CAUSE_UNSUPPORTED_ATTRIBUTE;
	if (value->type == RVALUE_INVALID)
		return IPC_CAUSE_INVALID_VALUE;
	switch (value->attr) {
	case RATTR_PROXY_STATE: // goes back as it is
	case RATTR_EVENT_TIMESTAMP: // checked before
	case RATTR_MESSAGE_AUTHENTICATOR:
	case RATTR_REPLY_MESSAGE: // there is no way to show it
		return 0;
	case RATTR_ACCT_TERMINATE_CAUSE: // it is what it is: an Admin-Reset
		return reading->change->kind == IPC_CHANGE_DISCONNECT
			? 0
			: IPC_CAUSE_UNSUPPORTED_ATTRIBUTE;
	case RATTR_NAS_IDENTIFIER:
		return take_nas_identifier(reading, value);
	case RATTR_NAS_IP_ADDRESS:
	case RATTR_NAS_IPV6_ADDRESS:
		return take_nas_address(reading, value);
	case RATTR_SERVICE_TYPE:
		return IPC_CAUSE_UNSUPPORTED_SERVICE;
	case RATTR_SESSION_TIMEOUT:
	case RATTR_IDLE_TIMEOUT:
	case RATTR_ACCT_INTERIM_INTERVAL:
	case RATTR_RP_UPSTREAM_SPEED_LIMIT:
	case RATTR_RP_DOWNSTREAM_SPEED_LIMIT:
		return take_setting(reading, value);
	case RATTR_FILTER_ID:
		return take_filter(reading, value);
	default:
		return take_identity(reading, value);
	}
}

// Whose request it is comes before whether it can be obeyed: another gateway's is not judged.
static uint32_t worse(uint32_t first, uint32_t cause) {
	if (first == 0 || cause == IPC_CAUSE_NAS_MISMATCH)
		return cause;
	return first;
}

uint32_t change_read(
	const struct rpacket *packet, const struct change_self *self, struct ipc_change *change) {
	struct reading reading = {.self = self, .change = change};
	const void *cursor = NULL;
	struct rvalue value;
	uint32_t cause = 0;
	memset(change, 0, sizeof(*change));
	change->kind = rpacket_code(packet) == RCODE_DISCONNECT_REQUEST ? IPC_CHANGE_DISCONNECT
									: IPC_CHANGE_SETTINGS;
	while (rpacket_next_any(packet, &cursor, &value)) {
		uint32_t this = take(&reading, &value);
		if (this != 0)
			cause = worse(cause, this);
	}
	if (cause != 0)
		return cause;
	if (!(change->by & IPC_BY_SESSION))
		return IPC_CAUSE_MISSING_ATTRIBUTE;
	if (change->kind == IPC_CHANGE_SETTINGS && change->settings.set == 0)
		return IPC_CAUSE_MISSING_ATTRIBUTE;
	return 0;
}
