// SPDX-License-Identifier: GPL-3.0-or-later
// The answer to ABI_CMD_DUMP, a part at a time. Used in ctl/.
#pragma once

#include <stdbool.h>

#include "dataplane/ctl/attach.h"

void ctl_dump_start(void); // from the first session again, if one is under way
void ctl_dump_stop(void); // the peer has gone

// Sends what the event ring takes, looking at a bounded number of sessions. True: more to do.
// *stalled: the ring is full.
bool ctl_dump_process(struct ctl_peer *peer, bool *stalled);
