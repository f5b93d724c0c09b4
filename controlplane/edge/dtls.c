// SPDX-License-Identifier: GPL-3.0-or-later
// DTLS in the edge: punted datagrams in, handshakes through wolfSSL, keys to the session process.
//
// A ClientHello without a valid cookie is answered without any state. One with a valid cookie
// takes a slot: the session process is asked for the secrets of its application id, the hello is
// given to a handshake object, and that object is freed in the moment the handshake ends. Called
// by edge.c (hooks in edge.h).
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/random.h>
#include <sys/uio.h>

#include "controlplane/edge/dtls_flight.h"
#include "controlplane/edge/dtls_hello.h"
#include "controlplane/edge/dtls_shake.h"
#include "controlplane/edge/edge.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "dataplane/abi/channel.h"
#include "dataplane/abi/punt.h"
#include "dataplane/abi/ring.h"

#define SLOTS 512u // handshakes at once; a WOLFSSL object holds about 60 KB
#define PUNT_BURST 64u // datagrams handled before other events get their turn
#define HANDSHAKE_MS 12000u
#define QUERY_MS 3000u
#define COOKIE_BACK_MS 1000u // a client that was given a cookie has come back with it
#define SAME_SESSION_MS 3000u // a second hello for one session is ignored for so long
#define SECRET_S 120 // a cookie is good for one to two of these
#define DATAGRAM_MAX 1200u // payload of our own flights: fits every path

enum slot_state {
	SLOT_FREE,
	SLOT_QUERY, // waits for IPC_DTLS_PARAMS; holds the hello
	SLOT_SHAKE, // wolfSSL at work
	SLOT_UP, // done: the keys are on their way, our last flight waits until they are in force
};

struct slot {
	enum slot_state state;
	struct edge_dtls *dtls;
	struct abi_tuple tuple;
	struct abi_sid sid; // from SLOT_SHAKE on
	uint64_t started_ms;
	uint64_t req; // of the query
	unsigned secret; // index of the cookie secret that the hello was checked with
	uint8_t app_id[IPC_APP_ID_LEN];
	uint8_t random[32]; // of the hello: the same again is a repetition
	uint8_t *hello; // SLOT_QUERY: the datagram
	size_t hello_len;
	struct dtls_shake *shake;
	struct ipc_dtls_up *up; // SLOT_UP
	struct dtls_flight *last; // SLOT_UP
	struct dtls_flight *flight; // collects what the current input makes wolfSSL send
	bool flight_lost;
	struct event timer;
	int32_t next; // in its hash bucket, or of the free list; -1: end
};

struct edge_dtls {
	struct child *child;
	struct dtls_shake_ctx *ctx;
	bool attached;
	int channel;
	int bell, inject_bell;
	struct abi_ring punt, inject;
	struct event *bell_event, *channel_event, *secret_event;
	uint8_t cookie_secret[2][DTLS_SECRET_LEN]; // [current] makes, both check
	unsigned current;
	uint64_t req;
	uint64_t verify_ms; // a cookie was given to somebody, who is to come back with it
	struct slot slot[SLOTS];
	int32_t bucket[SLOTS];
	int32_t free;
	struct dtls_flights flights;
	// for the log lines
	uint64_t nb_done, nb_failed, nb_unknown, nb_full, nb_lost;
};

// --- datagrams out ---

static void inject(
	struct edge_dtls *dtls, const struct abi_tuple *tuple, const uint8_t *data, size_t len) {
	struct abi_punt slot = {.tuple = *tuple, .len = (uint16_t)len};

	if (!dtls->attached || len > sizeof(slot.data))
		return;
	memcpy(slot.data, data, len);
	// A full ring is a lost datagram: DTLS retransmits.
	if (abi_ring_push(&dtls->inject, &slot) != 0) {
		dtls->nb_lost++;
		return;
	}
	abi_ring_notify(&dtls->inject);
}

