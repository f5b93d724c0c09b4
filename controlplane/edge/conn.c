// SPDX-License-Identifier: GPL-3.0-or-later
// TCP connections of the edge: listeners, accept, events, clocks, end; called by edge.c.

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "conn_int.h"
#include "controlplane/ipc/addr.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "guard.h"

#define ACCEPTS_A_WAKEUP 16
#define SOURCES 4096u
#define SOURCE_UNKNOWN SOURCES // behind a proxy that has not said yet; bounded by its clock alone
#define UNTRUSTED_SAID_S 10 // one line in so many seconds
#define SOURCE_MIN 64u // connections that one address may always have
#define SOURCE_SMALL 8u // as many are left alone once they have asked something
#define FULL_MS 5 // a full edge lets others accept for so long
#define ACCEPTS_FULL 32
#define NOTHING_ASKED 65536u // more than any source has
#define AUTH_TIMEOUT_S 240 // when the configuration sets none
#define END_MS 20 // between looks whether a spent process may end
#define END_DTLS_MS 3000 // handshakes that still go on then break
#define LINGER_S 2
#define LINGER_BYTES_MAX (64 * 1024)

struct listener {
	struct listener *next;
	struct edge_conns *owner;
	unsigned index;
	int fd;
	struct event *event;
	struct listener_proxies proxies;
};

static void listeners_update(struct edge_conns *conns);

// --- clocks ---

static void timespec_in(struct timespec *ts, unsigned seconds) {
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += seconds;
}

