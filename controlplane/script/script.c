// SPDX-License-Identifier: GPL-3.0-or-later
// The script process: runs the operator's scripts for the session process. Run by child_main().
//
// So many run at once (`concurrency`), the others wait in order. A client waits for a connect
// script, so these come first. Runs that concern the same session or the same inner address go one
// after the other, in the order of the requests: what a disconnect script takes away for one client
// must not hit the next who got the address.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/child.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/keeper.h"
#include "controlplane/proc/log.h"
#include "env.h"

#define WAITING_MAX 4096u
#define DONE_MAX 4096u // disconnects that are remembered
#define LINE_LEN 512u // of output; longer ones are cut into several
#define LINES_MAX 32u // logged of one run
#define EXPIRE_MS 500u // how often waiting connects are looked at

struct scripts;

struct run {
	TAILQ_ENTRY(run) link; // in waiting[] or running
	struct scripts *owner;
	struct ipc_script_run asked;
	uint64_t nr; // in the order of the requests
	uint64_t asked_ms; // CLOCK_MONOTONIC
	// Running:
	struct keeper keeper;
	struct event *status_event, *output_event;
	bool answered;
	unsigned nb_lines;
	size_t line_len;
	char line[LINE_LEN + 1];
};

TAILQ_HEAD(run_list, run);

enum {
	FIRST, // a client waits: connect
	LATER, // disconnect, host-update
	QUEUES,
};

struct scripts {
	struct child *child;
	struct run_list waiting[QUEUES], running;
	unsigned nb_waiting, nb_running;
	uint64_t nb_asked;
	// Ids of disconnects that were run: a session process that died before it heard asks again.
	uint64_t done[DONE_MAX];
	unsigned next_done;
	struct event *child_signal, *tick;
};

static const char *const event_names[] = {
	[IPC_SCRIPT_CONNECT] = "connect",
	[IPC_SCRIPT_DISCONNECT] = "disconnect",
	[IPC_SCRIPT_HOST_UPDATE] = "host-update",
};

static const char *path_of(const struct cfg *cfg, uint32_t event) {
	switch (event) {
	case IPC_SCRIPT_CONNECT:
		return cfg->scripts.connect;
	case IPC_SCRIPT_DISCONNECT:
		return cfg->scripts.disconnect;
	default:
		return cfg->scripts.host_update;
	}
}

// ---- answers

static void answer(struct scripts *scripts, const struct run *run, int status) {
	struct ipc_chan *session = child_peer(scripts->child, IPC_SESSION, 0);
	struct ipc_script_done msg = {
		.hdr.req = run->asked.hdr.req, .status = status, .event = run->asked.event};

	// A session process that went asks again when it is back.
	if (session != NULL && run->asked.hdr.req != 0)
		ipc_send(session, IPC_SCRIPT_DONE, &msg.hdr, sizeof(msg), NULL, 0);
}

static void log_run(const struct run *run, int status) {
	const struct ipc_script_facts *facts = &run->asked.facts;
	uint64_t took = clock_ms() - run->asked_ms;

	if (status == 0)
		log_info("script", "script=%s id=%llu session=%u user=%s took_ms=%llu",
			event_names[run->asked.event], (unsigned long long)facts->id,
			facts->session, log_value(facts->user), (unsigned long long)took);
	else
		log_warning("script_failed",
			"script=%s id=%llu session=%u user=%s took_ms=%llu status=%d text=%s",
			event_names[run->asked.event], (unsigned long long)facts->id,
			facts->session, log_value(facts->user), (unsigned long long)took, status,
			log_value(status < 0		? strerror(-status)
					: status >= 256 ? strsignal(status - 256)
							: "exit status"));
}

static void wait_remove(struct scripts *scripts, struct run *run, unsigned queue) {
	TAILQ_REMOVE(&scripts->waiting[queue], run, link);
	scripts->nb_waiting--;
}

// Never ran: answers and forgets.
static void refuse(struct scripts *scripts, struct run *run, int status) {
	log_run(run, status);
	answer(scripts, run, status);
	free(run);
}

// A connect script that failed is not followed by its disconnect.
static void cancel_disconnect(struct scripts *scripts, uint64_t id) {
	struct run *run, *next;

	for (run = TAILQ_FIRST(&scripts->waiting[LATER]); run != NULL; run = next) {
		next = TAILQ_NEXT(run, link);
		if (run->asked.facts.id != id)
			continue;
		wait_remove(scripts, run, LATER);
		refuse(scripts, run, -ECANCELED);
	}
}

