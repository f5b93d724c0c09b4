// SPDX-License-Identifier: GPL-3.0-or-later
// Parts that several tunnel nodes and the session timers share. Called on packet workers.
#include "dataplane/node/tunnel.h"

#include <string.h>

#include "dataplane/port.h"
#include "dataplane/stream/stream.h"

enum inner_verdict tunnel_inner_check6(
	const struct dp_session *session, const uint8_t *ip, uint32_t len, uint32_t *ip_len) {
	if (len < 40)
		return INNER_BAD;
	*ip_len = 40u + (uint32_t)(ip[4] << 8 | ip[5]);
	if (*ip_len > len)
		return INNER_BAD;
	if (!dp_session_has6(session, ip + 8))
		return INNER_SOURCE;
	return tunnel_is_use(ip, len) ? INNER_OK : INNER_OK_ICMP;
}

static uint16_t channels_up(struct dp_session *session) {
	uint16_t up = session->dtls_live ? ABI_CHANNEL_DTLS : 0;

	if (atomic_load_explicit(&session->stream, memory_order_relaxed) != NULL)
		up |= ABI_CHANNEL_STREAM;
	return up;
}

void tunnel_end(struct dp_session *session, enum abi_end reason) {
	struct abi_evt evt = {
		.type = ABI_EVT_SESSION_END,
		.reason = reason,
		.sid = session->sid,
	};

	session->ended = (uint16_t)(reason + 1);
	dp_event(&evt);
}

void tunnel_dtls_event(struct dp_session *session, enum abi_evt_type type, enum abi_end reason,
	const struct abi_tuple *tuple) {
	struct abi_evt evt = {
		.type = (uint16_t)type,
		.channels = channels_up(session),
		.reason = reason,
		.sid = session->sid,
		.tuple = *tuple,
	};

	session->stats->channels = (uint8_t)evt.channels;
	dp_event(&evt);
}

static struct rte_mbuf *frame_new(struct dp_session *session, enum dp_frame frame) {
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_mbuf_pool);
	struct dp_pkt *pkt;

	if (m == NULL) {
		dp_count(ABI_C_drop_no_mbuf, 1);
		return NULL;
	}
	pkt = dp_pkt(m);
	memset(pkt, 0, sizeof(*pkt));
	pkt->session = session;
	pkt->sid = session->sid;
	pkt->frame = (uint8_t)frame;
	pkt->resume = DP_RESUME_DTLS_ENCODE;
	return m;
}

bool tunnel_frame_dtls(struct dp_session *session, enum dp_frame frame) {
	struct rte_mbuf *m = frame_new(session, frame);

	if (m == NULL)
		return false;
	// timers run between walks: the next walk finds it in the worker's own inbox
	if (rte_ring_mp_enqueue(dp_self->inbox, m) == 0)
		return true;
	dp_drop(&m, 1, ABI_C_drop_handoff_full);
	return false;
}

bool tunnel_frame_stream(struct dp_session *session, enum dp_frame frame) {
	struct rte_mbuf *m = frame_new(session, frame);

	if (m == NULL)
		return false;
	dp_stream_send(session, &m, 1);
	return true;
}

void tunnel_to_owners(struct rte_mbuf **pkts, unsigned n) {
	struct rte_mbuf *of[DP_BURST];

	while (n > 0) {
		unsigned owner = dp_pkt(pkts[0])->session->owner, nb = 0, left = 0;

		for (unsigned i = 0; i < n; i++) {
			if (dp_pkt(pkts[i])->session->owner == owner && nb < DP_BURST)
				of[nb++] = pkts[i];
			else
				pkts[left++] = pkts[i];
		}
		n = left;
		dp_handoff(&dp_lcores[owner], of, nb);
	}
}
