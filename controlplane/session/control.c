// SPDX-License-Identifier: GPL-3.0-or-later
// The CLI's server: one JSON object a line in, one a line out, over a UNIX stream socket.
//
//   {"command": "show-sessions", "args": {...}}
//   {"status": 0, "result": ...} or {"status": ERRNO, "error": "text"}
//
// Who may connect is decided by the socket's mode. Requests are bounded; long answers are made
// piece by piece as the reader takes them, so that neither a large table nor a slow reader holds
// up the session process. Requests of one client are answered one after the other.

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/control.h"

#define CLIENTS_MAX 16u
#define REQUEST_MAX 65536u // bytes of one line
#define OUTPUT_HIGH 262144u // bytes that may wait for a reader before the next piece is made
#define OUTPUT_LOW 65536u
#define PIECE_IDS 65536u // session ids that one piece looks at
#define PIECE_LEASES 4096u
#define IDLE_S 120 // without a request
#define WRITE_S 30 // without progress of an answer

struct client {
	struct client *next;
	struct bufferevent *bev;
	uid_t uid;
	// The answer under way: makes another piece; returns false at the end. NULL: none.
	bool (*more)(struct client *client);
	uint32_t cursor; // of `more`
	bool first; // no entry was written yet
	bool waiting; // for the supervisor
	bool closing; // once everything is written
	bool eof; // the client sends no more
	char *user; // show-session by name, else NULL
	bool all; // show-bans: those who only have points, too
};

static struct {
	struct session_mgr *mgr;
	struct event_base *base;
	struct event *accept;
	struct client *clients;
	unsigned nb_clients;
	struct client *reload; // who waits for it; NULL: gone
} server;

// ---- clients

static void client_free(struct client *client) {
	struct client **link = &server.clients;
	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	server.nb_clients--;
	if (server.reload == client)
		server.reload = NULL;
	bufferevent_free(client->bev); // and its socket
	free(client->user);
	free(client);
}

static struct evbuffer *output(struct client *client) {
	return bufferevent_get_output(client->bev);
}

static void write_text(struct client *client, const char *text) {
	evbuffer_add(output(client), text, strlen(text));
}

static bool write_json(struct client *client, const json_t *json) {
	char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
	if (text == NULL)
		return false;
	write_text(client, text);
	free(text);
	return true;
}

// Takes over `json`.
static void answer_object(struct client *client, json_t *json) {
	if (!write_json(client, json))
		write_text(client, "{\"status\":12,\"error\":\"the answer cannot be made\"}");
	write_text(client, "\n");
	json_decref(json);
}

static void answer_error(struct client *client, int status, const char *text) {
	answer_object(client,
		json_pack("{s:i, s:s}", "status", status < 0 ? -status : status, "error", text));
}

static void answer_no_user(struct client *client, const char *user) {
	char text[IPC_USER_LEN + 64];
	snprintf(text, sizeof(text), "user %.*s has no session", (int)IPC_USER_LEN, user);
	answer_error(client, ENOENT, text);
}

// Takes over `result`; NULL: no memory.
static void answer(struct client *client, json_t *result) {
	if (result == NULL)
		answer_error(client, ENOMEM, "out of memory");
	else
		answer_object(client, json_pack("{s:i, s:o}", "status", 0, "result", result));
}

static void answer_text(struct client *client, int status, const char *text) {
	if (status != 0)
		answer_error(client, status, text);
	else
		answer(client, json_pack("{s:s}", "text", text));
}

// ---- lists, piece by piece

static void list_entry(struct client *client, json_t *entry) {
	if (entry == NULL)
		return; // no memory for this one
	if (!client->first)
		write_text(client, ",");
	client->first = false;
	write_json(client, entry);
	json_decref(entry);
}

static void list_start(struct client *client, bool (*more)(struct client *client)) {
	write_text(client, "{\"status\":0,\"result\":[");
	client->more = more;
	client->cursor = 0;
	client->first = true;
}

static bool output_full(struct client *client) {
	return evbuffer_get_length(output(client)) >= OUTPUT_HIGH;
}

static bool more_sessions(struct client *client) {
	uint64_t now = clock_s();
	struct session_info info;
	for (uint32_t n = 0; n < PIECE_IDS && !output_full(client); n++, client->cursor++) {
		if (client->cursor >= ABI_SESSIONS_MAX)
			return false;
		if (session_info_get(server.mgr, client->cursor, &info) != 0)
			continue;
		if (client->user == NULL || strcmp(client->user, info.user) == 0)
			list_entry(client, show_session(&info, now));
	}
	return true;
}

