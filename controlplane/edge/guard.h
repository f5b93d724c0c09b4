// SPDX-License-Identifier: GPL-3.0-or-later
// Who is refused at accept, and what the session process is told of those who are not. Called by
// conn.c and edge.c.
#pragma once

#include "edge.h"

struct edge_guard;

// 0 or -errno.
int edge_guard_start(struct child *child);
void edge_guard_stop(struct child *child);
// The limits of a configuration, which must stay until the next call.
void edge_guard_cfg(struct child *child, const struct cfg *cfg);

// At accept, before anything is spent. True: the connection is to be reset.
bool edge_guard_refuses(struct child *child, const struct abi_addr *remote);
bool edge_guard_banned(struct child *child, const struct abi_addr *remote);
// A connection that neither logged in nor became a tunnel has ended.
void edge_guard_fruitless(struct child *child, const struct abi_addr *remote);
// Non-zero: not valid.
int edge_guard_bans(struct child *child, const struct ipc_bans *msg);
// The session process has come: it gets back what its predecessor had told.
void edge_guard_session_up(struct child *child);
