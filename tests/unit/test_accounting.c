// SPDX-License-Identifier: GPL-3.0-or-later
// Accounting records: what they say, their order, and that none is lost or told again without need,
// over failures of the servers and restarts of either process.
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
	return ret;
}

static void restart(struct bench *bench, struct abi_sid sid) {
	session_mgr_free(bench->mgr);
	manager_start(bench, 1);
	attach(bench, 1);
	struct abi_cmd cmd = take_cmd(bench, ABI_CMD_DUMP);
	if (sid.generation)
		event(bench, dump_evt(bench, sid));
	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &cmd, 0);
}

static void carry(struct bench *bench, struct abi_sid sid, uint64_t packets, uint64_t bytes) {
	struct abi_session_stats *stats = (struct abi_session_stats *)((uint8_t *)bench->far.stats +
						  abi_stats_sessions_offset()) +
		sid.index;
	stats->generation = sid.generation;
	stats->rx_packets = packets;
	stats->rx_bytes = bytes;
	stats->tx_packets = 2 * packets;
	stats->tx_bytes = 2 * bytes;
}

static struct ipc_acct take(struct bench *bench, enum ipc_acct_kind kind) {
	spin(bench);
	struct sent *sent = take_sent(bench, IPC_ACCT);
	assert_int_equal(sent->role, IPC_RADIUS);
	assert_int_equal(sent->acct.kind, kind);
	assert_true(ipc_acct_ok(&sent->acct));
	return sent->acct;
}

static void none(struct bench *bench) {
	spin(bench);
	assert_int_equal(bench->nb_sent, 0);
}

static void done(struct bench *bench, const struct ipc_acct *acct, int status) {
	struct ipc_acct_done msg = {.hdr.req = acct->hdr.req, .status = status};
	assert_int_equal(accounting_done(bench->mgr, &msg), 0);
}

static void interim(struct bench *bench, struct abi_sid sid) {
	bench->mgr->table[sid.index]->interim_due = session_now();
	accounting_tick(bench->mgr);
}

// The waiting ones' time has come.
static void passed(struct bench *bench) {
	accounting_radius_up(bench->mgr);
	accounting_tick(bench->mgr);
}

static void test_life(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 9, "bob");
	struct ipc_acct start = take(bench, IPC_ACCT_START);
	assert_string_equal(start.username, "bob");
	assert_string_equal(start.session_id, "0900000000000000");
	assert_int_equal(start.inner4.bytes[12], 10);
	assert_int_equal(start.remote.bytes[15], 9);
	assert_int_equal(start.session_time, 0);
	done(bench, &start, 0);
	carry(bench, sid, 10, UINT64_C(5) << 32);
	interim(bench, sid);
	struct ipc_acct update = take(bench, IPC_ACCT_INTERIM);
	assert_string_equal(update.session_id, start.session_id);
	assert_int_equal(update.rx_bytes, UINT64_C(5) << 32);
	assert_int_equal(update.tx_bytes, UINT64_C(10) << 32);
	done(bench, &update, 0);
	bench->mgr->table[sid.index]->accounted -= 100;
	carry(bench, sid, 11, UINT64_C(6) << 32);
	end_session(bench, sid, ABI_END_USER);
	struct ipc_acct stop = take(bench, IPC_ACCT_STOP);
	assert_string_equal(stop.session_id, start.session_id);
	assert_int_equal(stop.cause, 1);
	assert_int_equal(stop.rx_packets, 11);
	assert_int_equal(stop.tx_packets, 22);
	assert_int_equal(stop.rx_bytes, UINT64_C(6) << 32);
	assert_in_range(stop.session_time, 100, 103);
	assert_int_equal(stop.inner4.bytes[12], 10); // the address that it had
	done(bench, &stop, 0);
	assert_int_equal(accounting_waiting(bench->mgr), 0);
	restart(bench, (struct abi_sid){0});
	none(bench);
}

// Off, or a login that never got a tunnel: nothing is told.
static void test_nothing(void **state) {
	struct bench *bench = *state;
	assert_int_equal(login_status(bench, 1, "ann"), 0);
	session_disconnect_all(bench->mgr);
	none(bench);
	bench->cfg.radius.accounting = false;
	struct abi_sid sid = connected(bench, 2, "bob");
	none(bench);
	end_session(bench, sid, ABI_END_USER);
	none(bench);
}

static void test_causes(void **state) {
	static const struct {
		enum abi_end reason;
		uint32_t cause;
	} cases[] = {
		{ABI_END_IDLE, 4},
		{ABI_END_SESSION_TIMEOUT, 5},
		{ABI_END_SERVER, 6},
		{ABI_END_DISPLACED, 13},
	};
	struct bench *bench = *state;
	for (uint8_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct abi_sid sid = connected(bench, i + 1, "bob");
		struct ipc_acct start = take(bench, IPC_ACCT_START);
		done(bench, &start, 0);
		end_session(bench, sid, cases[i].reason);
		struct ipc_acct stop = take(bench, IPC_ACCT_STOP);
		assert_int_equal(stop.cause, cases[i].cause);
		done(bench, &stop, 0);
	}
}

