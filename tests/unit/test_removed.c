// SPDX-License-Identifier: GPL-3.0-or-later
// Users who are taken out of the password file lose the sessions that it let them in for, and nobody
// else does.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/sessions_fixture.h"

// A login by the password file.
static void log_in(struct bench *bench, uint8_t cookie, const char *user) {
	struct ipc_session_new msg = {.hdr.req = ++bench->req,
		.cookie_hash = {cookie},
		.facts = {.authentic = IPC_AUTHENTIC_LOCAL, .password_file = 1}};

	msg.remote = (struct abi_addr){{[10] = 0xff, 0xff, 192, 0, 2, cookie}};
	snprintf(msg.username, sizeof(msg.username), "%s", user);
	assert_int_equal(session_login(bench->mgr, &msg), 0);
	spin(bench);
	assert_int_equal(take_sent(bench, IPC_SESSION_CREATED)->created.status, 0);
}

static struct ipc_users_ask asked(struct bench *bench) {
	struct sent *sent = take_sent(bench, IPC_USERS_ASK);

	assert_int_equal(sent->role, IPC_AUTH);
	return sent->users;
}

static int answer(struct bench *bench, uint64_t req, uint64_t gone) {
	struct ipc_users_answer msg = {.hdr.req = req, .gone = gone};

	return removed_answer(bench->mgr, &msg);
}

static void test_gone(void **state) {
	struct bench *bench = *state;
	struct ipc_users_ask ask;
	struct abi_sid sid;

	log_in(bench, 1, "ann");
	sid = connect_ok(bench, 1).sid;
	stream_up(bench, sid);
	log_in(bench, 2, "ann");
	log_in(bench, 3, "bob");
	assert_int_equal(login_status(bench, 4, "ann"), 0); // by another way
	removed_changed(bench->mgr);
	ask = asked(bench);
	assert_int_equal(ask.nb, 3);
	assert_string_equal(ask.names[0], "ann");
	assert_string_equal(ask.names[1], "ann");
	assert_string_equal(ask.names[2], "bob");
	assert_int_equal(answer(bench, ask.hdr.req, 3), 0);
	assert_int_equal(take_cmd(bench, ABI_CMD_SESSION_DEL).sid.index, sid.index);
	assert_int_equal(state_of(bench, 1), 0);
	assert_int_equal(state_of(bench, 2), 0);
	assert_int_equal(state_of(bench, 3), SESSION_AUTHENTICATED);
	assert_int_equal(state_of(bench, 4), SESSION_AUTHENTICATED);
	assert_int_equal(connect_status(bench, 1, NULL), 401);
}

static void test_answers(void **state) {
	struct bench *bench = *state;
	struct ipc_users_ask first, second;

	removed_changed(bench->mgr); // nobody to ask about
	assert_int_equal(bench->nb_sent, 0);
	log_in(bench, 1, "ann");
	removed_changed(bench->mgr);
	first = asked(bench);
	removed_changed(bench->mgr);
	second = asked(bench);
	assert_int_equal(answer(bench, first.hdr.req, 1), 0); // by the file of before
	assert_int_equal(state_of(bench, 1), SESSION_AUTHENTICATED);
	assert_int_equal(answer(bench, second.hdr.req, 2), -EINVAL);
	assert_int_equal(answer(bench, second.hdr.req, 0), 0);
	assert_int_equal(answer(bench, second.hdr.req, 1), 0); // a second one
	assert_int_equal(state_of(bench, 1), SESSION_AUTHENTICATED);
}

static void test_many(void **state) {
	struct bench *bench = *state;
	unsigned all = IPC_USERS_MAX + 6;
	struct ipc_users_ask ask;
	char name[16];

	session_mgr_free(bench->mgr);
	far_close(&bench->far);
	bench->cfg.dataplane.sessions_max = 100;
	manager_start(bench, 1);
	for (unsigned i = 0; i < all; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		log_in(bench, (uint8_t)(i + 1), name);
	}
	removed_changed(bench->mgr);
	ask = asked(bench);
	assert_int_equal(ask.nb, IPC_USERS_MAX);
	assert_int_equal(answer(bench, ask.hdr.req, UINT64_C(1) << 63), 0);
	assert_int_equal(state_of(bench, IPC_USERS_MAX), 0);
	ask = asked(bench);
	assert_int_equal(ask.nb, 6);
	assert_string_equal(ask.names[5], name);
	assert_int_equal(answer(bench, ask.hdr.req, 32), 0);
	assert_int_equal(state_of(bench, (uint8_t)all), 0);
	assert_int_equal(state_of(bench, (uint8_t)(all - 1)), SESSION_AUTHENTICATED);
	assert_int_equal(bench->nb_sent, 0);
}

// The store knows who came in by the file.
static void test_restart(void **state) {
	struct bench *bench = *state;
	struct ipc_users_ask ask;

	log_in(bench, 1, "ann");
	assert_int_equal(login_status(bench, 2, "bob"), 0);
	session_mgr_free(bench->mgr);
	far_close(&bench->far);
	manager_start(bench, 1);
	removed_changed(bench->mgr);
	ask = asked(bench);
	assert_int_equal(ask.nb, 1);
	assert_string_equal(ask.names[0], "ann");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gone, sessions_setup, sessions_teardown),
		cmocka_unit_test_setup_teardown(test_answers, sessions_setup, sessions_teardown),
		cmocka_unit_test_setup_teardown(test_many, sessions_setup, sessions_teardown),
		cmocka_unit_test_setup_teardown(test_restart, sessions_setup, sessions_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
