// SPDX-License-Identifier: GPL-3.0-or-later
// IPv4, IPv6 and UDP headers: parse, checksum, build. Pure: bytes in, bytes out. Used by the
// layer-3 nodes, tests and fuzzers.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_PROTO_ICMP 1u
#define IP_PROTO_TCP 6u
#define IP_PROTO_UDP 17u
#define IP_PROTO_ICMP6 58u

#define IP4_HEADER 20u
#define IP6_HEADER 40u
#define UDP_HEADER 8u

enum ip_status {
	IP_OK = 0,
	IP_SHORT, // fewer bytes than the header or its length field say
	IP_VERSION, // neither 4 nor 6
	IP_HEADER, // impossible header length, or a fragment beyond 65,535 bytes
	IP_BAD_CHECKSUM,
	IP_EXTENSIONS, // IPv6 extension headers that do not end, or too many (limit 8)
};

struct ip_info {
	uint8_t version; // 4 or 6
	uint8_t proto; // upper layer, after IPv6 extensions
	uint8_t ttl; // or hop limit
	bool dont_fragment; // always true for v6
	bool more_fragments;
	uint16_t header_len; // bytes up to the upper layer (of a v6 fragment: behind its header)
	uint16_t total_len; // bytes of the packet; what follows is padding
	uint16_t fragment_offset; // bytes
	uint16_t fragment_header; // v6: offset of the fragment header; 0: none
};

static inline bool ip_is_fragment(const struct ip_info *info) {
	return info->more_fragments || info->fragment_offset != 0;
}

// Parses the packet at `data` (`len` bytes, at most 65,535 are looked at). verify: check the IPv4
// header checksum. Returns enum ip_status; info is only valid with IP_OK. Upper-layer bytes of
// [header_len, total_len) are there but not looked at.
enum ip_status ip_parse(const uint8_t *data, size_t len, bool verify, struct ip_info *info);

struct udp_info {
	uint16_t source; // network byte order
	uint16_t destination; // network byte order
	uint16_t payload; // offset from the IP header, bytes
	uint16_t payload_len;
};

// The UDP header of an unfragmented packet, but for its checksum. False: malformed.
static inline bool udp_parse_header(
	const uint8_t *ip, const struct ip_info *info, struct udp_info *udp) {
	const uint8_t *header = ip + info->header_len;
	uint16_t room = info->total_len - info->header_len, len;

	if (info->proto != IP_PROTO_UDP || ip_is_fragment(info) || room < UDP_HEADER)
		return false;
	len = (uint16_t)(header[4] << 8 | header[5]);
	if (len < UDP_HEADER || len > room)
		return false;
	__builtin_memcpy(&udp->source, header, 2);
	__builtin_memcpy(&udp->destination, header + 2, 2);
	udp->payload = info->header_len + UDP_HEADER;
	udp->payload_len = len - UDP_HEADER;
	return true;
}

// The UDP header of an unfragmented packet. verify: check its checksum; zero is no checksum on
// IPv4 (RFC 768) and wrong on IPv6 (RFC 8200, 8.1). False: malformed.
bool udp_parse(const uint8_t *ip, const struct ip_info *info, bool verify, struct udp_info *udp);

// Bytes of the headers that udp_write_headers puts before a payload.
static inline size_t udp_headers_len(bool v6) {
	return UDP_HEADER + (v6 ? IP6_HEADER : IP4_HEADER);
}

// Does the checksum field hold the pseudo header's sum alone? So does a datagram of this host's other
// namespaces (a veth's other end) look whose checksum was left to hardware that there is not, when
// it comes by AF_XDP, which cannot say so.
bool udp_checksum_is_partial(const uint8_t *ip, const struct ip_info *info);

struct udp_headers {
	bool v6;
	bool dont_fragment; // v4
	bool checksum; // compute it over the payload; else the pseudo header sum, for offload
	uint8_t dscp; // 0..63
	uint8_t ttl;
	uint16_t id; // v4, host order
	uint32_t flow; // v6 flow label, 20 bits
	const uint8_t *source; // 4 or 16 bytes
	const uint8_t *destination;
	uint16_t source_port; // network byte order
	uint16_t destination_port;
	uint16_t payload_len;
};

// Writes IP and UDP headers at `out`; the payload must already follow them.
void udp_write_headers(uint8_t *out, const struct udp_headers *headers);

