// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of super-packets: what is joined is cut into the same packets again, what must not be
// joined is not, and headers that lie are refused.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/proto/gso.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"

#define ALL (GSO_TCP | GSO_UDP)
#define FRAME_MAX 1600u
#define FIN 0x01u
#define SYN 0x02u
#define PSH 0x08u
#define ACK 0x10u
#define CWR 0x80u

struct spec {
	bool v6, tcp;
	uint16_t port; // source port: the flow
	uint16_t len; // of the payload
	uint16_t id;
	uint32_t seq;
	uint8_t flags; // 0: ACK
	uint8_t ttl; // 0: 64
	uint32_t stamp; // of the TCP option
	bool may_fragment; // v4: without DF
};

struct packets {
	uint8_t bytes[GSO_JOIN_MAX][FRAME_MAX];
	struct gso_frame frames[GSO_JOIN_MAX];
	struct gso_group groups[GSO_JOIN_MAX];
	unsigned n;
};

static struct packets p;

static void checksum_write(uint8_t *frame, uint16_t len, const struct spec *s) {
	unsigned at = ETH_HEADER + (s->v6 ? IP6_HEADER : IP4_HEADER);
	uint8_t *field = frame + at + (s->tcp ? 16 : 6);
	uint32_t sum = ip_sum_pseudo(
		frame + ETH_HEADER, s->v6 ? 6 : 4, s->tcp ? IP_PROTO_TCP : IP_PROTO_UDP, len - at);

	ip_store16(field, 0);
	ip_store16(field, ip_sum_finish(ip_sum(frame + at, len - at, sum)));
}

