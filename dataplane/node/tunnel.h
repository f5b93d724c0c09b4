// SPDX-License-Identifier: GPL-3.0-or-later
// What the tunnel nodes share: bandwidth limits, the inner packet's check, ends of sessions.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "dataplane/pkt.h"
#include "dataplane/table/session.h"
#include "dataplane/worker.h"

enum inner_verdict {
	INNER_OK, // counts as use of the session
	INNER_OK_ICMP, // does not
	INNER_BAD, // not a whole IPv4 or IPv6 packet
	INNER_SOURCE, // somebody else's source address
};

// Does an inner packet count as use of the session? All but ICMP does.
static inline bool tunnel_is_use(const uint8_t *ip, uint32_t len) {
	if (len >= 20 && ip[0] >> 4 == 4)
		return ip[9] != 1;
	return !(len >= 40 && ip[0] >> 4 == 6 && ip[6] == 58);
}

// Part of tunnel_inner_check.
enum inner_verdict tunnel_inner_check6(
	const struct dp_session *session, const uint8_t *ip, uint32_t len, uint32_t *ip_len);

// Checks an inner packet that came from the session's client: `len` bytes at `ip`. Sets *ip_len
// to the packet's own length, which may be less.
static inline enum inner_verdict tunnel_inner_check(
	const struct dp_session *session, const uint8_t *ip, uint32_t len, uint32_t *ip_len) {
	unsigned header;
	uint32_t source;

	if (unlikely(len < 20 || ip[0] >> 4 != 4)) {
		uint32_t len6 = 0;
		enum inner_verdict verdict = len > 0 && ip[0] >> 4 == 6
			? tunnel_inner_check6(session, ip, len, &len6)
			: INNER_BAD;

		*ip_len = len6;
		return verdict;
	}
	header = (ip[0] & 15u) * 4;
	*ip_len = (uint32_t)(ip[2] << 8 | ip[3]);
	if (header < 20 || header > *ip_len || *ip_len > len)
		return INNER_BAD;
	__builtin_memcpy(&source, ip + 12, sizeof(source));
	if (session->inner4 == 0 || source != session->inner4)
		return INNER_SOURCE;
	return ip[9] != 1 ? INNER_OK : INNER_OK_ICMP; // as tunnel_is_use
}

// Takes `bytes` out of the bucket; false: beyond the rate. Owner only.
static inline bool tunnel_bucket_take(
	struct dp_bucket *bucket, uint32_t rate, uint32_t bytes, uint64_t now) {
	uint64_t burst = rate / 4 + 9216; // a quarter of a second, and never less than a packet
	uint64_t cycles = now - bucket->last;

	if (rate == 0)
		return true;
	if (cycles >= dp_tsc_hz)
		bucket->tokens = burst;
	else
		bucket->tokens += (uint64_t)((unsigned __int128)cycles * rate / dp_tsc_hz);
	if (bucket->tokens > burst)
		bucket->tokens = burst;
	bucket->last = now;
	if (bucket->tokens < bytes)
		return false;
	bucket->tokens -= bytes;
	return true;
}

// Owner: reports that the session is over; the control thread removes it.
void tunnel_end(struct dp_session *session, enum abi_end reason);

// Owner: reports a change of the session's DTLS channel (ABI_EVT_DTLS_*, ABI_EVT_REKEY).
void tunnel_dtls_event(struct dp_session *session, enum abi_evt_type type, enum abi_end reason,
	const struct abi_tuple *tuple);

// Owner: a frame without payload (probe, keepalive) on its way by the channel; false: no buffer.
bool tunnel_frame_dtls(struct dp_session *session, enum dp_frame frame);
bool tunnel_frame_stream(struct dp_session *session, enum dp_frame frame);

static inline void tunnel_add(uint64_t *counter, uint64_t n) {
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

// rte_node_enqueue of nothing would put the node into the walk's ring once more for each call, and
// overrun it.
#define tunnel_enqueue(graph, node, edge, pkts, n) \
	do { \
		if ((n) > 0) \
			rte_node_enqueue((graph), (node), (edge), (void **)(pkts), (uint16_t)(n)); \
	} while (0)

// Hands the packets to their sessions' owners, dp_pkt(m)->resume and session set.
void tunnel_to_owners(struct rte_mbuf **pkts, unsigned n);
