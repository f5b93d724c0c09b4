// SPDX-License-Identifier: GPL-3.0-or-later
// Reloads of the supervisor: everywhere or nowhere. The supervisor's own code with channels to
// children that this program plays.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "controlplane/proc/log.h"
#include "controlplane/supervisor/supervisor.h"

#define CHILDREN 3u

static const char *const config_text =
	"{\"penstock:penstock\":{"
	"\"listen\":[{\"name\":\"a\",\"tcp-port\":8443,\"udp-port\":8443}],"
	"\"log-level\":\"%s\","
	"\"certificate\":[{\"name\":\"c\",\"certificate-file\":\"/c\",\"key-file\":\"/k\"}],"
	"\"authentication\":{\"password-file\":\"/p\"},"
	"\"pool\":[{\"name\":\"p\",\"ipv4-network\":\"10.10.0.0/16\"}],"
	"\"dataplane\":{\"port\":["
	"{\"name\":\"wan\",\"role\":\"wan\",\"mode\":\"shared\",\"device\":\"lo\"},"
	"{\"name\":\"vpn0\",\"role\":\"lan\",\"mode\":\"tap\",\"address\":[\"10.10.0.1/16\"]}]}}}";

struct bench {
	struct supervisor sup;
	struct proc procs[CHILDREN]; // auth, session, edge
	struct ipc_chan *far[CHILDREN];
	unsigned nb_configs[CHILDREN]; // that the child got
	uint64_t req[CHILDREN]; // of the last
	unsigned nb_results;
	int result;
	char path[64];
};

struct far_end {
	struct bench *bench;
	unsigned number;
};
static struct far_end ends[CHILDREN];

static int on_far(struct ipc_chan *chan, const struct ipc_hdr *msg, int *fds, void *arg) {
	const struct far_end *end = arg;

	if (msg->type == IPC_CONFIG) {
		end->bench->nb_configs[end->number]++;
		end->bench->req[end->number] = msg->req;
	} else if (msg->type == IPC_RELOAD_RESULT) {
		end->bench->nb_results++;
		end->bench->result = ((const struct ipc_status *)msg)->status;
	}
	return 0;
}

static void on_far_closed(struct ipc_chan *chan, const char *offence, void *arg) {
}

static void on_closed(struct ipc_chan *chan, const char *offence, void *arg) {
}

static void spin(struct bench *bench) {
	for (int i = 0; i < 8; i++)
		event_base_loop(bench->sup.base, EVLOOP_NONBLOCK);
}

static void write_config(struct bench *bench, const char *level) {
	FILE *file = fopen(bench->path, "w");

	assert_non_null(file);
	fprintf(file, config_text, level);
	assert_int_equal(fclose(file), 0);
}

