// SPDX-License-Identifier: GPL-3.0-or-later
// Node tunnel-out: inner packets for clients, on the channel that the client used last.
#include "dataplane/graph.h"
#include "dataplane/node/tunnel.h"
#include "dataplane/stream/stream.h"

#include <rte_cycles.h>

enum {
	EDGE_DTLS_ENCODE,
	EDGE_MAX,
};

enum channel {
	CHANNEL_NONE = 0,
	CHANNEL_STREAM = 1,
	CHANNEL_DTLS = 2,
};

// What goes to one session in a row: looked at for the first packet, counted after the last.
struct tally {
	struct dp_session *session; // NULL: none
	uint64_t packets, bytes;
	bool use; // some of them count as use
};

struct out {
	struct rte_mbuf *away[DP_BURST]; // to other owners
	struct rte_mbuf *dtls[DP_BURST];
	struct rte_mbuf *stream[DP_BURST]; // of stream_session
	struct dp_session *stream_session;
	unsigned nb_away, nb_dtls, nb_stream;
	struct tally tally; // of packets by DTLS
};

static void stream_flush(struct out *out) {
	if (out->nb_stream > 0)
		dp_stream_send(out->stream_session, out->stream, out->nb_stream);
	out->nb_stream = 0;
}

static enum channel channel_of(struct dp_session *session) {
	bool stream = atomic_load_explicit(&session->stream, memory_order_relaxed) != NULL;
	struct dp_dtls *dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);
	bool has_dtls = dtls != NULL && !dtls->closed;

	if (has_dtls &&
		atomic_load_explicit(&session->tx_channel, memory_order_relaxed) == CHANNEL_DTLS)
		return CHANNEL_DTLS;
	if (stream)
		return CHANNEL_STREAM;
	// the stream broke while DTLS goes on: openconnect reconnects it in its own time
	return has_dtls && dtls->confirmed ? CHANNEL_DTLS : CHANNEL_NONE;
}

// To the session's owner, or dropped; else the packet is ready for a channel.
static bool admit(struct out *out, struct rte_mbuf *m, uint64_t now) {
	struct dp_pkt *pkt = dp_pkt(m);
	struct dp_session *session = pkt->session;

	if (unlikely(session == NULL)) {
		dp_drop(&m, 1, ABI_C_drop_stale);
		return false;
	}
	if (session->owner != dp_self->number) { // before what the owner writes is looked at
		pkt->resume = DP_RESUME_TUNNEL_OUT;
		out->away[out->nb_away++] = m;
		return false;
	}
	if (unlikely(session->ended != 0)) {
		dp_drop(&m, 1, ABI_C_drop_stale);
		return false;
	}
	if (unlikely(session->limited) &&
		!tunnel_bucket_take(
			&session->tx_bucket, session->policy.tx_bytes_per_s, m->pkt_len, now)) {
		dp_drop(&m, 1, ABI_C_drop_rate);
		return false;
	}
	return true;
}

static inline void tally_add(struct tally *tally, const struct rte_mbuf *m) {
	tally->packets++;
	tally->bytes += m->pkt_len;
	tally->use |= tunnel_is_use(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
}

static void tally_flush(struct tally *tally, uint64_t now) {
	struct dp_session *session = tally->session;

	if (session == NULL)
		return;
	tunnel_add(&session->stats->tx_packets, tally->packets);
	tunnel_add(&session->stats->tx_bytes, tally->bytes);
	session->last_tx = now;
	if (tally->use)
		session->last_data = now;
	*tally = (struct tally){.session = NULL};
}

static void by_stream(struct out *out, struct rte_mbuf *m) {
	struct dp_session *session = dp_pkt(m)->session;

	if (out->stream_session != session)
		stream_flush(out);
	out->stream_session = session;
	out->stream[out->nb_stream++] = m;
}

// The traffic class without ECN, which is the tunnel's own (RFC 2983, 4; RFC 6040 would need the
// other end's part).
static uint8_t inner_tos(const uint8_t *ip) {
	uint8_t tos = ip[0] >> 4 == 4 ? ip[1] : (uint8_t)(ip[0] << 4 | ip[1] >> 4);

	return tos & 0xfc;
}

// The first packet of a row, or one that has a limit, goes by the stream or lends its DSCP.
static __attribute__((noinline)) void packet_first(
	struct out *out, struct rte_mbuf *m, uint64_t now) {
	struct tally alone = {.session = NULL};
	enum channel channel;

	tally_flush(&out->tally, now);
	if (!admit(out, m, now))
		return;
	dp_pkt(m)->frame = DP_FRAME_DATA;
	channel = channel_of(dp_pkt(m)->session);
	if (channel == CHANNEL_NONE) {
		dp_drop(&m, 1, ABI_C_drop_no_channel);
		return;
	}
	alone.session = dp_pkt(m)->session;
	tally_add(&alone, m);
	if (unlikely(alone.session->flags & ABI_POLICY_DSCP_COPY))
		dp_pkt(m)->tos = inner_tos(rte_pktmbuf_mtod(m, const uint8_t *));
	else if (channel == CHANNEL_DTLS && alone.session->policy.tx_bytes_per_s == 0)
		out->tally = alone;
	if (out->tally.session == NULL)
		tally_flush(&alone, now);
	if (channel == CHANNEL_DTLS)
		out->dtls[out->nb_dtls++] = m;
	else
		by_stream(out, m);
}

static inline void packet(struct out *out, struct rte_mbuf *m, uint64_t now) {
	struct dp_pkt *pkt = dp_pkt(m);

	if (pkt->session == NULL || pkt->session != out->tally.session) {
		packet_first(out, m, now);
		return;
	}
	pkt->frame = DP_FRAME_DATA;
	tally_add(&out->tally, m);
	out->dtls[out->nb_dtls++] = m;
}

static uint16_t tunnel_out_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n) {
	uint64_t now = rte_rdtsc();

	for (uint16_t done = 0; done < n;) {
		uint16_t burst = RTE_MIN((uint16_t)(n - done), (uint16_t)DP_BURST);
		struct out out;

		out.nb_away = out.nb_dtls = out.nb_stream = 0;
		out.stream_session = NULL;
		out.tally = (struct tally){.session = NULL};
		for (uint16_t i = 0; i < burst; i++)
			packet(&out, objs[done + i], now);
		tally_flush(&out.tally, now);
		stream_flush(&out);
		tunnel_to_owners(out.away, out.nb_away);
		tunnel_enqueue(graph, node, EDGE_DTLS_ENCODE, out.dtls, out.nb_dtls);
		done += burst;
	}
	return n;
}

static struct rte_node_register tunnel_out_node = {
	.name = DP_NODE_TUNNEL_OUT,
	.process = tunnel_out_process,
	.nb_edges = EDGE_MAX,
	.next_nodes =
		{
			[EDGE_DTLS_ENCODE] = DP_NODE_DTLS_ENCODE,
		},
};
RTE_NODE_REGISTER(tunnel_out_node);
