// SPDX-License-Identifier: GPL-3.0-or-later
// What the session process asks the script process for, and when: each connect script that
// succeeded has its disconnect script, over restarts of either.
#include <errno.h>
#include <string.h>

#include "tests/unit/sessions_fixture.h"

static char path[] = "/bin/true", none[] = "";

static int setup(void **state) {
	int ret = sessions_setup(state);
	struct bench *bench = *state;

	bench->cfg.scripts = (struct cfg_scripts){.connect = path,
		.disconnect = path,
		.host_update = none,
		.timeout = 10,
		.required = true};
	return ret;
}

static struct ipc_script_run take_run(struct bench *bench, enum ipc_script_event event) {
	struct ipc_script_run run = take_sent(bench, IPC_SCRIPT_RUN)->script;

	assert_int_equal(run.event, event);
	return run;
}

static void done(struct bench *bench, const struct ipc_script_run *run, int status) {
	struct ipc_script_done msg = {
		.hdr.req = run->hdr.req, .status = status, .event = run->event};

	assert_int_equal(scripts_done(bench->mgr, &msg), 0);
	spin(bench);
}

// CONNECT up to the question for the connect script.
static struct ipc_script_run asked(struct bench *bench) {
	struct ipc_connect msg = connect_msg(bench, 1);

	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	return take_run(bench, IPC_SCRIPT_CONNECT);
}

static struct abi_sid let_in(struct bench *bench, const struct ipc_script_run *run) {
	struct abi_cmd cmd;

	no_cmd(bench);
	done(bench, run, 0);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
	return cmd.sid;
}

static void restart(struct bench *bench) {
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
}

static void nothing_due(struct bench *bench) {
	spin(bench);
	assert_int_equal(bench->nb_sent, 0);
	restart(bench);
	scripts_peer_up(bench->mgr);
	assert_int_equal(bench->nb_sent, 0);
}

static void test_connect_waits(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run up, down;
	struct abi_sid sid;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	up = asked(bench);
	assert_string_equal(up.facts.user, "ann");
	sid = let_in(bench, &up);
	end_session(bench, sid, ABI_END_DPD);
	down = take_run(bench, IPC_SCRIPT_DISCONNECT);
	assert_true(down.facts.id == up.facts.id);
	assert_int_equal(down.facts.end, ABI_END_DPD);
	done(bench, &down, 0);
	nothing_due(bench);
}

static void test_refused(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run run;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	run = asked(bench);
	done(bench, &run, 7);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 503);
	no_cmd(bench);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	// Another try is another run.
	assert_true(asked(bench).facts.id != run.facts.id);
}

static void test_not_required(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run run;
	struct abi_sid sid;
	struct abi_cmd cmd;

	bench->cfg.scripts.required = false;
	assert_int_equal(login_status(bench, 1, "ann"), 0);
	run = asked(bench);
	done(bench, &run, 7);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, 0);
	sid = take_sent(bench, IPC_CONNECT_RESULT)->result.sid;
	end_session(bench, sid, ABI_END_DPD);
	nothing_due(bench);
}

// A second CONNECT while the script runs for the first waits for the same run.
static void test_second_connect(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run run;
	struct ipc_connect msg;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	run = asked(bench);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 503);
	let_in(bench, &run);
	// And a third, which takes over, needs none.
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_int_equal(bench->nb_sent, 0);
}

// Ended while the script runs: the disconnect is asked for behind it.
static void test_ended_meanwhile(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run up, down;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	up = asked(bench);
	assert_int_equal(session_disconnect_user(bench->mgr, "ann"), 1);
	spin(bench);
	assert_int_equal(bench->nb_sent, 2);
	assert_int_equal(bench->sent[0].type, IPC_CONNECT_RESULT);
	down = bench->sent[1].script;
	bench->nb_sent = 0;
	assert_int_equal(down.event, IPC_SCRIPT_DISCONNECT);
	assert_true(down.facts.id == up.facts.id);
	done(bench, &up, 0);
	no_cmd(bench);
	done(bench, &down, 0);
	nothing_due(bench);
}

