// SPDX-License-Identifier: GPL-3.0-or-later
// Address pools: unique, sticky per user, least recently used first, bounded.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/session/pools.h"
#include "controlplane/session/record.h"

static struct cfg_pool cfg_pools[2];
static struct cfg cfg;

static int setup(void **state) {
	cfg_pools[0] = (struct cfg_pool){
		.name = (char *)(uintptr_t) "small",
		.v4 = {.addr = {AF_INET, {10, 9, 0, 0}}, .len = 29},
		.v6 = {.addr = {AF_INET6, {0xfd, 0, 0, 9}}, .len = 64},
		.gateway4 = {AF_INET, {10, 9, 0, 1}},
		.gateway6 = {AF_INET6, {0xfd, 0, 0, 9, [15] = 1}},
		.v6_client_prefix = 128,
	};
	cfg_pools[1] = (struct cfg_pool){
		.name = (char *)(uintptr_t) "second",
		.v4 = {.addr = {AF_INET, {10, 9, 1, 0}}, .len = 30},
		.gateway4 = {AF_INET, {10, 9, 1, 1}},
	};
	cfg = (struct cfg){.pools = cfg_pools, .nb_pools = 2};
	*state = pools_new(&cfg);
	return *state == NULL;
}

static int teardown(void **state) {
	pools_free(*state);
	return 0;
}

static uint32_t size_of(int family) {
	uint32_t size = 0;

	for (size_t i = 0; i < cfg.nb_pools; i++) {
		if (family == AF_INET ? cfg_pools[i].v4.addr.family : cfg_pools[i].v6.addr.family)
			size += cfg_pool_size(&cfg_pools[i], family);
	}
	return size;
}

static void test_unique_until_empty(void **state) {
	struct abi_addr seen[64], addr;
	uint32_t nb = size_of(AF_INET);
	char user[16];

	assert_in_range(nb, 2, 64);
	for (uint32_t i = 0; i < nb; i++) {
		snprintf(user, sizeof(user), "user%u", i);
		assert_int_equal(pools_lease(*state, NULL, AF_INET, user, i, 100, &seen[i]), 0);
		assert_true(abi_addr_is4(&seen[i]));
		for (uint32_t j = 0; j < i; j++)
			assert_memory_not_equal(&seen[i], &seen[j], sizeof(addr));
	}
	assert_int_equal(pools_lease(*state, NULL, AF_INET, "late", 99, 100, &addr), -ENOSPC);
	pools_release(*state, &seen[3], 3, 200);
	assert_int_equal(pools_lease(*state, NULL, AF_INET, "late", 99, 100, &addr), 0);
	assert_memory_equal(&addr, &seen[3], sizeof(addr));
}

static void test_sticky(void **state) {
	struct abi_addr first, other, again;

	assert_int_equal(pools_lease(*state, NULL, AF_INET, "ann", 1, 10, &first), 0);
	pools_release(*state, &first, 1, 20);
	assert_int_equal(pools_lease(*state, NULL, AF_INET, "bob", 2, 30, &other), 0);
	assert_memory_not_equal(&first, &other, sizeof(first));
	assert_int_equal(pools_lease(*state, NULL, AF_INET, "ann", 3, 40, &again), 0);
	assert_memory_equal(&first, &again, sizeof(first));
}

static void test_release_of_another_is_ignored(void **state) {
	struct abi_addr addr;

	assert_int_equal(pools_lease(*state, NULL, AF_INET, "ann", 1, 10, &addr), 0);
	pools_release(*state, &addr, 2, 20);
	assert_int_equal(pools_take(*state, &addr, "bob", 2, 30), -EADDRINUSE);
	assert_int_equal(pools_take(*state, &addr, "ann", 1, 30), 0);
}

static void test_least_recently_used(void **state) {
	struct abi_addr addr[64], next;
	uint32_t nb = size_of(AF_INET);
	char user[16];

	for (uint32_t i = 0; i < nb; i++) {
		snprintf(user, sizeof(user), "user%u", i);
		assert_int_equal(pools_lease(*state, NULL, AF_INET, user, i, 10, &addr[i]), 0);
	}
	for (uint32_t i = nb; i-- > 0;)
		pools_release(*state, &addr[i], i, 100 - i);
	// Released first: the last one.
	assert_int_equal(pools_lease(*state, NULL, AF_INET, "new1", 1, 200, &next), 0);
	assert_memory_equal(&next, &addr[nb - 1], sizeof(next));
	assert_int_equal(pools_lease(*state, NULL, AF_INET, "new2", 2, 200, &next), 0);
	assert_memory_equal(&next, &addr[nb - 2], sizeof(next));
}

static void test_remember(void **state) {
	struct abi_addr addr, got, outside = {{[10] = 0xff, 0xff, 192, 0, 2, 1}};

	assert_int_equal(pools_lease(*state, NULL, AF_INET6, "ann", 1, 10, &addr), 0);
	teardown(state);
	assert_int_equal(setup(state), 0);
	assert_true(pools_remember(*state, &addr, "ann", 10));
	assert_false(pools_remember(*state, &addr, "bob", 11));
	assert_false(pools_remember(*state, &outside, "ann", 10));
	assert_int_equal(pools_lease(*state, NULL, AF_INET6, "bob", 2, 20, &got), 0);
	assert_memory_not_equal(&got, &addr, sizeof(got));
	assert_int_equal(pools_lease(*state, NULL, AF_INET6, "ann", 3, 20, &got), 0);
	assert_memory_equal(&got, &addr, sizeof(got));
}