// One's complement sum of `len` bytes added to `sum` (not folded), big-endian words.
uint32_t ip_sum(const void *data, size_t len, uint32_t sum);
// The complement of the folded sum: what goes into a header, host byte order.
static inline uint16_t ip_sum_finish(uint32_t sum) {
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

// Sum of the pseudo header (RFC 793, RFC 8200 8.1) of a parsed packet's addresses.
uint32_t ip_sum_pseudo(const uint8_t *ip, uint8_t version, uint8_t proto, uint32_t upper_len);

// RFC 1624, equation 3: `check` and the words in the same byte order. Result in that order.
static inline uint16_t ip_checksum_update(uint16_t check, uint16_t old, uint16_t new) {
	uint32_t sum = (uint16_t)~check + (uint32_t)(uint16_t)~old + new;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

// Writes the header checksum of an IPv4 header.
void ip4_checksum_write(uint8_t *ip);

// The source and destination of a packet whose header was parsed.
static inline const uint8_t *ip_source(const uint8_t *ip, uint8_t version) {
	return ip + (version == 4 ? 12 : 8);
}

static inline const uint8_t *ip_destination(const uint8_t *ip, uint8_t version) {
	return ip + (version == 4 ? 16 : 24);
}

static inline uint32_t ip_load32(const uint8_t *p) {
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint16_t ip_load16(const uint8_t *p) {
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void ip_store16(uint8_t *p, uint16_t v) {
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void ip_store32(uint8_t *p, uint32_t v) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	__builtin_memcpy(p, &v, sizeof(v));
}

// Multicast or limited broadcast.
bool ip_is_multicast(const uint8_t *address, uint8_t version);

// May a router forward a packet to/from this address? Not: this-network, loopback, link-local
// (RFC 3927 2.6.2, RFC 4291 2.5.6), multicast, class E, v4-mapped, unspecified (RFC 1812 5.3.7).
bool ip_is_forwardable(const uint8_t *address, uint8_t version);

// One hop: the TTL or hop limit, which must be > 1, less one; the checksum follows: RFC 1624, equation
// 3, for a word that becomes 0x100 less.
static inline void ip_ttl_decrement(uint8_t *ip, uint8_t version) {
	uint32_t sum;

	if (version == 6) {
		ip[7]--;
		return;
	}
	ip[8]--;
	sum = ip_load16(ip + 10) + 0x100u;
	ip_store16(ip + 10, (uint16_t)(sum + (sum >= 0xffff)));
}

// Is the packet what most are, IPv4 without options and no fragment, and as long as it says? Fills
// info as ip_parse does. The checksum is not looked at. When it is not, info is not touched, and
// ip_parse says what it is.
static inline bool ip4_parse_plain(const uint8_t *data, size_t len, struct ip_info *info) {
	uint64_t head;
	uint16_t total;

	if (len < IP4_HEADER)
		return false;
	__builtin_memcpy(&head, data, sizeof(head));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	head = __builtin_bswap64(head);
#endif
	// version and header length, more fragments and offset: one comparison
	if ((head & UINT64_C(0xff00000000003fff)) != UINT64_C(0x4500000000000000))
		return false;
	total = (uint16_t)(head >> 32);
	if (total < IP4_HEADER || total > len)
		return false;
	info->version = 4;
	info->proto = data[9];
	info->ttl = data[8];
	info->dont_fragment = (head & 0x4000) != 0;
	info->more_fragments = false;
	info->header_len = IP4_HEADER;
	info->total_len = total;
	info->fragment_offset = 0;
	info->fragment_header = 0;
	return true;
}

// The checksum of an IPv4 header without options.
static inline bool ip4_checksum_good(const uint8_t *data) {
	uint64_t a, b, sum;
	uint32_t c;

	__builtin_memcpy(&a, data, 8);
	__builtin_memcpy(&b, data + 8, 8);
	__builtin_memcpy(&c, data + 16, 4);
	sum = (a >> 32) + (uint32_t)a + (b >> 32) + (uint32_t)b + c;
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

// ip_parse, quick for what most packets are.
static inline __attribute__((always_inline)) enum ip_status ip_parse_quick(
	const uint8_t *data, size_t len, bool verify, struct ip_info *info) {
	struct ip_info other; // its address is taken, so that info may live in registers
	enum ip_status status;

	if (__builtin_expect(ip4_parse_plain(data, len, info), 1))
		return verify && !ip4_checksum_good(data) ? IP_BAD_CHECKSUM : IP_OK;
	status = ip_parse(data, len, verify, &other);
	if (status == IP_OK)
		*info = other;
	return status;
}

// ip_is_forwardable for IPv4, host byte order.
static inline bool ip4_is_forwardable(uint32_t address) {
	uint32_t net = address >> 24;

	return net != 0 && net != 127 && net < 224 && address >> 16 != 0xa9fe;
}
