// SPDX-License-Identifier: GPL-3.0-or-later
// When an lcore that found nothing to do waits a moment rather than for the next packet. Used by
// the loops of packet workers and stream lcores in idle mode `adaptive`.
//
// At a steady rate an lcore that wakes for each packet spends more on waking, polling and system
// calls for one packet than on the packet. From PACE_RATE on it sleeps for PACE_NS instead, like an
// interrupt moderation: what came meanwhile is one burst. That is the latency that it can add.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PACE_NS 50000
#define PACE_WINDOWS_HZ 1000u
#define PACE_RATE 50u // packets a window (of a millisecond)

struct dp_pace {
	uint64_t window; // TSC when it began
	uint64_t packets; // in it so far
	bool hot; // the window before had so many
};

// Each loop: packets that it handled. now, hz: TSC.
static inline void dp_pace_count(
	struct dp_pace *pace, uint64_t now, uint64_t hz, uint64_t packets) {
	pace->packets += packets;
	if (now - pace->window < hz / PACE_WINDOWS_HZ)
		return;
	// A window that a long sleep stretched says that there was little.
	pace->hot = pace->packets >= PACE_RATE && now - pace->window < 2 * (hz / PACE_WINDOWS_HZ);
	pace->window = now;
	pace->packets = 0;
}

static inline void dp_pace_sleep(void) {
	nanosleep(&(struct timespec){.tv_nsec = PACE_NS}, NULL);
}
