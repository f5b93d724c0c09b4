// SPDX-License-Identifier: GPL-3.0-or-later
// Logins in auth: alternatives of factors with the real password file and real one-time passwords,
// transactions over edges and addresses, tries, rounds, limits, groups.

#include <crypt.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "controlplane/auth/login_int.h"
#include "tests/unit/login_fixture.h"

#define FILE_ CFG_FACTOR_PASSWORD_FILE
#define RIDDLE CFG_FACTOR_RADIUS
#define OTP CFG_FACTOR_OTP
#define END 0

// ann has password and token, bob a password, cid a token.
static void users(struct bench *bench) {
	char text[512];
	const char *hash = crypt("secret", "$1$saltsalt$"); // quick: these tests hash often

	snprintf(text, sizeof(text), "ann:staff,guests:%s\nbob::%s\n", hash, hash);
	file_put(bench, "passwd", text);
	file_put(bench, "tokens",
		"HOTP/E/6 ann - 3132333435363738393031323334353637383930 0\n"
		"HOTP/E/6 cid - 3132333435363738393031323334353637383930 5\n");
}

// RFC 4226, appendix D: the codes of the counters 0 to 9.
static const char *const code[] = {"755224", "287082", "359152", "969429", "338314", "254676",
	"287922", "162583", "399871", "520489"};

static void test_password(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, END);
	first(bench, "ann", "secret");
	is_ok(bench);
	assert_string_equal(bench->created.username, "ann");
	assert_string_equal(bench->created.groups, "staff,guests");
	assert_string_equal(bench->created.group, "staff");
	first(bench, "ann", "wrong");
	is_form(bench, IPC_FORM_FIRST);
	assert_string_equal(
		bench->result.message, "Login failed. Please enter your username and password.");
	first(bench, "zoe", "secret");
	is_form(bench, IPC_FORM_FIRST);
	first(bench, "ann", "");
	is_form(bench, IPC_FORM_FIRST);
}

// The tries of a transaction count together; those of others do not.
static void test_tries(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, END);
	first(bench, "ann", "wrong");
	again(bench, "ann", "wrong");
	is_form(bench, IPC_FORM_FIRST);
	again(bench, "bob", "wrong");
	is_status(bench, IPC_LOGIN_DENIED);
	first(bench, "ann", "wrong");
	again(bench, "ann", "wrong");
	again(bench, "ann", "secret");
	is_ok(bench);
	assert_int_equal(bench->nb_wrong, 5);
}

static void test_two_factors(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, OTP, END);
	first(bench, "ann", "secret");
	is_form(bench, IPC_FORM_ANSWER);
	assert_string_equal(bench->result.label, "Code:");
	assert_int_equal(bench->result.round, 0);
	assert_int_equal(bench->nb_created, 0);
	answer(bench, code[0]);
	is_ok(bench);
	assert_string_equal(bench->created.username, "ann");
	assert_string_equal(bench->created.groups, "staff,guests");
	// Used.
	first(bench, "ann", "secret");
	answer(bench, code[0]);
	is_form(bench, IPC_FORM_ANSWER);
	assert_non_null(strstr(bench->result.message, "Login failed."));
	// Wrong answers of all forms count together.
	answer(bench, "000000");
	is_form(bench, IPC_FORM_ANSWER);
	answer(bench, "000000");
	is_status(bench, IPC_LOGIN_DENIED);
	first(bench, "ann", "wrong");
	again(bench, "ann", "secret");
	is_form(bench, IPC_FORM_ANSWER);
	assert_null(strstr(bench->result.message, "Login failed."));
	answer(bench, "000000");
	answer(bench, code[1]);
	is_ok(bench);
}

// The first form in the middle: from its beginning, and the code is still asked for.
static void test_begin_again(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, OTP, END);
	first(bench, "ann", "secret");
	again(bench, "ann", "wrong");
	is_form(bench, IPC_FORM_FIRST);
	answer(bench, code[0]); // without a username: not what was asked for
	is_form(bench, IPC_FORM_FIRST);
	assert_int_equal(bench->nb_created, 0);
	again(bench, "ann", "secret");
	is_form(bench, IPC_FORM_ANSWER);
	// Another user in the same transaction has to show everything.
	again(bench, "cid", "secret");
	is_form(bench, IPC_FORM_FIRST);
	answer(bench, code[5]);
	assert_int_equal(bench->nb_created, 0);
}

