// SPDX-License-Identifier: GPL-3.0-or-later
// The way of a login through alternatives (any will do) of factors (all are needed, in order);
// called by login.c and, when they have decided, by the factors.
//
// The first form's password is given to the first factor of each alternative in turn. The first
// alternative whose factors pass, up to one that has to ask the user something, is the one that
// counts: from then on there is no other. So a user who has no token enters by an alternative
// without one, and nobody learns which factor of which alternative said no.

#include <stdio.h>
#include <string.h>

#include "controlplane/proc/log.h"
#include "login_int.h"
#include "report.h"

#define FAILED "Login failed. "

struct child *login_child(const struct login *login) {
	return login->owner->child;
}

static const struct factor *factor_at_hand(const struct login *login) {
	const struct login_attempt *at = &login->at;

	return factor_find((enum cfg_factor)at->alternatives[at->alternative][at->place]);
}

void login_factor_end(struct login *login) {
	struct login_attempt *at = &login->at;

	if (at->state != NULL)
		factor_at_hand(login)->end(login, &at->state);
}

static uint32_t bit(enum cfg_factor id) {
	return 1u << id;
}

// --- an attempt came to nothing ---

// What went wrong, for the user, before what is asked for: IPC_MESSAGE_LEN bytes.
static void failed_text(struct login *login, char *text, const char *what) {
	char *said = login->at.said;

	// What does not fit is cut off, and the question is what may not be.
	snprintf(text, IPC_MESSAGE_LEN, FAILED "%.*s%s%s", (int)(IPC_MESSAGE_LEN / 2), said,
		said[0] != '\0' ? " " : "", what);
	said[0] = '\0';
}

static void form_first(struct login *login) {
	char message[IPC_MESSAGE_LEN];

	failed_text(login, message, LOGIN_ASK);
	login_park(login, IPC_FORM_FIRST, message, NULL);
}

static void factor_begin(struct login *login);

// What was wrong counts against the client's address, even if another way in could not be decided:
// or an outage of one would be the time to guess at another.
static void wrong_report(struct login *login) {
	if (login->at.wrong)
		report_wrong_password(login_child(login), &login->asked.remote);
	login->at.wrong = false;
}

// A wrong password, code or group: counted, whichever it was. The user may go on with the factor
// that was asked for last; where that was the first form, or was right, with the first form.
static void attempt_failed(struct login *login, bool from_start) {
	struct login_attempt *at = &login->at;

	wrong_report(login);
	login->tries++;
	// Without a form there is nothing that could be done better in the next one.
	if ((at->formless && !at->committed && !at->skipped) ||
		login->tries >= child_cfg(login_child(login))->auth.password_tries) {
		login_end(login, IPC_LOGIN_DENIED, at->why, NULL);
		return;
	}
	login_refused_log(&login->asked, at->why);
	// A factor without a form would see what it has just seen.
	if (from_start || !at->committed || at->place == 0 || factor_at_hand(login)->formless) {
		at->committed = false;
		form_first(login);
	} else {
		factor_begin(login);
	}
}

// --- all factors have passed ---

static void attempt_passed(struct login *login) {
	const struct cfg *cfg = child_cfg(login_child(login));
	struct login_attempt *at = &login->at;

	login_groups_add(at->groups, at->settings.groups);
	if (login->asked.username[0] == '\0') {
		login_end(login, IPC_LOGIN_ERROR, "Server error", "no factor says who the user is");
	} else if (login_group_choose(
			   at->groups, login->asked.group, cfg->auth.default_group, login->group)) {
		login_session_begin(login);
	} else {
		at->why = "not in the group asked for";
		attempt_failed(login, true);
	}
}

// --- one factor ---

static void factor_step(struct login *login, const char *password) {
	const struct factor *factor = factor_at_hand(login);
	const struct cfg *cfg = child_cfg(login_child(login));
	const struct ipc_login_token *token = login->owner->token;
	bool form = factor->scheme == IPC_SCHEME_NONE;
	const struct factor_input input = {
		.login = &login->asked,
		.password = form ? password : NULL,
		.chain = login->chain,
		.chain_len = login->chain_len,
		.round = login->at.round++,
		.token = form || token == NULL ? NULL : token->token,
		.token_len = form || token == NULL ? 0 : token->token_len,
	};
	unsigned seconds = factor->step_s != NULL ? factor->step_s(cfg) : FACTOR_STEP_S;

	login->state = LOGIN_STEP;
	login_within(login, seconds < FACTOR_STEP_MAX_S ? seconds : FACTOR_STEP_MAX_S);
	// A form where a token was asked for, or a later method: the token is gone by then.
	if (!form && token == NULL) {
		factor_done(login,
			&(struct factor_outcome){.result = FACTOR_FAILED, .why = "no token"});
		return;
	}
	factor->step(login, &input, &login->at.state);
}

