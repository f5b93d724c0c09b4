// SPDX-License-Identifier: GPL-3.0-or-later
// Peers of the boundary's socket: HELLO, rings, descriptors under tokens. Used in ctl/.
#pragma once

#include <stdbool.h>

#include "dataplane/abi/abi.h"
#include "dataplane/abi/ring.h"

// What an epoll entry stands for: kind in the upper half of data.u64, peer number in the lower.
enum ctl_source {
	CTL_LISTEN,
	CTL_STOP,
	CTL_LCORE_EVENTS,
	CTL_PUNT,
	CTL_RECLAIM,
	CTL_STREAM,
	CTL_NETLINK,
	CTL_PEER,
	CTL_BELL,
};

#define CTL_PEERS_MAX (ABI_EDGES_MAX + 32u)

struct ctl_peer {
	int sock; // -1: free
	uint16_t role; // enum abi_role; 0 before HELLO
	uint16_t index; // of an edge
	uint64_t since_s; // CLOCK_MONOTONIC: before HELLO, since when
	int bell_in; // eventfd that the peer rings
	int bell_out; // eventfd that rings the peer
	struct abi_ring in; // session: commands; edge: injected datagrams
	struct abi_ring out; // session: completions; edge: punted datagrams
	struct abi_ring evt; // session: events
};

extern struct ctl_peer ctl_peers[CTL_PEERS_MAX];

int ctl_attach_init(int epoll, const char *path);
void ctl_attach_fini(void);

void ctl_accept(void); // the listener is readable
void ctl_peer_readable(unsigned number); // its socket is
void ctl_peer_close(struct ctl_peer *peer);
// Each second: peers that say no HELLO, tokens that nobody used.
void ctl_attach_tick(uint64_t now_s);

// The one that commands; NULL: none.
struct ctl_peer *ctl_session_peer(void);
// Takes the descriptor out of the store, reading the socket first if need be. -EBADF: none.
int ctl_token_take(uint64_t token);

int ctl_epoll_add(int fd, enum ctl_source source, unsigned number);
