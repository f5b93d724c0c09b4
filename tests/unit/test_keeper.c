// SPDX-License-Identifier: GPL-3.0-or-later
// The keeper of a script: status, output, time limit, and that nothing of the script outlives it.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/proc/keeper.h"

static char path[] = "/tmp/penstock-keeper-XXXXXX";

static void script(const char *text, mode_t mode) {
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n%s\n", text);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static int run(
	struct keeper *keeper, const char *file, char **env, const char *user, uint32_t timeout_s) {
	return keeper_start(keeper,
		&(struct keeper_job){.path = file,
			.env = env,
			.user = user,
			.timeout_s = timeout_s,
			.input_fd = -1});
}

static int start(struct keeper *keeper, const char *text, uint32_t timeout_s) {
	char *env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", (char *)(uintptr_t) "X=1", NULL};

	script(text, 0700);
	return run(keeper, path, env, NULL, timeout_s);
}

// The status, within 10 s; then the keeper's end when `end`.
static int32_t status_of(struct keeper *keeper, bool end) {
	struct pollfd poll_fd = {keeper->status_fd, POLLIN, 0};
	int32_t status = 0;

	assert_int_equal(poll(&poll_fd, 1, 10000), 1);
	assert_int_equal(read(keeper->status_fd, &status, sizeof(status)), sizeof(status));
	if (end)
		assert_int_equal(waitpid(keeper->pid, NULL, 0), keeper->pid);
	return status;
}

// Everything it wrote, until nobody can write any more.
static void output_of(struct keeper *keeper, char *text, size_t size) {
	size_t used = 0;
	ssize_t n = 1;

	while (n != 0 && used + 1 < size) {
		struct pollfd poll_fd = {keeper->output_fd, POLLIN, 0};

		assert_int_equal(poll(&poll_fd, 1, 10000), 1);
		n = read(keeper->output_fd, text + used, size - used - 1);
		assert_true(n >= 0);
		used += (size_t)n;
	}
	text[used] = '\0';
}

static void done(struct keeper *keeper) {
	close(keeper->status_fd);
	close(keeper->output_fd);
}

static void test_status(void **state) {
	struct keeper keeper;
	char text[256];

	assert_int_equal(start(&keeper, "echo out; echo err >&2; echo $X$HOME; exit 3", 10), 0);
	assert_int_equal(status_of(&keeper, true), 3);
	output_of(&keeper, text, sizeof(text));
	assert_string_equal(text, "out\nerr\n1\n");
	done(&keeper);
	assert_int_equal(start(&keeper, "kill -USR1 $$", 10), 0);
	assert_int_equal(status_of(&keeper, true), 256 + SIGUSR1);
	done(&keeper);
}

// In a session of its own, doubly forked: all ends with the time.
static void test_timeout(void **state) {
	struct keeper keeper;
	char text[256];

	assert_int_equal(
		start(&keeper, "setsid sh -c 'sleep 100 & sleep 100' & (sleep 100 &) & sleep 100",
			1),
		0);
	assert_int_equal(status_of(&keeper, true), -ETIMEDOUT);
	// The pipe has no writer left: none of them lives.
	output_of(&keeper, text, sizeof(text));
	assert_string_equal(text, "");
	done(&keeper);
}

// The answer does not wait for what goes on in the background; its time is bounded, too.
static void test_background(void **state) {
	struct keeper keeper;
	char text[256];

	assert_int_equal(start(&keeper, "(sleep 100; echo late) & exit 0", 1), 0);
	assert_int_equal(status_of(&keeper, true), 0);
	output_of(&keeper, text, sizeof(text));
	assert_string_equal(text, "");
	done(&keeper);
}

