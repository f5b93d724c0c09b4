// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions that a RADIUS server ends or changes: which are meant, that all of it is done or nothing,
// and that it is on disk before the answer.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/ipc/ipc.h"
#include "tests/unit/sessions_fixture.h"

static struct cfg_radius_server server = {.acct_port = 1813};

static int setup(void **state) {
	int ret = sessions_setup(state);
	struct bench *bench = *state;
	bench->cfg.radius = (struct cfg_radius){
		.servers = &server, .nb_servers = 1, .accounting = true, .interim_interval = 600};
	bench->radius_away = true; // accounting records wait: they are another test's
	return ret;
}

static struct ipc_change disconnect_of(const char *user) {
	struct ipc_change msg = {
		.hdr.req = 5, .kind = IPC_CHANGE_DISCONNECT, .by = IPC_BY_USERNAME};
	snprintf(msg.username, sizeof(msg.username), "%s", user);
	return msg;
}

static struct ipc_change timeout_of(const char *user, uint32_t seconds) {
	struct ipc_change msg = disconnect_of(user);
	msg.kind = IPC_CHANGE_SETTINGS;
	msg.settings.set = IPC_SET_SESSION_TIMEOUT;
	msg.settings.session_timeout = seconds;
	return msg;
}

// What is answered, once it is on disk.
static struct ipc_changed run(struct bench *bench, const struct ipc_change *msg) {
	bench->radius_away = false;
	assert_int_equal(change_begin(bench->mgr, msg), 0);
	for (unsigned i = 0; i < bench->nb_sent; i++) // what is known to be stored is said at once
		assert_int_equal(bench->sent[i].type, IPC_CHANGED);
	spin(bench);
	struct ipc_changed answer = {.status = 1};
	for (unsigned i = 0; i < bench->nb_sent; i++)
		if (bench->sent[i].type == IPC_CHANGED)
			answer = bench->sent[i].changed;
	bench->nb_sent = 0;
	bench->radius_away = true;
	assert_int_equal(answer.status, 0);
	assert_int_equal(answer.hdr.req, msg->hdr.req);
	return answer;
}

static void expect(
	struct bench *bench, const struct ipc_change *msg, uint32_t cause, uint32_t sessions) {
	struct ipc_changed answer = run(bench, msg);
	assert_int_equal(answer.cause, cause);
	assert_int_equal(answer.sessions, sessions);
}

static void restart(struct bench *bench) {
	session_mgr_free(bench->mgr);
	manager_start(bench, 1);
}

static void test_disconnect(void **state) {
	struct bench *bench = *state;
	struct abi_sid first = connected(bench, 1, "ann");
	connected(bench, 2, "bob");
	struct ipc_change msg = disconnect_of("ann");
	assert_int_equal(login_status(bench, 3, "ann"), 0); // has no tunnel yet
	expect(bench, &msg, 0, 2);
	struct abi_cmd cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.sid.index, first.index);
	assert_int_equal(cmd.session_del.reason, ABI_END_SERVER);
	assert_int_equal(state_of(bench, 1), 0);
	assert_int_equal(state_of(bench, 2), SESSION_CONNECTED);
	assert_int_equal(state_of(bench, 3), 0);
	expect(bench, &msg, IPC_CAUSE_NO_SESSION, 0);
	// As they were answered for, they are gone for good.
	restart(bench);
	assert_int_equal(state_of(bench, 1), 0);
	assert_int_equal(state_of(bench, 3), 0);
	assert_int_equal(state_of(bench, 2), SESSION_CONNECTED);
}

static void test_away(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct ipc_change msg = disconnect_of("ann");
	end_session(bench, sid, ABI_END_DPD);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	spin(bench);
	bench->nb_sent = 0;
	bench->radius_away = false;
	assert_int_equal(change_begin(bench->mgr, &msg), 0);
	spin(bench);
	accounting_radius_up(bench->mgr);
	// The Start that waited, and behind it, once that is acknowledged, the Stop.
	for (unsigned i = 0; i < bench->nb_sent; i++) {
		if (bench->sent[i].type != IPC_ACCT || bench->sent[i].acct.kind != IPC_ACCT_START)
			continue;
		struct ipc_acct_done done = {.hdr.req = bench->sent[i].acct.hdr.req};
		assert_int_equal(accounting_done(bench->mgr, &done), 0);
		break;
	}
	spin(bench);
	struct ipc_acct stop = {0};
	for (unsigned i = 0; i < bench->nb_sent; i++)
		if (bench->sent[i].type == IPC_ACCT && bench->sent[i].acct.kind == IPC_ACCT_STOP)
			stop = bench->sent[i].acct;
	assert_int_equal(stop.cause, 6); // Admin-Reset
	assert_int_equal(state_of(bench, 1), 0);
}

