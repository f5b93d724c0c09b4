// SPDX-License-Identifier: GPL-3.0-or-later
// Pools, listening addresses and limits for the layer-3 nodes. Called at boot and by the nodes.
#include "dataplane/l3.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/ctl/netlink.h"
#include "dataplane/port.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/local.h"

struct dp_l3 dp_l3;

static bool in_prefix(const uint8_t *addr, const uint8_t *net, unsigned len) {
	unsigned bytes = len / 8, bits = len % 8;

	if (memcmp(addr, net, bytes) != 0)
		return false;
	return bits == 0 || ((addr[bytes] ^ net[bytes]) >> (8 - bits)) == 0;
}

const struct dp_l3_pool *dp_l3_pool_of(bool v6, const uint8_t *addr) {
	for (uint32_t i = 0; i < dp_l3.nb_pools; i++) {
		const struct dp_l3_pool *pool = &dp_l3.pools[i];

		if (pool->v6 == v6 && in_prefix(addr, pool->net, pool->len))
			return pool;
	}
	return NULL;
}

bool dp_l3_meets_pool(bool v6, const uint8_t *net, unsigned len) {
	for (uint32_t i = 0; i < dp_l3.nb_pools; i++) {
		const struct dp_l3_pool *pool = &dp_l3.pools[i];

		if (pool->v6 == v6 && in_prefix(net, pool->net, len < pool->len ? len : pool->len))
			return true;
	}
	return false;
}

bool dp_l3_is_gateway(bool v6, const uint8_t *addr) {
	const struct dp_l3_pool *pool = dp_l3_pool_of(v6, addr);

	return pool != NULL && pool->has_gateway && memcmp(pool->gateway, addr, v6 ? 16 : 4) == 0;
}

bool dp_l3_icmp_source(bool v6, const uint8_t *to, uint8_t port, uint8_t *source) {
	const struct dp_l3_pool *pool = dp_l3_pool_of(v6, to);
	struct abi_addr local;

	if (pool == NULL && dp_local_first(port, v6, &local)) {
		memcpy(source, local.bytes + (v6 ? 0 : 12), v6 ? 16 : 4);
		return true;
	}
	for (uint32_t i = 0; i < dp_l3.nb_pools && (pool == NULL || !pool->has_gateway); i++) {
		if (dp_l3.pools[i].v6 == v6)
			pool = &dp_l3.pools[i];
	}
	if (pool == NULL || !pool->has_gateway)
		return false;
	memcpy(source, pool->gateway, v6 ? 16 : 4);
	return true;
}

static int add_pool(const struct cfg_prefix *prefix, const struct cfg_addr *gateway) {
	struct dp_l3_pool *pool = &dp_l3.pools[dp_l3.nb_pools];
	unsigned len = prefix->addr.family == AF_INET6 ? 16 : 4;

	if (prefix->addr.family == 0)
		return 0;
	if (dp_l3.nb_pools == DP_L3_POOLS_MAX)
		return -E2BIG;
	pool->v6 = len == 16;
	pool->len = prefix->len;
	memcpy(pool->net, prefix->addr.bytes, len);
	pool->has_gateway = gateway->family == prefix->addr.family;
	memcpy(pool->gateway, gateway->bytes, len);
	dp_l3.nb_pools++;
	return 0;
}

static int add_listen(const struct cfg_listen *cfg) {
	static const uint8_t zero[16];
	struct dp_l3_listen *listen = &dp_l3.listens[dp_l3.nb_listens];
	bool v6 = cfg->addr.family == AF_INET6;

	if (cfg->udp_port == 0)
		return 0;
	if (dp_l3.nb_listens == DP_L3_LISTENS_MAX)
		return -E2BIG;
	listen->port = htons(cfg->udp_port);
	listen->any = cfg->addr.family == 0 || memcmp(cfg->addr.bytes, zero, v6 ? 16 : 4) == 0;
	if (!listen->any)
		dp_addr_from(&listen->addr, v6, cfg->addr.bytes);
	dp_l3.nb_listens++;
	return 0;
}

int dp_l3_init(const struct cfg *cfg) {
	int ret = 0;

	memset(&dp_l3, 0, sizeof(dp_l3));
	dp_l3.client_to_client = cfg->dataplane.client_to_client;
	dp_l3.icmp_rate = cfg->dataplane.icmp_rate;
	for (size_t i = 0; ret == 0 && i < cfg->nb_pools; i++) {
		ret = add_pool(&cfg->pools[i].v4, &cfg->pools[i].gateway4);
		if (ret == 0)
			ret = add_pool(&cfg->pools[i].v6, &cfg->pools[i].gateway6);
	}
	for (size_t i = 0; ret == 0 && i < cfg->nb_listen; i++)
		ret = add_listen(&cfg->listen[i]);
	if (ret != 0) {
		fprintf(stderr,
			"penstock-dataplane: more than %u pools or %u listening addresses\n",
			DP_L3_POOLS_MAX, DP_L3_LISTENS_MAX);
		return ret;
	}
	return dp_netlink_init(cfg, dp_nb_workers);
}

void dp_l3_fini(void) {
	dp_netlink_fini();
}
