// SPDX-License-Identifier: GPL-3.0-or-later
// Node dtls-decode: finds the session of each datagram, opens its records in one burst, and sends
// frames to tunnel-in, handshakes to punt-control. Only the session's owner opens its records.
#include "dataplane/graph.h"
#include "dataplane/node/roam.h"
#include "dataplane/node/tunnel.h"
#include "dataplane/port.h"
#include "dataplane/proto/dtls12.h"

#include <string.h>

#include <rte_cycles.h>

enum {
	EDGE_TUNNEL_IN,
	EDGE_PUNT_CONTROL,
	EDGE_MAX,
};

#define RECORDS_MAX 8u // of one datagram; stock clients send one
#define AHEAD 16u // sessions that are on their way

// A record that waits to be opened.
struct work {
	struct dp_session *session;
	struct dp_dtls *dtls;
	struct rte_mbuf *spare; // untouched copy, when the keys before may be the right ones
	uint8_t type;
};

struct burst {
	uint64_t now;
	struct dp_crypt ops[DP_BURST];
	struct work work[DP_BURST];
	unsigned n, nb_opened;
	unsigned run; // how many of the operations were run
	struct rte_mbuf *away[DP_BURST]; // to other owners
	unsigned nb_away;
	struct rte_mbuf *rest[DP_BURST]; // further records of datagrams
	unsigned nb_rest;
	void *frames[DP_BURST];
	uint16_t nb_frames;
	void *punts[DP_BURST];
	uint16_t nb_punts;
};

static void drop(struct rte_mbuf *m, enum abi_counter counter) {
	dp_drop(&m, 1, counter);
}

static void punt(struct burst *b, struct rte_mbuf *m, const struct dp_session *session) {
	dp_pkt(m)->sid = session != NULL ? session->sid : (struct abi_sid){0, 0};
	b->punts[b->nb_punts++] = m;
}

static struct rte_mbuf *copy_of(struct rte_mbuf *m, const uint8_t *from, size_t len) {
	struct rte_mbuf *copy = rte_pktmbuf_alloc(dp_mbuf_pool);
	char *to = copy != NULL ? rte_pktmbuf_append(copy, (uint16_t)len) : NULL;

	if (to == NULL) {
		rte_pktmbuf_free(copy);
		return NULL;
	}
	memcpy(to, from, len);
	*dp_pkt(copy) = *dp_pkt(m);
	return copy;
}

// What lies behind the first record becomes a packet of its own.
static void split(struct burst *b, struct rte_mbuf *m, const uint8_t *src, const uint8_t *end) {
	struct rte_mbuf *copy;

	if (src == end)
		return;
	copy = copy_of(m, src, (size_t)(end - src));
	if (copy == NULL)
		dp_count(ABI_C_drop_no_mbuf, 1);
	else
		b->rest[b->nb_rest++] = copy;
	rte_pktmbuf_trim(m, (uint16_t)(end - src));
}

// The channel that the record belongs to: the present one, or for some seconds the one before.
static struct dp_dtls *channel_of(struct dp_session *session, const struct abi_tuple *tuple,
	uint16_t epoch, struct dp_dtls **other) {
	struct dp_dtls *dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);
	struct dp_dtls *prev = atomic_load_explicit(&session->dtls_prev, memory_order_acquire);

	*other = NULL;
	if (dtls != NULL && dtls->rx_epoch != epoch)
		dtls = NULL;
	if (prev != NULL && prev->rx_epoch != epoch)
		prev = NULL;
	if (dtls == NULL || prev == NULL)
		return dtls != NULL ? dtls : prev;
	if (!dp_tuple_equal(&prev->tuple, tuple))
		return dtls;
	if (!dp_tuple_equal(&dtls->tuple, tuple))
		return prev;
	*other = prev; // a new handshake from the same port: epochs do not tell them apart
	return dtls;
}

static int op_fill(struct dp_crypt *op, struct rte_mbuf *m, const struct dtls12_record *record,
	const struct dp_dtls *dtls) {
	int len = dtls12_open(record, dtls->rx_cipher, dtls->rx_iv, op->nonce, op->aad);

	if (len < 0)
		return len;
	op->m = m;
	op->key = dtls->rx_key;
	op->offset = (uint16_t)(DTLS12_HEADER_LEN + dtls12_explicit_len(dtls->rx_cipher));
	op->len = (uint16_t)len;
	op->aad_len = DTLS12_AAD_LEN;
	return 0;
}

