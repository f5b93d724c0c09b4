// SPDX-License-Identifier: GPL-3.0-or-later
// The bench of the tests of logins, with what child.c gives to a role.

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/login_fixture.h"

struct child {
	struct bench *bench;
};

static struct child child;

// --- what child.c gives ---

struct event_base *child_base(struct child *c) {
	return c->bench->base;
}

const struct cfg *child_cfg(const struct child *c) {
	return &c->bench->cfg;
}

struct ipc_chan *child_peer(struct child *c, enum ipc_role role, unsigned index) {
	if (role == IPC_SESSION)
		return c->bench->session.near;
	return role == IPC_EDGE && index < EDGES ? c->bench->edges[index].near : NULL;
}

void child_exit(struct child *c, int status) {
	fail_msg("auth ends with status %d", status);
}

struct opened {
	void (*done)(struct child *child, int fd, void *arg);
	void *arg;
	int fd;
};

static void on_opened(evutil_socket_t fd, short what, void *arg) {
	struct opened *opened = arg;

	opened->done(&child, opened->fd, opened->arg);
	free(opened);
}

static const char *name_of(enum ipc_file file) {
	switch (file) {
	case IPC_FILE_PASSWORDS:
		return "passwd";
	case IPC_FILE_OTP_USERS:
		return "tokens";
	default:
		return "cookie.key";
	}
}

int child_file_open(struct child *c, enum ipc_file file, unsigned index,
	void (*done)(struct child *child, int fd, void *arg), void *arg) {
	static const struct timeval now = {0};
	struct opened *opened = malloc(sizeof(*opened));

	*opened = (struct opened){done, arg, openat(c->bench->dir_fd, name_of(file), O_RDONLY)};
	if (opened->fd < 0)
		opened->fd = -errno;
	return event_base_once(c->bench->base, -1, EV_TIMEOUT, on_opened, opened, &now);
}

// --- the third factor ---

struct riddle riddle;
static struct login *riddled;

static void riddle_answer(struct login *login, enum factor_result result) {
	factor_done(login,
		&(struct factor_outcome){.result = result,
			.message = result == FACTOR_ERROR ? "No server" : "Riddle",
			.label = "Answer:",
			.groups = riddle.groups,
			.why = "riddle"});
}

static void riddle_step(struct login *login, const struct factor_input *input, void **state) {
	if (*state == NULL)
		riddle.nb_open++;
	*state = &riddle;
	riddle.nb_steps++;
	riddle.last_round = input->round;
	snprintf(riddle.last_password, sizeof(riddle.last_password), "%s",
		input->password != NULL ? input->password : "(none)");
	riddled = login;
	if (!riddle.waits)
		riddle_answer(login, input->round < riddle.asks ? FACTOR_ASK : riddle.result);
}

static void riddle_end(struct login *login, void **state) {
	*state = NULL;
	riddle.nb_open--;
	if (riddled == login)
		riddled = NULL;
}

void riddle_go_on(enum factor_result result) {
	assert_non_null(riddled);
	riddle_answer(riddled, result);
}

static const struct factor factor_riddle = {
	.name = "riddle",
	.id = CFG_FACTOR_RADIUS,
	.wants_password = true,
	.step = riddle_step,
	.end = riddle_end,
};

const struct factor *const factors[] = {&factor_password, &factor_riddle, &factor_otp, NULL};

const struct factor *factor_find(enum cfg_factor id) {
	for (size_t i = 0; factors[i] != NULL; i++) {
		if (factors[i]->id == id)
			return factors[i];
	}
	return NULL;
}

// --- channels ---

static int on_near(struct ipc_chan *chan, const struct ipc_hdr *msg, int *fds, void *arg) {
	struct far_end *end = arg;

	switch (msg->type) {
	case IPC_LOGIN:
		return logins_login(end->bench->logins, chan, (const struct ipc_login *)msg);
	case IPC_CONNECT:
		return logins_connect(end->bench->logins, chan, (const struct ipc_connect *)msg);
	case IPC_SESSION_CREATED:
		return logins_created(end->bench->logins, (const struct ipc_session_created *)msg);
	default:
		return logins_factor_message(end->bench->logins, msg);
	}
}

static int on_edge(struct ipc_chan *chan, const struct ipc_hdr *msg, int *fds, void *arg) {
	struct far_end *end = arg;
	struct bench *bench = end->bench;

	assert_int_equal(msg->type, IPC_LOGIN_RESULT);
	bench->result = *(const struct ipc_login_result *)msg;
	bench->result_edge = end->index;
	bench->nb_results++;
	return 0;
}

