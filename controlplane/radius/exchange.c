// SPDX-License-Identifier: GPL-3.0-or-later
// Requests on their way to RADIUS servers. Called by radius.c and by its own sockets and timers.
#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"

#define IDS 256u // of one socket: the identifier is one byte
#define READS_PER_WAKE 64u
#define COMPLAINT_MS 10000u // unusable answers of one server are logged so often

// How one server does at one of its two jobs.
struct health {
	bool dead;
	bool probed; // one request tries it again
	uint64_t dead_until_ms;
	uint64_t answered_ms; // the last good answer
	uint64_t complained_ms;
};

struct server {
	struct exchange_server conf;
	struct health health[EXCHANGE_KINDS];
};

struct sock {
	struct exchange *exchange;
	enum exchange_kind kind;
	int fd;
	bool v4_only; // no IPv6 in this kernel
	struct event *readable;
	struct exchange_request *slots[IDS];
	unsigned nb_used;
	uint8_t next_id;
};

struct exchange_request {
	TAILQ_ENTRY(exchange_request) link;
	struct exchange *exchange;
	enum exchange_kind kind;
	struct rpacket *packet;
	exchange_done done;
	void *arg;
	struct event *timer;
	struct sock *sock; // NULL: has no identifier now
	uint8_t id;
	uint64_t asked; // a bit for each server that was tried
	size_t server; // the one being asked, valid with a sock
	bool is_probe;
	bool is_over; // the timer tells that nobody answered
	uint32_t tries; // at this server so far
	uint64_t first_ms; // the first of them
};
_Static_assert(EXCHANGE_SERVERS_MAX <= 64, "a bit for each server");

TAILQ_HEAD(request_list, exchange_request);

struct exchange {
	struct event_base *base;
	struct sock socks[EXCHANGE_SOCKETS_MAX];
	unsigned nb_socks;
	struct server *servers;
	size_t nb_servers;
	struct exchange_timing timing;
	struct request_list requests[EXCHANGE_KINDS];
	struct exchange_counts counts[EXCHANGE_KINDS];
};

static void request_begin(struct exchange_request *request);

// ---- identifiers

// Its identifier is free, and so is the server for another to try it.
static void server_leave(struct exchange_request *request) {
	if (request->is_probe)
		request->exchange->servers[request->server].health[request->kind].probed = false;
	request->is_probe = false;
	if (request->sock == NULL)
		return;
	request->sock->slots[request->id] = NULL;
	request->sock->nb_used--;
	request->sock = NULL;
}

// The emptiest socket's next free identifier: one that was just in use rests for long.
static int slot_take(struct exchange_request *request) {
	struct exchange *exchange = request->exchange;
	struct sock *best = NULL;
	for (unsigned i = 0; i < exchange->nb_socks; i++) {
		struct sock *sock = &exchange->socks[i];
		if (sock->kind == request->kind && sock->nb_used < IDS &&
			(best == NULL || sock->nb_used < best->nb_used))
			best = sock;
	}
	if (best == NULL)
		return -EBUSY;
	while (best->slots[best->next_id] != NULL)
		best->next_id++;
	request->sock = best;
	request->id = best->next_id++;
	best->slots[request->id] = request;
	best->nb_used++;
	return 0;
}

// ---- the end of a request

static void request_free(struct exchange_request *request) {
	struct exchange *exchange = request->exchange;
	server_leave(request);
	TAILQ_REMOVE(&exchange->requests[request->kind], request, link);
	event_free(request->timer);
	rpacket_free(request->packet);
	free(request);
}

void exchange_cancel(struct exchange_request *request) {
	request_free(request);
}

static void request_end(
	struct exchange_request *request, const struct rpacket *answer, const char *server) {
	exchange_done done = request->done;
	void *arg = request->arg;
	request_free(request);
	done(answer, server, arg);
}

