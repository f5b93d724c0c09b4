// SPDX-License-Identifier: GPL-3.0-or-later
// The header with which a proxy says whose connection it hands on; called by conn_proxy.c.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"

// A longer one is refused. haproxy's TLVs, a client certificate's name among them, take some
// hundred bytes.
#define PROXY_HEADER_MAX 2048u

struct proxy_header {
	size_t len; // bytes; what follows is the client's
	// The proxy speaks for itself (a health check), or does not know for whom: there are no
	// addresses.
	bool local;
	struct abi_addr source, destination; // v4-mapped
	uint16_t source_port, destination_port; // host order
};

// Versions 1 and 2 of the PROXY protocol (proxy-protocol.txt of haproxy, 2.1 and 2.2), TCP alone.
// TLVs are skipped, a CRC32c among them.
// 1: *out is set. 0: not the whole header yet, *want (at most PROXY_HEADER_MAX) bytes from its
// beginning are needed before it is worth another look. -EPROTO: not such a header, or no address
// that a client can have.
int proxy_header_parse(const uint8_t *data, size_t len, struct proxy_header *out, size_t *want);
