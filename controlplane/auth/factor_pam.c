// SPDX-License-Identifier: GPL-3.0-or-later
// PAM as a factor: a conversation in the process that may run modules; used by login_steps.c.
//
// A step is a message there and its answer: a question becomes a further form. What runs there
// while that process dies is lost, and its login ends: to begin again is the user's.

#include <errno.h>
#include <string.h>

#include "talk.h"

static struct talks talks = {
	.role = IPC_PAM,
	.cancel = IPC_PAM_CANCEL,
	.why_gone = "the PAM process is not there",
};

static void pam_step(struct login *login, const struct factor_input *input, void **state) {
	struct talk *talk = talk_step(&talks, login, input, state);
	struct ipc_pam_ask msg = {.remote = input->login->remote};

	if (talk == NULL)
		return;
	if (input->round == 0)
		memcpy(msg.username, input->login->username, sizeof(msg.username));
	if (input->password != NULL) {
		msg.has_password = 1;
		strncpy(msg.password, input->password, sizeof(msg.password) - 1);
	}
	talk_ask(&talks, talk, IPC_PAM_ASK, &msg.hdr, sizeof(msg));
	explicit_bzero(&msg, sizeof(msg));
}

static void pam_end(struct login *login, void **state) {
	talk_end(&talks, login, state);
}

static void answered(struct talk *talk, const struct ipc_pam_answer *msg) {
	struct factor_outcome outcome = {.result = FACTOR_FAILED};

	talk->waits = false;
	if (msg->status != IPC_PAM_QUESTION)
		talk->id = 0;
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
	factor_done(talk->login, &outcome);
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
	struct talk *talk;

	if (!is_valid(msg))
		return -EINVAL;
	talk = talk_find(&talks, hdr);
	if (talk == NULL)
		return 0; // the user has not waited
	if (talk->waits)
		answered(talk, msg);
	else if (msg->status == IPC_PAM_UNDECIDED)
		talk->id = 0; // ended while the question is with the user
	return 0;
}

static void pam_peer_up(struct child *child, enum ipc_role role) {
	talks_peer_up(&talks, role);
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
