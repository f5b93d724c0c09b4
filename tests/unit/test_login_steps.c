// SPDX-License-Identifier: GPL-3.0-or-later
// The way of a login through alternatives and factors: factors that cannot decide let nobody in.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/auth/login_int.h"
#include "controlplane/auth/report.h"

enum came_to {
	NOTHING,
	IN,
	FIRST_FORM,
	FURTHER_FORM,
	DENIED,
	ERROR,
};

static enum came_to came_to;
static struct cfg_alternative alternatives[2];
static struct logins logins;
static struct cfg cfg;
static struct factor_outcome says[CFG_FACTOR_OIDC + 1]; // what each factor says
static unsigned nb_steps[CFG_FACTOR_OIDC + 1];
static char asked_of[CFG_FACTOR_OIDC + 1][IPC_USER_LEN]; // the user name that each was given

// --- what login.c and login_session.c do ---

void login_end(
	struct login *login, enum ipc_login_status status, const char *reason, const char *why) {
	came_to = status == IPC_LOGIN_DENIED ? DENIED : ERROR;
}

void login_park(struct login *login, enum ipc_form form, const char *message, const char *label) {
	came_to = form == IPC_FORM_FIRST ? FIRST_FORM : FURTHER_FORM;
	login->state = LOGIN_PARKED;
}

void login_refused_log(const struct ipc_login *asked, const char *why) {
	assert_non_null(why);
}

void login_within(struct login *login, unsigned seconds) {
	assert_true(seconds > 0);
}

void login_session_begin(struct login *login) {
	came_to = IN;
}

const struct cfg *child_cfg(const struct child *child) {
	return &cfg;
}

static unsigned nb_reports;

void report_wrong_password(struct child *child, const struct abi_addr *remote) {
	nb_reports++;
}

// --- factors ---

static void password_step(struct login *login, const struct factor_input *input, void **state) {
	nb_steps[CFG_FACTOR_PASSWORD_FILE]++;
	assert_non_null(input->password); // it looks at it
	strcpy(asked_of[CFG_FACTOR_PASSWORD_FILE], input->login->username);
	factor_done(login, &says[CFG_FACTOR_PASSWORD_FILE]);
}

static void ticket_step(struct login *login, const struct factor_input *input, void **state) {
	nb_steps[CFG_FACTOR_KERBEROS]++;
	assert_null(input->password);
	assert_int_equal(input->token_len, 3);
	assert_memory_equal(input->token, "tgt", 3);
	factor_done(login, &says[CFG_FACTOR_KERBEROS]);
}

static void otp_step(struct login *login, const struct factor_input *input, void **state) {
	nb_steps[CFG_FACTOR_OTP]++;
	strcpy(asked_of[CFG_FACTOR_OTP], input->login->username);
	factor_done(login, &says[CFG_FACTOR_OTP]);
}

static void certificate_step(struct login *login, const struct factor_input *input, void **state) {
	nb_steps[CFG_FACTOR_CERTIFICATE]++;
	assert_ptr_equal(input->chain, login->chain);
	factor_done(login, &says[CFG_FACTOR_CERTIFICATE]);
}

static const struct factor certificate = {
	.name = "certificate", .formless = true, .step = certificate_step};
static const struct factor password = {
	.name = "password-file", .wants_password = true, .step = password_step};
static const struct factor ticket = {
	.name = "kerberos", .scheme = IPC_SCHEME_NEGOTIATE, .step = ticket_step};
static const struct factor otp = {.name = "otp", .step = otp_step};

const struct factor *factor_find(enum cfg_factor id) {
	switch (id) {
	case CFG_FACTOR_PASSWORD_FILE:
		return &password;
	case CFG_FACTOR_OTP:
		return &otp;
	case CFG_FACTOR_KERBEROS:
		return &ticket;
	case CFG_FACTOR_CERTIFICATE:
		return &certificate;
	default:
		return NULL;
	}
}

// --- tests ---

static const enum cfg_factor pw = CFG_FACTOR_PASSWORD_FILE, code = CFG_FACTOR_OTP;

static void set(
	struct cfg_alternative *alternative, enum cfg_factor first, enum cfg_factor second) {
	*alternative = (struct cfg_alternative){
		.factors = {first, second}, .nb_factors = second != 0 ? 2 : 1};
}

static enum came_to begin_as(struct login *login, const char *user) {
	came_to = NOTHING;
	memset(nb_steps, 0, sizeof(nb_steps));
	memset(asked_of, 0, sizeof(asked_of));
	*login = (struct login){.owner = &logins};
	strcpy(login->asked.username, user);
	login_attempt_begin(login);
	return came_to;
}

static enum came_to begin(struct login *login) {
	return begin_as(login, "ann");
}

