// SPDX-License-Identifier: GPL-3.0-or-later
// Which addresses and settings a session gets at its CONNECT, by group, user and what an
// authentication server says; and that it has them after a restart.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/sessions_fixture.h"

#define TEXT(text) ((char *)(uintptr_t)(text))

static char *staff_pools[] = {TEXT("staff")};
static struct cfg_group group;
static struct cfg_user user;
static struct cfg_pool pools[2];

// A second pool, of group staff alone; ann has an address in the first.
static int setup(void **state) {
	struct bench *bench;

	if (sessions_setup(state) != 0)
		return -1;
	bench = *state;
	pools[0] = bench->pool;
	pools[1] = (struct cfg_pool){
		.name = TEXT("staff"),
		.v4 = {.addr = {AF_INET, {10, 9, 9, 0}}, .len = 29},
		.gateway4 = {AF_INET, {10, 9, 9, 1}},
	};
	group = (struct cfg_group){
		.name = TEXT("staff"),
		.label = TEXT("staff"),
		.settings = {.set = CFG_SET_POOLS | CFG_SET_DPD | CFG_SET_SESSION_TIMEOUT,
			.network = {.dpd = 77, .session_timeout = 500},
			.pools = staff_pools,
			.nb_pools = 1},
	};
	user = (struct cfg_user){
		.name = TEXT("ann"),
		.settings = {.set = CFG_SET_IPV4 | CFG_SET_NO_UDP | CFG_SET_IDLE_TIMEOUT,
			.network = {.idle_timeout = 44},
			.no_udp = true,
			.ipv4 = {AF_INET, {10, 9, 0, 2}}},
	};
	bench->cfg.pools = pools;
	bench->cfg.nb_pools = 2;
	bench->cfg.groups = &group;
	bench->cfg.nb_groups = 1;
	bench->cfg.users = &user;
	bench->cfg.nb_users = 1;
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
	attach(bench, 1);
	dump_end(bench);
	return 0;
}

static int login(struct bench *bench, uint8_t cookie, const char *name, const char *in,
	const struct ipc_user_settings *extra) {
	struct ipc_session_new msg = {.hdr.req = ++bench->req, .cookie_hash = {cookie}};

	snprintf(msg.username, sizeof(msg.username), "%s", name);
	snprintf(msg.groups, sizeof(msg.groups), "%s", in);
	snprintf(msg.group, sizeof(msg.group), "%s", in);
	if (extra)
		msg.settings = *extra;
	assert_int_equal(session_login(bench->mgr, &msg), 0);
	spin(bench);
	return take_sent(bench, IPC_SESSION_CREATED)->created.status;
}

static struct abi_addr four(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
	return (struct abi_addr){{[10] = 0xff, 0xff, a, b, c, d}};
}

static void expect4(const struct ipc_connect_result *result, struct abi_addr addr) {
	assert_memory_equal(&result->inner4, &addr, sizeof(addr));
}

static void test_own_address(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;

	// The first free one is ann's: nobody else gets it.
	assert_int_equal(login_status(bench, 1, "bob"), 0);
	result = connect_ok(bench, 1);
	expect4(&result, four(10, 9, 0, 3));
	assert_int_equal(result.dtls, IPC_DTLS_PSK);
	assert_int_equal(login_status(bench, 2, "ann"), 0);
	result = connect_ok(bench, 2);
	expect4(&result, four(10, 9, 0, 2));
	assert_int_equal(result.dtls, IPC_DTLS_NONE); // no-udp
	assert_int_equal(result.idle_timeout, 44);
	assert_string_equal(result.username, "ann");
	assert_string_equal(result.group, "");
	// Nor after ann has gone.
	assert_int_equal(session_disconnect_user(bench->mgr, "ann"), 1);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	for (uint8_t cookie = 3; cookie < 6; cookie++) {
		assert_int_equal(login_status(bench, cookie, "bob"), 0);
		connect_ok(bench, cookie);
	}
	assert_int_equal(login_status(bench, 6, "bob"), 0);
	result = connect_ok(bench, 6); // of the other pool
	expect4(&result, four(10, 9, 9, 2));
}

