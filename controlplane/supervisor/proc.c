// SPDX-License-Identifier: GPL-3.0-or-later
// The children: start, peers, death and return. Called by supervisor.c and message.c.
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"

#define QUICK_DEATH_MS 5000u // a child that dies sooner is started again with a pause
#define PAUSE_FIRST_MS 200u
#define PAUSE_MAX_MS 5000u
#define OVERDUE_S 5 // after it was told to end

void proc_describe(const struct proc *proc, char *text, size_t len) {
	if (proc->role == IPC_EDGE)
		snprintf(text, len, "%s %u", ipc_role_name(proc->role), proc->index);
	else
		snprintf(text, len, "%s", ipc_role_name(proc->role));
}

struct proc *proc_find(struct supervisor *sup, enum ipc_role role, unsigned index) {
	for (unsigned i = 0; i < sup->nb_procs; i++)
		if (sup->procs[i].role == role && sup->procs[i].index == index)
			return &sup->procs[i];
	return NULL;
}

unsigned procs_running(const struct supervisor *sup) {
	unsigned running = 0;
	for (unsigned i = 0; i < sup->nb_procs; i++)
		running += sup->procs[i].pid != 0;
	return running;
}

void proc_kill(struct proc *proc, const char *why) {
	char name[32];
	proc_describe(proc, name, sizeof(name));
	if (proc->pid == 0)
		return;
	log_error("child_kill", "child=%s pid=%d why=%s", log_value(name), (int)proc->pid,
		log_value(why));
	kill(proc->pid, SIGKILL);
}

void proc_breach(struct proc *proc, const char *why) {
	if (proc->pid != 0)
		proc->breaches++;
	proc_kill(proc, why);
}

// ---- what a child gets

static void send_config(struct proc *proc) {
	struct ipc_config msg = {.generation = proc->sup->generation};
	proc_send(proc, IPC_CONFIG, &msg.hdr, sizeof(msg), &proc->sup->config.memfd, 1);
}

static void send_listeners(struct proc *proc) {
	const struct supervisor *sup = proc->sup;
	// All of them, with their numbers in the configuration of the start: another list takes effect
	// with the next start, and a newcomer serves what the other edges serve.
	for (unsigned i = 0; i < sup->nb_listeners; i++) {
		const struct listener *listener = &sup->listeners[i];
		struct ipc_listener msg = listener->msg;
		proc_send(proc, IPC_LISTENER, &msg.hdr, sizeof(msg), &listener->fd, 1);
	}
}

static void send_own_descriptors(struct proc *proc) {
	struct ipc_empty msg = {0};
	switch (proc->role) {
	case IPC_EDGE:
		maintain_tell(proc);
		send_listeners(proc);
		break;
	case IPC_SESSION:
		maintain_tell(proc);
		proc_send(proc, IPC_STATE_DIR, &msg.hdr, sizeof(msg), &proc->sup->state_dir, 1);
		proc_send(proc, IPC_CONTROL_LISTENER, &msg.hdr, sizeof(msg),
			&proc->sup->control_sock, 1);
		break;
	default:
		break;
	}
}

static void introduce(struct proc *a, struct proc *b) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		log_error("socketpair", "text=%s", log_value(strerror(errno)));
		return;
	}
	struct ipc_peer to_a = {.role = b->role, .index = b->index};
	struct ipc_peer to_b = {.role = a->role, .index = a->index};
	proc_send(a, IPC_PEER, &to_a.hdr, sizeof(to_a), &pair[0], 1);
	proc_send(b, IPC_PEER, &to_b.hdr, sizeof(to_b), &pair[1], 1);
	close(pair[0]);
	close(pair[1]);
}

// `all`: every other process, else only those before it in the list (start-up).
static void introduce_all(struct proc *proc, bool all) {
	struct supervisor *sup = proc->sup;
	for (struct proc *other = sup->procs; other < sup->procs + sup->nb_procs; other++) {
		if (other == proc && !all)
			break;
		if (other->chan != NULL && ipc_are_peers(proc->role, other->role))
			introduce(proc, other);
	}
}