static enum came_to run(struct login *login, enum factor_result first, enum factor_result second) {
	says[pw] = (struct factor_outcome){.result = first};
	says[code] = (struct factor_outcome){.result = second};
	return begin(login);
}

static int setup(void **state) {
	cfg = (struct cfg){.auth = {.alternatives = alternatives,
				   .nb_alternatives = 2,
				   .password_tries = 3,
				   .default_group = (char[]){""}}};
	set(&alternatives[0], pw, code);
	set(&alternatives[1], pw, 0);
	return 0;
}

static void test_two(void **state) {
	struct login login;

	assert_int_equal(run(&login, FACTOR_FAILED, FACTOR_PASSED), FIRST_FORM);
	assert_int_equal(nb_steps[code], 0);
	// No token: the second way.
	assert_int_equal(run(&login, FACTOR_PASSED, FACTOR_FAILED), IN);
	assert_int_equal(nb_steps[pw], 1);
	// Asked for a code there is no other way any more.
	assert_int_equal(run(&login, FACTOR_PASSED, FACTOR_ASK), FURTHER_FORM);
	says[code].result = FACTOR_FAILED;
	login_attempt_answer(&login);
	assert_int_not_equal(came_to, IN);
	says[code].result = FACTOR_ERROR;
	login_attempt_answer(&login);
	assert_int_equal(came_to, ERROR);
}

// Whether the user has a token cannot be told: then it is not for the user to do without.
static void test_undecided(void **state) {
	struct login login;

	assert_int_equal(run(&login, FACTOR_PASSED, FACTOR_ERROR), ERROR);
	assert_int_equal(run(&login, FACTOR_ERROR, FACTOR_PASSED), ERROR);
	// Another way that does not begin with it is as good as ever.
	set(&alternatives[0], code, 0);
	assert_int_equal(run(&login, FACTOR_PASSED, FACTOR_ERROR), IN);
	assert_int_equal(run(&login, FACTOR_FAILED, FACTOR_ERROR), ERROR);
}

// The first factor says who "ann" is: the next is asked for that user, who gets the session.
static void test_user(void **state) {
	struct login login;

	cfg.auth.nb_alternatives = 1;
	says[pw] = (struct factor_outcome){.result = FACTOR_PASSED, .user = "Ann.Lee"};
	says[code] = (struct factor_outcome){.result = FACTOR_PASSED};
	assert_int_equal(begin(&login), IN);
	assert_string_equal(asked_of[pw], "ann");
	assert_string_equal(asked_of[code], "Ann.Lee");
	assert_string_equal(login.asked.username, "Ann.Lee");
	// The same name again is no other one.
	says[code].user = "Ann.Lee";
	assert_int_equal(begin(&login), IN);
	// What the code was right for is not what the password was right for.
	says[code].user = "bob";
	assert_int_equal(begin(&login), FIRST_FORM);
	says[pw].user = NULL;
	assert_int_equal(begin(&login), FIRST_FORM);
	// The name of another alternative's factor that passed stays.
	cfg.auth.nb_alternatives = 2;
	says[pw].user = "Ann.Lee";
	says[code] = (struct factor_outcome){.result = FACTOR_FAILED};
	assert_int_equal(begin(&login), IN);
	assert_string_equal(login.asked.username, "Ann.Lee");
}

// What a factor of a way that failed has said of the user is not the session's, unless the way that
// lets in asks for that factor, too.
static void test_other_way(void **state) {
	const enum cfg_factor cert = CFG_FACTOR_CERTIFICATE;
	const struct ipc_user_settings settings = {.set = IPC_SET_IDLE_TIMEOUT, .idle_timeout = 7};
	const struct ipc_acct_facts facts = {.class_len = 2, .class_values = {1, 'c'}};
	struct login login;

	set(&alternatives[0], cert, code);
	says[cert] = (struct factor_outcome){.result = FACTOR_PASSED,
		.groups = "admin",
		.settings = &settings,
		.accounting = &facts};
	says[code] = (struct factor_outcome){.result = FACTOR_FAILED};
	says[pw] = (struct factor_outcome){.result = FACTOR_PASSED, .groups = "staff"};
	assert_int_equal(begin(&login), IN);
	assert_string_equal(login.at.groups, "staff");
	assert_int_equal(login.at.settings.set, 0);
	assert_int_equal(login.at.facts.class_len, 0);
	assert_int_equal(login.at.passed, 1u << pw);
	set(&alternatives[1], pw, cert);
	assert_int_equal(begin(&login), IN);
	assert_int_equal(nb_steps[cert], 1);
	assert_string_equal(login.at.groups, "admin,staff");
	assert_int_equal(login.at.settings.idle_timeout, 7);
}

