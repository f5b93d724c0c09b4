// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of routes, neighbours and local addresses: against a plain search, and under readers.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>

#include "dataplane/table/fib.h"
#include "dataplane/table/local.h"

static struct dp_route_spec spec_of(
	const char *prefix, uint8_t len, uint8_t port, uint32_t metric) {
	static uint8_t bytes[16][16];
	static unsigned n;
	struct dp_route_spec spec = {.side = DP_FIB_LAN,
		.type = DP_ROUTE_LINK,
		.port = port,
		.len = len,
		.metric = metric,
		.epoch = 1};
	uint8_t *p = bytes[n++ % 16];

	spec.v6 = strchr(prefix, ':') != NULL;
	assert_int_equal(inet_pton(spec.v6 ? AF_INET6 : AF_INET, prefix, p), 1);
	spec.prefix = p;
	return spec;
}

static void add(const char *prefix, uint8_t len, uint8_t port, uint32_t metric) {
	struct dp_route_spec spec = spec_of(prefix, len, port, metric);

	assert_int_equal(dp_fib_add(&spec), 0);
}

static int del(const char *prefix, uint8_t len, uint8_t port, uint32_t metric) {
	struct dp_route_spec spec = spec_of(prefix, len, port, metric);

	return dp_fib_del(&spec);
}

// The port of the route, -1: none.
static int port_to(const char *addr) {
	uint8_t bytes[16];
	bool v6 = strchr(addr, ':') != NULL;

	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, addr, bytes), 1);
	const struct dp_route *route = dp_fib_lookup(DP_FIB_LAN, v6, bytes);

	return route != NULL ? route->port : -1;
}

static int setup(void **state) {
	return dp_fib_init() != 0 || dp_neigh_init(2) != 0;
}

static int teardown(void **state) {
	urcu_qsbr_barrier();
	dp_reclaim_process();
	dp_fib_fini();
	dp_neigh_fini();
	dp_local_fini();
	return 0;
}

static void test_longest(void **state) {
	assert_int_equal(port_to("10.1.2.3"), -1);
	add("0.0.0.0", 0, 1, 0);
	add("10.0.0.0", 8, 2, 0);
	add("10.1.2.0", 24, 3, 0);
	add("10.1.2.3", 32, 4, 0);
	add("10.1.0.0", 16, 5, 0);
	add("10.1.0.0", 17, 6, 0);
	assert_int_equal(port_to("9.9.9.9"), 1);
	assert_int_equal(port_to("10.9.9.9"), 2);
	assert_int_equal(port_to("10.1.2.4"), 3);
	assert_int_equal(port_to("10.1.2.3"), 4);
	assert_int_equal(port_to("10.1.128.1"), 5);
	assert_int_equal(port_to("10.1.127.1"), 6);
	assert_int_equal(del("10.1.2.0", 24, 3, 0), 0);
	assert_int_equal(port_to("10.1.2.4"), 6);
	assert_int_equal(port_to("10.1.2.3"), 4);
	assert_int_equal(del("10.1.0.0", 17, 6, 0), 0);
	assert_int_equal(port_to("10.1.2.4"), 5);
	assert_int_equal(del("10.1.2.3", 32, 4, 0), 0);
	assert_int_equal(port_to("10.1.2.3"), 5);
	assert_int_equal(del("10.1.2.3", 32, 4, 0), -ESRCH);
	assert_int_equal(del("0.0.0.0", 0, 1, 0), 0);
	assert_int_equal(port_to("9.9.9.9"), -1);
	add("2001:db8::", 32, 7, 0);
	add("2001:db8::1", 128, 8, 0);
	add("2001:db8:0:1::", 61, 9, 0);
	assert_int_equal(port_to("2001:db8::2"), 9);
	assert_int_equal(port_to("2001:db8::1"), 8);
	assert_int_equal(port_to("2001:db8:0:7::1"), 9);
	assert_int_equal(port_to("2001:db8:0:8::1"), 7);
	assert_int_equal(port_to("2001:db9::1"), -1);
}