static void send_start(struct proc *proc) {
	struct ipc_empty msg = {0};
	proc_send(proc, IPC_START, &msg.hdr, sizeof(msg), NULL, 0);
	if (proc->role == IPC_EDGE || proc->role == IPC_SESSION)
		attach_start(proc);
}

// ---- start

static void on_closed(struct ipc_chan *chan, const char *offence, void *arg) {
	struct proc *proc = arg;
	ipc_chan_free(chan);
	proc->chan = NULL;
	if (offence != NULL)
		proc_breach(proc, offence);
	// It ended, or cannot be reached any more. At the start it is left its exit status, by which
	// one that cannot start at all is known.
	else if (!proc->sup->stopping && proc->pid != 0 && proc->sup->announced && !proc->retiring)
		kill(proc->pid, SIGKILL);
}

static int launch(struct proc *proc) {
	int fd;
	int status = spawn_child(proc, &proc->pid, &fd);
	if (status < 0)
		return status;
	proc->started_ms = clock_ms();
	proc->ready = false;
	proc->chan = ipc_chan_new(proc->sup->base, fd, IPC_SUPERVISOR, proc->role, proc->index,
		proc_message, on_closed, proc);
	if (proc->chan == NULL) {
		kill(proc->pid, SIGKILL);
		return -ENOMEM;
	}
	send_config(proc);
	send_own_descriptors(proc);
	return 0;
}

static void on_respawn(evutil_socket_t fd, short what, void *arg) {
	struct proc *proc = arg;
	char name[32];
	if (proc->sup->stopping || proc->pid != 0)
		return;
	proc_describe(proc, name, sizeof(name));
	int status = launch(proc);
	if (status < 0) {
		const struct timeval pause = {.tv_sec = PAUSE_MAX_MS / 1000};
		log_error(
			"spawn", "child=%s text=%s", log_value(name), log_value(strerror(-status)));
		if (proc->pid == 0)
			event_add(proc->respawn, &pause);
		return;
	}
	introduce_all(proc, true);
	send_start(proc);
	log_info("spawned", "child=%s pid=%d", log_value(name), (int)proc->pid);
}

// ---- edges that have served their number

static void on_overdue(evutil_socket_t fd, short what, void *arg) {
	static const struct timeval soon = {.tv_sec = OVERDUE_S};
	struct proc *proc = arg;
	struct ipc_empty msg = {0};
	if (!proc->ready || proc_send(proc, IPC_STOP, &msg.hdr, sizeof(msg), NULL, 0) < 0) {
		proc_kill(proc, "does not end");
		return;
	}
	proc->ready = false; // it is told once
	event_add(proc->overdue, &soon);
}

// A place without a process. Those of retiring ones are taken until they have ended.
static struct proc *free_place(struct supervisor *sup) {
	for (unsigned i = 0; i < sup->nb_procs; i++) {
		struct proc *proc = &sup->procs[i];
		if (proc->role == IPC_EDGE && !proc->wanted && proc->pid == 0)
			return proc;
	}
	return NULL;
}

// Clients wait in the listening sockets meanwhile.
static void start_successors(struct supervisor *sup) {
	struct proc *proc;
	while (sup->owed > 0 && !sup->stopping && (proc = free_place(sup)) != NULL) {
		sup->owed--;
		proc->wanted = true;
		proc->quick_deaths = 0;
		on_respawn(-1, 0, proc);
	}
}

int proc_retire(struct proc *proc) {
	const struct timeval limit = {.tv_sec = proc->sup->config.cfg->recycle_timeout};
	if (proc->retiring || !proc->wanted || !proc->ready)
		return -EINVAL;
	log_debug("retiring", "edge=%u pid=%d", proc->index, (int)proc->pid);
	proc->retiring = true;
	proc->wanted = false;
	event_add(proc->overdue, &limit);
	proc->sup->owed++;
	start_successors(proc->sup);
	return 0;
}

// ---- places

