// SPDX-License-Identifier: GPL-3.0-or-later
// What clients send over DTLS, and forgers in their name: what is let in, what is counted and dropped,
// and what is left to the control plane.
#include <arpa/inet.h>
#include <unistd.h>

#include "dataplane/abi/punt.h"
#include "dataplane/ctl/count.h"
#include "dataplane/ctl/punt.h"
#include "dataplane/proto/ip.h"
#include "tests/unit/tunnel_fixture.h"

static void test_data_in(void **state) {
	for (uint8_t cipher = ABI_AES_128_GCM; cipher <= ABI_CHACHA20_POLY1305; cipher++) {
		struct client c = client_new(2, cipher);
		struct dp_session *s = dp_session_get(c.sid);
		uint8_t text[1500];
		uint16_t n = inner(text, 2, 1400);

		COUNTED(dtls_rx, 1, decode(sealed(&c, text, n)));
		assert_int_equal(to_l3.n, 1);
		assert_int_equal(to_l3.m[0]->data_len, 1400);
		assert_memory_equal(rte_pktmbuf_mtod(to_l3.m[0], void *), text + 1, 1400);
		assert_ptr_equal(dp_pkt(to_l3.m[0])->session, s);
		assert_int_equal(s->stats->rx_packets, 1);
		assert_int_equal(s->stats->rx_bytes, 1400);
		assert_int_equal(nb_events, 1);
		assert_int_equal(events[0].type, ABI_EVT_DTLS_UP);
		assert_int_equal(atomic_load(&s->tx_channel), 2);
		client_end(&c);
	}
}

static void test_refused(void **state) {
	struct client c = client_new(4, ABI_AES_256_GCM);
	uint8_t text[256];
	uint16_t n = inner(text, 4, 100);
	struct rte_mbuf *m = sealed(&c, text, n), *copies[3];

	for (unsigned i = 0; i < 3; i++) {
		copies[i] = rte_pktmbuf_copy(m, dp_mbuf_pool, 0, UINT32_MAX);
		*dp_pkt(copies[i]) = *dp_pkt(m);
	}
	rte_pktmbuf_mtod(copies[0], uint8_t *)[40] ^= 1;
	COUNTED(drop_dtls_auth, 1, decode(copies[0]));
	decode(m);
	// once more in a later burst, and twice in one
	COUNTED(drop_dtls_replay, 1, decode(copies[1]));
	assert_int_equal(to_l3.n, 1);
	rte_pktmbuf_free(copies[2]);
	m = sealed(&c, text, n);
	copies[0] = m;
	copies[1] = rte_pktmbuf_copy(m, dp_mbuf_pool, 0, UINT32_MAX);
	*dp_pkt(copies[1]) = *dp_pkt(m);
	COUNTED(drop_dtls_replay, 1, run(TO_DECODE, copies, 2));
	assert_int_equal(to_l3.n, 2);
	// somebody else's source address; a length beyond the packet; not IP at all
	n = inner(text, 5, 100);
	COUNTED(drop_source, 1, decode(sealed(&c, text, n)));
	n = inner(text, 4, 100);
	COUNTED(drop_inner_bad, 1, decode(sealed(&c, text, (uint16_t)(n - 1))));
	text[1] = 0x15;
	COUNTED(drop_inner_bad, 1, decode(sealed(&c, text, n)));
	text[0] = DP_FRAME_COMPRESSED;
	COUNTED(drop_dtls_type, 1, decode(sealed(&c, text, n)));
	// link-local is not the session's address
	memset(text, 0, sizeof(text));
	text[1] = 0x60;
	text[9] = 0xfe;
	text[10] = 0x80;
	COUNTED(drop_source, 1, decode(sealed(&c, text, 41)));
	// another epoch, not a record, nobody's
	m = sealed(&c, text, n);
	rte_pktmbuf_mtod(m, uint8_t *)[4] = 2;
	COUNTED(drop_dtls_epoch, 1, decode(m));
	m = sealed(&c, text, n);
	rte_pktmbuf_trim(m, 1);
	COUNTED(drop_dtls_bad, 1, decode(m));
	m = sealed(&c, text, n);
	dp_pkt(m)->tuple.remote = v4(192, 0, 2, 1);
	COUNTED(drop_dtls_unknown, 1, decode(m));
	assert_int_equal(to_l3.n, 2);
	client_end(&c);
}

