// SPDX-License-Identifier: GPL-3.0-or-later
// One way to check who a user is; the factors of an alternative are asked one after another by
// login.c, and each may ask the user several times.
//
// A factor never blocks: what takes long runs in a thread (verify.h) or in another process, and
// ends in factor_done(). All memory of a run is the factor's own (`state`), freed by `end`.
#pragma once

#include "controlplane/ipc/msg.h"
#include "yang/config.h"

struct login; // login.c

enum factor_result {
	FACTOR_PASSED,
	FACTOR_FAILED, // wrong: the user may try again, as often as password-tries says
	FACTOR_ASK, // the user has to answer `message` in a further form
	FACTOR_ERROR, // cannot be decided now: `message` is for the log and X-Reason
};

// The answer of one step. What `message`, `label` and `settings` point to is copied.
struct factor_outcome {
	enum factor_result result;
	const char *message; // NULL: none
	const char *label; // FACTOR_ASK: of the field; NULL: "Password:"
	const char *groups; // FACTOR_PASSED: comma separated, or NULL
	const struct ipc_user_settings *settings; // FACTOR_PASSED, or NULL
	const char *why; // for the log alone, or NULL
};

// What the user has sent. Wiped by the caller after `step` returned.
struct factor_input {
	const struct ipc_login *login; // first request of the login: user, addresses, agent
	const char *password; // of this form
	unsigned round; // 0: the first step of this factor in this login
};

struct factor {
	const char *name; // as in the configuration: "radius"
	enum cfg_factor id;
	// The first form's password is for this factor (false: it asks in a form of its own).
	bool wants_password;
	// Once a process; `child` is auth's. 0 or -errno.
	int (*start)(struct child *child);
	void (*stop)(struct child *child);
	// Begins (round 0, *state NULL) or goes on. Calls factor_done() now or later, once.
	void (*step)(struct login *login, const struct factor_input *input, void **state);
	// The login is over, or gone while a step runs: no factor_done() any more.
	void (*end)(struct login *login, void **state);
};

// login.c
void factor_done(struct login *login, const struct factor_outcome *outcome);
struct child *login_child(const struct login *login);
