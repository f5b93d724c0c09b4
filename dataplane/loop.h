// SPDX-License-Identifier: GPL-3.0-or-later
// The poll loop of a packet worker. Called by worker.c.
#pragma once

#include <stdint.h>

struct dp_lcore;

// Until dp_stop. 0 or -errno.
int dp_poll_loop(struct dp_lcore *self);
