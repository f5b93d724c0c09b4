// SPDX-License-Identifier: GPL-3.0-or-later
// What the dataplane sends to clients: packets, answers and probes, over which channel, and when the
// timers say that a client has gone.
#include <rte_cycles.h>

#include "dataplane/proto/dtls12.h"
#include "dataplane/table/session_timers.h"
#include "tests/unit/tunnel_fixture.h"

// What the client reads out of a record of the server's.
static uint16_t client_open(struct client *c, struct rte_mbuf *m, uint8_t *text) {
	const uint8_t *src = rte_pktmbuf_mtod(m, uint8_t *), *end = src + m->data_len;
	struct dp_crypt op = {.m = m, .key = c->open, .aad_len = 13};
	struct dtls12_record r;
	int len;

	assert_int_equal(dtls12_parse(&src, end, &r), 0);
	assert_ptr_equal(src, end);
	len = dtls12_open(&r, c->cipher, c->iv, op.nonce, op.aad);
	assert_true(len > 0);
	op.offset = (uint16_t)(13 + dtls12_explicit_len(c->cipher));
	op.len = (uint16_t)len;
	dp_crypto_run(0, &op, 1);
	assert_true(op.ok);
	memcpy(text, rte_pktmbuf_mtod_offset(m, void *, op.offset), (size_t)len);
	return (uint16_t)len;
}

static void test_probe(void **state) {
	struct client c = client_new(6, ABI_CHACHA20_POLY1305);
	uint8_t text[1400] = {DP_FRAME_DPD_REQ, 1, 2, 3, 4}, back[1500];

	COUNTED(dpd_answered, 1, decode(sealed(&c, text, 1392)));
	assert_int_equal(to_outer.n, 1);
	assert_memory_equal(&dp_pkt(to_outer.m[0])->dtls->tuple, &c.tuple, sizeof(c.tuple));
	assert_int_equal(client_open(&c, to_outer.m[0], back), 1392);
	text[0] = DP_FRAME_DPD_RESP;
	assert_memory_equal(back, text, 1392);
	client_end(&c);
}

static struct rte_mbuf *inner_for(struct client *c, uint16_t len) {
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_mbuf_pool);
	uint8_t text[1600];

	inner(text, 99, len);
	memcpy(rte_pktmbuf_append(m, len), text + 1, len);
	memset(dp_pkt(m), 0xa5, sizeof(*dp_pkt(m)));
	dp_pkt(m)->sid = c->sid;
	dp_pkt(m)->session = dp_session_get(c->sid);
	return m;
}

static void test_data_out(void **state) {
	struct client c = client_new(8, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	struct rte_mbuf *pkts[40];
	uint8_t back[1600];

	pkts[0] = inner_for(&c, 100);
	COUNTED(drop_no_channel, 1, run(TO_OUT, pkts, 1));
	back[0] = DP_FRAME_KEEPALIVE;
	decode(sealed(&c, back, 1)); // the client is there
	for (unsigned i = 0; i < 40; i++)
		pkts[i] = inner_for(&c, (uint16_t)(40 + i * 30));
	COUNTED(dtls_tx, 40, run(TO_OUT, pkts, 40));
	assert_int_equal(to_outer.n, 40);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(client_open(&c, to_outer.m[i], back), 41 + i * 30);
		assert_int_equal(back[0], DP_FRAME_DATA);
		assert_int_equal(back[1], 0x45);
	}
	assert_int_equal(s->stats->tx_packets, 40);
	// numbers of records: each once
	assert_int_equal(atomic_load(&s->dtls)->tx_seq, 41);
	client_end(&c);
}

