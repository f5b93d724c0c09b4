// SPDX-License-Identifier: GPL-3.0-or-later
// Events of workers and stream lcores: the tables follow, and the control plane hears of them.
// Called by the control loop.
#include "dataplane/ctl/events.h"

#include <errno.h>

#include "dataplane/ctl/attach.h"
#include "dataplane/ctl/count.h"
#include "dataplane/ctl/iroutes.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/session.h"

#define BURST 64u

static void session_end(struct dp_session *session, const struct abi_evt *evt) {
	enum abi_end reason = evt->reason < ABI_END_MAX ? evt->reason : ABI_END_UNSPECIFIED;

	dp_stream_detach(session, reason);
	ctl_iroutes_clear(evt->sid);
	dp_session_del(evt->sid, reason);
	dp_stats->sessions = dp_session_count();
}

// Closed by the client or worn out: its keys go. Merely silent: they stay for its return.
static void dtls_down(struct dp_session *session, const struct abi_evt *evt) {
	struct dp_dtls *dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);

	if (evt->reason != ABI_END_DPD && dtls != NULL && dtls->closed)
		dp_session_dtls_clear(evt->sid);
}

// False: of a session that is gone, or of a channel that is not its own any more: not told.
static bool act(const struct abi_evt *evt) {
	struct dp_session *session = dp_session_get(evt->sid);

	if (session == NULL)
		return false;
	switch (evt->type) {
	case ABI_EVT_SESSION_END:
		session_end(session, evt);
		break;
	case ABI_EVT_DTLS_DOWN:
		dtls_down(session, evt);
		break;
	case ABI_EVT_DTLS_MOVED:
		return dp_session_tuple_set(session, &evt->tuple) != -ENOENT;
	default:
		break;
	}
	return true;
}

static void tell(const struct abi_evt *evt) {
	struct ctl_peer *peer = ctl_session_peer();

	// nobody there: the next control plane asks by a dump
	if (peer == NULL || abi_ring_push(&peer->evt, evt) == 0)
		return;
	ctl_count(ABI_C_abi_evt_full, 1);
}

bool ctl_events_process(unsigned budget) {
	struct abi_evt evts[BURST];
	struct ctl_peer *peer;
	unsigned n;

	n = dp_event_take(evts, budget < BURST ? budget : BURST);
	for (unsigned i = 0; i < n; i++)
		if (act(&evts[i]))
			tell(&evts[i]);
	peer = n > 0 ? ctl_session_peer() : NULL;
	if (peer != NULL)
		abi_ring_notify(&peer->evt);
	return n == BURST;
}
