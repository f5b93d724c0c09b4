// SPDX-License-Identifier: GPL-3.0-or-later
// Points, bans, their end, and what a table of fixed size does with a hostile world.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/proc/bans.h"

static struct {
	unsigned begun, lifted;
	struct ban_info last;
} seen;

static struct bans_limits limits;
static struct cfg_prefix exempt[2];

static void on_changed(const struct ban_info *info, bool lifted, void *arg) {
	assert_ptr_equal(arg, &seen);
	*(lifted ? &seen.lifted : &seen.begun) += 1;
	seen.last = *info;
}

static struct bans *table(uint32_t entries) {
	struct bans *bans = bans_new(entries, &(struct bans_hooks){on_changed, &seen});

	assert_non_null(bans);
	memset(&seen, 0, sizeof(seen));
	limits = (struct bans_limits){
		.max_score = 30,
		.max_score_prefix = 100,
		.points_wrong_password = 10,
		.points_connection = 1,
		.ban_time_s = 300,
		.reset_time_s = 200,
	};
	bans_limits_set(bans, &limits, 0);
	return bans;
}

static struct abi_addr v4(uint32_t n) {
	struct abi_addr addr = {.bytes = {[10] = 0xff, [11] = 0xff}};

	n = htonl(n);
	memcpy(addr.bytes + 12, &n, sizeof(n));
	return addr;
}

static struct abi_addr v6(uint32_t net, uint32_t host) {
	struct abi_addr addr = {.bytes = {0x20, 0x01, 0x0d, 0xb8}};

	net = htonl(net);
	host = htonl(host);
	memcpy(addr.bytes + 4, &net, sizeof(net));
	memcpy(addr.bytes + 12, &host, sizeof(host));
	return addr;
}

static void wrong(struct bans *bans, struct abi_addr addr, unsigned n, uint64_t now) {
	while (n-- > 0)
		bans_wrong_password(bans, &addr, now);
}

static bool banned(struct bans *bans, struct abi_addr addr, uint64_t now) {
	return bans_banned(bans, &addr, now);
}

static void test_ban_and_its_end(void **state) {
	struct bans *bans = table(64);

	wrong(bans, v4(1), 2, 1000);
	assert_false(banned(bans, v4(1), 1000));
	wrong(bans, v4(1), 1, 1100);
	assert_true(banned(bans, v4(1), 1100));
	assert_int_equal(seen.begun, 1);
	assert_int_equal(seen.last.since_s, 1100);
	assert_int_equal(seen.last.until_s, 1400);
	assert_int_equal(bans_score(bans, &seen.last), 30);
	// Others are nobody's business, and knocking on prolongs nothing.
	assert_false(banned(bans, v4(2), 1100));
	wrong(bans, v4(1), 50, 1390);
	assert_true(banned(bans, v4(1), 1399));
	assert_false(banned(bans, v4(1), 1400));
	assert_int_equal(bans_count(bans, 1400), 0);
	// He begins anew, with nothing.
	wrong(bans, v4(1), 2, 1400);
	assert_false(banned(bans, v4(1), 1400));
	assert_int_equal(seen.begun, 1);
	assert_int_equal(seen.lifted, 0);
	bans_free(bans);
}

static void test_points_are_forgotten(void **state) {
	struct bans *bans = table(64);
	struct abi_addr addr = v4(1);

	wrong(bans, addr, 2, 1000);
	bans_connections(bans, &addr, 9, 1199);
	assert_false(banned(bans, addr, 1199));
	wrong(bans, addr, 2, 1200); // 200 s after the first
	assert_false(banned(bans, addr, 1200));
	bans_connections(bans, &addr, 9, 1250);
	assert_false(banned(bans, addr, 1250));
	bans_connections(bans, &addr, 1, 1251);
	assert_true(banned(bans, addr, 1251));
	bans_free(bans);
}

static void test_prefix(void **state) {
	struct bans *bans = table(64);

	// One bad host is banned alone.
	wrong(bans, v6(1, 7), 3, 1000);
	assert_true(banned(bans, v6(1, 7), 1000));
	assert_false(banned(bans, v6(1, 8), 1000));
	assert_int_equal(seen.last.prefix_len, 128);
	// One that takes another address each time is banned by its /64: 3 + 7 times 10 points.
	for (uint32_t i = 0; i < 7; i++) {
		assert_false(banned(bans, v6(1, 5000), 1001));
		wrong(bans, v6(1, 100 + i), 1, 1001);
	}
	assert_true(banned(bans, v6(1, 5000), 1001));
	assert_false(banned(bans, v6(2, 5000), 1001));
	assert_int_equal(seen.last.prefix_len, 64);
	assert_int_equal(seen.last.addr.bytes[15], 0);
	assert_int_equal(bans_count(bans, 1001), 2);
	bans_free(bans);
}

