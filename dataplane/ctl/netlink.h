// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel's addresses, routes and neighbours of our ports, kept in the dataplane's tables.
//
// Runs on the control thread, which is a registered QSBR reader. Called by its poll loop.
#pragma once

#include "dataplane/abi/cmd.h"
#include "yang/config.h"

// Boot, after dp_ports_init: tables, sockets, the first dump; sets what the ports' interfaces
// need for the pools (gateway addresses and routes on the TAP into the host). The error was
// printed. 0 or -errno.
int dp_netlink_init(const struct cfg *cfg, unsigned workers);
// After the workers have stopped.
void dp_netlink_fini(void);

// A network behind a client comes or goes: its route on the TAPs into the host, as the pools'. What
// the host has a route for already stays as it is (the error is printed).
void dp_netlink_iroute(const struct abi_prefix *prefix, bool add);

// One descriptor that is readable when process has something to do: kernel messages, next hops
// that workers want resolved, the refresh of neighbours in use.
int dp_netlink_fd(void);
void dp_netlink_process(void);
