// SPDX-License-Identifier: GPL-3.0-or-later
// One login, shared by the files that carry it: login.c (requests, transactions, answers),
// login_steps.c (alternatives and factors), login_session.c (the session process and cookies),
// login_connect.c (CONNECTs).
#pragma once

#include <sys/queue.h>
#include <time.h>

#include "factor.h"
#include "login.h"

#define LOGIN_ALTERNATIVES_MAX 8u
#define LOGIN_ROUNDS_MAX 16u // further forms of one transaction
#define LOGIN_EDGE_NONE UINT32_MAX
#define LOGIN_BUCKETS 256u
#define LOGIN_ASK "Please enter your username and password."

struct event;

enum login_state {
	LOGIN_STEP, // a factor works
	LOGIN_SESSION, // for the session process
	LOGIN_PARKED, // for the client's next form
};

// What an attempt (a first form and what follows from it) has come to.
struct login_attempt {
	uint8_t alternatives[LOGIN_ALTERNATIVES_MAX][CFG_FACTORS_MAX]; // enum cfg_factor; 0: none
	unsigned nb_alternatives;
	unsigned alternative, place; // the factor at hand
	unsigned round; // its next
	void *state; // the factor's own
	uint32_t passed; // bits of enum cfg_factor
	bool formless; // no form was sent yet: there is no user name and no password
	bool skipped; // and so there was an alternative that could not be tried
	bool committed; // a further form was sent: no other alternative any more
	bool undecided; // a factor said FACTOR_ERROR
	bool wrong; // one said FACTOR_FAILED, and that was not reported yet
	char error[IPC_REASON_LEN]; // its message
	const char *error_why; // for the log; a literal, or NULL
	const char *why; // of the last failure; a literal
	char said[IPC_MESSAGE_LEN]; // of it, to the user
	bool echo; // of the further form at hand
	char groups[IPC_GROUPS_LEN];
	struct ipc_user_settings settings;
	struct ipc_acct_facts facts; // without `authentic`, which follows from `passed`
	uint32_t answer_len; // 0: none
	uint8_t answer[IPC_TOKEN_ANSWER_LEN]; // token for the client, with what it hears next
	bool wants_token; // the client's next message is to have one
};

// A transaction: what one client does until it is let in or sent away.
struct login {
	TAILQ_ENTRY(login) link; // logins->active or ->parked
	LIST_ENTRY(login) by_id;
	struct logins *owner;
	uint8_t transaction[IPC_TRANSACTION_LEN];
	enum login_state state;
	struct timespec deadline; // of the whole
	struct event *timer; // of this step, or of the whole while it is parked
	unsigned edge; // that waits for an answer, or LOGIN_EDGE_NONE
	uint64_t edge_req, session_req;
	bool ask_again; // the session process was not ready
	unsigned tries, rounds;
	struct ipc_login asked; // the last first form; the password of the last form
	uint8_t *chain; // certificates of the client, with the request at hand; malloc'ed, or NULL
	size_t chain_len;
	struct login_attempt at;
	enum ipc_scheme scheme; // of the last first message
	char group[IPC_GROUP_LEN]; // the effective one
	uint8_t cookie_secret[IPC_COOKIE_LEN];
};

TAILQ_HEAD(login_list, login);
LIST_HEAD(login_bucket, login);

// A CONNECT that came while the session process was away or the cookie secret not here; with its
// cookie.
struct waiting_connect {
	TAILQ_ENTRY(waiting_connect) link;
	struct ipc_connect msg;
	struct timespec until;
};

struct logins {
	struct child *child;
	struct login_list active, parked; // parked: the oldest first
	unsigned nb_active, nb_parked;
	struct login_bucket by_id[LOGIN_BUCKETS];
	TAILQ_HEAD(, waiting_connect) connects;
	unsigned nb_connects;
	unsigned nb_factors; // started
	struct event *again;
	const struct ipc_login_token *token; // while a message with one is handled
	const struct ipc_login_cert *cert; // the same
	bool have_secret;
	uint8_t cookie_secret[32];
	void (*secret_ready)(struct child *child);
	uint64_t next_req;
};

// --- login.c ---
// Answers and forgets. `reason` is for the log, and for the client with IPC_LOGIN_ERROR; `why`
// says more to the log, or NULL.
void login_end(
	struct login *login, enum ipc_login_status status, const char *reason, const char *why);
// Sends one more form and waits for its reply.
void login_park(struct login *login, enum ipc_form form, const char *message, const char *label);
// The line that an attempt which came to nothing leaves in the log.
void login_refused_log(const struct ipc_login *asked, const char *why);
// Starts the clock of what the login does now.
void login_within(struct login *login, unsigned seconds);

// --- login_steps.c ---
// A first form has come: its alternatives from the first on.
void login_attempt_begin(struct login *login);
// The answer to a further form.
void login_attempt_answer(struct login *login);
// Ends what the factor at hand does.
void login_factor_end(struct login *login);

// --- login_group.c ---
// Which of the user's groups (comma separated) counts: the one asked for, or without one the
// default when the user has it, else the user's first. `group` has IPC_GROUP_LEN bytes. False:
// the user does not have the one asked for.
bool login_group_choose(const char *groups, const char *asked, const char *standard, char *group);
// Adds the groups of `more` that are not in the list (IPC_GROUPS_LEN bytes) yet; what finds no
// place is left out.
void login_groups_add(char *groups, const char *more);

// --- login_session.c ---
// Every factor has passed: a session.
void login_session_begin(struct login *login);
int login_session_init(struct logins *logins);
void login_session_fini(struct logins *logins);

// --- login_connect.c ---
void login_connects_up(struct logins *logins);
void login_connects_edge_down(struct logins *logins, unsigned index);
void login_connects_free(struct logins *logins);
int login_cookie_hash(struct logins *logins, const uint8_t *cookie, uint8_t *hash);
