// SPDX-License-Identifier: GPL-3.0-or-later
// Kerberos as a factor: tokens of Negotiate, checked by the process that holds the keytab; used by
// login_steps.c.
//
// A step is a message there and its answer. What that process had begun when it died is lost, and
// its logins end: a client begins again.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "factor.h"

struct kerberos_step {
	LIST_ENTRY(kerberos_step) link;
	struct login *login;
	uint64_t id; // 0: there is no context (any more)
	bool waits; // for an answer
};

static LIST_HEAD(, kerberos_step) steps = LIST_HEAD_INITIALIZER(steps);
static uint64_t last_id;

static void interrupted(struct kerberos_step *step) {
	step->id = 0;
	step->waits = false;
	factor_done(step->login,
		&(struct factor_outcome){.result = FACTOR_ERROR,
			.message = "The login was interrupted. Please try again",
			.why = "the Kerberos process is not there"});
}

static void ask(struct kerberos_step *step, const struct factor_input *input) {
	struct ipc_chan *kerberos = child_peer(login_child(step->login), IPC_KERBEROS, 0);
	struct ipc_kerberos_ask *msg;

	if (kerberos == NULL || (input->round > 0 && step->id == 0) ||
		(msg = calloc(1, sizeof(*msg))) == NULL) {
		interrupted(step);
		return;
	}
	if (input->round == 0)
		step->id = ++last_id;
	msg->hdr.req = step->id;
	msg->remote = input->login->remote;
	msg->begins = input->round == 0;
	msg->token_len = (uint32_t)input->token_len;
	memcpy(msg->token, input->token, input->token_len);
	step->waits = true;
	ipc_send(kerberos, IPC_KERBEROS_ASK, &msg->hdr, sizeof(*msg), NULL, 0);
	explicit_bzero(msg, sizeof(*msg));
	free(msg);
}

static void kerberos_step(struct login *login, const struct factor_input *input, void **state) {
	struct kerberos_step *step = *state;

	if (step == NULL) {
		step = calloc(1, sizeof(*step));
		if (step == NULL) {
			factor_done(login, &(struct factor_outcome){.result = FACTOR_ERROR});
			return;
		}
		*state = step;
		step->login = login;
		LIST_INSERT_HEAD(&steps, step, link);
	}
	ask(step, input);
}

static void kerberos_end(struct login *login, void **state) {
	struct kerberos_step *step = *state;
	struct ipc_chan *kerberos = child_peer(login_child(login), IPC_KERBEROS, 0);
	struct ipc_empty msg = {.hdr.req = step->id};

	*state = NULL;
	if (step->id != 0 && kerberos != NULL)
		ipc_send(kerberos, IPC_KERBEROS_CANCEL, &msg.hdr, sizeof(msg), NULL, 0);
	LIST_REMOVE(step, link);
	free(step);
}

static void answered(struct kerberos_step *step, const struct ipc_kerberos_answer *msg) {
	struct factor_outcome outcome = {.result = FACTOR_ERROR,
		.message = "Login is not possible now",
		.why = "no keytab, or the context has gone",
		.token = msg->token,
		.token_len = msg->token_len};

	step->waits = false;
	if (msg->status != IPC_KERBEROS_MORE)
		step->id = 0;
	if (msg->status == IPC_KERBEROS_PASSED) {
		outcome.result = FACTOR_PASSED;
		outcome.user = msg->user;
	} else if (msg->status == IPC_KERBEROS_MORE) {
		outcome.result = FACTOR_ASK;
	} else if (msg->status == IPC_KERBEROS_REFUSED) {
		outcome.result = FACTOR_FAILED;
		outcome.why = "the ticket is refused";
	}
	factor_done(step->login, &outcome);
}

static bool is_valid(const struct ipc_kerberos_answer *msg) {
	return msg->status <= IPC_KERBEROS_UNAVAILABLE && msg->token_len <= sizeof(msg->token) &&
		ipc_str_ok(msg->user, sizeof(msg->user)) &&
		(msg->status != IPC_KERBEROS_PASSED || msg->user[0] != '\0') &&
		(msg->status != IPC_KERBEROS_MORE || msg->token_len > 0);
}

static int kerberos_message(struct child *child, const struct ipc_hdr *hdr) {
	const struct ipc_kerberos_answer *msg = (const void *)hdr;
	struct kerberos_step *step;

	if (!is_valid(msg))
		return -EINVAL;
	LIST_FOREACH(step, &steps, link) {
		if (step->waits && step->id == hdr->req)
			break;
	}
	if (step != NULL)
		answered(step, msg); // else the client has not waited
	return 0;
}

static struct kerberos_step *waiting_find(void) {
	struct kerberos_step *step;

	LIST_FOREACH(step, &steps, link) {
		if (step->waits)
			return step;
	}
	return NULL;
}

// A new process knows nothing of what the old one did.
static void kerberos_peer_up(struct child *child, enum ipc_role role) {
	struct kerberos_step *step;

	if (role != IPC_KERBEROS)
		return;
	LIST_FOREACH(step, &steps, link)
		step->id = 0;
	while ((step = waiting_find()) != NULL)
		interrupted(step);
}

const struct factor factor_kerberos = {
	.name = "kerberos",
	.id = CFG_FACTOR_KERBEROS,
	.scheme = IPC_SCHEME_NEGOTIATE,
	.step = kerberos_step,
	.end = kerberos_end,
	.answer = IPC_KERBEROS_ANSWER,
	.message = kerberos_message,
	.peer_up = kerberos_peer_up,
};