static int on_session(struct ipc_chan *chan, const struct ipc_hdr *msg, int *fds, void *arg) {
	struct bench *bench = ((struct far_end *)arg)->bench;
	struct ipc_session_created done = {.hdr.req = msg->req};

	if (msg->type == IPC_OTP_ASK) {
		otp_store_ask(bench->otp, (const struct ipc_otp_ask *)msg);
		return 0;
	}
	if (msg->type == IPC_WRONG_PASSWORD) {
		bench->nb_wrong++;
		bench->wrong_remote = ((const struct ipc_wrong_password *)msg)->remote;
		return 0;
	}
	if (msg->type == IPC_SESSION_CONNECT) {
		bench->connect = *(const struct ipc_connect *)msg;
		bench->nb_connects++;
		return 0;
	}
	if (msg->type == IPC_USERS_CHANGED) {
		bench->nb_changed++;
		return 0;
	}
	if (msg->type == IPC_USERS_ANSWER) {
		bench->gone = ((const struct ipc_users_answer *)msg)->gone;
		return 0;
	}
	assert_int_equal(msg->type, IPC_SESSION_NEW);
	bench->created = *(const struct ipc_session_new *)msg;
	bench->nb_created++;
	if (bench->session_answers)
		ipc_send(chan, IPC_SESSION_CREATED, &done.hdr, sizeof(done), NULL, 0);
	return 0;
}

static void on_otp(struct ipc_otp_answer *msg, void *arg) {
	struct bench *bench = arg;

	unsigned number = bench->nb_otp++;

	if (number < 32 && (bench->otp_lost >> number & 1) != 0)
		return;
	ipc_send(bench->session.far, IPC_OTP_ANSWER, &msg->hdr, sizeof(*msg), NULL, 0);
}

static void on_closed(struct ipc_chan *chan, const char *offence, void *arg) {
	struct far_end *end = arg;

	if (end->far == NULL) { // session_die()
		ipc_chan_free(chan);
		end->near = NULL;
		return;
	}
	fail_msg("a channel closed: %s", offence != NULL ? offence : "end of file");
}

static void connect_end(struct bench *bench, struct far_end *end, enum ipc_role role,
	unsigned index, ipc_handler handler) {
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	end->bench = bench;
	end->index = index;
	end->near = ipc_chan_new(
		bench->base, pair[0], IPC_AUTH, role, index, on_near, on_closed, end);
	end->far = ipc_chan_new(bench->base, pair[1], role, IPC_AUTH, 0, handler, on_closed, end);
}

static void disconnect_end(struct far_end *end) {
	ipc_chan_free(end->near);
	ipc_chan_free(end->far);
	end->near = end->far = NULL;
}

void edge_restart(struct bench *bench, unsigned edge) {
	disconnect_end(&bench->edges[edge]);
	logins_edge_down(bench->logins, edge);
	connect_end(bench, &bench->edges[edge], IPC_EDGE, edge, on_edge);
}

void session_die(struct bench *bench) {
	ipc_chan_free(bench->session.far);
	bench->session.far = NULL;
}

void session_end(struct bench *bench) {
	disconnect_end(&bench->session);
}

void session_begin(struct bench *bench) {
	connect_end(bench, &bench->session, IPC_SESSION, 0, on_session);
	logins_session_up(bench->logins);
}

// --- life ---

static void on_secret_ready(struct child *c) {
}

void auth_restart_early(struct bench *bench) {
	logins_free(bench->logins);
	assert_int_equal(logins_start(&child, on_secret_ready, &bench->logins), 0);
}

void auth_restart(struct bench *bench) {
	auth_restart_early(bench);
	spin(bench);
}

void otp_restart(struct bench *bench) {
	otp_store_close(bench->otp);
	bench->otp = otp_store_open(bench->dir_fd, NULL);
	assert_int_equal(otp_store_start(bench->otp, bench->base, on_otp, bench), 0);
}

