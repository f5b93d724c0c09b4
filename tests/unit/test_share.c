// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions that gateways share, as the session process sees it: the test is the process with the way to
// the server, and what its answers lead to is checked.
#include <errno.h>
#include <string.h>

#include "tests/unit/sessions_fixture.h"

static const uint8_t seal_key[SEAL_KEY_LEN] = {5, 4, 3};

static void server(struct bench *bench, bool up) {
	struct ipc_share_state msg = {.up = up};

	assert_int_equal(share_state(bench->mgr, &msg), 0);
}

static void tick(struct bench *bench) {
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
}

static int setup(void **state) {
	struct bench *bench;

	if (sessions_setup(state) != 0)
		return -1;
	bench = *state;
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	bench->cfg.share.node = (char *)(uintptr_t) "a";
	manager_start(bench, 1);
	share_key_set(bench->mgr, seal_key);
	server(bench, true);
	attach(bench, 1);
	dump_end(bench);
	return 0;
}

static struct ipc_share_ask asked(struct bench *bench, enum ipc_share what) {
	struct ipc_share_ask ask = take_sent(bench, IPC_SHARE_ASK)->share;

	assert_int_equal(ask.what, what);
	return ask;
}

static void answer(struct bench *bench, const struct ipc_share_ask *ask, int status, uint32_t which,
	const uint8_t *blob) {
	struct ipc_share_answer msg = {.hdr.req = ask->hdr.req,
		.status = status,
		.which = which,
		.epoch = 7,
		.blob_len = blob ? SHARE_RECORD_LEN : 0};

	if (blob)
		memcpy(msg.blob, blob, SHARE_RECORD_LEN);
	assert_int_equal(share_answer(bench->mgr, &msg), 0);
	spin(bench);
}

static void login(struct bench *bench, uint8_t cookie) {
	struct ipc_session_new msg = {.hdr.req = ++bench->req, .cookie_hash = {cookie}};
	struct ipc_share_ask put;

	strcpy(msg.username, "ann");
	assert_int_equal(session_login(bench->mgr, &msg), 0);
	spin(bench);
	put = asked(bench, IPC_SHARE_PUT); // and nobody was told
	answer(bench, &put, 0, 0, NULL);
	assert_int_equal(take_sent(bench, IPC_SESSION_CREATED)->created.status, 0);
}

// What another gateway has of a session with this cookie.
static void others(uint8_t cookie, uint8_t *blob) {
	struct record_session record;

	record_session_init(&record);
	record.cookie_hash[0] = cookie;
	record.sid = (struct abi_sid){3, 4};
	record.state = SESSION_CONNECTED;
	record.used.rx_bytes = 1000;
	record.live.rx_bytes = 10;
	memcpy(record.inner4.bytes + 10, "\xff\xff\x0a\x09\0\4", 6);
	strcpy(record.user, "bob");
	record.facts.password_file = 1;
	record.facts.class_len = 3;
	memcpy(record.facts.class_values, "\2a", 3);
	assert_int_equal(share_record_seal(seal_key, &record, blob), 0);
}

static void connect_begin(struct bench *bench, uint8_t cookie, bool v6) {
	struct ipc_connect msg = connect_msg(bench, cookie);

	if (!v6)
		msg.wishes = IPC_WISH_V4;
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
}

// Waits for the owner's place, then for the addresses; one that is another's is not taken again.
static void test_connect(void **state) {
	struct bench *bench = *state;
	struct ipc_share_ask take, first, second;
	struct abi_cmd cmd;

	login(bench, 1);
	connect_begin(bench, 1, false);
	take = asked(bench, IPC_SHARE_TAKE);
	assert_int_equal(take.name[0], 1);
	answer(bench, &take, -ENOENT, 0, NULL); // the server began anew
	first = asked(bench, IPC_SHARE_PUT);
	no_cmd(bench);
	answer(bench, &first, -EADDRINUSE, 4, NULL);
	second = asked(bench, IPC_SHARE_PUT);
	assert_memory_not_equal(&first.inner4, &second.inner4, sizeof(first.inner4));
	assert_int_equal(pools_holder(bench->mgr->pools, &first.inner4), SESSION_FOREIGN);
	no_cmd(bench);
	answer(bench, &second, 0, 0, NULL);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_memory_equal(&cmd.session_add.inner4, &second.inner4, sizeof(second.inner4));
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
	tick(bench); // what has changed is written behind
	assert_int_equal(asked(bench, IPC_SHARE_PUT).epoch, 7);
}