static void test_metric_and_epoch(void **state) {
	struct dp_route_spec spec;

	add("10.0.0.0", 8, 1, 100);
	add("10.0.0.0", 8, 2, 50);
	add("10.0.0.0", 8, 3, 200);
	assert_int_equal(dp_fib_count(DP_FIB_LAN), 3);
	add("10.0.0.0", 8, 3, 200);
	assert_int_equal(dp_fib_count(DP_FIB_LAN), 3);
	assert_int_equal(port_to("10.1.1.1"), 2);
	assert_int_equal(del("10.0.0.0", 8, 2, 50), 0);
	assert_int_equal(port_to("10.1.1.1"), 1);
	spec = spec_of("10.0.0.0", 8, 4, 100);
	spec.replace = true;
	spec.epoch = 2;
	assert_int_equal(dp_fib_add(&spec), 0);
	assert_int_equal(port_to("10.1.1.1"), 4);
	assert_int_equal(dp_fib_count(DP_FIB_LAN), 2);
	spec = spec_of("0.0.0.0", 0, 5, 0);
	spec.epoch = 0; // ours: no dump of the kernel takes it away
	assert_int_equal(dp_fib_add(&spec), 0);
	dp_fib_sweep(2);
	assert_int_equal(dp_fib_count(DP_FIB_LAN), 2);
	dp_fib_sweep(3);
	assert_int_equal(port_to("10.1.1.1"), 5);
	spec.len = 33;
	assert_int_equal(dp_fib_add(&spec), -EINVAL);
}

#define RANDOM_ROUTES 3000u
#define RANDOM_STEPS 20000u

// Adds and removes at random and compares with a plain search.
static void test_random(void **state) {
	static struct {
		uint32_t net;
		uint8_t len;
		bool there;
	} model[RANDOM_ROUTES];
	unsigned seed = 7;

	for (unsigned i = 0; i < RANDOM_ROUTES; i++) {
		model[i].len = (uint8_t)(8 + rand_r(&seed) % 25);
		model[i].net = (0x0a000000u | ((uint32_t)rand_r(&seed) & 0x3ffff)) &
			(uint32_t)(0xffffffff00000000u >> model[i].len);
		for (unsigned j = 0; j < i; j++) {
			if (model[j].net == model[i].net && model[j].len == model[i].len)
				model[i].len = 0; // a double: never used
		}
	}
	for (unsigned step = 0; step < RANDOM_STEPS; step++) {
		unsigned i = (unsigned)rand_r(&seed) % RANDOM_ROUTES;
		uint32_t be = htonl(model[i].net), to, best = 0;
		uint8_t key[4];
		int len = -1;

		if (model[i].len == 0)
			continue;
		struct dp_route_spec spec = {.side = DP_FIB_WAN,
			.type = DP_ROUTE_LINK,
			.len = model[i].len,
			.metric = i,
			.prefix = (const uint8_t *)&be,
			.epoch = 1};

		assert_int_equal(model[i].there ? dp_fib_del(&spec) : dp_fib_add(&spec), 0);
		model[i].there = !model[i].there;
		if (step % 8 != 0)
			continue;
		to = 0x0a000000u | ((uint32_t)rand_r(&seed) & 0x3ffff);
		for (unsigned j = 0; j < RANDOM_ROUTES; j++) {
			if (model[j].there && model[j].len > len &&
				((to ^ model[j].net) >> (32 - model[j].len)) == 0) {
				len = model[j].len;
				best = j;
			}
		}
		to = htonl(to);
		memcpy(key, &to, 4);
		const struct dp_route *route = dp_fib_lookup(DP_FIB_WAN, false, key);

		assert_int_equal(route != NULL, len >= 0);
		if (route != NULL)
			assert_int_equal(route->metric, best);
		if (step % 1024 == 0) {
			urcu_qsbr_quiescent_state();
			dp_reclaim_process();
		}
	}
}

