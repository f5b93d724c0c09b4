// SPDX-License-Identifier: GPL-3.0-or-later
// Arithmetic of addresses and pools: which addresses a pool leases, numbered from 0.
//
// The numbers are dense: the gateway's address is skipped. What a client of an IPv6 pool gets is
// counted in units of its prefix (ipv6-client-prefix); unit 0 is never leased.

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "yang/config_priv.h"

#define POOL_MAX (1u << 20)

unsigned addr_bits(const struct cfg_addr *addr) {
	return addr_len(addr) * 8;
}

unsigned addr_len(const struct cfg_addr *addr) {
	return addr->family == AF_INET ? 4 : addr->family == AF_INET6 ? 16 : 0;
}

bool addr_equal(const struct cfg_addr *a, const struct cfg_addr *b) {
	return a->family == b->family && memcmp(a->bytes, b->bytes, addr_len(a)) == 0;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits) {
	unsigned rest = bits % 8;
	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

bool addr_in(const struct cfg_addr *addr, const struct cfg_prefix *prefix) {
	return addr->family == prefix->addr.family && addr->family != 0 &&
		same_bits(addr->bytes, prefix->addr.bytes, prefix->len);
}

bool prefix_overlap(const struct cfg_prefix *a, const struct cfg_prefix *b) {
	return a->len <= b->len ? addr_in(&b->addr, a) : addr_in(&a->addr, b);
}

static char *text_buffer(void) {
	static char buffers[4][INET6_ADDRSTRLEN + 4];
	static unsigned turn;
	return buffers[turn++ % 4];
}

const char *addr_text(const struct cfg_addr *addr) {
	char *text = text_buffer();
	if (addr->family == 0 ||
		inet_ntop(addr->family, addr->bytes, text, INET6_ADDRSTRLEN) == NULL)
		strcpy(text, "none");
	return text;
}

const char *prefix_text(const struct cfg_prefix *prefix) {
	char *text = text_buffer();
	snprintf(text, INET6_ADDRSTRLEN + 4, "%s/%u", addr_text(&prefix->addr), prefix->len);
	return text;
}

// ---- pools

// One family of a pool: the units from 1 to `last` are leased, but for `skip` (0: none).
struct range {
	const struct cfg_prefix *net;
	unsigned unit_bits; // bits of the address below a unit
	uint32_t last;
	uint32_t skip;
};

// The unit that the address is in, or -1 when it is not in the network or its unit is too large.
static int64_t unit_of(const struct range *range, const uint8_t *bytes) {
	unsigned bits = addr_bits(&range->net->addr) - range->unit_bits;
	uint64_t unit = 0;
	if (!same_bits(bytes, range->net->addr.bytes, range->net->len))
		return -1;
	for (unsigned i = range->net->len; i < bits; i++) {
		if (unit >> 31)
			return -1;
		unit = unit << 1 | (bytes[i / 8] >> (7 - i % 8) & 1);
	}
	return (int64_t)unit;
}

static bool range_set(const struct cfg_pool *pool, int family, struct range *range) {
	const struct cfg_addr *gateway = family == AF_INET ? &pool->gateway4 : &pool->gateway6;
	range->net = family == AF_INET ? &pool->v4 : &pool->v6;
	range->skip = 0;
	range->unit_bits = 0;
	if (range->net->addr.family != family)
		return false;
	unsigned width = addr_bits(&range->net->addr);
	if (family == AF_INET6 && pool->v6_client_prefix != 0 && pool->v6_client_prefix <= 128)
		range->unit_bits = width - pool->v6_client_prefix;
	if (range->net->len >= width - range->unit_bits)
		return false;
	unsigned bits = width - range->unit_bits - range->net->len;
	// The last v4 address is the broadcast address.
	uint64_t last = (bits >= 32 ? (uint64_t)UINT32_MAX : (1ull << bits) - 1) -
		(family == AF_INET);
	int64_t unit = gateway->family == family ? unit_of(range, gateway->bytes) : -1;
	if (unit > 0 && (uint64_t)unit <= last && unit <= (int64_t)POOL_MAX)
		range->skip = (uint32_t)unit;
	// With a gateway among the first ones there is one more to take its place.
	uint64_t limit = POOL_MAX + (range->skip != 0);
	range->last = last < limit ? (uint32_t)last : (uint32_t)limit;
	return range->last > 0;
}

uint32_t cfg_pool_size(const struct cfg_pool *pool, int family) {
	struct range range;
	return range_set(pool, family, &range) ? range.last - (range.skip != 0) : 0;
}

void cfg_pool_address(const struct cfg_pool *pool, int family, uint32_t n, uint8_t *bytes) {
	struct range range;
	if (!range_set(pool, family, &range))
		return;
	uint64_t unit = (uint64_t)n + 1;
	if (range.skip != 0 && unit >= range.skip)
		unit++;
	unsigned len = addr_len(&range.net->addr);
	memcpy(bytes, range.net->addr.bytes, len);
	// Bits of the unit, from its lowest one at bit (8 * len - unit_bits - 1).
	for (int bit = (int)(8 * len - range.unit_bits) - 1; unit != 0 && bit >= 0;
		bit--, unit >>= 1) {
		if (unit & 1)
			bytes[bit / 8] |= 0x80u >> (bit % 8);
	}
	if (range.unit_bits > 0)
		bytes[len - 1] |= 1;
}

int64_t cfg_pool_index(const struct cfg_pool *pool, int family, const uint8_t *bytes) {
	struct range range;
	if (!range_set(pool, family, &range))
		return -1;
	int64_t unit = unit_of(&range, bytes);
	if (unit <= 0 || unit > (int64_t)range.last || unit == (int64_t)range.skip)
		return -1;
	return unit - 1 - (range.skip != 0 && unit > (int64_t)range.skip);
}