// Told from the event loop, not from within a call of the user's.
static void request_give_up(struct exchange_request *request) {
	static const struct timeval now;
	server_leave(request);
	request->is_over = true;
	event_add(request->timer, &now);
}

// ---- servers

static bool can_ask(const struct exchange_request *request, size_t i) {
	const struct server *server = &request->exchange->servers[i];
	return server->conf.port[request->kind] != 0 && !(request->asked & UINT64_C(1) << i);
}

// The first one that is alive, or dead for long enough to be tried; else, so that all being dead
// does not mean that nobody is asked, the first at all. False: all were asked.
static bool choose_server(struct exchange_request *request) {
	struct exchange *exchange = request->exchange;
	size_t fallback = exchange->nb_servers;
	request->is_probe = false;
	for (size_t i = 0; i < exchange->nb_servers; i++) {
		struct health *health = &exchange->servers[i].health[request->kind];
		if (!can_ask(request, i))
			continue;
		request->server = i;
		if (!health->dead)
			return true;
		if (!health->probed && clock_ms() >= health->dead_until_ms) {
			health->probed = true;
			request->is_probe = true;
			return true;
		}
		if (fallback == exchange->nb_servers)
			fallback = i;
	}
	request->server = fallback;
	return fallback < exchange->nb_servers;
}

static void log_server(const struct server *server, enum exchange_kind kind, const char *event,
	enum cfg_log_level level, const char *text) {
	char addr[ADDR_TEXT_LEN];
	log_write(level, event, "server=%s address=%s port=%u text=%s",
		log_value(server->conf.name), addr_text(&server->conf.addr, addr),
		server->conf.port[kind], log_value(text));
}

static void server_answered(struct server *server, enum exchange_kind kind) {
	struct health *health = &server->health[kind];
	if (health->dead)
		log_server(server, kind, "radius_server_back", CFG_LOG_INFO, "answers again");
	health->dead = false;
	health->probed = false;
	health->answered_ms = clock_ms();
}

static void request_move(struct exchange_request *request) {
	server_leave(request);
	request_begin(request);
}

// Is there another one that answers, as far as is known?
static bool has_alternative(const struct exchange_request *request) {
	const struct exchange *exchange = request->exchange;
	for (size_t i = 0; i < exchange->nb_servers; i++)
		if (can_ask(request, i) && !exchange->servers[i].health[request->kind].dead)
			return true;
	return false;
}

// Those of the dead server that have waited for a whole try. The others have what is left of it:
// an answer may take long because a person gives it.
static void requests_move(struct exchange *exchange, size_t server, enum exchange_kind kind) {
	struct exchange_request *request, *next;
	for (request = TAILQ_FIRST(&exchange->requests[kind]); request != NULL; request = next) {
		next = TAILQ_NEXT(request, link);
		if (request->sock != NULL && request->server == server && request->tries > 1 &&
			has_alternative(request))
			request_move(request);
	}
}

// Out of tries. When another request was answered while this one waited, the server only has no
// answer to this one.
static void server_silent(struct exchange_request *request) {
	struct exchange *exchange = request->exchange;
	size_t i = request->server;
	struct health *health = &exchange->servers[i].health[request->kind];
	bool was_dead = health->dead;
	if (exchange->timing.dead_time_ms != 0 &&
		(was_dead || health->answered_ms < request->first_ms)) {
		health->dead = true;
		health->dead_until_ms = clock_ms() + exchange->timing.dead_time_ms;
	}
	if (health->dead && !was_dead)
		log_server(&exchange->servers[i], request->kind, "radius_server_dead",
			CFG_LOG_WARNING, "does not answer");
	enum exchange_kind kind = request->kind;
	request_move(request);
	if (health->dead && !was_dead)
		requests_move(exchange, i, kind);
}

// ---- sending

