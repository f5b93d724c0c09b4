// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of the layer-3 codecs: IP, UDP, ICMP, MSS, ARP and ND, and the MTU arithmetic.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "dataplane/abi/mtu.h"
#include "dataplane/proto/icmp.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/mss.h"
#include "dataplane/proto/nd.h"

// A UDP packet, 192.168.0.1:1024 -> 192.168.0.2:443, payload "abcd"; sums worked out by hand:
// IP: 4500+0020+1234+4000+4011+c0a8+0001+c0a8+0002 = 258b8 -> 58ba -> ~ a745
// UDP: c0a8+0001+c0a8+0002+0011+000c + 0400+01bb+000c + 6162+6364 = 24bfd -> 4bff -> ~ b400
static const uint8_t udp4[] = {
	0x45,
	0x00,
	0x00,
	0x20,
	0x12,
	0x34,
	0x40,
	0x00,
	0x40,
	0x11,
	0xa7,
	0x45,
	192,
	168,
	0,
	1,
	192,
	168,
	0,
	2,
	0x04,
	0x00,
	0x01,
	0xbb,
	0x00,
	0x0c,
	0xb4,
	0x00,
	'a',
	'b',
	'c',
	'd',
};

static void test_checksum_vectors(void **state) {
	// RFC 1071, 3: the sum of these is ddf2.
	static const uint8_t rfc1071[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	assert_int_equal((uint16_t)~ip_sum_finish(ip_sum(rfc1071, 8, 0)), 0xddf2);
	assert_int_equal((uint16_t)~ip_sum_finish(ip_sum(rfc1071, 7, 0)), 0xdcfb);
	// RFC 1624, 4: HC dd2f, 5555 becomes 3285: 0000, where equation 1 of RFC 1141 says ffff.
	assert_int_equal(ip_checksum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
}

static void test_parse4(void **state) {
	uint8_t p[sizeof(udp4) + 4];
	struct ip_info info;
	struct udp_info udp;

	memcpy(p, udp4, sizeof(udp4));
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_OK);
	assert_int_equal(info.version, 4);
	assert_int_equal(info.header_len, 20);
	assert_int_equal(info.total_len, 32);
	assert_int_equal(info.ttl, 64);
	assert_true(info.dont_fragment);
	assert_false(ip_is_fragment(&info));
	assert_true(udp_parse(p, &info, true, &udp));
	assert_int_equal(udp.source, htons(1024));
	assert_int_equal(udp.destination, htons(443));
	assert_int_equal(udp.payload, 28);
	assert_int_equal(udp.payload_len, 4);
	p[28] ^= 1;
	assert_false(udp_parse(p, &info, true, &udp));
	assert_true(udp_parse(p, &info, false, &udp));
	p[26] = p[27] = 0; // no checksum
	assert_true(udp_parse(p, &info, true, &udp));
	p[25] = 13; // longer than the packet
	assert_false(udp_parse(p, &info, false, &udp));
	p[25] = 7;
	assert_false(udp_parse(p, &info, false, &udp));
}

static void test_parse4_bad(void **state) {
	uint8_t p[sizeof(udp4)];
	struct ip_info info;

	for (size_t len = 0; len < sizeof(udp4); len++)
		assert_int_not_equal(ip_parse(udp4, len, true, &info), IP_OK);
	memcpy(p, udp4, sizeof(p));
	p[8]--;
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_BAD_CHECKSUM);
	memcpy(p, udp4, sizeof(p));
	p[0] = 0x44;
	assert_int_equal(ip_parse(p, sizeof(p), false, &info), IP_HEADER);
	p[0] = 0x4f; // header longer than the packet
	assert_int_equal(ip_parse(p, sizeof(p), false, &info), IP_HEADER);
	p[0] = 0x55;
	assert_int_equal(ip_parse(p, sizeof(p), false, &info), IP_VERSION);
	p[0] = 0x45;
	p[3] = 19;
	assert_int_equal(ip_parse(p, sizeof(p), false, &info), IP_HEADER);
	p[3] = 32;
	p[6] = 0x1f; // the ping of death
	p[7] = 0xff;
	assert_int_equal(ip_parse(p, sizeof(p), false, &info), IP_HEADER);
}

