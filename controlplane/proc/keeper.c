// SPDX-License-Identifier: GPL-3.0-or-later
// The process beside each running script or PAM conversation, and the start of that; called by
// script.c and pam.c.
//
// The keeper is a fork of its caller that holds two pipes and nothing else. It is the subreaper of
// what it starts: whatever that starts, in its own session or not, becomes the keeper's child when
// its parent ends. So when the time is over, or the caller has died, the keeper kills until it has
// no child any more.
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controlplane/proc/clock.h"

#define STATUS_FD 3
#define NOFILE 1024u
#define EXEC_FAILED 127

struct user {
	bool set;
	char name[64];
	uid_t uid;
	gid_t gid;
};

// ---- the script

static void signals_default(void) {
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(const struct user *user) {
	if (!user->set)
		return 0;
	if (initgroups(user->name, user->gid) < 0 ||
		setresgid(user->gid, user->gid, user->gid) < 0 ||
		setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}

// Standard error is the pipe already: what goes wrong is said there, and logged.
__attribute__((noreturn)) static void script_exec(
	const struct keeper_job *job, const struct user *user, pid_t keeper) {
	const struct rlimit nofile = {NOFILE, NOFILE};
	char *const plain[] = {(char *)(uintptr_t)job->path, NULL};

	setsid();
	umask(022);
	signals_default();
	// The signal of the keeper's end is set behind the change of user, which takes it back.
	if (setrlimit(RLIMIT_NOFILE, &nofile) == 0 && become(user) == 0 && chdir("/") == 0 &&
		close_range(STATUS_FD, ~0u, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
		getppid() == keeper)
		execve(job->path, job->argv != NULL ? job->argv : plain, job->env);
	dprintf(STDERR_FILENO, "%s: %s\n", job->path, strerror(errno));
	_exit(EXEC_FAILED);
}

// ---- the keeper

// The kernel's list of our children: those that the script left to us, too.
static void kill_children(void) {
	char text[4096], *at = text, *end;
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (len <= 0)
		return;
	text[len] = '\0';
	for (;;) {
		long pid = strtol(at, &end, 10);

		// The last number may be cut off; the rest comes with the next round.
		if (end == at || *end != ' ')
			return;
		kill((pid_t)pid, SIGKILL);
		at = end;
	}
}

static void report(int32_t status) {
	// The reader may be gone: then nobody wants to know.
	(void)!write(STATUS_FD, &status, sizeof(status));
	close(STATUS_FD);
}

static int32_t status_of(int wait_status) {
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 256 + WTERMSIG(wait_status);
}

// Collects all that have ended. False: there is no child any more.
static bool reap(pid_t *script) {
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		if (pid != *script)
			continue;
		*script = 0;
		report(status_of(wait_status));
	}
	return pid == 0;
}

// Until nothing is left: each child that dies may leave us its own.
static void kill_all(pid_t *script) {
	const struct timespec pause = {.tv_nsec = 2000000};

	if (*script > 0) {
		kill(-*script, SIGKILL);
		report(-ETIMEDOUT);
		*script = 0;
	}
	do {
		kill_children();
		nanosleep(&pause, NULL);
	} while (reap(script));
}

__attribute__((noreturn)) static void keep(pid_t script, uint64_t until_ms) {
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	while (reap(&script)) {
		uint64_t now = clock_ms(), left = until_ms > now ? until_ms - now : 0;
		const struct timespec wait = {(time_t)(left / 1000), (long)(left % 1000) * 1000000};
		int sig = sigtimedwait(&set, NULL, &wait);

		if (sig == SIGTERM || (sig < 0 && errno == EAGAIN)) {
			kill_all(&script);
			break;
		}
	}
	_exit(EXIT_SUCCESS);
}

// Only stdin (null, or the job's), stdout and stderr (the output) and the status pipe stay.
static int descriptors(int input_fd, int status_fd, int output_fd) {
	int from = input_fd >= 0 ? input_fd : open("/dev/null", O_RDONLY | O_CLOEXEC);
	// Out of the way of what they are about to be copied to.
	int input = fcntl(from, F_DUPFD, STATUS_FD + 1);
	int status = fcntl(status_fd, F_DUPFD, STATUS_FD + 1);
	int output = fcntl(output_fd, F_DUPFD, STATUS_FD + 1);

	if (input < 0 || status < 0 || output < 0 || dup2(input, STDIN_FILENO) < 0 ||
		dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ||
		dup2(status, STATUS_FD) < 0 || close_range(STATUS_FD + 1, ~0u, 0) < 0)
		return -errno;
	return 0;
}

// Input and output end with what was started.
static int descriptors_null(void) {
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), status = 0;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && status == 0; fd++)
		status = null < 0 || dup2(null, fd) < 0 ? -errno : 0;
	if (null >= 0)
		close(null);
	return status;
}

__attribute__((noreturn)) static void keeper_main(const struct keeper_job *job,
	const struct user *user, pid_t parent, int status_fd, int output_fd) {
	pid_t script, keeper = getpid();
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_NAME, "ps-keeper", 0, 0, 0);
	setsid();
	if (descriptors(job->input_fd, status_fd, output_fd) < 0 ||
		prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 ||
		getppid() != parent)
		_exit(EXIT_FAILURE);
	script = fork();
	if (script == 0)
		script_exec(job, user, keeper);
	if (script < 0) {
		report(-errno);
		_exit(EXIT_FAILURE);
	}
	if (descriptors_null() < 0)
		kill(script, SIGKILL);
	keep(script, clock_ms() + (uint64_t)job->timeout_s * 1000);
}

// ---- the caller

static int user_find(const char *name, struct user *user) {
	const struct passwd *entry;

	*user = (struct user){0};
	if (name == NULL || name[0] == '\0')
		return 0;
	entry = getpwnam(name);
	if (entry == NULL || strlen(name) >= sizeof(user->name))
		return -ESRCH;
	snprintf(user->name, sizeof(user->name), "%s", name);
	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	user->set = true;
	return 0;
}

// Who can change the file can do what it does.
static int file_check(const char *path, const struct user *user) {
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && (!user->set || st.st_uid != user->uid)) ||
		(st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return -EPERM;
	return 0;
}

int keeper_start(struct keeper *keeper, const struct keeper_job *job) {
	int status_pipe[2], output_pipe[2], status;
	pid_t self = getpid();
	struct user as;

	status = user_find(job->user, &as);
	if (status == 0 && job->argv == NULL)
		status = file_check(job->path, &as);
	if (status < 0)
		return status;
	if (pipe2(status_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	if (pipe2(output_pipe, O_CLOEXEC) < 0) {
		status = -errno;
		goto no_output;
	}
	keeper->pid = fork();
	if (keeper->pid == 0)
		keeper_main(job, &as, self, status_pipe[1], output_pipe[1]);
	if (keeper->pid < 0) {
		status = -errno;
		goto no_fork;
	}
	close(status_pipe[1]);
	close(output_pipe[1]);
	fcntl(output_pipe[0], F_SETFL, O_NONBLOCK);
	keeper->status_fd = status_pipe[0];
	keeper->output_fd = output_pipe[0];
	return 0;
no_fork:
	close(output_pipe[0]);
	close(output_pipe[1]);
no_output:
	close(status_pipe[0]);
	close(status_pipe[1]);
	return status;
}
