// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of the replay window against a plain model, and its edges.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/crypto/replay.h"

#define W DP_REPLAY_WINDOW

static void test_in_order(void **state) {
	struct dp_replay r = {0};

	for (uint64_t i = 0; i < 3 * W; i++) {
		assert_true(dp_replay_check(&r, i));
		assert_true(dp_replay_accept(&r, i));
		assert_false(dp_replay_check(&r, i));
		assert_false(dp_replay_accept(&r, i));
	}
	assert_int_equal(r.last, 3 * W - 1);
}

static void test_edges(void **state) {
	struct dp_replay r = {0};

	assert_true(W >= 1024);
	assert_true(dp_replay_accept(&r, 10 * W));
	assert_true(dp_replay_check(&r, 9 * W + 1)); // the oldest inside
	assert_false(dp_replay_check(&r, 9 * W)); // just too old
	assert_false(dp_replay_accept(&r, 9 * W));
	assert_false(dp_replay_check(&r, 0));
	assert_true(dp_replay_accept(&r, 9 * W + 1));
	assert_false(dp_replay_accept(&r, 9 * W + 1));
	// one step on, and it has left
	assert_true(dp_replay_accept(&r, 10 * W + 1));
	assert_false(dp_replay_check(&r, 9 * W + 1));
	assert_true(dp_replay_check(&r, 9 * W + 2));
}

static void test_zero_first(void **state) {
	struct dp_replay r = {0};

	assert_true(dp_replay_accept(&r, 0));
	assert_false(dp_replay_accept(&r, 0));
	assert_true(dp_replay_accept(&r, 1));
	assert_false(dp_replay_check(&r, 0));
}

static void test_huge_jumps(void **state) {
	static const uint64_t jumps[] = {63, 64, 65, W - 1, W, W + 1, 64 * DP_REPLAY_BLOCKS,
		64 * DP_REPLAY_BLOCKS + 1, 1u << 20, UINT64_C(1) << 40, (UINT64_C(1) << 48) - 1};

	for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		struct dp_replay r = {0};

		for (uint64_t s = 0; s < 40; s++)
			assert_true(dp_replay_accept(&r, s));
		if (!dp_replay_check(&r, jumps[i]))
			continue;
		assert_true(dp_replay_accept(&r, jumps[i]));
		assert_false(dp_replay_accept(&r, jumps[i]));
		// all that is inside and was not seen is new
		for (uint64_t s = jumps[i] > W ? jumps[i] - W + 1 : 0; s < jumps[i]; s++)
			assert_int_equal(dp_replay_check(&r, s), s >= 40);
	}
}

static void test_same_burst(void **state) {
	struct dp_replay r = {0};

	assert_true(dp_replay_accept(&r, 100));
	// two copies pass the check before either is accepted
	assert_true(dp_replay_check(&r, 101));
	assert_true(dp_replay_check(&r, 101));
	assert_true(dp_replay_accept(&r, 101));
	assert_false(dp_replay_accept(&r, 101));
	// and one becomes too old while it is decrypted
	assert_true(dp_replay_check(&r, 99));
	assert_true(dp_replay_accept(&r, 5 * W));
	assert_false(dp_replay_accept(&r, 99));
}

// After a handshake that used some numbers.
static void test_start(void **state) {
	static const uint64_t nexts[] = {1, 2, 63, 64, 65, 1000, 1ULL << 47};

	for (unsigned i = 0; i < sizeof(nexts) / sizeof(*nexts); i++) {
		uint64_t next = nexts[i];
		struct dp_replay r;

		dp_replay_start(&r, next);
		for (uint64_t back = 1; back <= next && back < 3 * W; back++)
			assert_false(dp_replay_check(&r, next - back));
		assert_true(dp_replay_accept(&r, next + 70));
		for (uint64_t s = next; s < next + 70; s++)
			assert_true(dp_replay_accept(&r, s));
		assert_false(dp_replay_accept(&r, next - 1));
	}
	struct dp_replay r;

	dp_replay_start(&r, 0);
	assert_true(dp_replay_accept(&r, 0));
	assert_false(dp_replay_accept(&r, 0));
}

// Random order with repeats, against one flag a number.
static void test_model(void **state) {
	enum {
		N = 20000
	};
	static bool seen[N];
	struct dp_replay r = {0};
	uint64_t last = 0;
	bool any = false;

	srand(1);
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < 200000; i++) {
		uint64_t base = (uint64_t)i / 12;
		uint64_t s = (base + (uint64_t)(rand() % (2 * (int)W))) % N;
		bool want = !seen[s] && !(any && s <= last && last - s >= W);

		assert_int_equal(dp_replay_check(&r, s), want);
		assert_int_equal(dp_replay_accept(&r, s), want);
		if (!want)
			continue;
		seen[s] = true;
		last = !any || s > last ? s : last;
		any = true;
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_zero_first),
		cmocka_unit_test(test_huge_jumps),
		cmocka_unit_test(test_same_burst),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
