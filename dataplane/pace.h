// SPDX-License-Identifier: GPL-3.0-or-later
// When an lcore that found nothing to do waits a moment rather than for the next packet. Used by
// the loops of packet workers and stream lcores in idle mode `adaptive`.
//
// At a steady rate an lcore that wakes for each packet spends more on waking, polling and system
// calls for one packet than on the packet. From PACE_RATE on it naps for PACE_NS instead, like an
// interrupt moderation: what came meanwhile is one burst. That is the latency that it can add.
//
// Super-packets come as bursts already: where a wake-up finds PACE_BURST packets on average, naps
// would only cost their timer (20 us of CPU on virtual machines). While it naps an lcore cannot see
// that, so it waits for packets during one of PACE_TURNS windows.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PACE_NS 50000
#define PACE_WINDOWS_HZ 1000u
#define PACE_RATE 50u // packets a window (of a millisecond)
#define PACE_BURST 32u // packets a wake-up: about what a nap would gather
#define PACE_TURNS 32u // windows

struct dp_pace {
	bool blind; // no descriptor tells of some packets: a wait for them is a nap, too
	uint64_t window; // TSC when it began
	uint64_t packets; // in it so far
	uint64_t wakes; // in it so far: waits for packets that some ended
	bool waited; // for packets, and none was handled since
	unsigned turns; // windows until it waits for packets again
	bool hot; // it naps
};

// After each wait for packets, not after naps.
static inline void dp_pace_waited(struct dp_pace *pace) {
	pace->waited = true;
}

// Each loop: packets that it handled. now, hz: TSC.
static inline void dp_pace_count(
	struct dp_pace *pace, uint64_t now, uint64_t hz, uint64_t packets) {
	uint64_t window = hz / PACE_WINDOWS_HZ, took = now - pace->window;
	bool many;

	pace->packets += packets;
	if (packets > 0) {
		pace->wakes += pace->waited;
		pace->waited = false;
	}
	if (took < window)
		return;
	// A window that a long sleep stretched says that there was little.
	many = pace->packets >= PACE_RATE && took < 2 * window;
	if (pace->hot) {
		pace->hot = many && --pace->turns > 0;
	} else {
		pace->hot = many && (pace->blind || pace->packets < PACE_BURST * pace->wakes);
		pace->turns = PACE_TURNS;
	}
	pace->window = now;
	pace->packets = pace->wakes = 0;
}

static inline void dp_pace_sleep(void) {
	nanosleep(&(struct timespec){.tv_nsec = PACE_NS}, NULL);
}
