// SPDX-License-Identifier: GPL-3.0-or-later
// The CLI's server over a real socket, on a real session manager and store; what is shown as JSON.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <jansson.h>

#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/control.h"
#include "controlplane/session/sessions.h"

#define TURNS_MAX 200000u
#define SESSIONS_MAX 2048u

struct bench {
	struct event_base *base;
	struct session_mgr *mgr;
	struct cfg cfg;
	struct cfg_pool pool;
	char path[64], sock[96];
	int dir_fd;
	unsigned reloads;
	uint64_t req;
};

static int on_send(enum ipc_role role, unsigned index, enum ipc_type type, struct ipc_hdr *msg,
	size_t len, void *arg) {
	if (type == IPC_RELOAD)
		((struct bench *)arg)->reloads++;
	return 0;
}

static void on_lost(void *arg) {
}

static void on_pending(void *arg) {
	struct bench *bench = arg;
	if (bench->mgr)
		event_active(bench->mgr->commit_event, EV_TIMEOUT, 0);
}

static void turn(struct bench *bench) {
	event_base_loop(bench->base, EVLOOP_NONBLOCK);
}

static void manager_start(struct bench *bench) {
	struct session_mgr_opts opts = {bench->base, &bench->cfg, on_send, on_lost, bench};
	struct store_hooks hooks = {on_pending, bench};
	uint8_t secret[STORE_SECRET_LEN] = {1};
	struct store *store;
	bench->mgr = session_mgr_new(&opts);
	assert_non_null(bench->mgr);
	assert_int_equal(store_open(&store, bench->dir_fd, 16u << 20, &hooks), 0);
	assert_int_equal(store_secret_set(store, secret), 0);
	assert_int_equal(session_mgr_load(bench->mgr, store), 0);
}

static struct sockaddr_un address(const struct bench *bench) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	strcpy(addr.sun_path, bench->sock);
	return addr;
}