// Who lacks what a factor needs is refused like somebody with a wrong password.
static void test_no_token(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, OTP, END);
	first(bench, "bob", "secret");
	is_form(bench, IPC_FORM_FIRST);
	assert_string_equal(
		bench->result.message, "Login failed. Please enter your username and password.");
	first(bench, "cid", code[5]);
	is_form(bench, IPC_FORM_FIRST);
}

static void test_alternatives(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, OTP, END);
	way_add(bench, FILE_, END);
	way_add(bench, OTP, END);
	riddle.result = FACTOR_FAILED;
	way_add(bench, RIDDLE, END);
	first(bench, "ann", "secret");
	is_form(bench, IPC_FORM_ANSWER);
	// No way out of the one that has begun.
	answer(bench, "000000");
	is_form(bench, IPC_FORM_ANSWER);
	answer(bench, "secret");
	is_form(bench, IPC_FORM_ANSWER);
	first(bench, "bob", "secret");
	is_ok(bench);
	assert_string_equal(bench->created.username, "bob");
	first(bench, "cid", code[5]);
	is_ok(bench);
	assert_int_equal(riddle.nb_steps, 0);
	first(bench, "cid", code[5]);
	is_form(bench, IPC_FORM_FIRST);
	assert_int_equal(riddle.nb_steps, 1); // the last way is tried, too
	assert_string_equal(riddle.last_password, code[5]);
	riddle.result = FACTOR_PASSED;
	riddle.groups = "far";
	first(bench, "zoe", "x");
	is_ok(bench);
	assert_string_equal(bench->created.groups, "far");
}

// A factor that cannot decide: others may; if none lets in, it is no wrong password.
static void test_undecided(void **state) {
	struct bench *bench = *state;

	users(bench);
	riddle.result = FACTOR_ERROR;
	way_add(bench, RIDDLE, END);
	way_add(bench, FILE_, END);
	first(bench, "ann", "secret");
	is_ok(bench);
	first(bench, "ann", "wrong");
	is_status(bench, IPC_LOGIN_ERROR);
	assert_string_equal(bench->result.reason, "No server");
	file_put(bench, "tokens", "");
	file_put(bench, "passwd", "");
	riddle.result = FACTOR_PASSED;
	first(bench, "ann", "wrong");
	is_ok(bench);
}

// A second factor that wants a password gets one of its own.
static void test_second_password(void **state) {
	struct bench *bench = *state;

	users(bench);
	riddle.asks = 2;
	riddle.result = FACTOR_PASSED;
	riddle.groups = "guests,far";
	way_add(bench, FILE_, RIDDLE, END);
	first(bench, "ann", "secret");
	is_form(bench, IPC_FORM_ANSWER);
	assert_string_equal(bench->result.label, "Password:");
	assert_int_equal(riddle.nb_steps, 0);
	answer(bench, "one");
	is_form(bench, IPC_FORM_ANSWER);
	assert_int_equal(riddle.last_round, 0);
	assert_string_equal(riddle.last_password, "one");
	assert_string_equal(bench->result.message, "Riddle");
	assert_string_equal(bench->result.label, "Answer:");
	answer(bench, "two");
	is_form(bench, IPC_FORM_ANSWER);
	assert_int_equal(bench->result.round, 1);
	answer(bench, "three");
	assert_int_equal(riddle.last_round, 2);
	assert_string_equal(riddle.last_password, "three");
	is_ok(bench);
	assert_string_equal(bench->created.groups, "staff,guests,far");
	assert_int_equal(riddle.nb_open, 0);
}

// The same factor in two ways is asked once.
static void test_passed_once(void **state) {
	struct bench *bench = *state;

	users(bench);
	riddle.result = FACTOR_PASSED;
	way_add(bench, RIDDLE, OTP, END);
	way_add(bench, RIDDLE, END);
	first(bench, "bob", "x");
	is_ok(bench);
	assert_int_equal(riddle.nb_steps, 1);
}

