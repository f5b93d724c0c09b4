// SPDX-License-Identifier: GPL-3.0-or-later
// The tunnel nodes in a real graph, with real crypto and a real session table, between a source
// and two sinks of the test: what goes in at dtls-decode, tunnel-in and tunnel-out, and what comes out.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_cycles.h>

#include "dataplane/abi/punt.h"
#include "dataplane/ctl/punt.h"
#include "dataplane/graph.h"
#include "dataplane/node/tunnel.h"
#include "dataplane/port.h"
#include "dataplane/proto/dtls12.h"
#include "dataplane/stats.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/session_timers.h"
#include "tests/unit/eal.h"
#include "yang/config.h"

#define MAX 64u
#define CAPTURE 256u

// The surroundings that the nodes see: one worker that runs, one that only receives.

struct dp_lcore *dp_lcores, *other;
unsigned dp_nb_workers = 2, dp_nb_streamers;
_Thread_local struct dp_lcore *dp_self;
uint64_t dp_tsc_hz;
struct rte_mempool *dp_mbuf_pool;
struct abi_stats *dp_stats;

struct capture {
	struct rte_mbuf *m[CAPTURE];
	unsigned n;
};

static struct capture to_l3, to_outer, to_other, to_stream, source;
static struct abi_evt events[64];
static unsigned nb_events;
static rte_edge_t source_edge;

void dp_drop(struct rte_mbuf **pkts, unsigned n, enum abi_counter counter) {
	if (n == 0)
		return;
	dp_count(counter, n);
	rte_pktmbuf_free_bulk(pkts, n);
}

static void capture(struct capture *c, struct rte_mbuf **pkts, unsigned n) {
	for (unsigned i = 0; i < n; i++) {
		assert_true(c->n < CAPTURE);
		c->m[c->n++] = pkts[i];
	}
}

static void forget(struct capture *c) {
	rte_pktmbuf_free_bulk(c->m, c->n);
	c->n = 0;
}

void dp_handoff(struct dp_lcore *to, struct rte_mbuf **pkts, unsigned n) {
	assert_ptr_equal(to, &dp_lcores[1]);
	capture(&to_other, pkts, n);
}

void dp_event(const struct abi_evt *evt) {
	assert_true(nb_events < RTE_DIM(events));
	events[nb_events++] = *evt;
}

void dp_stream_send(struct dp_session *session, struct rte_mbuf **pkts, unsigned n) {
	capture(&to_stream, pkts, n);
}

static uint16_t source_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	n = (uint16_t)source.n;
	source.n = 0;
	rte_node_enqueue(graph, node, source_edge, (void **)source.m, n);
	return n;
}

enum {
	TO_DECODE,
	TO_IN,
	TO_OUT,
	TO_ENCODE,
	TO_MAX
};

static struct rte_node_register source_node = {
	.name = "test-source",
	.flags = RTE_NODE_SOURCE_F,
	.process = source_process,
	.nb_edges = TO_MAX,
	.next_nodes =
		{
			[TO_DECODE] = DP_NODE_DTLS_DECODE,
			[TO_IN] = DP_NODE_TUNNEL_IN,
			[TO_OUT] = DP_NODE_TUNNEL_OUT,
			[TO_ENCODE] = DP_NODE_DTLS_ENCODE,
		},
};
RTE_NODE_REGISTER(source_node);

static uint16_t l3_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	capture(&to_l3, (struct rte_mbuf **)objs, n);
	return n;
}

static struct rte_node_register l3_node = {.name = DP_NODE_L3_INPUT, .process = l3_process};
RTE_NODE_REGISTER(l3_node);

static uint16_t outer_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	capture(&to_outer, (struct rte_mbuf **)objs, n);
	return n;
}

static struct rte_node_register outer_node = {
	.name = DP_NODE_OUTER_OUTPUT, .process = outer_process};
RTE_NODE_REGISTER(outer_node);

// The client's end of a channel.

struct client {
	struct abi_sid sid;
	struct abi_tuple tuple;
	uint8_t cipher, iv[12];
	struct dp_key *seal, *open;
	uint64_t seq;
	uint8_t key_byte;
};

static struct abi_addr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
	return (struct abi_addr){{[10] = 0xff, [11] = 0xff, a, b, c, d}};
}

