// SPDX-License-Identifier: GPL-3.0-or-later
// Reads what an Access-Accept says of a user. Called by ask.c with what packet.c has decoded.
#include "settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "controlplane/ipc/ipc.h"
#include "dataplane/abi/addr.h"

#define INTERIM_MIN_S 60u // RFC 2869, 5.16
#define RATE_UNIT 1000u // bytes a second in one unit of RP-*-Speed-Limit
#define ROUTE_TEXT_MAX 64u

// ---- addresses

static uint32_t number4(const struct abi_addr *addr) {
	uint32_t value;
	memcpy(&value, addr->bytes + 12, sizeof(value));
	return ntohl(value);
}

// A host may have it: not 0/8, loopback, multicast or reserved.
static bool is_host4(const struct abi_addr *addr) {
	uint8_t first = addr->bytes[12];
	return abi_addr_is4(addr) && first != 0 && first != 127 && first < 224;
}

static bool is_host6(const struct abi_addr *addr) {
	static const uint8_t zeros[15];
	if (abi_addr_is4(addr) || addr->bytes[0] == 0xff ||
		(addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80))
		return false;
	return memcmp(addr->bytes, zeros, sizeof(zeros)) != 0 || addr->bytes[15] > 1;
}

static void clear_host_bits(struct ipc_prefix *prefix) {
	unsigned bits = prefix->len + (abi_addr_is4(&prefix->addr) ? 96u : 0u);
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
		if (kept < 8)
			prefix->addr.bytes[i] &= (uint8_t)(0xff00u >> kept);
	}
}

static bool is_netmask(const struct abi_addr *addr) {
	uint32_t rest = ~number4(addr);
	return (rest & (rest + 1)) == 0;
}

static bool add_inner4(struct ipc_user_settings *settings, const struct abi_addr *addr) {
	uint32_t number = number4(addr);
	// RFC 2865, 5.8: the user's or the NAS's choice, which here is the pool.
	if (number == 0xffffffff || number == 0xfffffffe)
		return true;
	if (!is_host4(addr))
		return false;
	settings->inner4 = *addr;
	settings->set |= IPC_SET_INNER4;
	return true;
}

static bool add_netmask(struct ipc_user_settings *settings, const struct abi_addr *addr) {
	if (!is_netmask(addr))
		return false;
	settings->netmask4 = *addr;
	settings->set |= IPC_SET_NETMASK4;
	return true;
}

// The one address, or a prefix that is the client's own. A Framed-IPv6-Address wins.
static bool add_inner6(struct ipc_user_settings *settings, const struct ipc_prefix *prefix) {
	struct ipc_prefix own = *prefix;
	if (prefix->len == 0 || prefix->len > 128)
		return false;
	if (prefix->len < 128 && settings->set & IPC_SET_INNER6 && settings->inner6_prefix == 128)
		return true;
	if (prefix->len < 128) {
		clear_host_bits(&own);
		own.addr.bytes[15] |= prefix->len < 127; // its first address is the client's
	}
	if (!is_host6(&own.addr))
		return false;
	settings->inner6 = own.addr;
	settings->inner6_prefix = own.len;
	settings->set |= IPC_SET_INNER6;
	return true;
}

static bool add_dns(struct ipc_user_settings *settings, const struct abi_addr *addr) {
	if (abi_addr_is4(addr) ? !is_host4(addr) : !is_host6(addr))
		return false;
	if (settings->nb_dns == IPC_USER_DNS)
		return false;
	settings->dns[settings->nb_dns++] = *addr;
	return true;
}

// ---- routes

static bool add_route(struct ipc_user_settings *settings, const struct ipc_prefix *prefix) {
	struct ipc_prefix route = *prefix;
	if (route.len > 128 || settings->nb_routes == IPC_USER_ROUTES)
		return false;
	clear_host_bits(&route);
	settings->routes[settings->nb_routes++] = route;
	return true;
}

static bool parse_len(const char *text, unsigned max, uint8_t *len) {
	char *end;
	if (*text < '0' || *text > '9' || strlen(text) > 3)
		return false;
	unsigned long value = strtoul(text, &end, 10);
	if (*end != '\0' || value > max)
		return false;
	*len = (uint8_t)value;
	return true;
}

