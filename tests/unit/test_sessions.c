// SPDX-License-Identifier: GPL-3.0-or-later
// How sessions go on and end: by the client, the operator and the clock, and over restarts of either
// side of the boundary.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/proc/clock.h"
#include "tests/unit/sessions_fixture.h"

static void test_bye_kills_cookie(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");

	end_session(bench, sid, ABI_END_USER);
	assert_int_equal(state_of(bench, 1), 0);
	assert_int_equal(connect_status(bench, 1, NULL), 401);
}

static void test_operator_disconnect(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct abi_cmd cmd;

	assert_int_equal(session_disconnect_user(bench->mgr, "bob"), 0);
	assert_int_equal(session_disconnect_user(bench->mgr, "ann"), 1);
	cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.session_del.reason, ABI_END_SERVER);
	assert_int_equal(cmd.sid.generation, sid.generation);
	spin(bench);
	assert_int_equal(connect_status(bench, 1, NULL), 401);
	assert_int_equal(session_disconnect_id(bench->mgr, 0), -ENOENT);
}

static void test_cookie_timeout(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid;
	uint64_t before = session_now();

	sid = connected(bench, 1, "ann");
	end_session(bench, sid, ABI_END_DPD);
	assert_in_range(bench->mgr->table[sid.index]->due, before + 300, session_now() + 300);
	// The time comes: the tick takes it out.
	session_timer_set(bench->mgr, bench->mgr->table[sid.index], TIMER_EXPIRY, before);
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	assert_int_equal(state_of(bench, 1), 0);
}

static void test_stream_never_comes(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	result = connect_ok(bench, 1);
	session_timer_set(
		bench->mgr, bench->mgr->table[result.sid.index], TIMER_STREAM, session_now());
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
}

static void test_stream_down_awaits_client(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");

	event(bench,
		(struct abi_evt){.type = ABI_EVT_STREAM_DOWN,
			.sid = sid,
			.channels = ABI_CHANNEL_DTLS,
			.reason = ABI_END_TEMPORARY});
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
	assert_int_equal(bench->mgr->table[sid.index]->timer, TIMER_EXPIRY);
	session_timer_set(bench->mgr, bench->mgr->table[sid.index], TIMER_EXPIRY, 1);
	bench->mgr->table[sid.index]->expires = 1;
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(state_of(bench, 1), 0);
}

// The session process restarts: the dataplane kept one session, lost one, and has a stranger.
static void test_reconcile(void **state) {
	struct bench *bench = *state;
	struct abi_sid kept = connected(bench, 1, "ann"), gone = connected(bench, 2, "bob");
	struct abi_addr inner4 = bench->mgr->table[gone.index]->inner4;
	struct abi_cmd dump, cmd;
	struct ipc_connect msg;

	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
	assert_int_equal(state_of(bench, 2), SESSION_CONNECTED);
	attach(bench, 1);
	dump = take_cmd(bench, ABI_CMD_DUMP);
	// A CONNECT that comes now waits.
	msg = connect_msg(bench, 2);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	assert_int_equal(bench->nb_sent, 0);
	event(bench, dump_evt(bench, kept));
	event(bench, dump_evt(bench, (struct abi_sid){40, 1}));
	cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.sid.index, 40);
	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &dump, 0);
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
	assert_int_equal(bench->mgr->table[kept.index]->channels, ABI_CHANNEL_STREAM);
	// And goes on, with the address from before.
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_memory_equal(&cmd.session_add.inner4, &inner4, sizeof(inner4));
	assert_true(cmd.sid.generation > gone.generation);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
}

// Restarted between the answer to CONNECT and the stream: which edge it comes from is not known.
static void test_restart_before_stream(void **state) {
	struct bench *bench = *state;
	struct ipc_connect_result result;
	struct abi_evt evt;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	result = connect_ok(bench, 1);
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
	attach(bench, 1);
	evt = dump_evt(bench, result.sid);
	evt.channels = 0;
	event(bench, evt);
	dump_end(bench);
	assert_int_equal(bench->mgr->table[result.sid.index]->timer, TIMER_EXPIRY);
	stream_up(bench, result.sid);
	assert_int_equal(bench->mgr->table[result.sid.index]->timer, TIMER_NONE);
}

