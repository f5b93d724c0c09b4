// SPDX-License-Identifier: GPL-3.0-or-later
// How large inner packets may be, from what is known of the client's path. Used by connect.c.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mtu_in {
	bool outer6; // the client comes over IPv6
	bool dtls; // a DTLS channel is offered
	bool tls13;
	uint16_t base_mtu; // X-CSTP-Base-MTU: the client's link, bytes; 0: not said
	uint16_t tunnel_mtu; // X-CSTP-MTU: inner size the client wants; counts when it is far below
		// what base_mtu allows, or without base_mtu
	uint16_t path_mtu; // of the TCP connection, from the kernel; 0: unknown
	uint16_t cfg_mtu; // inner packets at most, from the configuration; 0: no limit
};

struct mtu_out {
	uint16_t base; // X-CSTP-Base-MTU of the answer: the link
	uint16_t data; // inner packets on either channel
};

// protocol 3.7: link = min(base, path), data = link - headers - record overhead. One size for
// both channels, so that moving between them never makes a packet too big.
struct mtu_out mtu_choose(const struct mtu_in *in);