static void ask(struct login *login, const char *message, const char *label, bool echo) {
	char text[IPC_MESSAGE_LEN];

	// A wrong answer brings the same form: say why it is there again.
	if (login->at.committed && login->at.round <= 1 && login->at.why != NULL) {
		failed_text(login, text, message);
		message = text;
	}
	if (login->rounds++ >= LOGIN_ROUNDS_MAX) {
		login_end(login, IPC_LOGIN_DENIED, "too many forms", NULL);
		return;
	}
	login->at.committed = true;
	login->at.why = NULL;
	login->at.echo = echo;
	login_park(login, IPC_FORM_ANSWER, message, label);
}

// The answer to a token is a token.
static void ask_token(struct login *login) {
	if (login->rounds++ >= LOGIN_ROUNDS_MAX) {
		login_end(login, IPC_LOGIN_DENIED, "too many tokens", NULL);
		return;
	}
	login->at.committed = true;
	login->at.wants_token = true;
	login_park(login, IPC_FORM_TOKEN, NULL, NULL);
}

// The first form's password has been of no use yet.
static bool password_is_left(const struct login *login) {
	const struct login_attempt *at = &login->at;

	for (unsigned i = 0; i < at->place; i++) {
		const struct factor *before = factor_find(
			(enum cfg_factor)at->alternatives[at->alternative][i]);

		if (before == NULL || !before->formless)
			return false;
	}
	return !at->formless && !at->committed;
}

// The factor at hand, from its start.
static void factor_begin(struct login *login) {
	struct login_attempt *at = &login->at;
	const struct factor *factor = factor_at_hand(login);

	at->round = 0;
	if (factor == NULL) { // the configuration lets none through that is not there
		at->why = "no such factor";
		attempt_failed(login, true);
	} else if (at->place == 0 || (factor->wants_password && password_is_left(login))) {
		factor_step(login, at->formless ? NULL : login->asked.password);
	} else if (factor->wants_password) {
		ask(login, "Please enter your password.", NULL, false);
	} else {
		factor_step(login, NULL);
	}
}

// Before the first form: without a word about what the client did not know it was asked for.
static void formless_failed(struct login *login) {
	struct login_attempt *at = &login->at;

	if (!at->skipped) {
		login_end(login, IPC_LOGIN_DENIED, at->why, NULL);
		return;
	}
	if (at->undecided)
		login_refused_log(&login->asked, at->error_why != NULL ? at->error_why : at->error);
	else if (at->why != NULL)
		login_refused_log(&login->asked, at->why);
	login_park(login, IPC_FORM_FIRST, LOGIN_ASK, NULL);
}

// Those that a form is needed for are for later.
static void alternatives_skip(struct login_attempt *at) {
	for (; at->alternative < at->nb_alternatives; at->alternative++) {
		const struct factor *factor = factor_find(
			(enum cfg_factor)at->alternatives[at->alternative][0]);

		if (factor != NULL && factor->formless)
			break;
		at->skipped = true;
	}
}

// What factors have said that this alternative does not ask for counts for nothing in it: a user who
// enters without the certificate has no groups of the method that asks for one.
static void others_forget(struct login_attempt *at) {
	const uint8_t *places = at->alternatives[at->alternative];
	uint32_t own = 0;

	for (unsigned i = 0; i < CFG_FACTORS_MAX && places[i] != 0; i++)
		own |= bit((enum cfg_factor)places[i]);
	if ((at->passed & ~own) == 0)
		return;
	at->passed = 0; // which of them said what is not known any more
	memset(at->groups, 0, sizeof(at->groups));
	memset(&at->settings, 0, sizeof(at->settings));
	memset(&at->facts, 0, sizeof(at->facts));
}

// The next alternative whose first factor has not failed in this attempt, from the one at hand on.
static void alternative_begin(struct login *login) {
	struct login_attempt *at = &login->at;

	if (at->formless)
		alternatives_skip(at);
	if (at->alternative < at->nb_alternatives) {
		at->place = 0;
		others_forget(at);
		if ((at->passed & bit(at->alternatives[at->alternative][0])) != 0)
			factor_done(login, &(struct factor_outcome){.result = FACTOR_PASSED});
		else
			factor_begin(login);
	} else if (at->formless && (at->skipped || !at->undecided)) {
		formless_failed(login);
	} else if (at->undecided) {
		wrong_report(login);
		login_end(login, IPC_LOGIN_ERROR, at->error, at->error_why);
	} else {
		attempt_failed(login, true);
	}
}

static void passed(struct login *login) {
	struct login_attempt *at = &login->at;
	const uint8_t *places = at->alternatives[at->alternative];

	at->passed |= bit(places[at->place]);
	do
		at->place++;
	while (at->place < CFG_FACTORS_MAX && places[at->place] != 0 &&
		(at->passed & bit(places[at->place])) != 0);
	if (at->place == CFG_FACTORS_MAX || places[at->place] == 0)
		attempt_passed(login);
	else
		factor_begin(login);
}

static void failed(struct login *login, bool no_guess) {
	struct login_attempt *at = &login->at;

	at->wrong |= !no_guess;
	if (at->committed) {
		attempt_failed(login, false);
		return;
	}
	at->alternative++;
	alternative_begin(login);
}