static void test_parse6(void **state) {
	uint8_t p[40 + 8 + 8 + 8] = {0x60, [5] = 24, [6] = 0, [7] = 9};
	struct ip_info info;

	p[40] = 44; // hop by hop, 8 bytes, then a fragment header, then UDP
	p[48] = 17;
	p[51] = 1; // offset 0, more
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_OK);
	assert_int_equal(info.proto, 17);
	assert_int_equal(info.header_len, 56);
	assert_int_equal(info.fragment_header, 48);
	assert_true(info.more_fragments);
	assert_int_equal(info.ttl, 9);
	p[41] = 9; // the option header is longer than the packet
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_EXTENSIONS);
	p[41] = 0;
	p[48] = 44; // a second fragment header
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_EXTENSIONS);
	p[48] = 0; // of a later fragment nothing is looked into
	p[51] = 8;
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_OK);
	assert_int_equal(info.fragment_offset, 8);
	assert_int_equal(info.header_len, 56);
	assert_int_equal(ip_parse(p, sizeof(p) - 1, true, &info), IP_SHORT);
}

static void test_parse6_endless(void **state) {
	uint8_t p[40 + 16 * 8] = {0x60, [5] = 128, [6] = 60};
	struct ip_info info;

	for (int i = 0; i < 16; i++)
		p[40 + i * 8] = 60;
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_EXTENSIONS);
}

static void test_udp_partial_checksum(void **state) {
	uint8_t p[sizeof(udp4)];
	struct ip_info info;

	memcpy(p, udp4, sizeof(p));
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_OK);
	assert_false(udp_checksum_is_partial(p, &info));
	// c0a8+0001+c0a8+0002+0011+000c = 18170 -> 8171
	ip_store16(p + 26, 0x8171);
	assert_true(udp_checksum_is_partial(p, &info));
	p[31] ^= 1; // the payload is not in it
	assert_true(udp_checksum_is_partial(p, &info));
	ip_store16(p + 26, 0x8170);
	assert_false(udp_checksum_is_partial(p, &info));
}

static void test_udp_write(void **state) {
	uint8_t out[sizeof(udp4)], out6[52];
	struct udp_headers h = {
		.dont_fragment = true,
		.checksum = true,
		.ttl = 64,
		.id = 0x1234,
		.source = udp4 + 12,
		.destination = udp4 + 16,
		.source_port = htons(1024),
		.destination_port = htons(443),
		.payload_len = 4,
	};
	static const uint8_t a[16] = {0x20, 1, [15] = 1}, b[16] = {0x20, 1, [15] = 2};
	struct ip_info info;
	struct udp_info udp;

	memcpy(out + 28, "abcd", 4);
	udp_write_headers(out, &h);
	assert_memory_equal(out, udp4, sizeof(udp4));
	h.v6 = true;
	h.source = a;
	h.destination = b;
	h.dscp = 46;
	memcpy(out6 + 48, "abcd", 4);
	udp_write_headers(out6, &h);
	assert_int_equal(out6[0], 0x6b);
	assert_int_equal(out6[1], 0x80);
	assert_int_equal(ip_parse(out6, 52, true, &info), IP_OK);
	assert_true(udp_parse(out6, &info, true, &udp));
	out6[46] = out6[47] = 0; // a v6 datagram without checksum
	assert_false(udp_parse(out6, &info, false, &udp));
}

static void assert_same(const struct ip_info *a, const struct ip_info *b) {
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->proto, b->proto);
	assert_int_equal(a->ttl, b->ttl);
	assert_int_equal(a->dont_fragment, b->dont_fragment);
	assert_int_equal(a->more_fragments, b->more_fragments);
	assert_int_equal(a->header_len, b->header_len);
	assert_int_equal(a->total_len, b->total_len);
	assert_int_equal(a->fragment_offset, b->fragment_offset);
	assert_int_equal(a->fragment_header, b->fragment_header);
}

