// SPDX-License-Identifier: GPL-3.0-or-later
// Logins and CONNECTs: who is let in, with which addresses and which MTU, and what the dataplane is
// told of it.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/session/mtu.h"
#include "tests/unit/sessions_fixture.h"

static void test_login_connect(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	assert_int_equal(state_of(bench, 1), SESSION_AUTHENTICATED);
	result = connect_ok(bench, 1);
	assert_int_equal(result.dtls, IPC_DTLS_PSK);
	assert_int_equal(result.udp_port, 443);
	assert_int_equal(result.dtls_mtu, 1434);
	assert_int_equal(result.base_mtu, 1500);
	assert_int_equal(result.inner6_prefix, 128);
	assert_int_equal(result.netmask4.bytes[15], 248);
	assert_int_not_equal(result.sid.generation, 0);
	stream_up(bench, result.sid);
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
}

static void test_bad_cookie(void **state) {
	assert_int_equal(connect_status(*state, 9, "Cookie"), 401);
}

static void test_reconnect_keeps_addresses(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result first, second;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	first = connect_ok(bench, 1);
	stream_up(bench, first.sid);
	end_session(bench, first.sid, ABI_END_TEMPORARY);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	second = connect_ok(bench, 1);
	assert_memory_equal(&first.inner4, &second.inner4, sizeof(first.inner4));
	assert_memory_equal(&first.inner6, &second.inner6, sizeof(first.inner6));
	assert_memory_not_equal(first.app_id, second.app_id, sizeof(first.app_id));
	assert_int_equal(first.sid.index, second.sid.index);
	assert_true(second.sid.generation > first.sid.generation);
}

// A second CONNECT while the first is up: out with the old, in with the new, nothing in between.
static void test_replace(void **state) {
	struct bench *bench = *state;
	struct abi_sid old = connected(bench, 1, "ann");
	struct ipc_connect msg = connect_msg(bench, 1);
	struct abi_cmd cmd;

	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.sid.generation, old.generation);
	assert_int_equal(cmd.session_del.reason, ABI_END_REPLACED);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_int_equal(cmd.sid.index, old.index);
	// What is said of the old one now means nothing.
	end_session(bench, old, ABI_END_USER);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
}

// An edge asks again when the session process came back: neither the first nor the tunnel suffers.
static void test_same_question_twice(void **state) {
	struct bench *bench = *state;
	struct ipc_connect msg;
	struct abi_cmd cmd;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_int_equal(bench->nb_sent, 0);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	assert_int_equal(bench->nb_sent, 0);
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
	stream_up(bench, cmd.sid);
	// The same number from another edge is another question.
	msg.edge = 0;
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
}

static void test_limits(void **state) {
	struct bench *bench = *state;

	bench->cfg.auth.max_same_clients = 2;
	bench->cfg.auth.max_clients = 3;
	assert_int_equal(login_status(bench, 1, "ann"), 0);
	assert_int_equal(login_status(bench, 2, "ann"), 0);
	assert_int_equal(login_status(bench, 3, "ann"), -EUSERS);
	assert_int_equal(login_status(bench, 4, "bob"), 0);
	assert_int_equal(login_status(bench, 5, "cyd"), -ENOSPC);
}

