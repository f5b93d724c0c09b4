// SPDX-License-Identifier: GPL-3.0-or-later
// Text of an address of the boundary, for logs, headers and the CLI, and whether it is in a prefix
// of the configuration. Used by auth, edge and session.
#pragma once

#include <arpa/inet.h>
#include <string.h>

#include "dataplane/abi/addr.h"
#include "yang/config.h"

#define ADDR_TEXT_LEN INET6_ADDRSTRLEN

// Writes to `text` (ADDR_TEXT_LEN bytes) and returns it, v4-mapped addresses as IPv4; the constant
// "none" for all zero, and `text` is left alone then.
static inline const char *addr_text(const struct abi_addr *addr, char *text) {
	if (abi_addr_none(addr))
		return "none";
	if (abi_addr_is4(addr))
		return inet_ntop(AF_INET, addr->bytes + 12, text, ADDR_TEXT_LEN);
	return inet_ntop(AF_INET6, addr->bytes, text, ADDR_TEXT_LEN);
}

// Of one client: the address, or for IPv6 its /64, all of which one client has.
static inline bool addr_same_client(const struct abi_addr *a, const struct abi_addr *b) {
	return memcmp(a->bytes, b->bytes, abi_addr_is4(a) ? 16 : 8) == 0;
}

static inline bool addr_in(const struct abi_addr *addr, const struct cfg_prefix *prefix) {
	bool is4 = abi_addr_is4(addr);
	const uint8_t *bytes = is4 ? addr->bytes + 12 : addr->bytes;
	uint8_t whole = prefix->len / 8, rest = prefix->len % 8;

	return prefix->addr.family == (is4 ? AF_INET : AF_INET6) &&
		memcmp(bytes, prefix->addr.bytes, whole) == 0 &&
		(rest == 0 || (bytes[whole] ^ prefix->addr.bytes[whole]) >> (8 - rest) == 0);
}
