// SPDX-License-Identifier: GPL-3.0-or-later
// A factor's conversations with the process that decides: questions and answers over several forms,
// which end when that process dies. Used by factor_pam.c and factor_kerberos.c.
#pragma once

#include <sys/queue.h>

#include "factor.h"

struct talk {
	LIST_ENTRY(talk) link;
	struct login *login;
	uint64_t id; // hdr.req of its messages; 0: there is no conversation (any more)
	bool waits; // for an answer
};

// Of one factor. The name of the process is for the log.
struct talks {
	LIST_HEAD(, talk) list;
	uint64_t last_id;
	enum ipc_role role;
	enum ipc_type cancel; // of struct ipc_empty: ends a conversation there
	const char *why_gone;
};

// The conversation of this login, which begins in the first round. NULL: the factor is done, there is
// no way to the process or nothing that it could go on with.
struct talk *talk_step(
	struct talks *talks, struct login *login, const struct factor_input *input, void **state);
// Sends a step's message, with the conversation's number in it.
void talk_ask(struct talks *talks, struct talk *talk, enum ipc_type type, struct ipc_hdr *msg,
	size_t len);
// An answer has come: whose? NULL: the user has not waited.
struct talk *talk_find(struct talks *talks, const struct ipc_hdr *msg);
// As a factor's `end` and `peer_up`.
void talk_end(struct talks *talks, struct login *login, void **state);
void talks_peer_up(struct talks *talks, enum ipc_role role);
