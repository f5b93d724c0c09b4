// SPDX-License-Identifier: GPL-3.0-or-later
// Tells the session process, which counts, of wrong passwords; called for each login that failed.

#include "report.h"

void report_wrong_password(struct child *child, const struct abi_addr *remote) {
	struct ipc_chan *session = child_peer(child, IPC_SESSION, 0);
	struct ipc_wrong_password msg = {.remote = *remote};

	// While nobody counts the hashing of passwords is what slows an attacker down.
	if (session != NULL)
		ipc_send(session, IPC_WRONG_PASSWORD, &msg.hdr, sizeof(msg), NULL, 0);
}