// The child's place is filled (again).
static void child_open(struct bench *bench, unsigned number) {
	struct proc *proc = &bench->procs[number];
	int pair[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	proc->wanted = true;
	proc->ready = false;
	proc->chan = ipc_chan_new(bench->sup.base, pair[0], IPC_SUPERVISOR, proc->role, proc->index,
		proc_message, on_closed, proc);
	ends[number] = (struct far_end){bench, number};
	bench->far[number] = ipc_chan_new(bench->sup.base, pair[1], proc->role, IPC_SUPERVISOR, 0,
		on_far, on_far_closed, &ends[number]);
	assert_non_null(proc->chan);
	assert_non_null(bench->far[number]);
}

static void child_close(struct bench *bench, unsigned number) {
	ipc_chan_free(bench->far[number]);
	ipc_chan_free(bench->procs[number].chan);
	bench->far[number] = bench->procs[number].chan = NULL;
	bench->procs[number].ready = false;
}

static void child_ready(struct bench *bench, unsigned number) {
	struct ipc_empty msg = {0};

	assert_int_equal(
		ipc_send(bench->far[number], IPC_READY, &msg.hdr, sizeof(msg), NULL, 0), 0);
	spin(bench);
}

static void answer(struct bench *bench, unsigned number, int status) {
	struct ipc_status msg = {.hdr.req = bench->req[number], .status = status};

	assert_int_equal(
		ipc_send(bench->far[number], IPC_RELOADED, &msg.hdr, sizeof(msg), NULL, 0), 0);
	spin(bench);
}

// A reload asked for by the CLI; the children have its configuration now.
static void reload(struct bench *bench, const char *level) {
	write_config(bench, level);
	bench->nb_results = 0;
	memset(bench->nb_configs, 0, sizeof(bench->nb_configs));
	sup_reload_start(&bench->sup, true, 7);
	spin(bench);
	assert_true(bench->sup.reload.running);
}

static int setup(void **state) {
	static const enum ipc_role roles[CHILDREN] = {IPC_AUTH, IPC_SESSION, IPC_EDGE};
	struct bench *bench = calloc(1, sizeof(*bench));
	char *error;
	int fd;

	snprintf(bench->path, sizeof(bench->path), "/tmp/penstock-reload-XXXXXX");
	fd = mkstemp(bench->path);
	assert_true(fd >= 0);
	close(fd);
	write_config(bench, "info");
	bench->sup.config_path = bench->path;
	bench->sup.config.memfd = bench->sup.reload.old.memfd = -1;
	bench->sup.generation = 1;
	bench->sup.announced = true;
	bench->sup.base = event_base_new();
	bench->sup.procs = bench->procs;
	bench->sup.nb_procs = CHILDREN;
	if (sup_config_load(bench->path, &bench->sup.config, &error) != 0)
		fail_msg("%s", error);
	for (unsigned i = 0; i < CHILDREN; i++) {
		bench->procs[i].sup = &bench->sup;
		bench->procs[i].role = roles[i];
		child_open(bench, i);
		child_ready(bench, i);
	}
	log_level_set(CFG_LOG_INFO);
	*state = bench;
	return 0;
}

static int teardown(void **state) {
	struct bench *bench = *state;

	for (unsigned i = 0; i < CHILDREN; i++)
		child_close(bench, i);
	sup_reload_free(&bench->sup);
	sup_config_free(&bench->sup.config);
	event_base_free(bench->sup.base);
	unlink(bench->path);
	free(bench);
	return 0;
}

static void test_all_take_it(void **state) {
	struct bench *bench = *state;

	reload(bench, "debug");
	for (unsigned i = 0; i < CHILDREN; i++) {
		assert_int_equal(bench->nb_configs[i], 1);
		assert_false(log_enabled(CFG_LOG_DEBUG)); // not before all have it
		answer(bench, i, 0);
	}
	assert_false(bench->sup.reload.running);
	assert_int_equal(bench->nb_results, 1);
	assert_int_equal(bench->result, 0);
	assert_int_equal(bench->sup.config.cfg->log_level, CFG_LOG_DEBUG);
	assert_true(log_enabled(CFG_LOG_DEBUG));
}

// Who took it goes back; who refused has never left.
static void test_one_refuses(void **state) {
	struct bench *bench = *state;

	reload(bench, "debug");
	answer(bench, 1, 0);
	answer(bench, 2, 0);
	answer(bench, 0, -EINVAL);
	assert_int_equal(bench->result, -EINVAL);
	assert_int_equal(bench->sup.config.cfg->log_level, CFG_LOG_INFO);
	assert_false(log_enabled(CFG_LOG_DEBUG));
	assert_int_equal(bench->nb_configs[0], 1);
	assert_int_equal(bench->nb_configs[1], 2);
	assert_int_equal(bench->nb_configs[2], 2);
	answer(bench, 1, 0);
	answer(bench, 2, 0);
	// And the next one is asked of all.
	reload(bench, "debug");
	for (unsigned i = 0; i < CHILDREN; i++)
		answer(bench, i, 0);
	assert_int_equal(bench->result, 0);
}

// A child dies during a reload; its successor starts with the new configuration, and is on its way
// when that is refused.
static void test_successor_goes_back(void **state) {
	struct bench *bench = *state;

	reload(bench, "debug");
	child_close(bench, 2);
	sup_reload_forget(&bench->procs[2]);
	child_open(bench, 2);
	answer(bench, 1, 0);
	answer(bench, 0, 0);
	assert_false(bench->sup.reload.running);
	assert_int_equal(bench->result, -ECHILD);
	assert_int_equal(bench->nb_configs[2], 1); // its predecessor
	child_ready(bench, 2);
	assert_int_equal(bench->nb_configs[2], 2);
	assert_int_equal(bench->req[2], bench->sup.generation);
	assert_int_equal(bench->sup.config.cfg->log_level, CFG_LOG_INFO);
}

// A child that is being started when the reload begins is asked too.
static void test_starting_child_is_asked(void **state) {
	struct bench *bench = *state;

	child_close(bench, 2);
	child_open(bench, 2);
	reload(bench, "debug");
	answer(bench, 0, 0);
	answer(bench, 1, 0);
	assert_int_equal(bench->nb_configs[2], 0);
	assert_true(bench->sup.reload.running);
	child_ready(bench, 2);
	assert_int_equal(bench->nb_configs[2], 1);
	answer(bench, 2, -EINVAL);
	assert_int_equal(bench->result, -EINVAL);
	assert_int_equal(bench->nb_configs[0], 2);
}

// One that took it and then does not go back would run on what was refused: it is ended.
static void test_refuses_to_go_back(void **state) {
	struct bench *bench = *state;
	int wait_status;
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	bench->procs[2].pid = pid;
	reload(bench, "debug");
	answer(bench, 2, 0);
	answer(bench, 1, 0);
	answer(bench, 0, -EINVAL);
	answer(bench, 2, -EBUSY);
	assert_int_equal(waitpid(pid, &wait_status, 0), pid);
	assert_true(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL);
	bench->procs[2].pid = 0;
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_all_take_it),
		T(test_one_refuses),
		T(test_successor_goes_back),
		T(test_starting_child_is_asked),
		T(test_refuses_to_go_back),
	};

	return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
