// SPDX-License-Identifier: GPL-3.0-or-later
// Cuts IPv4 packets, and IPv6 packets of our own, to a link's MTU. Used by three nodes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define FRAGMENTS_MAX 64u

// m: single segment, data at an IP header. Copies it into fragments of at most `mtu` bytes, each
// a single segment with valid checksum and with m's struct dp_pkt; m is freed. Returns their number;
// 0: counted as drop_no_mbuf.
unsigned fragment4(struct rte_mbuf *m, uint16_t mtu, struct rte_mbuf **out);
// IPv6 sources alone may (RFC 8200, 4.5): `id` must be fresh for the pair of addresses.
unsigned fragment6(struct rte_mbuf *m, uint16_t mtu, uint32_t id, struct rte_mbuf **out);