// After a restart a stream that the dataplane has is not replaced, nor one taken long after.
static void test_restart_no_second_stream(void **state) {
	struct bench *bench = *state;
	struct abi_sid with = connected(bench, 1, "ann");
	struct ipc_stream_up msg = {
		.sid = with, .stream = {.version = ABI_TLS13, .cipher = ABI_AES_256_GCM}};
	struct abi_evt evt;

	assert_int_equal(login_status(bench, 2, "bob"), 0);
	evt = dump_evt(bench, connect_ok(bench, 2).sid);
	evt.channels = 0;
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
	attach(bench, 1);
	event(bench, dump_evt(bench, with));
	event(bench, evt);
	dump_end(bench);
	assert_int_equal(session_stream_up(bench->mgr, 1, &msg, -1), 0);
	no_cmd(bench);
	bench->mgr->loaded_s -= SESSION_PREDECESSOR_S + 1;
	msg.sid = evt.sid;
	assert_int_equal(session_stream_up(bench->mgr, 1, &msg, -1), 0);
	no_cmd(bench);
}

// A BYE that came to the dataplane while this process was down: the end is not known by its reason,
// so the cookie has its usual time to live, from now on.
static void test_ended_while_away(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct session *session;
	uint64_t before;

	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
	before = session_now();
	attach(bench, 1);
	dump_end(bench);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	session = bench->mgr->table[sid.index];
	assert_int_equal(session->installed, 0);
	assert_int_equal(session->timer, TIMER_EXPIRY);
	assert_in_range(session->disconnected, before, session_now());
	assert_in_range(session->due, before + 300, session_now() + 300);
	// Also for the next start, which finds it so in the store.
	session_commit(bench->mgr);
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	assert_int_equal(bench->mgr->table[sid.index]->timer, TIMER_EXPIRY);
	session_timer_set(bench->mgr, bench->mgr->table[sid.index], TIMER_EXPIRY, before);
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	assert_int_equal(state_of(bench, 1), 0);
}

static void test_dataplane_restart(void **state) {
	struct bench *bench = *state;

	connected(bench, 1, "ann");
	attach(bench, 2);
	dump_end(bench);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	connect_ok(bench, 1);
}

// The dataplane says that it had to drop events: the table is compared again.
static void test_lost_events(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");

	bench->far.stats->worker[0].counters[ABI_C_abi_evt_full] = 3;
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	dump_end(bench);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	assert_int_equal(bench->mgr->table[sid.index]->last_end, ABI_END_TEMPORARY);
}

static void test_secrets_after_reboot(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");

	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 2);
	assert_int_equal(bench->mgr->table[sid.index]->dtls_mode, IPC_DTLS_NONE);
	assert_int_equal(bench->mgr->table[sid.index]->psk_key[0], 0);
}

static void test_broken_ring(void **state) {
	struct bench *bench = *state;

	bench->far.evt.hdr->head = 12345678;
	assert_int_equal(write(bench->far.evt_bell, &(uint64_t){1}, 8), 8);
	spin(bench);
	assert_int_equal(bench->nb_lost, 1);
	assert_false(dplane_attached(bench->mgr->dplane));
}

static int count_session(const struct session_info *info, void *arg) {
	assert_string_equal(info->user, "ann");
	assert_int_equal(info->stats.rx_bytes, 4711);
	++*(int *)arg;
	return 0;
}

static void test_info(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct abi_session_stats *stats = (struct abi_session_stats *)((uint8_t *)bench->far.stats +
						  abi_stats_sessions_offset()) +
		sid.index;
	struct session_info info;
	int nb = 0;

	stats->generation = sid.generation;
	stats->rx_bytes = 4711;
	assert_int_equal(session_info_each(bench->mgr, count_session, &nb), 0);
	assert_int_equal(nb, 1);
	assert_int_equal(session_info_get(bench->mgr, sid.index, &info), 0);
	assert_int_equal(session_info_get(bench->mgr, sid.index + 1, &info), -ENOENT);
}

// What the dataplane has counted for the session.
static void carried(struct bench *bench, struct abi_sid sid, uint64_t packets, uint64_t bytes) {
	struct abi_session_stats *stats = (struct abi_session_stats *)((uint8_t *)bench->far.stats +
						  abi_stats_sessions_offset()) +
		sid.index;

	*stats = (struct abi_session_stats){.generation = sid.generation,
		.rx_packets = packets,
		.rx_bytes = bytes,
		.tx_packets = 2 * packets,
		.tx_bytes = 2 * bytes};
}

