// SPDX-License-Identifier: GPL-3.0-or-later
// The OCSP process: carries requests of auth to the responder, and answers back. Run by child_main().
//
// It has the way to the responder and nothing else. What it carries is made and judged by auth:
// answers are signed, so that whoever is on the way, this process included, can hold them back and
// no more. Many requests are under way at once; when one after another comes to nothing the
// responder is left alone for a while, so that logins do not all wait for it.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "controlplane/fetch/fetch.h"
#include "controlplane/proc/child.h"
#include "controlplane/proc/log.h"

#define SLOTS 32u // requests at a time
#define WAITING_MAX 1024u
#define FAILURES_MAX 3u // in a row
#define PAUSE_S 5

struct waiting {
	STAILQ_ENTRY(waiting) link;
	struct ipc_ocsp_ask msg;
};

struct slot {
	struct ocsp *owner;
	struct fetch *fetch;
	bool busy;
	uint64_t req;
};

struct ocsp {
	struct child *child;
	struct slot slots[SLOTS];
	STAILQ_HEAD(, waiting) waiting;
	unsigned nb_waiting, failures;
	struct timespec paused_until;
};

static void waiting_next(struct ocsp *ocsp);

// ---- answers

// Nothing, or what the responder said.
static void reply(struct ocsp *ocsp, uint64_t req, const struct fetch_result *result) {
	struct ipc_chan *auth = child_peer(ocsp->child, IPC_AUTH, 0);
	struct ipc_ocsp_answer msg = {.hdr.req = req};

	if (result != NULL && result->error == NULL && result->len <= sizeof(msg.response)) {
		msg.len = (uint32_t)result->len;
		memcpy(msg.response, result->body, result->len);
	}
	if (auth != NULL)
		ipc_send(auth, IPC_OCSP_ANSWER, &msg.hdr, sizeof(msg), NULL, 0);
}

static bool is_paused(const struct ocsp *ocsp) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec < ocsp->paused_until.tv_sec;
}

static void failure_count(struct ocsp *ocsp, const char *error) {
	log_warning("ocsp_responder", "text=%s", log_value(error));
	if (++ocsp->failures < FAILURES_MAX)
		return;
	ocsp->failures = 0;
	clock_gettime(CLOCK_MONOTONIC, &ocsp->paused_until);
	ocsp->paused_until.tv_sec += PAUSE_S;
}

static void on_done(const struct fetch_result *result, void *arg) {
	struct slot *slot = arg;
	struct ocsp *ocsp = slot->owner;

	slot->busy = false;
	if (result->error != NULL)
		failure_count(ocsp, result->error);
	else
		ocsp->failures = 0;
	reply(ocsp, slot->req, result);
	waiting_next(ocsp);
}

// ---- requests

static struct slot *slot_find(struct ocsp *ocsp) {
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!ocsp->slots[i].busy)
			return &ocsp->slots[i];
	}
	return NULL;
}

static void request_send(struct slot *slot, const struct ipc_ocsp_ask *msg) {
	const struct cfg_client_cert *cfg = &child_cfg(slot->owner->child)->auth.client_cert;
	const struct fetch_post post = {
		.type = "application/ocsp-request", .body = msg->request, .len = msg->len};
	int err;

	slot->req = msg->hdr.req;
	err = fetch_post(slot->fetch, cfg->ocsp_url, &post, cfg->ocsp_timeout_ms, on_done, slot);
	slot->busy = err == 0;
	if (err == 0)
		return;
	log_warning("ocsp_responder", "text=%s", log_value(strerror(-err)));
	reply(slot->owner, slot->req, NULL);
}

// A place is free, or the responder is left alone: then nobody has to wait.
static void waiting_next(struct ocsp *ocsp) {
	struct waiting *waiting;
	struct slot *slot = NULL;

	while ((waiting = STAILQ_FIRST(&ocsp->waiting)) != NULL) {
		bool paused = is_paused(ocsp);

		if (!paused && (slot = slot_find(ocsp)) == NULL)
			return;
		STAILQ_REMOVE_HEAD(&ocsp->waiting, link);
		ocsp->nb_waiting--;
		if (paused)
			reply(ocsp, waiting->msg.hdr.req, NULL);
		else
			request_send(slot, &waiting->msg);
		free(waiting);
	}
}

static int on_ask(struct ocsp *ocsp, const struct ipc_ocsp_ask *msg) {
	struct waiting *waiting;

	if (msg->len == 0 || msg->len > sizeof(msg->request))
		return -EINVAL;
	waiting = ocsp->nb_waiting < WAITING_MAX ? malloc(sizeof(*waiting)) : NULL;
	if (waiting == NULL) {
		reply(ocsp, msg->hdr.req, NULL);
		return 0;
	}
	waiting->msg = *msg;
	STAILQ_INSERT_TAIL(&ocsp->waiting, waiting, link);
	ocsp->nb_waiting++;
	waiting_next(ocsp);
	return 0;
}

// ---- life

static void waiting_drop(struct ocsp *ocsp) {
	struct waiting *waiting;

	while ((waiting = STAILQ_FIRST(&ocsp->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&ocsp->waiting, link);
		free(waiting);
	}
	ocsp->nb_waiting = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		fetch_cancel(ocsp->slots[i].fetch);
		ocsp->slots[i].busy = false;
	}
}

static int role_prepare(struct child *child) {
	struct ocsp *ocsp = calloc(1, sizeof(*ocsp));

	if (ocsp == NULL)
		return -ENOMEM;
	ocsp->child = child;
	STAILQ_INIT(&ocsp->waiting);
	child_data_set(child, ocsp);
	for (unsigned i = 0; i < SLOTS; i++) {
		ocsp->slots[i].owner = ocsp;
		ocsp->slots[i].fetch = fetch_new(child_base(child));
		if (ocsp->slots[i].fetch == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int role_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds) {
	return msg->type == IPC_OCSP_ASK
		? on_ask(child_data(child), (const struct ipc_ocsp_ask *)msg)
		: -EINVAL;
}

// Its successor must not get answers to what it never asked.
static void role_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	waiting_drop(child_data(child));
}

static void role_stop(struct child *child) {
	struct ocsp *ocsp = child_data(child);

	waiting_drop(ocsp);
	for (unsigned i = 0; i < SLOTS; i++)
		fetch_free(ocsp->slots[i].fetch);
	free(ocsp);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role ocsp_role = {
	.role = IPC_OCSP,
	.name = "ocsp",
	.prepare = role_prepare,
	.message = role_message,
	.peer_down = role_peer_down,
	.stop = role_stop,
};
