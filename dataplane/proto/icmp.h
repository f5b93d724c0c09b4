// SPDX-License-Identifier: GPL-3.0-or-later
// ICMP and ICMPv6 errors and echo replies. Pure; used by icmp-error and icmp-local.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/proto/ip.h"

// What went wrong with a packet; each is one type and code in either family.
enum icmp_kind {
	ICMP_NONE = 0,
	ICMP_TIME_EXCEEDED, // v4 11/0, v6 3/0
	ICMP_TOO_BIG, // v4 3/4 with next-hop MTU (RFC 1191, 4), v6 2/0 (RFC 4443, 3.2)
	ICMP_NET_UNREACHABLE, // v4 3/0, v6 1/0
	ICMP_HOST_UNREACHABLE, // v4 3/1, v6 1/3
	ICMP_PROHIBITED, // v4 3/13 (RFC 1812, 5.2.7.1), v6 1/1
	ICMP_FILTERED_ROUTE, // the same three times: they are counted apart
	ICMP_FILTERED_PORT,
	ICMP_FILTERED_FRAGMENT,
	ICMP_KIND_MAX,
};

// May an error be sent about this packet? Not: about ICMP errors and redirects, later fragments,
// multicast or broadcast destinations (v6: but ICMP_TOO_BIG, RFC 4443 2.4 e.3), sources that are
// no single host (RFC 1122 3.2.2, RFC 4443 2.4 e). False also when the type cannot be seen.
bool icmp_error_allowed(const uint8_t *ip, const struct ip_info *info, enum icmp_kind kind);

// Bytes before the quoted packet: an IP and an ICMP header.
static inline size_t icmp_error_headers_len(uint8_t version) {
	return version == 4 ? IP4_HEADER + 8u : IP6_HEADER + 8u;
}

// How much of the packet to quote: v4 up to 576 bytes in all (RFC 1812, 4.3.2.3), v6 up to 1,280
// (RFC 4443, 3.1).
uint16_t icmp_error_quote_len(const struct ip_info *info);

// Writes the headers at quote - icmp_error_headers_len(). The quote is quote_len bytes of the
// offending packet; the error goes to its source. source: our address, 4 or 16 bytes. mtu: with
// ICMP_TOO_BIG.
void icmp_error_write(uint8_t *quote, uint16_t quote_len, uint8_t version, enum icmp_kind kind,
	uint16_t mtu, const uint8_t *source);

// Turns an unfragmented echo request into its reply in place: addresses swapped, TTL 64,
// checksums right. False and unchanged: it is none, or its checksum is wrong.
bool icmp_echo_reply(uint8_t *ip, const struct ip_info *info);