static void slot_send(const uint8_t *data, size_t len, void *arg) {
	struct slot *slot = arg;

	// During an input the flight is collected, so that the keys can go ahead of it.
	if (slot->flight && dtls_flight_add(slot->flight, data, len))
		return;
	slot->flight_lost = true;
	inject(slot->dtls, &slot->tuple, data, len);
}

static void flight_send(struct edge_dtls *dtls, const struct dtls_flight *flight) {
	const uint8_t *p = flight->bytes;

	for (unsigned i = 0; i < flight->nb; i++) {
		inject(dtls, &flight->tuple, p, flight->len[i]);
		p += flight->len[i];
	}
}

// --- slots ---

static int32_t *bucket_of(struct edge_dtls *dtls, const struct abi_tuple *tuple) {
	return &dtls->bucket[dtls_tuple_hash(tuple) % SLOTS];
}

static struct slot *slot_find(struct edge_dtls *dtls, const struct abi_tuple *tuple) {
	int32_t index = *bucket_of(dtls, tuple);

	while (index >= 0 && !dtls_tuple_equal(&dtls->slot[index].tuple, tuple))
		index = dtls->slot[index].next;
	return index >= 0 ? &dtls->slot[index] : NULL;
}

static struct slot *slot_by_app_id(struct edge_dtls *dtls, const uint8_t *app_id) {
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *slot = &dtls->slot[i];

		if (slot->state != SLOT_FREE && memcmp(slot->app_id, app_id, IPC_APP_ID_LEN) == 0)
			return slot;
	}
	return NULL;
}

static void slot_free(struct slot *slot) {
	struct edge_dtls *dtls = slot->dtls;
	int32_t index = (int32_t)(slot - dtls->slot);
	int32_t *link = bucket_of(dtls, &slot->tuple);

	while (*link >= 0 && *link != index)
		link = &dtls->slot[*link].next;
	if (*link == index)
		*link = slot->next;
	event_del(&slot->timer);
	dtls_shake_free(slot->shake);
	free(slot->hello);
	if (slot->up)
		explicit_bzero(slot->up, sizeof(*slot->up));
	free(slot->up);
	free(slot->last);
	memset(slot, 0, sizeof(*slot));
	slot->next = dtls->free;
	dtls->free = index;
}

static void slot_timer_set(struct slot *slot, unsigned ms) {
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	evtimer_add(&slot->timer, &tv);
}

static void slot_timer(evutil_socket_t fd, short what, void *arg) {
	struct slot *slot = arg;

	if (slot->state == SLOT_SHAKE && clock_ms() - slot->started_ms < HANDSHAKE_MS &&
		dtls_shake_timer(slot->shake) == 0) {
		slot_timer_set(slot, dtls_shake_timeout_ms(slot->shake));
		return;
	}
	log_debug("dtls_timeout", "sid=%u.%u state=%d", slot->sid.index, slot->sid.generation,
		(int)slot->state);
	slot->dtls->nb_failed++;
	slot_free(slot);
}

static struct slot *slot_new(struct edge_dtls *dtls, const struct abi_tuple *tuple) {
	int32_t index = dtls->free, *bucket;
	struct slot *slot;

	if (index < 0) {
		dtls->nb_full++;
		return NULL;
	}
	slot = &dtls->slot[index];
	dtls->free = slot->next;
	memset(slot, 0, sizeof(*slot));
	slot->dtls = dtls;
	slot->tuple = *tuple;
	slot->started_ms = clock_ms();
	evtimer_assign(&slot->timer, child_base(dtls->child), slot_timer, slot);
	bucket = bucket_of(dtls, tuple);
	slot->next = *bucket;
	*bucket = index;
	return slot;
}

// --- the handshake ---

// Done: the keys to the session process. When its queue is full the client, which gets no answer,
// begins anew.
static void up_send(struct slot *slot) {
	struct ipc_chan *session = child_peer(slot->dtls->child, IPC_SESSION, 0);

	if (session)
		ipc_send(session, IPC_DTLS_UP, &slot->up->hdr, sizeof(*slot->up), NULL, 0);
}

