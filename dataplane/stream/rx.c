// SPDX-License-Identifier: GPL-3.0-or-later
// From the socket to records to packets. Runs on stream lcores.

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/port.h"
#include "dataplane/proto/cstp.h"
#include "dataplane/stream/internal.h"

#define RASH_RECORDS 64u // a key update earlier than that is suspicious,
#define RASH_MAX 8u // and so many of them end the tunnel

// What one batch of records became.
struct batch {
	struct dp_stream *stream;
	struct dp_lcore *owner;
	struct tls_record record[STREAM_BATCH];
	const uint8_t *at[STREAM_BATCH]; // where the record lies in the scratch
	unsigned n;
	struct rte_mbuf *out[STREAM_BATCH];
	unsigned nb_out;
};

static void bad(struct dp_stream *stream, enum abi_counter counter) {
	dp_count(counter, 1);
	stream_close(stream, ABI_END_ERROR, true);
}

// Copies ciphertext and tag to a packet buffer that can hold them.
static struct rte_mbuf *load(const struct tls_record *record, const uint8_t *at) {
	uint16_t len = (uint16_t)(record->text_len + TLS_TAG_LEN);
	uint16_t room = rte_pktmbuf_data_room_size(dp_mbuf_pool) - RTE_PKTMBUF_HEADROOM;
	struct rte_mbuf *m = rte_pktmbuf_alloc(len <= room ? dp_mbuf_pool : stream_big_pool);

	if (m == NULL)
		return NULL;
	memcpy(rte_pktmbuf_append(m, len), at + record->text_offset, len);
	return m;
}

// Collects records from [*src, end). 0, or -errno: -EPROTO malformed, -ENOMEM no buffer.
static int collect(struct batch *batch, const uint8_t **src, const uint8_t *end) {
	struct dp_stream *stream = batch->stream;

	for (batch->n = 0; batch->n < STREAM_BATCH; batch->n++) {
		struct tls_record *record = &batch->record[batch->n];
		struct dp_crypt *op = &stream_self->ops[batch->n];
		int len = tls_record_parse(stream->p, *src, end, record);

		if (len <= 0)
			return len;
		op->m = load(record, *src);
		if (op->m == NULL)
			return -ENOMEM;
		op->key = stream->rx.key;
		op->offset = 0;
		op->len = record->text_len;
		op->aad_len = stream->p->aad_len;
		tls_record_open(stream->p, record, *src, stream->rx.iv, stream->rx.seq + batch->n,
			op->nonce, op->aad);
		batch->at[batch->n] = *src;
		*src += len;
	}
	return 0;
}

static void emit(struct batch *batch, struct rte_mbuf *m, uint8_t frame) {
	struct dp_pkt *pkt = dp_pkt(m);

	pkt->sid = batch->stream->sid;
	pkt->session = NULL; // looked up again by its owner
	pkt->frame = frame;
	pkt->from_stream = 1;
	pkt->resume = DP_RESUME_TUNNEL_IN;
	stream_self->frames++;
	batch->out[batch->nb_out++] = m;
	if (batch->nb_out < STREAM_BATCH)
		return;
	dp_handoff(batch->owner, batch->out, batch->nb_out);
	batch->nb_out = 0;
}

static struct rte_mbuf *copy_frame(const struct cstp_frame *frame) {
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_mbuf_pool);
	char *dst = m != NULL ? rte_pktmbuf_append(m, frame->len) : NULL;

	if (dst == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memcpy(dst, frame->payload, frame->len);
	return m;
}

