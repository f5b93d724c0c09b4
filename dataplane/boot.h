// SPDX-License-Identifier: GPL-3.0-or-later
// Start-up as an ordered list of steps, undone in reverse. Called by main and by the benchmarks
// of the packet path, which start the same parts between ports of their own.
#pragma once

#include <stdbool.h>

struct cfg;

struct dp_step {
	const char *name; // for people: "cannot set up NAME"
	int (*init)(const struct cfg *cfg); // 0 or -errno
	void (*fini)(void); // NULL: nothing to undo
	bool tells; // init prints by itself what went wrong
};

// Does the steps in order until one fails; that is printed after `who`. Returns how many are done.
unsigned dp_boot(const struct dp_step *steps, unsigned nb, const struct cfg *cfg, const char *who);
// Undoes the first `done` of the steps, the last one first.
void dp_unboot(const struct dp_step *steps, unsigned done);

// Parts that the configuration has the sizes of, as steps; the other parts are steps themselves.
int dp_boot_crypto(const struct cfg *cfg); // after lcores and packet buffers
int dp_boot_reclaim(const struct cfg *cfg);
int dp_boot_sessions(const struct cfg *cfg); // after statistics; undone by dp_session_table_fini
int dp_boot_graph(const struct cfg *cfg); // the last one before the lcores start
