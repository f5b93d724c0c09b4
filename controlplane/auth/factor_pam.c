// SPDX-License-Identifier: GPL-3.0-or-later
// PAM as a factor: a conversation in the process that may run modules; used by login_steps.c.
//
// A step is a message there and its answer: a question becomes a further form. What runs there
// while that process dies is lost, and its login ends: to begin again is the user's.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "factor.h"

#define INTERRUPTED "The login was interrupted. Please try again"

struct pam_step {
	LIST_ENTRY(pam_step) link;
	struct login *login;
	uint64_t id; // 0: there is no conversation (any more)
	bool waits; // for an answer
};

static LIST_HEAD(, pam_step) steps = LIST_HEAD_INITIALIZER(steps);
static uint64_t last_id;

static void interrupted(struct pam_step *step) {
	step->id = 0;
	step->waits = false;
	factor_done(step->login,
		&(struct factor_outcome){.result = FACTOR_ERROR,
			.message = INTERRUPTED,
			.why = "the PAM process is not there"});
}

static void ask(struct pam_step *step, const struct factor_input *input) {
	struct ipc_chan *pam = child_peer(login_child(step->login), IPC_PAM, 0);
	struct ipc_pam_ask msg = {.remote = input->login->remote};

	if (pam == NULL || (input->round > 0 && step->id == 0)) {
		interrupted(step);
		return;
	}
	if (input->round == 0) {
		step->id = ++last_id;
		memcpy(msg.username, input->login->username, sizeof(msg.username));
	}
	if (input->password != NULL) {
		msg.has_password = 1;
		strncpy(msg.password, input->password, sizeof(msg.password) - 1);
	}
	msg.hdr.req = step->id;
	step->waits = true;
	ipc_send(pam, IPC_PAM_ASK, &msg.hdr, sizeof(msg), NULL, 0);
	explicit_bzero(&msg, sizeof(msg));
}

static void pam_step(struct login *login, const struct factor_input *input, void **state) {
	struct pam_step *step = *state;

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

static void pam_end(struct login *login, void **state) {
	struct pam_step *step = *state;
	struct ipc_chan *pam = child_peer(login_child(login), IPC_PAM, 0);
	struct ipc_empty msg = {.hdr.req = step->id};

	*state = NULL;
	if (step->id != 0 && pam != NULL)
		ipc_send(pam, IPC_PAM_CANCEL, &msg.hdr, sizeof(msg), NULL, 0);
	LIST_REMOVE(step, link);
	free(step);
}

static void answered(struct pam_step *step, const struct ipc_pam_answer *msg) {
	struct factor_outcome outcome = {.result = FACTOR_FAILED};

	step->waits = false;
	if (msg->status != IPC_PAM_QUESTION)
		step->id = 0;
	switch (msg->status) {
	case IPC_PAM_QUESTION:
		outcome.result = FACTOR_ASK;
		outcome.message = msg->message;
		outcome.label = msg->label;
		outcome.echo = msg->echo != 0;
		break;
	case IPC_PAM_PASSED:
		outcome.result = FACTOR_PASSED;
		outcome.user = msg->user;
		outcome.groups = msg->groups;
		break;
	case IPC_PAM_FAILED:
		outcome.said = msg->message[0] != '\0' ? msg->message : NULL;
		outcome.why = "PAM refuses";
		break;
	default:
		outcome.result = FACTOR_ERROR;
		outcome.message = "Login is not possible now";
		outcome.why = "PAM cannot decide";
		break;
	}
	factor_done(step->login, &outcome);
}

static bool is_valid(const struct ipc_pam_answer *msg) {
	return msg->status <= IPC_PAM_UNDECIDED && ipc_str_ok(msg->message, sizeof(msg->message)) &&
		ipc_str_ok(msg->label, sizeof(msg->label)) &&
		ipc_str_ok(msg->user, sizeof(msg->user)) &&
		ipc_str_ok(msg->groups, sizeof(msg->groups)) &&
		ipc_str_ok(msg->why, sizeof(msg->why));
}

static int pam_message(struct child *child, const struct ipc_hdr *hdr) {
	const struct ipc_pam_answer *msg = (const void *)hdr;
	struct pam_step *step;

	if (!is_valid(msg))
		return -EINVAL;
	LIST_FOREACH(step, &steps, link) {
		if (step->id == hdr->req)
			break;
	}
	if (step == NULL)
		return 0; // the user has not waited
	if (step->waits)
		answered(step, msg);
	else if (msg->status == IPC_PAM_UNDECIDED)
		step->id = 0; // ended while the question is with the user
	return 0;
}

static struct pam_step *waiting_find(void) {
	struct pam_step *step;

	LIST_FOREACH(step, &steps, link) {
		if (step->waits)
			return step;
	}
	return NULL;
}

// A new process knows nothing of what the old one did.
static void pam_peer_up(struct child *child, enum ipc_role role) {
	struct pam_step *step;

	if (role != IPC_PAM)
		return;
	LIST_FOREACH(step, &steps, link)
		step->id = 0;
	while ((step = waiting_find()) != NULL)
		interrupted(step);
}

static unsigned pam_step_s(const struct cfg *cfg) {
	return cfg->auth.pam.step_timeout;
}

const struct factor factor_pam = {
	.name = "pam",
	.id = CFG_FACTOR_PAM,
	.step = pam_step,
	.end = pam_end,
	.answer = IPC_PAM_ANSWER,
	.message = pam_message,
	.peer_up = pam_peer_up,
	.step_s = pam_step_s,
};