static void test_exempt(void **state) {
	struct bans *bans = table(64);

	exempt[0] = (struct cfg_prefix){{AF_INET, {10, 1, 4, 0}}, 22};
	exempt[1] = (struct cfg_prefix){{AF_INET6, {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 3}}, 64};
	limits.exempt = exempt;
	limits.nb_exempt = 2;
	bans_limits_set(bans, &limits, 0);
	wrong(bans, v4(0x0a0107ff), 50, 1000);
	assert_false(banned(bans, v4(0x0a0107ff), 1000));
	wrong(bans, v4(0x0a010800), 3, 1000);
	assert_true(banned(bans, v4(0x0a010800), 1000));
	wrong(bans, v6(3, 1), 50, 1000);
	assert_false(banned(bans, v6(3, 1), 1000));
	// One exempt host in a /64 that is banned.
	exempt[1] = (struct cfg_prefix){
		{AF_INET6, {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 4, [15] = 9}}, 128};
	wrong(bans, v6(4, 1), 3, 1000);
	wrong(bans, v6(4, 2), 3, 1000);
	wrong(bans, v6(4, 3), 3, 1000);
	wrong(bans, v6(4, 4), 3, 1000);
	assert_true(banned(bans, v6(4, 5), 1000));
	assert_false(banned(bans, v6(4, 9), 1000));
	bans_free(bans);
}

static void test_off(void **state) {
	struct bans *bans = table(64);
	struct abi_addr addr = v4(1);

	limits.max_score = 0;
	bans_limits_set(bans, &limits, 0);
	wrong(bans, addr, 100, 1000);
	bans_connections(bans, &addr, 100000, 1000);
	assert_false(banned(bans, addr, 1000));
	// No points for connections: only passwords count.
	limits.max_score = 30;
	limits.points_connection = 0;
	bans_limits_set(bans, &limits, 1000);
	bans_connections(bans, &addr, 100000, 1000);
	assert_false(banned(bans, addr, 1000));
	wrong(bans, addr, 3, 1000);
	assert_true(banned(bans, addr, 1000));
	bans_free(bans);
}

static void test_reload(void **state) {
	struct bans *bans = table(64);

	wrong(bans, v4(1), 3, 1000);
	wrong(bans, v4(2), 4, 1050);
	wrong(bans, v4(3), 3, 1100);
	assert_int_equal(bans_count(bans, 1100), 3);
	// Shorter: the first has served its time already.
	limits.ban_time_s = 80;
	bans_limits_set(bans, &limits, 1100);
	assert_false(banned(bans, v4(1), 1100));
	assert_true(banned(bans, v4(2), 1129));
	assert_false(banned(bans, v4(2), 1130));
	assert_true(banned(bans, v4(3), 1179));
	assert_false(banned(bans, v4(3), 1180));
	assert_int_equal(seen.lifted, 1);
	// More is allowed, or somebody is exempt: lifted.
	wrong(bans, v4(1), 3, 2000);
	wrong(bans, v4(4), 3, 2000);
	assert_int_equal(bans_count(bans, 2000), 2);
	exempt[0] = (struct cfg_prefix){{AF_INET, {0, 0, 0, 4}}, 32};
	limits.exempt = exempt;
	limits.nb_exempt = 1;
	bans_limits_set(bans, &limits, 2001);
	assert_true(banned(bans, v4(1), 2001));
	assert_false(banned(bans, v4(4), 2001));
	limits.max_score = 31;
	bans_limits_set(bans, &limits, 2001);
	assert_int_equal(bans_count(bans, 2001), 0);
	assert_int_equal(seen.lifted, 3);
	bans_free(bans);
}

static void test_lift(void **state) {
	struct bans *bans = table(64);
	struct abi_addr addr = v4(1), host = v6(1, 1);

	wrong(bans, addr, 3, 1000);
	assert_true(bans_lift(bans, &addr, 1001));
	assert_false(banned(bans, addr, 1001));
	assert_false(bans_lift(bans, &addr, 1001));
	assert_int_equal(seen.lifted, 1);
	// His points are gone, too.
	wrong(bans, addr, 2, 1001);
	assert_false(banned(bans, addr, 1001));
	// An address is let in again, so its /64 is.
	for (uint32_t i = 0; i < 10; i++)
		wrong(bans, v6(1, i), 1, 1001);
	assert_true(banned(bans, host, 1001));
	assert_true(bans_lift(bans, &host, 1001));
	assert_false(banned(bans, v6(1, 99), 1001));
	wrong(bans, v4(1), 3, 1001);
	wrong(bans, v4(2), 3, 1001);
	assert_int_equal(bans_lift_all(bans, 1002), 2);
	assert_int_equal(bans_count(bans, 1002), 0);
	bans_free(bans);
}