bool settings_route(const uint8_t *text, size_t len, struct ipc_prefix *prefix) {
	char copy[ROUTE_TEXT_MAX];
	const uint8_t *space = memchr(text, ' ', len);
	if (space != NULL)
		len = (size_t)(space - text);
	if (len == 0 || len >= sizeof(copy) || memchr(text, 0, len) != NULL)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	memset(prefix, 0, sizeof(*prefix));
	char *slash = strchr(copy, '/');
	if (slash != NULL)
		*slash = '\0';
	bool is4 = strchr(copy, ':') == NULL;
	if (is4)
		prefix->addr.bytes[10] = prefix->addr.bytes[11] = 0xff;
	if (inet_pton(is4 ? AF_INET : AF_INET6, copy, prefix->addr.bytes + (is4 ? 12 : 0)) != 1 ||
		(!is4 && abi_addr_is4(&prefix->addr)))
		return false;
	prefix->len = is4 ? 32 : 128;
	if (slash != NULL && !parse_len(slash + 1, prefix->len, &prefix->len))
		return false;
	clear_host_bits(prefix);
	return true;
}

// ---- groups

static bool is_name(const uint8_t *text, size_t len) {
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || strchr(",;\"'\\<>&", text[i]) != NULL)
			return false;
	return len > 0 && len < IPC_GROUP_LEN;
}

static bool is_member(const char *groups, const uint8_t *name, size_t len) {
	while (*groups != '\0') {
		size_t n = strcspn(groups, ",");
		if (n == len && memcmp(groups, name, len) == 0)
			return true;
		groups += n + (groups[n] == ',');
	}
	return false;
}

static bool add_group(const uint8_t *name, size_t len, char groups[IPC_USER_GROUPS_LEN]) {
	size_t used = strlen(groups);
	if (is_member(groups, name, len))
		return true;
	if (used + len + 2 > IPC_USER_GROUPS_LEN)
		return false;
	snprintf(groups + used, IPC_USER_GROUPS_LEN - used, "%s%.*s", used > 0 ? "," : "", (int)len,
		(const char *)name);
	return true;
}

bool settings_groups(const uint8_t *text, size_t len, char groups[IPC_USER_GROUPS_LEN]) {
	char before[IPC_USER_GROUPS_LEN];
	memcpy(before, groups, sizeof(before));
	if (len >= 3 && strncasecmp((const char *)text, "OU=", 3) == 0) {
		text += 3;
		len -= 3;
	}
	while (len > 0) {
		const uint8_t *end = memchr(text, ';', len);
		size_t n = end != NULL ? (size_t)(end - text) : len;
		// One part that is no name: then it is not a list of groups at all.
		if (n > 0 && !is_name(text, n)) {
			memcpy(groups, before, sizeof(before));
			return true;
		}
		if (n > 0 && !add_group(text, n, groups)) {
			memcpy(groups, before, sizeof(before));
			return false;
		}
		n += end != NULL;
		text += n;
		len -= n;
	}
	return true;
}

// ---- messages

// Length of the UTF-8 character at `text`, 0: none (RFC 3629, 4: no surrogates, no overlong forms).
static size_t utf8_len(const uint8_t *text, size_t len) {
	uint8_t first = text[0];
	size_t want = first < 0x80		? 1
		: first >= 0xc2 && first < 0xe0 ? 2
		: first >= 0xe0 && first < 0xf0 ? 3
		: first >= 0xf0 && first < 0xf5 ? 4
						: 0;
	if (want == 0 || want > len)
		return 0;
	for (size_t i = 1; i < want; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] >= 0xa0) ||
		(first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] >= 0x90))
		return 0;
	return want;
}

void settings_message(const uint8_t *text, size_t len, char message[IPC_MESSAGE_LEN]) {
	size_t used = strlen(message);
	while (len > 0) {
		size_t n = utf8_len(text, len);
		char plain = n == 0 ? '?' : *text < 0x20 || *text == 0x7f ? ' ' : (char)*text;
		if (used + (n > 1 ? n : 1) >= IPC_MESSAGE_LEN)
			break;
		if (n > 1)
			memcpy(message + used, text, n);
		else
			message[used] = plain;
		used += n > 1 ? n : 1;
		text += n > 1 ? n : 1;
		len -= n > 1 ? n : 1;
	}
	message[used] = '\0';
}

// ---- all of them

static bool add_rate(
	struct ipc_user_settings *settings, uint32_t *rate, uint32_t which, uint32_t number) {
	*rate = number > UINT32_MAX / RATE_UNIT ? UINT32_MAX : number * RATE_UNIT;
	settings->set |= which;
	return true;
}

