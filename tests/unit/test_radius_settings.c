// SPDX-License-Identifier: GPL-3.0-or-later
// What an Access-Accept says of a user: addresses, routes, rates, groups, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/radius/settings.h"

static struct abi_addr address(const char *text) {
	struct abi_addr addr = {{0}};
	if (inet_pton(AF_INET6, text, addr.bytes) == 1)
		return addr;
	addr.bytes[10] = addr.bytes[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, addr.bytes + 12), 1);
	return addr;
}

static bool add_address(struct ipc_user_settings *settings, enum rattr attr, const char *text) {
	const struct rvalue value = {
		.attr = attr, .type = RVALUE_ADDRESS, .prefix = {address(text), 128, {0}}};
	return settings_add(settings, &value, true);
}

static bool add_prefix(
	struct ipc_user_settings *settings, enum rattr attr, const char *text, uint8_t len) {
	const struct rvalue value = {
		.attr = attr, .type = RVALUE_PREFIX, .prefix = {address(text), len, {0}}};
	return settings_add(settings, &value, true);
}

static bool add_number(struct ipc_user_settings *settings, enum rattr attr, uint32_t number) {
	const struct rvalue value = {.attr = attr, .type = RVALUE_NUMBER, .number = number};
	return settings_add(settings, &value, true);
}

static bool add_text(struct ipc_user_settings *settings, enum rattr attr, const char *text) {
	const struct rvalue value = {.attr = attr,
		.type = RVALUE_BYTES,
		.bytes = (const uint8_t *)text,
		.len = strlen(text)};
	return settings_add(settings, &value, true);
}

static void expect_address(const struct abi_addr *addr, const char *expected) {
	char text[ADDR_TEXT_LEN];
	assert_string_equal(addr_text(addr, text), expected);
}

static void test_addresses(void **state) {
	struct ipc_user_settings s = {0};
	assert_true(add_address(&s, RATTR_FRAMED_IP_ADDRESS, "255.255.255.254"));
	assert_true(add_address(&s, RATTR_FRAMED_IP_ADDRESS, "255.255.255.255"));
	assert_int_equal(s.set, 0); // from the pool
	assert_true(add_address(&s, RATTR_FRAMED_IP_ADDRESS, "10.1.2.3"));
	assert_int_equal(s.set, IPC_SET_INNER4);
	expect_address(&s.inner4, "10.1.2.3");
	for (const char **bad =
			(const char *[]){"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.1.1.1", NULL};
		*bad != NULL; bad++)
		assert_false(add_address(&s, RATTR_FRAMED_IP_ADDRESS, *bad));
	expect_address(&s.inner4, "10.1.2.3");
	assert_true(add_address(&s, RATTR_FRAMED_IP_NETMASK, "255.255.240.0"));
	assert_false(add_address(&s, RATTR_FRAMED_IP_NETMASK, "255.0.255.0"));
	expect_address(&s.netmask4, "255.255.240.0");
	assert_int_equal(s.set, IPC_SET_INNER4 | IPC_SET_NETMASK4);
}

static void test_inner6(void **state) {
	struct ipc_user_settings s = {0};
	assert_true(add_prefix(&s, RATTR_DELEGATED_IPV6_PREFIX, "2001:db8:5:77::9", 56));
	expect_address(&s.inner6, "2001:db8:5::1");
	assert_int_equal(s.inner6_prefix, 56);
	assert_true(add_address(&s, RATTR_FRAMED_IPV6_ADDRESS, "2001:db8::7"));
	assert_true(add_prefix(&s, RATTR_DELEGATED_IPV6_PREFIX, "2001:db8:9::", 56));
	expect_address(&s.inner6, "2001:db8::7"); // the one address wins
	assert_int_equal(s.inner6_prefix, 128);
	assert_false(add_address(&s, RATTR_FRAMED_IPV6_ADDRESS, "fe80::1"));
	assert_false(add_address(&s, RATTR_FRAMED_IPV6_ADDRESS, "ff02::1"));
	assert_false(add_address(&s, RATTR_FRAMED_IPV6_ADDRESS, "::1"));
	assert_false(add_address(&s, RATTR_FRAMED_IPV6_ADDRESS, "::"));
	assert_false(add_prefix(&s, RATTR_DELEGATED_IPV6_PREFIX, "2001:db8::", 0));
	assert_false(add_prefix(&s, RATTR_DELEGATED_IPV6_PREFIX, "2001:db8::", 129));
}