// The server's word on the interval counts above the configuration's.
static void test_interval(void **state) {
	struct bench *bench = *state;
	struct ipc_user_settings settings = {.set = IPC_SET_INTERIM, .interim_interval = 100};
	assert_int_equal(login_status(bench, 1, "bob"), 0);
	struct session *session = session_find(bench->mgr, (uint8_t[IPC_HASH_LEN]){1});
	assert_int_equal(session_extra_set(session, &settings), 0);
	stream_up(bench, connect_ok(bench, 1).sid);
	assert_int_equal(session->interim_due, session->accounted + 100);
	bench->nb_sent = 0;
	struct abi_sid sid = connected(bench, 2, "ann");
	session = bench->mgr->table[sid.index];
	assert_int_equal(session->interim_due, session->accounted + 600);
}

// The client is away and comes back: the same accounting session. When its cookie dies, the Stop
// says when and why it went.
static void test_reconnection(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 3, "bob");
	struct ipc_acct start = take(bench, IPC_ACCT_START);
	done(bench, &start, 0);
	carry(bench, sid, 1, 100);
	end_session(bench, sid, ABI_END_DPD);
	interim(bench, sid);
	none(bench); // nothing has changed
	sid = connect_ok(bench, 3).sid;
	stream_up(bench, sid);
	none(bench);
	carry(bench, sid, 1, 50);
	end_session(bench, sid, ABI_END_DPD);
	struct session *session = bench->mgr->table[sid.index];
	session->accounted -= 1000;
	session->disconnected -= 500;
	session_delete(bench->mgr, session, "cookie-expired");
	struct ipc_acct stop = take(bench, IPC_ACCT_STOP);
	assert_int_equal(stop.cause, 2);
	assert_int_equal(stop.rx_bytes, 150);
	assert_in_range(stop.session_time, 498, 502);
}

// The records of one session one after another; a newer Interim-Update or the Stop takes the place
// of one that has not gone.
static void test_order(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 4, "bob");
	struct ipc_acct start = take(bench, IPC_ACCT_START);
	carry(bench, sid, 1, 100);
	interim(bench, sid);
	none(bench);
	carry(bench, sid, 2, 200);
	interim(bench, sid);
	none(bench);
	assert_int_equal(accounting_waiting(bench->mgr), 2);
	done(bench, &start, 0);
	struct ipc_acct update = take(bench, IPC_ACCT_INTERIM);
	assert_int_equal(update.rx_bytes, 200);
	carry(bench, sid, 3, 300);
	interim(bench, sid);
	none(bench);
	assert_int_equal(accounting_waiting(bench->mgr), 2); // the one that is on its way stays
	end_session(bench, sid, ABI_END_USER);
	assert_int_equal(accounting_waiting(bench->mgr), 2);
	done(bench, &update, 0);
	struct ipc_acct stop = take(bench, IPC_ACCT_STOP);
	assert_int_equal(stop.rx_bytes, 300);
	done(bench, &stop, 0);
	assert_int_equal(accounting_waiting(bench->mgr), 0);
	done(bench, &stop, 0); // twice: it was sent twice
	none(bench);
}

static void test_servers_away(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 5, "bob");
	struct ipc_acct start = take(bench, IPC_ACCT_START);
	done(bench, &start, -ETIMEDOUT);
	accounting_tick(bench->mgr);
	none(bench); // later
	end_session(bench, sid, ABI_END_USER);
	none(bench);
	// Another one gets through: they are back.
	struct abi_sid other = connected(bench, 6, "ann");
	struct ipc_acct probe = take(bench, IPC_ACCT_START);
	done(bench, &probe, 0);
	struct ipc_acct again = take(bench, IPC_ACCT_START);
	assert_int_equal(again.hdr.req, start.hdr.req);
	assert_int_equal(again.event_time, start.event_time);
	done(bench, &again, 0);
	struct ipc_acct stop = take(bench, IPC_ACCT_STOP);
	done(bench, &stop, 0);
	assert_int_equal(accounting_waiting(bench->mgr), 0);
	assert_int_equal(other.index, bench->mgr->table[other.index]->sid.index);
}

static void test_radius_restarts(void **state) {
	struct bench *bench = *state;
	bench->radius_away = true;
	connected(bench, 7, "bob");
	none(bench);
	bench->radius_away = false;
	accounting_radius_up(bench->mgr);
	struct ipc_acct start = take(bench, IPC_ACCT_START);
	accounting_radius_up(bench->mgr); // died before it could say anything
	struct ipc_acct again = take(bench, IPC_ACCT_START);
	assert_int_equal(again.hdr.req, start.hdr.req);
	done(bench, &again, 0);
	passed(bench);
	none(bench);
}

