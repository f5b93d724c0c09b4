// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps a factor's conversations with the process that decides; called by factors.
//
// What was under way in a process that died is lost, and its login ends: to begin again is the
// user's.

#include "talk.h"

#include <stdlib.h>

static void interrupted(const struct talks *talks, struct talk *talk) {
	talk->id = 0;
	talk->waits = false;
	factor_done(talk->login,
		&(struct factor_outcome){.result = FACTOR_ERROR,
			.message = "The login was interrupted. Please try again",
			.why = talks->why_gone});
}

static struct talk *talk_new(struct talks *talks, struct login *login) {
	struct talk *talk = calloc(1, sizeof(*talk));

	if (talk == NULL)
		return NULL;
	talk->login = login;
	LIST_INSERT_HEAD(&talks->list, talk, link);
	return talk;
}

struct talk *talk_step(
	struct talks *talks, struct login *login, const struct factor_input *input, void **state) {
	struct talk *talk = *state;

	if (talk == NULL)
		*state = talk = talk_new(talks, login);
	if (talk == NULL) {
		factor_done(login, &(struct factor_outcome){.result = FACTOR_ERROR});
		return NULL;
	}
	if (child_peer(login_child(login), talks->role, 0) == NULL ||
		(input->round > 0 && talk->id == 0)) {
		interrupted(talks, talk);
		return NULL;
	}
	if (input->round == 0)
		talk->id = ++talks->last_id;
	return talk;
}

void talk_ask(struct talks *talks, struct talk *talk, enum ipc_type type, struct ipc_hdr *msg,
	size_t len) {
	msg->req = talk->id;
	talk->waits = true;
	ipc_send(child_peer(login_child(talk->login), talks->role, 0), type, msg, len, NULL, 0);
}

struct talk *talk_find(struct talks *talks, const struct ipc_hdr *msg) {
	struct talk *talk;

	LIST_FOREACH(talk, &talks->list, link) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		if (talk->id == msg->req && msg->req != 0)
			break;
	}
	return talk;
}

void talk_end(struct talks *talks, struct login *login, void **state) {
	struct talk *talk = *state;
	struct ipc_chan *chan = child_peer(login_child(login), talks->role, 0);
	struct ipc_empty msg = {.hdr.req = talk->id};

	*state = NULL;
	if (talk->id != 0 && chan != NULL)
		ipc_send(chan, talks->cancel, &msg.hdr, sizeof(msg), NULL, 0);
	LIST_REMOVE(talk, link);
	free(talk);
}

static struct talk *waiting_find(struct talks *talks) {
	struct talk *talk;

	LIST_FOREACH(talk, &talks->list, link) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		if (talk->waits)
			break;
	}
	return talk;
}

// A new process knows nothing of what the old one did.
void talks_peer_up(struct talks *talks, enum ipc_role role) {
	struct talk *talk;

	if (role != talks->role)
		return;
	LIST_FOREACH(talk, &talks->list, link)
		talk->id = 0;
	while ((talk = waiting_find(talks)) != NULL)
		interrupted(talks, talk);
}
