// SPDX-License-Identifier: GPL-3.0-or-later
// Joins packets of one flow to super-packets, as GRO does. Called by port_fd_tx.c.
//
// Only what the receiver of the super-packet would cut into the same packets again is joined: equal
// headers, consecutive TCP sequence numbers, checksums that are right (a wrong one must arrive
// wrong). What may not be joined is not overtaken by later frames of its flow.
#include "dataplane/proto/gso.h"

#include <string.h>

#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"

#define TABLE 128u // a power of two, twice GSO_JOIN_MAX
#define TCP_HEADER 20u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define IP4_DF 0x40u

struct join {
	struct gso_frame *frames;
	struct gso_group *groups;
	unsigned nb_groups;
	uint8_t table[TABLE]; // number of the flow's newest group, plus one; 0: free
};

// Offsets and sizes into `g`. False: no flow can be seen in this frame.
static bool look(const struct gso_frame *f, unsigned kinds, struct gso_group *g) {
	const uint8_t *data = f->data;
	uint8_t proto;
	uint16_t type;

	if (data == NULL || f->len < ETH_HEADER + IP4_HEADER + UDP_HEADER)
		return false;
	type = ip_load16(data + 12);
	g->network = ETH_HEADER;
	g->v6 = type == ETH_TYPE_IP6;
	if (type == ETH_TYPE_IP4 && data[ETH_HEADER] == 0x45) {
		const uint8_t *ip = data + ETH_HEADER;

		proto = ip[9];
		g->transport = ETH_HEADER + IP4_HEADER;
		// exact length; neither a fragment nor the reserved bit
		if (ip_load16(ip + 2) != f->len - ETH_HEADER || (ip_load16(ip + 6) & 0xbfff) != 0)
			return false;
	} else if (g->v6 && f->len >= ETH_HEADER + IP6_HEADER + UDP_HEADER &&
		data[ETH_HEADER] >> 4 == 6) {
		proto = data[ETH_HEADER + 6];
		g->transport = ETH_HEADER + IP6_HEADER;
		if (ip_load16(data + ETH_HEADER + 4) != f->len - g->transport)
			return false;
	} else {
		return false;
	}
	g->tcp = proto == IP_PROTO_TCP;
	if (!(proto == IP_PROTO_TCP && (kinds & GSO_TCP)) &&
		!(proto == IP_PROTO_UDP && (kinds & GSO_UDP)))
		return false;
	g->payload = g->transport + UDP_HEADER;
	if (g->tcp) {
		if (f->len < g->transport + TCP_HEADER)
			return false;
		g->payload = (uint16_t)(g->transport + (data[g->transport + 12] >> 4) * 4);
		if (g->payload < g->transport + TCP_HEADER || g->payload > f->len)
			return false;
	}
	g->size = f->len - g->payload;
	return true;
}

// May it be joined at all?
static bool plain(const struct gso_frame *f, const struct gso_group *g) {
	const uint8_t *header = f->data + g->transport;

	if (g->size == 0)
		return false;
	if (g->tcp) // urgent data, and what begins and ends connections, goes alone
		return (header[13] & (uint8_t)~TCP_PSH) == TCP_ACK && (header[12] & 0x0f) == 0;
	return ip_load16(header + 4) == f->len - g->transport && ip_load16(header + 6) != 0;
}

static unsigned hash(const struct gso_frame *f, const struct gso_group *g) {
	const uint8_t *addresses = f->data + g->network + (g->v6 ? 8 : 12);
	uint32_t ports, a, b;

	// for v6 the low ends of both addresses
	memcpy(&a, addresses + (g->v6 ? 12 : 0), 4);
	memcpy(&b, addresses + (g->v6 ? 28 : 4), 4);
	memcpy(&ports, f->data + g->transport, 4);
	return (ports * 0x9e3779b1u ^ a * 0x85ebca6bu ^ b * 0xc2b2ae35u) >> 25;
}

static bool same_flow(const uint8_t *a, const struct gso_group *ga, const uint8_t *b,
	const struct gso_group *gb) {
	if (ga->v6 != gb->v6 || ga->tcp != gb->tcp || memcmp(a, b, ETH_HEADER) != 0 ||
		memcmp(a + ga->transport, b + gb->transport, 4) != 0)
		return false;
	if (ga->v6)
		return memcmp(a + ga->network + 8, b + gb->network + 8, 32) == 0;
	return memcmp(a + ga->network + 12, b + gb->network + 12, 8) == 0;
}

static bool checksums_good(const struct gso_frame *f, const struct gso_group *g) {
	const uint8_t *ip = f->data + g->network;
	uint32_t len = f->len - g->transport, sum;

	if (f->trusted)
		return true;
	if (!g->v6 && ip_sum_finish(ip_sum(ip, IP4_HEADER, 0)) != 0)
		return false;
	sum = ip_sum_pseudo(ip, g->v6 ? 6 : 4, g->tcp ? IP_PROTO_TCP : IP_PROTO_UDP, len);
	return ip_sum_finish(ip_sum(f->data + g->transport, len, sum)) == 0;
}