static socklen_t make_sockaddr(const struct sock *sock, const struct abi_addr *addr, uint16_t port,
	struct sockaddr_storage *out) {
	memset(out, 0, sizeof(*out));
	if (sock->v4_only) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)out;
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, addr->bytes + 12, 4);
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, addr->bytes, 16);
	return sizeof(*v6);
}

// 0 also when the network is full: the next try repairs that. -errno: there is no way to it.
static int transmit(const struct exchange_request *request, const uint8_t *bytes, size_t len) {
	const struct exchange_server *conf = &request->exchange->servers[request->server].conf;
	struct sockaddr_storage to;
	if (request->sock->v4_only && !abi_addr_is4(&conf->addr))
		return -EAFNOSUPPORT;
	socklen_t to_len = make_sockaddr(
		request->sock, &conf->addr, conf->port[request->kind], &to);
	if (sendto(request->sock->fd, bytes, len, 0, (const struct sockaddr *)&to, to_len) >= 0)
		return 0;
	return errno == EAGAIN || errno == ENOBUFS || errno == EINTR ? 0 : -errno;
}

// Times of retransmissions vary, so that those of many requests do not come in one burst
// (RFC 5080, 2.2.1).
static void wait_for_answer(struct exchange_request *request) {
	uint32_t ms = request->exchange->timing.timeout_ms;
	uint16_t dice = 0;
	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) == sizeof(dice))
		ms += (uint32_t)((uint64_t)ms * dice / (10 * 65536));
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_add(request->timer, &tv);
}

// Asks the server that was chosen for the first time: identifier, authenticator and secret are its
// own. 0 or -errno.
static int ask_server(struct exchange_request *request) {
	const struct server *server = &request->exchange->servers[request->server];
	uint8_t vector[RPACKET_VECTOR_LEN];
	const uint8_t *bytes;
	size_t len;
	int status = slot_take(request);
	if (status < 0)
		return status;
	if (getrandom(vector, sizeof(vector), 0) != sizeof(vector))
		return -EIO;
	status = rpacket_sign(
		request->packet, request->id, vector, server->conf.shared_secret, &bytes, &len);
	if (status < 0)
		return status;
	request->asked |= UINT64_C(1) << request->server;
	request->tries = 1;
	request->first_ms = clock_ms();
	request->exchange->counts[request->kind].sent++;
	return transmit(request, bytes, len);
}

// The next server that has a way to it, or the end.
static void request_begin(struct exchange_request *request) {
	event_del(request->timer);
	while (choose_server(request)) {
		int status = ask_server(request);
		if (status == 0) {
			wait_for_answer(request);
			return;
		}
		log_server(&request->exchange->servers[request->server], request->kind,
			"radius_send", CFG_LOG_WARNING, strerror(-status));
		request->asked |= UINT64_C(1) << request->server;
		server_leave(request);
	}
	request_give_up(request);
}

// The same bytes under the same identifier: a server that has the first knows the second
// (RFC 2865, 2.5).
static int resend(struct exchange_request *request) {
	const uint8_t *bytes;
	size_t len;
	rpacket_signed(request->packet, &bytes, &len);
	request->tries++;
	request->exchange->counts[request->kind].resent++;
	return transmit(request, bytes, len);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
	struct exchange_request *request = arg;
	const struct exchange *exchange = request->exchange;
	if (request->is_over) {
		request->exchange->counts[request->kind].given_up++;
		request_end(request, NULL, "");
		return;
	}
	const struct health *health = &exchange->servers[request->server].health[request->kind];
	bool hurry = request->is_probe || (health->dead && has_alternative(request));
	uint32_t tries = hurry ? 1 : exchange->timing.tries;
	if (request->tries < tries && resend(request) == 0)
		wait_for_answer(request);
	else
		server_silent(request);
}

