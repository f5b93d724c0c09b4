// SPDX-License-Identifier: GPL-3.0-or-later
// Dynamic authorisation (RFC 5176): Disconnect- and CoA-Requests of RADIUS servers. Called by radius.c.
//
// A datagram goes through these, the cheapest first: is its sender a client, is it whole and signed,
// is its Event-Timestamp in the window, was it there before. Then it is read (change.h) and given to
// the session process; the answer goes out when what was asked for is on disk.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exchange.h"

#define DYNAUTH_CLIENTS_MAX 16u

struct dynauth;
struct radius;

struct dynauth_client {
	struct abi_addr addr;
	char shared_secret[EXCHANGE_SECRET_MAX];
};

// Takes over the socket, which sockets.c has made. NULL: no memory.
struct dynauth *dynauth_new(struct radius *radius, int fd);
void dynauth_free(struct dynauth *dynauth);
// Who may ask from now on; copied, wiped when replaced.
void dynauth_clients(struct dynauth *dynauth, const struct dynauth_client *clients, size_t nb);
// IPC_CHANGED.
void dynauth_changed(struct dynauth *dynauth, const struct ipc_changed *msg);
// The session process has come (again): what it has not answered is asked for again.
void dynauth_session_up(struct dynauth *dynauth);
// Fills in the part that is of dynamic authorisation.
void dynauth_counts(const struct dynauth *dynauth, struct ipc_radius_counts *counts);