static uint16_t frame_make(uint8_t *out, const struct spec *s) {
	unsigned at = ETH_HEADER + (s->v6 ? IP6_HEADER : IP4_HEADER);
	unsigned header = s->tcp ? 32 : UDP_HEADER;
	uint8_t *ip = out + ETH_HEADER, *upper = out + at;
	uint16_t len = (uint16_t)(at + header + s->len);

	memset(out, 0, at + header);
	memcpy(out, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	ip_store16(out + 12, s->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
	if (s->v6) {
		ip[0] = 0x60;
		ip_store16(ip + 4, (uint16_t)(header + s->len));
		ip[6] = s->tcp ? IP_PROTO_TCP : IP_PROTO_UDP;
		ip[7] = s->ttl != 0 ? s->ttl : 64;
		ip[8] = ip[24] = 0xfd;
		ip[39] = 2;
	} else {
		ip[0] = 0x45;
		ip_store16(ip + 2, (uint16_t)(len - ETH_HEADER));
		ip_store16(ip + 4, s->id);
		ip[6] = s->may_fragment ? 0 : 0x40;
		ip[8] = s->ttl != 0 ? s->ttl : 64;
		ip[9] = s->tcp ? IP_PROTO_TCP : IP_PROTO_UDP;
		memcpy(ip + 12, "\12\0\0\1\12\0\0\2", 8);
		ip4_checksum_write(ip);
	}
	ip_store16(upper, s->port);
	ip_store16(upper + 2, 443);
	if (s->tcp) {
		ip_store32(upper + 4, s->seq);
		ip_store32(upper + 8, 77);
		upper[12] = 8 << 4; // a timestamp option
		upper[13] = s->flags != 0 ? s->flags : ACK;
		ip_store16(upper + 14, 1000);
		memcpy(upper + 20, "\1\1\10\12", 4);
		ip_store32(upper + 24, s->stamp);
	} else {
		ip_store16(upper + 4, (uint16_t)(UDP_HEADER + s->len));
	}
	for (unsigned i = 0; i < s->len; i++)
		upper[header + i] = (uint8_t)(s->seq + i + s->id * 7);
	checksum_write(out, len, s);
	return len;
}

static void add(const struct spec *s) {
	struct gso_frame *f = &p.frames[p.n];

	f->data = p.bytes[p.n];
	f->len = frame_make(p.bytes[p.n++], s);
	f->trusted = false;
}

static unsigned join(void) {
	return gso_join(p.frames, p.n, ALL, p.groups);
}

// The super-packet of a group, as a receiver gets it. Its bytes.
static size_t super(const struct gso_group *g, uint8_t *out, struct virtio_net_hdr *hdr) {
	size_t len = gso_headers(g, p.frames, out, hdr);

	for (unsigned i = g->first; i != GSO_LAST; i = p.frames[i].next) {
		memcpy(out + len, p.frames[i].data + g->payload, p.frames[i].len - g->payload);
		len += p.frames[i].len - g->payload;
	}
	return len;
}

// Cuts the group's super-packet and compares with what was joined.
static void assert_cut_again(const struct gso_group *g) {
	uint8_t *bytes = malloc(GSO_FRAME_MAX), *out = malloc(FRAME_MAX);
	struct virtio_net_hdr hdr;
	struct gso_cut cut;
	size_t len = super(g, bytes, &hdr);
	unsigned n = 0;

	assert_int_equal(gso_cut_begin(&cut, bytes, len, &hdr, FRAME_MAX), 0);
	for (unsigned i = g->first; i != GSO_LAST; i = p.frames[i].next, n++) {
		assert_int_equal(gso_cut_next(&cut, out), p.frames[i].len);
		assert_memory_equal(out, p.frames[i].data, p.frames[i].len);
	}
	assert_int_equal(gso_cut_next(&cut, out), 0);
	assert_int_equal(n, g->count);
	free(bytes);
	free(out);
}

static int setup(void **state) {
	memset(&p, 0, sizeof(p));
	return 0;
}

static void test_joined_and_cut(void **state) {
	for (unsigned kind = 0; kind < 4; kind++) {
		struct spec s = {.v6 = kind & 1, .tcp = kind & 2, .port = 5, .len = 1300};

		p.n = 0;
		for (unsigned i = 0; i < 10; i++) {
			s.id = (uint16_t)(65530 + i);
			s.len = i == 9 ? 17 : 1300;
			s.flags = i == 9 ? ACK | PSH : ACK;
			add(&s);
			s.seq += s.len;
		}
		assert_int_equal(join(), 1);
		assert_int_equal(p.groups[0].count, 10);
		assert_int_equal(p.groups[0].bytes, 9 * 1300 + 17);
		assert_cut_again(&p.groups[0]);
	}
}

static void test_checksum_is_partial(void **state) {
	struct spec s = {.tcp = true, .len = 100};
	uint8_t out[2000];
	struct virtio_net_hdr hdr;

	add(&s);
	s.seq += 100;
	s.id++;
	add(&s);
	assert_int_equal(join(), 1);
	size_t len = super(&p.groups[0], out, &hdr);

	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(hdr.gso_size, 100);
	assert_int_equal(hdr.hdr_len, 14 + 20 + 32);
	assert_int_equal(hdr.csum_start, 34);
	assert_int_equal(hdr.csum_offset, 16);
	// what hardware does: the sum of all from csum_start, the pseudo header's being in the field
	uint16_t check = ip_sum_finish(ip_sum(out + 34, len - 34, 0));

	ip_store16(out + 34 + 16, check);
	assert_int_equal(ip_sum_finish(ip_sum(out + 34, len - 34,
				 ip_sum_pseudo(out + 14, 4, IP_PROTO_TCP, (uint32_t)len - 34))),
		0);
}

// Two TCP segments, the second changed by the caller: are they one group?
static bool two_joined(const struct spec *first, const struct spec *second) {
	p.n = 0;
	add(first);
	add(second);
	return join() == 1;
}

static void test_tcp_rules(void **state) {
	const struct spec a = {.tcp = true, .len = 500, .seq = 1000, .id = 9};
	const struct spec good = {.tcp = true, .len = 500, .seq = 1500, .id = 10};
	struct spec b = good;

	assert_true(two_joined(&a, &b));
	b.id = 4; // with DF it does not matter
	assert_true(two_joined(&a, &b));
	b.seq = 1501; // a hole
	assert_false(two_joined(&a, &b));
	b = good, b.len = 501; // larger than the first
	assert_false(two_joined(&a, &b));
	b = good, b.stamp = 1;
	assert_false(two_joined(&a, &b));
	b = good, b.ttl = 63;
	assert_false(two_joined(&a, &b));
	b = good, b.port = 6;
	assert_false(two_joined(&a, &b));
	for (unsigned flags = 0; flags < 256; flags++) {
		b = good, b.flags = (uint8_t)flags;
		assert_int_equal(two_joined(&a, &b), flags == 0 || (flags & ~PSH) == ACK);
	}
	b = good, b.len = 0; // a bare acknowledgement
	assert_false(two_joined(&a, &b));
	struct spec pushed = a;

	pushed.flags = ACK | PSH;
	assert_false(two_joined(&pushed, &good));
	struct spec x = a, y = good;

	x.may_fragment = y.may_fragment = true;
	assert_true(two_joined(&x, &y));
	y.id = 11; // cutting would give it number 10
	assert_false(two_joined(&x, &y));
	p.frames[0].trusted = p.frames[1].trusted = true; // our own
	assert_int_equal(join(), 1);
}

static void test_udp_rules(void **state) {
	const struct spec a = {.len = 700, .id = 1}, b = {.len = 700, .id = 2};
	struct spec c = {.len = 300, .id = 3};

	p.n = 0;
	add(&a), add(&b), add(&c), add(&a);
	assert_int_equal(join(), 2); // a shorter one ends the group
	assert_int_equal(p.groups[0].count, 3);
	assert_cut_again(&p.groups[0]);
	p.n = 0;
	add(&a), add(&b);
	ip_store16(p.bytes[1] + 34 + 6, 0); // no checksum
	assert_int_equal(join(), 2);
	assert_int_equal(gso_join(p.frames, p.n, GSO_TCP, p.groups), 2);
}

static void test_wrong_checksums_stay_wrong(void **state) {
	struct spec s = {.tcp = true, .len = 50};

	for (unsigned bad = 0; bad < 3; bad++) {
		p.n = 0;
		s.seq = 0;
		for (unsigned i = 0; i < 3; i++) {
			add(&s);
			s.seq += 50;
		}
		p.bytes[bad][100] ^= 1;
		assert_int_equal(join(), bad == 1 ? 3 : 2);
	}
}

static void test_never_joined(void **state) {
	const struct spec s = {.tcp = true, .len = 50};
	struct spec next = s;

	next.seq = 50;
	for (unsigned kind = 0; kind < 6; kind++) {
		p.n = 0;
		add(&s), add(&next);
		switch (kind) {
		case 0:
			p.frames[1].len--; // shorter than it says
			break;
		case 1:
			p.frames[1].len++; // padded
			break;
		case 2:
			p.bytes[1][14 + 6] = 0x20; // a fragment
			break;
		case 3:
			p.bytes[1][14] = 0x46; // options
			break;
		case 4:
			p.bytes[1][34 + 12] = 0xf0; // header beyond the frame's end
			p.frames[1].len = 14 + 20 + 40;
			break;
		case 5:
			p.frames[1].data = NULL;
			break;
		}
		assert_int_equal(join(), 2);
		assert_int_equal(p.groups[0].count, 1);
	}
}

// What may not be joined (here a FIN) is not overtaken by its flow, others' frames may be between.
static void test_order(void **state) {
	struct spec a = {.tcp = true, .len = 10, .port = 1},
		    b = {.tcp = true, .len = 10, .port = 2};
	struct spec fin = a;

	add(&a); // 0
	add(&b); // 1
	a.seq = 10, add(&a); // 2, with 0
	fin.seq = 20, fin.flags = ACK | FIN, add(&fin); // 3
	a.seq = 20, add(&a); // 4: not with 0
	b.seq = 10, add(&b); // 5, with 1
	assert_int_equal(join(), 4);
	assert_int_equal(p.groups[0].first, 0);
	assert_int_equal(p.groups[0].last, 2);
	assert_int_equal(p.groups[1].first, 1);
	assert_int_equal(p.groups[1].last, 5);
	assert_int_equal(p.groups[2].first, 3);
	assert_int_equal(p.groups[3].first, 4);
}

static void test_longest(void **state) {
	for (unsigned kind = 0; kind < 4; kind++) {
		struct spec s = {.v6 = kind & 1, .tcp = kind & 2, .len = 1400};

		p.n = 0;
		for (unsigned i = 0; i < GSO_JOIN_MAX; i++) {
			s.id = (uint16_t)i;
			add(&s);
			s.seq += s.len;
		}
		assert_int_equal(join(), 2);
		assert_int_equal(p.groups[0].count, 46);
		assert_cut_again(&p.groups[0]);
		assert_cut_again(&p.groups[1]);
	}
}

static void test_flags_when_cut(void **state) {
	struct spec s = {
		.tcp = true, .len = 1000, .flags = ACK | FIN | PSH | CWR, .seq = 5, .id = 65535};
	struct virtio_net_hdr hdr = {
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, .gso_size = 400};
	static const uint8_t flags[] = {ACK | CWR, ACK, ACK | FIN | PSH};
	uint8_t in[FRAME_MAX], out[FRAME_MAX];
	size_t len = frame_make(in, &s);
	struct gso_cut cut;

	assert_int_equal(gso_cut_begin(&cut, in, len, &hdr, 500), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct ip_info info;
		size_t part = gso_cut_next(&cut, out);

		assert_int_equal(part, 66 + (i < 2 ? 400 : 200));
		assert_int_equal(ip_parse(out + 14, part - 14, true, &info), IP_OK);
		assert_int_equal(ip_load16(out + 14 + 4), (uint16_t)(65535 + i));
		assert_int_equal(ip_load32(out + 34 + 4), 5 + 400 * i);
		assert_int_equal(out[34 + 13], flags[i]);
	}
	assert_int_equal(gso_cut_next(&cut, out), 0);
}

static void test_vlan_is_cut(void **state) {
	struct spec s = {.len = 1000};
	struct virtio_net_hdr hdr = {.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4, .gso_size = 600};
	uint8_t in[FRAME_MAX], out[FRAME_MAX];
	size_t len = frame_make(in, &s);
	struct gso_cut cut;

	memmove(in + 16, in + 12, len - 12);
	memcpy(in + 12, "\x81\0\0\5", 4);
	assert_int_equal(gso_cut_begin(&cut, in, len + 4, &hdr, FRAME_MAX), 0);
	assert_int_equal(gso_cut_next(&cut, out), 18 + 28 + 600);
	assert_memory_equal(out, in, 18);
	assert_int_equal(gso_cut_next(&cut, out), 18 + 28 + 400);
}

static int begin(const uint8_t *frame, size_t len, uint8_t type, uint16_t size, size_t room) {
	struct virtio_net_hdr hdr = {.gso_type = type, .gso_size = size};
	struct gso_cut cut;

	return gso_cut_begin(&cut, frame, len, &hdr, room);
}

static void test_lies_are_refused(void **state) {
	const uint8_t tcp4 = VIRTIO_NET_HDR_GSO_TCPV4, tcp6 = VIRTIO_NET_HDR_GSO_TCPV6;
	struct spec s = {.tcp = true, .len = 1000};
	uint8_t in[FRAME_MAX];
	uint16_t len = frame_make(in, &s);

	assert_int_equal(begin(in, len, tcp4, 400, FRAME_MAX), 0);
	assert_int_equal(begin(in, len, tcp4, 400, 466), 0);
	assert_int_equal(begin(in, len, tcp4, 400, 465), -EMSGSIZE);
	assert_int_equal(begin(in, len, tcp4, 0, FRAME_MAX), -EINVAL);
	assert_int_equal(begin(in, len, tcp6, 400, FRAME_MAX), -EINVAL);
	assert_int_equal(begin(in, len, VIRTIO_NET_HDR_GSO_UDP_L4, 400, FRAME_MAX), -EINVAL);
	assert_int_equal(begin(in, len, VIRTIO_NET_HDR_GSO_UDP, 400, FRAME_MAX), -EINVAL);
	for (unsigned i = 0; i < len; i++)
		assert_int_equal(begin(in, i, tcp4, 400, FRAME_MAX), -EINVAL);
	in[34 + 12] = 4 << 4;
	assert_int_equal(begin(in, len, tcp4, 400, FRAME_MAX), -EINVAL);
	in[34 + 12] = 8 << 4;
	in[14 + 6] = 0x20; // a fragment
	assert_int_equal(begin(in, len, tcp4, 400, FRAME_MAX), -EINVAL);
	s.len = 0;
	assert_int_equal(begin(in, frame_make(in, &s), tcp4, 400, FRAME_MAX), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_joined_and_cut, setup),
		cmocka_unit_test_setup(test_checksum_is_partial, setup),
		cmocka_unit_test_setup(test_tcp_rules, setup),
		cmocka_unit_test_setup(test_udp_rules, setup),
		cmocka_unit_test_setup(test_wrong_checksums_stay_wrong, setup),
		cmocka_unit_test_setup(test_never_joined, setup),
		cmocka_unit_test_setup(test_order, setup),
		cmocka_unit_test_setup(test_longest, setup),
		cmocka_unit_test_setup(test_flags_when_cut, setup),
		cmocka_unit_test_setup(test_vlan_is_cut, setup),
		cmocka_unit_test_setup(test_lies_are_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
