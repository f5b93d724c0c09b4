// SPDX-License-Identifier: GPL-3.0-or-later
// The statistics region of abi/stats.h, from the writer's side. Used by boot, ctl and the session table.
#pragma once

#include "dataplane/abi/stats.h"

struct cfg;

extern struct abi_stats *dp_stats; // header, ports, workers
extern struct abi_session_stats *dp_stats_sessions; // by session index

// Boot: makes the sealed memfd and maps it. Nobody but this mapping can ever write to it.
int dp_stats_init(const struct cfg *cfg);
void dp_stats_fini(void);

// A read-only descriptor of the region for peers; owned by this module.
int dp_stats_fd(void);
