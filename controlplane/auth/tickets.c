// SPDX-License-Identifier: GPL-3.0-or-later
// Gives all edges the keys of TLS session tickets and renews them in time; called by auth.c.
//
// Nothing is kept but the time slot: the keys are made anew for each message, so that an edge or
// this process that comes back after its end has the same ones.

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/proc/log.h"
#include "ticket.h"
#include "tickets.h"

#define LOOK_S 60 // at most: the wall clock may be set

struct tickets {
	struct child *child;
	const uint8_t *cookie_secret; // NULL: not there yet
	struct event *timer;
	uint32_t period;
	time_t slot; // that the edges have the key of
};

static void send_all(struct tickets *tickets) {
	for (unsigned i = 0; i < ABI_EDGES_MAX; i++) {
		struct ipc_chan *edge = child_peer(tickets->child, IPC_EDGE, i);

		if (edge != NULL)
			tickets_send(tickets, edge);
	}
}

static void look_again(struct tickets *tickets, time_t now) {
	time_t left = (time_t)tickets->period - now % (time_t)tickets->period;
	struct timeval wait = {.tv_sec = left < LOOK_S ? left : LOOK_S};

	evtimer_add(tickets->timer, &wait);
}

static void on_timer(int fd, short what, void *arg) {
	struct tickets *tickets = arg;
	time_t now = time(NULL);

	if (now / (time_t)tickets->period != tickets->slot) {
		tickets->slot = now / (time_t)tickets->period;
		log_debug("ticket_keys", "period=%u", tickets->period);
		send_all(tickets);
	}
	look_again(tickets, now);
}

void tickets_update(struct tickets *tickets, const uint8_t *cookie_secret) {
	time_t now = time(NULL);

	if (cookie_secret == NULL)
		return;
	tickets->cookie_secret = cookie_secret;
	tickets->period = ticket_period(child_cfg(tickets->child));
	tickets->slot = now / (time_t)tickets->period;
	send_all(tickets);
	look_again(tickets, now);
}

void tickets_send(struct tickets *tickets, struct ipc_chan *edge) {
	struct ipc_ticket_keys msg;
	int err;

	if (tickets->cookie_secret == NULL)
		return; // sent when it is there
	err = ticket_keys_make(tickets->cookie_secret, tickets->period, time(NULL), &msg);
	if (err == 0)
		err = ipc_send(edge, IPC_TICKET_KEYS, &msg.hdr, sizeof(msg), NULL, 0);
	explicit_bzero(&msg, sizeof(msg));
	if (err != 0)
		log_error("ticket_keys", "edge=%u text=%s", ipc_chan_peer_index(edge),
			log_value(strerror(-err)));
}

struct tickets *tickets_new(struct child *child) {
	struct tickets *tickets = calloc(1, sizeof(*tickets));

	if (tickets == NULL)
		return NULL;
	tickets->child = child;
	tickets->timer = evtimer_new(child_base(child), on_timer, tickets);
	if (tickets->timer != NULL)
		return tickets;
	free(tickets);
	return NULL;
}

void tickets_free(struct tickets *tickets) {
	if (tickets == NULL)
		return;
	event_free(tickets->timer);
	free(tickets);
}
