// SPDX-License-Identifier: GPL-3.0-or-later
// Commands of the control plane. Used by the control loop.
#pragma once

#include <stdbool.h>

#include "dataplane/ctl/attach.h"

// Takes at most `budget` commands out of the peer's ring, does them, and completes them. True:
// more may wait. A broken ring closes the peer. *stalled: completions do not drain, come back later.
bool ctl_dispatch(struct ctl_peer *peer, unsigned budget, bool *stalled);

// Each second: frees messages that workers are done with.
void ctl_dispatch_tick(void);
void ctl_dispatch_fini(void);
