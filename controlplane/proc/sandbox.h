// SPDX-License-Identifier: GPL-3.0-or-later
// What a child process gives up before it meets data of others. Called by child.c, in this order.
#pragma once

#include <stdint.h>

#include "controlplane/ipc/ipc.h"

// Leaves root: own mount, network and IPC namespaces, a root directory without anything in it
// (or `root_dir`, the session's state directory, which stays the caller's; -1: none), the role's
// user, no capability, resource limits. `nofile`: descriptors that the role may hold.
// 0 or -errno; on failure the process must end.
int sandbox_drop(enum ipc_role role, int root_dir, uint32_t nofile);

// Closes the door: Landlock (nothing, or `root_dir` only) and the role's seccomp filter. 0 or
// -errno; on failure the process must end.
int sandbox_lock(enum ipc_role role, int root_dir);

// User and group of a role: penstock-auth and so on, or fixed numbers when there is no such user.
void sandbox_ids(enum ipc_role role, uint32_t *uid, uint32_t *gid);

// seccomp.c: loads the filter of the role. 0 or -errno.
int seccomp_enter(enum ipc_role role);
