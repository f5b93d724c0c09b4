// SPDX-License-Identifier: GPL-3.0-or-later
// One signature a handshake, and so many a second, whatever numbers an edge makes up.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>

#include <cmocka.h>

#include "controlplane/auth/sign_limit.h"

#define WINDOW 131072u // sign_limit.c's

static struct sign_limits *limits;

static int take(unsigned edge, uint64_t handshake) {
	return sign_limits_take(limits, edge, handshake, 0, 0);
}

static int setup(void **state) {
	limits = sign_limits_new();
	return limits == NULL;
}

static int teardown(void **state) {
	sign_limits_free(limits);
	return 0;
}

static void test_once(void **state) {
	assert_int_equal(take(0, 0), -EEXIST); // no number
	// In any order, each once.
	for (uint64_t i = 1000; i > 0; i -= 2)
		assert_int_equal(take(0, i), 0);
	for (uint64_t i = 1; i < 1000; i += 2)
		assert_int_equal(take(0, i), 0);
	for (uint64_t i = 1; i <= 1000; i++)
		assert_int_equal(take(0, i), -EEXIST);
	// Each edge counts for itself.
	assert_int_equal(take(63, 1), 0);
	// A new process counts from 1 again.
	sign_limits_reset(limits, 0);
	assert_int_equal(take(0, 1), 0);
	assert_int_equal(take(63, 1), -EEXIST);
}

static void test_window(void **state) {
	assert_int_equal(take(0, 1), 0);
	assert_int_equal(take(0, WINDOW), 0);
	assert_int_equal(take(0, 1), -EEXIST);
	assert_int_equal(take(0, 2), 0);
	assert_int_equal(take(0, WINDOW + 2), 0);
	assert_int_equal(take(0, 1), -EBUSY); // forgotten, so not signed again
	assert_int_equal(take(0, 2), -EBUSY);
	assert_int_equal(take(0, WINDOW + 1), 0); // its place was 1's
	assert_int_equal(take(0, WINDOW), -EEXIST);
	// Far ahead, and at the end of all numbers.
	assert_int_equal(take(0, 10 * (uint64_t)WINDOW), 0);
	assert_int_equal(take(0, 10 * (uint64_t)WINDOW - 1), 0);
	assert_int_equal(take(0, UINT64_MAX), 0);
	assert_int_equal(take(0, UINT64_MAX), -EEXIST);
	assert_int_equal(take(0, UINT64_MAX - 1), 0);
	assert_int_equal(take(0, 5), -EBUSY);
	assert_int_equal(sign_limits_refused(limits, 0), 3);
}

static unsigned taken(uint64_t *number, uint64_t now_ms) {
	unsigned n = 0;

	while (sign_limits_take(limits, 1, ++*number, 100, now_ms) == 0)
		n++;
	return n;
}

static void test_rate(void **state) {
	uint64_t number = 0, now_ms = 5000;

	// A second's worth at once, and no more, ever.
	assert_int_equal(taken(&number, now_ms), 100);
	assert_int_equal(taken(&number, now_ms), 0);
	assert_int_equal(taken(&number, now_ms + 9), 0);
	assert_int_equal(taken(&number, now_ms + 10), 1);
	assert_int_equal(taken(&number, now_ms + 510), 50);
	assert_int_equal(taken(&number, now_ms + 3600000), 100);
	// Not by being another process either.
	sign_limits_reset(limits, 1);
	number = 0;
	assert_int_equal(taken(&number, now_ms + 3600000), 0);
	assert_int_equal(sign_limits_refused(limits, 1), 7);
	assert_int_equal(sign_limits_refused(limits, 0), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
