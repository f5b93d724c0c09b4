// SPDX-License-Identifier: GPL-3.0-or-later
// The session table: who is connected, with which channels, found by outer tuple or inner address.
//
// Written by the control thread alone (add, remove, outer tuples); fields marked `owner` are
// written by the one worker that owns the session, fields marked `stream` by its stream lcore.
// Readers (workers, streamers) are QSBR-registered liburcu threads: a session they found stays
// valid until their next quiescent state. Removal is deferred by call_rcu-like reclamation.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <rte_mbuf.h>

#include "dataplane/abi/cmd.h"
#include "dataplane/abi/stats.h"
#include "dataplane/crypto/crypto.h"
#include "dataplane/crypto/replay.h"
#include "dataplane/table/filter.h"
#include "dataplane/table/reclaim.h"

struct cfg;

struct dp_neigh;

// The headers in front of a channel's records, made once and used until the way changes.
struct dp_outer {
	uint32_t epoch; // dp_way_epoch that they were made in; 0: none
	uint16_t max; // bytes of payload that the port takes
	uint8_t len; // of the headers, bytes: 42 or 62
	uint8_t port; // in dp_ports
	uint32_t ip_sum; // IPv4: of the header without length, identification and checksum
	uint32_t udp_sum; // of the pseudo header without the length
	struct dp_neigh *neigh; // the next hop: to mark as used
	uint8_t headers[64]; // the last `len` bytes: Ethernet, IP, UDP
};

// One direction of DTLS in one epoch is a key, a nonce base and a counter. Fields are grouped by
// cache lines: sending touches the first two, receiving the two behind them.
struct dp_dtls {
	struct dp_key *tx_key; // ctl makes, owner uses
	uint64_t tx_seq; // owner: next, 48 bits
	uint8_t tx_iv[12];
	uint16_t epoch;
	uint8_t cipher; // enum abi_cipher
	bool confirmed; // owner: an authentic record has arrived
	bool closed; // owner: close_notify came or the numbers ran out: nothing is sent any more
	bool worn; // owner: ABI_EVT_REKEY was sent
	bool copies; // owner, with `outer`: each datagram has its inner packet's DSCP
	struct dp_outer outer; // owner
	struct dp_key *rx_key __attribute__((aligned(64)));
	uint8_t rx_iv[12];
	uint16_t rx_epoch; // owner: of the records that are opened; 0: closed
	uint8_t rx_cipher;
	bool heard; // owner: as `confirmed`
	struct abi_tuple tuple; // owner; the hash's copy is the control thread's
	struct dp_replay replay; // owner
	struct abi_sid sid; // whose it is
	struct dp_reclaim reclaim; // ctl
	struct abi_tuple hashed; // ctl: as the previous channel: its tuple in the hash
	uint64_t retire_s; // ctl: as the previous channel, until then (CLOCK_MONOTONIC)
	struct dp_dtls *retire_next; // ctl
} __attribute__((aligned(64)));

// Bytes per second with a burst of a quarter of a second; 0 rate: no limit.
struct dp_bucket {
	uint64_t tokens; // bytes
	uint64_t last; // TSC
};

struct dp_stream; // stream/stream.h; lives on one stream lcore

struct dp_session {
	// The first two lines are looked at for each packet. Workers that hand packets over read the
	// first one alone: the owner writes there only what seldom changes, and with each packet to
	// the second one.
	struct abi_sid sid;
	uint16_t owner; // worker number
	uint16_t streamer; // stream lcore number
	uint16_t mtu; // of policy: inner bytes on the stream
	uint8_t flags; // ABI_POLICY_*
	_Atomic uint8_t tx_channel; // owner and stream: 0 none, 1 stream, 2 DTLS: where to send
	struct dp_dtls *_Atomic dtls; // ctl publishes; owner uses; replaced whole
	struct dp_dtls
		*_Atomic dtls_prev; // ctl: the channel replaced last, for records on their way
	struct dp_stream *_Atomic stream; // ctl publishes
	struct abi_session_stats *stats; // owner
	uint32_t inner4; // network order, 0: none
	uint16_t ended; // owner: 1 + the reason that was reported: no timer runs any more
	bool dtls_live; // owner: ABI_EVT_DTLS_UP was sent, and no DTLS_DOWN since
	bool has6;
	uint16_t dtls_mtu; // of `dtls`: inner bytes; 0: as `mtu`
	bool limited; // policy has a rate
	_Atomic bool filtered; // ctl: `filter` is to be looked at
	_Atomic bool routed; // ctl: there are networks behind its client
	// timers (TSC), owner
	uint64_t last_rx __attribute__((aligned(64))); // any authentic record
	uint64_t last_dtls_rx;
	uint64_t last_tx; // anything sent
	uint64_t last_data; // data that counts as use
	struct abi_policy policy; // owner: replaced by message
	uint8_t inner6[16];
	uint8_t inner6_prefix;
	uint64_t last_probe;
	uint64_t started; // session timeout counts from here
	struct dp_bucket rx_bucket, tx_bucket; // owner
	struct dp_filter *_Atomic filter; // ctl publishes: where it may reach; NULL: everywhere
	// ctl alone
	// The present channel's tuple as the hash has it, which reads it by words of 8.
	struct abi_tuple hashed __attribute__((aligned(8)));
	uint8_t dscp; // of `policy`, for streams
	struct dp_reclaim reclaim;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct dp_session) <= 512, "dp_session");
