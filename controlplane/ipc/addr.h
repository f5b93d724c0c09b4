// SPDX-License-Identifier: GPL-3.0-or-later
// Text of an address of the boundary, for logs, headers and the CLI. Used by auth, edge and session.
#pragma once

#include <arpa/inet.h>

#include "dataplane/abi/addr.h"

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
