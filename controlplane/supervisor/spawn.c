// SPDX-License-Identifier: GPL-3.0-or-later
// Starts a child: a fresh exec of this program with one descriptor and a clean environment.
// Called by proc.c.
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL_FD 3

// What a child may know of our environment: where the journal is, and the sanitizer's options.
static const char *const passed_on[] = {"JOURNAL_STREAM", "ASAN_OPTIONS", "UBSAN_OPTIONS"};
#define PASSED_ON (sizeof(passed_on) / sizeof(passed_on[0]))

static void make_environment(char *storage, size_t len, char **env) {
	size_t used = 0;
	for (size_t i = 0; i < PASSED_ON; i++) {
		const char *value = getenv(passed_on[i]);
		if (value == NULL)
			continue;
		int n = snprintf(storage + used, len - used, "%s=%s", passed_on[i], value);
		if (n < 0 || (size_t)n >= len - used)
			break;
		*env++ = storage + used;
		used += (size_t)n + 1;
	}
	*env = NULL;
}

static void reset_signals(void) {
	sigset_t none;
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

// In the child, between fork and exec.
__attribute__((noreturn)) static void exec_role(int chan, char *const argv[], char *const env[]) {
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	// dup2 onto itself would keep close-on-exec.
	if (chan == CHANNEL_FD)
		chan = dup(chan);
	if (null < 0 || chan < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		dup2(chan, CHANNEL_FD) < 0 || close_range(CHANNEL_FD + 1, ~0u, 0) < 0)
		_exit(EXIT_FAILURE);
	reset_signals();
	execve("/proc/self/exe", argv, env);
	_exit(EXIT_FAILURE);
}

int spawn_child(const struct proc *proc, pid_t *pid, int *chan_fd) {
	char index[12];
	char storage[2048];
	char *env[PASSED_ON + 1];
	char *argv[] = {(char *)"penstock-controlplane", (char *)"--role",
		(char *)ipc_role_name(proc->role), (char *)"--index", index, NULL};
	int pair[2];

	snprintf(index, sizeof(index), "%u", proc->index);
	make_environment(storage, sizeof(storage), env);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	*pid = fork();
	if (*pid == 0)
		exec_role(pair[1], argv, env);
	int status = *pid < 0 ? -errno : 0;
	close(pair[1]);
	if (status < 0) {
		close(pair[0]);
		return status;
	}
	*chan_fd = pair[0];
	return 0;
}