// Frames of one record. Takes over m. The last frame goes on in the record's own buffer when
// that is a packet buffer; the large ones are few and stay here.
static int frames(struct batch *batch, struct rte_mbuf *m) {
	const uint8_t *src = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *end = src + m->data_len;
	struct cstp_frame frame;
	int ret = 0;

	// An empty record is no frame: stock clients send none, and many would cost time for nothing.
	do {
		struct rte_mbuf *packet;

		ret = cstp_parse(&src, end, &frame);
		if (ret != 0)
			break;
		dp_count(ABI_C_stream_rx, 1);
		if (src == end && m->pool == dp_mbuf_pool) {
			rte_pktmbuf_adj(
				m, (uint16_t)(frame.payload - rte_pktmbuf_mtod(m, uint8_t *)));
			emit(batch, m, frame.type);
			return 0;
		}
		packet = copy_frame(&frame);
		if (packet != NULL)
			emit(batch, packet, frame.type);
		else
			dp_count(ABI_C_drop_no_mbuf, 1);
	} while (src < end);
	rte_pktmbuf_free(m);
	return ret;
}

// RFC 8446, 4.6.3. One message, whole and alone in its record.
static int key_update(struct dp_stream *stream, const uint8_t *text, uint16_t len) {
	if (stream->p->version != ABI_TLS13 || len != TLS_KEY_UPDATE_LEN ||
		text[0] != TLS_HANDSHAKE_KEY_UPDATE || text[1] != 0 || text[2] != 0 ||
		text[3] != 1 || text[4] > 1)
		return -EPROTO;
	if (stream->rx.seq < RASH_RECORDS && ++stream->rash > RASH_MAX)
		return -EPROTO;
	stream_interest(stream, stream->events & ~(uint32_t)EPOLLIN);
	stream_want(stream, STREAM_WANT_RX_KEY);
	if (text[4] == 1 && !stream->update_requested) {
		stream->update_requested = true;
		stream_want(stream, STREAM_WANT_TX_KEY);
	}
	return 0;
}

// An authentic record. Takes over m.
static void deliver(struct batch *batch, const struct tls_record *record, struct rte_mbuf *m) {
	struct dp_stream *stream = batch->stream;
	uint16_t len = record->text_len;
	const uint8_t *text = rte_pktmbuf_mtod(m, const uint8_t *);
	int type = tls_inner_type(stream->p, record->type, text, &len);

	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - (type < 0 ? 0 : len)));
	switch (type) {
	case TLS_APPLICATION_DATA:
		if (frames(batch, m) != 0)
			bad(stream, ABI_C_drop_stream_bad);
		return;
	case TLS_HANDSHAKE:
		if (key_update(stream, text, len) != 0)
			bad(stream, ABI_C_drop_stream_bad);
		break;
	case TLS_ALERT:
		// close_notify, or an error of the client's: either way it is over.
		stream_tx_control(
			stream, TLS_ALERT, (const uint8_t[]){1, TLS_ALERT_CLOSE_NOTIFY}, 2);
		stream_flush(stream);
		stream_close(stream, ABI_END_TEMPORARY, true);
		break;
	default:
		bad(stream, ABI_C_drop_stream_bad);
	}
	rte_pktmbuf_free(m);
}

static void free_rest(const struct batch *batch, unsigned from) {
	for (unsigned i = from; i < batch->n; i++)
		rte_pktmbuf_free(stream_self->ops[i].m);
}

// Opens the batch and acts on it in order. Returns where unread records begin when a key update
// cut the batch short, else `end`.
static const uint8_t *run(struct batch *batch, const uint8_t *end) {
	struct dp_stream *stream = batch->stream;
	bool ok[STREAM_BATCH];
	struct rte_mbuf *m[STREAM_BATCH];

	dp_crypto_run(stream_self->lcore->lcore_no, stream_self->ops, batch->n);
	// Answers sealed on the way use stream_self->ops no more, but keep to private copies.
	for (unsigned i = 0; i < batch->n; i++) {
		ok[i] = stream_self->ops[i].ok;
		m[i] = stream_self->ops[i].m;
	}
	for (unsigned i = 0; i < batch->n; i++) {
		if (!ok[i]) {
			bool failed = stream_self->ops[i].failed;

			bad(stream, failed ? ABI_C_drop_crypto : ABI_C_drop_stream_auth);
			free_rest(batch, i);
			return end;
		}
		stream->rx.seq++;
		deliver(batch, &batch->record[i], m[i]);
		if (stream->state != STREAM_OPEN || stream_rx_paused(stream)) {
			free_rest(batch, i + 1);
			return i + 1 < batch->n ? batch->at[i + 1] : end;
		}
	}
	return end;
}

