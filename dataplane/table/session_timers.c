// SPDX-License-Identifier: GPL-3.0-or-later
// Dead peers, keepalives, idle and session timeouts, the fall back from DTLS to the stream. Called
// by the poll loop of the worker that owns the sessions, a slice at a time.
#include "dataplane/table/session_timers.h"

#include <time.h>

#include <rte_cycles.h>

#include "dataplane/node/tunnel.h"
#include "dataplane/table/session.h"

#define SLICES 100u // of the table; one each 10 ms
#define SILENCE_PROBE 2u // x DPD: ask
#define SILENCE_DEAD 3u // x DPD: gone (protocol of ocserv)

// CLOCK_MONOTONIC and TSC of one moment, so that no clock has to be asked again.
static _Thread_local struct {
	uint64_t tsc;
	uint64_t monotonic_s;
	uint32_t at; // next index to look at
} base;

static void base_set(uint64_t now) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	base.tsc = now;
	base.monotonic_s = (uint64_t)ts.tv_sec;
}

// Seconds from `then` to now; a stamp of this very moment may lie ahead of `now`.
static uint64_t elapsed_s(uint64_t now, uint64_t then) {
	return then < now ? (now - then) / dp_tsc_hz : 0;
}

static uint64_t monotonic_s(uint64_t now, uint64_t stamp) {
	uint64_t seconds = base.monotonic_s + elapsed_s(now, base.tsc);
	uint64_t ago = elapsed_s(now, stamp);

	return ago < seconds ? seconds - ago : 0;
}

static bool over(uint64_t now, uint64_t since, uint64_t limit_s) {
	return limit_s != 0 && elapsed_s(now, since) >= limit_s;
}

// Ends for good; false: the session lives.
static bool ends(struct dp_session *session, uint64_t now) {
	const struct abi_policy *policy = &session->policy;
	enum abi_end reason;

	if (over(now, session->started, policy->session_timeout_s))
		reason = ABI_END_SESSION_TIMEOUT;
	else if (over(now, session->last_data, policy->idle_timeout_s))
		reason = ABI_END_IDLE;
	else if (over(now, session->last_rx, (uint64_t)policy->dpd_s * SILENCE_DEAD))
		reason = ABI_END_DPD;
	else
		return false;
	tunnel_end(session, reason);
	return true;
}

static bool has_stream(struct dp_session *session) {
	return atomic_load_explicit(&session->stream, memory_order_relaxed) != NULL;
}

// DTLS has been silent for too long: what goes out takes the stream until DTLS is heard again.
static void dtls_silent(struct dp_session *session, uint64_t now) {
	const struct abi_policy *policy = &session->policy;
	uint64_t limit = policy->switch_to_tcp_s != 0 ? policy->switch_to_tcp_s
						      : (uint64_t)policy->dpd_s * SILENCE_DEAD;
	struct dp_dtls *dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);

	if (!session->dtls_live || dtls == NULL || !over(now, session->last_dtls_rx, limit))
		return;
	session->dtls_live = false;
	if (has_stream(session))
		atomic_store_explicit(&session->tx_channel, 1, memory_order_relaxed);
	tunnel_dtls_event(session, ABI_EVT_DTLS_DOWN, ABI_END_DPD, &dtls->tuple);
}

static void probe(struct dp_session *session, uint64_t now) {
	uint64_t dpd = session->policy.dpd_s;
	bool sent = false;

	if (dpd == 0 || !over(now, session->last_probe, dpd / 2 + 1))
		return;
	if (session->dtls_live && over(now, session->last_dtls_rx, dpd * SILENCE_PROBE))
		sent = tunnel_frame_dtls(session, DP_FRAME_DPD_REQ);
	if (has_stream(session) && over(now, session->last_rx, dpd * SILENCE_PROBE))
		sent = tunnel_frame_stream(session, DP_FRAME_DPD_REQ) || sent;
	if (sent)
		session->last_probe = session->last_tx = now;
}

static void keepalive(struct dp_session *session, uint64_t now) {
	bool sent;

	if (!over(now, session->last_tx, session->policy.keepalive_s))
		return;
	if (session->dtls_live)
		sent = tunnel_frame_dtls(session, DP_FRAME_KEEPALIVE);
	else
		sent = has_stream(session) && tunnel_frame_stream(session, DP_FRAME_KEEPALIVE);
	if (sent)
		session->last_tx = now;
}

static void stats(struct dp_session *session, uint64_t now) {
	struct abi_session_stats *s = session->stats;
	uint8_t channels = session->dtls_live ? ABI_CHANNEL_DTLS : 0;
	uint8_t tx = atomic_load_explicit(&session->tx_channel, memory_order_relaxed);

	if (has_stream(session))
		channels |= ABI_CHANNEL_STREAM;
	if (tx == 2 && !session->dtls_live)
		tx = has_stream(session) ? 1 : 0;
	s->channels = channels;
	s->channel_tx = tx;
	__atomic_store_n(&s->last_rx_s, monotonic_s(now, session->last_rx), __ATOMIC_RELAXED);
	__atomic_store_n(&s->last_data_s, monotonic_s(now, session->last_data), __ATOMIC_RELAXED);
}

static void look(struct dp_session *session, uint64_t now) {
	if (session->ended != 0) {
		// still there: the event was lost
		tunnel_end(session, (enum abi_end)(session->ended - 1));
		return;
	}
	if (ends(session, now))
		return;
	dtls_silent(session, now);
	probe(session, now);
	keepalive(session, now);
	stats(session, now);
}

void dp_session_timers(struct dp_lcore *self, uint64_t now) {
	uint32_t max = dp_session_max(), slice = (max + SLICES - 1) / SLICES;

	if (base.tsc == 0)
		base_set(now);
	// one slice more or less does not matter; all of a small table each time would
	for (uint32_t i = 0; i < slice; i++) {
		struct dp_session *session;

		if (base.at >= max)
			base.at = 0;
		session = dp_session_at(base.at++);
		if (session != NULL && session->owner == self->number)
			look(session, now);
	}
}