static void check_total(struct bench *bench, uint32_t id, uint64_t packets, uint64_t bytes) {
	struct session_info info;

	assert_int_equal(session_info_get(bench->mgr, id, &info), 0);
	assert_int_equal(info.total.rx_packets, packets);
	assert_int_equal(info.total.rx_bytes, bytes);
	assert_int_equal(info.total.tx_packets, 2 * packets);
	assert_int_equal(info.total.tx_bytes, 2 * bytes);
}

// A CONNECT from the message to the answer, in a dataplane that counts from zero.
static struct abi_sid connect_counting(struct bench *bench) {
	struct ipc_connect msg = connect_msg(bench, 1);
	struct abi_cmd cmd;

	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	carried(bench, cmd.sid, 0, 0);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
	return cmd.sid;
}

static void test_usage_over_reconnections(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct ipc_connect msg;
	struct abi_cmd cmd;

	carried(bench, sid, 10, 1000);
	check_total(bench, sid.index, 10, 1000);
	// The dataplane ends it: the generation is gone, the numbers are still there.
	carried(bench, sid, 11, 1100);
	carried(bench, (struct abi_sid){sid.index, 0}, 11, 1100);
	end_session(bench, sid, ABI_END_DPD);
	check_total(bench, sid.index, 11, 1100);
	sid = connect_counting(bench);
	check_total(bench, sid.index, 11, 1100);
	carried(bench, sid, 5, 500);
	check_total(bench, sid.index, 16, 1600);
	// A CONNECT takes over: until its own commit the old connection goes on.
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	carried(bench, sid, 7, 700);
	spin(bench);
	take_cmd(bench, ABI_CMD_SESSION_DEL);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	carried(bench, cmd.sid, 0, 0);
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
	check_total(bench, sid.index, 18, 1800);
}

static void restart_manager(struct bench *bench) {
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	manager_start(bench, 1);
}

static void test_usage_over_restarts(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct abi_cmd dump;

	carried(bench, sid, 10, 1000);
	end_session(bench, sid, ABI_END_DPD);
	sid = connect_counting(bench);
	carried(bench, sid, 3, 300);
	restart_manager(bench);
	// The dataplane has gone on counting meanwhile.
	attach(bench, 1);
	carried(bench, sid, 4, 400);
	dump = take_cmd(bench, ABI_CMD_DUMP);
	event(bench, dump_evt(bench, sid));
	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &dump, 0);
	check_total(bench, sid.index, 14, 1400);
	// The dataplane dies: what it had counted is read while its statistics are still there.
	carried(bench, sid, 6, 600);
	attach(bench, 2);
	dump_end(bench);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
	check_total(bench, sid.index, 16, 1600);
	restart_manager(bench);
	check_total(bench, sid.index, 16, 1600);
}

// Both die at once: the record has what was read at the last save.
static void test_usage_saved(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");

	carried(bench, sid, 10, 1000);
	bench->mgr->table[sid.index]->usage_saved_s = 0;
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
	carried(bench, sid, 12, 1200);
	restart_manager(bench);
	attach(bench, 2);
	dump_end(bench);
	check_total(bench, sid.index, 10, 1000);
}

static void tick(struct bench *bench) {
	event_active(bench->mgr->tick_event, EV_TIMEOUT, 0);
	spin(bench);
}

// No new logins; a session that is there comes back by its cookie; the last one's end is told.
static void test_drain(void **state) {
	struct bench *bench = *state;
	struct ipc_maintenance msg = {.draining = 1};
	struct abi_sid sid = connected(bench, 1, "ann");

	session_maintenance(bench->mgr, &msg);
	assert_int_equal(login_status(bench, 2, "bob"), -ESHUTDOWN);
	end_session(bench, sid, ABI_END_DPD);
	tick(bench);
	assert_int_equal(bench->nb_sent, 0); // its cookie is good
	sid = connect_ok(bench, 1).sid;
	end_session(bench, sid, ABI_END_USER);
	tick(bench);
	assert_int_equal(take_sent(bench, IPC_DRAINED)->role, IPC_SUPERVISOR);
	tick(bench);
	assert_int_equal(bench->nb_sent, 0);
	msg.draining = 0;
	session_maintenance(bench->mgr, &msg);
	assert_int_equal(login_status(bench, 2, "bob"), 0);
}