static void test_all_match(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	connected(bench, 2, "ann");
	const struct session *session = bench->mgr->table[sid.index];
	struct ipc_change msg = timeout_of("ann", 4000);
	expect(bench, &msg, 0, 2);
	msg.by |= IPC_BY_INNER4;
	msg.inner4 = session->inner4;
	expect(bench, &msg, 0, 1);
	msg.by |= IPC_BY_SESSION_ID;
	snprintf(msg.session_id, sizeof(msg.session_id), "0100000000000000");
	expect(bench, &msg, 0, 1);
	snprintf(msg.session_id, sizeof(msg.session_id), "0200000000000000");
	expect(bench, &msg, IPC_CAUSE_NO_SESSION, 0);
	msg = timeout_of("nobody", 4000);
	snprintf(msg.short_name, sizeof(msg.short_name), "ann");
	expect(bench, &msg, 0, 2);
	msg.by = IPC_BY_REMOTE;
	msg.remote = session->remote;
	expect(bench, &msg, 0, 1);
	msg.by |= IPC_BY_LOCAL;
	msg.local.bytes[0] = 7;
	expect(bench, &msg, IPC_CAUSE_NO_SESSION, 0);
	msg.by = IPC_BY_USERNAME | IPC_BY_NAS;
	msg.nas.bytes[0] = 7;
	expect(bench, &msg, IPC_CAUSE_NAS_MISMATCH, 0);
	msg.nas = session->local;
	expect(bench, &msg, 0, 2);
	msg.by = IPC_BY_INNER6;
	msg.inner6 = (struct ipc_prefix){session->inner6, session->inner6_prefix};
	msg.inner6.addr.bytes[15] = session->inner6_prefix < 128 ? 0 : session->inner6.bytes[15];
	expect(bench, &msg, 0, 1);
	msg.inner6.len--;
	expect(bench, &msg, IPC_CAUSE_NO_SESSION, 0);
}

static void test_settings(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct ipc_change msg = timeout_of("ann", 4000);
	no_cmd(bench);
	expect(bench, &msg, 0, 1);
	struct abi_cmd cmd = take_cmd(bench, ABI_CMD_SESSION_UPDATE);
	assert_int_equal(cmd.sid.index, sid.index);
	assert_in_range(cmd.policy.session_timeout_s, 3990, 4000);
	// A second change leaves the first as it is, and both are there after a restart.
	msg.settings.set = IPC_SET_IDLE_TIMEOUT | IPC_SET_INTERIM | IPC_SET_FILTER;
	strcpy(msg.settings.filter, "guests"); // is not there: nothing is let through
	msg.settings.idle_timeout = 77;
	msg.settings.interim_interval = 120;
	expect(bench, &msg, 0, 1);
	struct abi_cmd filter = take_cmd(bench, ABI_CMD_FILTER_ADD);
	cmd = take_cmd(bench, ABI_CMD_SESSION_UPDATE);
	assert_int_equal(cmd.policy.filter, filter.filter_add.filter);
	assert_in_range(cmd.policy.session_timeout_s, 3990, 4000);
	assert_int_equal(cmd.policy.idle_timeout_s, 77);
	restart(bench);
	const struct session *session = bench->mgr->table[sid.index];
	assert_non_null(session->extra);
	assert_int_equal(session->extra->session_timeout, 4000);
	assert_int_equal(session->extra->idle_timeout, 77);
	assert_string_equal(session->extra->filter, "guests");
	assert_in_range(session->interim_due, session_now() + 110, session_now() + 121);
}

// What the store cannot take is not done to any of them.
static void test_rolled_back(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct ipc_change msg = timeout_of("ann", 4000);
	expect(bench, &msg, 0, 1);
	take_cmd(bench, ABI_CMD_SESSION_UPDATE);
	msg = timeout_of("ann", 5000);
	bench->mgr->loaded = false; // nothing is written then
	bench->radius_away = false;
	assert_int_equal(change_begin(bench->mgr, &msg), 0);
	struct sent *sent = take_sent(bench, IPC_CHANGED);
	assert_int_equal(sent->changed.status, -EAGAIN);
	bench->mgr->loaded = true;
	for (unsigned i = 0; i < STORE_PENDING_MAX; i++)
		if (store_lease_del(bench->mgr->store, &(struct abi_addr){{1}}) != 0)
			break;
	assert_int_equal(change_begin(bench->mgr, &msg), 0);
	sent = take_sent(bench, IPC_CHANGED);
	assert_int_equal(sent->changed.cause, IPC_CAUSE_RESOURCES);
	assert_int_equal(bench->mgr->table[sid.index]->extra->session_timeout, 4000);
	no_cmd(bench);
}

static void test_invalid(void **state) {
	struct bench *bench = *state;
	struct ipc_change msg = disconnect_of("ann");
	msg.by = IPC_BY_NAS; // all sessions of this gateway
	assert_int_equal(change_begin(bench->mgr, &msg), -EPROTO);
	msg = disconnect_of("ann");
	msg.settings.set = IPC_SET_RX_RATE;
	assert_int_equal(change_begin(bench->mgr, &msg), -EPROTO);
	msg = timeout_of("ann", 5);
	msg.settings.set |= IPC_SET_INNER4; // may not change
	msg.settings.inner4 = (struct abi_addr){{[10] = 0xff, [11] = 0xff, [12] = 10}};
	assert_int_equal(change_begin(bench->mgr, &msg), -EPROTO);
	msg = timeout_of("ann", 5);
	memset(msg.username, 'x', sizeof(msg.username));
	assert_int_equal(change_begin(bench->mgr, &msg), -EPROTO);
	msg = timeout_of("ann", 5);
	msg.kind = 9;
	assert_int_equal(change_begin(bench->mgr, &msg), -EPROTO);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_disconnect, setup, sessions_teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, sessions_teardown),
		cmocka_unit_test_setup_teardown(test_all_match, setup, sessions_teardown),
		cmocka_unit_test_setup_teardown(test_settings, setup, sessions_teardown),
		cmocka_unit_test_setup_teardown(test_rolled_back, setup, sessions_teardown),
		cmocka_unit_test_setup_teardown(test_invalid, setup, sessions_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