// The keys go before the Finished that lets the client send with them: what it sent before they are
// in force would be lost.
static void slot_done(struct slot *slot, const struct dtls_flight *flight) {
	struct edge_dtls *dtls = slot->dtls;

	slot->up = calloc(1, sizeof(*slot->up));
	slot->last = malloc(sizeof(*slot->last));
	if (!slot->up || !slot->last || dtls_shake_keys(slot->shake, &slot->up->dtls) != 0) {
		log_warning("dtls_keys", "sid=%u.%u error=no-keys", slot->sid.index,
			slot->sid.generation);
		dtls->nb_failed++;
		slot_free(slot);
		return;
	}
	slot->up->hdr.req = slot->req;
	slot->up->sid = slot->sid;
	slot->up->dtls.tuple = slot->tuple;
	*slot->last = *flight;
	slot->last->sid = slot->sid;
	dtls_shake_free(slot->shake);
	slot->shake = NULL;
	slot->state = SLOT_UP;
	slot_timer_set(slot, HANDSHAKE_MS);
	// Away: edge_dtls_session_up() sends it.
	up_send(slot);
}

static void slot_input(struct slot *slot, const uint8_t *data, size_t len) {
	struct dtls_flight flight = {.tuple = slot->tuple};
	int ret;

	slot->flight = &flight;
	slot->flight_lost = false;
	ret = dtls_shake_input(slot->shake, data, len);
	slot->flight = NULL;
	if (ret == 1) {
		slot_done(slot, &flight);
		return;
	}
	flight_send(slot->dtls, &flight);
	if (ret == 0) {
		slot_timer_set(slot, dtls_shake_timeout_ms(slot->shake));
		return;
	}
	log_debug("dtls_failed", "sid=%u.%u error=%s", slot->sid.index, slot->sid.generation,
		log_value(dtls_shake_error(slot->shake)));
	slot->dtls->nb_failed++;
	slot_free(slot);
}

static void slot_query(struct slot *slot) {
	struct ipc_chan *session = child_peer(slot->dtls->child, IPC_SESSION, 0);
	struct ipc_dtls_query query = {.hdr.req = slot->req, .remote = slot->tuple.remote};

	// Away: edge_dtls_session_up() sends it again, if the slot still lives then.
	if (!session)
		return;
	memcpy(query.app_id, slot->app_id, sizeof(query.app_id));
	ipc_send(session, IPC_DTLS_QUERY, &query.hdr, sizeof(query), NULL, 0);
}

// A hello whose cookie proves its address.
static void hello_accept(struct edge_dtls *dtls, const struct abi_punt *punt,
	const struct dtls_hello *hello, const uint8_t *app_id, unsigned secret) {
	struct slot *same = slot_by_app_id(dtls, app_id);
	struct slot *slot = slot_find(dtls, &punt->tuple);

	if (same && clock_ms() - same->started_ms < SAME_SESSION_MS)
		return;
	if (same)
		slot_free(same);
	if (slot && slot != same)
		slot_free(slot);
	slot = slot_new(dtls, &punt->tuple);
	if (!slot)
		return;
	slot->hello = malloc(punt->len);
	if (!slot->hello) {
		slot_free(slot);
		return;
	}
	memcpy(slot->hello, punt->data, punt->len);
	slot->hello_len = punt->len;
	memcpy(slot->app_id, app_id, sizeof(slot->app_id));
	memcpy(slot->random, hello->random, sizeof(slot->random));
	slot->secret = secret;
	slot->req = ++dtls->req * SLOTS + (uint64_t)(slot - dtls->slot);
	slot->state = SLOT_QUERY;
	slot_timer_set(slot, QUERY_MS);
	slot_query(slot);
}

static void hello_verify(struct edge_dtls *dtls, const struct abi_punt *punt,
	const uint8_t peer[DTLS_PEER_LEN], const struct dtls_hello *hello) {
	uint8_t cookie[DTLS_COOKIE_LEN], out[DTLS_HVR_LEN];

	// Never more bytes out than came in, so that a forged sender gains nothing.
	if (punt->len < sizeof(out) ||
		dtls_cookie_make(dtls->cookie_secret[dtls->current], peer, hello, cookie) != 0)
		return;
	dtls_hvr_make(hello, cookie, out);
	dtls->verify_ms = clock_ms();
	inject(dtls, &punt->tuple, out, sizeof(out));
}