static int setup(void **state) {
	struct bench *bench = calloc(1, sizeof(*bench));
	snprintf(bench->path, sizeof(bench->path), "/tmp/penstock-control-XXXXXX");
	if (!mkdtemp(bench->path))
		return -1;
	snprintf(bench->sock, sizeof(bench->sock), "%s/sock", bench->path);
	bench->dir_fd = open(bench->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bench->base = event_base_new();
	bench->pool = (struct cfg_pool){
		.name = (char *)(uintptr_t) "pool",
		.v4 = {.addr = {AF_INET, {10, 9, 0, 0}}, .len = 16},
		.gateway4 = {AF_INET, {10, 9, 0, 1}},
		.v6_client_prefix = 128,
	};
	bench->cfg = (struct cfg){
		.pools = &bench->pool,
		.nb_pools = 1,
		.auth = {.cookie_timeout = 300,
			.brute_force = {.max_score = 30,
				.max_score_prefix = 100,
				.points_wrong_password = 10,
				.points_connection = 1,
				.ban_time = 300,
				.reset_time = 300}},
		.dataplane = {.sessions_max = SESSIONS_MAX},
	};
	manager_start(bench);
	struct sockaddr_un addr = address(bench);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(control_listen(bench->mgr, bench->base, fd), 0);
	*state = bench;
	return 0;
}

static int teardown(void **state) {
	struct bench *bench = *state;
	char cmd[128];
	control_close();
	session_mgr_free(bench->mgr);
	event_base_free(bench->base);
	close(bench->dir_fd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", bench->path);
	int status = system(cmd);
	free(bench);
	return status;
}

static void login(struct bench *bench, unsigned cookie, const char *user) {
	struct ipc_session_new msg = {.hdr.req = ++bench->req};
	memcpy(msg.cookie_hash, &cookie, sizeof(cookie));
	snprintf(msg.username, sizeof(msg.username), "%s", user);
	snprintf(msg.groups, sizeof(msg.groups), "staff,vpn");
	snprintf(msg.agent, sizeof(msg.agent), "Open AnyConnect VPN Agent v9.01");
	msg.remote = (struct abi_addr){{[10] = 0xff, 0xff, 192, 0, 2, 7}};
	assert_int_equal(session_login(bench->mgr, &msg), 0);
}

static int dial(struct bench *bench) {
	struct sockaddr_un addr = address(bench);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text) {
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

// Turns the server's loop until a whole line is there; NULL: the server closed.
static char *hear(struct bench *bench, int fd) {
	size_t room = 8u << 20, len = 0;
	char *line = malloc(room);
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		// To the byte: what follows the line belongs to the next answer.
		ssize_t peek = recv(fd, line + len, room - len - 1, MSG_PEEK);
		if (peek > 0) {
			char *end = memchr(line + len, '\n', (size_t)peek);
			size_t take = end ? (size_t)(end + 1 - (line + len)) : (size_t)peek;
			assert_int_equal(recv(fd, line + len, take, 0), (ssize_t)take);
			len += take;
			if (end) {
				line[len - 1] = '\0';
				return line;
			}
		} else if (peek == 0) {
			free(line);
			return NULL;
		}
		turn(bench);
	}
	fail_msg("no answer");
	return NULL;
}

static json_t *ask_on(struct bench *bench, int fd, const char *request) {
	say(fd, request);
	char *line = hear(bench, fd);
	assert_non_null(line);
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	free(line);
	return json;
}

static json_t *ask(struct bench *bench, const char *request) {
	int fd = dial(bench);
	json_t *json = ask_on(bench, fd, request);
	close(fd);
	turn(bench);
	return json;
}

static void expect_error(struct bench *bench, const char *request, int status, const char *text) {
	json_t *json = ask(bench, request);
	assert_int_equal(json_integer_value(json_object_get(json, "status")), status);
	assert_non_null(strstr(json_string_value(json_object_get(json, "error")), text));
	assert_null(json_object_get(json, "result"));
	json_decref(json);
}

static json_t *result_of(struct bench *bench, const char *request) {
	json_t *json = ask(bench, request);
	json_t *result = json_object_get(json, "result");
	assert_int_equal(json_integer_value(json_object_get(json, "status")), 0);
	assert_non_null(result);
	json_incref(result);
	json_decref(json);
	return result;
}

static void test_wrong_requests(void **state) {
	struct bench *bench = *state;
	expect_error(bench, "nonsense\n", EINVAL, "expected");
	expect_error(bench, "[]\n", EINVAL, "expected");
	expect_error(bench, "{\"command\": 1}\n", EINVAL, "expected");
	expect_error(bench, "{\"command\": \"show-sessions\", \"args\": []}\n", EINVAL, "expected");
	expect_error(bench, "{\"command\": \"explode\"}\n", ENOSYS, "unknown command");
	expect_error(bench, "{\"command\": \"show-session\"}\n", EINVAL, "expected");
	expect_error(bench, "{\"command\": \"show-session\", \"args\": {\"id\": -1}}\n", ENOENT,
		"no session");
	expect_error(bench, "{\"command\": \"show-session\", \"args\": {\"id\": 99999999999}}\n",
		ENOENT, "no session");
	expect_error(bench, "{\"command\": \"disconnect\", \"args\": {\"id\": 5}}\n", ENOENT,
		"no session");
	expect_error(bench, "{\"command\": \"disconnect\", \"args\": {\"user\": \"x\"}}\n", ENOENT,
		"no session");
	// No dataplane is attached here.
	expect_error(bench, "{\"command\": \"show-counters\"}\n", ENOTCONN, "not attached");
	expect_error(bench, "{\"command\": \"show-workers\"}\n", ENOTCONN, "not attached");
	expect_error(bench, "{\"command\": \"show-interfaces\"}\n", ENOTCONN, "not attached");
}

static void test_long_request(void **state) {
	struct bench *bench = *state;
	char *big = malloc(70001);
	int fd = dial(bench);
	memset(big, 'x', 70000);
	big[70000] = '\0';
	json_t *json = ask_on(bench, fd, big);
	assert_int_equal(json_integer_value(json_object_get(json, "status")), EMSGSIZE);
	assert_null(hear(bench, fd)); // and closed
	json_decref(json);
	close(fd);
	free(big);
}

static void test_sessions(void **state) {
	struct bench *bench = *state;
	json_t *result = result_of(bench, "{\"command\": \"show-sessions\"}\n");
	assert_int_equal(json_array_size(result), 0);
	json_decref(result);
	login(bench, 1, "alice");
	login(bench, 2, "bob");
	login(bench, 3, "alice");
	result = result_of(bench, "{\"command\": \"show-sessions\", \"args\": {}}\n");
	assert_int_equal(json_array_size(result), 3);
	const json_t *one = json_array_get(result, 0);
	assert_string_equal(json_string_value(json_object_get(one, "user")), "alice");
	assert_string_equal(json_string_value(json_object_get(one, "groups")), "staff,vpn");
	assert_string_equal(json_string_value(json_object_get(one, "state")), "authenticated");
	assert_string_equal(json_string_value(json_object_get(one, "channel")), "none");
	assert_string_equal(json_string_value(json_object_get(one, "remote_address")), "192.0.2.7");
	assert_true(json_is_null(json_object_get(one, "idle")));
	json_int_t id = json_integer_value(json_object_get(one, "id"));
	json_decref(result);
	result = result_of(
		bench, "{\"command\": \"show-session\", \"args\": {\"user\": \"alice\"}}\n");
	assert_int_equal(json_array_size(result), 2);
	json_decref(result);
	char request[128];
	snprintf(request, sizeof(request),
		"{\"command\": \"disconnect\", \"args\": {\"id\": %lld}}\n", (long long)id);
	result = result_of(bench, request);
	assert_int_equal(json_integer_value(json_object_get(result, "sessions")), 1);
	json_decref(result);
	result = result_of(bench, "{\"command\": \"disconnect\", \"args\": {\"user\": \"bob\"}}\n");
	json_decref(result);
	result = result_of(bench, "{\"command\": \"show-sessions\"}\n");
	assert_int_equal(json_array_size(result), 1);
	json_decref(result);
	result = result_of(bench, "{\"command\": \"show-status\"}\n");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(result, "sessions"), "authenticated")),
		1);
	assert_true(
		json_is_false(json_object_get(json_object_get(result, "sessions"), "dataplane")));
	assert_int_equal(json_array_size(json_object_get(result, "pools")), 1);
	json_decref(result);
	result = result_of(bench, "{\"command\": \"show-leases\"}\n");
	assert_true(json_is_array(result));
	json_decref(result);
}