static void test_drain_timeout(void **state) {
	struct bench *bench = *state;
	struct ipc_maintenance msg = {.draining = 1, .until_s = clock_s() + 1000};

	connected(bench, 1, "ann");
	session_maintenance(bench->mgr, &msg);
	tick(bench);
	take_cmd(bench, ABI_CMD_SESSION_UPDATE); // the first sweep of policies
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
	msg.until_s = clock_s();
	session_maintenance(bench->mgr, &msg);
	tick(bench);
	assert_int_equal(take_cmd(bench, ABI_CMD_SESSION_DEL).session_del.reason, ABI_END_SERVER);
	assert_int_equal(state_of(bench, 1), 0);
	take_sent(bench, IPC_DRAINED);
}

static void disk_full(struct bench *bench, bool full) {
	char path[128];
	struct rlimit limit;
	struct stat st;

	signal(SIGXFSZ, SIG_IGN);
	snprintf(path, sizeof(path), "%s/%s", bench->path, STORE_FILE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = full ? (rlim_t)st.st_size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

// A full disk: who has a tunnel may connect anew, with the same addresses; nobody logs in, and who was
// told that he is in has his cookie after a restart. With room again all is stored.
static void test_full_disk(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");
	struct abi_addr inner4 = bench->mgr->table[sid.index]->inner4;
	struct session_totals totals;
	struct abi_cmd cmd;
	uint8_t cookie = 2;

	disk_full(bench, true);
	while (login_status(bench, cookie, "bob") == 0)
		cookie++;
	assert_int_equal(login_status(bench, cookie, "bob"), -EDQUOT);
	assert_int_equal(state_of(bench, cookie), 0);
	session_totals(bench->mgr, &totals);
	assert_int_equal(totals.store_fault, -ENOSPC);
	if (cookie > 2)
		assert_int_equal(connect_status(bench, 2, "The session store is full"), 503);
	for (int i = 0; i < 4; i++) {
		struct ipc_connect msg = connect_msg(bench, 1);

		assert_int_equal(session_connect(bench->mgr, &msg), 0);
		spin(bench);
		take_cmd(bench, ABI_CMD_SESSION_DEL);
		cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
		assert_memory_equal(&cmd.session_add.inner4, &inner4, sizeof(inner4));
		complete(bench, &cmd, 0);
		sid = take_sent(bench, IPC_CONNECT_RESULT)->result.sid;
		stream_up(bench, sid);
	}
	disk_full(bench, false);
	tick(bench);
	while (abi_ring_pop(&bench->far.cmd, &cmd, true) == 0)
		complete(bench, &cmd, 0); // policies
	session_totals(bench->mgr, &totals);
	assert_int_equal(totals.store_fault, 0);
	restart_manager(bench);
	for (uint8_t c = 2; c < cookie; c++)
		assert_int_not_equal(state_of(bench, c), 0);
	assert_int_equal(bench->mgr->table[sid.index]->sid.generation, sid.generation);
}

// The store is lost, the dataplane is not: its tunnels stay, nobody gets their addresses or numbers.
static void test_adopted(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann"), newer;
	struct abi_evt evt = dump_evt(bench, sid);
	struct abi_cmd dump;
	char path[128];

	evt.sid.generation = sid.generation = 70000;
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	snprintf(path, sizeof(path), "%s/%s", bench->path, STORE_FILE);
	assert_int_equal(unlink(path), 0);
	manager_start(bench, 1);
	assert_int_equal(state_of(bench, 1), 0);
	attach(bench, 1);
	dump = take_cmd(bench, ABI_CMD_DUMP);
	event(bench, evt);
	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &dump, 0);
	no_cmd(bench);
	assert_int_equal(connect_status(bench, 1, NULL), 401);
	newer = connected(bench, 2, "bob");
	assert_int_not_equal(newer.index, sid.index);
	assert_true(newer.generation > sid.generation);
	assert_memory_not_equal(
		&bench->mgr->table[newer.index]->inner4, &evt.inner4, sizeof(evt.inner4));
	tick(bench); // policies: not that of a session whose settings nobody knows
	assert_int_equal(take_cmd(bench, ABI_CMD_SESSION_UPDATE).sid.index, newer.index);
	no_cmd(bench);
	// It is in the store now, and ends as any other.
	restart_manager(bench);
	attach(bench, 1);
	dump = take_cmd(bench, ABI_CMD_DUMP);
	event(bench, evt);
	event(bench, dump_evt(bench, newer));
	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &dump, 0);
	no_cmd(bench);
	event(bench,
		(struct abi_evt){.type = ABI_EVT_SESSION_END, .sid = sid, .reason = ABI_END_USER});
	assert_null(bench->mgr->table[sid.index]);
}

