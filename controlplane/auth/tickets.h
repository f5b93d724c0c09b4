// SPDX-License-Identifier: GPL-3.0-or-later
// Gives all edges the keys of TLS session tickets and renews them in time.
#pragma once

#include "controlplane/proc/child.h"

struct tickets;

// NULL: no memory.
struct tickets *tickets_new(struct child *child);
void tickets_free(struct tickets *tickets);

// The cookie secret is there (NULL: not yet, nothing is sent), or the configuration changed: sends
// the keys to all edges. The secret must live as long as the tickets.
void tickets_update(struct tickets *tickets, const uint8_t *cookie_secret);
// An edge has come.
void tickets_send(struct tickets *tickets, struct ipc_chan *edge);