// What no server has acknowledged is sent again after a restart of this process, in its order, and
// nothing else; the accounting session goes on.
static void test_restart(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 8, "bob");
	struct ipc_acct start = take(bench, IPC_ACCT_START);
	restart(bench, sid);
	struct ipc_acct again = take(bench, IPC_ACCT_START);
	assert_memory_equal(&again, &start, sizeof(start));
	done(bench, &again, 0);
	session_commit(bench->mgr);
	carry(bench, sid, 4, 400);
	restart(bench, sid);
	none(bench);
	assert_int_not_equal(bench->mgr->table[sid.index]->interim_due, 0);
	carry(bench, sid, 5, 500);
	interim(bench, sid);
	struct ipc_acct update = take(bench, IPC_ACCT_INTERIM);
	assert_string_equal(update.session_id, start.session_id);
	assert_int_equal(update.rx_bytes, 500);
	end_session(bench, sid, ABI_END_USER);
	restart(bench, (struct abi_sid){0});
	struct ipc_acct update_again = take(bench, IPC_ACCT_INTERIM);
	assert_int_equal(update_again.rx_bytes, 500);
	done(bench, &update_again, 0);
	struct ipc_acct stop = take(bench, IPC_ACCT_STOP);
	assert_string_equal(stop.session_id, start.session_id);
	done(bench, &stop, 0);
	session_commit(bench->mgr);
	restart(bench, (struct abi_sid){0});
	none(bench);
}

// A session that ended while this process was away: the dataplane does not have it any more.
static void test_ended_meanwhile(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 10, "bob");
	struct ipc_acct start = take(bench, IPC_ACCT_START);
	done(bench, &start, 0);
	session_commit(bench->mgr);
	restart(bench, (struct abi_sid){0});
	none(bench); // its cookie is still good
	session_delete(bench->mgr, bench->mgr->table[sid.index], "cookie-expired");
	struct ipc_acct stop = take(bench, IPC_ACCT_STOP);
	assert_string_equal(stop.session_id, start.session_id);
	assert_int_equal(stop.cause, 3);
}

// An invalid answer is a breach; one that nobody waits for is not.
static void test_bad_answer(void **state) {
	struct bench *bench = *state;
	struct ipc_acct_done msg = {.hdr.req = 77, .status = 1};
	assert_int_not_equal(accounting_done(bench->mgr, &msg), 0);
	msg.status = 0;
	assert_int_equal(accounting_done(bench->mgr, &msg), 0);
}

// More than are kept: Interim-Updates go first, the oldest of them first.
static void test_bounded(void **state) {
	struct bench *bench = *state;
	struct record_acct record;
	struct accounting *accounting = bench->mgr->accounting;
	bench->radius_away = true;
	for (unsigned i = 1; i <= ACCOUNTING_KEPT_MIN; i++) {
		record_acct_init(&record);
		record.acct.kind = i % 2 ? IPC_ACCT_INTERIM : IPC_ACCT_STOP;
		record.acct.hdr.req = i;
		snprintf(record.acct.session_id, sizeof(record.acct.session_id), "%016x", i);
		snprintf(record.acct.username, sizeof(record.acct.username), "user");
		assert_int_equal(store_acct_put(bench->mgr->store, &record, NULL, NULL), 0);
	}
	session_commit(bench->mgr);
	bench->mgr->accounting = accounting_new(bench->mgr);
	assert_int_equal(accounting_load(bench->mgr), 0);
	accounting_free(accounting);
	assert_int_equal(accounting_waiting(bench->mgr), ACCOUNTING_KEPT_MIN);
	struct abi_sid sid = connected(bench, 11, "bob");
	assert_int_equal(accounting_waiting(bench->mgr), ACCOUNTING_KEPT_MIN);
	session_commit(bench->mgr);
	// Number 1 is gone from the store, too; 3 and all Stops are there.
	bench->radius_away = false;
	restart(bench, sid);
	assert_int_equal(bench->sent[0].acct.hdr.req, 2);
	assert_int_equal(bench->sent[1].acct.hdr.req, 3);
	assert_int_equal(accounting_waiting(bench->mgr), ACCOUNTING_KEPT_MIN);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, sessions_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		T(test_life),
		T(test_nothing),
		T(test_causes),
		T(test_interval),
		T(test_reconnection),
		T(test_order),
		T(test_servers_away),
		T(test_radius_restarts),
		T(test_restart),
		T(test_ended_meanwhile),
		T(test_bad_answer),
		T(test_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