struct lease_piece {
	struct client *client;
	uint32_t seen, shown;
};

static int one_lease(const struct lease_info *info, void *arg) {
	struct lease_piece *piece = arg;
	if (piece->seen++ < piece->client->cursor)
		return 0;
	if (piece->shown == PIECE_LEASES || output_full(piece->client))
		return 1;
	piece->shown++;
	piece->client->cursor++;
	list_entry(piece->client, show_lease(info));
	return 0;
}

// A lease that changes between two pieces may be shown twice or not at all.
static bool more_leases(struct client *client) {
	struct lease_piece piece = {client, 0, 0};
	return lease_info_each(server.mgr, one_lease, &piece) != 0;
}

static int one_ban(const struct ban_info *info, void *arg) {
	struct client *client = arg;

	if (output_full(client))
		return 1;
	client->cursor++;
	list_entry(client, show_ban(session_bans(server.mgr), info, clock_s()));
	return 0;
}

// A ban that ends between two pieces leaves the next one out.
static bool more_bans(struct client *client) {
	return bans_each(session_bans(server.mgr), client->all, client->cursor, clock_s(), one_ban,
		       client) != 0;
}

static void list_end(struct client *client) {
	write_text(client, "]}\n");
	client->more = NULL;
	free(client->user);
	client->user = NULL;
}

// ---- commands

struct command {
	const char *name;
	void (*run)(struct client *client, const json_t *args);
};

static void do_sessions(struct client *client, const json_t *args) {
	list_start(client, more_sessions);
}

// By id, or all sessions of a user.
static void do_session(struct client *client, const json_t *args) {
	const json_t *id = json_object_get(args, "id");
	const char *user = json_string_value(json_object_get(args, "user"));
	struct session_info info;
	if (json_is_integer(id)) {
		json_int_t n = json_integer_value(id);
		if (n < 0 || n >= ABI_SESSIONS_MAX ||
			session_info_get(server.mgr, (uint32_t)n, &info) != 0)
			answer_error(client, ENOENT, "there is no session with this id");
		else
			answer(client, json_pack("[o]", show_session(&info, clock_s())));
		return;
	}
	if (user == NULL) {
		answer_error(client, EINVAL, "expected \"id\" or \"user\"");
		return;
	}
	client->user = strdup(user);
	if (client->user == NULL)
		answer_error(client, ENOMEM, "out of memory");
	else
		list_start(client, more_sessions);
}

static void do_leases(struct client *client, const json_t *args) {
	list_start(client, more_leases);
}

static void do_bans(struct client *client, const json_t *args) {
	client->all = json_is_true(json_object_get(args, "all"));
	list_start(client, more_bans);
}

// False: neither of both families.
static bool addr_parse(const char *text, struct abi_addr *addr) {
	*addr = (struct abi_addr){.bytes = {[10] = 0xff, [11] = 0xff}};
	return inet_pton(AF_INET, text, addr->bytes + 12) == 1 ||
		inet_pton(AF_INET6, text, addr->bytes) == 1;
}

static void do_unban(struct client *client, const json_t *args) {
	const char *text = json_string_value(json_object_get(args, "address"));
	struct bans *bans = session_bans(server.mgr);
	struct abi_addr addr;
	uint32_t n;

	if (json_is_true(json_object_get(args, "all"))) {
		n = bans_lift_all(bans, clock_s());
		log_info("unban", "by_uid=%u address=all bans=%u", (unsigned)client->uid, n);
		answer(client, json_pack("{s:i}", "bans", (int)n));
	} else if (text == NULL || !addr_parse(text, &addr)) {
		answer_error(client, EINVAL,
			"expected \"address\", an IPv4 or IPv6 address, or \"all\"");
	} else if (!bans_lift(bans, &addr, clock_s())) {
		answer_error(client, ENOENT, "this address is not banned");
	} else {
		log_info("unban", "by_uid=%u address=%s", (unsigned)client->uid, log_value(text));
		answer(client, json_pack("{s:i}", "bans", 1));
	}
}

static void do_pools(struct client *client, const json_t *args) {
	answer(client, show_pools(server.mgr));
}

static void do_radius(struct client *client, const json_t *args) {
	answer(client, show_radius(server.mgr));
}

static void answer_stats(struct client *client, json_t *(*show)(const struct abi_stats *stats)) {
	const struct abi_stats *stats = session_stats(server.mgr);
	if (stats == NULL)
		answer_error(client, ENOTCONN, "the dataplane is not attached");
	else
		answer(client, show(stats));
}

