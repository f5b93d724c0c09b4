// SPDX-License-Identifier: GPL-3.0-or-later
// Points and bans for all processes: counts what auth and edges tell, and tells edges who is banned.
// Called by role.c and, for the CLI, by control.c.
#pragma once

#include "controlplane/ipc/msg.h"
#include "controlplane/proc/bans.h"

struct guard;

struct guard_hooks {
	// Sends to a peer: 0 or -errno, -ENOTCONN when there is none.
	int (*send)(enum ipc_role role, unsigned index, enum ipc_type type, struct ipc_hdr *msg,
		size_t len, void *arg);
	void *arg;
};

// NULL: no memory. `cfg` must stay until guard_cfg() or guard_free().
struct guard *guard_new(const struct guard_hooks *hooks, const struct cfg *cfg);
void guard_free(struct guard *guard);
// The limits of a new configuration, at once.
void guard_cfg(struct guard *guard, const struct cfg *cfg);

// An edge has come: it gets all bans.
void guard_edge_up(struct guard *guard, unsigned index);

// Messages. Non-zero: the content is not valid, the sender is ended.
int guard_wrong_password(struct guard *guard, const struct ipc_wrong_password *msg);
int guard_contacts(struct guard *guard, const struct ipc_contacts *msg);
// What an edge still knows of our predecessor's bans.
int guard_bans(struct guard *guard, const struct ipc_bans *msg);

// The table, for looking and lifting. Owned by the guard.
struct bans *guard_table(struct guard *guard);
// Connections that edges refused for a ban, since this process started.
uint64_t guard_refused(const struct guard *guard);