// Keeps what was not processed. More than one record lies only behind a key update, seldom.
static int keep(struct dp_stream *stream, const uint8_t *src, const uint8_t *end) {
	size_t len = (size_t)(end - src);
	uint8_t *dst = stream->rx_buf;

	if (len > sizeof(stream->rx_buf)) {
		if (rte_mempool_get(stream_spill_pool, (void **)&stream->spill) != 0)
			return -ENOMEM;
		dst = stream->spill;
	}
	memcpy(dst, src, len);
	stream->rx_len = (uint32_t)len;
	return 0;
}

void stream_rx_forget(struct dp_stream *stream) {
	if (stream->spill != NULL)
		rte_mempool_put(stream_spill_pool, stream->spill);
	stream->spill = NULL;
	stream->rx_len = 0;
}

// Moves what was kept to the start of the scratch; returns its length.
static uint32_t resume(struct dp_stream *stream, uint8_t *scratch) {
	uint32_t len = stream->rx_len;

	memcpy(scratch, stream->spill != NULL ? stream->spill : stream->rx_buf, len);
	stream_rx_forget(stream);
	return len;
}

static void process(
	struct dp_stream *stream, struct dp_lcore *owner, const uint8_t *src, const uint8_t *end) {
	struct batch batch = {.stream = stream, .owner = owner};
	int ret;

	do {
		const uint8_t *next = src;

		ret = collect(&batch, &next, end);
		src = run(&batch, next);
	} while (ret == 0 && batch.n == STREAM_BATCH && stream->state == STREAM_OPEN &&
		!stream_rx_paused(stream));
	if (batch.nb_out > 0)
		dp_handoff(batch.owner, batch.out, batch.nb_out);
	if (stream->state != STREAM_OPEN)
		return;
	if (ret == -EPROTO && !stream_rx_paused(stream))
		bad(stream, ABI_C_drop_stream_bad);
	else if (keep(stream, src, end) != 0)
		bad(stream, ABI_C_drop_no_mbuf);
	else if (ret == -ENOMEM)
		stream_rx_again(stream);
}

bool stream_rx_discard(struct dp_stream *stream) {
	ssize_t n;

	stream_self->lcore->stats->syscalls++;
	n = recv(stream->fd, stream_self->scratch, STREAM_SCRATCH, MSG_DONTWAIT);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

// Room in the owner's inbox for what one read can bring; else TCP is to hold the client back.
static bool owner_has_room(const struct dp_lcore *owner) {
	return rte_ring_free_count(owner->inbox) > 2 * STREAM_BATCH;
}

void stream_rx(struct dp_stream *stream) {
	uint8_t *scratch = stream_self->scratch;
	struct dp_session *session = dp_session_get(stream->sid);
	struct dp_lcore *owner;
	uint32_t kept;
	ssize_t n = 0;

	// The session is gone: the control thread's `stop`, with our last words, is on its way.
	if (session == NULL)
		return;
	owner = &dp_lcores[session->owner];
	if (!owner_has_room(owner)) {
		if (stream->rx_len > 0)
			stream_rx_again(stream);
		return;
	}
	kept = resume(stream, scratch);
	if (kept <= TLS_RECORD_MAX) {
		stream_self->lcore->stats->syscalls++;
		n = recv(stream->fd, scratch + kept, STREAM_SCRATCH, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			stream_close(stream, ABI_END_TEMPORARY, true);
			return;
		}
	}
	process(stream, owner, scratch, scratch + kept + (n > 0 ? n : 0));
}