// Several requests at once are answered in order, also to a client that sends no more.
static void test_pipeline(void **state) {
	struct bench *bench = *state;
	int fd = dial(bench);
	say(fd, "{\"command\": \"show-version\"}\n\n{\"command\": \"no\"}\n{\"command\": \"show-pools\"}\n{");
	shutdown(fd, SHUT_WR);
	char *line = hear(bench, fd);
	assert_non_null(strstr(line, PENSTOCK_VERSION));
	free(line);
	line = hear(bench, fd);
	assert_non_null(strstr(line, "unknown command"));
	free(line);
	line = hear(bench, fd);
	assert_non_null(strstr(line, "\"pool\""));
	free(line);
	assert_null(hear(bench, fd));
	close(fd);
}

static json_t *last_answer(struct bench *bench, int fd) {
	char *line = hear(bench, fd);
	json_t *json = json_loads(line, 0, NULL);
	free(line);
	return json;
}

static void test_reload(void **state) {
	struct bench *bench = *state;
	int first = dial(bench);
	say(first, "{\"command\": \"reload\"}\n");
	for (unsigned i = 0; i < TURNS_MAX && bench->reloads == 0; i++)
		turn(bench);
	assert_int_equal(bench->reloads, 1);
	expect_error(bench, "{\"command\": \"reload\"}\n", EBUSY, "another reload");
	// What the supervisor answers is relayed.
	struct session_reload reload = bench->mgr->reload;
	memset(&bench->mgr->reload, 0, sizeof(bench->mgr->reload));
	reload.done(0, "applied\nneeds a restart: dataplane/workers\n", reload.arg);
	json_t *json = last_answer(bench, first);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(json, "result"), "text")),
		"applied\nneeds a restart: dataplane/workers\n");
	json_decref(json);
	// An error, after which the same client goes on.
	say(first, "{\"command\": \"reload\"}\n");
	for (unsigned i = 0; i < TURNS_MAX && bench->reloads == 1; i++)
		turn(bench);
	reload = bench->mgr->reload;
	memset(&bench->mgr->reload, 0, sizeof(bench->mgr->reload));
	reload.done(-EINVAL, "/penstock:penstock/edges: wrong value", reload.arg);
	json = last_answer(bench, first);
	assert_int_equal(json_integer_value(json_object_get(json, "status")), EINVAL);
	json_decref(json);
	json = ask_on(bench, first, "{\"command\": \"show-version\"}\n");
	json_decref(json);
	// A client that is gone before its answer.
	say(first, "{\"command\": \"reload\"}\n");
	for (unsigned i = 0; i < TURNS_MAX && bench->reloads == 2; i++)
		turn(bench);
	reload = bench->mgr->reload;
	memset(&bench->mgr->reload, 0, sizeof(bench->mgr->reload));
	close(first);
	for (unsigned i = 0; i < 100; i++)
		turn(bench);
	reload.done(0, "late", reload.arg);
}