static void test_outside(void **state) {
	struct abi_addr outside = {{[10] = 0xff, 0xff, 192, 0, 2, 1}};
	struct abi_addr gateway = {{[10] = 0xff, 0xff, 10, 9, 0, 1}};

	assert_int_equal(pools_take(*state, &outside, "ann", 1, 1), -EADDRNOTAVAIL);
	assert_int_equal(pools_take(*state, &gateway, "ann", 1, 1), -EADDRNOTAVAIL);
}

static void test_netmask(void **state) {
	struct abi_addr addr, mask;

	assert_int_equal(pools_lease(*state, NULL, AF_INET, "ann", 1, 10, &addr), 0);
	mask = pools_netmask4(*state, &addr);
	assert_int_equal(mask.bytes[12], 255);
	assert_int_equal(mask.bytes[15], 248);
	assert_int_equal(pools_client_prefix(*state, &addr), 32);
}

static int count(const struct pool_info *info, void *arg) {
	uint32_t *sum = arg;

	sum[0] += info->used;
	sum[1] += info->remembered;
	return 0;
}

static void test_info(void **state) {
	struct abi_addr a, b;
	uint32_t sum[2] = {0};

	assert_int_equal(pools_lease(*state, NULL, AF_INET, "ann", 1, 10, &a), 0);
	assert_int_equal(pools_lease(*state, NULL, AF_INET6, "ann", 1, 10, &b), 0);
	pools_release(*state, &a, 1, 20);
	pools_each(*state, count, sum);
	assert_int_equal(sum[0], 1);
	assert_int_equal(sum[1], 1);
}

static void test_same(void **state) {
	assert_true(pools_same(*state, &cfg));
	cfg_pools[1].v4.len = 28;
	assert_false(pools_same(*state, &cfg));
}

static struct abi_addr four(uint8_t c, uint8_t d) {
	return (struct abi_addr){{[10] = 0xff, 0xff, 10, 9, c, d}};
}

// By name, in the order of the names, remembered before fresh.
static void test_of(void **state) {
	char *names[] = {(char *)(uintptr_t) "second", (char *)(uintptr_t) "small"};
	const struct pools_of both = {names, 2}, second = {names, 1};
	struct abi_addr addr, want = four(1, 2);

	assert_int_equal(pools_lease(*state, &both, AF_INET, "ann", 1, 10, &addr), 0);
	assert_memory_equal(&addr, &want, sizeof(addr));
	assert_int_equal(pools_lease(*state, &second, AF_INET, "bob", 2, 10, &addr), -ENOSPC);
	assert_int_equal(pools_lease(*state, &both, AF_INET, "bob", 2, 10, &addr), 0);
	want = four(0, 2);
	assert_memory_equal(&addr, &want, sizeof(addr));
	pools_release(*state, &addr, 2, 20);
	// Not from where it may not be, though it is remembered there.
	want = four(1, 2);
	pools_release(*state, &want, 1, 30);
	assert_int_equal(pools_lease(*state, &second, AF_INET, "bob", 3, 40, &addr), 0);
	assert_memory_equal(&addr, &want, sizeof(addr));
	assert_true(pools_has(*state, &both, AF_INET6));
	assert_false(pools_has(*state, &second, AF_INET6));
	assert_true(pools_has(*state, NULL, AF_INET6));
}

static void test_owned(void **state) {
	struct cfg_user users[2] = {
		{.settings = {.ipv4 = {AF_INET, {10, 9, 0, 2}}}},
		{.settings = {.ipv6 = {AF_INET6, {0xfd, 0, 0, 9, [15] = 2}}}},
	};
	struct cfg with = cfg;
	struct abi_addr own = four(0, 2), next = four(0, 3), addr;
	struct abi_addr own6 = {{0xfd, 0, 0, 9, [15] = 2}}, next6 = {{0xfd, 0, 0, 9, [15] = 3}};

	with.users = users;
	with.nb_users = 2;
	// Remembered for somebody: not any more.
	assert_true(pools_remember(*state, &own, "bob", 5));
	pools_own(*state, &with);
	assert_true(pools_owned(*state, &own) && pools_owned(*state, &own6));
	assert_false(pools_owned(*state, &next));
	assert_int_equal(pools_lease(*state, NULL, AF_INET, "bob", 1, 10, &addr), 0);
	assert_memory_equal(&addr, &next, sizeof(addr));
	assert_int_equal(pools_lease(*state, NULL, AF_INET6, "bob", 1, 10, &addr), 0);
	assert_memory_equal(&addr, &next6, sizeof(addr));
	assert_int_equal(pools_holder(*state, &own), POOL_NO_SESSION);
	assert_int_equal(pools_take(*state, &own, "ann", 2, 10), 0);
	assert_int_equal(pools_holder(*state, &own), 2);
	pools_release(*state, &own, 2, 20);
	assert_false(pools_remember(*state, &own, "bob", 20));
	// Nobody's again: the first of the fresh ones.
	pools_own(*state, &cfg);
	assert_false(pools_owned(*state, &own));
	assert_int_equal(pools_lease(*state, NULL, AF_INET, "cyd", 3, 30, &addr), 0);
	assert_memory_equal(&addr, &own, sizeof(addr));
	// Given to a user while another has it: it stays leased, and is free for no other then.
	pools_own(*state, &with);
	assert_int_equal(pools_take(*state, &own, "ann", 4, 40), -EADDRINUSE);
	pools_release(*state, &own, 3, 50);
	assert_int_equal(pools_take(*state, &own, "ann", 4, 60), 0);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_unique_until_empty),
		T(test_sticky),
		T(test_release_of_another_is_ignored),
		T(test_least_recently_used),
		T(test_remember),
		T(test_outside),
		T(test_netmask),
		T(test_info),
		T(test_same),
		T(test_of),
		T(test_owned),
	};

	return cmocka_run_group_tests_name("pools", tests, NULL, NULL);
}