static bool before(const struct timespec *a, const struct timespec *b) {
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

// The timer stands at the earlier of the two deadlines.
static void timer_set(struct conn *conn) {
	const struct timespec *deadline = &conn->auth_deadline;
	struct timespec now;
	struct timeval wait;

	if (conn->step_deadline.tv_sec != 0 && before(&conn->step_deadline, deadline))
		deadline = &conn->step_deadline;
	clock_gettime(CLOCK_MONOTONIC, &now);
	wait.tv_sec = deadline->tv_sec - now.tv_sec;
	wait.tv_usec = (deadline->tv_nsec - now.tv_nsec) / 1000;
	if (wait.tv_usec < 0) {
		wait.tv_sec--;
		wait.tv_usec += 1000000;
	}
	if (wait.tv_sec < 0)
		wait = (struct timeval){0};
	evtimer_add(conn->timer, &wait);
}

void conn_step_within(struct conn *conn, unsigned seconds) {
	if (seconds == 0)
		conn->step_deadline = (struct timespec){0};
	else
		timespec_in(&conn->step_deadline, seconds);
	timer_set(conn);
}

static void on_timer(int fd, short what, void *arg) {
	conn_timeout(arg);
}

// --- events ---

static void on_linger(struct conn *conn) {
	uint8_t data[4096];
	ssize_t n, total = 0;

	while (total < LINGER_BYTES_MAX) {
		n = recv(conn->fd, data, sizeof(data), 0);
		if (n < 0 && errno == EAGAIN) {
			conn_wait(conn, CONN_LINGER, EV_READ);
			return;
		}
		if (n <= 0)
			break;
		total += n;
	}
	conn_close(conn, NULL);
}

static void on_event(int fd, short what, void *arg) {
	struct conn *conn = arg;

	switch (conn->state) {
	case CONN_PROXY:
		conn_proxy(conn);
		break;
	case CONN_HELLO:
		conn_hello(conn);
		break;
	case CONN_HANDSHAKE:
		conn_handshake(conn);
		break;
	case CONN_READ:
		conn_read(conn);
		break;
	case CONN_WRITE:
		conn_write(conn);
		break;
	case CONN_LINGER:
		on_linger(conn);
		break;
	case CONN_SIGN:
	case CONN_ASK:
		event_del(conn->event); // its turn comes later
		conn->waiting = 0;
		break;
	}
}

// The event stays with the kernel as it is until another one is wanted: clients hardly ever send
// while they are to wait, and each change is a system call.
void conn_wait(struct conn *conn, enum conn_state state, short what) {
	conn->state = state;
	if (what == 0 || conn->waiting == what)
		return;
	if (conn->waiting != 0)
		event_del(conn->event);
	conn->waiting = what;
	event_assign(conn->event, child_base(conn->owner->child), conn->fd, what | EV_PERSIST,
		on_event, conn);
	if (event_add(conn->event, NULL) != 0)
		conn_step_within(conn, 1); // no memory: the timer closes it
}

// The kernel wakes us when so many bytes are there; a few wake-ups before that may happen.
void conn_wait_bytes(struct conn *conn, enum conn_state state, size_t bytes) {
	int want = (int)bytes;

	setsockopt(conn->fd, SOL_SOCKET, SO_RCVLOWAT, &want, sizeof(want));
	conn_wait(conn, state, EV_READ);
}

// --- end ---

static void conn_free(struct conn *conn) {
	struct edge_conns *conns = conn->owner;

	if (!conn->innocent)
		edge_guard_fruitless(conns->child, &conn->remote);
	conn_handshake_abort(conn);
	conn_answered(conn);
	LIST_REMOVE(conn, link);
	conns->slots[conn->slot] = NULL;
	conns->nb_conns--;
	conns->sources[conn->source]--;
	if (conn->event != NULL)
		event_free(conn->event);
	if (conn->timer != NULL)
		event_free(conn->timer);
	if (conn->ssl != NULL)
		wolfSSL_free(conn->ssl); // wipes its keys
	wolfSSL_ERR_clear_error(); // the library's list of errors is no use to the next one
	tls_peer_chain_free(&conn->chain);
	tls_cert_unref(conn->cert);
	http_reader_free(conn->reader);
	buf_reset(&conn->rest);
	buf_reset(&conn->out);
	buf_reset(&conn->portal.token);
	close(conn->fd);
	explicit_bzero(conn, sizeof(*conn));
	free(conn);
	listeners_update(conns);
}

void conn_close(struct conn *conn, const char *why) {
	if (why != NULL)
		log_debug("closed", "remote=%s why=%s", conn->remote_text, log_value(why));
	conn_free(conn);
}

void conn_handed_over(struct conn *conn) {
	conn->innocent = true;
	conn_free(conn);
}

// close() with bytes unread would reset the connection and with it our last words.
void conn_linger(struct conn *conn) {
	if (shutdown(conn->fd, SHUT_WR) != 0) {
		conn_close(conn, NULL);
		return;
	}
	timespec_in(&conn->auth_deadline, LINGER_S);
	conn_step_within(conn, 0);
	conn_wait(conn, CONN_LINGER, EV_READ);
}

// --- begin ---

static void addr_set(struct abi_addr *addr, uint16_t *port, const struct sockaddr_storage *ss) {
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)ss;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss;

	memset(addr, 0, sizeof(*addr));
	*port = 0;
	if (ss->ss_family == AF_INET6) {
		memcpy(addr->bytes, &v6->sin6_addr, 16);
		*port = ntohs(v6->sin6_port);
	} else if (ss->ss_family == AF_INET) {
		addr->bytes[10] = addr->bytes[11] = 0xff;
		memcpy(addr->bytes + 12, &v4->sin_addr, 4);
		*port = ntohs(v4->sin_port);
	}
}

static void remote_text_set(struct conn *conn) {
	bool is4 = abi_addr_is4(&conn->remote);
	char text[ADDR_TEXT_LEN];

	snprintf(conn->remote_text, sizeof(conn->remote_text), "%s%s%s:%u", is4 ? "" : "[",
		addr_text(&conn->remote, text), is4 ? "" : "]", conn->remote_port);
}

