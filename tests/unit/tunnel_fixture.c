// SPDX-License-Identifier: GPL-3.0-or-later
// The surroundings of the tunnel nodes in their tests, and the client that speaks to them.
#include <arpa/inet.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "dataplane/ctl/punt.h"
#include "dataplane/graph.h"
#include "dataplane/proto/dtls12.h"
#include "dataplane/stream/stream.h"
#include "tests/unit/eal.h"
#include "tests/unit/tunnel_fixture.h"
#include "yang/config.h"

#define MAX 64u

// The surroundings that the nodes see: one worker that runs, one that only receives.

struct dp_lcore *dp_lcores;
unsigned dp_nb_workers = 2, dp_nb_streamers;
_Thread_local struct dp_lcore *dp_self;
uint64_t dp_tsc_hz;
struct rte_mempool *dp_mbuf_pool;
struct abi_stats *dp_stats;

struct capture to_l3, to_outer, to_other, to_stream;
struct abi_evt events[EVENTS];
unsigned nb_events;
static struct capture source;
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

void forget(struct capture *c) {
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

struct abi_addr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
	return (struct abi_addr){{[10] = 0xff, [11] = 0xff, a, b, c, d}};
}

void client_keys(struct client *c, uint8_t cipher, uint8_t key_byte) {
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

struct client client_new(uint32_t index, uint8_t cipher) {
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

void client_end(struct client *c) {
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

void record(struct client *c, struct rte_mbuf *m, uint8_t type, const void *text, uint16_t n) {
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

struct rte_mbuf *datagram(const struct abi_tuple *tuple) {
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_mbuf_pool);

	assert_non_null(m);
	memset(dp_pkt(m), 0xa5, sizeof(*dp_pkt(m))); // what was there before
	dp_pkt(m)->tuple = *tuple;
	dp_pkt(m)->session = NULL; // classify: nobody has looked yet
	dp_pkt(m)->unsummed = 0;
	return m;
}

struct rte_mbuf *sealed(struct client *c, const void *text, uint16_t n) {
	struct rte_mbuf *m = datagram(&c->tuple);

	record(c, m, 23, text, n);
	return m;
}

void run(rte_edge_t edge, struct rte_mbuf **pkts, unsigned n) {
	source_edge = edge;
	assert_int_equal(source.n, 0);
	for (unsigned i = 0; i < n && edge != TO_DECODE; i++) // as handoff-rx does
		dp_pkt(pkts[i])->session = dp_session_get(dp_pkt(pkts[i])->sid);
	memcpy(source.m, pkts, n * sizeof(*pkts));
	source.n = n;
	rte_graph_walk(dp_self->graph);
}

void decode(struct rte_mbuf *m) {
	run(TO_DECODE, &m, 1);
}

uint16_t inner(uint8_t *out, uint8_t host, uint16_t len) {
	memset(out, 0, len + 1u);
	out[1] = 0x45;
	out[3] = (uint8_t)(len >> 8);
	out[4] = (uint8_t)len;
	out[10] = 17;
	out[13] = 10;
	out[16] = host;
	return (uint16_t)(len + 1);
}

uint64_t counter(enum abi_counter c) {
	return dp_self->stats->counters[c];
}

int tunnel_setup(void **state) {
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

int tunnel_teardown(void **state) {
	unsigned lost = rte_mempool_in_use_count(dp_mbuf_pool);

	if (lost != 0)
		fprintf(stderr, "%u packet buffers were lost\n", lost);
	dp_session_table_fini();
	dp_reclaim_fini();
	dp_crypto_fini();
	return lost == 0 ? 0 : -1;
}