static bool add_seconds(
	struct ipc_user_settings *settings, uint32_t *seconds, uint32_t which, uint32_t number) {
	if (number == 0)
		return true; // lifts nothing: the configuration's own limit stays
	*seconds = number;
	settings->set |= which;
	return true;
}

static bool add_number(struct ipc_user_settings *settings, uint32_t attr, uint32_t number) {
	switch (attr) {
	case RATTR_SESSION_TIMEOUT:
		return add_seconds(
			settings, &settings->session_timeout, IPC_SET_SESSION_TIMEOUT, number);
	case RATTR_IDLE_TIMEOUT:
		return add_seconds(settings, &settings->idle_timeout, IPC_SET_IDLE_TIMEOUT, number);
	case RATTR_ACCT_INTERIM_INTERVAL:
		return add_seconds(settings, &settings->interim_interval, IPC_SET_INTERIM,
			number != 0 && number < INTERIM_MIN_S ? INTERIM_MIN_S : number);
	case RATTR_RP_UPSTREAM_SPEED_LIMIT:
		return add_rate(settings, &settings->rx_rate, IPC_SET_RX_RATE, number);
	case RATTR_RP_DOWNSTREAM_SPEED_LIMIT:
		return add_rate(settings, &settings->tx_rate, IPC_SET_TX_RATE, number);
	default:
		return true;
	}
}

static bool add_address(struct ipc_user_settings *settings, const struct rvalue *value) {
	switch (value->attr) {
	case RATTR_FRAMED_IP_ADDRESS:
		return add_inner4(settings, &value->prefix.addr);
	case RATTR_FRAMED_IP_NETMASK:
		return add_netmask(settings, &value->prefix.addr);
	case RATTR_FRAMED_IPV6_ADDRESS:
		return add_inner6(settings, &value->prefix);
	case RATTR_MS_PRIMARY_DNS_SERVER:
	case RATTR_MS_SECONDARY_DNS_SERVER:
	case RATTR_DNS_SERVER_IPV6_ADDRESS:
		return add_dns(settings, &value->prefix.addr);
	default:
		return true;
	}
}

// The name of a filter of the configuration. A session has one: a second one cannot be obeyed.
static bool add_filter(struct ipc_user_settings *settings, const uint8_t *text, size_t len) {
	char name[IPC_FILTER_LEN] = "";
	if (len == 0 || len >= sizeof(name) || settings->set & IPC_SET_FILTER)
		return false;
	memcpy(name, text, len);
	if (strlen(name) != len || !ipc_str_ok(name, sizeof(name)))
		return false;
	memcpy(settings->filter, name, sizeof(name));
	settings->set |= IPC_SET_FILTER;
	return true;
}

static bool add_bytes(
	struct ipc_user_settings *settings, const struct rvalue *value, bool groups_from_class) {
	struct ipc_prefix prefix;
	switch (value->attr) {
	case RATTR_CLASS:
		return !groups_from_class ||
			settings_groups(value->bytes, value->len, settings->groups);
	case RATTR_FILTER_ID:
		return add_filter(settings, value->bytes, value->len);
	case RATTR_FRAMED_ROUTE:
	case RATTR_FRAMED_IPV6_ROUTE:
		return settings_route(value->bytes, value->len, &prefix) &&
			abi_addr_is4(&prefix.addr) == (value->attr == RATTR_FRAMED_ROUTE) &&
			add_route(settings, &prefix);
	default:
		return true;
	}
}

bool settings_add(
	struct ipc_user_settings *settings, const struct rvalue *value, bool groups_from_class) {
	switch (value->type) {
	case RVALUE_NUMBER:
		return add_number(settings, value->attr, value->number);
	case RVALUE_ADDRESS:
		return add_address(settings, value);
	case RVALUE_PREFIX:
		if (value->attr == RATTR_DELEGATED_IPV6_PREFIX)
			return add_inner6(settings, &value->prefix);
		return !(value->attr == RATTR_FRAMED_IPV6_PREFIX ||
			       value->attr == RATTR_ROUTE_IPV6_INFORMATION) ||
			add_route(settings, &value->prefix);
	case RVALUE_BYTES:
		return add_bytes(settings, value, groups_from_class);
	case RVALUE_UNKNOWN:
	case RVALUE_INVALID:
		break;
	}
	return false;
}
