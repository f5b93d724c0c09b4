// SPDX-License-Identifier: GPL-3.0-or-later
// Anti-replay window after RFC 6479: a ring of bit blocks, no shifting. One writer, no lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DP_REPLAY_BLOCKS 32u // of 64 bits, power of two
#define DP_REPLAY_WINDOW ((DP_REPLAY_BLOCKS - 1) * 64u) // 1,984 records

// The block of the highest number is kept beside it and not in the ring: in order, a record touches
// no other cache line.
struct dp_replay {
	uint64_t last; // highest sequence number accepted
	uint64_t recent; // its block
	bool any; // one was accepted
	uint64_t bits[DP_REPLAY_BLOCKS]; // the blocks before
};

// A new window whose numbers below `next` count as seen: the handshake used them. 0: none did.
void dp_replay_start(struct dp_replay *replay, uint64_t next);

// Not seen and not too old? Does not change the window: call before decrypting.
bool dp_replay_check(const struct dp_replay *replay, uint64_t seq);

// Marks seq after its record proved authentic. False: it was marked meanwhile (same burst).
bool dp_replay_accept(struct dp_replay *replay, uint64_t seq);
