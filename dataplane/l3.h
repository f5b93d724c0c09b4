// SPDX-License-Identifier: GPL-3.0-or-later
// What the layer-3 nodes need of the configuration, fixed at boot. Read by node/*, set by main.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"
#include "dataplane/table/local.h"
#include "yang/config.h"

#define DP_L3_POOLS_MAX 64u
#define DP_L3_LISTENS_MAX 64u

struct dp_l3_pool {
	bool v6;
	bool has_gateway;
	uint8_t len;
	uint8_t net[16]; // v4: the first 4
	uint8_t gateway[16];
};

struct dp_l3_listen {
	struct abi_addr addr; // all zero: every address of the port that packets arrive on
	uint16_t port; // network byte order
	bool any;
};

struct dp_l3 {
	bool client_to_client;
	uint32_t icmp_rate; // a second and worker
	uint32_t nb_pools, nb_listens;
	struct dp_l3_pool pools[DP_L3_POOLS_MAX]; // one a family
	struct dp_l3_listen listens[DP_L3_LISTENS_MAX];
};

extern struct dp_l3 dp_l3;

// Boot, after dp_ports_init: tables and netlink too. 0 or -errno, the error was printed.
int dp_l3_init(const struct cfg *cfg);
void dp_l3_fini(void);

// The pool that an address (4 or 16 bytes) is in; NULL: none.
const struct dp_l3_pool *dp_l3_pool_of(bool v6, const uint8_t *addr);
// Has the network any address in common with a pool?
bool dp_l3_meets_pool(bool v6, const uint8_t *net, unsigned len);
// Is it the gateway's own address in a pool?
bool dp_l3_is_gateway(bool v6, const uint8_t *addr);
// The source of an ICMP error towards `to`: the gateway address of its pool, else of the port,
// else any of ours in the family. False: we have none.
bool dp_l3_icmp_source(bool v6, const uint8_t *to, uint8_t port, uint8_t *source);

static inline bool dp_l3_listen_is(
	const struct dp_l3_listen *listen, uint8_t port, const struct abi_addr *addr) {
	if (listen->any)
		return dp_local_has(port, addr);
	return __builtin_memcmp(&listen->addr, addr, sizeof(*addr)) == 0;
}

// May datagrams to this address (on `port`) and UDP port (network byte order) be the VPN's?
static inline bool dp_l3_listens_on(uint8_t port, const struct abi_addr *addr) {
	for (uint32_t i = 0; i < dp_l3.nb_listens; i++) {
		if (dp_l3_listen_is(&dp_l3.listens[i], port, addr))
			return true;
	}
	return false;
}

static inline bool dp_l3_listens(uint8_t port, const struct abi_addr *addr, uint16_t udp_port) {
	for (uint32_t i = 0; i < dp_l3.nb_listens; i++) {
		// The port first: it is what tells most packets apart.
		if (dp_l3.listens[i].port == udp_port &&
			dp_l3_listen_is(&dp_l3.listens[i], port, addr))
			return true;
	}
	return false;
}