static void hello_input(
	struct edge_dtls *dtls, const struct abi_punt *punt, const struct dtls_hello *hello) {
	const uint8_t *app_id = dtls_hello_app_id(hello);
	uint8_t peer[DTLS_PEER_LEN];

	if (!app_id)
		return;
	dtls_peer(&punt->tuple, peer);
	for (unsigned i = 0; i < 2; i++) {
		unsigned secret = (dtls->current + i) % 2;

		if (dtls_cookie_ok(dtls->cookie_secret[secret], peer, hello)) {
			hello_accept(dtls, punt, hello, app_id, secret);
			return;
		}
	}
	hello_verify(dtls, punt, peer, hello);
}

static bool holds_handshake(const struct abi_punt *punt) {
	const uint8_t *p = punt->data, *end = punt->data + punt->len;
	struct dtls_record record;

	while (dtls_record_next(&p, end, &record)) {
		if (record.type == DTLS_HANDSHAKE)
			return true;
	}
	return false;
}

static void punt_input(struct edge_dtls *dtls, const struct abi_punt *punt) {
	struct slot *slot = slot_find(dtls, &punt->tuple);
	const struct dtls_flight *flight;
	struct dtls_hello hello;

	if (punt->len > sizeof(punt->data))
		return;
	if (dtls_hello_parse(punt->data, punt->len, &hello)) {
		bool repeated = slot && slot->state == SLOT_SHAKE && hello.cookie.len &&
			memcmp(slot->random, hello.random, sizeof(slot->random)) == 0;

		if (!repeated) {
			hello_input(dtls, punt, &hello);
			return;
		}
	}
	if (slot) {
		if (slot->state == SLOT_SHAKE)
			slot_input(slot, punt->data, punt->len);
		return;
	}
	// The client repeats its Finished: ours was lost.
	if (!holds_handshake(punt))
		return;
	flight = dtls_flights_repeat(&dtls->flights, &punt->tuple, clock_ms());
	if (flight)
		flight_send(dtls, flight);
}

// --- rings ---

static void detach(struct edge_dtls *dtls) {
	if (!dtls->attached)
		return;
	dtls->attached = false;
	event_free(dtls->bell_event);
	event_free(dtls->channel_event);
	abi_ring_detach(&dtls->punt);
	abi_ring_detach(&dtls->inject);
	close(dtls->bell);
	close(dtls->inject_bell);
	close(dtls->channel);
}

static void lost(struct edge_dtls *dtls, const char *why) {
	log_warning("dataplane_lost", "reason=%s", why);
	detach(dtls);
	child_dataplane_lost(dtls->child);
}

static void on_bell(evutil_socket_t fd, short what, void *arg) {
	struct edge_dtls *dtls = arg;
	struct abi_punt punt;
	uint64_t rings;
	int ret = 0;

	if (read(fd, &rings, sizeof(rings)) < 0 && errno != EAGAIN && errno != EINTR) {
		lost(dtls, "bell");
		return;
	}
	abi_ring_wake(&dtls->punt);
	for (unsigned n = 0; n < PUNT_BURST && ret == 0; n++) {
		ret = abi_ring_pop(&dtls->punt, &punt, false);
		if (ret == 0)
			punt_input(dtls, &punt);
	}
	if (ret == -EPIPE)
		lost(dtls, "ring");
	// More is there, or came just now: again after the other events.
	else if (ret == 0 || !abi_ring_wait(&dtls->punt))
		event_active(dtls->bell_event, EV_READ, 0);
}

static void on_channel(evutil_socket_t fd, short what, void *arg) {
	if (abi_channel_closed(fd))
		lost(arg, "closed");
}