static void test_copy(void **state) {
	struct bans *bans = table(64);
	struct ban_info info = {.addr = v4(1), .prefix_len = 128, .since_s = 900, .until_s = 1000};

	assert_int_equal(bans_put(bans, &info, 950), 0);
	assert_true(banned(bans, v4(1), 999));
	assert_false(banned(bans, v4(1), 1000));
	assert_int_equal(bans_put(bans, &info, 1000), -EINVAL); // over
	info.until_s = 2000;
	assert_int_equal(bans_put(bans, &info, 1000), 0);
	info.until_s = 1500;
	assert_int_equal(bans_put(bans, &info, 1000), 0);
	assert_int_equal(bans_count(bans, 1499), 1);
	assert_int_equal(bans_count(bans, 1500), 0);
	// What is no prefix of ours.
	info = (struct ban_info){.addr = v6(1, 1), .prefix_len = 64, .until_s = 9000};
	assert_int_equal(bans_put(bans, &info, 1000), -EINVAL);
	info.addr = v4(1);
	assert_int_equal(bans_put(bans, &info, 1000), -EINVAL);
	info.prefix_len = 0;
	assert_int_equal(bans_put(bans, &info, 1000), -EINVAL);
	info = (struct ban_info){.prefix_len = 128, .until_s = 9000};
	assert_int_equal(bans_put(bans, &info, 1000), -EINVAL);
	assert_true(bans_lift_one(bans, &(struct abi_addr){0}, 128, 1000) == false);
	bans_free(bans);
}

static int count_each(const struct ban_info *info, void *arg) {
	++*(unsigned *)arg;
	return 0;
}

// The whole table is full of strangers, again and again: the ban stays.
static void test_strangers(void **state) {
	struct bans *bans = table(1024);
	unsigned n = 0;

	wrong(bans, v4(1), 3, 1000);
	for (uint32_t i = 0; i < 100000; i++)
		wrong(bans, v4(0x0b000000 + i), 1, 1001);
	assert_true(banned(bans, v4(1), 1001));
	assert_int_equal(bans_each(bans, true, 0, 1001, count_each, &n), 0);
	assert_int_equal(n, 1024);
	bans_free(bans);
}

// Who comes again before a whole table of strangers has come keeps his points.
static void test_last_used_first_out(void **state) {
	struct bans *bans = table(1024);

	for (uint32_t round = 0; round < 3; round++) {
		assert_false(banned(bans, v4(1), 1000));
		wrong(bans, v4(1), 1, 1000);
		for (uint32_t i = 0; i < 1000; i++)
			wrong(bans, v4(0x0b000000 + round * 1000 + i), 1, 1000);
	}
	assert_true(banned(bans, v4(1), 1000));
	bans_free(bans);
}

// An attacker with as many addresses as he likes: three quarters are bans, none is pushed out, and
// the rest goes on counting.
static void test_full_of_bans(void **state) {
	struct bans *bans = table(1024);

	for (uint32_t i = 0; i < 5000; i++)
		wrong(bans, v4(0x0b000000 + i), 3, 1000);
	assert_int_equal(bans_count(bans, 1000), 768);
	assert_int_equal(bans_overflows(bans), 5000 - 768);
	for (uint32_t i = 0; i < 768; i++)
		assert_true(banned(bans, v4(0x0b000000 + i), 1000));
	// There is room again once the first have served their time.
	wrong(bans, v4(1), 3, 1300);
	assert_true(banned(bans, v4(1), 1300));
	assert_int_equal(bans_count(bans, 1300), 1);
	bans_free(bans);
}

static void test_bounded(void **state) {
	struct bans *bans = table(1024);
	unsigned n = 0;

	for (uint32_t i = 0; i < 20000; i++)
		wrong(bans, v6(i, i), 1, 1000);
	bans_each(bans, true, 0, 1000, count_each, &n);
	assert_int_equal(n, 1024);
	n = 0;
	bans_each(bans, true, 1000, 1000, count_each, &n);
	assert_int_equal(n, 24);
	bans_free(bans);
}

static int refused_is_two(const struct ban_info *info, void *arg) {
	assert_int_equal(info->refused, 2);
	return 1;
}

static void test_refused(void **state) {
	struct bans *bans = table(64);
	struct abi_addr addr = v4(1);

	wrong(bans, addr, 3, 1000);
	bans_refused(bans, &addr, 2, 1001);
	bans_refused(bans, &(struct abi_addr){.bytes = {[15] = 9}}, 2, 1001);
	assert_int_equal(bans_each(bans, false, 0, 1001, refused_is_two, NULL), 1);
	bans_free(bans);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ban_and_its_end),
		cmocka_unit_test(test_points_are_forgotten),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_exempt),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_lift),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_last_used_first_out),
		cmocka_unit_test(test_full_of_bans),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