// A filter goes to the dataplane before who needs it, once for all, and away after the last of them.
static void test_filters(void **state) {
	struct bench *bench = *state;
	struct cfg_prefix route = {{AF_INET, {10, 1, 0, 0}}, 16};
	struct cfg_addr dns = {AF_INET, {10, 0, 0, 53}};
	struct ipc_connect msg;
	struct abi_cmd part, cmd;
	struct abi_sid sid;
	uint64_t name;

	bench->cfg.network.split_include = &route;
	bench->cfg.network.nb_split_include = 1;
	bench->cfg.network.dns = &dns;
	bench->cfg.network.nb_dns = 1;
	bench->cfg.network.reach.to_routes = true;
	assert_int_equal(login_status(bench, 1, "ann"), 0);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	part = take_cmd(bench, ABI_CMD_FILTER_ADD);
	name = part.filter_add.filter;
	assert_int_equal(part.filter_add.flags, ABI_FILTER_ROUTES);
	assert_int_equal(part.filter_add.total, 2);
	assert_int_equal(part.filter_add.nb, 2);
	assert_int_equal(part.filter_add.rule[0].kind, ABI_FILTER_ROUTE);
	assert_int_equal(part.filter_add.rule[0].len, 16);
	assert_int_equal(part.filter_add.rule[1].kind, ABI_FILTER_DNS);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_true(name != 0 && cmd.session_add.policy.filter == name);
	complete(bench, &part, 0);
	complete(bench, &cmd, 0);
	sid = take_sent(bench, IPC_CONNECT_RESULT)->result.sid;
	stream_up(bench, sid);
	// the next one finds it there
	connected(bench, 2, "bob");
	filters_tick(bench->mgr);
	no_cmd(bench);
	// after a restart of ours the dataplane says what it has; nothing is sent again
	session_mgr_free(bench->mgr);
	bench->mgr = NULL;
	bench->nb_sent = 0;
	manager_start(bench, 1);
	attach(bench, 1);
	cmd = take_cmd(bench, ABI_CMD_DUMP);
	event(bench, (struct abi_evt){.type = ABI_EVT_FILTER, .filter = name});
	event(bench, (struct abi_evt){.type = ABI_EVT_FILTER, .filter = name + 1}); // nobody's
	for (uint32_t i = 0; i < 2; i++) {
		struct abi_evt evt = dump_evt(bench, bench->mgr->table[i]->sid);

		evt.filter = name;
		event(bench, evt);
	}
	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &cmd, 0);
	filters_tick(bench->mgr); // not before it is known who wants which
	no_cmd(bench);
	reconcile_tick(bench->mgr);
	for (unsigned i = 0; i < 2; i++) {
		cmd = take_cmd(bench, ABI_CMD_SESSION_UPDATE);
		assert_true(cmd.policy.filter == name);
		complete(bench, &cmd, 0);
	}
	assert_true(take_cmd(bench, ABI_CMD_FILTER_DEL).filter_del.filter == name + 1);
	no_cmd(bench);
	// other rules have another name; the old filter goes once nobody has it
	route.len = 24;
	bench->mgr->sweep = 0;
	reconcile_tick(bench->mgr);
	part = take_cmd(bench, ABI_CMD_FILTER_ADD);
	assert_true(part.filter_add.filter != name);
	complete(bench, &part, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_true(take_cmd(bench, ABI_CMD_SESSION_UPDATE).policy.filter ==
			part.filter_add.filter);
	assert_true(take_cmd(bench, ABI_CMD_FILTER_DEL).filter_del.filter == name);
	no_cmd(bench);
	// no restriction any more
	bench->cfg.network.reach.to_routes = false;
	bench->mgr->sweep = 0;
	reconcile_tick(bench->mgr);
	for (unsigned i = 0; i < 2; i++)
		assert_true(take_cmd(bench, ABI_CMD_SESSION_UPDATE).policy.filter == 0);
	assert_true(
		take_cmd(bench, ABI_CMD_FILTER_DEL).filter_del.filter == part.filter_add.filter);
	no_cmd(bench);
}

