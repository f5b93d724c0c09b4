// SPDX-License-Identifier: GPL-3.0-or-later
// What the steering program and port_xdp.c agree on: its maps' keys. No includes but types.
#pragma once

// xsks_map: by receive queue; the name that DPDK's net_af_xdp looks for.
#define STEER_QUEUES 256
// Keys of vpn_ports: UDP port in network byte order; of vpn_hosts: our addresses, v4 mapped.
#define STEER_PORTS 64
#define STEER_HOSTS 1024
#define STEER_FRAGS 16384 // datagrams in fragments, least recently used ones are forgotten
#define STEER_HANDSHAKE 22 // content type of DTLS records (RFC 6347, 4.1)

struct steer_host {
	unsigned char bytes[16];
};

// vpn_limit, one: what a handshake costs of a CPU's credit, which grows with time up to a bound.
// cost_ns 0: no limit.
struct steer_limit {
	unsigned long long cost_ns;
	unsigned long long credit_max_ns;
};

// vpn_bucket, one a CPU.
struct steer_bucket {
	unsigned long long last_ns;
	unsigned long long credit_ns;
	unsigned long long shed; // handshakes dropped
};

// One fragmented datagram of the VPN (RFC 791, RFC 8200 4.5).
struct steer_frag {
	unsigned char src[16];
	unsigned char dst[16];
	unsigned int id;
};