// A protected record of a session of ours.
static void enlist(struct burst *b, struct rte_mbuf *m, struct dp_session *session,
	const struct dtls12_record *record) {
	struct dp_dtls *other, *dtls;
	struct work *work = &b->work[b->n];

	dtls = channel_of(session, &dp_pkt(m)->tuple, record->epoch, &other);
	if (dtls == NULL) {
		drop(m, ABI_C_drop_dtls_epoch);
		return;
	}
	if (other == NULL && !dp_replay_check(&dtls->replay, record->seq & DTLS12_SEQ_MAX)) {
		drop(m, ABI_C_drop_dtls_replay);
		return;
	}
	if (op_fill(&b->ops[b->n], m, record, dtls) < 0) {
		drop(m, ABI_C_drop_dtls_bad);
		return;
	}
	*work = (struct work){.session = session, .dtls = dtls, .type = record->type};
	if (b->n == 0 || b->ops[b->n].key != b->ops[b->n - 1].key)
		dp_key_prefetch(dtls->rx_key, b->ops[b->n].len);
	dp_pkt(m)->seq = record->seq;
	if (other != NULL)
		work->spare = copy_of(m, rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	b->n++;
}

// By value: the caller's stays in registers.
static __attribute__((noinline)) struct dp_session *roam(
	struct rte_mbuf *m, struct dtls12_record record, uint64_t now, int *reason) {
	return roam_find(m, &record, now, reason);
}

static void give_away(struct burst *b, struct rte_mbuf *m, struct dp_session *session) {
	struct dp_pkt *pkt = dp_pkt(m);

	pkt->session = session;
	pkt->sid = session->sid;
	pkt->resume = DP_RESUME_DTLS_DECODE;
	b->away[b->nb_away++] = m;
}

// Takes out what belongs to other owners, who will look at the records. Returns what is left.
static unsigned take_away(
	struct burst *b, struct rte_mbuf **pkts, unsigned n, struct dp_session **sessions) {
	unsigned left = 0;

	for (unsigned i = 0; i < n && i < AHEAD; i++)
		rte_prefetch0(sessions[i]);
	for (unsigned i = 0; i < n; i++) {
		struct dp_session *session = sessions[i];

		if (i + AHEAD < n)
			rte_prefetch0(sessions[i + AHEAD]);
		if (session != NULL && session->owner != dp_self->number) {
			give_away(b, pkts[i], session);
			continue;
		}
		sessions[left] = session;
		pkts[left++] = pkts[i];
	}
	return left;
}

static void sort(struct burst *b, struct rte_mbuf *m, struct dp_session *session) {
	struct dp_pkt *pkt = dp_pkt(m);
	const uint8_t *src = rte_pktmbuf_mtod(m, const uint8_t *), *end = src + m->data_len;
	struct dtls12_record record;
	int reason;

	if (m->nb_segs != 1 || dtls12_parse(&src, end, &record) < 0) {
		drop(m, ABI_C_drop_dtls_bad);
		return;
	}
	if (record.type == DTLS12_HANDSHAKE || record.type == DTLS12_CHANGE_CIPHER_SPEC) {
		punt(b, m, session);
		return;
	}
	if (record.epoch == 0) {
		// an alert in the clear: of a handshake, or forged
		if (record.type == DTLS12_ALERT && session == NULL)
			punt(b, m, NULL);
		else
			drop(m, ABI_C_drop_dtls_epoch);
		return;
	}
	if (session == NULL)
		session = roam(m, record, b->now, &reason);
	if (session == NULL) {
		drop(m, (enum abi_counter)reason);
		return;
	}
	pkt->session = session;
	pkt->sid = session->sid;
	pkt->from_stream = 0;
	if (session->owner != dp_self->number) { // found by a trial
		give_away(b, m, session);
		return;
	}
	split(b, m, src, end);
	enlist(b, m, session, &record);
}

// The keys before, on the untouched copy. Seldom: only just after a new handshake.
static bool retry_previous(struct dp_crypt *op, struct work *work) {
	const uint8_t *src, *end;
	struct dtls12_record record;
	struct dp_dtls *prev = atomic_load_explicit(
		&work->session->dtls_prev, memory_order_acquire);

	if (work->spare == NULL || prev == NULL)
		return false;
	src = rte_pktmbuf_mtod(work->spare, const uint8_t *);
	end = src + work->spare->data_len;
	if (dtls12_parse(&src, end, &record) < 0 ||
		!dp_replay_check(&prev->replay, record.seq & DTLS12_SEQ_MAX) ||
		op_fill(op, work->spare, &record, prev) < 0)
		return false;
	dp_crypto_run(dp_self->lcore_no, op, 1);
	work->dtls = prev;
	return op->ok;
}

static void alert(struct work *work, const uint8_t *text, unsigned len) {
	struct dp_dtls *dtls = work->dtls;

	if (len < 2 || (text[1] != DTLS12_ALERT_CLOSE_NOTIFY && text[0] != DTLS12_ALERT_FATAL))
		return;
	if (dtls != atomic_load_explicit(&work->session->dtls, memory_order_relaxed))
		return; // the channel before closes: that is as it should be
	dp_dtls_close(dtls);
	work->session->dtls_live = false;
	tunnel_dtls_event(work->session, ABI_EVT_DTLS_DOWN, ABI_END_USER, &dtls->tuple);
}

// An authentic record on the present channel: the client is there, and uses it.
static void follow(struct burst *b, struct work *work, struct rte_mbuf *m, bool newest) {
	struct dp_session *session = work->session;
	struct dp_dtls *dtls = work->dtls;

	session->last_dtls_rx = b->now;
	// an older one that arrives late must not take the channel back to where it came from
	if (newest && !dp_tuple_equal(&dtls->tuple, &dp_pkt(m)->tuple)) {
		dtls->tuple = dp_pkt(m)->tuple;
		dtls->outer.epoch = 0;
		dp_count(ABI_C_dtls_moved, 1);
		tunnel_dtls_event(session, ABI_EVT_DTLS_MOVED, ABI_END_UNSPECIFIED, &dtls->tuple);
	}
	if (unlikely(!dtls->heard))
		dtls->heard = dtls->confirmed = true;
	if (!session->dtls_live) {
		session->dtls_live = true;
		tunnel_dtls_event(session, ABI_EVT_DTLS_UP, ABI_END_UNSPECIFIED, &dtls->tuple);
	}
	if (atomic_load_explicit(&session->tx_channel, memory_order_relaxed) != 2)
		atomic_store_explicit(&session->tx_channel, 2, memory_order_relaxed);
}

static void opened(struct burst *b, const struct dp_crypt *op, struct work *work) {
	struct dp_session *session = work->session;
	struct dp_dtls *dtls = work->dtls;
	struct rte_mbuf *m = op->m;
	uint64_t seq = dp_pkt(m)->seq & DTLS12_SEQ_MAX;
	bool newest = !dtls->replay.any || seq > dtls->replay.last;
	const uint8_t *text;

	if (!dp_replay_accept(&dtls->replay, seq)) {
		drop(m, ABI_C_drop_dtls_replay);
		return;
	}
	b->nb_opened++;
	session->last_rx = b->now;
	// not what overtook a close_notify or comes with it
	if (dtls == atomic_load_explicit(&session->dtls, memory_order_relaxed) && !dtls->closed)
		follow(b, work, m, newest);
	text = rte_pktmbuf_mtod_offset(m, const uint8_t *, op->offset);
	if (work->type == DTLS12_ALERT) {
		alert(work, text, op->len);
		rte_pktmbuf_free(m);
		return;
	}
	if (op->len == 0) {
		rte_pktmbuf_free(
			m); // an empty record is allowed (RFC 5246, 6.2.1) and says nothing
		return;
	}
	dp_pkt(m)->frame = text[0];
	m->data_off = (uint16_t)(m->data_off + op->offset + 1); // one segment, checked before
	m->data_len = (uint16_t)(op->len - 1);
	m->pkt_len = m->data_len;
	b->frames[b->nb_frames++] = m;
}

// Opens those of the enlisted records that come before `end`.
static void open_until(struct burst *b, unsigned end) {
	unsigned start = b->run;

	dp_crypto_run(dp_self->lcore_no, b->ops + start, end - start);
	b->run = end;
	for (unsigned i = start; i < end; i++) {
		struct dp_crypt *op = &b->ops[i];
		struct work *work = &b->work[i];
		struct rte_mbuf *m = op->m;

		if (likely(op->ok)) {
			if (unlikely(work->spare != NULL))
				rte_pktmbuf_free(work->spare);
			opened(b, op, work);
		} else if (retry_previous(op, work)) {
			rte_pktmbuf_free(m);
			opened(b, op, work);
		} else {
			rte_pktmbuf_free(work->spare);
			drop(m, op->failed ? ABI_C_drop_crypto : ABI_C_drop_dtls_auth);
		}
	}
}

// Starts to load what will be read of a session, its counters and its channel's receiving half.
static void prefetch_channel(const struct dp_session *session) {
	struct dp_dtls *dtls;

	if (session == NULL)
		return;
	dtls = atomic_load_explicit(&session->dtls, memory_order_relaxed);
	rte_prefetch0(&session->last_rx);
	rte_prefetch0(session->stats);
	if (dtls == NULL)
		return;
	rte_prefetch0(&dtls->rx_key);
	rte_prefetch0(&dtls->replay);
}

// Datagrams of one client often follow each other: a tuple is looked up once for all of them, and not
// again where the worker that handed it over, or the record before in the datagram, has told whose it
// is. Returns how often the session changes, more or less.
static unsigned lookup(struct rte_mbuf **pkts, unsigned n, struct dp_session **sessions) {
	const struct abi_tuple *tuples[DP_BURST] = {NULL};
	struct dp_session *found[DP_BURST];
	uint8_t of[DP_BURST];
	unsigned nb = 0, changes = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct dp_pkt *pkt = dp_pkt(pkts[i]);

		changes += i > 0 && pkt->session != dp_pkt(pkts[i - 1])->session;
		if (pkt->session == NULL &&
			(nb == 0 || !dp_tuple_equal(tuples[nb - 1], &pkt->tuple)))
			tuples[nb++] = &pkt->tuple;
		of[i] = (uint8_t)nb;
	}
	dp_session_lookup_bulk(tuples, nb, found);
	for (unsigned i = 0; i < n; i++) {
		struct dp_session *known = dp_pkt(pkts[i])->session;

		sessions[i] = known != NULL ? known : found[of[i] - 1];
	}
	return nb + changes;
}