// Each bit of a header turned over: the short way says what the long one says.
static void test_parse_quick(void **state) {
	for (unsigned bit = 0; bit < IP4_HEADER * 8; bit++) {
		for (int verify = 0; verify < 2; verify++) {
			struct ip_info info = {0}, quick = {0};
			uint8_t p[sizeof(udp4)];

			memcpy(p, udp4, sizeof(p));
			p[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_equal(ip_parse_quick(p, sizeof(p), verify, &quick),
				ip_parse(p, sizeof(p), verify, &info));
			if (ip_parse(p, sizeof(p), verify, &info) == IP_OK)
				assert_same(&quick, &info);
		}
	}
}

// The checksum after a hop, for each sum there can be, is RFC 1624's.
static void test_ttl_sums(void **state) {
	uint8_t p[IP4_HEADER] = {[8] = 64, [9] = IP_PROTO_UDP};

	for (unsigned sum = 0; sum <= UINT16_MAX; sum++) {
		uint16_t expected = ip_checksum_update(
			(uint16_t)sum, 64 << 8 | IP_PROTO_UDP, 63 << 8 | IP_PROTO_UDP);

		p[8] = 64;
		ip_store16(p + 10, (uint16_t)sum);
		ip_ttl_decrement(p, 4);
		assert_int_equal(p[8], 63);
		assert_int_equal(ip_load16(p + 10), expected);
	}
}

static void test_ttl(void **state) {
	uint8_t p[sizeof(udp4)];
	struct ip_info info;

	memcpy(p, udp4, sizeof(p));
	for (int ttl = 64; ttl > 1; ttl--) {
		ip_ttl_decrement(p, 4);
		assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_OK);
		assert_int_equal(info.ttl, ttl - 1);
	}
}

static void test_forwardable(void **state) {
	static const char *const bad[] = {"0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.5",
		"240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1",
		"::ffff:10.0.0.1"};
	static const char *const good[] = {
		"10.0.0.1", "169.253.0.1", "223.255.255.255", "2001:db8::1", "fd00::1", "fec0::1"};
	uint8_t addr[16];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		bool v6 = strchr(bad[i], ':') != NULL;

		assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, bad[i], addr), 1);
		assert_false(ip_is_forwardable(addr, v6 ? 6 : 4));
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		bool v6 = strchr(good[i], ':') != NULL;

		assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, good[i], addr), 1);
		assert_true(ip_is_forwardable(addr, v6 ? 6 : 4));
	}
}

// A SYN of 40 + options bytes whose checksum is right.
static size_t make_syn(uint8_t *p, bool v6, const uint8_t *options, size_t n) {
	size_t ip = v6 ? 40 : 20, tcp = 20 + n, len = ip + tcp;

	memset(p, 0, len);
	if (v6) {
		p[0] = 0x60;
		ip_store16(p + 4, (uint16_t)tcp);
		p[6] = 6;
		p[8] = p[24] = 0x20;
	} else {
		memcpy(p, udp4, 20);
		p[9] = 6;
		ip_store16(p + 2, (uint16_t)len);
		ip4_checksum_write(p);
	}
	p[ip + 12] = (uint8_t)(tcp / 4 << 4);
	p[ip + 13] = 2;
	memcpy(p + ip + 20, options, n);
	ip_store16(p + ip + 16,
		ip_sum_finish(ip_sum(p + ip, tcp, ip_sum_pseudo(p, v6 ? 6 : 4, 6, (uint32_t)tcp))));
	return len;
}

static void assert_tcp_sum(const uint8_t *p, const struct ip_info *info) {
	uint16_t tcp = info->total_len - info->header_len;

	assert_int_equal(ip_sum_finish(ip_sum(p + info->header_len, tcp,
				 ip_sum_pseudo(p, info->version, 6, tcp))),
		0);
}