static void test_nat_moves(void **state) {
	struct client c = client_new(12, ABI_AES_128_GCM), d = client_new(14, ABI_AES_256_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	uint8_t text[256];
	uint16_t n = inner(text, 12, 100);
	struct rte_mbuf *m, *late;
	uint64_t dropped;

	decode(sealed(&c, text, n));
	late = sealed(&c, text, n); // from the old port, arrives last
	nb_events = 0;
	c.tuple.remote_port = htons(40000);
	m = sealed(&c, text, n);
	rte_pktmbuf_mtod(m, uint8_t *)[50] ^= 1;
	COUNTED(drop_dtls_auth, 1, decode(m));
	assert_int_equal(nb_events, 0);
	COUNTED(dtls_moved, 1, decode(sealed(&c, text, n)));
	assert_int_equal(events[0].type, ABI_EVT_DTLS_MOVED);
	assert_int_equal(events[0].tuple.remote_port, htons(40000));
	assert_memory_equal(&atomic_load(&s->dtls)->tuple, &c.tuple, sizeof(c.tuple));
	// before and after the control thread has told the hash
	COUNTED(dtls_moved, 0, decode(sealed(&c, text, n)));
	assert_int_equal(dp_session_tuple_set(s, &events[0].tuple), 0);
	COUNTED(dtls_moved, 0, decode(sealed(&c, text, n)));
	// an old record does not take it back
	COUNTED(dtls_moved, 0, decode(late));
	assert_memory_equal(&atomic_load(&s->dtls)->tuple, &c.tuple, sizeof(c.tuple));
	assert_int_equal(to_l3.n, 5);
	// forged ones: bounded, then not even tried
	dropped = counter(ABI_C_drop_roam_rate);
	for (unsigned i = 0; i < 1000; i++) {
		m = sealed(&c, text, n);
		dp_pkt(m)->tuple.remote_port = htons((uint16_t)(50000 + i));
		rte_pktmbuf_mtod(m, uint8_t *)[50] ^= 1;
		decode(m);
	}
	assert_true(counter(ABI_C_drop_roam_rate) - dropped > 500);
	COUNTED(dtls_rx, 1, decode(sealed(&c, text, n))); // the real one goes on
	client_end(&d);
	client_end(&c);
}

// The record is the client's; whether its addresses are, only the UDP checksum says.
static struct rte_mbuf *summed(struct client *c, const void *text, uint16_t n, uint16_t damage) {
	struct rte_mbuf *m = sealed(c, text, n);
	uint16_t len = (uint16_t)(m->data_len + UDP_HEADER);
	uint8_t *udp = (uint8_t *)rte_pktmbuf_prepend(m, UDP_HEADER);
	uint32_t sum = IP_PROTO_UDP + len;

	memcpy(udp, &c->tuple.remote_port, 2);
	memcpy(udp + 2, &c->tuple.local_port, 2);
	ip_store16(udp + 4, len);
	ip_store16(udp + 6, 0);
	sum = ip_sum(c->tuple.remote.bytes + 12, 4, ip_sum(c->tuple.local.bytes + 12, 4, sum));
	ip_store16(udp + 6, (uint16_t)(ip_sum_finish(ip_sum(udp, len, sum)) + damage));
	rte_pktmbuf_adj(m, UDP_HEADER);
	dp_pkt(m)->unsummed = 1;
	return m;
}

static void test_damaged_address(void **state) {
	struct client c = client_new(30, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	uint8_t text[256], *field;
	uint16_t n = inner(text, 30, 101);
	struct rte_mbuf *m;

	decode(sealed(&c, text, n));
	c.tuple.remote_port = htons(40002);
	COUNTED(drop_udp_bad, 1, decode(summed(&c, text, n, 1)));
	assert_memory_not_equal(&atomic_load(&s->dtls)->tuple, &c.tuple, sizeof(c.tuple));
	assert_int_equal(to_l3.n, 1);
	COUNTED(dtls_moved, 1, decode(summed(&c, text, n, 0)));
	assert_memory_equal(&atomic_load(&s->dtls)->tuple, &c.tuple, sizeof(c.tuple));
	// on its way to where it is known already: its record is proof enough
	COUNTED(drop_udp_bad, 0, decode(summed(&c, text, n, 1)));
	// none (IPv4); and that of the pseudo header alone, which a NIC would have completed
	c.tuple.remote_port = htons(40003);
	m = summed(&c, text, n, 0);
	ip_store16(rte_pktmbuf_mtod(m, uint8_t *) - 2, 0);
	COUNTED(dtls_moved, 1, decode(m));
	c.tuple.remote_port = htons(40004);
	m = summed(&c, text, n, 0);
	field = rte_pktmbuf_mtod(m, uint8_t *) - 2;
	ip_store16(field,
		(uint16_t)~ip_sum_finish(ip_sum(c.tuple.remote.bytes + 12, 4,
			ip_sum(c.tuple.local.bytes + 12, 4,
				IP_PROTO_UDP + UDP_HEADER + m->data_len))));
	COUNTED(dtls_moved, 1, decode(m));
	assert_int_equal(to_l3.n, 5);
	client_end(&c);
}

static void test_many_records(void **state) {
	struct client c = client_new(16, ABI_AES_128_GCM);
	uint8_t text[256];
	uint16_t n = inner(text, 16, 60);
	struct rte_mbuf *m = datagram(&c.tuple);

	for (unsigned i = 0; i < 3; i++)
		record(&c, m, 23, text, n);
	COUNTED(dtls_rx, 3, decode(m));
	assert_int_equal(to_l3.n, 3);
	m = datagram(&c.tuple);
	for (unsigned i = 0; i < 12; i++)
		record(&c, m, 23, text, n);
	COUNTED(drop_dtls_bad, 1, decode(m));
	assert_int_equal(to_l3.n, 11);
	client_end(&c);
}

static void test_ends(void **state) {
	struct client c = client_new(18, ABI_AES_128_GCM);
	static const uint8_t bye[] = {DP_FRAME_DISCONNECT, 0xb0, 'b', 'y', 'e'};

	decode(sealed(&c, bye, sizeof(bye)));
	assert_int_equal(events[nb_events - 1].type, ABI_EVT_SESSION_END);
	assert_int_equal(events[nb_events - 1].reason, ABI_END_USER);
	COUNTED(drop_stale, 1, decode(sealed(&c, bye, sizeof(bye))));
	client_end(&c);
	c = client_new(18, ABI_AES_128_GCM);
	decode(sealed(&c, bye, 1));
	assert_int_equal(events[nb_events - 1].reason, ABI_END_TEMPORARY);
	client_end(&c);
}

static void test_close_notify(void **state) {
	struct client c = client_new(20, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	struct rte_mbuf *m = datagram(&c.tuple);

	record(&c, m, 21, "\1\0", 2);
	rte_pktmbuf_mtod(m, uint8_t *)[30] ^= 1; // forged: changes nothing
	COUNTED(drop_dtls_auth, 1, decode(m));
	assert_false(atomic_load(&s->dtls)->closed);
	m = datagram(&c.tuple);
	record(&c, m, 21, "\1\0", 2);
	decode(m);
	assert_true(atomic_load(&s->dtls)->closed);
	assert_int_equal(events[nb_events - 1].type, ABI_EVT_DTLS_DOWN);
	client_end(&c);
}

// What overtook a close_notify, or comes with it, does not take the channel up again.
static void test_close_overtaken(void **state) {
	struct client c = client_new(28, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	struct rte_mbuf *burst[2] = {datagram(&c.tuple)};
	struct abi_tuple tuple = c.tuple;
	uint8_t text[256];
	uint16_t n = inner(text, 28, 100);

	decode(sealed(&c, text, n));
	record(&c, burst[0], 21, "\1\0", 2);
	c.tuple.remote_port = htons(40001);
	burst[1] = sealed(&c, text, n);
	nb_events = 0;
	COUNTED(dtls_moved, 0, run(TO_DECODE, burst, 2));
	assert_int_equal(nb_events, 1);
	assert_int_equal(events[0].type, ABI_EVT_DTLS_DOWN);
	assert_false(s->dtls_live);
	assert_memory_equal(&atomic_load(&s->dtls)->tuple, &tuple, sizeof(tuple));
	assert_int_equal(to_l3.n, 2); // it is the client's all the same
	client_end(&c);
}

// A new handshake from the same port: records under the old keys still arrive.
static void test_previous_keys(void **state) {
	struct client c = client_new(22, ABI_AES_128_GCM), old;
	uint8_t text[256];
	uint16_t n = inner(text, 22, 100);

	decode(sealed(&c, text, n));
	old = c;
	client_keys(&c, ABI_AES_256_GCM, 200);
	COUNTED(dtls_rx, 1, decode(sealed(&old, text, n)));
	COUNTED(dtls_rx, 1, decode(sealed(&c, text, n)));
	COUNTED(dtls_rx, 1, decode(sealed(&old, text, n)));
	assert_int_equal(to_l3.n, 4);
	dp_key_free(old.seal);
	dp_key_free(old.open);
	client_end(&c);
}

// Of the control thread.
#define CTL_COUNTED(name, n, what) \
	do { \
		uint64_t *at_ = &ctl_stats()->counters[ABI_C_##name], before_ = *at_; \
		what; \
		assert_int_equal(*at_ - before_, n); \
	} while (0)

static void test_punt(void **state) {
	struct client c = client_new(26, ABI_AES_128_GCM);
	struct abi_tuple stranger = c.tuple;
	static uint8_t hello[] = {22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4};
	struct abi_ring ring, inject, edge;
	struct abi_punt slot;
	struct rte_mbuf *m;
	uint64_t rate;
	int fd;

	fd = abi_ring_create(&ring, "punt", ABI_PUNT_SLOTS, sizeof(struct abi_punt));
	assert_true(fd >= 0);
	assert_int_equal(abi_ring_attach(&edge, fd, ABI_PUNT_SLOTS, sizeof(slot)), 0);
	memset(&inject, 0, sizeof(inject));
	dp_punt_edge(5, &ring, &inject);
	stranger.remote_port = htons(9);
	m = datagram(&stranger);
	memcpy(rte_pktmbuf_append(m, sizeof(hello)), hello, sizeof(hello));
	COUNTED(punt_control, 1, decode(m));
	dp_punt_process();
	assert_int_equal(abi_ring_pop(&edge, &slot, false), 0);
	assert_int_equal(slot.len, sizeof(hello));
	assert_memory_equal(slot.data, hello, sizeof(hello));
	assert_memory_equal(&slot.tuple, &stranger, sizeof(stranger));
	assert_int_equal(slot.known, 0);
	assert_int_equal(slot.sid.generation, 0);
	assert_int_equal(slot.worker, 0);
	// from a session's own address
	m = datagram(&c.tuple);
	memcpy(rte_pktmbuf_append(m, sizeof(hello)), hello, sizeof(hello));
	decode(m);
	dp_punt_process();
	assert_int_equal(abi_ring_pop(&edge, &slot, false), 0);
	assert_int_equal(slot.known, 1);
	assert_int_equal(slot.sid.index, 26);
	// longer than a slot, and when nobody is there
	m = datagram(&stranger);
	memcpy(rte_pktmbuf_append(m, ABI_PUNT_DATA + 1), hello, sizeof(hello));
	rte_pktmbuf_mtod(m, uint8_t *)[11] = (ABI_PUNT_DATA + 1 - 13) >> 8;
	rte_pktmbuf_mtod(m, uint8_t *)[12] = (ABI_PUNT_DATA + 1 - 13) & 0xff;
	decode(m);
	CTL_COUNTED(drop_punt_long, 1, dp_punt_process());
	dp_punt_edge(5, NULL, NULL);
	m = datagram(&stranger);
	memcpy(rte_pktmbuf_append(m, sizeof(hello)), hello, sizeof(hello));
	decode(m);
	CTL_COUNTED(drop_punt_nobody, 1, dp_punt_process());
	dp_punt_edge(5, &ring, &inject);
	// beyond the rate
	rate = counter(ABI_C_drop_punt_rate);
	for (unsigned i = 0; i < 200; i++) {
		m = datagram(&stranger);
		memcpy(rte_pktmbuf_append(m, sizeof(hello)), hello, sizeof(hello));
		decode(m);
	}
	assert_true(counter(ABI_C_drop_punt_rate) - rate >= 90);
	dp_punt_process();
	// what an edge may send: from where the VPN listens, and nothing else
	slot.tuple = stranger;
	assert_true(dp_inject_valid(&slot));
	slot.tuple.local_port = htons(53);
	assert_false(dp_inject_valid(&slot));
	slot.tuple = stranger;
	slot.tuple.local = v4(203, 0, 113, 2);
	assert_false(dp_inject_valid(&slot));
	slot.tuple = stranger;
	slot.tuple.remote_port = 0;
	assert_false(dp_inject_valid(&slot));
	slot.tuple = stranger;
	slot.tuple.remote = v4(255, 255, 255, 255);
	assert_false(dp_inject_valid(&slot));
	slot.tuple.remote = v4(224, 0, 0, 1);
	assert_false(dp_inject_valid(&slot));
	slot.tuple.remote = (struct abi_addr){{0xff, 2}};
	assert_false(dp_inject_valid(&slot));
	slot.tuple.remote = (struct abi_addr){{0x20, 1, 0xd, 0xb8}};
	assert_false(dp_inject_valid(&slot));
	slot.tuple = stranger;
	slot.len = ABI_PUNT_DATA + 1;
	assert_false(dp_inject_valid(&slot));
	dp_punt_edge(5, NULL, NULL);
	abi_ring_detach(&ring);
	abi_ring_detach(&edge);
	close(fd);
	client_end(&c);
}

static void test_rate(void **state) {
	struct client c = client_new(32, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	uint64_t before = counter(ABI_C_drop_rate);
	struct abi_policy policy;
	uint8_t text[1100];
	uint16_t n = inner(text, 32, 1000);

	policy = s->policy;
	policy.rx_bytes_per_s = 4000;
	dp_session_policy_set(s, &policy);
	for (unsigned i = 0; i < 100; i++)
		decode(sealed(&c, text, n));
	assert_true(counter(ABI_C_drop_rate) - before >= 85);
	assert_true(to_l3.n >= 9);
	client_end(&c);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_in),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nat_moves),
		cmocka_unit_test(test_damaged_address),
		cmocka_unit_test(test_many_records),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_close_notify),
		cmocka_unit_test(test_close_overtaken),
		cmocka_unit_test(test_previous_keys),
		cmocka_unit_test(test_punt),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests_name("tunnel_in", tests, tunnel_setup, tunnel_teardown);
}