int exchange_send(struct exchange *exchange, enum exchange_kind kind, struct rpacket *packet,
	exchange_done done, void *arg, struct exchange_request **out) {
	struct exchange_request *request = calloc(1, sizeof(*request));
	if (request == NULL) {
		rpacket_free(packet);
		return -ENOMEM;
	}
	request->exchange = exchange;
	request->kind = kind;
	request->packet = packet;
	request->done = done;
	request->arg = arg;
	request->timer = event_new(exchange->base, -1, 0, on_timer, request);
	if (request->timer == NULL) {
		rpacket_free(packet);
		free(request);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&exchange->requests[kind], request, link);
	int status = choose_server(request) ? ask_server(request) : -ENOENT;
	if (status == -EBUSY || status == -ENOENT || status == -EINVAL || status == -EMSGSIZE) {
		request_free(request);
		return status;
	}
	if (status == 0) {
		wait_for_answer(request);
	} else {
		server_leave(request);
		request->asked |= UINT64_C(1) << request->server;
		request_begin(request);
	}
	*out = request;
	return 0;
}

// ---- receiving

static bool is_from(const struct sockaddr_storage *from, const struct exchange_server *conf,
	enum exchange_kind kind) {
	struct abi_addr addr = {{0}};
	uint16_t port = 0;
	if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
		memcpy(addr.bytes, &v6->sin6_addr, 16);
		port = ntohs(v6->sin6_port);
	} else if (from->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
		addr.bytes[10] = addr.bytes[11] = 0xff;
		memcpy(addr.bytes + 12, &v4->sin_addr, 4);
		port = ntohs(v4->sin_port);
	}
	return port == conf->port[kind] && memcmp(&addr, &conf->addr, sizeof(addr)) == 0;
}

// An answer that is not usable is as good as none (RFC 2865, 3), but the operator should know.
static void complain(struct server *server, enum exchange_kind kind, const char *why) {
	struct health *health = &server->health[kind];
	uint64_t now = clock_ms();
	if (health->complained_ms != 0 && now - health->complained_ms < COMPLAINT_MS)
		return;
	health->complained_ms = now;
	log_server(server, kind, "radius_answer_refused", CFG_LOG_WARNING, why);
}

static void on_datagram(
	struct sock *sock, const uint8_t *bytes, size_t len, const struct sockaddr_storage *from) {
	struct exchange *exchange = sock->exchange;
	struct exchange_counts *counts = &exchange->counts[sock->kind];
	struct exchange_request *request = len >= 2 ? sock->slots[bytes[1]] : NULL;
	const char *why;
	if (request == NULL ||
		!is_from(from, &exchange->servers[request->server].conf, sock->kind)) {
		counts->unexpected++;
		return;
	}
	struct server *server = &exchange->servers[request->server];
	struct rpacket *answer = rpacket_read(bytes, len, request->packet,
		server->conf.shared_secret,
		sock->kind == EXCHANGE_AUTH && exchange->timing.require_authenticator, &why);
	if (answer == NULL) {
		counts->unusable++;
		complain(server, sock->kind, why);
		return;
	}
	counts->answered++;
	server_answered(server, sock->kind);
	request_end(request, answer, server->conf.name);
	rpacket_free(answer);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
	struct sock *sock = arg;
	uint8_t bytes[RPACKET_MAX];
	struct sockaddr_storage from;
	for (unsigned i = 0; i < READS_PER_WAKE; i++) {
		socklen_t from_len = sizeof(from);
		ssize_t len = recvfrom(sock->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC,
			(struct sockaddr *)&from, &from_len);
		if (len < 0)
			break;
		if ((size_t)len <= sizeof(bytes))
			on_datagram(sock, bytes, (size_t)len, &from);
		else
			sock->exchange->counts[sock->kind].unexpected++;
	}
	explicit_bzero(bytes, sizeof(bytes));
}

// ---- life

static void servers_free(struct exchange *exchange) {
	if (exchange->servers != NULL)
		explicit_bzero(exchange->servers, exchange->nb_servers * sizeof(struct server));
	free(exchange->servers);
	exchange->servers = NULL;
	exchange->nb_servers = 0;
}

