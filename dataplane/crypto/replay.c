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
	replay->bits[replay->last / BLOCK_BITS & BLOCK_MASK] = UINT64_MAX >>
		(BLOCK_BITS - 1 - replay->last % BLOCK_BITS);
}

static bool too_old(const struct dp_replay *replay, uint64_t seq) {
	return replay->any && seq <= replay->last && replay->last - seq >= DP_REPLAY_WINDOW;
}

static bool marked(const struct dp_replay *replay, uint64_t seq) {
	if (!replay->any || seq > replay->last)
		return false;
	return replay->bits[seq / BLOCK_BITS & BLOCK_MASK] >> (seq % BLOCK_BITS) & 1;
}

bool dp_replay_check(const struct dp_replay *replay, uint64_t seq) {
	return !too_old(replay, seq) && !marked(replay, seq);
}

// Clears the blocks between the one that was highest and that of seq, each at most once.
static void advance(struct dp_replay *replay, uint64_t seq) {
	uint64_t from = replay->last / BLOCK_BITS, to = seq / BLOCK_BITS, n = to - from;

	if (n > DP_REPLAY_BLOCKS)
		n = DP_REPLAY_BLOCKS;
	for (uint64_t i = 1; i <= n; i++)
		replay->bits[(from + i) & BLOCK_MASK] = 0;
	replay->last = seq;
}

bool dp_replay_accept(struct dp_replay *replay, uint64_t seq) {
	if (!dp_replay_check(replay, seq))
		return false;
	if (!replay->any) {
		*replay = (struct dp_replay){.last = seq, .any = true};
	} else if (seq > replay->last) {
		advance(replay, seq);
	}
	replay->bits[seq / BLOCK_BITS & BLOCK_MASK] |= UINT64_C(1) << (seq % BLOCK_BITS);
	return true;
}
