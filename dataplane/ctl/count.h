// SPDX-License-Identifier: GPL-3.0-or-later
// Counters of the control thread, which has no struct dp_lcore. Used in ctl/.
#pragma once

#include "dataplane/stats.h"
#include "dataplane/worker.h"

static inline struct abi_worker_stats *ctl_stats(void) {
	return &dp_stats->worker[dp_nb_workers + dp_nb_streamers];
}

static inline void ctl_count(enum abi_counter counter, uint64_t n) {
	uint64_t *c = &ctl_stats()->counters[counter];

	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}