static void test_dns(void **state) {
	struct ipc_user_settings s = {0};
	assert_true(add_address(&s, RATTR_MS_PRIMARY_DNS_SERVER, "192.0.2.53"));
	assert_true(add_address(&s, RATTR_MS_SECONDARY_DNS_SERVER, "192.0.2.54"));
	assert_true(add_address(&s, RATTR_DNS_SERVER_IPV6_ADDRESS, "2001:db8::53"));
	assert_false(add_address(&s, RATTR_DNS_SERVER_IPV6_ADDRESS, "::"));
	assert_true(add_address(&s, RATTR_DNS_SERVER_IPV6_ADDRESS, "2001:db8::54"));
	assert_false(
		add_address(&s, RATTR_DNS_SERVER_IPV6_ADDRESS, "2001:db8::55")); // one too many
	assert_int_equal(s.nb_dns, 4);
	expect_address(&s.dns[2], "2001:db8::53");
}

static void test_route_text(void **state) {
	static const struct {
		const char *text, *addr; // addr NULL: no route
		uint8_t len;
	} cases[] = {
		{"10.1.0.0/16", "10.1.0.0", 16},
		{"10.1.2.3/16 192.0.2.1 1", "10.1.0.0", 16},
		{"192.0.2.7", "192.0.2.7", 32},
		{"0.0.0.0/0", "0.0.0.0", 0},
		{"2001:db8:1::5/48 :: 1", "2001:db8:1::", 48},
		{"2001:db8::7", "2001:db8::7", 128},
		{"::/0", "none", 0},
		{"", NULL, 0},
		{" 10.0.0.0/8", NULL, 0},
		{"10.0.0.0/33", NULL, 0},
		{"10.0.0.0/", NULL, 0},
		{"10.0.0.0/-1", NULL, 0},
		{"10.0.0.0/8x", NULL, 0},
		{"10.0.0.0/0008", NULL, 0},
		{"10.0.0/8", NULL, 0},
		{"2001:db8::/129", NULL, 0},
		{"::ffff:10.0.0.0/104", NULL, 0},
		{"default", NULL, 0},
		{"2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8", NULL,
			0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipc_prefix prefix;
		const char *text = cases[i].text;
		bool ok = settings_route((const uint8_t *)text, strlen(text), &prefix);
		assert_int_equal(ok, cases[i].addr != NULL);
		if (!ok)
			continue;
		expect_address(&prefix.addr, cases[i].addr);
		assert_int_equal(prefix.len, cases[i].len);
	}
	struct ipc_prefix prefix;
	assert_false(settings_route((const uint8_t *)"10.0.0.0\0/8", 11, &prefix));
}

static void test_routes(void **state) {
	struct ipc_user_settings s = {0};
	assert_true(add_text(&s, RATTR_FRAMED_ROUTE, "10.9.0.0/16 0.0.0.0 1"));
	assert_true(add_text(&s, RATTR_FRAMED_IPV6_ROUTE, "2001:db8:9::/48 :: 1"));
	assert_false(add_text(&s, RATTR_FRAMED_ROUTE, "2001:db8:9::/48")); // not of this family
	assert_false(add_text(&s, RATTR_FRAMED_IPV6_ROUTE, "10.9.0.0/16"));
	assert_true(add_prefix(&s, RATTR_FRAMED_IPV6_PREFIX, "2001:db8:a::7", 64));
	assert_true(add_prefix(&s, RATTR_ROUTE_IPV6_INFORMATION, "2001:db8:b::", 32));
	assert_int_equal(s.nb_routes, 4);
	expect_address(&s.routes[2].addr, "2001:db8:a::");
	while (s.nb_routes < IPC_USER_ROUTES)
		assert_true(add_text(&s, RATTR_FRAMED_ROUTE, "10.9.0.0/16"));
	assert_false(add_text(&s, RATTR_FRAMED_ROUTE, "10.9.0.0/16"));
	assert_int_equal(s.nb_routes, IPC_USER_ROUTES);
}

static void test_numbers(void **state) {
	struct ipc_user_settings s = {0};
	assert_true(add_number(&s, RATTR_SESSION_TIMEOUT, 3600));
	assert_true(add_number(&s, RATTR_IDLE_TIMEOUT, 300));
	assert_true(add_number(&s, RATTR_ACCT_INTERIM_INTERVAL, 5));
	assert_true(add_number(&s, RATTR_RP_UPSTREAM_SPEED_LIMIT, 125));
	assert_true(add_number(&s, RATTR_RP_DOWNSTREAM_SPEED_LIMIT, 0xffffffff));
	assert_true(add_number(&s, RATTR_ACCT_STATUS_TYPE, 1)); // not for us
	assert_int_equal(s.session_timeout, 3600);
	assert_int_equal(s.idle_timeout, 300);
	assert_int_equal(s.interim_interval, 60);
	assert_int_equal(s.rx_rate, 125000);
	assert_int_equal(s.tx_rate, 0xffffffff);
	assert_int_equal(s.set,
		IPC_SET_SESSION_TIMEOUT | IPC_SET_IDLE_TIMEOUT | IPC_SET_INTERIM | IPC_SET_RX_RATE |
			IPC_SET_TX_RATE);
}

// No limit at all is not for a server to say: what the configuration has stays.
static void test_zero_lifts_no_limit(void **state) {
	struct ipc_user_settings s = {0};
	assert_true(add_number(&s, RATTR_SESSION_TIMEOUT, 0));
	assert_true(add_number(&s, RATTR_IDLE_TIMEOUT, 0));
	assert_int_equal(s.set, 0);
}

static void test_groups(void **state) {
	struct ipc_user_settings s = {0};
	char long_name[IPC_GROUP_LEN + 1];
	assert_true(add_text(&s, RATTR_CLASS, "OU=staff;admins"));
	assert_string_equal(s.groups, "staff,admins");
	assert_true(add_text(&s, RATTR_CLASS, "ou=admins;;ops;"));
	assert_true(add_text(&s, RATTR_CLASS, "plain"));
	assert_string_equal(s.groups, "staff,admins,ops,plain");
	// A Class of bytes, or one that is text of another kind, is no list of groups.
	assert_true(settings_groups((const uint8_t *)"a\0b", 3, s.groups));
	assert_true(add_text(&s, RATTR_CLASS, "good;<b>"));
	assert_true(add_text(&s, RATTR_CLASS, "two words"));
	assert_true(add_text(&s, RATTR_CLASS, "a,b"));
	memset(long_name, 'g', sizeof(long_name));
	long_name[IPC_GROUP_LEN] = '\0';
	assert_true(add_text(&s, RATTR_CLASS, long_name));
	assert_string_equal(s.groups, "staff,admins,ops,plain");
	struct rvalue value = {
		RATTR_CLASS, RVALUE_BYTES, 0, (const uint8_t *)"more", 4, {{{0}}, 0, {0}}};
	assert_true(settings_add(&s, &value, false));
	assert_string_equal(s.groups, "staff,admins,ops,plain");
}

static void test_filter(void **state) {
	struct ipc_user_settings s = {0};
	char long_name[IPC_FILTER_LEN + 1] = "";
	memset(long_name, 'f', IPC_FILTER_LEN);
	assert_false(add_text(&s, RATTR_FILTER_ID, ""));
	assert_false(add_text(&s, RATTR_FILTER_ID, long_name));
	assert_false(add_text(&s, RATTR_FILTER_ID, "a\nb"));
	assert_int_equal(s.set, 0);
	assert_true(add_text(&s, RATTR_FILTER_ID, long_name + 1));
	assert_int_equal(s.set, IPC_SET_FILTER);
	// A session has one: the other is left out, and logged by who asks for it.
	assert_false(add_text(&s, RATTR_FILTER_ID, "web"));
	assert_string_equal(s.filter, long_name + 1);
}

static void test_groups_full(void **state) {
	struct ipc_user_settings s = {0};
	char name[] = "group-with-a-name-of-some-length-00";
	bool full = false;
	for (int i = 0; i < 30 && !full; i++) {
		name[sizeof(name) - 3] = (char)('0' + i / 10);
		name[sizeof(name) - 2] = (char)('0' + i % 10);
		full = !add_text(&s, RATTR_CLASS, name);
	}
	assert_true(full);
	assert_true(strlen(s.groups) < sizeof(s.groups));
	assert_int_equal(s.groups[strlen(s.groups) - 1] >= '0', 1); // no half name at the end
}

static void test_message(void **state) {
	char text[IPC_MESSAGE_LEN] = "";
	char long_text[IPC_MESSAGE_LEN];
	settings_message((const uint8_t *)"line\r\nnext \xc3\xa4 \xff \xc3", 17, text);
	assert_string_equal(text, "line  next \xc3\xa4 ? ?");
	settings_message((const uint8_t *)"\xed\xa0\x80!", 4, text); // a surrogate
	assert_string_equal(text,
		"line  next \xc3\xa4 ? ???"
		"?!");
	memset(text, 0, sizeof(text));
	memset(long_text, 'x', sizeof(long_text));
	settings_message((const uint8_t *)long_text, IPC_MESSAGE_LEN - 2, text);
	settings_message((const uint8_t *)"\xc3\xa4", 2, text); // would be cut in two
	assert_int_equal(strlen(text), IPC_MESSAGE_LEN - 2);
	settings_message((const uint8_t *)"yz", 2, text);
	assert_int_equal(strlen(text), IPC_MESSAGE_LEN - 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_inner6),
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_route_text),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_zero_lifts_no_limit),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_groups_full),
		cmocka_unit_test(test_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