static _Atomic bool stop;
static _Atomic unsigned long lookups;

// Looks up without a pause: what it finds must be a route to the address, whole and alive.
static void *reader(void *arg) {
	static const uint8_t addr[4] = {10, 1, 2, 3};
	unsigned long n = 0;

	urcu_qsbr_register_thread();
	while (!atomic_load(&stop)) {
		const struct dp_route *route = dp_fib_lookup(DP_FIB_LAN, false, addr);
		uint8_t mac[6];

		if (route == NULL || route->type != DP_ROUTE_VIA || route->len < 8)
			break; // the /8 is always there
		if (!dp_neigh_mac(route->neigh, mac) || mac[0] != mac[5])
			break;
		atomic_store(&lookups, ++n);
		urcu_qsbr_quiescent_state();
	}
	urcu_qsbr_unregister_thread();
	return (void *)(uintptr_t)atomic_load(&stop);
}

static void test_readers(void **state) {
	static const uint8_t gateway[4] = {10, 9, 9, 9},
			     macs[2][6] = {{2, 0, 0, 0, 0, 2}, {4, 0, 0, 0, 0, 4}};
	struct dp_route_spec base = spec_of("10.0.0.0", 8, 1, 0), more;
	struct abi_addr addr;
	struct dp_neigh *neigh;
	pthread_t thread;
	void *good;

	dp_addr_from(&addr, false, gateway);
	neigh = dp_neigh_get(1, &addr);
	dp_neigh_set(neigh, macs[0]);
	base.type = DP_ROUTE_VIA;
	base.gateway = gateway;
	assert_int_equal(dp_fib_add(&base), 0);
	stop = false;
	lookups = 0;
	assert_int_equal(pthread_create(&thread, NULL, reader, NULL), 0);
	for (unsigned i = 0; i < 4000 || atomic_load(&lookups) < 10000; i++) {
		more = spec_of("10.1.2.0", (uint8_t)(9 + i % 24), 1, 0);
		more.type = DP_ROUTE_VIA;
		more.gateway = gateway;
		assert_int_equal(dp_fib_add(&more), 0);
		dp_neigh_set(neigh, macs[i & 1]);
		assert_int_equal(dp_fib_del(&more), 0);
		urcu_qsbr_quiescent_state();
		dp_reclaim_process();
	}
	stop = true;
	urcu_qsbr_thread_offline();
	pthread_join(thread, &good);
	urcu_qsbr_thread_online();
	assert_non_null(good);
}

static void test_neigh(void **state) {
	static const uint8_t bytes[4] = {10, 0, 0, 7}, mac[6] = {2, 1, 2, 3, 4, 5};
	struct dp_neigh_request request;
	struct dp_neigh *neigh;
	struct abi_addr addr;
	uint8_t out[6];

	dp_addr_from(&addr, false, bytes);
	assert_null(dp_neigh_lookup(0, &addr));
	neigh = dp_neigh_get(0, &addr);
	assert_ptr_equal(dp_neigh_get(0, &addr), neigh);
	assert_ptr_equal(dp_neigh_lookup(0, &addr), neigh);
	assert_null(dp_neigh_lookup(1, &addr));
	assert_false(dp_neigh_mac(neigh, out));
	dp_neigh_set(neigh, mac);
	assert_true(dp_neigh_mac(neigh, out));
	assert_memory_equal(out, mac, 6);
	assert_int_equal(neigh->used, 1);
	neigh->known = true;
	dp_neigh_release(neigh); // the kernel has it
	assert_int_equal(dp_neigh_count(), 1);
	neigh->known = false;
	dp_neigh_release(neigh);
	assert_null(dp_neigh_lookup(0, &addr));
	assert_int_equal(dp_neigh_count(), 0);
	// Requests: the same twice in a row is one; the ring is bounded.
	dp_neigh_request(1, 3, &addr);
	dp_neigh_request(1, 3, &addr);
	dp_neigh_request_clear();
	assert_true(dp_neigh_request_take(&request));
	assert_int_equal(request.port, 3);
	assert_memory_equal(&request.addr, &addr, sizeof(addr));
	assert_false(dp_neigh_request_take(&request));
	for (unsigned i = 0; i < 1000; i++)
		dp_neigh_request(0, (uint8_t)i, &addr);
	unsigned n = 0;

	while (dp_neigh_request_take(&request))
		n++;
	assert_int_equal(n, 64);
}