// Cutting gives each packet the next identification. Without DF it must have had that one, but for
// frames of our own: their identifications count up over all flows.
static bool same_network(
	const uint8_t *first, const struct gso_frame *next, const struct gso_group *g) {
	const uint8_t *a = first + g->network, *b = next->data + g->network;

	if (g->v6)
		return memcmp(a, b, 4) == 0 && a[7] == b[7]; // class, label, hop limit
	if (a[1] != b[1] || a[6] != b[6] || a[8] != b[8])
		return false;
	return (a[6] & IP4_DF) || next->trusted ||
		(uint16_t)(ip_load16(a + 4) + g->count) == ip_load16(b + 4);
}

static bool same_tcp(const uint8_t *first, const uint8_t *next, const struct gso_group *g) {
	const uint8_t *a = first + g->transport, *b = next + g->transport;

	return ip_load32(a + 4) + g->bytes == ip_load32(b + 4) &&
		memcmp(a + 8, b + 8, 5) == 0 && // acknowledgement, header length
		memcmp(a + 14, b + 14, 2) == 0 && // window
		memcmp(a + TCP_HEADER, b + TCP_HEADER, g->payload - g->transport - TCP_HEADER) == 0;
}

static bool fits(struct join *j, struct gso_group *g, unsigned n, const struct gso_group *seen) {
	const struct gso_frame *first = &j->frames[g->first], *next = &j->frames[n];

	if (g->closed || seen->payload != g->payload || seen->size > g->size ||
		g->payload - g->network - (g->v6 ? IP6_HEADER : 0) + g->bytes + seen->size >
			UINT16_MAX)
		return false;
	if (!same_network(first->data, next, g) ||
		(g->tcp && !same_tcp(first->data, next->data, g)))
		return false;
	if (!g->verified && !checksums_good(first, g)) {
		g->closed = true;
		return false;
	}
	g->verified = true;
	return checksums_good(next, seen);
}

static void append(struct join *j, struct gso_group *g, unsigned n, const struct gso_group *seen) {
	j->frames[g->last].next = (uint16_t)n;
	g->last = (uint16_t)n;
	g->count++;
	g->bytes += seen->size;
	// a shorter one is the last; a pushed one must not wait, and its flag is the last packet's
	g->closed = seen->size < g->size || seen->closed;
}

static void start(struct join *j, unsigned n, const struct gso_group *seen) {
	struct gso_group *g = &j->groups[j->nb_groups++];

	*g = *seen;
	g->first = g->last = (uint16_t)n;
	g->count = 1;
	g->bytes = g->size;
	g->verified = false;
}

static void add(struct join *j, unsigned n, unsigned kinds) {
	struct gso_frame *f = &j->frames[n];
	struct gso_group seen = {.payload = 0}, *g = NULL;
	unsigned slot;

	f->next = GSO_LAST;
	if (!look(f, kinds, &seen)) {
		seen = (struct gso_group){.closed = true};
		start(j, n, &seen);
		return;
	}
	bool joinable = plain(f, &seen);

	seen.closed = !joinable || (seen.tcp && (f->data[seen.transport + 13] & TCP_PSH));
	for (slot = hash(f, &seen); j->table[slot] != 0; slot = (slot + 1) % TABLE) {
		g = &j->groups[j->table[slot] - 1];
		if (same_flow(j->frames[g->first].data, g, f->data, &seen))
			break;
	}
	if (j->table[slot] != 0 && joinable && fits(j, g, n, &seen)) {
		append(j, g, n, &seen);
		return;
	}
	start(j, n, &seen);
	j->table[slot] = (uint8_t)j->nb_groups;
}

unsigned gso_join(struct gso_frame *frames, unsigned n, unsigned kinds,
	struct gso_group groups[GSO_JOIN_MAX]) {
	struct join j = {.frames = frames, .groups = groups};

	for (unsigned i = 0; i < n; i++)
		add(&j, i, kinds);
	return j.nb_groups;
}

size_t gso_headers(const struct gso_group *group, const struct gso_frame *frames,
	uint8_t out[GSO_HEADERS_MAX], struct virtio_net_hdr *hdr) {
	uint32_t upper = group->payload - group->transport + group->bytes;
	uint8_t *ip = out + group->network, *header = out + group->transport;
	uint8_t proto = group->tcp ? IP_PROTO_TCP : IP_PROTO_UDP;

	memcpy(out, frames[group->first].data, group->payload);
	if (group->v6) {
		ip_store16(ip + 4, (uint16_t)upper);
	} else {
		ip_store16(ip + 2, (uint16_t)(IP4_HEADER + upper));
		ip4_checksum_write(ip);
	}
	if (group->tcp)
		header[13] |= frames[group->last].data[group->transport + 13];
	else
		ip_store16(header + 4, (uint16_t)upper);
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	if (group->tcp)
		hdr->gso_type = group->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	hdr->hdr_len = group->payload;
	hdr->gso_size = group->size;
	hdr->csum_start = group->transport;
	hdr->csum_offset = group->tcp ? 16 : 6;
	uint32_t sum = ip_sum_pseudo(ip, group->v6 ? 6 : 4, proto, upper);

	ip_store16(header + hdr->csum_offset, (uint16_t)~ip_sum_finish(sum));
	return group->payload;
}
