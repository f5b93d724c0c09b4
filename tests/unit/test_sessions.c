// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions from login to the end, with a real store and the real rings of the boundary: this
// program holds the dataplane's end of them.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "controlplane/session/mtu.h"
#include "controlplane/session/sessions.h"
#include "dataplane/abi/channel.h"
#include "dataplane/abi/ring.h"

#define SENT_MAX 32u
#define SESSIONS_MAX 64u

// A message that the manager sent.
struct sent {
	enum ipc_role role;
	unsigned index;
	enum ipc_type type;
	union {
		struct ipc_hdr hdr;
		struct ipc_session_created created;
		struct ipc_connect_result result;
		struct ipc_dtls_params params;
	};
};

// The dataplane's end.
struct far_end {
	bool up;
	struct abi_ring cmd, cpl, evt;
	int channel, cmd_bell, evt_bell;
	struct abi_stats *stats;
	size_t stats_len;
	uint64_t boot_id;
};

struct bench {
	struct event_base *base;
	struct session_mgr *mgr;
	struct far_end far;
	struct sent sent[SENT_MAX];
	unsigned nb_sent;
	unsigned nb_lost;
	char path[64];
	int dir_fd;
	struct cfg cfg;
	struct cfg_pool pool;
	struct cfg_listen listen;
	uint64_t req;
};

static int on_send(enum ipc_role role, unsigned index, enum ipc_type type, struct ipc_hdr *msg,
	size_t len, void *arg) {
	struct bench *bench = arg;
	struct sent *sent = &bench->sent[bench->nb_sent];

	assert_true(bench->nb_sent < SENT_MAX);
	assert_true(len <= sizeof(*sent) - offsetof(struct sent, hdr));
	bench->nb_sent++;
	sent->role = role;
	sent->index = index;
	sent->type = type;
	memcpy(&sent->hdr, msg, len);
	return 0;
}

static void on_lost(void *arg) {
	((struct bench *)arg)->nb_lost++;
}

static void on_pending(void *arg) {
	struct bench *bench = arg;

	if (bench->mgr)
		event_active(bench->mgr->commit_event, EV_TIMEOUT, 0);
}

// Runs the loop until nothing is ready any more.
static void spin(struct bench *bench) {
	for (int i = 0; i < 8; i++)
		event_base_loop(bench->base, EVLOOP_NONBLOCK);
}

static void manager_start(struct bench *bench) {
	struct session_mgr_opts opts = {bench->base, &bench->cfg, on_send, on_lost, bench};
	struct store_hooks hooks = {on_pending, bench};
	uint8_t secret[STORE_SECRET_LEN] = {1};
	struct store *store;

	bench->mgr = session_mgr_new(&opts);
	assert_non_null(bench->mgr);
	assert_int_equal(store_open(&store, bench->dir_fd, 1, &hooks), 0);
	assert_int_equal(store_secret_set(store, secret), 0);
	assert_int_equal(session_mgr_load(bench->mgr, store), 0);
}