// Sessions, channels, keys, the cipher: each a few packets ahead of the next, so that what one of
// them needs is loaded while others work. All of a burst at once would be more than the core can
// have on its way, and than its first cache holds.
static void pipeline(struct burst *b, struct rte_mbuf **pkts, unsigned n,
	struct dp_session **sessions, unsigned step) {
	for (unsigned i = 0; i < n && i < 4 * step && step < n; i++)
		rte_prefetch0(sessions[i]); // NULL: nothing
	for (unsigned i = 0; i < n && i < 2 * step && step < n; i++)
		prefetch_channel(sessions[i]);
	for (unsigned at = 0; at < n; at += step) {
		unsigned end = RTE_MIN(at + step, n), ready = b->n;

		for (unsigned i = at; i < end; i++) {
			if (i + 4 * step < n)
				rte_prefetch0(sessions[i + 4 * step]);
			if (i + 2 * step < n)
				prefetch_channel(sessions[i + 2 * step]);
			sort(b, pkts[i], sessions[i]);
		}
		open_until(b, ready);
	}
	open_until(b, b->n);
}

// At most DP_BURST packets. Leaves the datagrams' further records in pkts, returns their number.
static unsigned run(
	struct rte_graph *graph, struct rte_node *node, struct rte_mbuf **pkts, unsigned n) {
	struct dp_session *sessions[DP_BURST];
	struct burst b;

	bool many = lookup(pkts, n, sessions) > n / 4;

	b.now = rte_rdtsc();
	b.n = b.run = b.nb_opened = b.nb_away = b.nb_rest = 0;
	b.nb_frames = b.nb_punts = 0;
	if (dp_nb_workers > 1)
		n = take_away(&b, pkts, n, sessions);
	// what few sessions need is loaded by the first of them
	pipeline(&b, pkts, n, sessions, many ? dp_crypto_step() : DP_BURST);
	dp_count(ABI_C_dtls_rx, b.nb_opened);
	tunnel_to_owners(b.away, b.nb_away);
	tunnel_enqueue(graph, node, EDGE_TUNNEL_IN, b.frames, b.nb_frames);
	tunnel_enqueue(graph, node, EDGE_PUNT_CONTROL, b.punts, b.nb_punts);
	memcpy(pkts, b.rest, b.nb_rest * sizeof(*pkts));
	return b.nb_rest;
}

static uint16_t dtls_decode_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	for (uint16_t done = 0; done < n;) {
		unsigned burst = RTE_MIN((unsigned)(n - done), DP_BURST);
		struct rte_mbuf *pkts[DP_BURST];

		memcpy(pkts, objs + done, burst * sizeof(*pkts));
		done += (uint16_t)burst;
		for (unsigned records = 0; burst > 0 && records < RECORDS_MAX; records++)
			burst = run(graph, node, pkts, burst);
		dp_drop(pkts, burst, ABI_C_drop_dtls_bad);
	}
	return n;
}

static struct rte_node_register dtls_decode_node = {
	.name = DP_NODE_DTLS_DECODE,
	.process = dtls_decode_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_TUNNEL_IN] = DP_NODE_TUNNEL_IN,
			[EDGE_PUNT_CONTROL] = DP_NODE_PUNT_CONTROL,
		},
};
RTE_NODE_REGISTER(dtls_decode_node);
