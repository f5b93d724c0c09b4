// SPDX-License-Identifier: GPL-3.0-or-later
// Questions about an address of the boundary. Used by both sides.
#pragma once

#include <stdbool.h>
#include <string.h>

#include "abi.h"

// All zero: there is none.
static inline bool abi_addr_none(const struct abi_addr *addr) {
	static const struct abi_addr none;

	return memcmp(addr, &none, sizeof(none)) == 0;
}

// IPv4 is v4-mapped (RFC 4291, 2.5.5.2): the last 4 bytes are the address.
static inline bool abi_addr_is4(const struct abi_addr *addr) {
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(addr->bytes, mapped, sizeof(mapped)) == 0;
}
