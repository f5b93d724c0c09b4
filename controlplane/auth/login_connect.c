// SPDX-License-Identifier: GPL-3.0-or-later
// CONNECTs, from an edge to the session process with the cookie replaced by its hash; called by
// auth.c. What comes while the session process is away, or before the cookie secret is here, is
// kept.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "login_int.h"

#define CONNECTS_MAX 4096u
#define CONNECT_WAIT_S 10

static void waiting_drop(struct logins *logins, struct waiting_connect *waiting) {
	TAILQ_REMOVE(&logins->connects, waiting, link);
	logins->nb_connects--;
	explicit_bzero(waiting, sizeof(*waiting));
	free(waiting);
}

static void connects_expire(struct logins *logins, const struct timespec *now) {
	struct waiting_connect *first;

	while ((first = TAILQ_FIRST(&logins->connects)) != NULL &&
		first->until.tv_sec <= now->tv_sec)
		waiting_drop(logins, first);
}

// The edge gives up by itself: what finds no place here is simply not forwarded.
static void connect_keep(struct logins *logins, const struct ipc_connect *msg) {
	struct waiting_connect *waiting;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	connects_expire(logins, &now);
	TAILQ_FOREACH(waiting, &logins->connects, link) {
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (waiting->msg.edge == msg->edge && waiting->msg.hdr.req == msg->hdr.req)
			return;
	}
	if (logins->nb_connects >= CONNECTS_MAX)
		return;
	waiting = calloc(1, sizeof(*waiting));
	if (waiting == NULL)
		return;
	waiting->msg = *msg;
	waiting->until = now;
	waiting->until.tv_sec += CONNECT_WAIT_S;
	TAILQ_INSERT_TAIL(&logins->connects, waiting, link);
	logins->nb_connects++;
}

// False: it can go once the session process and the secret are there.
static bool connect_forward(struct logins *logins, const struct ipc_connect *msg) {
	struct ipc_chan *session = child_peer(logins->child, IPC_SESSION, 0);
	struct ipc_connect copy = *msg;
	bool sent = session != NULL && logins->have_secret &&
		login_cookie_hash(logins, msg->cookie, copy.cookie) == 0 &&
		ipc_send(session, IPC_SESSION_CONNECT, &copy.hdr, sizeof(copy), NULL, 0) == 0;

	explicit_bzero(&copy, sizeof(copy));
	return sent;
}

int logins_connect(struct logins *logins, struct ipc_chan *edge, const struct ipc_connect *msg) {
	struct ipc_connect copy = *msg;

	if (!ipc_str_ok(msg->hostname, sizeof(msg->hostname)) ||
		!ipc_str_ok(msg->agent, sizeof(msg->agent)) ||
		!ipc_str_ok(msg->device_type, sizeof(msg->device_type)) ||
		!ipc_str_ok(msg->device_platform, sizeof(msg->device_platform)))
		return -EINVAL;
	copy.edge = ipc_chan_peer_index(edge);
	if (!connect_forward(logins, &copy))
		connect_keep(logins, &copy);
	explicit_bzero(&copy, sizeof(copy));
	return 0;
}

void login_connects_up(struct logins *logins) {
	struct waiting_connect *waiting;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	connects_expire(logins, &now);
	while ((waiting = TAILQ_FIRST(&logins->connects)) != NULL &&
		connect_forward(logins, &waiting->msg))
		waiting_drop(logins, waiting);
}

void login_connects_edge_down(struct logins *logins, unsigned index) {
	struct waiting_connect *waiting, *next;

	for (waiting = TAILQ_FIRST(&logins->connects); waiting != NULL; waiting = next) {
		next = TAILQ_NEXT(waiting, link);
		if (waiting->msg.edge == index)
			waiting_drop(logins, waiting);
	}
}

void login_connects_free(struct logins *logins) {
	while (!TAILQ_EMPTY(&logins->connects))
		waiting_drop(logins, TAILQ_FIRST(&logins->connects));
}