_Static_assert(offsetof(struct dp_session, last_rx) == 64, "dp_session: what is read");
_Static_assert(offsetof(struct dp_dtls, rx_key) == 128, "dp_dtls: sending");
_Static_assert(offsetof(struct dp_dtls, replay) == 192, "dp_dtls: receiving");

// The owner's, or before it knows of the session.
static inline void dp_session_policy_set(
	struct dp_session *session, const struct abi_policy *policy) {
	session->policy = *policy;
	session->mtu = policy->mtu;
	session->flags = (uint8_t)policy->flags;
	session->limited = policy->rx_bytes_per_s != 0 || policy->tx_bytes_per_s != 0;
}

// Boot. max: sessions_max of the configuration; stats: that many entries, or NULL: private ones.
int dp_session_table_init(uint32_t max, struct abi_session_stats *stats);
void dp_session_table_fini(void);
// Boot, after init: the client pools, whose addresses sessions may have. Kept by copy. 0 or -errno
// (-E2BIG: a v4 pool is shorter than /8).
int dp_session_pools_set(const struct cfg *cfg);
uint32_t dp_session_max(void);
uint32_t dp_session_count(void); // installed now

// Control thread. 0 or -EEXIST, -EINVAL, -ENOSPC, -EADDRINUSE, -ESTALE, -ENOMEM, -ENOENT (filter).
int dp_session_add(const struct abi_cmd *cmd);
int dp_session_del(struct abi_sid sid, enum abi_end reason);
// The filter is in force for all that workers look at from now on; NULL: none. Takes over the
// reference, and gives back the one before.
void dp_session_filter_set(struct dp_session *session, struct dp_filter *filter);
// Installs or replaces the DTLS channel; the one before goes on decrypting for some seconds.
int dp_session_dtls_set(const struct abi_cmd *cmd);
// Removes the present DTLS channel. 0 or -ESTALE.
int dp_session_dtls_clear(struct abi_sid sid);
// The channel's addresses changed. 0: the hash has `tuple` for this session alone then; -ENOENT: they are
// not its present channel's (any more), nothing is done; or -ENOSPC.
int dp_session_tuple_set(struct dp_session *session, const struct abi_tuple *tuple);
// Inner addresses in the boundary's form, all zero when there is none.
void dp_session_addresses(
	const struct dp_session *session, struct abi_addr *inner4, struct abi_addr *inner6);
// Once a second: frees what is kept for a while. now_s: CLOCK_MONOTONIC.
void dp_session_tick(uint64_t now_s);

// Any registered reader. NULL when there is none or its generation is another.
struct dp_session *dp_session_get(struct abi_sid sid);
// By index alone (timers, dump).
struct dp_session *dp_session_at(uint32_t index);

// Bulk by outer tuple: n <= 64; out[i] NULL when unknown. The sessions themselves are not touched.
void dp_session_lookup_bulk(
	const struct abi_tuple *const *tuples, unsigned n, struct dp_session **out);
// Candidates for a datagram from an unknown address of a known client address (NAT port moved).
unsigned dp_session_candidates(
	const struct abi_addr *remote, struct dp_session **out, unsigned max);

// By inner destination: direct index within the pools. NULL: nobody.
struct dp_session *dp_session_by_inner4(uint32_t addr); // network order
struct dp_session *dp_session_by_inner6(const uint8_t *addr);
// The same of the destinations of `n` IP packets, 64 at most; the sessions themselves are not touched:
// whether an IPv6 address is within the session's prefix (dp_session_has6) is left to the caller. Of
// each packet the bytes of an IPv4 or IPv6 header are read, be they valid or not. Bit i of the result:
// the i-th address is in a pool.
uint64_t dp_session_inner_bulk(const uint8_t *const *ips, unsigned n, struct dp_session **out);
// Is the address in a client pool at all (then never sent to the LAN)?
bool dp_session_pool4(uint32_t addr);
bool dp_session_pool6(const uint8_t *addr);

// Owner: nothing is sent or received on the channel any more.
static inline void dp_dtls_close(struct dp_dtls *dtls) {
	dtls->closed = true;
	dtls->rx_epoch = 0;
}

static inline bool dp_tuple_equal(const struct abi_tuple *a, const struct abi_tuple *b) {
#ifdef __SSE2__
	// half of the instructions of a memcmp
	__m128i local = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)&a->local),
		_mm_loadu_si128((const __m128i *)&b->local));
	__m128i remote = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)&a->remote),
		_mm_loadu_si128((const __m128i *)&b->remote));
	__m128i ports = _mm_cmpeq_epi8(_mm_loadl_epi64((const __m128i *)&a->local_port),
		_mm_loadl_epi64((const __m128i *)&b->local_port));

	return _mm_movemask_epi8(_mm_and_si128(_mm_and_si128(local, remote), ports)) == 0xffff;
#else
	return __builtin_memcmp(a, b, sizeof(*a)) == 0;
#endif
}

// Is the IPv6 address within the session's prefix?
static inline bool dp_session_has6(const struct dp_session *session, const uint8_t *addr) {
	unsigned bytes = session->inner6_prefix / 8u, bits = session->inner6_prefix % 8u;

	if (!session->has6 || __builtin_memcmp(addr, session->inner6, bytes) != 0)
		return false;
	return bits == 0 ||
		((addr[bytes] ^ session->inner6[bytes]) & (uint8_t)(0xff00u >> bits)) == 0;
}