// The oldest goes when the new one connects, and is told why; logins alone take no tunnel away, and
// are not collected without end.
static void test_replace_oldest(void **state) {
	struct bench *bench = *state;
	struct abi_sid first, second;
	struct ipc_connect msg;
	struct abi_cmd cmd;

	bench->cfg.auth.max_same_clients = 2;
	bench->cfg.auth.replace_oldest = true;
	first = connected(bench, 1, "ann");
	second = connected(bench, 2, "ann");
	connected(bench, 9, "bob");
	bench->mgr->table[first.index]->created -= 10;
	bench->mgr->table[second.index]->created -= 5;
	assert_int_equal(login_status(bench, 3, "ann"), 0);
	assert_int_equal(login_status(bench, 4, "ann"), 0);
	assert_int_equal(login_status(bench, 5, "ann"), 0);
	assert_int_equal(state_of(bench, 3), 0);
	assert_int_equal(state_of(bench, 4), SESSION_AUTHENTICATED);
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
	// With three others at most one can stay: the newest login.
	msg = connect_msg(bench, 4);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.sid.index, first.index);
	assert_int_equal(cmd.session_del.reason, ABI_END_DISPLACED);
	cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.sid.index, second.index);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
	assert_int_equal(connect_status(bench, 1, NULL), 401);
	assert_int_equal(connect_status(bench, 2, NULL), 401);
	assert_int_equal(state_of(bench, 5), SESSION_AUTHENTICATED);
	assert_int_equal(state_of(bench, 9), SESSION_CONNECTED);
	// Coming back by its own cookie displaces nobody.
	connect_ok(bench, 5);
	assert_int_equal(state_of(bench, 4), SESSION_CONNECTED);
}

// A full server has room for who takes the place of an own session.
static void test_replace_when_full(void **state) {
	struct bench *bench = *state;

	bench->cfg.auth.max_same_clients = 1;
	bench->cfg.auth.max_clients = 2;
	bench->cfg.auth.replace_oldest = true;
	connected(bench, 1, "ann");
	connected(bench, 2, "bob");
	assert_int_equal(login_status(bench, 3, "cyd"), -ENOSPC);
	assert_int_equal(login_status(bench, 4, "ann"), 0);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(state_of(bench, 1), 0);
	assert_int_equal(state_of(bench, 2), SESSION_CONNECTED);
}

// A cookie, and the DTLS channel, from another address than the login's.
static void test_deny_roaming(void **state) {
	struct bench *bench = *state;
	struct ipc_dtls_query query = {.hdr.req = 77};
	struct ipc_connect_result result;
	struct ipc_connect msg;
	struct sent *sent;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	bench->cfg.auth.deny_roaming = true;
	msg = connect_msg(bench, 1);
	msg.remote.bytes[15]++;
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 401);
	result = connect_ok(bench, 1);
	stream_up(bench, result.sid);
	memcpy(query.app_id, result.app_id, sizeof(query.app_id));
	query.remote = msg.remote;
	assert_int_equal(session_dtls_query(bench->mgr, 5, &query), 0);
	sent = take_sent(bench, IPC_DTLS_PARAMS);
	assert_int_equal(sent->params.mode, IPC_DTLS_NONE);
	query.remote = connect_msg(bench, 1).remote;
	assert_int_equal(session_dtls_query(bench->mgr, 5, &query), 0);
	sent = take_sent(bench, IPC_DTLS_PARAMS);
	assert_int_equal(sent->params.mode, IPC_DTLS_PSK);
	// Allowed: both may move.
	bench->cfg.auth.deny_roaming = false;
	query.remote = msg.remote;
	assert_int_equal(session_dtls_query(bench->mgr, 5, &query), 0);
	sent = take_sent(bench, IPC_DTLS_PARAMS);
	assert_int_equal(sent->params.mode, IPC_DTLS_PSK);
}

static void test_pool_empty(void **state) {
	struct bench *bench = *state;
	uint32_t nb = cfg_pool_size(&bench->pool, AF_INET);
	uint8_t cookie = 1;
	char user[16];

	for (; cookie <= nb; cookie++) {
		snprintf(user, sizeof(user), "user%u", cookie);
		assert_int_equal(login_status(bench, cookie, user), 0);
		connect_ok(bench, cookie);
	}
	assert_int_equal(login_status(bench, cookie, "late"), 0);
	assert_int_equal(connect_status(bench, cookie, "IPv4 address pool is empty"), 503);
}