// One household or host is one source: an IPv4 address, an IPv6 /64. Mixed with a random key, so
// that nobody can choose whose bucket he shares.
static uint16_t source_of(const struct edge_conns *conns, const struct abi_addr *addr) {
	const uint8_t *bytes = abi_addr_is4(addr) ? addr->bytes + 8 : addr->bytes;
	uint64_t v;

	memcpy(&v, bytes, sizeof(v));
	v ^= conns->source_key;
	v *= 0x9e3779b97f4a7c15u;
	v ^= v >> 32;
	v *= 0xd6e8feb86659fd93u;
	return (uint16_t)(v >> 52) % SOURCES;
}

static unsigned source_max(const struct edge_conns *conns) {
	unsigned quarter = child_cfg(conns->child)->connections_per_edge / 4;

	return quarter > SOURCE_MIN ? quarter : SOURCE_MIN;
}

static int slot_find(struct edge_conns *conns) {
	static uint32_t from; // spreads: a slot rests before it is used again

	for (uint32_t i = 0; i < conns->nb_slots; i++) {
		uint32_t slot = (from + i) % conns->nb_slots;

		if (conns->slots[slot] == NULL) {
			from = slot + 1;
			return (int)slot;
		}
	}
	return -1;
}

static int conn_events(struct conn *conn) {
	const struct cfg *cfg = child_cfg(conn->owner->child);

	conn->event = event_new(child_base(conn->owner->child), conn->fd, EV_READ, on_event, conn);
	conn->timer = evtimer_new(child_base(conn->owner->child), on_timer, conn);
	if (conn->event == NULL || conn->timer == NULL)
		return -ENOMEM;
	timespec_in(&conn->auth_deadline, cfg->auth.timeout ? cfg->auth.timeout : AUTH_TIMEOUT_S);
	return 0;
}