void edge_dtls_attach(struct child *child, const struct abi_welcome *welcome, int channel,
	const int *fds, unsigned nb_fds) {
	struct edge_dtls *dtls = edge_of(child)->dtls;
	struct event_base *base = child_base(child);

	if (!dtls || nb_fds != 4)
		goto refuse;
	detach(dtls);
	if (abi_ring_attach(&dtls->punt, fds[0], ABI_PUNT_SLOTS, sizeof(struct abi_punt)) != 0)
		goto refuse;
	if (abi_ring_attach(&dtls->inject, fds[1], ABI_PUNT_SLOTS, sizeof(struct abi_punt)) != 0) {
		abi_ring_detach(&dtls->punt);
		goto refuse;
	}
	abi_ring_adopt(&dtls->punt, false);
	abi_ring_adopt(&dtls->inject, true);
	close(fds[0]);
	close(fds[1]);
	dtls->channel = channel;
	dtls->bell = fds[2];
	dtls->inject_bell = fds[3];
	dtls->inject.bell_fd = (uint32_t)dtls->inject_bell;
	evutil_make_socket_nonblocking(dtls->bell);
	dtls->bell_event = event_new(base, dtls->bell, EV_READ | EV_PERSIST, on_bell, dtls);
	dtls->channel_event = event_new(base, channel, EV_READ | EV_PERSIST, on_channel, dtls);
	dtls->attached = true;
	event_add(dtls->bell_event, NULL);
	event_add(dtls->channel_event, NULL);
	// Takes up what already waits and announces the sleep.
	event_active(dtls->bell_event, EV_READ, 0);
	log_info("dataplane_attached", "boot=%016llx", (unsigned long long)welcome->boot_id);
	return;
refuse:
	log_error("dataplane_refused", "reason=rings");
	for (unsigned i = 0; i < nb_fds; i++)
		close(fds[i]);
	close(channel);
}

// --- hooks ---

int edge_dtls_params(struct child *child, const struct ipc_dtls_params *params) {
	struct edge_dtls *dtls = edge_of(child)->dtls;
	struct slot *slot;
	struct dtls_hello hello;
	uint8_t peer[DTLS_PEER_LEN];

	if (params->mode > IPC_DTLS_LEGACY)
		return -EPROTO;
	if (!dtls)
		return 0;
	slot = &dtls->slot[params->hdr.req % SLOTS];
	if (slot->state != SLOT_QUERY || slot->req != params->hdr.req)
		return 0; // given up meanwhile
	if (params->mode == IPC_DTLS_NONE ||
		dtls_flights_recent(&dtls->flights, params->sid, clock_ms(), SAME_SESSION_MS) ||
		!dtls_hello_parse(slot->hello, slot->hello_len, &hello)) {
		dtls->nb_unknown += params->mode == IPC_DTLS_NONE;
		slot_free(slot);
		return 0;
	}
	dtls_peer(&slot->tuple, peer);
	slot->sid = params->sid;
	slot->shake = dtls_shake_new(dtls->ctx,
		&(struct dtls_shake_opts){
			.params = params,
			.app_id = slot->app_id,
			.suites = hello.suites,
			.cookie_secret = dtls->cookie_secret[slot->secret],
			.peer = peer,
			.send = slot_send,
			.arg = slot,
		});
	if (!slot->shake) {
		log_error("dtls_new", "error=out-of-memory");
		slot_free(slot);
		return 0;
	}
	slot->state = SLOT_SHAKE;
	slot_input(slot, slot->hello, slot->hello_len);
	return 0;
}

int edge_dtls_set(struct child *child, const struct ipc_dtls_set *msg) {
	struct edge_dtls *dtls = edge_of(child)->dtls;
	struct slot *slot;

	if (msg->status > 0)
		return -EPROTO;
	if (!dtls)
		return 0;
	slot = &dtls->slot[msg->hdr.req % SLOTS];
	if (slot->state != SLOT_UP || slot->req != msg->hdr.req)
		return 0; // given up meanwhile
	log_debug("dtls_done", "sid=%u.%u cipher=%u status=%d ms=%llu", slot->sid.index,
		slot->sid.generation, slot->up->dtls.cipher, msg->status,
		(unsigned long long)(clock_ms() - slot->started_ms));
	if (msg->status == 0) {
		dtls->nb_done++;
		flight_send(dtls, slot->last);
		if (slot->flight_lost)
			slot->last->nb = 0;
		dtls_flights_keep(&dtls->flights, slot->last, clock_ms());
	} else {
		dtls->nb_failed++;
	}
	slot_free(slot);
	return 0;
}

