// SPDX-License-Identifier: GPL-3.0-or-later
// From packets to records to the socket. Runs on stream lcores.

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "dataplane/proto/cstp.h"
#include "dataplane/stream/internal.h"

#define TXQ_MASK (STREAM_TXQ - 1)
#define IOV_MAX_BURST 256u
#define FRAME_TEXT 64u // bytes
// Ask for the next key so long before the limit that its arrival is never waited for.
#define KEY_RESERVE (UINT64_C(1) << 16)

_Static_assert((STREAM_TXQ & TXQ_MASK) == 0, "STREAM_TXQ");

static bool queue_full(const struct dp_stream *stream, unsigned reserved) {
	unsigned queued = stream_self->queued;
	unsigned free = stream_self->queued_max > queued ? stream_self->queued_max - queued : 0;

	// A queue may be as long as what all of them leave free: many slow clients together hold
	// no more packet buffers than their share, and one more always finds room.
	return stream->tx_head - stream->tx_tail + reserved >= RTE_MIN(STREAM_TXQ_DATA, free) ||
		stream->tx_bytes >= STREAM_TX_BYTES;
}

static void queue_push(struct dp_stream *stream, struct rte_mbuf *m) {
	stream->txq[stream->tx_head++ & TXQ_MASK] = m;
	stream->tx_bytes += m->data_len;
	stream_self->queued++;
	if (stream->dirty || stream->blocked)
		return;
	stream->dirty = true;
	stream_self->dirty[stream_self->nb_dirty++] = stream;
}

// The key is worn out (RFC 8446, 5.5): TLS 1.3 updates in time, else the tunnel ends, because a
// sequence number must not come twice.
static bool key_usable(struct dp_stream *stream) {
	if (stream->tx.seq >= stream->p->records_max) {
		stream_close(stream, ABI_END_SEQ_EXHAUSTED, true);
		return false;
	}
	if (stream->tx.seq == stream->p->records_max - KEY_RESERVE)
		stream_want(stream, STREAM_WANT_TX_KEY);
	return true;
}

// Puts a record around the mbuf's data, ready to be encrypted. False: no room in the mbuf.
static bool seal(struct dp_stream *stream, struct rte_mbuf *m, uint8_t type, struct dp_crypt *op) {
	const struct tls_protection *p = stream->p;
	uint16_t len = m->data_len;
	char *record;

	if (m->nb_segs != 1 || len > TLS_PLAIN_MAX)
		return false;
	record = rte_pktmbuf_prepend(m, (uint16_t)tls_text_offset(p));
	if (record == NULL)
		return false;
	if (rte_pktmbuf_append(m, p->inner_type_len + TLS_TAG_LEN) == NULL)
		return false;
	op->m = m;
	op->key = stream->tx.key;
	op->offset = (uint16_t)tls_text_offset(p);
	op->aad_len = p->aad_len;
	op->len = (uint16_t)tls_record_seal(
		p, (uint8_t *)record, type, len, stream->tx.iv, stream->tx.seq, op->nonce, op->aad);
	stream->tx.seq++;
	return true;
}

// One packet of the inbox; false when it was dropped.
static bool prepare(
	struct rte_mbuf *m, struct dp_crypt *op, struct dp_stream **out, unsigned queued) {
	struct dp_pkt *pkt = dp_pkt(m);
	struct dp_stream *stream = stream_find(pkt->sid);
	char *header;

	if (stream == NULL || stream->state != STREAM_OPEN) {
		dp_drop(&m, 1, ABI_C_drop_stale);
		return false;
	}
	if (queue_full(stream, queued)) {
		dp_drop(&m, 1, ABI_C_drop_stream_full);
		return false;
	}
	if (!key_usable(stream)) {
		dp_drop(&m, 1, ABI_C_drop_seq_exhausted);
		return false;
	}
	header = m->data_len <= UINT16_MAX - 64 ? rte_pktmbuf_prepend(m, CSTP_HEADER_LEN) : NULL;
	if (header == NULL) {
		dp_drop(&m, 1, ABI_C_drop_inner_bad);
		return false;
	}
	cstp_header((uint8_t *)header, pkt->frame, (uint16_t)(m->data_len - CSTP_HEADER_LEN));
	if (!seal(stream, m, TLS_APPLICATION_DATA, op)) {
		dp_drop(&m, 1, ABI_C_drop_inner_bad);
		return false;
	}
	*out = stream;
	return true;
}

// Records whose encryption failed leave a gap that the client would take for an attack.
static void finish(struct dp_stream *stream, const struct dp_crypt *op) {
	struct rte_mbuf *m = op->m;

	if (!op->ok || stream->state == STREAM_CLOSED) {
		dp_drop(&m, 1, op->ok ? ABI_C_drop_stale : ABI_C_drop_crypto);
		if (stream->state != STREAM_CLOSED)
			stream_close(stream, ABI_END_ERROR, true);
		return;
	}
	dp_count(ABI_C_stream_tx, 1);
	queue_push(stream, m);
}

void stream_tx(struct rte_mbuf **pkts, unsigned n) {
	struct stream_lcore *self = stream_self;
	struct dp_stream *streams[STREAM_BATCH];

	for (unsigned start = 0; start < n; start += STREAM_BATCH) {
		unsigned batch = RTE_MIN(n - start, STREAM_BATCH), nb = 0;

		for (unsigned i = 0; i < batch; i++)
			if (prepare(pkts[start + i], &self->ops[nb], &streams[nb], nb))
				nb++;
		dp_crypto_run(self->lcore->lcore_no, self->ops, nb);
		for (unsigned i = 0; i < nb; i++)
			finish(streams[i], &self->ops[i]);
		if (self->nb_dirty > STREAM_EVENTS - STREAM_BATCH)
			stream_flush_dirty();
	}
}

