// SPDX-License-Identifier: GPL-3.0-or-later
// What the steering program and port_xdp.c agree on: its maps' keys. No includes but types.
#pragma once

// xsks_map: by receive queue; the name that DPDK's net_af_xdp looks for.
#define STEER_QUEUES 256
// Keys of vpn_ports: UDP port in network byte order; of vpn_hosts: our addresses, v4 mapped.
#define STEER_PORTS 64
#define STEER_HOSTS 1024
#define STEER_FRAGS 16384 // datagrams in fragments, least recently used ones are forgotten

struct steer_host {
	unsigned char bytes[16];
};

// One fragmented datagram of the VPN (RFC 791, RFC 8200 4.5).
struct steer_frag {
	unsigned char src[16];
	unsigned char dst[16];
	unsigned int id;
};