static void test_taken(void **state) {
	struct bench *bench = *state;
	uint8_t blob[SHARE_RECORD_LEN];
	struct ipc_share_ask take;
	struct abi_cmd cmd;
	struct session *session;

	others(9, blob);
	connect_begin(bench, 9, false);
	take = asked(bench, IPC_SHARE_TAKE);
	answer(bench, &take, 0, 1, blob);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_memory_equal(cmd.session_add.inner4.bytes + 12, "\x0a\x09\0\4", 4);
	complete(bench, &cmd, 0);
	session = bench->mgr->table[cmd.sid.index];
	assert_string_equal(session->str[STR_USER], "bob");
	assert_int_equal(session->share_epoch, 7);
	assert_int_equal(usage_total(session).rx_bytes, 1010);
	// It ends with its user, and is accounted as the server said, here as there.
	assert_true(session->password_file);
	assert_non_null(session->facts);
	assert_int_equal(session->facts->class_len, 3);
}

static void test_altered(void **state) {
	struct bench *bench = *state;
	uint8_t blob[SHARE_RECORD_LEN];
	struct ipc_share_ask take;

	for (size_t at = 0; at < sizeof(blob); at += 97) {
		others(9, blob);
		blob[at] ^= 1;
		connect_begin(bench, 9, false);
		take = asked(bench, IPC_SHARE_TAKE);
		answer(bench, &take, 0, 1, blob);
		assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 401);
	}
	// A good one, of another session.
	others(8, blob);
	connect_begin(bench, 9, false);
	take = asked(bench, IPC_SHARE_TAKE);
	answer(bench, &take, 0, 1, blob);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 401);
}

static struct abi_sid connected_shared(struct bench *bench, uint8_t cookie) {
	struct ipc_share_ask ask;
	struct abi_cmd cmd;

	login(bench, cookie);
	connect_begin(bench, cookie, false);
	ask = asked(bench, IPC_SHARE_TAKE);
	answer(bench, &ask, -ENOENT, 0, NULL);
	ask = asked(bench, IPC_SHARE_PUT);
	answer(bench, &ask, 0, 0, NULL);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, 0);
	take_sent(bench, IPC_CONNECT_RESULT);
	return cmd.sid;
}

static void test_lost(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected_shared(bench, 1);
	struct ipc_share_ask ask;
	struct abi_cmd cmd;

	tick(bench);
	take_cmd(bench, ABI_CMD_SESSION_UPDATE); // the first sweep of policies
	ask = asked(bench, IPC_SHARE_PUT);
	answer(bench, &ask, -ESTALE, 0, NULL);
	cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.session_del.reason, ABI_END_DISPLACED);
	assert_int_equal(cmd.sid.generation, sid.generation);
	assert_int_equal(state_of(bench, 1), 0);
	tick(bench);
	assert_int_equal(bench->nb_sent, 0); // it is not ours to delete there
}

// One that has changed and ends before that was written is not written behind its deletion.
static void test_gone(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected_shared(bench, 1);

	assert_true(bench->mgr->table[sid.index]->share_dirty);
	assert_int_equal(session_disconnect_id(bench->mgr, sid.index), 0);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	asked(bench, IPC_SHARE_DEL);
	tick(bench);
	assert_int_equal(bench->nb_sent, 0);
}

static void test_away(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected_shared(bench, 1);
	struct ipc_share_ask ask;
	struct abi_cmd cmd;

	server(bench, false);
	assert_int_equal(login_status(bench, 2, "bob"), -ENOLINK);
	connect_begin(bench, 1, false);
	assert_int_equal(take_cmd(bench, ABI_CMD_SESSION_DEL).sid.generation, sid.generation);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, 0);
	take_sent(bench, IPC_CONNECT_RESULT);
	connect_begin(bench, 3, false); // whose it is can be known later
	assert_int_equal(bench->nb_sent, 0);
	assert_int_equal(session_disconnect_id(bench->mgr, cmd.sid.index), 0);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	spin(bench);
	server(bench, true);
	assert_int_equal(bench->nb_sent, 2);
	ask = bench->sent[1].share; // the CONNECT that was held
	assert_int_equal(ask.what, IPC_SHARE_TAKE);
	assert_int_equal(bench->sent[0].share.what, IPC_SHARE_DEL);
	bench->nb_sent = 0;
	answer(bench, &ask, -ENOENT, 0, NULL);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 401);
	bench->cfg.share.allow_away = true;
	server(bench, false);
	assert_int_equal(login_status(bench, 2, "bob"), 0);
}

static void test_invalid(void **state) {
	struct bench *bench = *state;
	struct ipc_share_answer msg = {.status = 1};

	assert_int_equal(share_answer(bench->mgr, &msg), -EPROTO);
	msg.status = 0;
	msg.blob_len = sizeof(msg.blob) + 1;
	assert_int_equal(share_answer(bench->mgr, &msg), -EPROTO);
	msg.blob_len = 0;
	msg.status = -EADDRINUSE;
	assert_int_equal(share_answer(bench->mgr, &msg), -EPROTO);
	msg.status = 0;
	assert_int_equal(share_answer(bench->mgr, &msg), 0); // nobody asked
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, sessions_teardown)
	const struct CMUnitTest tests[] = {
		T(test_connect),
		T(test_taken),
		T(test_altered),
		T(test_lost),
		T(test_gone),
		T(test_away),
		T(test_invalid),
	};

	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
