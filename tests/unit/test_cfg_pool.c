// SPDX-License-Identifier: GPL-3.0-or-later
// Arithmetic of address pools: sizes, numbers to addresses and back, what is never leased.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "yang/config.h"

static void addr_set(struct cfg_addr *addr, int family, const char *text) {
	addr->family = family;
	assert_int_equal(inet_pton(family, text, addr->bytes), 1);
}

static struct cfg_pool pool4(const char *net, uint8_t len, const char *gateway) {
	struct cfg_pool pool = {.v6_client_prefix = 128};
	addr_set(&pool.v4.addr, AF_INET, net);
	pool.v4.len = len;
	if (gateway != NULL)
		addr_set(&pool.gateway4, AF_INET, gateway);
	return pool;
}

static struct cfg_pool pool6(const char *net, uint8_t len, uint8_t client, const char *gateway) {
	struct cfg_pool pool = {.v6_client_prefix = client};
	addr_set(&pool.v6.addr, AF_INET6, net);
	pool.v6.len = len;
	if (gateway != NULL)
		addr_set(&pool.gateway6, AF_INET6, gateway);
	return pool;
}

static void expect(const struct cfg_pool *pool, int family, uint32_t n, const char *text) {
	uint8_t bytes[16];
	char shown[INET6_ADDRSTRLEN];
	cfg_pool_address(pool, family, n, bytes);
	assert_string_equal(inet_ntop(family, bytes, shown, sizeof(shown)), text);
	assert_int_equal(cfg_pool_index(pool, family, bytes), n);
}

static int64_t index_of(const struct cfg_pool *pool, int family, const char *text) {
	uint8_t bytes[16];
	assert_int_equal(inet_pton(family, text, bytes), 1);
	return cfg_pool_index(pool, family, bytes);
}

static void test_v4(void **state) {
	struct cfg_pool pool = pool4("192.0.2.0", 24, "192.0.2.1");
	assert_int_equal(cfg_pool_size(&pool, AF_INET), 253);
	assert_int_equal(cfg_pool_size(&pool, AF_INET6), 0);
	expect(&pool, AF_INET, 0, "192.0.2.2");
	expect(&pool, AF_INET, 252, "192.0.2.254");
	assert_int_equal(index_of(&pool, AF_INET, "192.0.2.0"), -1);
	assert_int_equal(index_of(&pool, AF_INET, "192.0.2.1"), -1);
	assert_int_equal(index_of(&pool, AF_INET, "192.0.2.255"), -1);
	assert_int_equal(index_of(&pool, AF_INET, "192.0.3.2"), -1);
	assert_int_equal(index_of(&pool, AF_INET6, "2001:db8::1"), -1);
}

static void test_v4_gateway_places(void **state) {
	struct cfg_pool middle = pool4("10.0.0.0", 16, "10.0.1.0");
	assert_int_equal(cfg_pool_size(&middle, AF_INET), 65533);
	expect(&middle, AF_INET, 254, "10.0.0.255");
	expect(&middle, AF_INET, 255, "10.0.1.1");
	struct cfg_pool last = pool4("198.51.100.64", 30, "198.51.100.66");
	assert_int_equal(cfg_pool_size(&last, AF_INET), 1);
	expect(&last, AF_INET, 0, "198.51.100.65");
	struct cfg_pool none = pool4("198.51.100.64", 30, NULL);
	assert_int_equal(cfg_pool_size(&none, AF_INET), 2);
	struct cfg_pool outside = pool4("198.51.100.64", 30, "203.0.113.1");
	assert_int_equal(cfg_pool_size(&outside, AF_INET), 2);
}

static void test_v4_tiny(void **state) {
	struct cfg_pool p31 = pool4("192.0.2.0", 31, NULL), p32 = pool4("192.0.2.0", 32, NULL);
	assert_int_equal(cfg_pool_size(&p31, AF_INET), 0);
	assert_int_equal(cfg_pool_size(&p32, AF_INET), 0);
	assert_int_equal(index_of(&p31, AF_INET, "192.0.2.1"), -1);
}

