// SPDX-License-Identifier: GPL-3.0-or-later
// What the CLI's server (control.c) gets shown as JSON: one function an answer (control_show.c).
//
// All return a new reference, or NULL without memory. Times are in seconds (CLOCK_REALTIME unless
// the name says otherwise), sizes in bytes, 0 or null: none.
#pragma once

#include <jansson.h>

#include "controlplane/proc/bans.h"
#include "controlplane/session/session.h"

// Channel that the server sends on: "DTLS", "TLS" or "none".
const char *show_channel(const struct session_info *info);

// `now` is CLOCK_MONOTONIC seconds, for the idle time.
json_t *show_session(const struct session_info *info, uint64_t now);
json_t *show_lease(const struct lease_info *info);
// `now` is CLOCK_MONOTONIC seconds.
json_t *show_ban(const struct bans *bans, const struct ban_info *info, uint64_t now);
json_t *show_pools(struct session_mgr *mgr);
json_t *show_radius(struct session_mgr *mgr);
json_t *show_totals(struct session_mgr *mgr);

// From the statistics region. Numbers are copied once; names are bounded although the region
// comes from another process.
json_t *show_interfaces(const struct abi_stats *stats);
json_t *show_counters(const struct abi_stats *stats);
json_t *show_workers(const struct abi_stats *stats);
// `stats` may be NULL: the dataplane is away.
json_t *show_version(const struct abi_stats *stats);