// A reader that does not read holds up nobody, and gets everything once it does.
static void test_slow_reader(void **state) {
	struct bench *bench = *state;
	char user[32];
	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		snprintf(user, sizeof(user), "user%u", i);
		login(bench, i + 1, user);
		turn(bench);
	}
	int slow = dial(bench);
	say(slow, "{\"command\": \"show-sessions\"}\n{\"command\": \"show-sessions\"}\n");
	for (unsigned i = 0; i < 1000; i++)
		turn(bench);
	json_t *result = result_of(bench, "{\"command\": \"show-version\"}\n");
	json_decref(result);
	for (unsigned i = 0; i < 2; i++) {
		json_t *json = last_answer(bench, slow);
		assert_int_equal(json_array_size(json_object_get(json, "result")), SESSIONS_MAX);
		json_decref(json);
	}
	close(slow);
	// One that goes away in the middle.
	slow = dial(bench);
	say(slow, "{\"command\": \"show-sessions\"}\n");
	for (unsigned i = 0; i < 100; i++)
		turn(bench);
	close(slow);
	for (unsigned i = 0; i < 100; i++)
		turn(bench);
	result = result_of(bench, "{\"command\": \"show-version\"}\n");
	json_decref(result);
}

static void test_many_clients(void **state) {
	struct bench *bench = *state;
	int fds[20];
	unsigned served = 0, refused = 0;
	for (unsigned i = 0; i < 20; i++) {
		fds[i] = dial(bench);
		turn(bench);
	}
	for (unsigned i = 0; i < 20; i++) {
		ssize_t n = send(fds[i], "{\"command\":\"show-version\"}\n", 27, MSG_NOSIGNAL);
		char *line = hear(bench, fds[i]);
		assert_non_null(line);
		if (strstr(line, "too many connections"))
			refused++;
		else if (n == 27)
			served++;
		free(line);
	}
	assert_int_equal(served, 16);
	assert_int_equal(refused, 4);
	for (unsigned i = 0; i < 20; i++)
		close(fds[i]);
	for (unsigned i = 0; i < 100; i++)
		turn(bench);
	json_t *result = result_of(bench, "{\"command\": \"show-version\"}\n");
	json_decref(result);
}

// ---- what is shown

