// SPDX-License-Identifier: GPL-3.0-or-later
// What is installed, told to a control plane that has just attached. Called by the control loop.
#include "dataplane/ctl/dump.h"

#include <errno.h>

#include "dataplane/abi/cmd.h"
#include "dataplane/table/session.h"

#define LOOK_MAX 4096u // sessions at once

static struct {
	bool active;
	uint32_t next; // session index
} dump;

void ctl_dump_start(void) {
	dump.active = true;
	dump.next = 0;
}

void ctl_dump_stop(void) {
	dump.active = false;
}

static void describe(struct dp_session *session, struct abi_evt *evt) {
	*evt = (struct abi_evt){.type = ABI_EVT_SESSION, .sid = session->sid};
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
