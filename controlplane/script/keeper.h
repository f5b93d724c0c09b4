// SPDX-License-Identifier: GPL-3.0-or-later
// One run of a script: a keeper process that starts it, bounds its time and leaves nothing of it
// behind. Used by script.c.
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct keeper {
	pid_t pid; // of the keeper, not of the script
	int status_fd; // int32_t, once: an ipc_script_done status
	int output_fd; // what the script writes to stdout and stderr; non-blocking
};

// Starts `path` (which must be root's or `uid`'s, and writable by nobody else) with `env`, as user
// `user` (NULL: as this process is). It may run for `timeout_s`; then it is killed with all that it
// started. What it leaves in the background may go on until then. 0 or -errno; on success the
// caller owns the descriptors and reaps the keeper.
int keeper_start(
	struct keeper *keeper, const char *path, char **env, const char *user, uint32_t timeout_s);