// The newest session has it; the one before is ended, and its cookie with it.
static void test_own_address_once(void **state) {
	struct bench *bench = *state;
	struct abi_sid old = connected(bench, 1, "ann");
	struct ipc_connect_result result;
	struct ipc_connect msg;
	struct abi_cmd cmd;

	assert_int_equal(login_status(bench, 2, "ann"), 0);
	msg = connect_msg(bench, 2);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.sid.index, old.index);
	assert_int_equal(cmd.session_del.reason, ABI_END_SERVER);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, 0);
	result = take_sent(bench, IPC_CONNECT_RESULT)->result;
	expect4(&result, four(10, 9, 0, 2));
	assert_int_equal(state_of(bench, 1), 0);
	assert_int_equal(state_of(bench, 2), SESSION_CONNECTED);
}

static void test_group(void **state) {
	struct bench *bench = *state;
	struct ipc_connect msg;
	struct ipc_connect_result result;
	struct abi_addr none = {0};
	struct abi_cmd cmd;

	assert_int_equal(login(bench, 1, "bob", "staff", NULL), 0);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_int_equal(cmd.session_add.policy.dpd_s, 77);
	assert_int_equal(cmd.session_add.policy.session_timeout_s, 500);
	complete(bench, &cmd, 0);
	result = take_sent(bench, IPC_CONNECT_RESULT)->result;
	expect4(&result, four(10, 9, 9, 2));
	assert_memory_equal(&result.inner6, &none, sizeof(none)); // the pool has none
	assert_int_equal(result.session_timeout, 500);
	assert_int_equal(result.dpd, 77);
	assert_string_equal(result.group, "staff");
}

static void test_max_same(void **state) {
	struct bench *bench = *state;

	bench->cfg.auth.max_same_clients = 1;
	group.settings.set |= CFG_SET_MAX_SAME_CLIENTS;
	group.settings.max_same_clients = 2;
	assert_int_equal(login(bench, 1, "bob", "", NULL), 0);
	assert_int_equal(login(bench, 2, "bob", "", NULL), -EUSERS);
	assert_int_equal(login(bench, 3, "bob", "staff", NULL), 0);
	assert_int_equal(login(bench, 4, "bob", "staff", NULL), -EUSERS);
}

// What is changed counts from the next CONNECT on, but the addresses stay the session's.
static void test_reload(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result before, after;
	struct abi_sid sid;
	char text[128] = "";

	assert_int_equal(login(bench, 1, "bob", "staff", NULL), 0);
	before = connect_ok(bench, 1);
	stream_up(bench, before.sid);
	sid = before.sid;
	group.settings.network.dpd = 78;
	group.settings.set &= ~CFG_SET_POOLS;
	user.settings.ipv4.bytes[3] = 3;
	session_mgr_cfg(bench->mgr, &bench->cfg, text, sizeof(text));
	assert_string_equal(text, "");
	end_session(bench, sid, ABI_END_TEMPORARY);
	after = connect_ok(bench, 1);
	assert_int_equal(after.dpd, 78);
	assert_memory_equal(&after.inner4, &before.inner4, sizeof(after.inner4));
	// ann's old address is anybody's now, the new one is hers.
	assert_int_equal(login(bench, 2, "bob", "", NULL), 0);
	before = connect_ok(bench, 2);
	expect4(&before, four(10, 9, 0, 2));
	assert_int_equal(login(bench, 3, "ann", "", NULL), 0);
	before = connect_ok(bench, 3);
	expect4(&before, four(10, 9, 0, 3));
}

