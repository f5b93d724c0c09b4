// SPDX-License-Identifier: GPL-3.0-or-later
// RADIUS as a factor: asks the process that holds the way to the servers; used by login_steps.c.
//
// A step is a message there and its answer. What is not answered when that process dies is asked
// again of the next one: the server then gets a second request, which for it is as good as a
// retransmission. A challenge (RFC 2865, 2.1) becomes a further form, and its State goes back with
// the user's answer.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "factor.h"

#define CHALLENGES_MAX 16u
#define BUSY "The authentication server does not answer"

// A login with this factor, from the first request to the last answer.
struct radius_step {
	LIST_ENTRY(radius_step) link;
	struct login *login;
	bool waits; // for an answer to `msg`, whose password is there as long
	unsigned challenges;
	struct ipc_radius_ask msg;
};

static LIST_HEAD(, radius_step) steps = LIST_HEAD_INITIALIZER(steps);
static uint64_t last_req;

// Waits when the process is away: peer_up sends it.
static void ask(struct radius_step *step) {
	struct ipc_chan *radius = child_peer(login_child(step->login), IPC_RADIUS, 0);

	step->waits = true;
	step->msg.hdr.req = ++last_req;
	if (radius != NULL)
		ipc_send(radius, IPC_RADIUS_ASK, &step->msg.hdr, sizeof(step->msg), NULL, 0);
}

static void radius_step(struct login *login, const struct factor_input *input, void **state) {
	struct radius_step *step = *state;

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
	step->msg.remote = input->login->remote;
	step->msg.local = input->login->local;
	memcpy(step->msg.username, input->login->username, sizeof(step->msg.username));
	memcpy(step->msg.agent, input->login->agent, sizeof(step->msg.agent));
	explicit_bzero(step->msg.password, sizeof(step->msg.password));
	strncpy(step->msg.password, input->password, sizeof(step->msg.password) - 1);
	ask(step);
}

static void radius_end(struct login *login, void **state) {
	struct radius_step *step = *state;

	*state = NULL;
	LIST_REMOVE(step, link);
	explicit_bzero(step, sizeof(*step));
	free(step);
}

static void challenge(struct radius_step *step, const struct ipc_radius_answer *msg) {
	if (step->challenges++ >= CHALLENGES_MAX) {
		factor_done(step->login,
			&(struct factor_outcome){.result = FACTOR_FAILED,
				.why = "more challenges of the RADIUS server than are allowed"});
		return;
	}
	memcpy(step->msg.state, msg->state, sizeof(step->msg.state));
	step->msg.state_len = msg->state_len;
	factor_done(step->login,
		&(struct factor_outcome){.result = FACTOR_ASK,
			.message = msg->message[0] != '\0' ? msg->message
							   : "One more answer is asked for.",
			.label = "Response:"});
}

static void answered(struct radius_step *step, const struct ipc_radius_answer *msg) {
	struct factor_outcome outcome = {.result = FACTOR_FAILED,
		.message = msg->message,
		.why = "the RADIUS server refuses"};

	switch (msg->status) {
	case IPC_RADIUS_CHALLENGE:
		challenge(step, msg);
		return;
	case IPC_RADIUS_ACCEPT:
		outcome.result = FACTOR_PASSED;
		outcome.groups = msg->settings.groups;
		outcome.settings = &msg->settings;
		outcome.accounting = &msg->facts;
		outcome.user = msg->username[0] != '\0' ? msg->username : NULL;
		outcome.why = NULL;
		break;
	case IPC_RADIUS_UNREACHABLE:
		outcome.result = FACTOR_ERROR;
		outcome.message = BUSY;
		outcome.why = "no RADIUS server answers";
		break;
	default:
		break;
	}
	factor_done(step->login, &outcome);
}

static bool is_valid(const struct ipc_radius_answer *msg) {
	const struct ipc_user_settings *settings = &msg->settings;

	return msg->status <= IPC_RADIUS_UNREACHABLE &&
		(msg->status != IPC_RADIUS_CHALLENGE || msg->state_len > 0) &&
		msg->state_len <= IPC_STATE_LEN && ipc_str_ok(msg->message, sizeof(msg->message)) &&
		ipc_str_ok(settings->groups, sizeof(settings->groups)) &&
		settings->nb_dns <= IPC_USER_DNS && settings->nb_routes <= IPC_USER_ROUTES &&
		settings->inner6_prefix <= 128 && ipc_acct_facts_ok(&msg->facts) &&
		ipc_str_ok(msg->username, sizeof(msg->username));
}

static int radius_message(struct child *child, const struct ipc_hdr *hdr) {
	const struct ipc_radius_answer *msg = (const void *)hdr;
	struct radius_step *step;

	if (!is_valid(msg))
		return -EINVAL;
	LIST_FOREACH(step, &steps, link) {
		if (step->waits && step->msg.hdr.req == hdr->req)
			break;
	}
	if (step == NULL)
		return 0; // the user has not waited
	step->waits = false;
	explicit_bzero(step->msg.password, sizeof(step->msg.password));
	answered(step, msg);
	return 0;
}

static void radius_peer_up(struct child *child, enum ipc_role role) {
	struct radius_step *step;

	if (role != IPC_RADIUS)
		return;
	LIST_FOREACH(step, &steps, link) {
		if (step->waits)
			ask(step);
	}
}

// All servers in turn, each as often as it is tried, and a little for their spread.
static unsigned radius_step_s(const struct cfg *cfg) {
	uint64_t ms = (uint64_t)cfg->radius.timeout_ms * cfg->radius.tries * cfg->radius.nb_servers;

	return ms > 600000 ? 600 : (unsigned)(ms + ms / 8) / 1000 + 2;
}

const struct factor factor_radius = {
	.name = "radius",
	.id = CFG_FACTOR_RADIUS,
	.wants_password = true,
	.step = radius_step,
	.end = radius_end,
	.answer = IPC_RADIUS_ANSWER,
	.message = radius_message,
	.peer_up = radius_peer_up,
	.step_s = radius_step_s,
};