static int proc_init(
	struct proc *proc, struct supervisor *sup, enum ipc_role role, unsigned index) {
	proc->sup = sup;
	proc->role = role;
	proc->index = index;
	proc->respawn = event_new(sup->base, -1, 0, on_respawn, proc);
	proc->overdue = event_new(sup->base, -1, 0, on_overdue, proc);
	return proc->respawn == NULL || proc->overdue == NULL ? -ENOMEM : attach_init(proc);
}

// One of each, and then the edges.
static const enum ipc_role singles[] = {
	IPC_AUTH,
	IPC_SESSION,
	IPC_RADIUS,
	IPC_SCRIPT,
	IPC_PAM,
	IPC_KERBEROS,
	IPC_OIDC,
	IPC_SHARE,
	IPC_OCSP,
};
#define SINGLES (sizeof(singles) / sizeof(singles[0]))

static bool is_wanted(const struct supervisor *sup, enum ipc_role role) {
	const struct cfg *cfg = sup->config.cfg;
	if (role == IPC_RADIUS)
		return cfg->radius.nb_servers > 0 || cfg->radius.dynauth.nb_clients > 0;
	if (role == IPC_OIDC)
		return cfg->oidc.issuer[0] != '\0';
	if (role == IPC_KERBEROS)
		return cfg_uses_factor(cfg, CFG_FACTOR_KERBEROS);
	if (role == IPC_PAM)
		return cfg_uses_factor(cfg, CFG_FACTOR_PAM);
	if (role == IPC_SHARE)
		return cfg->share.node[0] != '\0';
	if (role == IPC_OCSP)
		return cfg->auth.client_cert.ocsp_url[0] != '\0';
	return role != IPC_SCRIPT || cfg_has_scripts(cfg);
}

// There are places for edges that retire beside those that are to serve.
static int places_make(struct supervisor *sup, unsigned edges) {
	int status = 0;
	sup->procs = calloc(SINGLES + ABI_EDGES_MAX, sizeof(*sup->procs));
	if (sup->procs == NULL)
		return -ENOMEM;
	sup->nb_procs = SINGLES + ABI_EDGES_MAX;
	for (unsigned i = 0; status == 0 && i < sup->nb_procs; i++) {
		bool single = i < SINGLES;
		enum ipc_role role = single ? singles[i] : IPC_EDGE;
		status = proc_init(&sup->procs[i], sup, role, single ? 0 : i - SINGLES);
		sup->procs[i].wanted = is_wanted(sup, role) && i < SINGLES + edges;
	}
	return status;
}

int procs_start(struct supervisor *sup) {
	unsigned edges = sup->config.cfg->edges;
	if (edges == 0 || edges > ABI_EDGES_MAX)
		return -EINVAL;
	int status = places_make(sup, edges);
	for (unsigned i = 0; status == 0 && i < sup->nb_procs; i++) {
		if (!sup->procs[i].wanted)
			continue;
		status = launch(&sup->procs[i]);
		if (status == 0)
			introduce_all(&sup->procs[i], false);
	}
	for (unsigned i = 0; status == 0 && i < sup->nb_procs; i++)
		if (sup->procs[i].wanted)
			send_start(&sup->procs[i]);
	return status;
}

void procs_update(struct supervisor *sup) {
	for (unsigned i = 0; i < sup->nb_procs; i++) {
		struct proc *proc = &sup->procs[i];
		if (proc->role == IPC_EDGE || proc->wanted || !is_wanted(sup, proc->role))
			continue;
		proc->wanted = true;
		on_respawn(-1, 0, proc);
	}
}

// ---- end

static bool is_sandbox_kill(int wait_status) {
	return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS;
}

static bool was_asked(const struct proc *proc, int wait_status) {
	return (proc->sup->stopping || proc->retiring) && WIFEXITED(wait_status) &&
		WEXITSTATUS(wait_status) == 0;
}

