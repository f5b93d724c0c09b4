// SPDX-License-Identifier: GPL-3.0-or-later
// The control thread: the one thread of the dataplane that sleeps, and talks with the control
// plane. Called by main.
#pragma once

struct cfg;

// Boot, on the thread that will run it: listens on `path` (mode 0600). The error was printed.
// 0 or -errno (-EADDRINUSE: another dataplane answers there).
int dp_ctl_init(const struct cfg *cfg, const char *path);
void dp_ctl_fini(void);

// Serves until dp_ctl_stop. 0 or -errno.
int dp_ctl_run(void);
void dp_ctl_stop(void); // async-signal-safe