// Without a dataplane a CONNECT waits a moment, then it is refused; back in time, it goes on.
static void test_no_dataplane(void **state) {
	struct bench *bench = *state;
	struct ipc_connect msg;
	struct abi_cmd cmd;
	struct sent *sent;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	far_close(&bench->far);
	spin(bench);
	assert_int_equal(bench->nb_lost, 1);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	assert_int_equal(bench->nb_sent, 0);
	STAILQ_FIRST(&bench->mgr->held)->since_s -= SESSION_HELD_S + 1;
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	sent = take_sent(bench, IPC_CONNECT_RESULT);
	assert_int_equal(sent->result.status, 503);
	assert_non_null(strstr(sent->result.reason, "dataplane"));
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	attach(bench, 1);
	dump_end(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
}

static void test_add_refused(void **state) {
	struct bench *bench = *state;
	struct ipc_connect msg;
	struct abi_cmd cmd;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, -ENOSPC);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 503);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	connect_ok(bench, 1);
}

// A dataplane that dies with a CONNECT: the next one gets it, when it comes in time.
static void test_lost_while_connecting(void **state) {
	struct bench *bench = *state;
	struct ipc_connect msg;
	struct abi_cmd cmd;
	struct sent *sent;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	far_close(&bench->far);
	spin(bench);
	assert_int_equal(bench->nb_sent, 0);
	attach(bench, 2);
	dump_end(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	no_cmd(bench);
	complete(bench, &cmd, 0);
	sent = take_sent(bench, IPC_CONNECT_RESULT);
	assert_int_equal(sent->result.status, 0);
	assert_int_equal(sent->result.hdr.req, msg.hdr.req);
	stream_up(bench, cmd.sid);

	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	far_close(&bench->far);
	spin(bench);
	assert_int_equal(bench->nb_sent, 0);
	bench->mgr->table[cmd.sid.index]->due -= SESSION_HELD_S + 1;
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	sent = take_sent(bench, IPC_CONNECT_RESULT);
	assert_int_equal(sent->result.status, 503);
	assert_non_null(strstr(sent->result.reason, "dataplane"));
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
}

// Keys that were not taken: the edge is told, the dataplane is not.
static void dtls_stale(struct bench *bench) {
	no_cmd(bench);
	assert_int_equal(take_sent(bench, IPC_DTLS_SET)->dtls_set.status, -ESTALE);
}

static void test_dtls(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;
	struct ipc_dtls_query query = {.hdr.req = 77};
	struct ipc_dtls_up up = {.dtls = {.version = ABI_DTLS12,
					 .cipher = ABI_AES_128_GCM,
					 .epoch = 1,
					 .rx.seq = 1,
					 .tx.seq = 1}};
	struct sent *sent;
	struct abi_cmd cmd;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	result = connect_ok(bench, 1);
	stream_up(bench, result.sid);
	assert_int_equal(session_dtls_query(bench->mgr, 5, &query), 0);
	assert_int_equal(take_sent(bench, IPC_DTLS_PARAMS)->params.mode, IPC_DTLS_NONE);
	memcpy(query.app_id, result.app_id, sizeof(query.app_id));
	assert_int_equal(session_dtls_query(bench->mgr, 5, &query), 0);
	sent = take_sent(bench, IPC_DTLS_PARAMS);
	assert_int_equal(sent->index, 5);
	assert_int_equal(sent->params.mode, IPC_DTLS_PSK);
	assert_int_equal(sent->params.psk[0], 7);
	up.sid = sent->params.sid;
	up.hdr.req = 78;
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), 0);
	cmd = take_cmd(bench, ABI_CMD_DTLS_SET);
	assert_int_equal(cmd.dtls_set.mtu, 1434);
	assert_int_equal(cmd.dtls_set.rx.seq, 1);
	// The edge hears of it when they are in force.
	assert_int_equal(bench->nb_sent, 0);
	complete(bench, &cmd, 0);
	sent = take_sent(bench, IPC_DTLS_SET);
	assert_int_equal(sent->index, 5);
	assert_int_equal(sent->dtls_set.hdr.req, 78);
	assert_int_equal(sent->dtls_set.status, 0);
	up.sid.generation++;
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), 0);
	dtls_stale(bench);
	up.dtls.cipher = 9;
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), -EPROTO);
}