// As configured ANN is ann, whoever says it.
static void test_user_lower(void **state) {
	struct login login;

	cfg.auth.nb_alternatives = 1;
	cfg.auth.lower_names = true;
	says[pw] = (struct factor_outcome){.result = FACTOR_PASSED, .user = "Ann.LEE"};
	says[code] = (struct factor_outcome){.result = FACTOR_PASSED, .user = "ANN.lee"};
	assert_int_equal(begin(&login), IN);
	assert_string_equal(asked_of[code], "ann.lee");
	assert_string_equal(login.asked.username, "ann.lee");
	says[pw].user = says[code].user = NULL;
	assert_int_equal(begin_as(&login, "ANN"), IN);
	assert_string_equal(asked_of[pw], "ann");
	assert_string_equal(login.asked.username, "ann");
	cfg.auth.lower_names = false;
	assert_int_equal(begin_as(&login, "ANN"), IN);
	assert_string_equal(login.asked.username, "ANN");
}

// Names that no session can have.
static void test_user_of_no_use(void **state) {
	char longest[IPC_USER_LEN + 1];
	struct login login;

	set(&alternatives[0], pw, 0);
	cfg.auth.nb_alternatives = 1;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[IPC_USER_LEN] = '\0';
	says[pw] = (struct factor_outcome){.result = FACTOR_PASSED, .user = longest};
	assert_int_equal(begin(&login), FIRST_FORM);
	longest[IPC_USER_LEN - 1] = '\0';
	assert_int_equal(begin(&login), IN);
	assert_string_equal(login.asked.username, longest);
	says[pw].user = "";
	assert_int_equal(begin(&login), FIRST_FORM);
	says[pw].user = "a\nb";
	assert_int_equal(begin(&login), FIRST_FORM);
	assert_string_equal(login.asked.username, "ann");
}

// A login by a token, as logins_login_token() begins or goes on with it.
static enum came_to token(struct login *login, bool begins) {
	static const struct ipc_login_token msg = {
		.scheme = IPC_SCHEME_NEGOTIATE, .token_len = 3, .token = "tgt"};

	came_to = NOTHING;
	memset(nb_steps, 0, sizeof(nb_steps));
	logins.token = &msg;
	if (begins) {
		*login = (struct login){.owner = &logins, .scheme = IPC_SCHEME_NEGOTIATE};
		login_attempt_begin(login);
	} else {
		login_attempt_answer(login);
	}
	logins.token = NULL;
	return came_to;
}

// Tokens and forms each have methods of their own.
static void test_token(void **state) {
	const enum cfg_factor tgt = CFG_FACTOR_KERBEROS;
	struct login login;

	set(&alternatives[0], tgt, code);
	says[tgt] = (struct factor_outcome){.result = FACTOR_PASSED,
		.user = "ann",
		.token = (const void *)"ap-rep",
		.token_len = 6};
	says[code] = (struct factor_outcome){.result = FACTOR_PASSED};
	assert_int_equal(token(&login, true), IN);
	assert_int_equal(nb_steps[pw], 0);
	assert_string_equal(login.asked.username, "ann");
	assert_int_equal(login.at.answer_len, 6);
	assert_memory_equal(login.at.answer, "ap-rep", 6);
	// The same password is no token, and no token a password.
	says[pw] = (struct factor_outcome){.result = FACTOR_FAILED};
	assert_int_equal(begin(&login), FIRST_FORM);
	assert_int_equal(nb_steps[tgt], 0);
	says[tgt].result = FACTOR_FAILED;
	assert_int_equal(token(&login, true), FIRST_FORM);
	assert_int_equal(nb_steps[pw], 0);
	// Who it is has to be said.
	says[tgt] = (struct factor_outcome){.result = FACTOR_PASSED};
	assert_int_equal(token(&login, true), ERROR);
	alternatives[0] = alternatives[1];
	assert_int_equal(token(&login, true), FIRST_FORM);
	assert_int_equal(nb_steps[tgt], 0);
}

static void test_tokens_more(void **state) {
	const enum cfg_factor tgt = CFG_FACTOR_KERBEROS;
	const struct factor_outcome more = {
		.result = FACTOR_ASK, .token = (const void *)"more", .token_len = 4};
	struct login login;

	set(&alternatives[0], tgt, 0);
	says[tgt] = more;
	assert_int_equal(token(&login, true), FURTHER_FORM);
	assert_true(login.at.wants_token);
	for (unsigned i = 1; i < LOGIN_ROUNDS_MAX; i++)
		assert_int_equal(token(&login, false), FURTHER_FORM);
	assert_int_equal(token(&login, false), DENIED);
	assert_int_equal(token(&login, true), FURTHER_FORM);
	says[tgt] = (struct factor_outcome){.result = FACTOR_PASSED, .user = "ann"};
	assert_int_equal(token(&login, false), IN);
	assert_int_equal(nb_steps[tgt], 1);
	// A form in between is not one.
	says[tgt] = more;
	assert_int_equal(token(&login, true), FURTHER_FORM);
	came_to = NOTHING;
	login_attempt_answer(&login);
	assert_int_equal(came_to, FIRST_FORM);
}