// What was learnt of a server that stays.
static void health_keep(const struct exchange *exchange, struct server *server) {
	for (size_t i = 0; i < exchange->nb_servers; i++) {
		const struct server *old = &exchange->servers[i];
		if (memcmp(&old->conf.addr, &server->conf.addr, sizeof(old->conf.addr)) == 0 &&
			memcmp(old->conf.port, server->conf.port, sizeof(old->conf.port)) == 0)
			memcpy(server->health, old->health, sizeof(server->health));
	}
	for (unsigned kind = 0; kind < EXCHANGE_KINDS; kind++)
		server->health[kind].probed = false;
}

int exchange_servers(struct exchange *exchange, const struct exchange_server *servers, size_t nb,
	const struct exchange_timing *timing) {
	struct exchange_request *request, *next;
	if (nb > EXCHANGE_SERVERS_MAX)
		return -E2BIG;
	struct server *fresh = calloc(nb > 0 ? nb : 1, sizeof(*fresh));
	if (fresh == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < nb; i++) {
		fresh[i].conf = servers[i];
		health_keep(exchange, &fresh[i]);
	}
	for (unsigned kind = 0; kind < EXCHANGE_KINDS; kind++)
		TAILQ_FOREACH(request, &exchange->requests[kind], link)
			server_leave(request);
	servers_free(exchange);
	exchange->servers = fresh;
	exchange->nb_servers = nb;
	exchange->timing = *timing;
	for (unsigned kind = 0; kind < EXCHANGE_KINDS; kind++)
		for (request = TAILQ_FIRST(&exchange->requests[kind]); request != NULL;
			request = next) {
			next = TAILQ_NEXT(request, link);
			request->asked = 0;
			if (!request->is_over)
				request_begin(request);
		}
	return 0;
}

static int sock_init(
	struct exchange *exchange, struct sock *sock, int fd, enum exchange_kind kind) {
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	sock->exchange = exchange;
	sock->kind = kind;
	sock->fd = fd;
	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return -errno;
	sock->v4_only = own.ss_family == AF_INET;
	sock->readable = event_new(exchange->base, fd, EV_READ | EV_PERSIST, on_readable, sock);
	return sock->readable == NULL || event_add(sock->readable, NULL) < 0 ? -ENOMEM : 0;
}

struct exchange *exchange_new(
	struct event_base *base, const int *fds, unsigned nb_fds, unsigned nb_auth) {
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	if (exchange == NULL || nb_fds > EXCHANGE_SOCKETS_MAX) {
		free(exchange);
		return NULL;
	}
	exchange->base = base;
	for (unsigned kind = 0; kind < EXCHANGE_KINDS; kind++)
		TAILQ_INIT(&exchange->requests[kind]);
	for (unsigned i = 0; i < nb_fds; i++) {
		exchange->nb_socks = i + 1;
		if (sock_init(exchange, &exchange->socks[i], fds[i],
			    i < nb_auth ? EXCHANGE_AUTH : EXCHANGE_ACCT) < 0) {
			exchange_free(exchange);
			return NULL;
		}
	}
	return exchange;
}

void exchange_free(struct exchange *exchange) {
	if (exchange == NULL)
		return;
	for (unsigned kind = 0; kind < EXCHANGE_KINDS; kind++)
		while (!TAILQ_EMPTY(&exchange->requests[kind]))
			request_free(TAILQ_FIRST(&exchange->requests[kind]));
	for (unsigned i = 0; i < exchange->nb_socks; i++) {
		if (exchange->socks[i].readable != NULL)
			event_free(exchange->socks[i].readable);
		close(exchange->socks[i].fd);
	}
	servers_free(exchange);
	free(exchange);
}

const struct exchange_counts *exchange_counts(
	const struct exchange *exchange, enum exchange_kind kind) {
	return &exchange->counts[kind];
}