static void test_local(void **state) {
	struct abi_addr a, b, link = {{0xfe, 0x80, [15] = 1}}, out;

	dp_addr_from(&a, false, (const uint8_t[]){10, 0, 0, 1});
	dp_addr_from(&b, true, (const uint8_t[16]){0xfd, [15] = 1});
	assert_false(dp_local_has(2, &a));
	assert_int_equal(dp_local_add(2, &link), 0);
	assert_int_equal(dp_local_add(2, &a), 0);
	assert_int_equal(dp_local_add(2, &a), 0);
	assert_false(dp_local_first(2, true, &out));
	assert_int_equal(dp_local_add(2, &b), 0);
	assert_true(dp_local_has(2, &a));
	assert_false(dp_local_has(1, &a));
	assert_true(dp_local_first(2, true, &out));
	assert_memory_equal(&out, &b, sizeof(b));
	assert_int_equal(dp_local_del(2, &a), 0);
	assert_false(dp_local_has(2, &a));
	assert_false(dp_local_first(2, false, &out));
	assert_int_equal(dp_local_replace(2, &a, 1), 0);
	assert_true(dp_local_has(2, &a));
	assert_false(dp_local_has(2, &b));
}

// A network behind a client goes before the kernel's route of the same prefix, whichever came first,
// and stays when the kernel's are replaced or swept.
static void test_session(void **state) {
	struct dp_route_spec behind = spec_of("10.7.0.0", 16, DP_ROUTE_NO_PORT, 0), other;
	static const uint8_t addr[4] = {10, 7, 1, 1};
	const struct dp_route *route;

	behind.type = DP_ROUTE_SESSION;
	behind.epoch = 0;
	behind.sid = (struct abi_sid){3, 9};
	add("10.0.0.0", 8, 1, 0);
	add("10.7.0.0", 16, 2, 0);
	assert_false(dp_fib_has_session(&behind));
	assert_int_equal(dp_fib_add(&behind), 0);
	assert_true(dp_fib_has_session(&behind));
	route = dp_fib_lookup(DP_FIB_LAN, false, addr);
	assert_int_equal(route->type, DP_ROUTE_SESSION);
	assert_int_equal(route->sid.index, 3);
	assert_int_equal(route->sid.generation, 9);
	other = spec_of("10.7.0.0", 16, 4, 0);
	other.replace = true;
	assert_int_equal(dp_fib_add(&other), 0);
	assert_int_equal(port_to("10.7.1.1"), DP_ROUTE_NO_PORT);
	add("10.7.1.0", 24, 5, 0);
	assert_int_equal(port_to("10.7.1.1"), 5);
	dp_fib_sweep(2);
	assert_int_equal(port_to("10.7.1.1"), DP_ROUTE_NO_PORT);
	assert_int_equal(port_to("10.8.1.1"), -1);
	assert_int_equal(dp_fib_del(&behind), 0);
	assert_int_equal(port_to("10.7.1.1"), -1);
	assert_false(dp_fib_has_session(&behind));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_longest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metric_and_epoch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neigh, setup, teardown),
		cmocka_unit_test_setup_teardown(test_local, setup, teardown),
	};

	if (dp_reclaim_init() != 0)
		return 1;
	int ret = cmocka_run_group_tests(tests, NULL, NULL);

	dp_reclaim_fini();
	return ret;
}