static void ended(struct scripts *scripts, struct run *run, int status) {
	run->answered = true;
	if (run->asked.event == IPC_SCRIPT_DISCONNECT) {
		scripts->done[scripts->next_done] = run->asked.facts.id;
		scripts->next_done = (scripts->next_done + 1) % DONE_MAX;
	}
	log_run(run, status);
	answer(scripts, run, status);
	if (status != 0 && run->asked.event == IPC_SCRIPT_CONNECT)
		cancel_disconnect(scripts, run->asked.facts.id);
}

// ---- output

static void line_flush(struct run *run) {
	if (run->line_len == 0)
		return;
	run->line[run->line_len] = '\0';
	run->line_len = 0;
	if (++run->nb_lines <= LINES_MAX)
		log_info("script_output", "script=%s id=%llu text=%s",
			event_names[run->asked.event], (unsigned long long)run->asked.facts.id,
			log_value(run->line));
	else if (run->nb_lines == LINES_MAX + 1)
		log_info("script_output", "script=%s id=%llu text=\"more is not logged\"",
			event_names[run->asked.event], (unsigned long long)run->asked.facts.id);
}

static void output_add(struct run *run, const char *data, size_t len) {
	for (size_t i = 0; i < len; i++) {
		if (data[i] != '\n' && data[i] != '\0')
			run->line[run->line_len++] = data[i];
		if (data[i] == '\n' || run->line_len == LINE_LEN)
			line_flush(run);
	}
}

static void output_close(struct run *run) {
	if (run->output_event == NULL)
		return;
	line_flush(run);
	event_free(run->output_event);
	run->output_event = NULL;
	close(run->keeper.output_fd);
}

// ---- running

static void start_next(struct scripts *scripts);

static void run_free(struct scripts *scripts, struct run *run) {
	TAILQ_REMOVE(&scripts->running, run, link);
	scripts->nb_running--;
	if (run->status_event != NULL) {
		event_free(run->status_event);
		close(run->keeper.status_fd);
	}
	output_close(run);
	free(run);
}

static void on_output(evutil_socket_t fd, short what, void *arg) {
	struct run *run = arg;
	char data[4096];
	// One piece a turn of the loop: a script that writes without end holds up nobody.
	ssize_t len = read(fd, data, sizeof(data));

	if (len > 0)
		output_add(run, data, (size_t)len);
	else if (len == 0 || (errno != EAGAIN && errno != EINTR))
		output_close(run);
}

static void on_status(evutil_socket_t fd, short what, void *arg) {
	struct run *run = arg;
	int32_t status = -EIO; // end of file: the keeper was killed before it could say

	if (run->answered) // end of file behind the status
		return;
	if (read(fd, &status, sizeof(status)) < 0 && errno == EAGAIN) {
		event_add(run->status_event, NULL);
		return;
	}
	ended(run->owner, run, status);
	start_next(run->owner);
}

// What is left of its output is read when the keeper is gone: then nothing is added any more.
static void keeper_gone(struct scripts *scripts, struct run *run) {
	int32_t status = -EIO;
	char data[4096];
	ssize_t len;

	if (!run->answered) {
		if (read(run->keeper.status_fd, &status, sizeof(status)) != sizeof(status))
			status = -EIO;
		ended(scripts, run, status);
	}
	for (unsigned n = 0; run->output_event != NULL && n < LINES_MAX; n++) {
		len = read(run->keeper.output_fd, data, sizeof(data));
		if (len <= 0)
			break;
		output_add(run, data, (size_t)len);
	}
	run_free(scripts, run);
}

static void on_child(evutil_socket_t sig, short what, void *arg) {
	struct scripts *scripts = arg;
	struct run *run;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		run = TAILQ_FIRST(&scripts->running);
		while (run != NULL && run->keeper.pid != pid)
			run = TAILQ_NEXT(run, link);
		if (run != NULL)
			keeper_gone(scripts, run);
	}
	start_next(scripts);
}

