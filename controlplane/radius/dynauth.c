// SPDX-License-Identifier: GPL-3.0-or-later
// Takes Disconnect- and CoA-Requests, and answers them once. Called by radius.c and its own socket.
#include "dynauth.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "change.h"
#include "controlplane/ipc/addr.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "radius.h"
#include "seen.h"

#define READS_PER_WAKE 64u
#define WAITING_MAX 1024u // requests that the session process has not answered
#define WAIT_MS 10000u // then one is dropped, and may be sent again
#define AGAIN_MS 200u
#define COMPLAINT_MS 10000u // of one kind are logged so often
#define SEEN_MIN_S 60u // without a window there is nothing else to go by
#define TERMINATE_ADMIN_RESET 6u // RFC 2866, 5.10

// Where a datagram came from, and to which of our addresses.
struct place {
	struct sockaddr_storage from;
	socklen_t from_len;
	struct abi_addr client;
	uint8_t info[CMSG_SPACE(sizeof(struct in6_pktinfo))]; // goes back as it came
	size_t info_len;
};

struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct place place;
	uint64_t since_ms;
	bool again; // the session process was not ready
	struct rpacket *request;
	struct seen_request *seen;
	struct ipc_change msg;
};

struct dynauth {
	struct radius *radius;
	int fd;
	struct event *readable, *tick;
	struct dynauth_client clients[DYNAUTH_CLIENTS_MAX];
	size_t nb_clients;
	struct seen *seen;
	TAILQ_HEAD(waiting_list, waiting) waiting;
	unsigned nb_waiting;
	uint64_t last_req;
	uint64_t begun_s; // CLOCK_REALTIME
	uint64_t complained_ms[3];
	struct ipc_radius_counts counts;
};

enum complaint {
	FOREIGN,
	UNUSABLE,
	STALE
};