// A session that has a tunnel does not go on without a filter that the dataplane does not take.
static void test_filter_refused(void **state) {
	struct bench *bench = *state;
	struct cfg_prefix route = {{AF_INET, {10, 1, 0, 0}}, 16};
	struct abi_sid sid = connected(bench, 1, "ann");
	struct abi_cmd part, cmd;

	bench->cfg.network.split_include = &route;
	bench->cfg.network.nb_split_include = 1;
	bench->cfg.network.reach.to_routes = true;
	bench->mgr->sweep = 0;
	reconcile_tick(bench->mgr);
	part = take_cmd(bench, ABI_CMD_FILTER_ADD);
	cmd = take_cmd(bench, ABI_CMD_SESSION_UPDATE);
	complete(bench, &part, 0);
	complete(bench, &cmd, -EAGAIN); // it is busy
	no_cmd(bench);
	filters_lost(bench->mgr);
	reconcile_tick(bench->mgr);
	part = take_cmd(bench, ABI_CMD_FILTER_ADD);
	complete(bench, &part, -ENOSPC);
	cmd = take_cmd(bench, ABI_CMD_SESSION_UPDATE);
	complete(bench, &cmd, -ENOENT);
	cmd = take_cmd(bench, ABI_CMD_SESSION_DEL);
	assert_int_equal(cmd.sid.generation, sid.generation);
	assert_int_equal(cmd.session_del.reason, ABI_END_TEMPORARY);
	assert_int_equal(state_of(bench, 1), SESSION_DISCONNECTED);
}

// More rules than fit one command, and a dataplane that refuses them.
static void test_filter_parts(void **state) {
	struct bench *bench = *state;
	struct cfg_prefix routes[30];
	struct ipc_connect msg;
	struct abi_cmd cmd;

	for (unsigned i = 0; i < 30; i++)
		routes[i] = (struct cfg_prefix){{AF_INET, {10, (uint8_t)i, 0, 0}}, 16};
	bench->cfg.network.split_include = routes;
	bench->cfg.network.nb_split_include = 30;
	bench->cfg.network.reach.to_routes = true;
	assert_int_equal(login_status(bench, 1, "ann"), 0);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	for (unsigned first = 0; first < 30; first += ABI_FILTER_PART) {
		cmd = take_cmd(bench, ABI_CMD_FILTER_ADD);
		assert_int_equal(cmd.filter_add.total, 30);
		assert_int_equal(cmd.filter_add.first, first);
		assert_int_equal(cmd.filter_add.nb, first == 28 ? 2 : ABI_FILTER_PART);
		assert_int_equal(cmd.filter_add.rule[1].addr.bytes[13], first + 1);
		complete(bench, &cmd, first == 28 ? -ENOSPC : 0);
	}
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &cmd, -ENOENT);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 503);
	// once more, from the beginning
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	assert_int_equal(take_cmd(bench, ABI_CMD_FILTER_ADD).filter_add.first, 0);
}

// The settings of users, as the configuration has them.
static struct cfg_user iroute_users[] = {
	{.name = (char *)(uintptr_t) "ann", .settings = {.set = CFG_SET_IROUTES, .nb_iroutes = 2}},
	{.name = (char *)(uintptr_t) "bob", .settings = {.set = CFG_SET_IROUTES, .nb_iroutes = 1}},
};

static struct abi_sid connect_behind(struct bench *bench, uint8_t cookie, const char *user) {
	struct ipc_connect msg;
	struct abi_cmd add;

	assert_int_equal(login_status(bench, cookie, user), 0);
	msg = connect_msg(bench, cookie);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	add = take_cmd(bench, ABI_CMD_SESSION_ADD);
	complete(bench, &add, 0);
	return take_sent(bench, IPC_CONNECT_RESULT)->result.sid;
}

