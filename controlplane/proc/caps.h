// SPDX-License-Identifier: GPL-3.0-or-later
// What of root's rights a process keeps that stays root; called by sandbox.c and by the supervisor.
#pragma once

#include <stddef.h>
#include <sys/capability.h>

// Keeps of the list what the process holds (a container may have taken some already) and takes all
// others from it and from its bounding set, for good. Needs SETPCAP. 0 or -errno; on failure the
// process must end.
int caps_keep(const cap_value_t *caps, size_t nb);
