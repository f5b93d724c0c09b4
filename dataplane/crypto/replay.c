// SPDX-License-Identifier: GPL-3.0-or-later
// Anti-replay window after RFC 6479. Called by dtls-decode, one writer a window.
#include "dataplane/crypto/replay.h"

#include <string.h>

#define BLOCK_BITS 64u
#define BLOCK_MASK (DP_REPLAY_BLOCKS - 1)

_Static_assert((DP_REPLAY_BLOCKS & BLOCK_MASK) == 0, "a power of two of blocks");

void dp_replay_start(struct dp_replay *replay, uint64_t next) {
	*replay = (struct dp_replay){0};
	if (next == 0)
		return;
	replay->any = true;
	replay->last = next - 1;
	memset(replay->bits, 0xff, sizeof(replay->bits));
	// in its own block the ones above are still to come
	replay->recent = UINT64_MAX >> (BLOCK_BITS - 1 - replay->last % BLOCK_BITS);
}

static uint64_t block(const struct dp_replay *replay, uint64_t seq) {
	uint64_t number = seq / BLOCK_BITS;

	return number == replay->last / BLOCK_BITS ? replay->recent
						   : replay->bits[number & BLOCK_MASK];
}

static bool too_old(const struct dp_replay *replay, uint64_t seq) {
	return replay->any && seq <= replay->last && replay->last - seq >= DP_REPLAY_WINDOW;
}

static bool marked(const struct dp_replay *replay, uint64_t seq) {
	if (!replay->any || seq > replay->last)
		return false;
	return block(replay, seq) >> (seq % BLOCK_BITS) & 1;
}

bool dp_replay_check(const struct dp_replay *replay, uint64_t seq) {
	return !too_old(replay, seq) && !marked(replay, seq);
}

// Clears the blocks between the one that was highest and that of seq, each at most once.
static void advance(struct dp_replay *replay, uint64_t seq) {
	uint64_t from = replay->last / BLOCK_BITS, n = seq / BLOCK_BITS - from;

	replay->last = seq;
	if (n == 0)
		return;
	replay->bits[from & BLOCK_MASK] = replay->recent;
	replay->recent = 0;
	if (n > DP_REPLAY_BLOCKS)
		n = DP_REPLAY_BLOCKS;
	for (uint64_t i = 1; i <= n; i++)
		replay->bits[(from + i) & BLOCK_MASK] = 0;
}

bool dp_replay_accept(struct dp_replay *replay, uint64_t seq) {
	uint64_t bit = UINT64_C(1) << (seq % BLOCK_BITS);

	if (!dp_replay_check(replay, seq))
		return false;
	if (!replay->any) {
		*replay = (struct dp_replay){.last = seq, .any = true};
	} else if (seq > replay->last) {
		advance(replay, seq);
	}
	if (seq / BLOCK_BITS == replay->last / BLOCK_BITS)
		replay->recent |= bit;
	else
		replay->bits[seq / BLOCK_BITS & BLOCK_MASK] |= bit;
	return true;
}