// An address that has become another user's goes over at the next CONNECT.
static void test_address_given_away(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;
	char text[128] = "";

	assert_int_equal(login(bench, 1, "bob", "", NULL), 0);
	result = connect_ok(bench, 1);
	expect4(&result, four(10, 9, 0, 3));
	stream_up(bench, result.sid);
	user.settings.ipv4.bytes[3] = 3;
	session_mgr_cfg(bench->mgr, &bench->cfg, text, sizeof(text));
	assert_int_equal(login(bench, 2, "ann", "", NULL), 0);
	assert_int_equal(connect_status(bench, 2, "in use"), 503);
	end_session(bench, result.sid, ABI_END_TEMPORARY);
	result = connect_ok(bench, 1);
	expect4(&result, four(10, 9, 0, 2));
	result = connect_ok(bench, 2);
	expect4(&result, four(10, 9, 0, 3));
}

static void test_server_says(void **state) {
	struct bench *bench = *state;
	struct ipc_user_settings extra = {
		.set = IPC_SET_INNER4 | IPC_SET_NETMASK4 | IPC_SET_SESSION_TIMEOUT,
		.inner4 = four(10, 9, 9, 5),
		.netmask4 = four(255, 255, 255, 255),
		.session_timeout = 60,
		.groups = "other",
	};
	struct ipc_connect_result result;

	assert_int_equal(login(bench, 1, "bob", "staff", &extra), 0);
	result = connect_ok(bench, 1);
	expect4(&result, four(10, 9, 9, 5));
	assert_memory_equal(&result.netmask4, &extra.netmask4, sizeof(result.netmask4));
	assert_int_equal(result.session_timeout, 60);
	assert_int_equal(result.settings.set, extra.set);
	assert_string_equal(result.settings.groups, "");
	// Of no pool, or somebody else's: said, not replaced by another.
	extra.inner4 = four(10, 8, 0, 1);
	assert_int_equal(login(bench, 2, "cyd", "", &extra), 0);
	assert_int_equal(connect_status(bench, 2, "in no pool"), 503);
	extra.inner4 = four(10, 9, 9, 5);
	assert_int_equal(login(bench, 3, "cyd", "", &extra), 0);
	assert_int_equal(connect_status(bench, 3, "in use"), 503);
}

static void test_restart(void **state) {
	struct bench *bench = *state;
	struct ipc_user_settings extra = {.set = IPC_SET_IDLE_TIMEOUT, .idle_timeout = 99};
	struct ipc_connect_result before, after;

	assert_int_equal(login(bench, 1, "bob", "staff", &extra), 0);
	before = connect_ok(bench, 1);
	assert_int_equal(before.idle_timeout, 99);
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
	attach(bench, 2); // a new dataplane, which has nothing
	dump_end(bench);
	after = connect_ok(bench, 1);
	assert_int_equal(after.idle_timeout, 99);
	assert_int_equal(after.dpd, 77);
	assert_string_equal(after.group, "staff");
	assert_memory_equal(&after.inner4, &before.inner4, sizeof(after.inner4));
}

static void test_hostile(void **state) {
	struct bench *bench = *state;
	struct ipc_session_new msg = {.username = "bob", .cookie_hash = {1}};

	msg.settings.nb_routes = IPC_USER_ROUTES + 1;
	assert_int_equal(session_login(bench->mgr, &msg), -EPROTO);
	msg.settings.nb_routes = 0;
	msg.settings.set = IPC_SET_INNER4; // no IPv4 address
	assert_int_equal(session_login(bench->mgr, &msg), -EPROTO);
	msg.settings.set = 0;
	memset(msg.group, 'x', sizeof(msg.group));
	assert_int_equal(session_login(bench->mgr, &msg), -EPROTO);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, sessions_teardown)
	const struct CMUnitTest tests[] = {
		T(test_own_address),
		T(test_own_address_once),
		T(test_group),
		T(test_max_same),
		T(test_reload),
		T(test_address_given_away),
		T(test_server_says),
		T(test_restart),
		T(test_hostile),
	};

	return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
