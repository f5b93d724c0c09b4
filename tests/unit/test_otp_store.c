// SPDX-License-Identifier: GPL-3.0-or-later
// The store of used one-time passwords: takes each once, also of two at the same time, and knows it
// after a restart; a file that cannot be used lets nobody in.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/session/otp_store.h"

#define ANSWERS_MAX 5000u

time_t __wrap_time(time_t *out);

struct bench {
	char dir[32];
	int dir_fd;
	struct event_base *base;
	struct otp_store *store;
	struct ipc_otp_answer answers[ANSWERS_MAX];
	unsigned nb_answers;
};

static void on_answer(struct ipc_otp_answer *msg, void *arg) {
	struct bench *bench = arg;

	assert_true(bench->nb_answers < ANSWERS_MAX);
	bench->answers[bench->nb_answers++] = *msg;
}

static void store_start(struct bench *bench) {
	bench->store = otp_store_open(bench->dir_fd, NULL);
	assert_non_null(bench->store);
	assert_int_equal(otp_store_start(bench->store, bench->base, on_answer, bench), 0);
}

static void restart(struct bench *bench) {
	otp_store_close(bench->store);
	store_start(bench);
}

static int setup(void **state) {
	struct bench *bench = calloc(1, sizeof(*bench));

	strcpy(bench->dir, "/tmp/otp-store-XXXXXX");
	assert_non_null(mkdtemp(bench->dir));
	bench->dir_fd = open(bench->dir, O_RDONLY | O_DIRECTORY);
	bench->base = event_base_new();
	store_start(bench);
	*state = bench;
	return 0;
}

static int teardown(void **state) {
	struct bench *bench = *state;

	otp_store_close(bench->store);
	event_base_free(bench->base);
	unlinkat(bench->dir_fd, OTP_STORE_FILE, 0);
	unlinkat(bench->dir_fd, OTP_STORE_FILE "-lock", 0);
	close(bench->dir_fd);
	rmdir(bench->dir);
	free(bench);
	return 0;
}

static void put(
	struct bench *bench, uint64_t req, uint8_t token, enum ipc_otp what, uint64_t factor) {
	struct ipc_otp_ask ask = {.hdr.req = req, .token = {token}, .what = what, .factor = factor};

	otp_store_ask(bench->store, &ask);
}

// The answer to one question by itself.
static struct ipc_otp_answer asked(
	struct bench *bench, uint64_t req, uint8_t token, enum ipc_otp what, uint64_t factor) {
	bench->nb_answers = 0;
	put(bench, req, token, what, factor);
	event_base_loop(bench->base, EVLOOP_NONBLOCK);
	assert_int_equal(bench->nb_answers, 1);
	assert_int_equal(bench->answers[0].hdr.req, req);
	return bench->answers[0];
}

static void test_once(void **state) {
	struct bench *bench = *state;

	assert_int_equal(asked(bench, 1, 7, IPC_OTP_LAST, 0).status, -ENOENT);
	assert_int_equal(asked(bench, 2, 7, IPC_OTP_TAKE, 0).status, 0); // zero is a counter, too
	assert_int_equal(asked(bench, 3, 7, IPC_OTP_LAST, 0).status, 0);
	assert_int_equal(asked(bench, 4, 7, IPC_OTP_TAKE, 0).status, -EEXIST);
	assert_int_equal(asked(bench, 5, 7, IPC_OTP_TAKE, 100).status, 0);
	assert_int_equal(asked(bench, 6, 7, IPC_OTP_TAKE, 100).status, -EEXIST);
	assert_int_equal(asked(bench, 7, 7, IPC_OTP_TAKE, 99).status, -EEXIST);
	assert_int_equal(asked(bench, 8, 7, IPC_OTP_LAST, 0).last, 100);
	assert_int_equal(asked(bench, 9, 8, IPC_OTP_LAST, 0).status, -ENOENT); // another token
}

// The answer was lost, and the question comes again: not a second use.
static void test_again(void **state) {
	struct bench *bench = *state;

	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, 5).status, 0);
	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, 5).status, 0);
	restart(bench);
	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, 5).status, 0);
	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, 4).status, -EEXIST);
	assert_int_equal(asked(bench, 2, 7, IPC_OTP_TAKE, 5).status, -EEXIST);
	assert_int_equal(asked(bench, 3, 7, IPC_OTP_TAKE, 6).status, 0);
	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, 5).status, -EEXIST);
}

static void test_restart(void **state) {
	struct bench *bench = *state;

	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, UINT64_MAX - 1).status, 0);
	restart(bench);
	assert_int_equal(asked(bench, 2, 7, IPC_OTP_TAKE, UINT64_MAX - 1).status, -EEXIST);
	assert_int_equal(asked(bench, 3, 7, IPC_OTP_LAST, 0).last, UINT64_MAX - 1);
}

