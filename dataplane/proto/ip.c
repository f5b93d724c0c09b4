// SPDX-License-Identifier: GPL-3.0-or-later
// IPv4, IPv6 and UDP headers: parse, checksum, build. Called by the layer-3 nodes.
#include "dataplane/proto/ip.h"

#include <string.h>

#define EXT_HOP_BY_HOP 0u
#define EXT_ROUTING 43u
#define EXT_FRAGMENT 44u
#define EXT_AH 51u
#define EXT_DESTINATION 60u
#define EXT_MOBILITY 135u
#define EXT_MAX 8 // extension headers walked over before the packet is refused

typedef uint64_t vector __attribute__((vector_size(32)));

// Sum of the native 32-bit words of `blocks` x 64 bytes.
static inline __attribute__((always_inline)) uint64_t sum_words(const uint8_t *p, size_t blocks) {
	vector low = {0}, high = {0};

	for (; blocks > 0; blocks--, p += 64) {
		vector a, b;

		memcpy(&a, p, 32);
		memcpy(&b, p + 32, 32);
		low += (a & 0xffffffff) + (b & 0xffffffff);
		high += (a >> 32) + (b >> 32);
	}
	low += high;
	return low[0] + low[1] + low[2] + low[3];
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint64_t sum_words_avx2(const uint8_t *p, size_t blocks) {
	return sum_words(p, blocks);
}
#endif

static uint64_t sum_blocks(const uint8_t *p, size_t blocks) {
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return sum_words_avx2(p, blocks);
#endif
	return sum_words(p, blocks);
}

uint32_t ip_sum(const void *data, size_t len, uint32_t sum) {
	const uint8_t *p = data;
	uint64_t wide = 0;

	// Sums of native words are byte-swapped sums (RFC 1071, 2 B): swap once at the end.
	if (len >= 64) {
		wide = sum_blocks(p, len / 64);
		p += len & ~(size_t)63;
		len &= 63;
	}
	for (; len >= 4; p += 4, len -= 4) {
		uint32_t word;

		memcpy(&word, p, 4);
		wide += word;
	}
	if (len & 2) {
		uint16_t word;

		memcpy(&word, p, 2);
		wide += word;
		p += 2;
	}
	if (len & 1) {
		uint8_t tail[2] = {p[0], 0};
		uint16_t word;

		memcpy(&word, tail, 2);
		wide += word;
	}
	wide = (wide & 0xffffffff) + (wide >> 32);
	wide = (wide & 0xffffffff) + (wide >> 32);
	uint32_t folded = (uint32_t)(wide & 0xffff) + (uint32_t)(wide >> 16);

	folded = (folded & 0xffff) + (folded >> 16);
	uint8_t bytes[2];
	uint16_t native = (uint16_t)folded;

	memcpy(bytes, &native, 2);
	return sum + ip_load16(bytes);
}

uint32_t ip_sum_pseudo(const uint8_t *ip, uint8_t version, uint8_t proto, uint32_t upper_len) {
	uint32_t sum = proto + (upper_len & 0xffff) + (upper_len >> 16);

	return version == 4 ? ip_sum(ip + 12, 8, sum) : ip_sum(ip + 8, 32, sum);
}

void ip4_checksum_write(uint8_t *ip) {
	ip_store16(ip + 10, 0);
	ip_store16(ip + 10, ip_sum_finish(ip_sum(ip, (size_t)(ip[0] & 15) * 4, 0)));
}

bool ip_is_multicast(const uint8_t *address, uint8_t version) {
	if (version == 6)
		return address[0] == 0xff;
	return (address[0] & 0xf0) == 0xe0 || ip_load32(address) == 0xffffffff;
}

bool ip_is_forwardable(const uint8_t *address, uint8_t version) {
	static const uint8_t zero[12], mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (version == 4) {
		if (address[0] == 0 || address[0] == 127 || address[0] >= 224)
			return false;
		return !(address[0] == 169 && address[1] == 254);
	}
	if (address[0] == 0xff || (address[0] == 0xfe && (address[1] & 0xc0) == 0x80))
		return false;
	// ::/96 holds the unspecified and the loopback address and nothing that is in use.
	return memcmp(address, zero, 12) != 0 && memcmp(address, mapped, 12) != 0;
}

static enum ip_status parse4(const uint8_t *data, size_t len, bool verify, struct ip_info *info) {
	if (len < IP4_HEADER)
		return IP_SHORT;
	uint16_t header_len = (uint16_t)((data[0] & 15) * 4);
	uint16_t total_len = ip_load16(data + 2);
	uint16_t fragment = ip_load16(data + 6);

	if (header_len < IP4_HEADER || total_len < header_len)
		return IP_HEADER;
	if (total_len > len)
		return IP_SHORT;
	if (verify && ip_sum_finish(ip_sum(data, header_len, 0)) != 0)
		return IP_BAD_CHECKSUM;
	info->version = 4;
	info->proto = data[9];
	info->ttl = data[8];
	info->dont_fragment = (fragment & 0x4000) != 0;
	info->more_fragments = (fragment & 0x2000) != 0;
	info->fragment_offset = (uint16_t)((fragment & 0x1fff) * 8);
	info->fragment_header = 0;
	info->header_len = header_len;
	info->total_len = total_len;
	// Reassembled it would be longer than a packet can be (the ping of death).
	if ((uint32_t)info->fragment_offset + total_len > UINT16_MAX)
		return IP_HEADER;
	return IP_OK;
}

// Bytes of the extension header at `p` (at least 8 are there), 0: `type` is no extension.
static uint32_t extension_len(uint8_t type, const uint8_t *p) {
	switch (type) {
	case EXT_HOP_BY_HOP:
	case EXT_ROUTING:
	case EXT_DESTINATION:
	case EXT_MOBILITY:
		return ((uint32_t)p[1] + 1) * 8;
	case EXT_AH:
		return ((uint32_t)p[1] + 2) * 4;
	case EXT_FRAGMENT:
		return 8;
	}
	return 0;
}

static bool is_extension(uint8_t type) {
	static const uint8_t any[8];

	return extension_len(type, any) != 0;
}

static enum ip_status parse6(const uint8_t *data, size_t len, struct ip_info *info) {
	if (len < IP6_HEADER)
		return IP_SHORT;
	uint32_t total_len = IP6_HEADER + ip_load16(data + 4), at = IP6_HEADER;
	uint8_t next = data[6];

	if (total_len > UINT16_MAX)
		return IP_HEADER;
	if (total_len > len)
		return IP_SHORT;
	info->version = 6;
	info->ttl = data[7];
	info->dont_fragment = true;
	info->more_fragments = false;
	info->fragment_offset = 0;
	info->fragment_header = 0;
	for (int i = 0; is_extension(next); i++) {
		if (i == EXT_MAX || at + 8 > total_len)
			return IP_EXTENSIONS;
		const uint8_t *p = data + at;
		uint32_t step = extension_len(next, p);

		if (at + step > total_len)
			return IP_EXTENSIONS;
		if (next == EXT_FRAGMENT) {
			if (info->fragment_header != 0)
				return IP_EXTENSIONS;
			info->fragment_header = (uint16_t)at;
			info->fragment_offset = ip_load16(p + 2) & 0xfff8;
			info->more_fragments = (p[3] & 1) != 0;
		}
		next = p[0];
		at += step;
		// Behind the header of a later fragment is no header but data.
		if (info->fragment_offset != 0)
			break;
	}
	if ((uint32_t)info->fragment_offset + total_len > UINT16_MAX)
		return IP_HEADER;
	info->proto = next;
	info->header_len = (uint16_t)at;
	info->total_len = (uint16_t)total_len;
	return IP_OK;
}

enum ip_status ip_parse(const uint8_t *data, size_t len, bool verify, struct ip_info *info) {
	if (len == 0)
		return IP_SHORT;
	switch (data[0] >> 4) {
	case 4:
		return parse4(data, len, verify, info);
	case 6:
		return parse6(data, len, info);
	}
	return IP_VERSION;
}

bool udp_parse(const uint8_t *ip, const struct ip_info *info, bool verify, struct udp_info *udp) {
	const uint8_t *header = ip + info->header_len;

	if (!udp_parse_header(ip, info, udp))
		return false;
	if (ip_load16(header + 6) == 0)
		return info->version != 6;
	if (verify) {
		uint16_t len = ip_load16(header + 4);
		uint32_t sum = ip_sum_pseudo(ip, info->version, IP_PROTO_UDP, len);

		return ip_sum_finish(ip_sum(header, len, sum)) == 0;
	}
	return true;
}

bool udp_checksum_is_partial(const uint8_t *ip, const struct ip_info *info) {
	uint16_t len = info->total_len - info->header_len, folded;

	if (len < UDP_HEADER)
		return false;
	folded = (uint16_t)~ip_sum_finish(ip_sum_pseudo(ip, info->version, IP_PROTO_UDP, len));
	return ip_load16(ip + info->header_len + 6) == folded;
}

static uint8_t *write_ip4(uint8_t *out, const struct udp_headers *h) {
	out[0] = 0x45;
	out[1] = (uint8_t)(h->dscp << 2);
	ip_store16(out + 2, IP4_HEADER + UDP_HEADER + h->payload_len);
	ip_store16(out + 4, h->id);
	ip_store16(out + 6, h->dont_fragment ? 0x4000 : 0);
	out[8] = h->ttl;
	out[9] = IP_PROTO_UDP;
	memcpy(out + 12, h->source, 4);
	memcpy(out + 16, h->destination, 4);
	ip4_checksum_write(out);
	return out + IP4_HEADER;
}

static uint8_t *write_ip6(uint8_t *out, const struct udp_headers *h) {
	ip_store32(out, 6u << 28 | (uint32_t)h->dscp << 22 | (h->flow & 0xfffff));
	ip_store16(out + 4, UDP_HEADER + h->payload_len);
	out[6] = IP_PROTO_UDP;
	out[7] = h->ttl;
	memcpy(out + 8, h->source, 16);
	memcpy(out + 24, h->destination, 16);
	return out + IP6_HEADER;
}

void udp_write_headers(uint8_t *out, const struct udp_headers *h) {
	uint8_t *udp = h->v6 ? write_ip6(out, h) : write_ip4(out, h);
	uint16_t len = UDP_HEADER + h->payload_len;

	memcpy(udp, &h->source_port, 2);
	memcpy(udp + 2, &h->destination_port, 2);
	ip_store16(udp + 4, len);
	ip_store16(udp + 6, 0);
	uint32_t pseudo = ip_sum_pseudo(out, h->v6 ? 6 : 4, IP_PROTO_UDP, len);

	if (!h->checksum) {
		ip_store16(udp + 6, (uint16_t)~ip_sum_finish(pseudo));
		return;
	}
	uint16_t sum = ip_sum_finish(ip_sum(udp, len, pseudo));

	ip_store16(udp + 6, sum == 0 ? 0xffff : sum); // 0 would say: no checksum
}
