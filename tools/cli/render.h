// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of the control plane as tables for people. Called by show.c.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// All take the result of a command (controlplane/session/control_show.c) and a width in character
// cells (0: any); what is missing or of another type is shown as empty. `now` is realtime seconds.
void render_sessions(FILE *out, const json_t *sessions, unsigned width, uint64_t now);
void render_iroutes(FILE *out, const json_t *sessions, unsigned width);
void render_session(FILE *out, const json_t *session, uint64_t now); // one, with all details
void render_interfaces(FILE *out, const json_t *ports, unsigned width);
void render_counters(FILE *out, const json_t *counters, unsigned width, bool all);
// `before` (may be NULL): an earlier sample, `interval_s` ago: rates instead of totals.
void render_workers(
	FILE *out, const json_t *workers, const json_t *before, double interval_s, unsigned width);
void render_leases(FILE *out, const json_t *leases, unsigned width, uint64_t now);
void render_bans(FILE *out, const json_t *bans, unsigned width, uint64_t now);
void render_pools(FILE *out, const json_t *pools, unsigned width);
void render_radius(FILE *out, const json_t *radius);
void render_version(FILE *out, const json_t *version);
void render_status(FILE *out, const json_t *status, unsigned width, uint64_t now);