// Without a word to him and without TIME_WAIT for us.
static void reset(int fd) {
	const struct linger at_once = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

// Whoever may not name addresses may not come in here at all. In a flood of them one line says how
// many.
static void refuse_untrusted(struct edge_conns *conns, const struct abi_addr *addr) {
	char text[ADDR_TEXT_LEN];
	uint64_t now_s = clock_s();

	conns->counters.refused_proxy++;
	edge_guard_fruitless(conns->child, addr);
	if (now_s < conns->untrusted_said_s + UNTRUSTED_SAID_S)
		return;
	conns->untrusted_said_s = now_s;
	log_warning("proxy_refused", "proxy=%s why=\"not a trusted-proxy\" refused=%lu",
		addr_text(addr, text), conns->counters.refused_proxy);
}

// At accept, before anything is spent.
static bool is_refused(struct edge_conns *conns, const struct listener_proxies *proxies,
	const struct abi_addr *addr) {
	if (proxies->required && listener_proxies_trust(proxies, addr))
		return false; // what matters is for whom it connects
	if (edge_guard_refuses(conns->child, addr)) {
		conns->counters.refused_banned++;
		return true;
	}
	if (proxies->required)
		refuse_untrusted(conns, addr);
	return proxies->required;
}

// Takes the socket over. NULL: it is closed.
static struct conn *conn_make(struct edge_conns *conns, int fd) {
	struct sockaddr_storage local = {0};
	socklen_t len = sizeof(local);
	struct conn *conn = calloc(1, sizeof(*conn));
	int slot = slot_find(conns);
	const int on = 1;

	if (conn == NULL || slot < 0 || getsockname(fd, (struct sockaddr *)&local, &len) != 0) {
		free(conn);
		close(fd);
		return NULL;
	}
	conn->owner = conns;
	conn->fd = fd;
	conn->slot = (uint32_t)slot;
	conn->source = SOURCE_UNKNOWN;
	conns->taken++;
	addr_set(&conn->local, &conn->local_port, &local);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conns->sources[conn->source]++;
	conns->slots[slot] = conn;
	conns->nb_conns++;
	LIST_INSERT_HEAD(&conns->list, conn, link);
	return conn;
}

void conn_admit(struct conn *conn, const struct abi_addr *remote, uint16_t port) {
	struct edge_conns *conns = conn->owner;
	uint16_t source = source_of(conns, remote);

	conn->remote = *remote;
	conn->remote_port = port;
	remote_text_set(conn);
	if (conn->proxied && edge_guard_refuses(conns->child, remote)) {
		conns->counters.refused_banned++;
		conn->innocent = true; // counted as refused
		conns->taken--;
		reset(conn->fd);
		conn_close(conn, "banned");
		return;
	}
	if (conns->sources[source] >= source_max(conns)) {
		conns->counters.refused_source++;
		conn->innocent = true; // for the moment, not for what it did
		conns->taken--;
		conn_close(conn, "too many of this source");
		return;
	}
	conn->number = ++conns->counters.accepted;
	conns->sources[conn->source]--;
	conns->sources[source]++;
	conn->source = source;
	conn_hello(conn);
}

// Takes the socket over.
static void conn_new(
	const struct listener *listener, int fd, const struct sockaddr_storage *remote) {
	struct edge_conns *conns = listener->owner;
	struct abi_addr addr;
	struct conn *conn;
	uint16_t port;

	addr_set(&addr, &port, remote);
	if (is_refused(conns, &listener->proxies, &addr)) {
		reset(fd);
		close(fd);
		return;
	}
	conn = conn_make(conns, fd);
	if (conn == NULL)
		return;
	if (conn_events(conn) != 0) {
		conn_close(conn, "no memory");
		return;
	}
	conn_step_within(conn, child_cfg(conns->child)->auth.header_timeout);
	if (!listener->proxies.required) {
		conn_admit(conn, &addr, port);
		return;
	}
	conn->peer = conn->remote = addr; // for the text alone
	conn->remote_port = port;
	remote_text_set(conn);
	conn->innocent = true; // the proxy is
	conn_proxy(conn);
}

// How much a connection is in the way of others: nothing asked yet, then many of its source. 0: it
// stays.
static unsigned in_the_way(const struct edge_conns *conns, const struct conn *conn) {
	unsigned of_source = conns->sources[conn->source];
	bool asked = conn->portal.requests > 0 || conn->portal.hidden_requests > 0;

	if (conn->innocent ||
		(conn->state != CONN_HELLO && conn->state != CONN_HANDSHAKE &&
			conn->state != CONN_READ))
		return 0;
	if (!asked)
		return NOTHING_ASKED + of_source;
	return of_source > SOURCE_SMALL ? of_source : 0;
}

// Who goes when there is no room: of the source that has most, the oldest. So a flood is in its own
// way.
static struct conn *victim_find(const struct edge_conns *conns) {
	struct conn *conn, *victim = NULL;
	unsigned most = 1, way;

	// The newest comes first.
	LIST_FOREACH(conn, &conns->list, link) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		way = in_the_way(conns, conn);
		if (way < most)
			continue;
		most = way;
		victim = conn;
	}
	return victim;
}

// It has taken its number, and another takes its place.
static bool is_spent(const struct edge_conns *conns) {
	return conns->last != 0 && conns->taken >= conns->last;
}

// The successor starts while this one takes the last of its connections. Refused ones do not count:
// a flood of them does not make new processes.
static void retire_in_time(struct edge_conns *conns) {
	uint64_t number = child_cfg(conns->child)->recycle_after;
	struct ipc_empty msg = {0};

	if (number == 0 || conns->last != 0 || conns->taken < number - number / 8)
		return;
	if (ipc_send(child_supervisor(conns->child), IPC_RETIRE, &msg.hdr, sizeof(msg), NULL, 0) !=
		0)
		return; // with the next one
	conns->last = number > conns->taken ? number : conns->taken;
}

static bool is_full(const struct edge_conns *conns) {
	return conns->nb_conns >= child_cfg(conns->child)->connections_per_edge;
}

