// SPDX-License-Identifier: GPL-3.0-or-later
// Datagrams that edge processes handle (DTLS handshakes): slots of the punt and inject rings.
#pragma once

#include "abi.h"

#define ABI_PUNT_SLOTS 512u
#define ABI_PUNT_DATA 1984u // largest UDP payload

// One UDP payload and its addresses. The tuple is seen from the dataplane in both directions.
struct abi_punt {
	struct abi_tuple tuple;
	uint16_t len; // bytes of data in use
	uint16_t worker; // punt: the worker that received it; inject: ignored
	uint8_t known; // punt: 1 when the tuple belongs to a session with DTLS keys
	uint8_t reserved[3];
	struct abi_sid sid; // punt: the session when known, else zero
	uint64_t reserved2;
	uint8_t data[ABI_PUNT_DATA];
};
_Static_assert(sizeof(struct abi_punt) == 2048, "abi_punt");
