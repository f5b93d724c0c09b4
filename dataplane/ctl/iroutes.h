// SPDX-License-Identifier: GPL-3.0-or-later
// Networks behind clients: routes to sessions, in the dataplane's table and on TAPs into the host.
// Control thread.
#pragma once

#include "dataplane/abi/cmd.h"

// The networks of a command that was validated in place of those before. 0, or -ESTALE, -EINVAL
// (of a pool), -EADDRINUSE: some are another session's, and the others are set; -ENOMEM.
int ctl_iroutes_set(const struct abi_cmd *cmd);
// The session ends.
void ctl_iroutes_clear(struct abi_sid sid);
// How many the session has.
unsigned ctl_iroutes_count(struct abi_sid sid);
void ctl_iroutes_fini(void);
