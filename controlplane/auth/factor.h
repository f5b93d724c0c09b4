// SPDX-License-Identifier: GPL-3.0-or-later
// One way to check who a user is; the factors of an alternative are asked one after another by
// login.c, and each may ask the user several times.
//
// A factor never blocks: what takes long runs in a thread (verify.h) or in another process, and
// ends in factor_done(). All memory of a run is the factor's own (`state`), freed by `end`.
#pragma once

#include "controlplane/proc/child.h"

struct login; // login_int.h

enum factor_result {
	FACTOR_PASSED,
	FACTOR_FAILED, // wrong: the user may try again, as often as password-tries says
	FACTOR_ASK, // the user has to answer `message` in a further form
	FACTOR_ERROR, // cannot be decided now: `message` is for the log and X-Reason
};

// The answer of one step. What its pointers point to is copied.
struct factor_outcome {
	enum factor_result result;
	const char *message; // NULL: none
	const char *label; // FACTOR_ASK: of the field; NULL: "Password:"
	bool echo; // FACTOR_ASK: what is typed may be seen
	const char *said; // FACTOR_FAILED: shown to the user with the form that follows, or NULL
	const char *groups; // FACTOR_PASSED: comma separated, or NULL
	const struct ipc_user_settings *settings; // FACTOR_PASSED, or NULL
	const struct ipc_acct_facts *accounting; // FACTOR_PASSED: Class, or NULL
	// FACTOR_PASSED: who the user is by the canonical name (a server may take Ann for ann), or
	// NULL: as the user said. Shorter than IPC_USER_LEN and not empty, else the factor has failed.
	// Further factors, settings and session are this user's. When a factor has passed before, it
	// was for that name: another one is refused.
	const char *user;
	// For the client's next Authorization field (FACTOR_ASK with a token asks for that instead of
	// a form), or for it to know the server by. At most IPC_TOKEN_ANSWER_LEN bytes.
	const uint8_t *token;
	size_t token_len;
	const char *why; // for the log alone: a literal, or NULL
	bool no_guess; // FACTOR_FAILED: nothing that can be guessed at was wrong: no points
};

// What the user has sent. Wiped by the caller after `step` returned.
struct factor_input {
	const struct ipc_login *login; // first request of the login: user, addresses, agent
	// Of this form; NULL: the factor has not asked yet. The first factor of an alternative gets
	// that of the first form, wanted or not.
	const char *password;
	unsigned round; // 0: the first step of this factor in this login
	// Of a factor with a scheme: what came in the Authorization field; the password is NULL and
	// login->username empty.
	const uint8_t *token;
	size_t token_len;
	// What the client has shown in its TLS handshake (client_cert.h); NULL: nothing.
	const uint8_t *chain;
	size_t chain_len;
};

struct factor {
	const char *name; // as in the configuration: "radius"
	enum cfg_factor id;
	// What its logins begin with. Not a form: the factor is the first of its method, is stepped
	// with tokens alone, and says who the user is.
	enum ipc_scheme scheme;
	// Behind other factors: a form asks for a password before the first step (false: the factor
	// asks in a form of its own).
	bool wants_password;
	// Needs nothing that a form asks for, and says who the user is: a login may begin with it
	// before there is a user name.
	bool formless;
	// Once a process; `child` is auth's. 0 or -errno. NULL: nothing to do.
	int (*start)(struct child *child);
	void (*stop)(struct child *child);
	// Begins (round 0, *state NULL) or goes on. Calls factor_done() now or later, once; now: as
	// the last thing it does.
	void (*step)(struct login *login, const struct factor_input *input, void **state);
	// The factor is done with this login, or the login is gone while a step runs: no
	// factor_done() any more. Called whenever *state is not NULL, and leaves NULL there.
	void (*end)(struct login *login, void **state);
	// What other processes send to this factor: the one type of its answers, or 0. Non-zero: the
	// content is not valid, the sender is ended.
	enum ipc_type answer;
	int (*message)(struct child *child, const struct ipc_hdr *msg);
	// There is another configuration; may be NULL.
	void (*reloaded)(struct child *child);
	// A process has come, or come again; may be NULL.
	void (*peer_up)(struct child *child, enum ipc_role role);
	// Seconds that one step may take; NULL: FACTOR_STEP_S.
	unsigned (*step_s)(const struct cfg *cfg);
};

#define FACTOR_STEP_S 10u
#define FACTOR_STEP_MAX_S 60u // an edge waits a little longer

// login_steps.c
void factor_done(struct login *login, const struct factor_outcome *outcome);
struct child *login_child(const struct login *login);

// factors.c
extern const struct factor *const factors[]; // NULL-terminated
const struct factor *factor_find(enum cfg_factor id);
extern const struct factor factor_password, factor_otp, factor_radius;
extern const struct factor factor_pam;
extern const struct factor factor_kerberos;
extern const struct factor factor_oidc;
extern const struct factor factor_certificate;