static void client_keys(struct client *c, uint8_t cipher, uint8_t key_byte) {
	struct abi_cmd set = {.type = ABI_CMD_DTLS_SET, .sid = c->sid};
	uint8_t up[32], down[32];

	memset(up, key_byte, sizeof(up));
	memset(down, key_byte ^ 0xff, sizeof(down));
	c->cipher = cipher;
	c->seq = 1;
	memset(c->iv, 0, sizeof(c->iv));
	memset(c->iv, key_byte + 1, cipher == ABI_CHACHA20_POLY1305 ? 12 : 4);
	c->seal = dp_key_new(cipher, up, true, 13);
	c->open = dp_key_new(cipher, down, false, 13);
	assert_non_null(c->seal);
	assert_non_null(c->open);
	set.dtls_set.tuple = c->tuple;
	set.dtls_set.version = ABI_DTLS12;
	set.dtls_set.cipher = cipher;
	set.dtls_set.epoch = 1;
	memcpy(set.dtls_set.rx.key, up, 32);
	memcpy(set.dtls_set.tx.key, down, 32);
	memcpy(set.dtls_set.rx.iv, c->iv, 12);
	memcpy(set.dtls_set.tx.iv, c->iv, 12);
	set.dtls_set.tx.seq = 1;
	assert_int_equal(dp_session_dtls_set(&set), 0);
}

// Even indexes belong to worker 0, which runs; odd ones to worker 1.
static struct client client_new(uint32_t index, uint8_t cipher) {
	static uint32_t generation;
	struct abi_cmd cmd = {.type = ABI_CMD_SESSION_ADD, .sid = {index, ++generation}};
	struct client c = {.sid = cmd.sid};

	cmd.session_add.inner4 = v4(10, 0, 0, (uint8_t)index);
	cmd.session_add.inner6 = (struct abi_addr){{0xfd, 1, [15] = (uint8_t)index}};
	cmd.session_add.inner6_prefix = 128;
	cmd.session_add.policy.mtu = 1400;
	assert_int_equal(dp_session_add(&cmd), 0);
	c.tuple = (struct abi_tuple){
		.local = v4(203, 0, 113, 1),
		.remote = v4(198, 51, 100, 7),
		.local_port = htons(443),
		.remote_port = htons((uint16_t)(1000 + index)),
	};
	client_keys(&c, cipher, (uint8_t)index);
	return c;
}

static void client_end(struct client *c) {
	dp_session_del(c->sid, ABI_END_SERVER);
	dp_key_free(c->seal);
	dp_key_free(c->open);
	urcu_qsbr_barrier();
	dp_reclaim_process();
	forget(&to_l3);
	forget(&to_outer);
	forget(&to_other);
	forget(&to_stream);
	nb_events = 0;
}

// Adds a record to the datagram.
static void record(
	struct client *c, struct rte_mbuf *m, uint8_t type, const void *text, uint16_t n) {
	uint16_t before = m->data_len, head = (uint16_t)(13 + dtls12_explicit_len(c->cipher));
	struct dp_crypt op = {.m = m, .key = c->seal, .len = n, .aad_len = 13};
	char *to = rte_pktmbuf_append(m, (uint16_t)(head + n + 16));

	assert_non_null(to);
	dtls12_seal((uint8_t *)to, c->cipher, type, UINT64_C(1) << 48 | c->seq++, n, c->iv,
		op.nonce, op.aad);
	memcpy(to + head, text, n);
	op.offset = (uint16_t)(before + head);
	dp_crypto_run(0, &op, 1);
	assert_true(op.ok);
}

static struct rte_mbuf *datagram(const struct abi_tuple *tuple) {
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_mbuf_pool);

	assert_non_null(m);
	memset(dp_pkt(m), 0xa5, sizeof(*dp_pkt(m))); // what was there before
	dp_pkt(m)->tuple = *tuple;
	return m;
}

static struct rte_mbuf *sealed(struct client *c, const void *text, uint16_t n) {
	struct rte_mbuf *m = datagram(&c->tuple);

	record(c, m, 23, text, n);
	return m;
}

static void run(rte_edge_t edge, struct rte_mbuf **pkts, unsigned n) {
	source_edge = edge;
	assert_int_equal(source.n, 0);
	memcpy(source.m, pkts, n * sizeof(*pkts));
	source.n = n;
	rte_graph_walk(dp_self->graph);
}

static void decode(struct rte_mbuf *m) {
	run(TO_DECODE, &m, 1);
}

// Frame byte and an IPv4 UDP packet from 10.0.0.`host`.
static uint16_t inner(uint8_t *out, uint8_t host, uint16_t len) {
	memset(out, 0, len + 1u);
	out[1] = 0x45;
	out[3] = (uint8_t)(len >> 8);
	out[4] = (uint8_t)len;
	out[10] = 17;
	out[13] = 10;
	out[16] = host;
	return (uint16_t)(len + 1);
}

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

static uint64_t counter(enum abi_counter c) {
	return dp_self->stats->counters[c];
}