static int far_stats(struct far_end *far) {
	int fd = memfd_create("stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	far->stats_len = abi_stats_sessions_offset() +
		SESSIONS_MAX * sizeof(struct abi_session_stats);
	assert_int_equal(ftruncate(fd, (off_t)far->stats_len), 0);
	far->stats = mmap(NULL, far->stats_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(far->stats, MAP_FAILED);
	far->stats->magic = ABI_STATS_MAGIC;
	far->stats->sessions_max = SESSIONS_MAX;
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	return fd;
}

static void far_close(struct far_end *far) {
	if (!far->up)
		return;
	far->up = false;
	abi_ring_detach(&far->cmd);
	abi_ring_detach(&far->cpl);
	abi_ring_detach(&far->evt);
	munmap(far->stats, far->stats_len);
	close(far->channel);
	close(far->cmd_bell);
	close(far->evt_bell);
}

static void attach(struct bench *bench, uint64_t boot_id) {
	struct far_end *far = &bench->far;
	struct abi_welcome welcome = {.magic = ABI_MAGIC,
		.version = ABI_VERSION,
		.nb_fds = 6,
		.sessions_max = SESSIONS_MAX,
		.boot_id = boot_id};
	int fds[6], pair[2];

	far_close(far);
	fds[0] = abi_ring_create(&far->cmd, "cmd", ABI_CMD_SLOTS, sizeof(struct abi_cmd));
	fds[1] = abi_ring_create(&far->cpl, "cpl", ABI_CPL_SLOTS, sizeof(struct abi_cpl));
	fds[2] = abi_ring_create(&far->evt, "evt", ABI_EVT_SLOTS, sizeof(struct abi_evt));
	fds[3] = far_stats(far);
	far->cmd_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	far->evt_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fds[4] = dup(far->cmd_bell);
	fds[5] = dup(far->evt_bell);
	far->cpl.bell_fd = far->evt.bell_fd = (uint32_t)far->evt_bell;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	far->channel = pair[0];
	far->up = true;
	reconcile_lost(bench->mgr);
	assert_int_equal(dplane_attach(bench->mgr->dplane, &welcome, pair[1], fds, 6), 0);
	reconcile_start(bench->mgr);
	spin(bench);
}

// The next command, which must be of this type.
static struct abi_cmd take_cmd(struct bench *bench, enum abi_cmd_type type) {
	struct abi_cmd cmd;

	assert_int_equal(abi_ring_pop(&bench->far.cmd, &cmd, true), 0);
	assert_int_equal(cmd.type, type);
	return cmd;
}

static void no_cmd(struct bench *bench) {
	struct abi_cmd cmd;

	assert_int_equal(abi_ring_pop(&bench->far.cmd, &cmd, true), -EAGAIN);
}

static void complete(struct bench *bench, const struct abi_cmd *cmd, int status) {
	struct abi_cpl cpl = {cmd->id, status, cmd->sid};

	assert_int_equal(abi_ring_push(&bench->far.cpl, &cpl), 0);
	abi_ring_notify(&bench->far.cpl);
	spin(bench);
}

static void event(struct bench *bench, struct abi_evt evt) {
	assert_int_equal(abi_ring_push(&bench->far.evt, &evt), 0);
	abi_ring_notify(&bench->far.evt);
	spin(bench);
}

static void dump_end(struct bench *bench) {
	struct abi_cmd cmd = take_cmd(bench, ABI_CMD_DUMP);

	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &cmd, 0);
}

static struct sent *take_sent(struct bench *bench, enum ipc_type type) {
	assert_int_equal(bench->nb_sent, 1);
	bench->nb_sent = 0;
	assert_int_equal(bench->sent[0].type, type);
	return &bench->sent[0];
}

static int setup(void **state) {
	struct bench *bench = calloc(1, sizeof(*bench));

	snprintf(bench->path, sizeof(bench->path), "/tmp/penstock-sessions-XXXXXX");
	if (!mkdtemp(bench->path))
		return -1;
	bench->dir_fd = open(bench->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bench->base = event_base_new();
	bench->pool = (struct cfg_pool){
		.name = (char *)(uintptr_t) "pool",
		.v4 = {.addr = {AF_INET, {10, 9, 0, 0}}, .len = 29},
		.v6 = {.addr = {AF_INET6, {0xfd, 0, 0, 9}}, .len = 64},
		.gateway4 = {AF_INET, {10, 9, 0, 1}},
		.gateway6 = {AF_INET6, {0xfd, 0, 0, 9, [15] = 1}},
		.v6_client_prefix = 128,
	};
	bench->listen = (struct cfg_listen){.tcp_port = 443, .udp_port = 443};
	bench->cfg = (struct cfg){
		.pools = &bench->pool,
		.nb_pools = 1,
		.listen = &bench->listen,
		.nb_listen = 1,
		.dtls_psk = true,
		.dtls_legacy = true,
		.auth = {.cookie_timeout = 300},
		.dataplane = {.sessions_max = SESSIONS_MAX},
		.network = {.dpd = 30, .keepalive = 20},
	};
	manager_start(bench);
	attach(bench, 1);
	dump_end(bench);
	*state = bench;
	return 0;
}

static int teardown(void **state) {
	struct bench *bench = *state;
	char cmd[128];
	int ret;

	session_mgr_free(bench->mgr);
	far_close(&bench->far);
	event_base_free(bench->base);
	close(bench->dir_fd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", bench->path);
	ret = chdir("/");
	ret |= system(cmd);
	free(bench);
	return ret;
}

// --- steps ---

static int login_status(struct bench *bench, uint8_t cookie, const char *user) {
	struct ipc_session_new msg = {.hdr.req = ++bench->req, .cookie_hash = {cookie}};
	struct sent *sent;

	msg.remote = (struct abi_addr){{[10] = 0xff, 0xff, 192, 0, 2, cookie}};
	snprintf(msg.username, sizeof(msg.username), "%s", user);
	assert_int_equal(session_login(bench->mgr, &msg), 0);
	spin(bench);
	sent = take_sent(bench, IPC_SESSION_CREATED);
	assert_int_equal(sent->hdr.req, bench->req);
	return sent->created.status;
}

static struct ipc_connect connect_msg(struct bench *bench, uint8_t cookie) {
	struct ipc_connect msg = {
		.hdr.req = ++bench->req,
		.cookie = {cookie},
		.edge = 1,
		.local_port = 443,
		.wishes = IPC_WISH_V4 | IPC_WISH_V6 | IPC_WISH_FULL_IPV6 | IPC_WISH_DTLS_PSK,
		.base_mtu = 1500,
		.tls_version = ABI_TLS13,
		.tls_cipher = ABI_AES_256_GCM,
		.psk = {7},
	};

	msg.remote = (struct abi_addr){{[10] = 0xff, 0xff, 192, 0, 2, cookie}};
	return msg;
}

static struct ipc_connect_result connect_ok(struct bench *bench, uint8_t cookie) {
	struct ipc_connect msg = connect_msg(bench, cookie);
	struct ipc_connect_result result;
	struct abi_cmd cmd;
	struct sent *sent;

	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	cmd = take_cmd(bench, ABI_CMD_SESSION_ADD);
	assert_int_equal(bench->nb_sent, 0); // not before the dataplane has it
	complete(bench, &cmd, 0);
	sent = take_sent(bench, IPC_CONNECT_RESULT);
	result = sent->result;
	assert_int_equal(result.status, 0);
	assert_int_equal(result.hdr.req, msg.hdr.req);
	assert_int_equal(sent->index, 1);
	assert_memory_equal(&cmd.session_add.inner4, &result.inner4, sizeof(result.inner4));
	return result;
}

static unsigned connect_status(struct bench *bench, uint8_t cookie, const char *reason) {
	struct ipc_connect msg = connect_msg(bench, cookie);
	struct sent *sent;

	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	sent = take_sent(bench, IPC_CONNECT_RESULT);
	if (reason)
		assert_non_null(strstr(sent->result.reason, reason));
	return sent->result.status;
}

static void stream_up(struct bench *bench, struct abi_sid sid) {
	struct ipc_stream_up msg = {
		.sid = sid, .stream = {.version = ABI_TLS13, .cipher = ABI_AES_256_GCM}};
	struct abi_fd_msg fd_msg;
	struct abi_cmd cmd;
	int fd = -1;

	assert_int_equal(session_stream_up(bench->mgr, 1, &msg, bench->far.channel), 0);
	cmd = take_cmd(bench, ABI_CMD_STREAM_SET);
	assert_int_equal(abi_channel_recv(bench->far.channel, &fd_msg, sizeof(fd_msg), &fd, 1), 1);
	assert_int_equal(fd_msg.token, cmd.stream_set.token);
	close(fd);
	complete(bench, &cmd, 0);
}

static struct abi_sid connected(struct bench *bench, uint8_t cookie, const char *user) {
	struct ipc_connect_result result;

	assert_int_equal(login_status(bench, cookie, user), 0);
	result = connect_ok(bench, cookie);
	stream_up(bench, result.sid);
	return result.sid;
}

static enum session_state state_of(struct bench *bench, uint8_t cookie) {
	uint8_t hash[IPC_HASH_LEN] = {cookie};
	struct session *session = session_find(bench->mgr, hash);

	return session ? session->state : 0;
}

// --- tests ---

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
	event(bench,
		(struct abi_evt){.type = ABI_EVT_SESSION_END,
			.sid = first.sid,
			.reason = ABI_END_TEMPORARY});
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
	event(bench,
		(struct abi_evt){.type = ABI_EVT_SESSION_END, .sid = old, .reason = ABI_END_USER});
	complete(bench, &cmd, 0);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 0);
	assert_int_equal(state_of(bench, 1), SESSION_CONNECTED);
}

static void test_bye_kills_cookie(void **state) {
	struct bench *bench = *state;
	struct abi_sid sid = connected(bench, 1, "ann");

	event(bench,
		(struct abi_evt){.type = ABI_EVT_SESSION_END, .sid = sid, .reason = ABI_END_USER});
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
	event(bench,
		(struct abi_evt){.type = ABI_EVT_SESSION_END, .sid = sid, .reason = ABI_END_DPD});
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

static void test_lost_while_connecting(void **state) {
	struct bench *bench = *state;
	struct ipc_connect msg;

	assert_int_equal(login_status(bench, 1, "ann"), 0);
	msg = connect_msg(bench, 1);
	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	far_close(&bench->far);
	spin(bench);
	assert_int_equal(take_sent(bench, IPC_CONNECT_RESULT)->result.status, 503);
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
	assert_int_equal(session_dtls_up(bench->mgr, &up), 0);
	cmd = take_cmd(bench, ABI_CMD_DTLS_SET);
	assert_int_equal(cmd.dtls_set.mtu, 1434);
	assert_int_equal(cmd.dtls_set.rx.seq, 1);
	up.sid.generation++;
	assert_int_equal(session_dtls_up(bench->mgr, &up), 0);
	no_cmd(bench);
	up.dtls.cipher = 9;
	assert_int_equal(session_dtls_up(bench->mgr, &up), -EPROTO);
}

static struct abi_evt dump_evt(struct bench *bench, struct abi_sid sid) {
	struct abi_evt evt = {.type = ABI_EVT_SESSION, .channels = ABI_CHANNEL_STREAM, .sid = sid};
	struct session *session = bench->mgr->table[sid.index];

	if (session) {
		evt.inner4 = session->inner4;
		evt.inner6 = session->inner6;
	}
	return evt;
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
	manager_start(bench);
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
	manager_start(bench);
	attach(bench, 1);
	evt = dump_evt(bench, result.sid);
	evt.channels = 0;
	event(bench, evt);
	dump_end(bench);
	assert_int_equal(bench->mgr->table[result.sid.index]->timer, TIMER_EXPIRY);
	stream_up(bench, result.sid);
	assert_int_equal(bench->mgr->table[result.sid.index]->timer, TIMER_NONE);
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
	struct session_mgr_opts opts = {bench->base, &bench->cfg, on_send, on_lost, bench};
	struct store_hooks hooks = {on_pending, bench};
	uint8_t other[STORE_SECRET_LEN] = {2};
	struct store *store;

	session_mgr_free(bench->mgr);
	bench->mgr = session_mgr_new(&opts);
	assert_int_equal(store_open(&store, bench->dir_fd, 1, &hooks), 0);
	assert_int_equal(store_secret_set(store, other), 0);
	assert_int_equal(session_mgr_load(bench->mgr, store), 0);
	assert_int_equal(bench->mgr->table[sid.index]->dtls_mode, IPC_DTLS_NONE);
	assert_int_equal(bench->mgr->table[sid.index]->psk_key[0], 0);
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

static void test_broken_ring(void **state) {
	struct bench *bench = *state;

	bench->far.evt.hdr->head = 12345678;
	assert_int_equal(write(bench->far.evt_bell, &(uint64_t){1}, 8), 8);
	spin(bench);
	assert_int_equal(bench->nb_lost, 1);
	assert_false(dplane_attached(bench->mgr->dplane));
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

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_login_connect),
		T(test_bad_cookie),
		T(test_reconnect_keeps_addresses),
		T(test_replace),
		T(test_bye_kills_cookie),
		T(test_operator_disconnect),
		T(test_cookie_timeout),
		T(test_stream_never_comes),
		T(test_stream_down_awaits_client),
		T(test_limits),
		T(test_pool_empty),
		T(test_no_dataplane),
		T(test_add_refused),
		T(test_lost_while_connecting),
		T(test_dtls),
		T(test_reconcile),
		T(test_restart_before_stream),
		T(test_dataplane_restart),
		T(test_lost_events),
		T(test_secrets_after_reboot),
		T(test_session_timeout),
		T(test_hostile_messages),
		T(test_broken_ring),
		T(test_small_link_has_no_ipv6),
		T(test_info),
		cmocka_unit_test(test_mtu),
	};

	return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