void file_put(struct bench *bench, const char *name, const char *text) {
	int fd = openat(bench->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

int bench_setup(void **state) {
	struct bench *bench = calloc(1, sizeof(*bench));

	strcpy(bench->dir, "/tmp/login-XXXXXX");
	assert_non_null(mkdtemp(bench->dir));
	bench->dir_fd = open(bench->dir, O_RDONLY | O_DIRECTORY);
	file_put(bench, "cookie.key", "12345678901234567890123456789012");
	bench->cfg.auth.password_tries = 3;
	bench->cfg.auth.timeout = 60;
	bench->cfg.auth.default_group = (char *)(uintptr_t) "";
	bench->base = event_base_new();
	child.bench = bench;
	memset(&riddle, 0, sizeof(riddle));
	bench->session_answers = true;
	for (unsigned i = 0; i < EDGES; i++)
		connect_end(bench, &bench->edges[i], IPC_EDGE, i, on_edge);
	connect_end(bench, &bench->session, IPC_SESSION, 0, on_session);
	otp_restart(bench);
	auth_restart(bench);
	*state = bench;
	return 0;
}

int bench_teardown(void **state) {
	static const char *const names[] = {
		"passwd", "tokens", "cookie.key", OTP_STORE_FILE, OTP_STORE_FILE "-lock"};
	struct bench *bench = *state;

	logins_free(bench->logins);
	assert_int_equal(riddle.nb_open, 0);
	for (unsigned i = 0; i < EDGES; i++)
		disconnect_end(&bench->edges[i]);
	disconnect_end(&bench->session);
	otp_store_close(bench->otp);
	event_base_free(bench->base);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(bench->dir_fd, names[i], 0);
	close(bench->dir_fd);
	rmdir(bench->dir);
	free(bench->cfg.auth.alternatives);
	free(bench);
	return 0;
}

void way_add(struct bench *bench, ...) {
	struct cfg_auth *auth = &bench->cfg.auth;
	struct cfg_alternative *way;
	enum cfg_factor id;
	va_list ap;

	auth->alternatives = reallocarray(
		auth->alternatives, auth->nb_alternatives + 1, sizeof(*auth->alternatives));
	way = &auth->alternatives[auth->nb_alternatives++];
	memset(way, 0, sizeof(*way));
	va_start(ap, bench);
	while ((id = va_arg(ap, enum cfg_factor)) != 0)
		way->factors[way->nb_factors++] = id;
	va_end(ap);
}

// --- requests ---

void spin(struct bench *bench) {
	for (int i = 0; i < 16; i++)
		event_base_loop(bench->base, EVLOOP_NONBLOCK);
}

void reply(struct bench *bench, unsigned edge, uint8_t address, const uint8_t *transaction,
	const char *user, const char *password, bool wait) {
	struct ipc_login msg = {.hdr.req = ++bench->req,
		.remote.bytes = {[10] = 0xff, [11] = 0xff, [15] = address}};
	unsigned before = bench->nb_results;

	if (transaction != NULL)
		memcpy(msg.transaction, transaction, sizeof(msg.transaction));
	snprintf(msg.username, sizeof(msg.username), "%s", user);
	snprintf(msg.password, sizeof(msg.password), "%s", password);
	ipc_send(bench->edges[edge].far, IPC_LOGIN, &msg.hdr, sizeof(msg), NULL, 0);
	while (wait && bench->nb_results == before)
		event_base_loop(bench->base, EVLOOP_ONCE);
	if (!wait)
		return;
	assert_int_equal(bench->nb_results, before + 1);
	assert_int_equal(bench->result.hdr.req, bench->req);
	assert_int_equal(bench->result_edge, edge);
}

void first(struct bench *bench, const char *user, const char *password) {
	reply(bench, 0, 1, NULL, user, password, true);
}

void answer(struct bench *bench, const char *text) {
	uint8_t transaction[IPC_TRANSACTION_LEN];

	memcpy(transaction, bench->result.transaction, sizeof(transaction));
	reply(bench, 0, 1, transaction, "", text, true);
}

void again(struct bench *bench, const char *user, const char *password) {
	uint8_t transaction[IPC_TRANSACTION_LEN];

	memcpy(transaction, bench->result.transaction, sizeof(transaction));
	reply(bench, 0, 1, transaction, user, password, true);
}

void is_status(struct bench *bench, enum ipc_login_status status) {
	static const uint8_t none[IPC_COOKIE_LEN];

	assert_int_equal(bench->result.status, status);
	if (status != IPC_LOGIN_OK)
		assert_memory_equal(bench->result.cookie, none, sizeof(none));
	if (status != IPC_LOGIN_FORM)
		assert_memory_equal(bench->result.transaction, none, IPC_TRANSACTION_LEN);
}

void is_ok(struct bench *bench) {
	static const uint8_t none[IPC_COOKIE_LEN];

	is_status(bench, IPC_LOGIN_OK);
	assert_memory_not_equal(bench->result.cookie, none, sizeof(none));
}

void is_form(struct bench *bench, enum ipc_form form) {
	is_status(bench, IPC_LOGIN_FORM);
	assert_int_equal(bench->result.form, form);
}