static void test_show_session(void **state) {
	struct session_info info = {
		.sid = {7, 9},
		.state = SESSION_CONNECTED,
		.user = "bob\xff", // not UTF-8
		.groups = "",
		.agent = "agent",
		.remote = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
		.remote_port = 50000,
		.inner4 = {{[10] = 0xff, 0xff, 10, 1, 2, 3}},
		.inner6 = {{0xfd, [15] = 5}},
		.inner6_prefix = 64,
		.tls_version = ABI_TLS13,
		.tls_cipher = ABI_AES_128_GCM,
		.dtls_mode = IPC_DTLS_PSK,
		.dtls_cipher = ABI_AES_256_GCM,
		.channels = ABI_CHANNEL_STREAM | ABI_CHANNEL_DTLS,
		.cstp_mtu = 1400,
		.stats = {.generation = 9,
			.channel_tx = 2,
			.worker = 3,
			.rx_packets = 5,
			.rx_bytes = 1ull << 40,
			.last_rx_s = 95,
			.last_data_s = 90},
	};
	json_t *json = show_session(&info, 100);
	assert_string_equal(json_string_value(json_object_get(json, "user")), "bob?");
	assert_string_equal(json_string_value(json_object_get(json, "channel")), "DTLS");
	assert_string_equal(
		json_string_value(json_object_get(json, "remote_address")), "2001:db8::1");
	assert_string_equal(json_string_value(json_object_get(json, "ipv4")), "10.1.2.3");
	assert_string_equal(json_string_value(json_object_get(json, "ipv6")), "fd00::5/64");
	assert_string_equal(json_string_value(json_object_get(json, "tls_version")), "TLS 1.3");
	assert_string_equal(json_string_value(json_object_get(json, "tls_cipher")), "AES-128-GCM");
	assert_string_equal(json_string_value(json_object_get(json, "dtls_cipher")), "AES-256-GCM");
	assert_int_equal(json_integer_value(json_object_get(json, "idle")), 10);
	assert_int_equal(json_integer_value(json_object_get(json, "silent")), 5);
	assert_int_equal(json_integer_value(json_object_get(json, "worker")), 3);
	assert_true(json_integer_value(json_object_get(json, "rx_bytes")) == 1ll << 40);
	json_decref(json);
	info.stats = (struct abi_session_stats){0};
	info.channels = ABI_CHANNEL_STREAM;
	assert_string_equal(show_channel(&info), "TLS");
	info.tls_cipher = 200; // out of range
	json = show_session(&info, 100);
	assert_string_equal(json_string_value(json_object_get(json, "tls_cipher")), "");
	json_decref(json);
}

// The region is another process's: sizes beyond its arrays and names without an end are harmless.
static void test_show_stats(void **state) {
	struct abi_stats *stats = calloc(1, sizeof(*stats));
	stats->nb_workers = 2;
	stats->nb_ports = 1;
	stats->nb_counters = ABI_C_MAX;
	stats->worker[0] = (struct abi_worker_stats){.kind = ABI_WORKER_PACKET,
		.lcore = 1,
		.cycles_busy = 300,
		.cycles_idle = 100,
		.packets = 3};
	stats->worker[0].counters[ABI_C_drop_source] = 40;
	stats->worker[1].counters[ABI_C_drop_source] = 2;
	memset(stats->port[0].name, 'p', ABI_NAME_LEN);
	stats->port[0].role = 1;
	stats->port[0].rx_packets = 77;
	json_t *json = show_counters(stats);
	assert_int_equal(json_array_size(json), ABI_C_MAX);
	const json_t *source = json_array_get(json, ABI_C_drop_source);
	assert_string_equal(json_string_value(json_object_get(source, "name")), "drop_source");
	assert_int_equal(json_integer_value(json_object_get(source, "value")), 42);
	assert_string_equal(json_string_value(json_object_get(source, "description")),
		"Dropped: inner source address is not the session's own");
	json_decref(json);
	json = show_workers(stats);
	assert_int_equal(json_array_size(json), 1); // the second slot is not in use
	const json_t *worker = json_array_get(json, 0);
	assert_string_equal(json_string_value(json_object_get(worker, "kind")), "packet");
	assert_true(json_real_value(json_object_get(worker, "busy_share")) == 0.75);
	assert_true(json_real_value(json_object_get(worker, "cycles_per_packet")) == 100);
	json_decref(json);
	json = show_interfaces(stats);
	assert_int_equal(
		json_string_length(json_object_get(json_array_get(json, 0), "name")), ABI_NAME_LEN);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(json, 0), "rx_packets")), 77);
	json_decref(json);
	stats->nb_workers = stats->nb_ports = stats->nb_counters = UINT32_MAX;
	stats->worker[0].kind = 77;
	json_decref(show_counters(stats));
	json_decref(show_workers(stats));
	json_decref(show_interfaces(stats));
	json = show_version(stats);
	assert_int_equal(json_integer_value(json_object_get(json, "abi")), ABI_VERSION);
	json_decref(json);
	free(stats);
}