// With a victim when the edge is full. False: nobody waits, or another edge was faster.
static bool accept_one(const struct listener *listener, struct conn *victim) {
	struct sockaddr_storage remote = {0};
	socklen_t len = sizeof(remote);
	int client = accept4(
		listener->fd, (struct sockaddr *)&remote, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (client < 0)
		return false;
	if (victim != NULL) {
		listener->owner->counters.displaced++;
		conn_close(victim, "displaced");
	}
	conn_new(listener, client, &remote);
	return true;
}

static void on_accept(int fd, short what, void *arg) {
	struct listener *listener = arg;
	struct edge_conns *conns = listener->owner;

	for (int i = 0; i < ACCEPTS_A_WAKEUP && !is_full(conns) && !is_spent(conns); i++) {
		if (!accept_one(listener, NULL))
			break;
		retire_in_time(conns);
	}
	listeners_update(conns);
}

static void accept_full(struct edge_conns *conns, const struct listener *listener) {
	for (int i = 0; i < ACCEPTS_FULL && !is_spent(conns); i++) {
		struct conn *victim = is_full(conns) ? victim_find(conns) : NULL;

		if (is_full(conns) && victim == NULL)
			break;
		if (!accept_one(listener, victim))
			break;
		retire_in_time(conns);
	}
}

// Others had their moment to accept.
static void on_full(int fd, short what, void *arg) {
	struct edge_conns *conns = arg;

	conns->making_room = true;
	for (struct listener *listener = conns->listeners; listener != NULL;
		listener = listener->next)
		accept_full(conns, listener);
	conns->making_room = false;
	listeners_update(conns);
}

// --- listeners ---

static void end_later(struct edge_conns *conns) {
	static const struct timeval soon = {.tv_usec = END_MS * 1000};

	if (is_spent(conns) && conns->nb_conns == 0 && !evtimer_pending(conns->end, NULL))
		evtimer_add(conns->end, &soon);
}

// The last connection has left. DTLS of clients that came by it may still be on its way.
static void on_end(int fd, short what, void *arg) {
	struct edge_conns *conns = arg;

	if (!is_spent(conns) || conns->nb_conns > 0)
		return;
	conns->end_waits++;
	if (edge_dtls_busy(conns->child) && conns->end_waits < END_DTLS_MS / END_MS)
		end_later(conns);
	else
		edge_stop(conns->child);
}

// Without certificates others accept, or the backlog waits. Full: the same, for a moment at a time.
static void listeners_update(struct edge_conns *conns) {
	static const struct timeval moment = {.tv_usec = FULL_MS * 1000};
	bool ready = edge_tls_ready(edge_of(conns->child)->tls) && !is_spent(conns);
	bool want = ready && !is_full(conns);
	struct listener *listener;

	if (conns->making_room)
		return;
	end_later(conns);
	if (ready && !want && !evtimer_pending(conns->full, NULL))
		evtimer_add(conns->full, &moment);
	if (want == conns->listening)
		return;
	conns->listening = want;
	for (listener = conns->listeners; listener != NULL; listener = listener->next) {
		if (want)
			event_add(listener->event, NULL);
		else
			event_del(listener->event);
	}
}

// A listener that comes again (the supervisor sends all after a reload) replaces the old one.
static void listener_drop(struct edge_conns *conns, unsigned index) {
	struct listener **at = &conns->listeners;

	while (*at != NULL) {
		struct listener *listener = *at;

		if (listener->index != index) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		event_free(listener->event);
		close(listener->fd);
		free(listener);
	}
}

void edge_conns_listener(struct child *child, const struct ipc_listener *msg, int fd) {
	struct edge_conns *conns = edge_of(child)->conns;
	struct listener *listener = calloc(1, sizeof(*listener));

	evutil_make_socket_nonblocking(fd);
	if (listener != NULL)
		listener->event = event_new(
			child_base(child), fd, EV_READ | EV_PERSIST, on_accept, listener);
	if (listener == NULL || listener->event == NULL ||
		!listener_proxies_set(&listener->proxies, msg)) {
		log_error("listener", "text=\"no memory\"");
		free(listener);
		close(fd);
		return;
	}
	// One entry of the configuration may have two sockets: an IPv4 and an IPv6 one.
	listener->owner = conns;
	listener->index = msg->index;
	listener->fd = fd;
	listener->next = conns->listeners;
	conns->listeners = listener;
	if (conns->listening)
		event_add(listener->event, NULL);
	listeners_update(conns);
}

// --- all ---

// Slots only grow: questions name them.
static int slots_grow(struct edge_conns *conns, unsigned n) {
	struct conn **slots;

	if (n <= conns->nb_slots)
		return 0;
	slots = reallocarray(conns->slots, n, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	memset(slots + conns->nb_slots, 0, (n - conns->nb_slots) * sizeof(*slots));
	conns->slots = slots;
	conns->nb_slots = n;
	return 0;
}

int edge_conns_start(struct child *child) {
	struct edge_conns *conns = calloc(1, sizeof(*conns));

	if (conns == NULL)
		return -ENOMEM;
	conns->child = child;
	LIST_INIT(&conns->list);
	edge_of(child)->conns = conns;
	conns->coros = coro_pool_new();
	conns->full = evtimer_new(child_base(child), on_full, conns);
	conns->end = evtimer_new(child_base(child), on_end, conns);
	conns->sources = calloc(SOURCES + 1, sizeof(*conns->sources));
	if (conns->coros == NULL || conns->sources == NULL || conns->full == NULL ||
		conns->end == NULL ||
		slots_grow(conns, child_cfg(child)->connections_per_edge) != 0)
		return -ENOMEM;
	if (getrandom(&conns->epoch, sizeof(conns->epoch), 0) != sizeof(conns->epoch) ||
		getrandom(&conns->source_key, sizeof(conns->source_key), 0) !=
			sizeof(conns->source_key))
		return -EIO;
	return 0;
}

void edge_conns_update(struct child *child) {
	struct edge_conns *conns = edge_of(child)->conns;

	if (slots_grow(conns, child_cfg(child)->connections_per_edge) != 0)
		log_error("reload", "text=\"no memory\"");
	listeners_update(conns);
}

void edge_conns_banned(struct child *child) {
	struct edge_conns *conns = edge_of(child)->conns;
	struct conn *conn, *next;

	for (conn = LIST_FIRST(&conns->list); conn != NULL; conn = next) {
		next = LIST_NEXT(conn, link);
		if (conn->innocent || !edge_guard_banned(child, &conn->remote))
			continue;
		conn->innocent = true; // its points are used up
		reset(conn->fd);
		conn_close(conn, "banned");
	}
}

void edge_conns_stop(struct child *child) {
	struct edge_conns *conns = edge_of(child)->conns;
	const struct edge_counters *c;

	if (conns == NULL)
		return;
	conns->making_room = true;
	while (conns->listeners != NULL)
		listener_drop(conns, conns->listeners->index);
	while (!LIST_EMPTY(&conns->list))
		conn_close(LIST_FIRST(&conns->list), "stop");
	c = &conns->counters;
	log_info("counters",
		"accepted=%lu refused_banned=%lu refused_source=%lu refused_proxy=%lu "
		"displaced=%lu plain_http=%lu no_hello=%lu handshakes=%lu "
		"handshakes_failed=%lu resumed=%lu timeouts=%lu requests=%lu logins=%lu "
		"connects=%lu tunnels=%lu",
		c->accepted, c->refused_banned, c->refused_source, c->refused_proxy, c->displaced,
		c->plain_http, c->no_hello, c->handshakes, c->handshakes_failed, c->resumed,
		c->timeouts, c->requests, c->logins, c->connects, c->tunnels);
	coro_pool_free(conns->coros);
	event_free(conns->full);
	event_free(conns->end);
	free(conns->sources);
	free(conns->slots);
	free(conns);
	edge_of(child)->conns = NULL;
}