static void test_mss(void **state) {
	static const uint8_t even[4] = {2, 4, 0x05, 0xb4}; // 1460
	static const uint8_t odd[8] = {1, 2, 4, 0x05, 0xb4, 1, 1, 1};
	uint8_t p[128];
	struct ip_info info;

	for (int v6 = 0; v6 < 2; v6++) {
		uint16_t mss = 1434 - (v6 ? 60 : 40);
		size_t len = make_syn(p, v6, even, sizeof(even));

		assert_int_equal(ip_parse(p, len, true, &info), IP_OK);
		assert_true(mss_clamp(p, &info, 1434));
		assert_int_equal(ip_load16(p + info.header_len + 22), mss);
		assert_tcp_sum(p, &info);
		assert_false(mss_clamp(p, &info, 1434)); // it fits now
		len = make_syn(p, v6, odd, sizeof(odd));
		assert_int_equal(ip_parse(p, len, true, &info), IP_OK);
		assert_true(mss_clamp(p, &info, 1434));
		assert_int_equal(ip_load16(p + info.header_len + 23), mss);
		assert_tcp_sum(p, &info);
	}
}

static void test_mss_untouched(void **state) {
	static const uint8_t big[4] = {2, 4, 0x23, 0};
	static const uint8_t bad[][4] = {
		{2, 0, 0, 0}, {2, 5, 1, 1}, {3, 1, 0, 0}, {0, 2, 4, 9}, {1, 1, 1, 2}};
	uint8_t p[128], copy[128];
	struct ip_info info;
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		len = make_syn(p, false, bad[i], 4);
		memcpy(copy, p, len);
		assert_int_equal(ip_parse(p, len, true, &info), IP_OK);
		assert_false(mss_clamp(p, &info, 1000));
		assert_memory_equal(p, copy, len);
	}
	len = make_syn(p, false, big, 4);
	assert_int_equal(ip_parse(p, len, true, &info), IP_OK);
	p[33] = 0x10; // an ACK
	assert_false(mss_clamp(p, &info, 1000));
	p[33] = 2;
	p[32] = 0xf0; // a header longer than the segment
	assert_false(mss_clamp(p, &info, 1000));
	p[32] = 0x60;
	info.fragment_offset = 8;
	assert_false(mss_clamp(p, &info, 1000));
}

static void test_icmp_error4(void **state) {
	uint8_t room[28 + sizeof(udp4)], *quote = room + 28;
	static const uint8_t us[4] = {10, 0, 0, 1};
	struct ip_info info;

	memcpy(quote, udp4, sizeof(udp4));
	assert_int_equal(ip_parse(quote, sizeof(udp4), true, &info), IP_OK);
	assert_true(icmp_error_allowed(quote, &info, ICMP_TOO_BIG));
	assert_int_equal(icmp_error_quote_len(&info), 32);
	icmp_error_write(quote, 32, 4, ICMP_TOO_BIG, 1434, us);
	assert_int_equal(ip_parse(room, sizeof(room), true, &info), IP_OK);
	assert_int_equal(info.total_len, 60);
	assert_int_equal(info.proto, 1);
	assert_memory_equal(room + 12, us, 4);
	assert_memory_equal(room + 16, udp4 + 12, 4);
	assert_int_equal(room[20], 3);
	assert_int_equal(room[21], 4);
	assert_int_equal(ip_load16(room + 26), 1434);
	assert_int_equal(ip_sum_finish(ip_sum(room + 20, 40, 0)), 0);
	// Never about an error, a later fragment, or to and about groups.
	assert_false(icmp_error_allowed(room, &info, ICMP_TIME_EXCEEDED));
	room[20] = 8;
	assert_true(icmp_error_allowed(room, &info, ICMP_TIME_EXCEEDED));
	info.fragment_offset = 8;
	assert_false(icmp_error_allowed(room, &info, ICMP_TIME_EXCEEDED));
	info.fragment_offset = 0;
	room[16] = 224;
	assert_false(icmp_error_allowed(room, &info, ICMP_TIME_EXCEEDED));
	room[16] = 10;
	room[12] = 0;
	assert_false(icmp_error_allowed(room, &info, ICMP_TIME_EXCEEDED));
}

