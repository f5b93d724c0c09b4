// SPDX-License-Identifier: GPL-3.0-or-later
// The clock of timeouts and intervals (CLOCK_MONOTONIC: nobody sets it). Used by every role.
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ms(void) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// Whole seconds, as the dataplane stamps its statistics.
static inline uint64_t clock_s(void) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}