static void test_rounds(void **state) {
	struct bench *bench = *state;

	riddle.asks = 1000;
	way_add(bench, RIDDLE, END);
	first(bench, "ann", "x");
	for (unsigned i = 0; i < 16; i++) {
		is_form(bench, IPC_FORM_ANSWER);
		assert_int_equal(bench->result.round, i);
		answer(bench, "y");
	}
	is_status(bench, IPC_LOGIN_DENIED);
	assert_int_equal(riddle.nb_steps, 17);
	assert_int_equal(riddle.nb_open, 0);
	// Wrong answers begin no new count.
	bench->cfg.auth.password_tries = 20;
	riddle.asks = 4;
	riddle.result = FACTOR_FAILED;
	first(bench, "ann", "x");
	for (unsigned forms = 0; forms < 16; forms++) {
		is_form(bench, IPC_FORM_ANSWER);
		answer(bench, "y");
		if (bench->result.status == IPC_LOGIN_FORM && bench->result.form == IPC_FORM_FIRST)
			again(bench, "ann", "x");
	}
	is_status(bench, IPC_LOGIN_DENIED);
}

// A transaction belongs to an address, not to an edge; any other number is none.
static void test_transaction(void **state) {
	struct bench *bench = *state;
	uint8_t id[IPC_TRANSACTION_LEN];

	users(bench);
	way_add(bench, FILE_, OTP, END);
	first(bench, "ann", "secret");
	memcpy(id, bench->result.transaction, sizeof(id));
	reply(bench, 0, 2, id, "", code[0], true);
	is_form(bench, IPC_FORM_FIRST);
	assert_memory_equal(bench->result.transaction, (uint8_t[16]){0}, 16);
	id[15] ^= 1;
	reply(bench, 0, 1, id, "", code[0], true);
	is_form(bench, IPC_FORM_FIRST);
	id[15] ^= 1;
	edge_restart(bench, 0);
	reply(bench, 1, 1, id, "", code[0], true);
	is_ok(bench);
	reply(bench, 1, 1, id, "", code[1], true);
	is_form(bench, IPC_FORM_FIRST);
	// A number of nobody with a username is the beginning of a login.
	reply(bench, 1, 1, id, "ann", "secret", true);
	is_form(bench, IPC_FORM_ANSWER);
	assert_memory_not_equal(bench->result.transaction, id, sizeof(id));
}

static void test_edge_dies(void **state) {
	struct bench *bench = *state;
	unsigned before;

	riddle.waits = true;
	way_add(bench, RIDDLE, END);
	reply(bench, 0, 1, NULL, "ann", "x", false);
	reply(bench, 1, 1, NULL, "bob", "x", false);
	spin(bench);
	assert_int_equal(riddle.nb_open, 2);
	before = bench->nb_results;
	edge_restart(bench, 0);
	assert_int_equal(riddle.nb_open, 1);
	riddle_go_on(FACTOR_PASSED);
	spin(bench);
	assert_int_equal(bench->nb_results, before + 1);
	assert_int_equal(bench->result_edge, 1);
	is_ok(bench);
	assert_string_equal(bench->created.username, "bob");
}

// One reply to a form at a time: guesses cannot be sent side by side.
static void test_side_by_side(void **state) {
	struct bench *bench = *state;
	uint8_t id[IPC_TRANSACTION_LEN];
	unsigned before;

	riddle.asks = 1;
	way_add(bench, RIDDLE, END);
	first(bench, "ann", "x");
	memcpy(id, bench->result.transaction, sizeof(id));
	riddle.waits = true;
	reply(bench, 0, 1, id, "", "one", false);
	spin(bench);
	before = riddle.nb_steps;
	reply(bench, 1, 1, id, "", "two", true);
	is_status(bench, IPC_LOGIN_ERROR);
	reply(bench, 1, 1, id, "ann", "two", true);
	is_status(bench, IPC_LOGIN_ERROR);
	assert_int_equal(riddle.nb_steps, before);
	riddle_go_on(FACTOR_PASSED);
	spin(bench);
	is_ok(bench);
}

static void test_auth_dies(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, OTP, END);
	first(bench, "ann", "secret");
	answer(bench, code[3]);
	is_ok(bench);
	auth_restart(bench);
	first(bench, "ann", "secret");
	answer(bench, code[3]);
	is_form(bench, IPC_FORM_ANSWER);
	answer(bench, code[2]);
	is_form(bench, IPC_FORM_ANSWER);
	auth_restart(bench);
	answer(bench, code[4]);
	is_form(bench, IPC_FORM_FIRST);
	assert_non_null(strstr(bench->result.message, "took too long"));
}

