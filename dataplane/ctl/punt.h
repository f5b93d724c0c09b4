// SPDX-License-Identifier: GPL-3.0-or-later
// Handshake datagrams between workers and edge processes. Used by node punt-control and ctl.
#pragma once

#include <stdbool.h>

#include <rte_mbuf.h>

#include "dataplane/abi/ring.h"

struct cfg;

// Boot. 0 or -errno.
int dp_punt_init(const struct cfg *cfg);
void dp_punt_fini(void);

// Packet worker: leaves datagrams (data at the UDP payload, tuple and sid set) for the control
// thread. Returns how many it took over.
unsigned dp_punt_leave(struct rte_mbuf **pkts, unsigned n);
// Datagrams a second that one worker may punt.
uint32_t dp_punt_rate(void);

// Control thread: moves what workers left into the rings of the edges, chosen by the tuple.
void dp_punt_process(void);
int dp_punt_fd(void); // eventfd, rung when something is left after dp_punt_wait(true)
bool dp_punt_wait(bool waiting); // false: something is there already (then do not sleep)

struct abi_punt;
// May an edge send this? From where the VPN listens, to one host. Control thread.
bool dp_inject_valid(const struct abi_punt *slot);

// Control thread: attaches (rings are the caller's) or detaches (NULL) an edge.
void dp_punt_edge(unsigned index, struct abi_ring *punt, struct abi_ring *inject);
// Control thread: sends at most `budget` datagrams of the edge; true: more may wait; sets *broken.
bool dp_inject_process(unsigned index, unsigned budget, bool *broken);
