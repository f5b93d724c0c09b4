// SPDX-License-Identifier: GPL-3.0-or-later
// Kerberos as a factor: tokens of Negotiate, checked by the process that holds the keytab; used by
// login_steps.c.
//
// A step is a message there and its answer. What that process had begun when it died is lost, and
// its logins end: a client begins again.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "talk.h"

static struct talks talks = {
	.role = IPC_KERBEROS,
	.cancel = IPC_KERBEROS_CANCEL,
	.why_gone = "the Kerberos process is not there",
};

static void kerberos_step(struct login *login, const struct factor_input *input, void **state) {
	struct talk *talk = talk_step(&talks, login, input, state);
	struct ipc_kerberos_ask *msg;

	if (talk == NULL)
		return;
	msg = calloc(1, sizeof(*msg));
	if (msg == NULL) {
		factor_done(login, &(struct factor_outcome){.result = FACTOR_ERROR});
		return;
	}
	msg->remote = input->login->remote;
	msg->begins = input->round == 0;
	msg->token_len = (uint32_t)input->token_len;
	memcpy(msg->token, input->token, input->token_len);
	talk_ask(&talks, talk, IPC_KERBEROS_ASK, &msg->hdr, sizeof(*msg));
	explicit_bzero(msg, sizeof(*msg));
	free(msg);
}

static void kerberos_end(struct login *login, void **state) {
	talk_end(&talks, login, state);
}

static void answered(struct talk *talk, const struct ipc_kerberos_answer *msg) {
	struct factor_outcome outcome = {.result = FACTOR_ERROR,
		.message = "Login is not possible now",
		.why = "no keytab, or the context has gone",
		.token = msg->token,
		.token_len = msg->token_len};

	talk->waits = false;
	if (msg->status != IPC_KERBEROS_MORE)
		talk->id = 0;
	if (msg->status == IPC_KERBEROS_PASSED) {
		outcome.result = FACTOR_PASSED;
		outcome.user = msg->user;
	} else if (msg->status == IPC_KERBEROS_MORE) {
		outcome.result = FACTOR_ASK;
	} else if (msg->status == IPC_KERBEROS_REFUSED) {
		outcome.result = FACTOR_FAILED;
		outcome.why = "the ticket is refused";
	}
	factor_done(talk->login, &outcome);
}

static bool is_valid(const struct ipc_kerberos_answer *msg) {
	return msg->status <= IPC_KERBEROS_UNAVAILABLE && msg->token_len <= sizeof(msg->token) &&
		ipc_str_ok(msg->user, sizeof(msg->user)) &&
		(msg->status != IPC_KERBEROS_PASSED || msg->user[0] != '\0') &&
		(msg->status != IPC_KERBEROS_MORE || msg->token_len > 0);
}

static int kerberos_message(struct child *child, const struct ipc_hdr *hdr) {
	const struct ipc_kerberos_answer *msg = (const void *)hdr;
	struct talk *talk;

	if (!is_valid(msg))
		return -EINVAL;
	talk = talk_find(&talks, hdr);
	if (talk != NULL && talk->waits)
		answered(talk, msg); // else the client has not waited
	return 0;
}

static void kerberos_peer_up(struct child *child, enum ipc_role role) {
	talks_peer_up(&talks, role);
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