// More bans than one piece of an answer holds, all of them once; hostile messages; unban.
static void test_bans(void **state) {
	struct bench *bench = *state;
	struct guard *guard = bench->mgr->guard;
	struct ipc_contacts contacts = {.nb_contacts = IPC_CONTACTS_MAX};
	struct ipc_wrong_password wrong = {0};
	struct ipc_bans bans = {.nb_bans = 1};
	json_t *result;

	for (unsigned i = 0; i < 5000 / IPC_CONTACTS_MAX; i++) {
		for (unsigned j = 0; j < IPC_CONTACTS_MAX; j++)
			contacts.contacts[j] = (struct ipc_contact){
				.remote = {{[10] = 0xff, 0xff, 10, (uint8_t)j, (uint8_t)i, 1}},
				.connections = 30,
			};
		assert_int_equal(guard_contacts(guard, &contacts), 0);
	}
	result = result_of(bench, "{\"command\": \"show-bans\"}\n");
	assert_int_equal(json_array_size(result), 5000 / IPC_CONTACTS_MAX * IPC_CONTACTS_MAX);
	const json_t *one = json_array_get(result, 0);
	assert_string_equal(json_string_value(json_object_get(one, "address")), "10.0.0.1");
	assert_int_equal(json_integer_value(json_object_get(one, "score")), 30);
	assert_true(json_is_true(json_object_get(one, "banned")));
	assert_int_equal(json_integer_value(json_object_get(one, "ends_at")) -
			json_integer_value(json_object_get(one, "banned_at")),
		300);
	json_decref(result);

	result = result_of(
		bench, "{\"command\": \"unban\", \"args\": {\"address\": \"10.0.0.1\"}}\n");
	json_decref(result);
	expect_error(bench, "{\"command\": \"unban\", \"args\": {\"address\": \"10.0.0.1\"}}\n",
		ENOENT, "not banned");
	expect_error(bench, "{\"command\": \"unban\", \"args\": {\"address\": \"10.0.0\"}}\n",
		EINVAL, "expected");
	expect_error(bench, "{\"command\": \"unban\"}\n", EINVAL, "expected");
	result = result_of(bench, "{\"command\": \"unban\", \"args\": {\"all\": true}}\n");
	assert_int_equal(json_integer_value(json_object_get(result, "bans")),
		5000 / IPC_CONTACTS_MAX * IPC_CONTACTS_MAX - 1);
	json_decref(result);

	contacts.nb_contacts = IPC_CONTACTS_MAX + 1;
	assert_int_equal(guard_contacts(guard, &contacts), -EPROTO);
	contacts.nb_contacts = 1;
	contacts.contacts[0].connections = UINT32_MAX;
	assert_int_equal(guard_contacts(guard, &contacts), -EPROTO);
	contacts.contacts[0] = (struct ipc_contact){.connections = 1};
	assert_int_equal(guard_contacts(guard, &contacts), -EPROTO);
	assert_int_equal(guard_wrong_password(guard, &wrong), -EPROTO);
	// An edge cannot ban for longer than bans take, nor what is no prefix.
	bans.bans[0] = (struct ipc_ban){
		.addr = {{[10] = 0xff, 0xff, 10, 1, 1, 1}},
		.prefix_len = 128,
		.since_s = clock_s(),
		.until_s = UINT64_MAX,
	};
	assert_int_equal(guard_bans(guard, &bans), 0);
	result = result_of(bench, "{\"command\": \"show-bans\"}\n");
	one = json_array_get(result, 0);
	assert_int_equal(json_integer_value(json_object_get(one, "ends_at")) -
			json_integer_value(json_object_get(one, "banned_at")),
		300);
	json_decref(result);
	bans.bans[0].since_s = clock_s() + 100;
	assert_int_equal(guard_bans(guard, &bans), -EPROTO);
	bans.bans[0].since_s = clock_s();
	bans.bans[0].prefix_len = 12;
	assert_int_equal(guard_bans(guard, &bans), -EPROTO);
	bans.nb_bans = IPC_BANS_MAX + 1;
	assert_int_equal(guard_bans(guard, &bans), -EPROTO);
}

int main(void) {
	log_level_set(CFG_LOG_ERROR);
	signal(SIGPIPE, SIG_IGN); // as child_main() does
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wrong_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipeline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bans, setup, teardown),
		cmocka_unit_test(test_show_session),
		cmocka_unit_test(test_show_stats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
