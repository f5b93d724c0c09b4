// SPDX-License-Identifier: GPL-3.0-or-later
// What the parts of the edge process share: its state, and how edge.c drives the DTLS side.
//
// edge.c owns the child_role hooks and the listeners, conn.c the TCP connections, dtls.c the
// handshakes over the punt and inject rings. Each part keeps its state behind its own pointer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/proc/child.h"

struct edge_dtls; // dtls.c
struct edge_conns; // conn.c
struct edge_tls; // tls.c
struct edge_guard; // guard.c

struct edge {
	struct child *child;
	struct edge_dtls *dtls; // dtls.c's, NULL until edge_dtls_start
	struct edge_conns *conns;
	struct edge_tls *tls;
	bool draining; // no new logins
	struct edge_guard *guard;
};

static inline struct edge *edge_of(struct child *child) {
	return child_data(child);
}

// --- dtls.c: called by edge.c; every function tolerates edge->dtls == NULL ---

// Once, from the start hook, after the sandbox. Sets edge_of(child)->dtls. 0 or -errno.
int edge_dtls_start(struct child *child);
// From dataplane_up: `fds` are PUNT INJECT PUNT_BELL INJECT_BELL; dtls.c owns `channel` and `fds`
// from here on and replaces an earlier attachment.
void edge_dtls_attach(struct child *child, const struct abi_welcome *welcome, int channel,
	const int *fds, unsigned nb_fds);
// An IPC_DTLS_PARAMS from the session process (its req echoes the query's). Non-zero: the
// content is not valid, the sender is ended.
int edge_dtls_params(struct child *child, const struct ipc_dtls_params *params);
// An IPC_DTLS_SET: the keys of a handshake are in force, or not. Non-zero as above.
int edge_dtls_set(struct child *child, const struct ipc_dtls_set *msg);
// The session process has come back: queries without an answer are sent again.
void edge_dtls_session_up(struct child *child);
// A new configuration is in force (child_cfg() has it).
void edge_dtls_reload(struct child *child);
// The process ends: detach, wipe, free.
void edge_dtls_stop(struct child *child);
bool edge_dtls_attached(struct child *child);
// Is a handshake going on, or about to, with a cookie that is good here alone?
bool edge_dtls_busy(const struct child *child);

// --- edge.c ---

// Ends the process: frees everything of it.
void edge_stop(struct child *child);