// In one batch: of those with the same code one gets it.
static void test_at_once(void **state) {
	struct bench *bench = *state;
	unsigned taken = 0;

	for (unsigned i = 0; i < 100; i++)
		put(bench, i, 7, IPC_OTP_TAKE, 5);
	event_base_loop(bench->base, EVLOOP_NONBLOCK);
	assert_int_equal(bench->nb_answers, 100);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(bench->answers[i].hdr.req, i);
		assert_true(bench->answers[i].status == (i == 0 ? 0 : -EEXIST));
		taken += bench->answers[i].status == 0;
	}
	assert_int_equal(taken, 1);
}

// More than a batch holds: those are told to come again.
static void test_full(void **state) {
	struct bench *bench = *state;

	for (unsigned i = 0; i < 4100; i++)
		put(bench, i, 7, IPC_OTP_LAST, 0);
	assert_int_equal(bench->nb_answers, 4);
	assert_int_equal(bench->answers[0].status, -EAGAIN);
	assert_int_equal(bench->answers[0].hdr.req, 4096);
	event_base_loop(bench->base, EVLOOP_NONBLOCK);
	assert_int_equal(bench->nb_answers, 4100);
	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, 1).status, 0);
}

static time_t now = 1000000000;

time_t __wrap_time(time_t *out) {
	return now;
}

// Tries until one is not looked at: how many were.
static unsigned tries(struct bench *bench, uint8_t token) {
	unsigned n = 0;

	while (asked(bench, 1, token, IPC_OTP_TRY, 0).status != -EBUSY)
		n++;
	return n;
}

// Wrong codes in a row: some are free, then each doubles the pause, up to a quarter of an hour.
static void test_pauses(void **state) {
	static const unsigned pauses[] = {15, 30, 60, 120, 240, 480, 900, 900, 900};
	struct bench *bench = *state;

	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, 5).status, 0);
	assert_int_equal(tries(bench, 7), 5);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		now += pauses[i] - 1;
		assert_int_equal(tries(bench, 7), 0); // and none of these makes it longer
		restart(bench);
		now++;
		assert_int_equal(asked(bench, 2, 7, IPC_OTP_TRY, 0).last, 5);
		assert_int_equal(tries(bench, 7), 0);
	}
	assert_int_equal(tries(bench, 8), 5); // of another token
	// A right one, or that of another token, and all is forgotten but what was used.
	assert_int_equal(asked(bench, 3, 7, IPC_OTP_TAKE, 6).status, 0);
	assert_int_equal(tries(bench, 7), 5);
	assert_int_equal(asked(bench, 4, 7, IPC_OTP_FORGET, 0).status, 0);
	assert_int_equal(tries(bench, 7), 5);
	assert_int_equal(asked(bench, 5, 7, IPC_OTP_TAKE, 6).status, -EEXIST);
	assert_int_equal(asked(bench, 6, 7, IPC_OTP_LAST, 0).last, 6);
	// A clock that was set back.
	now -= 100000;
	assert_int_equal(asked(bench, 7, 7, IPC_OTP_TRY, 0).status, 0);
}

// Tries side by side are counted before any of them is answered.
static void test_tries_at_once(void **state) {
	struct bench *bench = *state;

	for (unsigned i = 0; i < 100; i++)
		put(bench, i, 9, IPC_OTP_TRY, 0);
	event_base_loop(bench->base, EVLOOP_NONBLOCK);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(bench->answers[i].status, i < 5 ? -ENOENT : -EBUSY);
}

static void damage(struct bench *bench, const char *text) {
	int fd = openat(bench->dir_fd, OTP_STORE_FILE, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

// A file that is not ours stays as it is, and no code is good; without it all begins anew.
static void test_damaged(void **state) {
	struct bench *bench = *state;
	char text[32] = "";
	int fd;

	assert_int_equal(asked(bench, 1, 7, IPC_OTP_TAKE, 5).status, 0);
	otp_store_close(bench->store);
	damage(bench, "something else");
	store_start(bench);
	assert_int_equal(asked(bench, 2, 7, IPC_OTP_LAST, 0).status, -EIO);
	assert_int_equal(asked(bench, 3, 7, IPC_OTP_TAKE, 9).status, -EIO);
	fd = openat(bench->dir_fd, OTP_STORE_FILE, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 14);
	close(fd);
	assert_string_equal(text, "something else");
	unlinkat(bench->dir_fd, OTP_STORE_FILE, 0);
	restart(bench);
	assert_int_equal(asked(bench, 4, 7, IPC_OTP_TAKE, 5).status, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pauses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tries_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