// The first one has a network until its connection ends, over a restart of ours too.
static void test_iroutes(void **state) {
	struct bench *bench = *state;
	struct cfg_prefix nets[2] = {{{AF_INET, {10, 7, 0, 9}}, 16}, {{AF_INET6, {0xfd, 7}}, 16}};
	struct abi_sid ann, bob;
	struct abi_evt evt;
	struct abi_cmd cmd;

	iroute_users[0].settings.iroutes = iroute_users[1].settings.iroutes = nets;
	bench->cfg.users = iroute_users;
	bench->cfg.nb_users = 2;
	ann = connect_behind(bench, 1, "ann");
	cmd = take_cmd(bench, ABI_CMD_IROUTES_SET);
	assert_int_equal(cmd.sid.index, ann.index);
	assert_int_equal(cmd.iroutes_set.nb, 2);
	complete(bench, &cmd, 0);
	stream_up(bench, ann);
	bob = connect_behind(bench, 2, "bob");
	no_cmd(bench); // ann has it
	stream_up(bench, bob);
	assert_int_equal(bench->mgr->table[bob.index]->iroutes_missing, true);
	// bob's index may come first, but what the dataplane has is ann's
	restart_manager(bench);
	attach(bench, 1);
	cmd = take_cmd(bench, ABI_CMD_DUMP);
	event(bench, dump_evt(bench, bob));
	evt = dump_evt(bench, ann);
	evt.nb_iroutes = 2;
	event(bench, evt);
	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &cmd, 0);
	reconcile_tick(bench->mgr);
	cmd = take_cmd(bench, ABI_CMD_SESSION_UPDATE);
	assert_int_equal(cmd.sid.index, ann.index);
	cmd = take_cmd(bench, ABI_CMD_IROUTES_SET);
	assert_int_equal(cmd.sid.index, ann.index);
	assert_int_equal(cmd.iroutes_set.nb, 2);
	take_cmd(bench, ABI_CMD_SESSION_UPDATE);
	no_cmd(bench);
	// ann goes, bob gets it
	event(bench,
		(struct abi_evt){.type = ABI_EVT_SESSION_END, .sid = ann, .reason = ABI_END_USER});
	reconcile_tick(bench->mgr);
	cmd = take_cmd(bench, ABI_CMD_IROUTES_SET);
	assert_int_equal(cmd.sid.index, bob.index);
	assert_int_equal(cmd.iroutes_set.nb, 1);
	assert_int_equal(cmd.iroutes_set.prefix[0].len, 16);
	assert_int_equal(cmd.iroutes_set.prefix[0].addr.bytes[15], 0); // no host bits
	// the dataplane says that somebody has it: once more, until it is so
	complete(bench, &cmd, -EADDRINUSE);
	reconcile_tick(bench->mgr);
	cmd = take_cmd(bench, ABI_CMD_IROUTES_SET);
	complete(bench, &cmd, 0);
	reconcile_tick(bench->mgr);
	no_cmd(bench);
	// none any more
	iroute_users[1].settings.nb_iroutes = 0;
	bench->mgr->sweep = 0;
	reconcile_tick(bench->mgr);
	take_cmd(bench, ABI_CMD_SESSION_UPDATE);
	assert_int_equal(take_cmd(bench, ABI_CMD_IROUTES_SET).iroutes_set.nb, 0);
	no_cmd(bench);
	iroute_users[1].settings.nb_iroutes = 1;
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, sessions_setup, sessions_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bye_kills_cookie),
		T(test_operator_disconnect),
		T(test_cookie_timeout),
		T(test_stream_never_comes),
		T(test_stream_down_awaits_client),
		T(test_reconcile),
		T(test_restart_before_stream),
		T(test_restart_no_second_stream),
		T(test_ended_while_away),
		T(test_dataplane_restart),
		T(test_lost_events),
		T(test_secrets_after_reboot),
		T(test_broken_ring),
		T(test_info),
		T(test_usage_over_reconnections),
		T(test_usage_over_restarts),
		T(test_usage_saved),
		T(test_drain),
		T(test_drain_timeout),
		T(test_full_disk),
		T(test_adopted),
		T(test_filters),
		T(test_filter_refused),
		T(test_filter_parts),
		T(test_iroutes),
	};

	return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