// Two logins with one code, decided at the same time.
static void test_code_twice(void **state) {
	struct bench *bench = *state;
	uint8_t id[2][IPC_TRANSACTION_LEN];

	users(bench);
	way_add(bench, FILE_, OTP, END);
	for (unsigned i = 0; i < 2; i++) {
		first(bench, "ann", "secret");
		memcpy(id[i], bench->result.transaction, sizeof(id[i]));
	}
	reply(bench, 0, 1, id[0], "", code[0], false);
	reply(bench, 1, 1, id[1], "", code[0], false);
	while (bench->nb_results < 4)
		spin(bench);
	assert_int_equal(bench->nb_created, 1);
}

// Open logins of one user from one address push each other out, and nobody else's.
static void test_parked_of_user(void **state) {
	struct bench *bench = *state;
	uint8_t oldest[IPC_TRANSACTION_LEN], other[IPC_TRANSACTION_LEN];

	users(bench);
	way_add(bench, FILE_, OTP, END);
	reply(bench, 0, 2, NULL, "ann", "secret", true);
	memcpy(other, bench->result.transaction, sizeof(other));
	first(bench, "ann", "secret");
	memcpy(oldest, bench->result.transaction, sizeof(oldest));
	for (unsigned i = 0; i < 4; i++)
		first(bench, "ann", "secret");
	reply(bench, 0, 1, oldest, "", code[0], true);
	is_form(bench, IPC_FORM_FIRST);
	reply(bench, 0, 2, other, "", code[0], true);
	is_ok(bench);
}

// The addresses of one /64 are one client's, those of another are not.
static void test_parked_of_prefix(void **state) {
	struct bench *bench = *state;
	struct ipc_login msg = {.remote.bytes = {0x20, 0x01, 0xd, 0xb8, [7] = 1}};

	users(bench);
	way_add(bench, FILE_, OTP, END);
	strcpy(msg.username, "ann");
	strcpy(msg.password, "secret");
	for (unsigned i = 0; i < 8; i++) {
		unsigned before = bench->nb_results;

		msg.remote.bytes[7] = i == 0; // the first is in another network
		msg.remote.bytes[15] = (uint8_t)i;
		msg.hdr.req = ++bench->req;
		ipc_send(bench->edges[0].far, IPC_LOGIN, &msg.hdr, sizeof(msg), NULL, 0);
		while (bench->nb_results == before)
			spin(bench);
		is_form(bench, IPC_FORM_ANSWER);
	}
	assert_int_equal(bench->logins->nb_parked, 1 + 4);
}

// Many wrong codes: then not even a right one is looked at, whoever begins anew from wherever.
static void test_wrong_codes(void **state) {
	struct bench *bench = *state;
	uint8_t id[IPC_TRANSACTION_LEN];

	users(bench);
	file_put(bench, "tokens",
		"HOTP/E/6 ann - 3132333435363738393031323334353637383930 0\n"
		"HOTP/E/6 ann - 4132333435363738393031323334353637383930 0\n");
	way_add(bench, FILE_, OTP, END);
	for (unsigned i = 0; i < 5; i++) {
		reply(bench, 0, (uint8_t)(10 + i), NULL, "ann", "secret", true);
		memcpy(id, bench->result.transaction, sizeof(id));
		reply(bench, 0, (uint8_t)(10 + i), id, "", "000000", true);
		is_form(bench, IPC_FORM_ANSWER);
	}
	auth_restart(bench);
	first(bench, "ann", "secret");
	answer(bench, code[0]);
	is_form(bench, IPC_FORM_ANSWER);
	assert_int_equal(bench->nb_created, 0);
	assert_int_equal(bench->nb_wrong, 6);
}

// The second token of a user is as good as the first, however often.
static void test_second_token(void **state) {
	struct bench *bench = *state;

	users(bench);
	file_put(bench, "tokens",
		"HOTP/E/6 ann - 4132333435363738393031323334353637383930 0\n"
		"HOTP/E/6 ann - 3132333435363738393031323334353637383930 0\n");
	way_add(bench, OTP, END);
	for (unsigned i = 0; i < 10; i++) {
		first(bench, "ann", code[i]);
		is_ok(bench);
	}
}

static void ask_connect(struct bench *bench, unsigned edge) {
	struct ipc_connect msg = {.hdr.req = ++bench->req, .cookie = "cookie"};

	ipc_send(bench->edges[edge].far, IPC_CONNECT, &msg.hdr, sizeof(msg), NULL, 0);
	spin(bench);
}