// A login by a certificate before any form, as logins_login_cert() begins it.
static enum came_to formless(struct login *login, const struct factor_outcome *outcome) {
	came_to = NOTHING;
	memset(nb_steps, 0, sizeof(nb_steps));
	nb_reports = 0;
	says[CFG_FACTOR_CERTIFICATE] = *outcome;
	*login = (struct login){.owner = &logins};
	login_attempt_begin(login);
	return came_to;
}

static void test_formless(void **state) {
	const struct factor_outcome good = {.result = FACTOR_PASSED, .user = "ann"};
	const struct factor_outcome bad = {
		.result = FACTOR_FAILED, .no_guess = true, .why = "revoked"};
	const struct factor_outcome unclear = {.result = FACTOR_ERROR};
	const enum cfg_factor cert = CFG_FACTOR_CERTIFICATE;
	struct login login;

	// Alone: in or out, there is no form.
	cfg.auth.nb_alternatives = 1;
	set(&alternatives[0], cert, 0);
	assert_int_equal(formless(&login, &good), IN);
	assert_string_equal(login.asked.username, "ann");
	assert_int_equal(formless(&login, &bad), DENIED);
	assert_int_equal(formless(&login, &unclear), ERROR);
	assert_int_equal(nb_reports, 0);
	// Beside a password: the form for those without a good one.
	cfg.auth.nb_alternatives = 2;
	set(&alternatives[0], pw, 0);
	set(&alternatives[1], cert, 0);
	assert_int_equal(formless(&login, &good), IN);
	assert_int_equal(nb_steps[pw], 0);
	assert_int_equal(formless(&login, &bad), FIRST_FORM);
	assert_int_equal(formless(&login, &unclear), FIRST_FORM);
	assert_int_equal(nb_steps[pw], 0);
	assert_int_equal(nb_reports, 0);
	// Nothing begins with it.
	set(&alternatives[1], pw, cert);
	assert_int_equal(formless(&login, &good), FIRST_FORM);
	assert_int_equal(nb_steps[cert], 0);
}

// A certificate and a password: asked for it alone, of the certificate's user.
static void test_formless_first(void **state) {
	const struct factor_outcome good = {.result = FACTOR_PASSED, .user = "ann"};
	const struct factor_outcome bad = {.result = FACTOR_FAILED, .no_guess = true};
	const enum cfg_factor cert = CFG_FACTOR_CERTIFICATE;
	struct login login;

	cfg.auth.nb_alternatives = 1;
	set(&alternatives[0], cert, pw);
	says[pw] = (struct factor_outcome){.result = FACTOR_FAILED};
	assert_int_equal(formless(&login, &good), FURTHER_FORM);
	assert_int_equal(nb_steps[pw], 0);
	login_attempt_answer(&login);
	assert_int_equal(came_to, FURTHER_FORM); // once more
	assert_int_equal(nb_reports, 1);
	says[pw].result = FACTOR_PASSED;
	login_attempt_answer(&login);
	assert_int_equal(came_to, IN);
	assert_string_equal(asked_of[pw], "ann");
	// The password of a first form is good for that.
	assert_int_equal(begin(&login), IN);
	assert_int_equal(nb_steps[pw], 1);
	nb_reports = 0;
	says[cert] = bad;
	assert_int_equal(begin(&login), FIRST_FORM);
	assert_int_equal(nb_steps[pw], 0);
	assert_int_equal(nb_reports, 0);
	// Behind the password, and wrong, it does not ask itself again.
	set(&alternatives[0], pw, cert);
	assert_int_equal(begin(&login), FIRST_FORM);
	assert_int_equal(nb_steps[cert], 1);
	assert_int_equal(login.tries, 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_two, setup),
		cmocka_unit_test_setup(test_undecided, setup),
		cmocka_unit_test_setup(test_user, setup),
		cmocka_unit_test_setup(test_other_way, setup),
		cmocka_unit_test_setup(test_user_lower, setup),
		cmocka_unit_test_setup(test_user_of_no_use, setup),
		cmocka_unit_test_setup(test_token, setup),
		cmocka_unit_test_setup(test_tokens_more, setup),
		cmocka_unit_test_setup(test_formless, setup),
		cmocka_unit_test_setup(test_formless_first, setup),
	};

	return cmocka_run_group_tests_name("login_steps", tests, NULL, NULL);
}