void edge_dtls_session_up(struct child *child) {
	struct edge_dtls *dtls = edge_of(child)->dtls;

	for (unsigned i = 0; dtls && i < SLOTS; i++) {
		struct slot *slot = &dtls->slot[i];

		if (slot->state == SLOT_FREE)
			continue;
		// Also where the answer is known: keys are taken from edges that have asked alone, and
		// the new session process has not been asked yet.
		slot_query(slot);
		if (slot->state == SLOT_UP)
			up_send(slot);
	}
}

void edge_dtls_reload(struct child *child) {
	// Modes and secrets come with each session: nothing here depends on the configuration.
}

static void on_secret(evutil_socket_t fd, short what, void *arg) {
	struct edge_dtls *dtls = arg;
	unsigned next = 1 - dtls->current;

	if (getrandom(dtls->cookie_secret[next], DTLS_SECRET_LEN, 0) == DTLS_SECRET_LEN)
		dtls->current = next;
	log_debug("dtls_stats", "done=%llu failed=%llu unknown=%llu full=%llu lost=%llu",
		(unsigned long long)dtls->nb_done, (unsigned long long)dtls->nb_failed,
		(unsigned long long)dtls->nb_unknown, (unsigned long long)dtls->nb_full,
		(unsigned long long)dtls->nb_lost);
}

int edge_dtls_start(struct child *child) {
	struct edge_dtls *dtls = calloc(1, sizeof(*dtls));
	struct timeval period = {.tv_sec = SECRET_S};

	if (!dtls)
		return -ENOMEM;
	dtls->child = child;
	for (unsigned i = 0; i < SLOTS; i++) {
		dtls->bucket[i] = -1;
		dtls->slot[i].next = i + 1 < SLOTS ? (int32_t)i + 1 : -1;
	}
	dtls_flights_init(&dtls->flights);
	dtls->ctx = dtls_shake_ctx_new(DATAGRAM_MAX);
	dtls->secret_event = event_new(child_base(child), -1, EV_PERSIST, on_secret, dtls);
	if (!dtls->ctx || !dtls->secret_event ||
		getrandom(dtls->cookie_secret, sizeof(dtls->cookie_secret), 0) !=
			(ssize_t)sizeof(dtls->cookie_secret)) {
		edge_of(child)->dtls = dtls;
		edge_dtls_stop(child);
		return -EIO;
	}
	event_add(dtls->secret_event, &period);
	edge_of(child)->dtls = dtls;
	return 0;
}

void edge_dtls_stop(struct child *child) {
	struct edge_dtls *dtls = edge_of(child)->dtls;

	if (!dtls)
		return;
	for (unsigned i = 0; i < SLOTS; i++) {
		if (dtls->slot[i].state != SLOT_FREE)
			slot_free(&dtls->slot[i]);
	}
	detach(dtls);
	if (dtls->secret_event)
		event_free(dtls->secret_event);
	dtls_shake_ctx_free(dtls->ctx);
	explicit_bzero(dtls, sizeof(*dtls));
	free(dtls);
	edge_of(child)->dtls = NULL;
}

bool edge_dtls_busy(const struct child *child) {
	const struct edge_dtls *dtls = edge_of((struct child *)(uintptr_t)child)->dtls;

	if (dtls == NULL)
		return false;
	for (unsigned i = 0; i < SLOTS; i++) {
		if (dtls->slot[i].state != SLOT_FREE)
			return true;
	}
	return clock_ms() - dtls->verify_ms < COOKIE_BACK_MS;
}

bool edge_dtls_attached(struct child *child) {
	return edge_of(child)->dtls != NULL && edge_of(child)->dtls->attached;
}