// The session process dies: while connected, and while a disconnect script runs.
static void test_session_restarts(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run up, down, again;
	struct abi_cmd dump;
	struct abi_sid sid;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	up = asked(bench);
	sid = let_in(bench, &up);
	restart(bench);
	attach(bench, 1);
	dump = take_cmd(bench, ABI_CMD_DUMP);
	event(bench, dump_evt(bench, sid));
	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &dump, 0);
	assert_int_equal(bench->nb_sent, 0);
	end_session(bench, sid, ABI_END_DPD);
	down = take_run(bench, IPC_SCRIPT_DISCONNECT);
	assert_true(down.facts.id == up.facts.id);
	restart(bench);
	scripts_peer_up(bench->mgr);
	again = take_run(bench, IPC_SCRIPT_DISCONNECT);
	assert_memory_equal(&again.facts, &down.facts, sizeof(again.facts));
	done(bench, &again, 3); // it ran: how it ended is the script's own affair
	nothing_due(bench);
}

// The session process dies while a connect script runs: how that ended will not be known.
static void test_session_dies_during_connect(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run up, down;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	up = asked(bench);
	restart(bench);
	attach(bench, 1);
	dump_end(bench);
	down = take_run(bench, IPC_SCRIPT_DISCONNECT);
	assert_true(down.facts.id == up.facts.id);
}

static void test_script_process_restarts(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run up, down;
	struct abi_sid sid;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	up = asked(bench);
	scripts_peer_down(bench->mgr);
	scripts_peer_up(bench->mgr);
	assert_true(take_run(bench, IPC_SCRIPT_CONNECT).facts.id == up.facts.id);
	sid = let_in(bench, &up);
	end_session(bench, sid, ABI_END_DPD);
	down = take_run(bench, IPC_SCRIPT_DISCONNECT);
	scripts_peer_down(bench->mgr);
	scripts_peer_up(bench->mgr);
	assert_true(take_run(bench, IPC_SCRIPT_DISCONNECT).facts.id == down.facts.id);
	done(bench, &down, 0);
	nothing_due(bench);
}

// Nobody runs it: the client gets an answer all the same.
static void test_no_answer(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = {0};

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	asked(bench);
	session_timer_set(bench->mgr, bench->mgr->table[sid.index], TIMER_STREAM, session_now());
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	assert_int_equal(bench->sent[0].type, IPC_CONNECT_RESULT);
	assert_int_equal(bench->sent[0].result.status, 503);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
}

static void test_bad_answer(void **state) {
	struct bench *bench = *state;
	struct ipc_script_done msg = {.hdr.req = 1, .event = 9};

	assert_int_equal(scripts_done(bench->mgr, &msg), -EPROTO);
	msg.event = IPC_SCRIPT_CONNECT; // of nobody
	assert_int_equal(scripts_done(bench->mgr, &msg), 0);
	msg.event = IPC_SCRIPT_DISCONNECT;
	assert_int_equal(scripts_done(bench->mgr, &msg), 0);
}

// Whoever comes and goes faster than the scripts run does not fill the store with what is due.
static void test_due_is_bounded(void **state) {
	struct bench *bench = *state;
	struct ipc_script_run up, down = {0};
	struct ipc_connect msg;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	for (unsigned i = 0; i < SCRIPTS_DUE_OF_SESSION; i++) {
		up = asked(bench);
		end_session(bench, let_in(bench, &up), ABI_END_DPD);
		down = take_run(bench, IPC_SCRIPT_DISCONNECT);
	}
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 503);
	assert_int_equal(bench->nb_sent, 0);
	// Once one has run there is room again.
	done(bench, &down, 0);
	up = asked(bench);
	let_in(bench, &up);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, sessions_teardown)
	const struct CMUnitTest tests[] = {
		T(test_connect_waits),
		T(test_refused),
		T(test_not_required),
		T(test_second_connect),
		T(test_ended_meanwhile),
		T(test_session_restarts),
		T(test_session_dies_during_connect),
		T(test_script_process_restarts),
		T(test_no_answer),
		T(test_bad_answer),
		T(test_due_is_bounded),
	};

	return cmocka_run_group_tests_name("scripts", tests, NULL, NULL);
}