static struct ipc_dtls_up dtls_up_msg(struct abi_sid sid) {
	return (struct ipc_dtls_up){.sid = sid,
		.dtls = {.version = ABI_DTLS12,
			.cipher = ABI_AES_128_GCM,
			.epoch = 1,
			.rx.seq = 1,
			.tx.seq = 1}};
}

static void dtls_ask(struct bench *bench, unsigned edge, const struct ipc_connect_result *result) {
	struct ipc_dtls_query query = {.hdr.req = 77};

	memcpy(query.app_id, result->app_id, sizeof(query.app_id));
	assert_int_equal(session_dtls_query(bench->mgr, edge, &query), 0);
	assert_int_equal(take_sent(bench, IPC_DTLS_PARAMS)->params.mode, IPC_DTLS_PSK);
}

// Keys are taken from the edge that got the parameters, once, and not for ever.
static void test_dtls_of_the_asked_edge(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;
	struct ipc_dtls_up up;
	struct session *session;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	result = connect_ok(bench, 1);
	stream_up(bench, result.sid);
	up = dtls_up_msg(result.sid);
	session = bench->mgr->table[result.sid.index];
	dtls_ask(bench, 5, &result);
	// Of what our predecessor told edges nothing is known: no keys, no blame.
	assert_int_equal(session_dtls_up(bench->mgr, 6, &up), 0);
	dtls_stale(bench);
	bench->mgr->loaded_s -= SESSION_PREDECESSOR_S + 1;
	assert_int_equal(session_dtls_up(bench->mgr, 6, &up), -EPERM);
	no_cmd(bench);
	assert_int_equal(session->dtls_cipher, 0);
	// The same hello, through another edge as well: each may, the other does not lose by it.
	dtls_ask(bench, 6, &result);
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), 0);
	take_cmd(bench, ABI_CMD_DTLS_SET);
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), 0);
	dtls_stale(bench);
	assert_int_equal(session_dtls_up(bench->mgr, 6, &up), 0);
	take_cmd(bench, ABI_CMD_DTLS_SET);
	// Too late.
	dtls_ask(bench, 5, &result);
	session->dtls_until_s -= SESSION_DTLS_WAIT_S + 1;
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), 0);
	dtls_stale(bench);
	// Another connection of the same session: the old one's parameters are worth nothing.
	dtls_ask(bench, 5, &result);
	bench->mgr->table[result.sid.index]->installed = 0;
	result = connect_ok(bench, 1);
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), 0);
	dtls_stale(bench);
	up.sid = result.sid;
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), -EPERM);
	no_cmd(bench);
}

static void test_dtls_without_dataplane(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;
	struct ipc_dtls_up up;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	result = connect_ok(bench, 1);
	dtls_ask(bench, 5, &result);
	far_close(&bench->far);
	spin(bench);
	up = dtls_up_msg(result.sid);
	assert_int_equal(session_dtls_up(bench->mgr, 5, &up), 0);
	assert_int_equal(take_sent(bench, IPC_DTLS_SET)->dtls_set.status, -ENOTCONN);
	assert_int_equal(bench->mgr->table[result.sid.index]->dtls_cipher, 0);
}

// The stream comes from the edge that got the answer, once.
static void test_stream_of_the_asked_edge(void **state) {
	struct bench *bench = *state;
	struct ipc_stream_up msg = {.stream = {.version = ABI_TLS13, .cipher = ABI_AES_256_GCM}};

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	msg.sid = connect_ok(bench, 1).sid;
	assert_int_equal(session_stream_up(bench->mgr, 2, &msg, -1), -EPERM);
	no_cmd(bench);
	stream_up(bench, msg.sid);
	assert_int_equal(session_stream_up(bench->mgr, 1, &msg, -1), -EPERM);
	no_cmd(bench);
	// Of a connection that is not there: a race.
	msg.sid.generation++;
	assert_int_equal(session_stream_up(bench->mgr, 2, &msg, -1), 0);
	no_cmd(bench);
}