static void do_interfaces(struct client *client, const json_t *args) {
	answer_stats(client, show_interfaces);
}

static void do_counters(struct client *client, const json_t *args) {
	answer_stats(client, show_counters);
}

static void do_workers(struct client *client, const json_t *args) {
	answer_stats(client, show_workers);
}

static void do_version(struct client *client, const json_t *args) {
	answer(client, show_version(session_stats(server.mgr)));
}

static void do_status(struct client *client, const json_t *args) {
	answer(client,
		json_pack("{s:o, s:o, s:o}", "version", show_version(session_stats(server.mgr)),
			"sessions", show_totals(server.mgr), "pools", show_pools(server.mgr)));
}

static void do_disconnect(struct client *client, const json_t *args) {
	const json_t *id = json_object_get(args, "id");
	const char *user = json_string_value(json_object_get(args, "user"));
	unsigned n = 0;
	if (json_is_integer(id)) {
		json_int_t value = json_integer_value(id);
		n = value >= 0 && value < ABI_SESSIONS_MAX &&
			session_disconnect_id(server.mgr, (uint32_t)value) == 0;
		log_info("disconnect", "by_uid=%u id=%lld sessions=%u", (unsigned)client->uid,
			(long long)value, n);
	} else if (user != NULL) {
		n = session_disconnect_user(server.mgr, user);
		log_info("disconnect", "by_uid=%u user=%s sessions=%u", (unsigned)client->uid,
			log_value(user), n);
	} else {
		answer_error(client, EINVAL, "expected \"id\" or \"user\"");
		return;
	}
	if (n == 0 && user != NULL)
		answer_no_user(client, user);
	else if (n == 0)
		answer_error(client, ENOENT, "there is no session with this id");
	else
		answer(client, json_pack("{s:i}", "sessions", (int)n));
}

static void client_run(struct client *client);

static void on_reloaded(int status, const char *text, void *arg) {
	struct client *client = server.reload;
	server.reload = NULL;
	if (client == NULL)
		return;
	client->waiting = false;
	answer_text(client, status, text);
	client_run(client);
}

static void do_reload(struct client *client, const json_t *args) {
	int status = session_reload_request(server.mgr, on_reloaded, NULL);
	log_info("reload_asked", "by_uid=%u status=%d", (unsigned)client->uid, status);
	if (status == -EBUSY) {
		answer_error(client, status, "another reload is going on");
	} else if (status != 0) {
		answer_error(client, status, "the supervisor cannot be asked");
	} else {
		server.reload = client;
		client->waiting = true;
	}
}

#define MAINTAIN_MAX 604800 // a week

static void maintain(
	struct client *client, const json_t *args, const char *what, bool draining, bool stop) {
	json_int_t timeout = json_integer_value(json_object_get(args, "timeout"));
	struct session_totals totals;
	if (timeout < 0 || timeout > MAINTAIN_MAX) {
		answer_error(client, EINVAL, "the timeout is not 0..604800 seconds");
		return;
	}
	int status = session_maintain_request(server.mgr, draining, stop, (uint32_t)timeout);
	log_info("maintenance_asked", "by_uid=%u what=%s timeout=%u status=%d",
		(unsigned)client->uid, what, (unsigned)timeout, status);
	session_totals(server.mgr, &totals);
	if (status != 0)
		answer_error(client, status, "the supervisor cannot be asked");
	else
		answer(client,
			json_pack("{s:i}", "sessions",
				(int)(totals.authenticated + totals.connected +
					totals.disconnected)));
}

static void do_drain(struct client *client, const json_t *args) {
	maintain(client, args, "drain", true, false);
}

static void do_undrain(struct client *client, const json_t *args) {
	maintain(client, NULL, "undrain", false, false);
}

static void do_stop(struct client *client, const json_t *args) {
	bool drain = json_is_true(json_object_get(args, "drain"));
	maintain(client, args, drain ? "drain-and-stop" : "stop", drain, true);
}

static const struct command commands[] = {
	{"show-sessions", do_sessions},
	{"show-session", do_session},
	{"show-interfaces", do_interfaces},
	{"show-counters", do_counters},
	{"show-workers", do_workers},
	{"show-leases", do_leases},
	{"show-bans", do_bans},
	{"show-pools", do_pools},
	{"show-radius", do_radius},
	{"show-version", do_version},
	{"show-status", do_status},
	{"disconnect", do_disconnect},
	{"unban", do_unban},
	{"reload", do_reload},
	{"drain", do_drain},
	{"undrain", do_undrain},
	{"stop", do_stop},
};