// Whatever is not there yet: a CONNECT waits for it, and arrives once, with the cookie's hash.
static void test_connect_waits(void **state) {
	struct bench *bench = *state;
	struct ipc_connect first, early = {.hdr.req = 99, .cookie = "cookie"};

	ask_connect(bench, 1);
	assert_int_equal(bench->nb_connects, 1);
	first = bench->connect;
	assert_int_equal(first.edge, 1);
	assert_memory_not_equal(first.cookie, "cookie", 7);

	session_end(bench);
	ask_connect(bench, 1);
	auth_restart(bench); // takes along what it kept: the edge asks again
	ask_connect(bench, 1);
	session_begin(bench);
	spin(bench);
	assert_int_equal(bench->nb_connects, 2);
	assert_memory_equal(bench->connect.cookie, first.cookie, IPC_HASH_LEN);

	auth_restart_early(bench);
	assert_int_equal(logins_connect(bench->logins, bench->edges[0].near, &early), 0);
	assert_int_equal(bench->nb_connects, 2);
	spin(bench);
	assert_int_equal(bench->nb_connects, 3);
	assert_int_equal(bench->connect.edge, 0);
	assert_int_equal(bench->connect.hdr.req, 99);
	assert_memory_equal(bench->connect.cookie, first.cookie, IPC_HASH_LEN);
}

// What is sent to a session process that has just died is for its successor.
static void test_session_dies(void **state) {
	struct ipc_login msg = {.hdr.req = 7, .username = "ann", .password = "x"};
	struct bench *bench = *state;

	riddle.result = FACTOR_PASSED;
	way_add(bench, RIDDLE, END);
	session_die(bench);
	assert_int_equal(logins_login(bench->logins, bench->edges[0].near, &msg), 0);
	spin(bench);
	assert_int_equal(bench->nb_results, 0);
	session_begin(bench);
	spin(bench);
	is_ok(bench);
	assert_int_equal(bench->nb_created, 1);
}

// Thousands of wrong passwords push no login out that has passed its first factor.
static void test_parked_flood(void **state) {
	struct bench *bench = *state;
	uint8_t mine[IPC_TRANSACTION_LEN], denied[IPC_TRANSACTION_LEN];

	riddle.asks = 1;
	way_add(bench, RIDDLE, END);
	first(bench, "ann", "x");
	is_form(bench, IPC_FORM_ANSWER);
	memcpy(mine, bench->result.transaction, sizeof(mine));
	riddle.asks = 0;
	riddle.result = FACTOR_FAILED;
	reply(bench, 0, 9, NULL, "bob", "x", true);
	memcpy(denied, bench->result.transaction, sizeof(denied));
	for (unsigned i = 0; i < 5000; i++) {
		reply(bench, 0, 9, NULL, "bob", "x", true);
		is_form(bench, IPC_FORM_FIRST);
	}
	assert_true(bench->logins->nb_parked <= 4096);
	riddle.result = FACTOR_PASSED;
	reply(bench, 0, 1, mine, "", "y", true);
	is_ok(bench);
	reply(bench, 0, 9, denied, "", "y", true); // pushed out: not known any more
	assert_memory_equal(bench->result.transaction, (uint8_t[16]){0}, 16);
}

// More than can be worked on at once.
static void test_active_limit(void **state) {
	struct bench *bench = *state;

	riddle.waits = true;
	way_add(bench, RIDDLE, END);
	for (unsigned i = 0; i < 1024; i++) {
		reply(bench, 0, 1, NULL, "ann", "x", false);
		spin(bench);
	}
	assert_int_equal(bench->nb_results, 0);
	reply(bench, 0, 1, NULL, "ann", "x", true);
	is_status(bench, IPC_LOGIN_ERROR);
	assert_int_equal(riddle.nb_open, 1024);
}

static void test_session_away(void **state) {
	struct bench *bench = *state;
	unsigned before;

	users(bench);
	way_add(bench, FILE_, END);
	bench->session_answers = false;
	before = bench->nb_results;
	reply(bench, 0, 1, NULL, "ann", "secret", false);
	while (bench->nb_created == 0)
		spin(bench);
	assert_int_equal(bench->nb_results, before);
	bench->session_answers = true;
	logins_session_up(bench->logins); // asks again
	while (bench->nb_results == before)
		spin(bench);
	is_ok(bench);
	assert_int_equal(bench->nb_created, 2);
}

