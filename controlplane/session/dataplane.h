// SPDX-License-Identifier: GPL-3.0-or-later
// The session process's end of the boundary: commands and their completions, events, statistics.
//
// Used by sessions.c, connect.c and reconcile.c. Every command gets exactly one answer: its
// completion, or a negative status when the dataplane goes away or does not answer in time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/abi/cmd.h"
#include "dataplane/abi/stats.h"

struct event_base;
struct dplane;

#define DPLANE_QUEUE_MAX 16384u // commands that wait for room in the ring
#define DPLANE_TIMEOUT_S 5u // without a completion: -ETIMEDOUT

// status: 0 or -errno of the completion; -ECONNRESET: the dataplane went away; -ETIMEDOUT.
typedef void (*dplane_done)(int status, void *arg);

struct dplane_hooks {
	void (*event)(const struct abi_evt *evt, void *arg); // a private copy
	void (*leaving)(void *arg); // it detaches: the last moment to read the statistics
	void (*lost)(
		void *arg); // the channel closed or a ring broke; commands were answered before
	void *arg;
};

struct dplane *dplane_new(struct event_base *base, const struct dplane_hooks *hooks);
void dplane_free(struct dplane *dplane);

// Takes over `channel` and the six `fds` of the WELCOME (closed on failure, too). Replaces an
// earlier attachment, whose commands are answered with -ECONNRESET. 0 or -errno.
int dplane_attach(struct dplane *dplane, const struct abi_welcome *welcome, int channel,
	const int *fds, unsigned nb_fds);
bool dplane_attached(const struct dplane *dplane);
uint64_t dplane_boot_id(const struct dplane *dplane); // of the last attachment; 0: none yet
uint32_t dplane_sessions_max(const struct dplane *dplane);

// Sends a command (its id is set here); copies of it are wiped. 0, -ENOTCONN, -ENOBUFS; `done`
// (may be NULL) is called only when 0 was returned, never from within this call.
int dplane_command(struct dplane *dplane, const struct abi_cmd *cmd, dplane_done done, void *arg);

// Hands a descriptor over under a fresh token, which a later command names. 0 or -errno; the
// caller keeps `fd`.
int dplane_send_fd(struct dplane *dplane, int fd, uint64_t *token);

// NULL while detached. Bounds were checked against the mapping.
const struct abi_stats *dplane_stats(const struct dplane *dplane);
const struct abi_session_stats *dplane_session_stats(const struct dplane *dplane, uint32_t index);
// Sum of one counter over all workers.
uint64_t dplane_counter(const struct dplane *dplane, enum abi_counter counter);
