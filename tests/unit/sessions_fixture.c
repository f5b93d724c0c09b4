// SPDX-License-Identifier: GPL-3.0-or-later
// The bench of the tests of sessions: the store, the manager, and the dataplane's end of the rings.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/abi/channel.h"
#include "tests/unit/sessions_fixture.h"

static int on_send(enum ipc_role role, unsigned index, enum ipc_type type, struct ipc_hdr *msg,
	size_t len, void *arg) {
	struct bench *bench = arg;
	struct sent *sent = &bench->sent[bench->nb_sent];

	if (role == IPC_RADIUS && bench->radius_away)
		return -ENOTCONN;
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

void spin(struct bench *bench) {
	for (int i = 0; i < 8; i++)
		event_base_loop(bench->base, EVLOOP_NONBLOCK);
}

void manager_start(struct bench *bench, uint8_t first) {
	struct session_mgr_opts opts = {bench->base, &bench->cfg, on_send, on_lost, bench};
	struct store_hooks hooks = {on_pending, bench};
	uint8_t secret[STORE_SECRET_LEN] = {first};
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

void far_close(struct far_end *far) {
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

void attach(struct bench *bench, uint64_t boot_id) {
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

struct abi_cmd take_cmd(struct bench *bench, enum abi_cmd_type type) {
	struct abi_cmd cmd;

	assert_int_equal(abi_ring_pop(&bench->far.cmd, &cmd, true), 0);
	assert_int_equal(cmd.type, type);
	return cmd;
}

void no_cmd(struct bench *bench) {
	struct abi_cmd cmd;

	assert_int_equal(abi_ring_pop(&bench->far.cmd, &cmd, true), -EAGAIN);
}

void complete(struct bench *bench, const struct abi_cmd *cmd, int status) {
	struct abi_cpl cpl = {cmd->id, status, cmd->sid};

	assert_int_equal(abi_ring_push(&bench->far.cpl, &cpl), 0);
	abi_ring_notify(&bench->far.cpl);
	spin(bench);
}

void event(struct bench *bench, struct abi_evt evt) {
	assert_int_equal(abi_ring_push(&bench->far.evt, &evt), 0);
	abi_ring_notify(&bench->far.evt);
	spin(bench);
}

void end_session(struct bench *bench, struct abi_sid sid, enum abi_end reason) {
	event(bench, (struct abi_evt){.type = ABI_EVT_SESSION_END, .sid = sid, .reason = reason});
}

void dump_end(struct bench *bench) {
	struct abi_cmd cmd = take_cmd(bench, ABI_CMD_DUMP);

	event(bench, (struct abi_evt){.type = ABI_EVT_DUMP_END});
	complete(bench, &cmd, 0);
}

struct sent *take_sent(struct bench *bench, enum ipc_type type) {
	assert_int_equal(bench->nb_sent, 1);
	bench->nb_sent = 0;
	assert_int_equal(bench->sent[0].type, type);
	return &bench->sent[0];
}

int sessions_setup(void **state) {
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
	manager_start(bench, 1);
	attach(bench, 1);
	dump_end(bench);
	*state = bench;
	return 0;
}

int sessions_teardown(void **state) {
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

int login_status(struct bench *bench, uint8_t cookie, const char *user) {
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

struct ipc_connect connect_msg(struct bench *bench, uint8_t cookie) {
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

struct ipc_connect_result connect_ok(struct bench *bench, uint8_t cookie) {
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

unsigned connect_status(struct bench *bench, uint8_t cookie, const char *reason) {
	struct ipc_connect msg = connect_msg(bench, cookie);
	struct sent *sent;

	assert_int_equal(session_connect(bench->mgr, &msg), 0);
	spin(bench);
	sent = take_sent(bench, IPC_CONNECT_RESULT);
	if (reason)
		assert_non_null(strstr(sent->result.reason, reason));
	return sent->result.status;
}

void stream_up(struct bench *bench, struct abi_sid sid) {
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

struct abi_sid connected(struct bench *bench, uint8_t cookie, const char *user) {
	struct ipc_connect_result result;

	assert_int_equal(login_status(bench, cookie, user), 0);
	result = connect_ok(bench, cookie);
	stream_up(bench, result.sid);
	return result.sid;
}

enum session_state state_of(struct bench *bench, uint8_t cookie) {
	uint8_t hash[IPC_HASH_LEN] = {cookie};
	struct session *session = session_find(bench->mgr, hash);

	return session ? session->state : 0;
}

struct abi_evt dump_evt(struct bench *bench, struct abi_sid sid) {
	struct abi_evt evt = {.type = ABI_EVT_SESSION, .channels = ABI_CHANNEL_STREAM, .sid = sid};
	struct session *session = bench->mgr->table[sid.index];

	if (session) {
		evt.inner4 = session->inner4;
		evt.inner6 = session->inner6;
	}
	return evt;
}