static void test_icmp_error6(void **state) {
	uint8_t room[48 + 1500] = {0}, *quote = room + 48;
	static const uint8_t us[16] = {0xfd, [15] = 1};
	struct ip_info info;

	quote[0] = 0x60;
	ip_store16(quote + 4, 1460);
	quote[6] = 17;
	quote[8] = quote[24] = 0xfd;
	quote[23] = 7;
	assert_int_equal(ip_parse(quote, 1500, true, &info), IP_OK);
	assert_int_equal(icmp_error_quote_len(&info), 1232);
	assert_true(icmp_error_allowed(quote, &info, ICMP_TOO_BIG));
	quote[24] = 0xff; // RFC 4443 2.4 e.3
	assert_true(icmp_error_allowed(quote, &info, ICMP_TOO_BIG));
	assert_false(icmp_error_allowed(quote, &info, ICMP_TIME_EXCEEDED));
	icmp_error_write(quote, 1232, 6, ICMP_HOST_UNREACHABLE, 0, us);
	assert_int_equal(ip_parse(room, 1280, true, &info), IP_OK);
	assert_int_equal(info.total_len, 1280);
	assert_int_equal(room[40], 1);
	assert_int_equal(room[41], 3);
	assert_int_equal(room[39], 7); // to the quoted source
	assert_int_equal(
		ip_sum_finish(ip_sum(room + 40, 1240, ip_sum_pseudo(room, 6, 58, 1240))), 0);
	assert_false(icmp_error_allowed(room, &info, ICMP_TOO_BIG));
}

static void test_echo(void **state) {
	uint8_t p[20 + 12];
	struct ip_info info;

	memcpy(p, udp4, 20);
	p[9] = 1;
	p[8] = 3;
	ip4_checksum_write(p);
	memcpy(p + 20, (uint8_t[]){8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, 12);
	ip_store16(p + 22, ip_sum_finish(ip_sum(p + 20, 12, 0)));
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_OK);
	p[31] ^= 1;
	assert_false(icmp_echo_reply(p, &info));
	p[31] ^= 1;
	assert_true(icmp_echo_reply(p, &info));
	assert_int_equal(p[20], 0);
	assert_int_equal(ip_sum_finish(ip_sum(p + 20, 12, 0)), 0);
	assert_int_equal(ip_parse(p, sizeof(p), true, &info), IP_OK);
	assert_int_equal(info.ttl, 64);
	assert_memory_equal(p + 12, udp4 + 16, 4);
	assert_false(icmp_echo_reply(p, &info));
}

static void test_arp(void **state) {
	uint8_t f[ARP_FRAME] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6,
		4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9};
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	uint8_t out[ARP_FRAME];
	struct nd_request r;

	for (size_t len = 0; len < sizeof(f); len++)
		assert_false(arp_parse(f, len, &r));
	assert_true(arp_parse(f, sizeof(f), &r));
	assert_false(r.probe);
	assert_int_equal(nd_answer_write(out, &r, mac), ARP_FRAME);
	assert_memory_equal(out, f + 6, 6);
	assert_memory_equal(out + 6, mac, 6);
	assert_int_equal(out[21], 2);
	assert_memory_equal(out + 22, mac, 6);
	assert_memory_equal(out + 28, f + 38, 4);
	assert_memory_equal(out + 32, f + 22, 10);
	assert_false(arp_parse(out, sizeof(out), &r)); // an answer is no request
	f[22] = 3; // a group's address
	assert_false(arp_parse(f, sizeof(f), &r));
	f[22] = 2;
	memcpy(f + 28, f + 38, 4); // gratuitous
	assert_false(arp_parse(f, sizeof(f), &r));
}

