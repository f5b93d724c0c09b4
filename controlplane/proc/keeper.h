// SPDX-License-Identifier: GPL-3.0-or-later
// One run of a script or a PAM conversation: a keeper process that starts it, bounds its time and
// leaves nothing of it behind. Used by script.c and pam.c.
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct keeper {
	pid_t pid; // of the keeper, not of what it runs
	int status_fd; // int32_t, once: an ipc_script_done status
	int output_fd; // what it writes to stdout and stderr; non-blocking
};

// What is to be run.
struct keeper_job {
	const char *path; // without argv: must be root's or the user's, and writable by nobody else
	char *const *argv; // of this very program; NULL: path alone
	char **env;
	const char *user; // NULL: as this process is
	uint32_t timeout_s;
	int input_fd; // its standard input; -1: null
};

// Starts the job. When its time is over it is killed with all that it started; so is it on SIGTERM
// to the keeper, and when this process ends. What it leaves in the background may go on until
// then. 0 or -errno; on success the caller owns the descriptors and reaps the keeper.
int keeper_start(struct keeper *keeper, const struct keeper_job *job);
