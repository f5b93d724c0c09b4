// SPDX-License-Identifier: GPL-3.0-or-later
// What a Disconnect-Request or CoA-Request asks for, checked value by value. Used by dynauth.c;
// fuzzed.
#pragma once

#include <stdbool.h>

#include "packet.h"

// Which gateway this is, and how it names users to servers.
struct change_self {
	const char *nas_identifier;
	struct abi_addr nas_address; // all zero: that which the client of the session came to
	const char *default_realm; // empty: none
};

// When the request says that it was made, CLOCK_REALTIME seconds. False: it does not say.
bool change_timestamp(const struct rpacket *packet, uint32_t *seconds);

// Fills *change but for its header. 0, or the enum ipc_error_cause to refuse it with: nothing of it
// must be done then. What it holds after 0 passes ipc_change_ok().
uint32_t change_read(
	const struct rpacket *packet, const struct change_self *self, struct ipc_change *change);
