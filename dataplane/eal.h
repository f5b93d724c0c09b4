// SPDX-License-Identifier: GPL-3.0-or-later
// Starts DPDK's environment from our configuration, and the packet pool. Called by main.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cfg;

// Lcore 0 is the control thread, lcores 1.. the workers, then the streamers. Errors are printed.
// 0 or -errno.
int dp_eal_init(const struct cfg *cfg, bool no_huge);
void dp_eal_fini(void);

// dp_mbuf_pool, after EAL. 0 or -errno.
int dp_pool_init(const struct cfg *cfg);
void dp_pool_fini(void);

// Keys in use at most: both directions of both channels of each session, and as many in change.
uint32_t dp_keys_max(const struct cfg *cfg);
