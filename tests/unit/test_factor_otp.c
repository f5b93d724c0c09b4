// SPDX-License-Identifier: GPL-3.0-or-later
// One-time passwords as a factor: who has no token, or none that can be used, does not pass it.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/auth/factor.h"
#include "controlplane/auth/otp.h"
#include "controlplane/auth/reread.h"

#define KEY "3132333435363738393031323334353637383930"

static int outcome; // enum factor_result, or -1
static struct ipc_otp_ask asked;
static const char *text;
static bool any_code; // is good

// --- what it works with ---

void factor_done(struct login *login, const struct factor_outcome *result) {
	outcome = (int)result->result;
}

struct ipc_chan *child_peer(struct child *child, enum ipc_role role, unsigned index) {
	return (struct ipc_chan *)1;
}

struct event_base *child_base(struct child *child) {
	return NULL;
}

int ipc_send(struct ipc_chan *chan, enum ipc_type type, struct ipc_hdr *msg, size_t len,
	const int *fds, unsigned nb_fds) {
	assert_int_equal(type, IPC_OTP_ASK);
	asked = *(struct ipc_otp_ask *)msg;
	return 0;
}

void reread_get(struct reread *reread, struct reread_wait *wait) {
	assert_int_equal(reread->load(NULL, text, strlen(text)), 0);
	wait->ready(wait, 0);
}

void reread_cancel(struct reread *reread, struct reread_wait *wait) {
}

bool __real_otp_token_check(const struct otp_token *token, const char *code, const uint64_t *last,
	time_t now, uint64_t *factor);
bool __wrap_otp_token_check(const struct otp_token *token, const char *code, const uint64_t *last,
	time_t now, uint64_t *factor);

bool __wrap_otp_token_check(const struct otp_token *token, const char *code, const uint64_t *last,
	time_t now, uint64_t *factor) {
	bool good = __real_otp_token_check(token, code, last, now, factor);

	if (any_code)
		*factor = 1;
	return good || any_code;
}

// --- tests ---

static void answer(int status) {
	struct ipc_otp_answer msg = {
		.hdr = {.type = IPC_OTP_ANSWER, .req = asked.hdr.req}, .status = status};

	assert_int_equal(factor_otp.message(NULL, &msg.hdr), 0);
}

// What the factor says at last to this user; `code` NULL: at its first step behind another factor.
static int says(const char *user, const char *code) {
	struct ipc_login login = {0};
	struct factor_input input = {.login = &login, .password = code};
	void *state = NULL;

	outcome = -1;
	memset(&asked, 0, sizeof(asked));
	snprintf(login.username, sizeof(login.username), "%s", user);
	factor_otp.step(NULL, &input, &state);
	for (int i = 0; i < 2 && outcome < 0; i++)
		answer(asked.what == IPC_OTP_TAKE ? 0 : -ENOENT);
	factor_otp.end(NULL, &state);
	return outcome;
}

static int setup(void **state) {
	any_code = false;
	text = "HOTP ann - " KEY "\nHOTP bob - xyz\nHOTP cid\n";
	return factor_otp.start(NULL);
}

static int teardown(void **state) {
	factor_otp.stop(NULL);
	return 0;
}

static void test_token(void **state) {
	assert_int_equal(says("ann", NULL), FACTOR_ASK);
	assert_int_equal(says("ann", "755224"), FACTOR_PASSED);
	assert_int_equal(says("ann", "000000"), FACTOR_FAILED);
}

// Whoever has no token is asked for a code of one that nobody has: guessed, it is good for nothing.
static void test_none(void **state) {
	uint8_t entry[IPC_HASH_LEN];

	assert_int_equal(says("eve", NULL), FACTOR_FAILED);
	assert_int_equal(says("eve", "000000"), FACTOR_FAILED);
	any_code = true;
	assert_int_equal(says("eve", "000000"), FACTOR_FAILED);
	assert_int_equal(asked.what, IPC_OTP_TRY);
	// Names that strangers make up leave one entry in the store.
	memcpy(entry, asked.token, sizeof(entry));
	assert_int_equal(says("eva", "000000"), FACTOR_FAILED);
	assert_memory_equal(entry, asked.token, sizeof(entry));
	assert_int_equal(says("ann", "000000"), FACTOR_PASSED);
}

// A user whose line cannot be used is none without a token.
static void test_unusable(void **state) {
	assert_int_equal(says("bob", NULL), FACTOR_ERROR);
	assert_int_equal(says("cid", NULL), FACTOR_ERROR);
	any_code = true;
	assert_int_equal(says("bob", "000000"), FACTOR_FAILED);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_token, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unusable, setup, teardown),
	};

	return cmocka_run_group_tests_name("factor_otp", tests, NULL, NULL);
}
