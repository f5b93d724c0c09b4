// SPDX-License-Identifier: GPL-3.0-or-later
// What a packet carries with it between nodes: the private area of each mbuf.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/abi/abi.h"

struct dp_dtls;
struct dp_session;

// Frame types of CSTP and AnyConnect DTLS (protocol.md 3.3); the same numbers in both framings.
enum dp_frame {
	DP_FRAME_DATA = 0,
	DP_FRAME_DPD_REQ = 3,
	DP_FRAME_DPD_RESP = 4,
	DP_FRAME_DISCONNECT = 5,
	DP_FRAME_KEEPALIVE = 7,
	DP_FRAME_COMPRESSED = 8,
	DP_FRAME_TERMINATE = 9,
};

// Which node a packet that changes lcore goes on with; order of handoff-rx's edges.
enum dp_resume {
	DP_RESUME_DTLS_DECODE = 0, // outer datagram, data at the DTLS record, tuple filled
	DP_RESUME_TUNNEL_IN, // clear frame from a stream: data at the payload, `frame` set
	DP_RESUME_TUNNEL_OUT, // inner packet for `session`
	DP_RESUME_DTLS_ENCODE, // complete frame payload for `session`, `frame` set (DPD, keepalive)
	DP_RESUME_INJECT, // control plane's datagram: data at the UDP payload, tuple filled
	DP_RESUME_TX, // complete frame for `port`, which this worker has no transmit queue of
	DP_RESUME_MAX,
};

// Private area. Field owners in brackets.
// The first line is all that most packets on their way to a client need.
// `session` at dtls-decode: whose datagram it is, where another worker has looked that up.
struct dp_pkt {
	struct dp_session
		*session; // [dtls-decode, l3-forward, handoff-rx]; NULL: not known yet, or ended
	struct abi_sid sid; // [with session, stream]: who it is after a change of lcore
	union {
		const void *adjacency; // struct dp_route: the way to the LAN [l3-forward]
		struct dp_dtls *dtls; // whose record it is, with `session` [dtls-encode]
	};
	uint64_t seq; // DTLS record sequence number with epoch [dtls-decode/encode]
	uint8_t frame; // enum dp_frame [dtls-decode, stream, tunnel-out]
	uint8_t resume; // enum dp_resume [whoever hands off]
	uint8_t from_stream; // 1: arrived in the TLS stream [stream]
	uint8_t port; // index into dp_ports of the port it came from or goes to
	uint16_t worker; // that received a handshake datagram [punt-control]
	uint16_t icmp_mtu; // with ICMP_TOO_BIG, bytes
	uint8_t l3_flags; // DP_L3_* [l3-input, icmp-error, icmp-local]
	uint8_t icmp_kind; // enum icmp_kind: what icmp-error is to say [l3-forward, lan-output]
	uint8_t tos; // of the inner packet, without ECN, where the session copies it [tunnel-out]
	uint8_t unsummed; // 1: no NIC has checked its UDP checksum [classify]
	struct abi_tuple tuple __attribute__((aligned(64))); // outer addresses [classify]
} __attribute__((aligned(64)));

#define DP_L3_LOCAL 1u // made here, not forwarded: no hop is taken off

#define DP_PKT_PRIV_SIZE RTE_ALIGN(sizeof(struct dp_pkt), RTE_MBUF_PRIV_ALIGN)

static inline struct dp_pkt *dp_pkt(struct rte_mbuf *m) {
	return rte_mbuf_to_priv(m);
}
