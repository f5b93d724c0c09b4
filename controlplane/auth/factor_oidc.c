// SPDX-License-Identifier: GPL-3.0-or-later
// A bearer token as a factor: asks the process that has the issuer's keys; used by login_steps.c.
//
// The token is kept for the time of one step, so that it can be asked again of that process's
// successor.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "factor.h"

struct oidc_step {
	LIST_ENTRY(oidc_step) link;
	struct login *login;
	struct ipc_oidc_ask msg;
};

static LIST_HEAD(, oidc_step) steps = LIST_HEAD_INITIALIZER(steps);
static uint64_t last_req;

// Waits when the process is away: peer_up sends it.
static void ask(struct oidc_step *step) {
	struct ipc_chan *oidc = child_peer(login_child(step->login), IPC_OIDC, 0);

	step->msg.hdr.req = ++last_req;
	if (oidc != NULL)
		ipc_send(oidc, IPC_OIDC_ASK, &step->msg.hdr, sizeof(step->msg), NULL, 0);
}

static void oidc_step(struct login *login, const struct factor_input *input, void **state) {
	struct oidc_step *step;

	step = calloc(1, sizeof(*step));
	if (step == NULL) {
		factor_done(login, &(struct factor_outcome){.result = FACTOR_ERROR});
		return;
	}
	*state = step;
	step->login = login;
	LIST_INSERT_HEAD(&steps, step, link);
	step->msg.token_len = (uint32_t)input->token_len;
	memcpy(step->msg.token, input->token, input->token_len);
	ask(step);
}

static void oidc_end(struct login *login, void **state) {
	struct oidc_step *step = *state;

	*state = NULL;
	LIST_REMOVE(step, link);
	explicit_bzero(step, sizeof(*step));
	free(step);
}

static void answered(struct oidc_step *step, const struct ipc_oidc_answer *msg) {
	static const char *const why[] = {
		[IPC_OIDC_ACCEPTED] = NULL,
		[IPC_OIDC_MALFORMED] = "the token is no signed JWT for a login",
		[IPC_OIDC_ALGORITHM] = "the token is signed by an algorithm that is not allowed",
		[IPC_OIDC_UNKNOWN_KEY] =
			"the token is signed by a key that the issuer does not have",
		[IPC_OIDC_SIGNATURE] = "the signature of the token is wrong",
		[IPC_OIDC_ISSUER] = "the token is of another issuer",
		[IPC_OIDC_AUDIENCE] = "the token is for another audience",
		[IPC_OIDC_EXPIRED] = "the token has expired",
		[IPC_OIDC_NOT_YET] = "the token is not valid yet",
		[IPC_OIDC_CLAIM] = "the token lacks a required claim",
		[IPC_OIDC_USER] = "the token names no user",
		[IPC_OIDC_UNAVAILABLE] = "the keys of the issuer cannot be had",
	};
	struct factor_outcome outcome = {.result = FACTOR_FAILED, .why = why[msg->status]};

	if (msg->status == IPC_OIDC_ACCEPTED) {
		outcome.result = FACTOR_PASSED;
		outcome.user = msg->username;
		outcome.groups = msg->groups;
	} else if (msg->status == IPC_OIDC_UNAVAILABLE) {
		outcome.result = FACTOR_ERROR;
		outcome.message = "The identity provider does not answer";
	}
	factor_done(step->login, &outcome);
}

static bool is_valid(const struct ipc_oidc_answer *msg) {
	return msg->status <= IPC_OIDC_UNAVAILABLE &&
		ipc_str_ok(msg->username, sizeof(msg->username)) &&
		ipc_str_ok(msg->groups, sizeof(msg->groups)) &&
		(msg->status != IPC_OIDC_ACCEPTED || msg->username[0] != '\0');
}

static int oidc_message(struct child *child, const struct ipc_hdr *hdr) {
	const struct ipc_oidc_answer *msg = (const void *)hdr;
	struct oidc_step *step;

	if (!is_valid(msg))
		return -EINVAL;
	LIST_FOREACH(step, &steps, link) {
		if (step->msg.hdr.req == hdr->req)
			break;
	}
	if (step != NULL) // else the user has not waited
		answered(step, msg);
	return 0;
}

static void oidc_peer_up(struct child *child, enum ipc_role role) {
	struct oidc_step *step;

	if (role != IPC_OIDC)
		return;
	LIST_FOREACH(step, &steps, link)
		ask(step);
}

const struct factor factor_oidc = {
	.name = "oidc",
	.id = CFG_FACTOR_OIDC,
	.scheme = IPC_SCHEME_BEARER,
	.step = oidc_step,
	.end = oidc_end,
	.answer = IPC_OIDC_ANSWER,
	.message = oidc_message,
	.peer_up = oidc_peer_up,
};
