// SPDX-License-Identifier: GPL-3.0-or-later
// Deferred freeing: what readers may still hold is freed by the control thread a grace period
// later (liburcu QSBR). Used by the tables.
#pragma once

#include <urcu/urcu-qsbr.h>

// Part of what is to be freed.
struct dp_reclaim {
	struct rcu_head head;
	void (*release)(struct dp_reclaim *reclaim);
	struct dp_reclaim *next;
};

// Boot, on the control thread: registers it as a QSBR reader (it goes offline when it sleeps).
// 0 or -errno.
int dp_reclaim_init(void);
// Waits for all that is deferred and releases it. No reader may be online any more that does not
// report quiescent states.
void dp_reclaim_fini(void);

// Control thread, which must be a registered and online QSBR reader: calls release() on the
// control thread after a grace period.
void dp_reclaim(struct dp_reclaim *reclaim, void (*release)(struct dp_reclaim *reclaim));

// Control thread: waits for a grace period and releases all that is deferred by now; some
// milliseconds. For when a pool is empty whose objects wait to come back.
void dp_reclaim_flush(void);

// Readable when something can be released; then call process.
int dp_reclaim_fd(void);
void dp_reclaim_process(void);