static uint64_t real_s(void) {
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

static const struct cfg *cfg_of(const struct dynauth *dynauth) {
	return child_cfg(dynauth->radius->child);
}

static void complain(
	struct dynauth *dynauth, enum complaint kind, const struct place *place, const char *why) {
	char addr[ADDR_TEXT_LEN];
	uint64_t now = clock_ms(), *last = &dynauth->complained_ms[kind];
	if (*last != 0 && now - *last < COMPLAINT_MS)
		return;
	*last = now;
	log_warning("radius_request_dropped", "client=%s text=%s", addr_text(&place->client, addr),
		log_value(why));
}

// ---- answers

static void transmit(
	struct dynauth *dynauth, const struct place *place, const uint8_t *bytes, size_t len) {
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr msg = {.msg_name = (void *)(uintptr_t)&place->from,
		.msg_namelen = place->from_len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = place->info_len > 0 ? (void *)(uintptr_t)place->info : NULL,
		.msg_controllen = place->info_len};
	// What the network does not take is asked for again.
	(void)!sendmsg(dynauth->fd, &msg, MSG_DONTWAIT);
}

static const struct dynauth_client *client_find(
	const struct dynauth *dynauth, const struct abi_addr *addr) {
	for (size_t i = 0; i < dynauth->nb_clients; i++)
		if (memcmp(&dynauth->clients[i].addr, addr, sizeof(*addr)) == 0)
			return &dynauth->clients[i];
	return NULL;
}

static enum rcode answer_code(enum rcode request, uint32_t cause) {
	if (request == RCODE_DISCONNECT_REQUEST)
		return cause == 0 ? RCODE_DISCONNECT_ACK : RCODE_DISCONNECT_NAK;
	return cause == 0 ? RCODE_COA_ACK : RCODE_COA_NAK;
}

static struct rpacket *make_answer(const struct rpacket *request, uint32_t cause) {
	const void *cursor = NULL;
	struct rvalue value;
	struct rpacket *answer = rpacket_new(answer_code(rpacket_code(request), cause));
	if (answer == NULL)
		return NULL;
	if (cause != 0)
		rpacket_number(answer, RATTR_ERROR_CAUSE, cause);
	else if (rpacket_code(request) == RCODE_DISCONNECT_REQUEST)
		rpacket_number(answer, RATTR_ACCT_TERMINATE_CAUSE, TERMINATE_ADMIN_RESET);
	while (rpacket_next(request, &cursor, &value))
		if (value.attr == RATTR_PROXY_STATE)
			rpacket_bytes(answer, RATTR_PROXY_STATE, value.bytes, value.len);
	return answer;
}

static void count_answer(struct dynauth *dynauth, enum rcode request, uint32_t cause) {
	struct ipc_radius_counts *counts = &dynauth->counts;
	if (request == RCODE_DISCONNECT_REQUEST)
		(*(cause == 0 ? &counts->disconnects : &counts->disconnects_refused))++;
	else
		(*(cause == 0 ? &counts->changes : &counts->changes_refused))++;
}

static void answer_request(struct dynauth *dynauth, const struct place *place,
	const struct rpacket *request, struct seen_request *seen, uint32_t cause) {
	// By a reload the client may have gone.
	const struct dynauth_client *client = client_find(dynauth, &place->client);
	struct rpacket *answer = client != NULL ? make_answer(request, cause) : NULL;
	const uint8_t *bytes;
	size_t len;
	if (answer != NULL &&
		rpacket_sign_answer(answer, request, client->shared_secret, &bytes, &len) == 0) {
		count_answer(dynauth, rpacket_code(request), cause);
		seen_answer(seen, bytes, len);
		transmit(dynauth, place, bytes, len);
	}
	rpacket_free(answer);
}

static void log_answer(const struct place *place, const struct ipc_change *change, uint32_t cause,
	uint32_t sessions) {
	char addr[ADDR_TEXT_LEN];
	log_info(change->kind == IPC_CHANGE_DISCONNECT ? "radius_disconnect" : "radius_change",
		"client=%s user=%s session=%s sessions=%u cause=%u",
		addr_text(&place->client, addr), log_value(change->username),
		log_value(change->session_id), sessions, cause);
}

// ---- what waits for the session process

static void waiting_free(struct dynauth *dynauth, struct waiting *waiting) {
	TAILQ_REMOVE(&dynauth->waiting, waiting, link);
	dynauth->nb_waiting--;
	rpacket_free(waiting->request);
	free(waiting);
}

static void ask(struct dynauth *dynauth, struct waiting *waiting) {
	struct ipc_chan *session = child_peer(dynauth->radius->child, IPC_SESSION, 0);
	waiting->again = false;
	if (session != NULL)
		ipc_send(session, IPC_CHANGE, &waiting->msg.hdr, sizeof(waiting->msg), NULL, 0);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
	struct dynauth *dynauth = arg;
	struct waiting *waiting, *next;
	uint64_t now = clock_ms();
	for (waiting = TAILQ_FIRST(&dynauth->waiting); waiting != NULL; waiting = next) {
		next = TAILQ_NEXT(waiting, link);
		if (now - waiting->since_ms >= WAIT_MS) {
			dynauth->counts.overflow++;
			seen_forget(dynauth->seen, waiting->seen);
			waiting_free(dynauth, waiting);
		} else if (waiting->again) {
			ask(dynauth, waiting);
		}
	}
	if (TAILQ_EMPTY(&dynauth->waiting))
		event_del(dynauth->tick);
}

void dynauth_session_up(struct dynauth *dynauth) {
	struct waiting *waiting;
	TAILQ_FOREACH(waiting, &dynauth->waiting, link)
		ask(dynauth, waiting);
}

void dynauth_changed(struct dynauth *dynauth, const struct ipc_changed *msg) {
	struct waiting *waiting;
	TAILQ_FOREACH(waiting, &dynauth->waiting, link)
		if (waiting->msg.hdr.req == msg->hdr.req)
			break;
	if (waiting == NULL)
		return; // it took too long, or was asked for twice
	if (msg->status != 0) {
		waiting->again = true;
		return;
	}
	log_answer(&waiting->place, &waiting->msg, msg->cause, msg->sessions);
	answer_request(dynauth, &waiting->place, waiting->request, waiting->seen, msg->cause);
	waiting_free(dynauth, waiting);
}

// Takes over the packet.
static void wait_for_session(struct dynauth *dynauth, const struct place *place,
	struct rpacket *request, struct seen_request *seen, const struct ipc_change *change) {
	static const struct timeval often = {.tv_usec = AGAIN_MS * 1000};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	if (waiting == NULL) {
		seen_forget(dynauth->seen, seen);
		rpacket_free(request);
		return;
	}
	*waiting = (struct waiting){.place = *place,
		.since_ms = clock_ms(),
		.request = request,
		.seen = seen,
		.msg = *change};
	waiting->msg.hdr.req = ++dynauth->last_req;
	TAILQ_INSERT_TAIL(&dynauth->waiting, waiting, link);
	dynauth->nb_waiting++;
	if (!event_pending(dynauth->tick, EV_TIMEOUT, NULL))
		event_add(dynauth->tick, &often);
	ask(dynauth, waiting);
}

// ---- requests

// The present process knows none of its predecessor's: what is older than it may have been done.
static bool is_timely(const struct dynauth *dynauth, const struct rpacket *request) {
	uint64_t window = cfg_of(dynauth)->radius.dynauth.window, now = real_s();
	uint32_t made;
	if (window == 0)
		return true;
	return change_timestamp(request, &made) && made + window >= now && made <= now + window &&
		made > dynauth->begun_s;
}

// One from the future is good for twice the window.
static void expire(struct dynauth *dynauth) {
	uint64_t window = 2 * (uint64_t)cfg_of(dynauth)->radius.dynauth.window + 1, now = clock_s();
	if (window < SEEN_MIN_S)
		window = SEEN_MIN_S;
	if (now > window)
		seen_expire(dynauth->seen, now - window);
}

// Takes over the packet, which is the client's, and new.
static void request_begin(
	struct dynauth *dynauth, const struct place *place, struct rpacket *request) {
	struct radius *radius = dynauth->radius;
	const struct cfg *cfg = cfg_of(dynauth);
	const struct change_self self = {.nas_identifier = radius_nas_identifier(radius),
		.nas_address = radius_addr(&cfg->radius.nas_address),
		.default_realm = cfg->radius.default_realm};
	struct ipc_change change;
	struct seen_request *seen = dynauth->nb_waiting < WAITING_MAX
		? seen_add(dynauth->seen, &place->client, rpacket_vector(request), clock_s())
		: NULL;
	if (seen == NULL) {
		dynauth->counts.overflow++;
		rpacket_free(request);
		return;
	}
	uint32_t cause = change_read(request, &self, &change);
	if (cause == 0 && change.settings.set & IPC_SET_FILTER &&
		cfg_filter_find(cfg, change.settings.filter) == NULL)
		cause = IPC_CAUSE_INVALID_VALUE;
	cfg_name_fold(cfg, change.username);
	cfg_name_fold(cfg, change.short_name);
	if (cause == 0) {
		wait_for_session(dynauth, place, request, seen, &change);
		return;
	}
	log_answer(place, &change, cause, 0);
	answer_request(dynauth, place, request, seen, cause);
	rpacket_free(request);
}

static void on_datagram(
	struct dynauth *dynauth, const struct place *place, const uint8_t *bytes, size_t len) {
	const struct dynauth_client *client = client_find(dynauth, &place->client);
	const char *why;
	if (client == NULL) {
		dynauth->counts.foreign++;
		complain(dynauth, FOREIGN, place, "not from a client");
		return;
	}
	struct rpacket *request = rpacket_read_request(bytes, len, client->shared_secret,
		cfg_of(dynauth)->radius.dynauth.require_message_authenticator, &why);
	if (request == NULL) {
		dynauth->counts.unusable++;
		complain(dynauth, UNUSABLE, place, why);
		return;
	}
	expire(dynauth);
	struct seen_request *seen = seen_find(
		dynauth->seen, &place->client, rpacket_vector(request));
	if (seen != NULL) {
		dynauth->counts.repeated++;
		if (seen->answer != NULL)
			transmit(dynauth, place, seen->answer, seen->len);
	} else if (!is_timely(dynauth, request)) {
		dynauth->counts.stale++;
		complain(dynauth, STALE, place,
			"Event-Timestamp is missing, not in the window, or from before the start");
	} else {
		request_begin(dynauth, place, request);
		return;
	}
	rpacket_free(request);
}

static struct abi_addr client_addr(const struct sockaddr_storage *from) {
	struct abi_addr addr = {{0}};
	if (from->ss_family == AF_INET6) {
		memcpy(addr.bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
	} else if (from->ss_family == AF_INET) {
		addr.bytes[10] = addr.bytes[11] = 0xff;
		memcpy(addr.bytes + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
	}
	return addr;
}

// The answer goes out from the address that was asked, by whatever way leads there now: only a
// link-local address needs the interface it came in by.
static void route_freely(struct msghdr *msg, const struct place *place) {
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			((struct in_pktinfo *)CMSG_DATA(c))->ipi_ifindex = 0;
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
			!(place->client.bytes[0] == 0xfe &&
				(place->client.bytes[1] & 0xc0) == 0x80))
			((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
	}
}

static ssize_t receive(struct dynauth *dynauth, uint8_t *bytes, size_t size, struct place *place) {
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr msg = {.msg_name = &place->from,
		.msg_namelen = sizeof(place->from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t len = recvmsg(dynauth->fd, &msg, MSG_DONTWAIT);
	if (len < 0)
		return len;
	place->from_len = msg.msg_namelen;
	place->client = client_addr(&place->from);
	route_freely(&msg, place);
	place->info_len = msg.msg_controllen;
	memcpy(place->info, control, place->info_len);
	// Longer than any packet: malformed, but its sender counts.
	return msg.msg_flags & MSG_TRUNC ? 0 : len;
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
	struct dynauth *dynauth = arg;
	uint8_t bytes[RPACKET_MAX];
	for (unsigned i = 0; i < READS_PER_WAKE; i++) {
		struct place place;
		ssize_t len = receive(dynauth, bytes, sizeof(bytes), &place);
		if (len < 0)
			return;
		on_datagram(dynauth, &place, bytes, (size_t)len);
	}
}

// ---- life

void dynauth_clients(struct dynauth *dynauth, const struct dynauth_client *clients, size_t nb) {
	explicit_bzero(dynauth->clients, sizeof(dynauth->clients));
	memcpy(dynauth->clients, clients, nb * sizeof(*clients));
	dynauth->nb_clients = nb;
}

void dynauth_counts(const struct dynauth *dynauth, struct ipc_radius_counts *counts) {
	const struct ipc_radius_counts *own = &dynauth->counts;
	counts->foreign = own->foreign;
	counts->unusable = own->unusable;
	counts->stale = own->stale;
	counts->repeated = own->repeated;
	counts->overflow = own->overflow;
	counts->disconnects = own->disconnects;
	counts->disconnects_refused = own->disconnects_refused;
	counts->changes = own->changes;
	counts->changes_refused = own->changes_refused;
}

struct dynauth *dynauth_new(struct radius *radius, int fd) {
	struct dynauth *dynauth = calloc(1, sizeof(*dynauth));
	if (dynauth == NULL) {
		close(fd);
		return NULL;
	}
	dynauth->radius = radius;
	dynauth->fd = fd;
	dynauth->begun_s = real_s();
	TAILQ_INIT(&dynauth->waiting);
	dynauth->seen = seen_new();
	dynauth->tick = event_new(child_base(radius->child), -1, EV_PERSIST, on_tick, dynauth);
	dynauth->readable = event_new(
		child_base(radius->child), fd, EV_READ | EV_PERSIST, on_readable, dynauth);
	if (dynauth->seen != NULL && dynauth->tick != NULL && dynauth->readable != NULL &&
		event_add(dynauth->readable, NULL) == 0)
		return dynauth;
	dynauth_free(dynauth);
	return NULL;
}

void dynauth_free(struct dynauth *dynauth) {
	if (dynauth == NULL)
		return;
	while (!TAILQ_EMPTY(&dynauth->waiting))
		waiting_free(dynauth, TAILQ_FIRST(&dynauth->waiting));
	if (dynauth->tick != NULL)
		event_free(dynauth->tick);
	if (dynauth->readable != NULL)
		event_free(dynauth->readable);
	close(dynauth->fd);
	seen_free(dynauth->seen);
	explicit_bzero(dynauth, sizeof(*dynauth));
	free(dynauth);
}