static void undecided(struct login *login) {
	struct login_attempt *at = &login->at;

	at->undecided = true;
	// Behind the first factor it is not known whether the user has to pass it: another
	// alternative must not be the way around it.
	if (at->committed || at->place > 0) {
		login_end(login, IPC_LOGIN_ERROR, at->error, at->error_why);
		return;
	}
	at->alternative++;
	alternative_begin(login);
}

// The factor says who the user is. What has passed before has done so for the name at hand, so that
// another one then would be a session of one user with the factors of two. False: refused.
static bool user_take(struct login *login, const char *user) {
	struct login_attempt *at = &login->at;
	char *name = login->asked.username;
	char canonical[IPC_USER_LEN] = "";
	size_t len = strlen(user);

	if (len == 0 || len >= sizeof(canonical) || !ipc_str_ok(user, len + 1)) {
		at->why = "user name of no use";
		return false;
	}
	memcpy(canonical, user, len);
	cfg_name_fold(child_cfg(login_child(login)), canonical);
	if (strcmp(name, canonical) == 0)
		return true;
	if (at->passed != 0) {
		at->why = "factors name different users";
		return false;
	}
	log_debug("login", "user=%s canonical=%s", log_value(name), log_value(canonical));
	memcpy(name, canonical, sizeof(canonical));
	return true;
}

static void answer_copy(struct login_attempt *at, const struct factor_outcome *outcome) {
	if (outcome->token_len == 0 || outcome->token_len > sizeof(at->answer))
		return;
	memcpy(at->answer, outcome->token, outcome->token_len);
	at->answer_len = (uint32_t)outcome->token_len;
}

// What the outcome says may belong to the factor's state.
static void outcome_copy(struct login_attempt *at, const struct factor_outcome *outcome) {
	if (outcome->result == FACTOR_PASSED && outcome->groups != NULL)
		login_groups_add(at->groups, outcome->groups);
	if (outcome->result == FACTOR_PASSED && outcome->settings != NULL)
		at->settings = *outcome->settings;
	if (outcome->result == FACTOR_PASSED && outcome->accounting != NULL)
		at->facts = *outcome->accounting;
	if (outcome->result == FACTOR_FAILED)
		snprintf(at->said, sizeof(at->said), "%s",
			outcome->said != NULL ? outcome->said : "");
	if (outcome->result == FACTOR_FAILED)
		at->why = outcome->why != NULL ? outcome->why : "wrong password";
	if (outcome->result == FACTOR_ERROR) {
		at->error_why = outcome->why;
		snprintf(at->error, sizeof(at->error), "%s",
			outcome->message != NULL ? outcome->message : "Server busy");
	}
}

void factor_done(struct login *login, const struct factor_outcome *outcome) {
	enum factor_result result = outcome->result;
	bool no_guess = outcome->no_guess;

	answer_copy(&login->at, outcome);
	if (result == FACTOR_ASK && outcome->token_len > 0) {
		ask_token(login);
		return;
	}
	if (result == FACTOR_ASK) {
		ask(login, outcome->message != NULL ? outcome->message : "",
			outcome->label != NULL ? outcome->label : "Password:", outcome->echo);
		return;
	}
	if (result == FACTOR_PASSED && outcome->user != NULL && !user_take(login, outcome->user))
		result = FACTOR_FAILED;
	else
		outcome_copy(&login->at, outcome);
	login_factor_end(login);
	if (result == FACTOR_PASSED)
		passed(login);
	else if (result == FACTOR_FAILED)
		failed(login, no_guess);
	else
		undecided(login);
}

// --- from the client ---

// The alternatives that begin with what has come, as they are now: a reload in the middle of a login changes nothing for it.
static void alternatives_copy(struct login *login) {
	const struct cfg *cfg = child_cfg(login_child(login));
	struct login_attempt *at = &login->at;
	const struct cfg_alternative *from;
	size_t count;

	from = cfg_alternatives(cfg, cfg_vhost_find(cfg, login->asked.server_name), &count);
	for (size_t i = 0; i < count && at->nb_alternatives < LOGIN_ALTERNATIVES_MAX; i++, from++) {
		uint8_t *places = at->alternatives[at->nb_alternatives];
		const struct factor *first = factor_find(from->factors[0]);

		if (first != NULL && first->scheme != login->scheme)
			continue;
		for (size_t j = 0; j < from->nb_factors && j < CFG_FACTORS_MAX; j++)
			places[j] = (uint8_t)from->factors[j];
		at->nb_alternatives++;
	}
	if (at->nb_alternatives == 0)
		at->why = "no method begins with this";
}

void login_attempt_begin(struct login *login) {
	login_factor_end(login);
	explicit_bzero(&login->at, sizeof(login->at));
	cfg_name_fold(child_cfg(login_child(login)), login->asked.username);
	login->at.formless = login->scheme == IPC_SCHEME_NONE && login->asked.username[0] == '\0';
	alternatives_copy(login);
	alternative_begin(login);
}

void login_attempt_answer(struct login *login) {
	struct login_attempt *at = &login->at;

	at->wants_token = false;
	if (!at->committed) {
		login_park(login, IPC_FORM_FIRST, LOGIN_ASK, NULL);
		return;
	}
	factor_step(login, login->asked.password);
}