// One small record of our own, sealed at once.
static bool tx_small(struct dp_stream *stream, uint8_t type, const uint8_t *text, uint16_t len) {
	struct rte_mbuf *m;
	struct dp_crypt op;
	char *dst;

	if (stream->state == STREAM_CLOSED || stream->tx_head - stream->tx_tail >= STREAM_TXQ ||
		!key_usable(stream))
		return false;
	m = rte_pktmbuf_alloc(stream_big_pool);
	if (m == NULL) {
		dp_count(ABI_C_drop_no_mbuf, 1);
		return false;
	}
	dst = rte_pktmbuf_append(m, len);
	memcpy(dst, text, len);
	if (!seal(stream, m, type, &op)) {
		rte_pktmbuf_free(m);
		return false;
	}
	dp_crypto_run(stream_self->lcore->lcore_no, &op, 1);
	if (!op.ok) {
		dp_drop(&m, 1, ABI_C_drop_crypto);
		stream_close(stream, ABI_END_ERROR, true); // its number is missing, see finish()
		return false;
	}
	if (stream_self->nb_dirty == STREAM_EVENTS)
		stream_flush_dirty();
	queue_push(stream, m);
	return true;
}

bool stream_tx_control(struct dp_stream *stream, uint8_t type, const uint8_t *text, uint16_t len) {
	return tx_small(stream, type, text, len);
}

bool stream_tx_frame(struct dp_stream *stream, uint8_t frame, const char *text) {
	uint8_t whole[CSTP_HEADER_LEN + FRAME_TEXT];
	size_t len = strnlen(text, FRAME_TEXT);

	cstp_header(whole, frame, (uint16_t)len);
	memcpy(whole + CSTP_HEADER_LEN, text, len);
	return tx_small(stream, TLS_APPLICATION_DATA, whole, (uint16_t)(CSTP_HEADER_LEN + len));
}

static unsigned fill_iov(const struct dp_stream *stream, struct iovec *iov) {
	unsigned n = RTE_MIN(stream->tx_head - stream->tx_tail, IOV_MAX_BURST);

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = stream->txq[(stream->tx_tail + i) & TXQ_MASK];

		iov[i].iov_base = rte_pktmbuf_mtod(m, void *);
		iov[i].iov_len = m->data_len;
	}
	iov[0].iov_base = (uint8_t *)iov[0].iov_base + stream->tx_offset;
	iov[0].iov_len -= stream->tx_offset;
	return n;
}

static void consume(struct dp_stream *stream, size_t sent) {
	while (sent > 0) {
		struct rte_mbuf *m = stream->txq[stream->tx_tail & TXQ_MASK];
		size_t left = m->data_len - stream->tx_offset;

		if (sent < left) {
			stream->tx_offset += (uint32_t)sent;
			return;
		}
		sent -= left;
		stream->tx_bytes -= m->data_len;
		stream->tx_offset = 0;
		stream->tx_tail++;
		stream_self->queued--;
		rte_pktmbuf_free(m);
	}
}

static void set_blocked(struct dp_stream *stream, bool blocked) {
	if (stream->blocked == blocked)
		return;
	stream->blocked = blocked;
	stream_interest(
		stream, blocked ? stream->events | EPOLLOUT : stream->events & ~(uint32_t)EPOLLOUT);
}

void stream_flush(struct dp_stream *stream) {
	struct iovec iov[IOV_MAX_BURST];
	struct msghdr msg = {.msg_iov = iov};

	while (stream->state != STREAM_CLOSED && stream->tx_head != stream->tx_tail) {
		ssize_t sent;

		msg.msg_iovlen = fill_iov(stream, iov);
		stream_self->lcore->stats->syscalls++;
		sent = sendmsg(stream->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			set_blocked(stream, true);
			return;
		}
		if (sent < 0) {
			stream_close(stream, ABI_END_TEMPORARY, stream->state == STREAM_OPEN);
			return;
		}
		consume(stream, (size_t)sent);
	}
	set_blocked(stream, false);
}

void stream_flush_dirty(void) {
	struct stream_lcore *self = stream_self;

	for (unsigned i = 0; i < self->nb_dirty; i++) {
		self->dirty[i]->dirty = false;
		stream_flush(self->dirty[i]);
	}
	self->nb_dirty = 0;
}

void stream_tx_drop_all(struct dp_stream *stream) {
	stream_self->queued -= stream->tx_head - stream->tx_tail;
	while (stream->tx_tail != stream->tx_head)
		rte_pktmbuf_free(stream->txq[stream->tx_tail++ & TXQ_MASK]);
	stream->tx_bytes = 0;
	stream->tx_offset = 0;
}

void stream_tx_pending(void) {
	stream_tx(stream_self->pending, stream_self->nb_pending);
	stream_self->nb_pending = 0;
}

// Sealed together with those of other streams, at the end of the loop at the latest.
static void keep_pending(struct rte_mbuf **pkts, unsigned n) {
	struct stream_lcore *self = stream_self;

	for (unsigned i = 0; i < n; i++) {
		if (self->nb_pending == STREAM_PENDING)
			stream_tx_pending();
		self->pending[self->nb_pending++] = pkts[i];
	}
}

// Runs on a packet worker: the owner of the session.
void dp_stream_send(struct dp_session *session, struct rte_mbuf **pkts, unsigned n) {
	for (unsigned i = 0; i < n; i++) {
		dp_pkt(pkts[i])->sid = session->sid;
		dp_pkt(pkts[i])->session = session;
	}
	if (dp_nb_streamers == 0)
		keep_pending(pkts, n);
	else
		dp_handoff(stream_server(session->streamer), pkts, n);
}