static void request(struct client *client, const char *line, size_t len) {
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(json, "command"));
	const json_t *args = json_object_get(json, "args");
	size_t i = 0, n = sizeof(commands) / sizeof(commands[0]);
	if (name == NULL || (args != NULL && !json_is_object(args))) {
		answer_error(client, EINVAL, "expected {\"command\": NAME, \"args\": {...}}");
	} else {
		while (i < n && strcmp(commands[i].name, name) != 0)
			i++;
		if (i == n)
			answer_error(client, ENOSYS, "unknown command");
		else
			commands[i].run(client, args);
	}
	json_decref(json);
}

// ---- the event loop

// One more piece of an answer, or the next request, while the reader keeps up.
static bool client_step(struct client *client) {
	struct evbuffer *in = bufferevent_get_input(client->bev);
	size_t len;
	if (client->more != NULL) {
		if (!client->more(client))
			list_end(client);
		return true;
	}
	char *line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
	if (line == NULL) {
		if (evbuffer_get_length(in) >= REQUEST_MAX) {
			evbuffer_drain(in, evbuffer_get_length(in));
			answer_error(client, EMSGSIZE, "the request is too long");
			client->closing = true;
		}
		return false;
	}
	if (len > 0)
		request(client, line, len);
	free(line);
	return true;
}

// May free the client. One piece a turn of the loop: other work of the process comes between.
static void client_run(struct client *client) {
	bool again = false;
	if (!client->closing && !client->waiting && !output_full(client))
		again = client_step(client);
	bool unsent = evbuffer_get_length(output(client)) > 0;
	bool busy = client->waiting || client->more != NULL || unsent;
	if (!busy && !again && (client->closing || client->eof)) {
		client_free(client);
		return;
	}
	// The time for a request runs only while one is awaited.
	if (busy || client->closing || client->eof)
		bufferevent_disable(client->bev, EV_READ);
	else
		bufferevent_enable(client->bev, EV_READ);
	if (again && !client->waiting)
		bufferevent_trigger(client->bev, EV_WRITE,
			BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static void on_ready(struct bufferevent *bev, void *arg) {
	client_run(arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
	struct client *client = arg;
	// A half-closed client (printf | nc) still gets its answer.
	if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING)) {
		client->eof = true;
		client_run(client);
	} else {
		client_free(client);
	}
}

static void refuse(int fd, const char *text) {
	char line[128];
	int len = snprintf(line, sizeof(line), "{\"status\":%d,\"error\":\"%s\"}\n", EBUSY, text);
	if (send(fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control_refused", "errno=%d", errno);
	close(fd);
}

static void client_new(int fd) {
	const struct timeval idle = {.tv_sec = IDLE_S}, progress = {.tv_sec = WRITE_S};
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof(peer);
	struct client *client = calloc(1, sizeof(*client));
	struct bufferevent *bev = client != NULL
		? bufferevent_socket_new(server.base, fd, BEV_OPT_CLOSE_ON_FREE)
		: NULL;
	if (bev == NULL) {
		free(client);
		close(fd);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		client->uid = peer.uid;
	client->bev = bev;
	client->next = server.clients;
	server.clients = client;
	server.nb_clients++;
	bufferevent_setcb(bev, on_ready, on_ready, on_event, client);
	bufferevent_setwatermark(bev, EV_READ, 0, REQUEST_MAX);
	bufferevent_setwatermark(bev, EV_WRITE, OUTPUT_LOW, 0);
	bufferevent_set_timeouts(bev, &idle, &progress);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void on_accept(evutil_socket_t sock, short what, void *arg) {
	int fd = accept4((int)sock, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (server.nb_clients == CLIENTS_MAX)
		refuse(fd, "too many connections to the control socket");
	else
		client_new(fd);
}

int control_listen(struct session_mgr *mgr, struct event_base *base, int fd) {
	if (server.accept != NULL)
		control_close();
	server.mgr = mgr;
	server.base = base;
	evutil_make_socket_nonblocking(fd);
	server.accept = event_new(base, fd, EV_READ | EV_PERSIST, on_accept, NULL);
	if (server.accept == NULL || event_add(server.accept, NULL) < 0) {
		if (server.accept != NULL)
			event_free(server.accept);
		server.accept = NULL;
		close(fd);
		return -ENOMEM;
	}
	return 0;
}

void control_close(void) {
	while (server.clients != NULL)
		client_free(server.clients);
	if (server.accept != NULL) {
		close(event_get_fd(server.accept));
		event_free(server.accept);
	}
	server.accept = NULL;
}