// The session process dies with the answer, twice: about the last code, and that this one is taken.
static void test_session_away_otp(void **state) {
	struct bench *bench = *state;
	uint8_t id[IPC_TRANSACTION_LEN];
	unsigned before;

	users(bench);
	way_add(bench, FILE_, OTP, END);
	first(bench, "ann", "secret");
	memcpy(id, bench->result.transaction, sizeof(id));
	before = bench->nb_results;
	bench->otp_lost = 1 << 0 | 1 << 2;
	reply(bench, 0, 1, id, "", code[0], false);
	while (bench->nb_otp < 1)
		spin(bench);
	spin(bench);
	assert_int_equal(bench->nb_otp, 1);
	logins_peer_up(bench->logins, IPC_SESSION);
	while (bench->nb_otp < 3) // the same question, and the one that takes
		spin(bench);
	spin(bench);
	assert_int_equal(bench->nb_results, before);
	logins_peer_up(bench->logins, IPC_SESSION);
	while (bench->nb_results == before)
		spin(bench);
	is_ok(bench);
	assert_int_equal(bench->nb_otp, 4);
}

// The store of used codes does not work: not a wrong code.
static void test_otp_store_broken(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, OTP, END);
	file_put(bench, OTP_STORE_FILE, "no database");
	otp_restart(bench);
	first(bench, "ann", "secret");
	is_form(bench, IPC_FORM_ANSWER);
	answer(bench, code[0]);
	is_status(bench, IPC_LOGIN_ERROR);
	assert_int_equal(bench->nb_created, 0);
}

// Each wrong answer, of whichever factor, is told of once; what lets a user in is not.
static void test_wrong_told(void **state) {
	struct bench *bench = *state;

	users(bench);
	way_add(bench, FILE_, OTP, END);
	way_add(bench, OTP, END);
	reply(bench, 0, 7, NULL, "ann", "wrong", true);
	spin(bench);
	assert_int_equal(bench->nb_wrong, 1);
	assert_int_equal(bench->wrong_remote.bytes[15], 7);
	first(bench, "ann", "secret");
	spin(bench);
	assert_int_equal(bench->nb_wrong, 1);
	answer(bench, "000000");
	spin(bench);
	assert_int_equal(bench->nb_wrong, 2);
	answer(bench, code[0]);
	is_ok(bench);
	first(bench, "cid", code[5]); // by the second way
	is_ok(bench);
	assert_int_equal(bench->nb_wrong, 2);
}

static void test_groups(void **state) {
	struct bench *bench = *state;
	struct ipc_login msg = {.username = "ann", .password = "secret"};

	users(bench);
	way_add(bench, FILE_, END);
	bench->cfg.auth.default_group = (char *)(uintptr_t) "guests";
	first(bench, "ann", "secret");
	assert_string_equal(bench->created.group, "guests");
	first(bench, "bob", "secret");
	is_ok(bench);
	assert_string_equal(bench->created.group, "");
	for (unsigned i = 0; i < 3; i++) {
		static const char *const asked[] = {"staff", "owners", "staf"};
		unsigned before = bench->nb_results;

		strcpy(msg.group, asked[i]);
		msg.hdr.req = ++bench->req;
		ipc_send(bench->edges[0].far, IPC_LOGIN, &msg.hdr, sizeof(msg), NULL, 0);
		while (bench->nb_results == before)
			spin(bench);
		if (i == 0) {
			is_ok(bench);
			assert_string_equal(bench->created.group, "staff");
		} else {
			is_form(bench, IPC_FORM_FIRST);
		}
	}
}

