// SPDX-License-Identifier: GPL-3.0-or-later
// What is installed, told to a control plane that has just attached. Called by the control loop.
#include "dataplane/ctl/dump.h"

#include <errno.h>

#include "dataplane/abi/cmd.h"
#include "dataplane/ctl/iroutes.h"
#include "dataplane/table/filter.h"
#include "dataplane/table/session.h"

#define LOOK_MAX 4096u // sessions at once

// Filters are few enough to be named at the start, and stay the same while they are told.
static struct {
	bool active;
	uint32_t next; // session index
	unsigned nb_filters, next_filter;
	uint64_t filters[ABI_FILTERS_MAX];
} dump;

void ctl_dump_start(void) {
	dump.active = true;
	dump.next = 0;
	dump.next_filter = 0;
	dump.nb_filters = dp_filter_names(dump.filters, ABI_FILTERS_MAX);
}

void ctl_dump_stop(void) {
	dump.active = false;
}

static void describe(struct dp_session *session, struct abi_evt *evt) {
	const struct dp_filter *filter = atomic_load_explicit(
		&session->filter, memory_order_relaxed);

	*evt = (struct abi_evt){.type = ABI_EVT_SESSION, .sid = session->sid};
	evt->filter = filter != NULL ? filter->name : 0;
	evt->nb_iroutes = ctl_iroutes_count(session->sid);
	if (atomic_load_explicit(&session->stream, memory_order_relaxed) != NULL)
		evt->channels |= ABI_CHANNEL_STREAM;
	if (atomic_load_explicit(&session->dtls, memory_order_relaxed) != NULL) {
		evt->channels |= ABI_CHANNEL_DTLS;
		evt->tuple = session->hashed;
	}
	dp_session_addresses(session, &evt->inner4, &evt->inner6);
}

bool ctl_dump_process(struct ctl_peer *peer, bool *stalled) {
	uint32_t max = dp_session_max(), looked = 0;
	struct abi_evt evt;
	int rc = 0;

	*stalled = false;
	if (!dump.active)
		return false;
	while (rc == 0 && dump.next_filter < dump.nb_filters) {
		evt = (struct abi_evt){
			.type = ABI_EVT_FILTER, .filter = dump.filters[dump.next_filter]};
		rc = abi_ring_push(&peer->evt, &evt);
		dump.next_filter += rc == 0;
	}
	for (; rc == 0 && dump.next < max && looked < LOOK_MAX; looked++) {
		struct dp_session *session = dp_session_at(dump.next);

		if (session != NULL) {
			describe(session, &evt);
			rc = abi_ring_push(&peer->evt, &evt);
		}
		if (rc == 0)
			dump.next++;
	}
	if (rc == 0 && dump.next == max) {
		evt = (struct abi_evt){.type = ABI_EVT_DUMP_END};
		rc = abi_ring_push(&peer->evt, &evt);
		dump.active = rc != 0;
	}
	abi_ring_notify(&peer->evt);
	*stalled = rc == -EAGAIN;
	return dump.active && rc == 0;
}