#define COUNTED(name, n, what) \
	do { \
		uint64_t before_ = counter(ABI_C_##name); \
		what; \
		assert_int_equal(counter(ABI_C_##name) - before_, n); \
	} while (0)

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

static void test_probe(void **state) {
	struct client c = client_new(6, ABI_CHACHA20_POLY1305);
	uint8_t text[1400] = {DP_FRAME_DPD_REQ, 1, 2, 3, 4}, back[1500];

	COUNTED(dpd_answered, 1, decode(sealed(&c, text, 1392)));
	assert_int_equal(to_outer.n, 1);
	assert_memory_equal(&dp_pkt(to_outer.m[0])->tuple, &c.tuple, sizeof(c.tuple));
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
	// from a session's own address
	m = datagram(&c.tuple);
	memcpy(rte_pktmbuf_append(m, sizeof(hello)), hello, sizeof(hello));
	decode(m);
	dp_punt_process();
	assert_int_equal(abi_ring_pop(&edge, &slot, false), 0);
	assert_int_equal(slot.known, 1);
	assert_int_equal(slot.sid.index, 26);
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
	slot.len = ABI_PUNT_DATA + 1;
	assert_false(dp_inject_valid(&slot));
	dp_punt_edge(5, NULL, NULL);
	abi_ring_detach(&ring);
	abi_ring_detach(&edge);
	close(fd);
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

static void test_rate(void **state) {
	struct client c = client_new(32, ABI_AES_128_GCM);
	struct dp_session *s = dp_session_get(c.sid);
	uint64_t before = counter(ABI_C_drop_rate);
	uint8_t text[1100];
	uint16_t n = inner(text, 32, 1000);

	s->policy.rx_bytes_per_s = 4000;
	for (unsigned i = 0; i < 100; i++)
		decode(sealed(&c, text, n));
	assert_true(counter(ABI_C_drop_rate) - before >= 85);
	assert_true(to_l3.n >= 9);
	client_end(&c);
}

static int setup(void **state) {
	static struct cfg_pool pool = {
		.v4 = {{AF_INET, {10, 0, 0, 0}}, 24},
		.v6 = {{AF_INET6, {0xfd, 1}}, 112},
		.v6_client_prefix = 128,
	};
	static struct cfg_listen listen = {{AF_INET, {203, 0, 113, 1}}, 443, 443};
	static struct cfg cfg = {.pools = &pool, .nb_pools = 1, .listen = &listen, .nb_listen = 1};
	static const char *sources[] = {"test-source"};
	struct rte_graph_param param = {
		.socket_id = SOCKET_ID_ANY, .nb_node_patterns = 1, .node_patterns = sources};

	cfg.dataplane.workers = 1;
	cfg.dataplane.handshake_rate = 100;
	if (test_eal_init() < 0)
		return -1;
	dp_tsc_hz = rte_get_tsc_hz();
	dp_stats = aligned_alloc(64, RTE_ALIGN(sizeof(*dp_stats), 64));
	dp_lcores = aligned_alloc(64, 2 * sizeof(*dp_lcores));
	memset(dp_stats, 0, sizeof(*dp_stats));
	memset(dp_lcores, 0, 2 * sizeof(*dp_lcores));
	dp_self = dp_lcores;
	dp_lcores[1].number = 1;
	dp_self->stats = &dp_stats->worker[0];
	dp_self->inbox = rte_ring_create("inbox", 64, SOCKET_ID_ANY, RING_F_SC_DEQ);
	dp_mbuf_pool = rte_pktmbuf_pool_create(
		"pkts", 1023, 0, DP_PKT_PRIV_SIZE, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	if (dp_mbuf_pool == NULL || dp_crypto_init(1, 64) != 0 || dp_reclaim_init() != 0 ||
		dp_session_table_init(MAX, NULL) != 0 || dp_session_pools_set(&cfg) != 0 ||
		dp_punt_init(&cfg) != 0)
		return -1;
	if (rte_graph_create("test", &param) == RTE_GRAPH_ID_INVALID)
		return -1;
	dp_self->graph = rte_graph_lookup("test");
	return dp_self->graph != NULL ? 0 : -1;
}

// Every buffer came back: no node lost one.
static int teardown(void **state) {
	unsigned lost = rte_mempool_in_use_count(dp_mbuf_pool);

	if (lost != 0)
		fprintf(stderr, "%u packet buffers were lost\n", lost);
	dp_session_table_fini();
	dp_reclaim_fini();
	dp_crypto_fini();
	return lost == 0 ? 0 : -1;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_in),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_data_out),
		cmocka_unit_test(test_sequence_ends),
		cmocka_unit_test(test_nat_moves),
		cmocka_unit_test(test_many_records),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_close_notify),
		cmocka_unit_test(test_previous_keys),
		cmocka_unit_test(test_other_owner),
		cmocka_unit_test(test_stream_frames),
		cmocka_unit_test(test_punt),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