static void log_death(const struct proc *proc, int wait_status) {
	char name[32], how[32];
	proc_describe(proc, name, sizeof(name));
	if (was_asked(proc, wait_status)) {
		log_debug("child_ended", "child=%s pid=%d", log_value(name), (int)proc->pid);
		return;
	}
	if (WIFSIGNALED(wait_status))
		snprintf(how, sizeof(how), "signal=SIG%s", sigabbrev_np(WTERMSIG(wait_status)));
	else
		snprintf(how, sizeof(how), "exit=%d", WEXITSTATUS(wait_status));
	log_error("child_died", "child=%s pid=%d %s deaths=%u breaches=%u%s", log_value(name),
		(int)proc->pid, how, proc->deaths, proc->breaches,
		is_sandbox_kill(wait_status)
			? " text=\"made a system call that its sandbox forbids\""
			: "");
}

static uint32_t pause_ms(struct proc *proc) {
	if (clock_ms() - proc->started_ms >= QUICK_DEATH_MS)
		proc->quick_deaths = 0;
	unsigned deaths = proc->quick_deaths++;
	if (deaths == 0)
		return 0;
	uint32_t pause = deaths > 6 ? PAUSE_MAX_MS : PAUSE_FIRST_MS << (deaths - 1);
	return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}

static void on_death(struct proc *proc, int wait_status) {
	struct supervisor *sup = proc->sup;
	proc->deaths += !was_asked(proc, wait_status);
	proc->breaches += is_sandbox_kill(wait_status);
	log_death(proc, wait_status);
	proc->pid = 0;
	proc->ready = false;
	ipc_chan_free(proc->chan);
	proc->chan = NULL;
	attach_stop(proc);
	if (sup->stopping) {
		if (procs_running(sup) == 0)
			sup_exit(sup, sup->status);
		return;
	}
	sup_reload_forget(proc);
	if (proc->retiring) {
		proc->retiring = false;
		event_del(proc->overdue);
		start_successors(sup);
		return;
	}
	// What cannot start at all is for the operator to see, not to be tried for ever.
	if (!sup->announced && WIFEXITED(wait_status)) {
		log_error("start", "text=\"a process could not start: see its message above\"");
		sup_exit(sup, EXIT_FAILURE);
		return;
	}
	uint32_t pause = pause_ms(proc);
	const struct timeval tv = {.tv_sec = pause / 1000, .tv_usec = pause % 1000 * 1000};
	event_add(proc->respawn, &tv);
}

void procs_reap(struct supervisor *sup) {
	int wait_status;
	pid_t pid;
	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		for (unsigned i = 0; i < sup->nb_procs; i++)
			if (sup->procs[i].pid == pid)
				on_death(&sup->procs[i], wait_status);
}

void procs_stop(struct supervisor *sup) {
	for (unsigned i = 0; i < sup->nb_procs; i++) {
		struct proc *proc = &sup->procs[i];
		struct ipc_empty msg = {0};
		event_del(proc->respawn);
		attach_stop(proc);
		event_del(proc->overdue);
		if (!proc->wanted && proc->pid == 0)
			continue;
		if (proc_send(proc, IPC_STOP, &msg.hdr, sizeof(msg), NULL, 0) < 0 && proc->pid != 0)
			kill(proc->pid, SIGKILL);
	}
}

void procs_kill(struct supervisor *sup) {
	for (unsigned i = 0; i < sup->nb_procs; i++)
		if (sup->procs[i].pid != 0)
			kill(sup->procs[i].pid, SIGKILL);
}

// Ends and collects what still runs.
void procs_free(struct supervisor *sup) {
	procs_kill(sup);
	for (unsigned i = 0; i < sup->nb_procs; i++) {
		struct proc *proc = &sup->procs[i];
		if (proc->pid != 0)
			waitpid(proc->pid, NULL, 0);
		ipc_chan_free(proc->chan);
		attach_free(proc);
		if (proc->respawn != NULL)
			event_free(proc->respawn);
		if (proc->overdue != NULL)
			event_free(proc->overdue);
	}
	free(sup->procs);
	sup->procs = NULL;
	sup->nb_procs = 0;
}
