// SPDX-License-Identifier: GPL-3.0-or-later
// Timers of sessions on their owners. Called by the poll loop.
#pragma once

#include <stdint.h>

struct dp_lcore;

// Packet worker, about each 10 ms, between walks: looks at a slice of the sessions that it owns,
// so that each is seen about once a second. now: TSC. Never blocks.
void dp_session_timers(struct dp_lcore *self, uint64_t now);