static void test_sequence_ends(void **state) {
	struct client c = client_new(10, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	uint8_t text[1] = {DP_FRAME_KEEPALIVE}, back[200];
	struct rte_mbuf *pkts[3];

	decode(sealed(&c, text, 1));
	nb_events = 0;
	atomic_load(&s->dtls)->tx_seq = DTLS12_SEQ_MAX;
	for (unsigned i = 0; i < 3; i++)
		pkts[i] = inner_for(&c, 100);
	COUNTED(drop_seq_exhausted, 2, run(TO_OUT, pkts, 3));
	assert_int_equal(to_outer.n, 1);
	assert_int_equal(client_open(&c, to_outer.m[0], back), 101);
	assert_int_equal(nb_events, 2);
	assert_int_equal(events[0].type, ABI_EVT_REKEY);
	assert_int_equal(events[1].type, ABI_EVT_DTLS_DOWN);
	assert_int_equal(events[1].reason, ABI_END_SEQ_EXHAUSTED);
	pkts[0] = inner_for(&c, 100);
	COUNTED(drop_no_channel, 1, run(TO_OUT, pkts, 1));
	client_end(&c);
}

static void test_other_owner(void **state) {
	struct client c = client_new(3, ABI_AES_128_GCM);
	uint8_t text[256];
	uint16_t n = inner(text, 3, 100);
	struct rte_mbuf *m;

	COUNTED(dtls_rx, 0, decode(sealed(&c, text, n)));
	assert_int_equal(to_other.n, 1);
	assert_int_equal(dp_pkt(to_other.m[0])->resume, DP_RESUME_DTLS_DECODE);
	m = inner_for(&c, 80);
	run(TO_OUT, &m, 1);
	assert_int_equal(to_other.n, 2);
	assert_int_equal(dp_pkt(to_other.m[1])->resume, DP_RESUME_TUNNEL_OUT);
	// a packet of a session that has ended meanwhile
	m = inner_for(&c, 80);
	dp_session_del(c.sid, ABI_END_SERVER);
	COUNTED(drop_stale, 1, run(TO_OUT, &m, 1));
	client_end(&c);
}

// Own and others' datagrams in one burst: each way in order.
static void test_owners_mixed(void **state) {
	struct client theirs = client_new(3, ABI_AES_128_GCM), ours;
	struct rte_mbuf *pkts[40];
	uint8_t text[256];

	ours = client_new(4, ABI_AES_128_GCM);
	for (unsigned i = 0; i < RTE_DIM(pkts); i++) {
		struct client *c = i % 3 == 0 ? &theirs : &ours;

		pkts[i] = sealed(c, text, inner(text, i % 3 == 0 ? 3 : 4, (uint16_t)(100 + i)));
	}
	COUNTED(dtls_rx, 26, run(TO_DECODE, pkts, RTE_DIM(pkts)));
	assert_int_equal(to_other.n, 14);
	assert_int_equal(to_l3.n, 26);
	for (unsigned i = 0; i < 14; i++)
		assert_ptr_equal(to_other.m[i], pkts[3 * i]);
	for (unsigned i = 0; i < 26; i++)
		assert_ptr_equal(to_l3.m[i], pkts[i + i / 2 + 1]);
	client_end(&theirs);
	client_end(&ours);
}

// What another worker has found out is not looked up again: here it could not be.
static void test_handed_over(void **state) {
	struct client c = client_new(4, ABI_AES_128_GCM);
	struct rte_mbuf *m;
	uint8_t text[256];

	m = sealed(&c, text, inner(text, 4, 100));
	dp_pkt(m)->tuple.remote = v4(9, 9, 9, 9);
	COUNTED(drop_dtls_unknown, 1, decode(m));
	m = sealed(&c, text, inner(text, 4, 100));
	dp_pkt(m)->tuple.remote = v4(9, 9, 9, 9);
	dp_pkt(m)->session = dp_session_get(c.sid);
	COUNTED(dtls_rx, 1, decode(m));
	assert_int_equal(to_l3.n, 1);
	client_end(&c);
}

static void test_stream_frames(void **state) {
	struct client c = client_new(24, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	uint8_t text[256];
	struct rte_mbuf *m;

	atomic_store(&s->stream, (struct dp_stream *)&c); // never looked into
	text[0] = DP_FRAME_KEEPALIVE;
	decode(sealed(&c, text, 1));
	assert_int_equal(atomic_load(&s->tx_channel), 2);
	// a probe in the stream is answered there and does not take the traffic with it
	m = inner_for(&c, 40);
	dp_pkt(m)->frame = DP_FRAME_DPD_REQ;
	dp_pkt(m)->from_stream = 1;
	run(TO_IN, &m, 1);
	assert_int_equal(to_stream.n, 1);
	assert_int_equal(dp_pkt(to_stream.m[0])->frame, DP_FRAME_DPD_RESP);
	assert_int_equal(to_stream.m[0]->data_len, 40);
	assert_int_equal(atomic_load(&s->tx_channel), 2);
	// data does; and the next authentic DTLS record takes it back
	m = inner_for(&c, 40);
	rte_pktmbuf_mtod(m, uint8_t *)[15] = 24;
	dp_pkt(m)->frame = DP_FRAME_DATA;
	dp_pkt(m)->from_stream = 1;
	run(TO_IN, &m, 1);
	assert_int_equal(to_l3.n, 1);
	m = inner_for(&c, 40);
	run(TO_OUT, &m, 1);
	assert_int_equal(to_stream.n, 2);
	assert_int_equal(to_outer.n, 0);
	decode(sealed(&c, text, 1));
	m = inner_for(&c, 40);
	run(TO_OUT, &m, 1);
	assert_int_equal(to_outer.n, 1);
	atomic_store(&s->stream, NULL);
	client_end(&c);
}

// Time passes by moving the stamps back.
static void age(struct dp_session *s, uint64_t seconds) {
	uint64_t d = seconds * dp_tsc_hz;

	s->last_rx -= d;
	s->last_dtls_rx -= d;
	s->last_tx -= d;
	s->last_data -= d;
	s->last_probe -= d;
	s->started -= d;
}

static void timers(void) {
	// the whole table, whatever slice comes next
	for (unsigned i = 0; i < 100; i++)
		dp_session_timers(dp_self, rte_rdtsc());
}

static unsigned inbox_take(struct rte_mbuf **out) {
	return rte_ring_sc_dequeue_burst(dp_self->inbox, (void **)out, 8, NULL);
}

static void test_timers(void **state) {
	struct client c = client_new(28, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	uint8_t text[1] = {DP_FRAME_KEEPALIVE};
	struct rte_mbuf *out[8];

	s->policy.dpd_s = 10;
	s->policy.keepalive_s = 8;
	decode(sealed(&c, text, 1));
	timers();
	assert_int_equal(inbox_take(out), 0);
	age(s, 9);
	timers();
	assert_int_equal(inbox_take(out), 1);
	assert_int_equal(dp_pkt(out[0])->frame, DP_FRAME_KEEPALIVE);
	run(TO_ENCODE, out, 1);
	assert_int_equal(to_outer.n, 1);
	forget(&to_outer);
	age(s, 12); // 21 s of silence: ask, once
	timers();
	assert_int_equal(inbox_take(out), 1);
	assert_int_equal(dp_pkt(out[0])->frame, DP_FRAME_DPD_REQ);
	rte_pktmbuf_free(out[0]);
	timers();
	assert_int_equal(inbox_take(out), 0);
	// the stream lives, DTLS does not: fall back
	nb_events = 0;
	atomic_store(&s->stream, (struct dp_stream *)&c);
	age(s, 8);
	s->last_rx = s->last_tx = rte_rdtsc();
	s->last_dtls_rx -= 5 * dp_tsc_hz;
	timers();
	assert_int_equal(nb_events, 1);
	assert_int_equal(events[0].type, ABI_EVT_DTLS_DOWN);
	assert_int_equal(events[0].reason, ABI_END_DPD);
	assert_int_equal(atomic_load(&s->tx_channel), 1);
	// and comes back when the client does
	decode(sealed(&c, text, 1));
	assert_int_equal(atomic_load(&s->tx_channel), 2);
	assert_int_equal(events[1].type, ABI_EVT_DTLS_UP);
	// everything silent
	nb_events = 0;
	age(s, 31);
	timers();
	assert_int_equal(events[0].type, ABI_EVT_SESSION_END);
	assert_int_equal(events[0].reason, ABI_END_DPD);
	atomic_store(&s->stream, NULL);
	forget(&to_stream);
	while (inbox_take(out) == 1)
		rte_pktmbuf_free(out[0]);
	client_end(&c);
}

static void test_timeouts(void **state) {
	struct client c = client_new(30, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	uint8_t text[256];
	uint16_t n = inner(text, 30, 100);

	s->policy.idle_timeout_s = 60;
	age(s, 50);
	text[10] = 1; // ICMP is not use
	decode(sealed(&c, text, n));
	nb_events = 0;
	age(s, 5);
	timers();
	assert_int_equal(nb_events, 0);
	age(s, 6);
	timers();
	assert_int_equal(events[0].type, ABI_EVT_SESSION_END);
	assert_int_equal(events[0].reason, ABI_END_IDLE);
	client_end(&c);
	c = client_new(30, ABI_AES_128_GCM);
	s = dp_session_get(c.sid);
	s->policy.session_timeout_s = 100;
	n = inner(text, 30, 100);
	age(s, 101);
	decode(sealed(&c, text, n));
	nb_events = 0;
	timers();
	assert_int_equal(events[0].reason, ABI_END_SESSION_TIMEOUT);
	client_end(&c);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_data_out),
		cmocka_unit_test(test_sequence_ends),
		cmocka_unit_test(test_other_owner),
		cmocka_unit_test(test_owners_mixed),
		cmocka_unit_test(test_handed_over),
		cmocka_unit_test(test_stream_frames),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_timeouts),
	};

	return cmocka_run_group_tests_name("tunnel_out", tests, tunnel_setup, tunnel_teardown);
}