static void test_session_timeout(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;
	struct abi_sid sid;

	bench->cfg.network.session_timeout = 100;
	assert_int_equal(login_status(bench, 1, "ann"), 0);
	result = connect_ok(bench, 1);
	assert_in_range(result.session_remaining, 99, 100);
	sid = result.sid;
	bench->mgr->table[sid.index]->started -= 101;
	assert_int_equal(connect_status(bench, 1, NULL), 401);
}

static void test_hostile_messages(void **state) {
	struct bench *bench = *state;
	struct ipc_connect msg = connect_msg(bench, 1);
	struct ipc_session_new login = {.username = "ann\n"};
	struct ipc_stream_up stream = {.stream = {.cipher = 99}};

	assert_int_equal(session_login(bench->mgr, &login), -EPROTO);
	msg.edge = ABI_EDGES_MAX;
	assert_int_equal(session_connect(bench->mgr, &msg), -EPROTO);
	msg.edge = 0;
	memset(msg.hostname, 'a', sizeof(msg.hostname));
	assert_int_equal(session_connect(bench->mgr, &msg), -EPROTO);
	assert_int_equal(session_stream_up(bench->mgr, 0, &stream, -1), -EPROTO);
}

static void test_mtu(void **state) {
	struct mtu_out out;

	out = mtu_choose(&(struct mtu_in){.dtls = true});
	assert_int_equal(out.base, 1500);
	assert_int_equal(out.data, 1434);
	out = mtu_choose(&(struct mtu_in){.dtls = true, .outer6 = true, .base_mtu = 1500});
	assert_int_equal(out.data, 1414);
	// what openconnect computes by itself is no wish; --mtu is
	out = mtu_choose(&(struct mtu_in){.dtls = true, .base_mtu = 1500, .tunnel_mtu = 1390});
	assert_int_equal(out.data, 1434);
	out = mtu_choose(&(struct mtu_in){.dtls = true, .base_mtu = 1500, .tunnel_mtu = 1200});
	assert_int_equal(out.data, 1200);
	out = mtu_choose(&(struct mtu_in){.dtls = true, .base_mtu = 1500, .path_mtu = 1400});
	assert_int_equal(out.base, 1400);
	out = mtu_choose(&(struct mtu_in){.dtls = true, .base_mtu = 1500, .cfg_mtu = 1300});
	assert_int_equal(out.data, 1300);
	out = mtu_choose(&(struct mtu_in){.dtls = true, .base_mtu = 200});
	assert_int_equal(out.base, 800);
	out = mtu_choose(&(struct mtu_in){.dtls = true, .tunnel_mtu = 1390});
	assert_int_equal(out.data, 1390);
	out = mtu_choose(&(struct mtu_in){.dtls = true, .base_mtu = 65535});
	assert_int_equal(out.data, 9000);
}

// IPv6 inside needs 1,280 bytes (RFC 8200, 5).
static void test_small_link_has_no_ipv6(void **state) {
	struct bench *bench = *state;
	struct ipc_connect msg;
	struct abi_cmd cmd;
	struct abi_addr none = {0};

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	msg = connect_msg(bench, 1);
	msg.base_mtu = 1300;
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_memory_equal(&cmd.session_add.inner6, &none, sizeof(none));
	assert_int_equal(cmd.session_add.policy.mtu, 1234);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, sessions_setup, sessions_teardown)
	const struct CMUnitTest tests[] = {
		T(test_login_connect),
		T(test_bad_cookie),
		T(test_reconnect_keeps_addresses),
		T(test_replace),
		T(test_same_question_twice),
		T(test_limits),
		T(test_replace_oldest),
		T(test_replace_when_full),
		T(test_deny_roaming),
		T(test_pool_empty),
		T(test_no_dataplane),
		T(test_add_refused),
		T(test_lost_while_connecting),
		T(test_dtls),
		T(test_dtls_of_the_asked_edge),
		T(test_dtls_without_dataplane),
		T(test_stream_of_the_asked_edge),
		T(test_session_timeout),
		T(test_hostile_messages),
		T(test_small_link_has_no_ipv6),
		cmocka_unit_test(test_mtu),
	};

	return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