// Who started it has died.
static void test_orphan(void **state) {
	struct keeper keeper;
	char text[256];
	int pipe_fds[2];
	pid_t parent;

	assert_int_equal(pipe(pipe_fds), 0);
	parent = fork();
	if (parent == 0) {
		if (start(&keeper, "echo begun; setsid sleep 100", 100) == 0)
			(void)!write(pipe_fds[1], &keeper, sizeof(keeper));
		// The output: by the test's own copy of the descriptor.
		for (;;) {
			ssize_t n = read(keeper.output_fd, text, sizeof(text));
			if (n > 0)
				(void)!write(pipe_fds[1], text, (size_t)n);
		}
	}
	assert_int_equal(read(pipe_fds[0], &keeper, sizeof(keeper)), sizeof(keeper));
	assert_int_equal(read(pipe_fds[0], text, 6), 6);
	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	// It is nobody's child of ours: it is gone when its number is.
	for (int i = 0; kill(keeper.pid, 0) == 0 && i < 1000; i++)
		poll(NULL, 0, 10);
	assert_int_equal(kill(keeper.pid, 0), -1);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void test_refused(void **state) {
	char *env[] = {NULL};
	struct keeper keeper;

	script("exit 0", 0777);
	assert_int_equal(run(&keeper, path, env, NULL, 1), -EPERM);
	assert_int_equal(run(&keeper, "/nowhere", env, NULL, 1), -ENOENT);
	assert_int_equal(run(&keeper, "/tmp", env, NULL, 1), -EPERM);
	script("exit 0", 0700);
	assert_int_equal(run(&keeper, path, env, "no-such-user", 1), -ESRCH);
	script("exit 0", 0600); // not executable
	assert_int_equal(run(&keeper, path, env, NULL, 1), 0);
	assert_int_equal(status_of(&keeper, true), 127);
	done(&keeper);
}

static void test_user(void **state) {
	char *env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
	struct keeper keeper;
	char text[256];

	if (getuid() != 0)
		skip();
	script("id -un; id -Gn", 0755);
	assert_int_equal(run(&keeper, path, env, "nobody", 10), 0);
	assert_int_equal(status_of(&keeper, true), 0);
	output_of(&keeper, text, sizeof(text));
	assert_string_equal(text, "nobody\nnogroup\n");
	done(&keeper);
}

// Somebody has killed the keeper: its script goes with it, also as another user.
static void test_no_keeper(void **state) {
	static const char *const users[] = {NULL, "nobody"};
	char *env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
	struct keeper keeper;
	char text[256];

	if (getuid() != 0)
		skip();
	script("echo begun; exec sleep 30", 0755);
	for (size_t i = 0; i < 2; i++) {
		struct pollfd poll_fd = {.events = POLLIN};

		assert_int_equal(run(&keeper, path, env, users[i], 60), 0);
		poll_fd.fd = keeper.output_fd;
		assert_int_equal(poll(&poll_fd, 1, 10000), 1);
		assert_int_equal(read(keeper.output_fd, text, 6), 6);
		kill(keeper.pid, SIGKILL);
		assert_int_equal(waitpid(keeper.pid, NULL, 0), keeper.pid);
		output_of(&keeper, text, sizeof(text));
		assert_string_equal(text, "");
		done(&keeper);
	}
}

static int setup(void **state) {
	int fd = mkstemp(path);

	close(fd);
	return fd < 0;
}

static int teardown(void **state) {
	return unlink(path);
}

// With arguments and an input of its own, which nobody else holds open.
static void test_input(void **state) {
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"read x; echo $0 $x >&0; cat >&0"},
		(char[]){"name"}, NULL};
	char *env[] = {NULL};
	struct keeper keeper;
	char text[64] = "";
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(keeper_start(&keeper,
				 &(struct keeper_job){.path = "/bin/sh",
					 .argv = argv,
					 .env = env,
					 .timeout_s = 10,
					 .input_fd = pair[0]}),
		0);
	close(pair[0]);
	assert_int_equal(write(pair[1], "in\n", 3), 3);
	assert_int_equal(read(pair[1], text, sizeof(text)), 8);
	assert_string_equal(text, "name in\n");
	shutdown(pair[1], SHUT_WR);
	assert_int_equal(status_of(&keeper, true), 0);
	assert_int_equal(read(pair[1], text, sizeof(text)), 0);
	close(pair[1]);
	done(&keeper);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_no_keeper),
	};

	return cmocka_run_group_tests_name("keeper", tests, setup, teardown);
}