static int watch(struct scripts *scripts, struct run *run) {
	struct event_base *base = child_base(scripts->child);

	run->status_event = event_new(base, run->keeper.status_fd, EV_READ, on_status, run);
	run->output_event = event_new(
		base, run->keeper.output_fd, EV_READ | EV_PERSIST, on_output, run);
	if (run->status_event == NULL || run->output_event == NULL ||
		event_add(run->status_event, NULL) < 0 || event_add(run->output_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int start(struct scripts *scripts, struct run *run) {
	const struct cfg *cfg = child_cfg(scripts->child);
	struct keeper_job job = {
		.path = path_of(cfg, run->asked.event),
		.user = cfg->scripts.user,
		.timeout_s = cfg->scripts.timeout,
		.input_fd = -1,
	};
	int status;

	if (job.path[0] == '\0')
		return 0; // taken out of the configuration since
	status = script_env_make(cfg, run->asked.event, &run->asked.facts, &job.env);
	if (status == 0)
		status = keeper_start(&run->keeper, &job);
	script_env_free(job.env);
	if (status < 0)
		return status;
	TAILQ_INSERT_TAIL(&scripts->running, run, link);
	scripts->nb_running++;
	if (watch(scripts, run) < 0)
		kill(run->keeper.pid, SIGTERM); // reaped like any other
	return 1;
}

// Takes it out of its queue, and starts it.
static void start_waiting(struct scripts *scripts, struct run *run, unsigned queue) {
	int status;

	wait_remove(scripts, run, queue);
	status = start(scripts, run);
	if (status == 1)
		return;
	ended(scripts, run, status);
	free(run);
}

// ---- order

static bool same_addr(const struct abi_addr *a, const struct abi_addr *b) {
	return !abi_addr_none(a) && memcmp(a, b, sizeof(*a)) == 0;
}

static bool concern_the_same(const struct run *a, const struct run *b) {
	const struct ipc_script_facts *x = &a->asked.facts, *y = &b->asked.facts;

	return x->session == y->session || same_addr(&x->inner4, &y->inner4) ||
		same_addr(&x->inner6, &y->inner6);
}

// What runs for the same session or address: its script has not ended. (Its background may go on.)
static bool is_held(struct scripts *scripts, const struct run *run) {
	struct run *other;

	TAILQ_FOREACH(other, &scripts->running, link)
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (!other->answered && concern_the_same(other, run))
			return true;
	return false;
}

// The first of the queue that was asked for before `run` and concerns the same, or NULL.
static struct run *earlier(struct scripts *scripts, const struct run *run, unsigned queue) {
	struct run *other = TAILQ_FIRST(&scripts->waiting[queue]);

	while (other != NULL && other->nr < run->nr) {
		if (concern_the_same(other, run))
			return other;
		other = TAILQ_NEXT(other, link);
	}
	return NULL;
}

// The next of a queue that may start; *queue is where it is: a client that waits for what another
// script must do first has that one started first.
static struct run *next_of(struct scripts *scripts, unsigned *queue) {
	struct run *run, *before;
	unsigned from = *queue;

	TAILQ_FOREACH(run, &scripts->waiting[from], link) {
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (is_held(scripts, run) || earlier(scripts, run, from) != NULL)
			continue;
		before = earlier(scripts, run, from == FIRST ? LATER : FIRST);
		if (before == NULL)
			return run;
		if (from == FIRST && !is_held(scripts, before)) {
			*queue = LATER;
			return before;
		}
	}
	return NULL;
}

static void start_next(struct scripts *scripts) {
	uint32_t max = child_cfg(scripts->child)->scripts.concurrency;

	for (unsigned from = FIRST; from < QUEUES; from++) {
		while (scripts->nb_running < max) {
			unsigned queue = from;
			struct run *run = next_of(scripts, &queue);

			if (run == NULL)
				break;
			start_waiting(scripts, run, queue);
		}
	}
}

// ---- requests

// A connect waits as long as it may run; its client gets an answer then.
static void on_tick(evutil_socket_t fd, short what, void *arg) {
	struct scripts *scripts = arg;
	uint64_t wait_ms = (uint64_t)child_cfg(scripts->child)->scripts.timeout * 1000;
	struct run *run;

	while ((run = TAILQ_FIRST(&scripts->waiting[FIRST])) != NULL &&
		clock_ms() - run->asked_ms >= wait_ms) {
		wait_remove(scripts, run, FIRST);
		ended(scripts, run, -EBUSY);
		free(run);
	}
}

static bool was_done(const struct scripts *scripts, uint64_t id) {
	for (unsigned i = 0; i < DONE_MAX; i++)
		if (scripts->done[i] == id)
			return true;
	return false;
}

// Asked for by the session process before this one, and still running: it gets the answer.
static bool adopt(struct scripts *scripts, const struct ipc_script_run *msg) {
	struct run *run;

	TAILQ_FOREACH(run, &scripts->running, link)
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (!run->answered && run->asked.event == msg->event &&
			run->asked.facts.id == msg->facts.id && msg->hdr.req != 0) {
			run->asked.hdr.req = msg->hdr.req;
			return true;
		}
	return false;
}

// The connection has ended before its connect script began: neither is run.
static bool cancel_connect(struct scripts *scripts, uint64_t id) {
	struct run *run;

	TAILQ_FOREACH(run, &scripts->waiting[FIRST], link) {
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (run->asked.facts.id != id)
			continue;
		wait_remove(scripts, run, FIRST);
		refuse(scripts, run, -ECANCELED);
		return true;
	}
	return false;
}

// True when it need not run: `status` is the answer.
static bool is_settled(struct scripts *scripts, const struct ipc_script_run *msg, int *status) {
	if (msg->event != IPC_SCRIPT_DISCONNECT)
		return false;
	*status = 0;
	if (was_done(scripts, msg->facts.id))
		return true;
	*status = -ECANCELED;
	return cancel_connect(scripts, msg->facts.id);
}

static int on_run(struct scripts *scripts, const struct ipc_script_run *msg) {
	struct run *run;
	int status;

	if (msg->event < IPC_SCRIPT_CONNECT || msg->event > IPC_SCRIPT_HOST_UPDATE ||
		msg->facts.id == 0)
		return -EINVAL;
	if (adopt(scripts, msg))
		return 0;
	run = calloc(1, sizeof(*run));
	if (run == NULL)
		return 0; // as if it had been lost: asked again, or given up, by its asker
	run->owner = scripts;
	run->asked = *msg;
	run->nr = ++scripts->nb_asked;
	run->asked_ms = clock_ms();
	if (is_settled(scripts, msg, &status)) {
		answer(scripts, run, status);
		free(run);
		return 0;
	}
	if (scripts->nb_waiting >= WAITING_MAX) {
		refuse(scripts, run, -EBUSY);
		return 0;
	}
	TAILQ_INSERT_TAIL(
		&scripts->waiting[msg->event == IPC_SCRIPT_CONNECT ? FIRST : LATER], run, link);
	scripts->nb_waiting++;
	start_next(scripts);
	return 0;
}

// ---- the process

static int script_start(struct child *child) {
	const struct timeval tick = {.tv_usec = EXPIRE_MS * 1000};
	struct scripts *scripts = calloc(1, sizeof(*scripts));

	if (scripts == NULL)
		return -ENOMEM;
	scripts->child = child;
	TAILQ_INIT(&scripts->running);
	for (unsigned i = 0; i < QUEUES; i++)
		TAILQ_INIT(&scripts->waiting[i]);
	child_data_set(child, scripts);
	scripts->child_signal = evsignal_new(child_base(child), SIGCHLD, on_child, scripts);
	scripts->tick = event_new(child_base(child), -1, EV_PERSIST, on_tick, scripts);
	if (scripts->child_signal == NULL || scripts->tick == NULL ||
		event_add(scripts->child_signal, NULL) < 0 || event_add(scripts->tick, &tick) < 0)
		return -ENOMEM;
	return 0;
}

static int script_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds) {
	if (msg->type == IPC_SCRIPT_RUN)
		return on_run(child_data(child), (const struct ipc_script_run *)msg);
	return -EPROTO;
}

// The session process asks again for what it still needs: what it asked for before need not run.
static void script_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	struct scripts *scripts = child_data(child);
	struct run *run;

	for (unsigned i = 0; i < QUEUES; i++) {
		while ((run = TAILQ_FIRST(&scripts->waiting[i])) != NULL) {
			wait_remove(scripts, run, i);
			free(run);
		}
	}
}

// Scripts that run end with this process (their keepers see to it) and run again after the start.
static void script_stop(struct child *child) {
	struct scripts *scripts = child_data(child);
	struct run *run;

	script_peer_down(child, IPC_SESSION, 0);
	while ((run = TAILQ_FIRST(&scripts->running)) != NULL)
		run_free(scripts, run);
	event_free(scripts->child_signal);
	event_free(scripts->tick);
	free(scripts);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role script_role = {
	.role = IPC_SCRIPT,
	.name = "script",
	.start = script_start,
	.message = script_message,
	.peer_down = script_peer_down,
	.stop = script_stop,
};