static void test_v4_large(void **state) {
	struct cfg_pool pool = pool4("10.0.0.0", 8, "10.0.0.1");
	assert_int_equal(cfg_pool_size(&pool, AF_INET), 1u << 20);
	expect(&pool, AF_INET, (1u << 20) - 1, "10.16.0.1");
	assert_int_equal(index_of(&pool, AF_INET, "10.16.0.2"), -1);
	struct cfg_pool far = pool4("10.0.0.0", 8, "10.255.255.254");
	assert_int_equal(cfg_pool_size(&far, AF_INET), 1u << 20);
	expect(&far, AF_INET, (1u << 20) - 1, "10.16.0.0");
	struct cfg_pool all = pool4("0.0.0.0", 0, NULL);
	assert_int_equal(cfg_pool_size(&all, AF_INET), 1u << 20);
}

static void test_v6(void **state) {
	struct cfg_pool pool = pool6("2001:db8:1::", 64, 128, "2001:db8:1::1");
	assert_int_equal(cfg_pool_size(&pool, AF_INET6), 1u << 20);
	expect(&pool, AF_INET6, 0, "2001:db8:1::2");
	expect(&pool, AF_INET6, (1u << 20) - 1, "2001:db8:1::10:1");
	assert_int_equal(index_of(&pool, AF_INET6, "2001:db8:1::"), -1);
	assert_int_equal(index_of(&pool, AF_INET6, "2001:db8:1::1"), -1);
	assert_int_equal(index_of(&pool, AF_INET6, "2001:db8:1::10:2"), -1);
	assert_int_equal(index_of(&pool, AF_INET6, "2001:db8:1:0:8000::1"), -1);
	struct cfg_pool small = pool6("2001:db8::f0", 124, 128, "2001:db8::f1");
	assert_int_equal(cfg_pool_size(&small, AF_INET6), 14);
	expect(&small, AF_INET6, 13, "2001:db8::ff"); // IPv6 has no broadcast address
}

static void test_v6_prefixes(void **state) {
	struct cfg_pool pool = pool6("2001:db8::", 48, 64, "2001:db8::1");
	assert_int_equal(cfg_pool_size(&pool, AF_INET6), 65535);
	expect(&pool, AF_INET6, 0, "2001:db8:0:1::1");
	expect(&pool, AF_INET6, 65534, "2001:db8:0:ffff::1");
	// Every address of the prefix is the client's.
	assert_int_equal(index_of(&pool, AF_INET6, "2001:db8:0:1:2:3:4:5"), 0);
	assert_int_equal(index_of(&pool, AF_INET6, "2001:db8::5"), -1);
	assert_int_equal(index_of(&pool, AF_INET6, "2001:db8:1::5"), -1);
	struct cfg_pool odd = pool6("2001:db8::", 33, 59, NULL);
	expect(&odd, AF_INET6, 0, "2001:db8:0:20::1");
	struct cfg_pool wrong = pool6("2001:db8::", 64, 64, NULL);
	assert_int_equal(cfg_pool_size(&wrong, AF_INET6), 0);
}

static void test_all_there_and_back(void **state) {
	struct cfg_pool pool = pool4("203.0.113.128", 25, "203.0.113.200");
	uint32_t n = cfg_pool_size(&pool, AF_INET);
	uint32_t before = 0;
	assert_int_equal(n, 125);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t bytes[4];
		cfg_pool_address(&pool, AF_INET, i, bytes);
		assert_int_equal(cfg_pool_index(&pool, AF_INET, bytes), i);
		assert_true(i == 0 || bytes[3] > before);
		assert_int_not_equal(bytes[3], 200);
		before = bytes[3];
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4),
		cmocka_unit_test(test_v4_gateway_places),
		cmocka_unit_test(test_v4_tiny),
		cmocka_unit_test(test_v4_large),
		cmocka_unit_test(test_v6),
		cmocka_unit_test(test_v6_prefixes),
		cmocka_unit_test(test_all_there_and_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