static void test_group_choose(void **state) {
	char group[IPC_GROUP_LEN], list[IPC_GROUPS_LEN] = "";
	char longest[IPC_GROUP_LEN + 1];

	assert_true(login_group_choose("a, b ,c", "b", "", group));
	assert_string_equal(group, "b");
	assert_false(login_group_choose("a,bb,c", "b", "", group));
	assert_false(login_group_choose("a,bb,c", "a,bb", "", group));
	assert_false(login_group_choose("", "b", "b", group));
	assert_true(login_group_choose("", "", "b", group));
	assert_string_equal(group, "");
	assert_true(login_group_choose(",, a,b", "", "b", group));
	assert_string_equal(group, "b");
	assert_true(login_group_choose(",, a,b", "", "c", group));
	assert_string_equal(group, "a");
	memset(longest, 'x', IPC_GROUP_LEN);
	longest[IPC_GROUP_LEN] = '\0';
	assert_true(login_group_choose(longest, "", "", group));
	assert_string_equal(group, "");
	login_groups_add(list, "a,b");
	login_groups_add(list, " b , c,");
	login_groups_add(list, "");
	assert_string_equal(list, "a,b,c");
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(group, sizeof(group), "group%u", i);
		login_groups_add(list, group);
	}
	assert_true(strlen(list) < IPC_GROUPS_LEN);
	assert_true(list[strlen(list) - 1] != ',');
}

// What an edge cannot have sent.
static void test_hostile(void **state) {
	struct bench *bench = *state;
	struct ipc_login msg = {.password = "x"};

	way_add(bench, FILE_, END);
	assert_int_equal(logins_login(bench->logins, bench->edges[0].near, &msg), -EINVAL);
	strcpy(msg.username, "ann\n");
	assert_int_equal(logins_login(bench->logins, bench->edges[0].near, &msg), -EINVAL);
	memset(msg.username, 'a', sizeof(msg.username));
	assert_int_equal(logins_login(bench->logins, bench->edges[0].near, &msg), -EINVAL);
}

static void ask_about(struct bench *bench, const char *const *names, uint32_t nb) {
	struct ipc_users_ask msg = {.nb = nb};

	for (uint32_t i = 0; i < nb; i++)
		snprintf(msg.names[i], sizeof(msg.names[i]), "%s", names[i]);
	bench->gone = UINT64_MAX;
	ipc_send(bench->session.far, IPC_USERS_ASK, &msg.hdr, sizeof(msg), NULL, 0);
	while (bench->gone == UINT64_MAX)
		event_base_loop(bench->base, EVLOOP_ONCE);
}

// Of a file that was written a while ago the session process is told at once.
static void test_users_gone(void **state) {
	static const char *const names[] = {"ann", "lee", "nobody", "bob", ""};
	const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	const char *hash = "$1$saltsalt$UsOc7xoGFDl5WGEPNTi5I/";
	struct bench *bench = *state;
	char text[256];

	users(bench);
	snprintf(text, sizeof(text), "ann::%s\nbob:staff:%s\nlee::!%s\n", hash, hash, hash);
	file_put(bench, "passwd", text);
	assert_int_equal(utimensat(bench->dir_fd, "passwd", old, 0), 0);
	bench->cfg.auth.password_file = (char[]){"passwd"};
	auth_restart(bench);
	assert_int_equal(bench->nb_changed, 0); // it is not to
	bench->cfg.auth.end_removed_users = true;
	auth_restart(bench);
	assert_int_equal(bench->nb_changed, 1);
	ask_about(bench, names, 5);
	assert_int_equal(bench->gone, 1 << 1 | 1 << 2 | 1 << 4);
	logins_peer_up(bench->logins, IPC_SESSION); // another one
	spin(bench);
	assert_int_equal(bench->nb_changed, 2);
	// One that is being written is left alone.
	file_put(bench, "passwd", "");
	auth_restart(bench);
	assert_int_equal(bench->nb_changed, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_password),
		TEST(test_tries),
		TEST(test_two_factors),
		TEST(test_begin_again),
		TEST(test_no_token),
		TEST(test_alternatives),
		TEST(test_undecided),
		TEST(test_second_password),
		TEST(test_passed_once),
		TEST(test_rounds),
		TEST(test_transaction),
		TEST(test_edge_dies),
		TEST(test_side_by_side),
		TEST(test_auth_dies),
		TEST(test_code_twice),
		TEST(test_parked_of_user),
		TEST(test_parked_of_prefix),
		TEST(test_wrong_codes),
		TEST(test_second_token),
		TEST(test_connect_waits),
		TEST(test_session_dies),
		TEST(test_parked_flood),
		TEST(test_active_limit),
		TEST(test_session_away),
		TEST(test_session_away_otp),
		TEST(test_otp_store_broken),
		TEST(test_wrong_told),
		TEST(test_groups),
		cmocka_unit_test(test_group_choose),
		TEST(test_hostile),
		TEST(test_users_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