static size_t make_solicit(uint8_t *f, bool probe) {
	size_t nd_len = probe ? 24 : 32;
	uint8_t *ip = f + 14, *nd = ip + 40;

	memset(f, 0, 14 + 40 + 32);
	memcpy(f, (uint8_t[]){0x33, 0x33, 0xff, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x86, 0xdd}, 14);
	ip[0] = 0x60;
	ip_store16(ip + 4, (uint16_t)nd_len);
	ip[6] = 58;
	ip[7] = 255;
	if (!probe) {
		ip[8] = 0xfd;
		ip[23] = 1;
	}
	memcpy(ip + 24, (uint8_t[]){0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 9}, 16);
	nd[0] = 135;
	nd[8] = 0xfd;
	nd[23] = 9;
	if (!probe)
		memcpy(nd + 24, (uint8_t[]){1, 1, 2, 0, 0, 0, 0, 7}, 8);
	ip_store16(nd + 2,
		ip_sum_finish(ip_sum(nd, nd_len, ip_sum_pseudo(ip, 6, 58, (uint32_t)nd_len))));
	return 14 + 40 + nd_len;
}

static void test_nd(void **state) {
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	uint8_t f[14 + 40 + 32], out[ND_ADVERT_FRAME];
	struct nd_request r;
	struct ip_info info;
	size_t len = make_solicit(f, false);

	for (size_t n = 0; n < len; n++)
		assert_false(nd_parse(f, n, &r));
	assert_true(nd_parse(f, len, &r));
	assert_int_equal(r.mac[5], 7);
	assert_int_equal(nd_answer_write(out, &r, mac), ND_ADVERT_FRAME);
	assert_int_equal(ip_parse(out + 14, 72, true, &info), IP_OK);
	assert_int_equal(out[54], 136);
	assert_int_equal(out[58], 0x40);
	assert_memory_equal(out, r.mac, 6);
	assert_memory_equal(out + 14 + 24, f + 14 + 8, 16);
	assert_memory_equal(out + 14 + 40 + 26, mac, 6);
	assert_int_equal(
		ip_sum_finish(ip_sum(out + 54, 32, ip_sum_pseudo(out + 14, 6, 58, 32))), 0);
	f[14 + 7] = 254;
	assert_false(nd_parse(f, len, &r));
	f[14 + 7] = 255;
	f[14 + 40 + 25] = 0; // an option of no length
	assert_false(nd_parse(f, len, &r));
	len = make_solicit(f, true);
	assert_true(nd_parse(f, len, &r));
	assert_true(r.probe);
	nd_answer_write(out, &r, mac);
	assert_int_equal(out[0], 0x33);
	assert_int_equal(out[58], 0);
}

static void test_mtu(void **state) {
	assert_int_equal(abi_mtu_dtls(1500, false, ABI_AES_256_GCM), 1434); // captured
	assert_int_equal(abi_mtu_dtls(1500, true, ABI_AES_128_GCM), 1414);
	assert_int_equal(abi_mtu_dtls(1500, false, ABI_CHACHA20_POLY1305), 1442);
	assert_int_equal(abi_mtu_dtls(60, false, ABI_AES_128_GCM), 0);
	assert_int_equal(abi_mtu_dtls(67, false, ABI_AES_128_GCM), 1);
	assert_int_equal(abi_mtu_dtls(100000, false, ABI_AES_128_GCM), 65535 - 66);
	assert_int_equal(abi_mtu_dtls(1500, false, (enum abi_cipher)9), 0);
	assert_int_equal(abi_mtu_tls(1500, false, ABI_TLS13, ABI_AES_256_GCM), 1500 - 52 - 30);
	assert_int_equal(abi_mtu_tls(1500, true, ABI_TLS12, ABI_AES_256_GCM), 1500 - 72 - 37);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum_vectors),
		cmocka_unit_test(test_parse4),
		cmocka_unit_test(test_parse4_bad),
		cmocka_unit_test(test_parse6),
		cmocka_unit_test(test_parse6_endless),
		cmocka_unit_test(test_udp_partial_checksum),
		cmocka_unit_test(test_udp_write),
		cmocka_unit_test(test_parse_quick),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_ttl_sums),
		cmocka_unit_test(test_forwardable),
		cmocka_unit_test(test_mss),
		cmocka_unit_test(test_mss_untouched),
		cmocka_unit_test(test_icmp_error4),
		cmocka_unit_test(test_icmp_error6),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_arp),
		cmocka_unit_test(test_nd),
		cmocka_unit_test(test_mtu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
