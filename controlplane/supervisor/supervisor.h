// SPDX-License-Identifier: GPL-3.0-or-later
// The supervisor's own structures, shared by the files of this folder.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "controlplane/ipc/ipc.h"
#include "yang/config.h"

#define SUP_LISTENERS_MAX 64u
#define SUP_SECRET_LEN 32u

struct event;
struct supervisor;

// Attaching one child to the dataplane: connect, HELLO, WELCOME, or try again later.
struct attach {
	int sock; // -1: not connected
	bool wanted;
	struct event *reply; // WELCOME is there, or it did not come in time
	struct event *retry;
	uint32_t delay_ms;
};

// One child process, or the place of one that is to be started again.
struct proc {
	struct supervisor *sup;
	enum ipc_role role;
	unsigned index;
	bool wanted; // the configuration asks for it; a script process, once started, stays
	pid_t pid; // 0: not running
	struct ipc_chan *chan; // NULL when closed
	bool ready;
	bool retiring; // takes no more clients; another place has its successor
	struct event *overdue; // while it retires
	bool reloading; // has not answered the current IPC_CONFIG
	bool refused; // the current one: has the one of before
	uint64_t started_ms; // CLOCK_MONOTONIC
	unsigned quick_deaths; // in a row
	unsigned deaths; // that nobody asked for
	unsigned breaches; // of the sandbox or of the message table, among them
	struct event *respawn;
	struct attach attach;
};

struct listener {
	int fd;
	struct ipc_listener msg; // what edges are told: cfg.listen at start
};

// A configuration as it was validated, and the sealed memfd that children read it from.
struct config {
	struct cfg *cfg;
	int memfd;
};

struct reload {
	bool running;
	bool from_cli; // answer with IPC_RELOAD_RESULT
	uint64_t req;
	struct config old; // to return to
	unsigned waiting; // children that have not answered
	int status;
	struct event *timeout;
	char text[sizeof(((struct ipc_status *)0)->text)];
};

struct supervisor {
	const char *config_path;
	struct event_base *base;
	struct config config;
	uint32_t generation; // of the configuration
	struct reload reload;
	int run_lock; // held for as long as this supervisor lives
	int state_dir; // the session process's own, O_PATH
	int control_sock;
	char control_path[108];
	char dataplane_path[108];
	struct listener listeners[SUP_LISTENERS_MAX];
	unsigned nb_listeners;
	struct proc *procs;
	unsigned nb_procs;
	unsigned owed; // successors of edges for which there is no place yet
	bool announced; // READY was said
	bool stopping;
	struct ipc_maintenance maintenance;
	int status; // exit status
	struct event *ev_signals[5];
	struct event *stop_timer;
};

// supervisor.c
int supervisor_main(const char *config_path);
void sup_exit(struct supervisor *sup, int status);
void sup_announce(struct supervisor *sup); // a child became ready
void sup_stop(struct supervisor *sup); // asks all children to end

// maintain.c: draining, and stopping after it.
void maintain_set(struct supervisor *sup, const struct ipc_maintain *want);
void maintain_drained(struct supervisor *sup); // the last session has gone
void maintain_tell(struct proc *proc); // a child that starts

// config.c: reads, validates, seals. NULL error is never left: *error is malloc'ed on failure.
int sup_config_load(const char *path, struct config *config, char **error);
void sup_config_free(struct config *config);

// reload.c
void sup_reload_start(struct supervisor *sup, bool from_cli, uint64_t req);
void sup_reload_answer(struct proc *proc, const struct ipc_status *msg);
void sup_reload_ready(struct proc *proc); // it has started
void sup_reload_forget(struct proc *proc); // it died
void sup_reload_free(struct supervisor *sup);

// proc.c
int procs_start(struct supervisor *sup);
void procs_stop(struct supervisor *sup);
void procs_kill(struct supervisor *sup);
void procs_update(struct supervisor *sup); // a new configuration: starts what it newly asks for
void procs_reap(struct supervisor *sup);
void procs_free(struct supervisor *sup);
unsigned procs_running(const struct supervisor *sup);
int proc_retire(struct proc *proc); // -EINVAL: it may not
struct proc *proc_find(struct supervisor *sup, enum ipc_role role, unsigned index);
void proc_kill(struct proc *proc, const char *why);
void proc_breach(struct proc *proc, const char *why); // the same, for what none of ours does
void proc_describe(const struct proc *proc, char *text, size_t len); // "edge 1"

// spawn.c: forks and execs; *chan_fd is the supervisor's end. 0 or -errno.
int spawn_child(const struct proc *proc, pid_t *pid, int *chan_fd);

// message.c
int proc_message(struct ipc_chan *chan, const struct ipc_hdr *hdr, int *fds, void *arg);
int proc_send(struct proc *proc, enum ipc_type type, struct ipc_hdr *msg, size_t len,
	const int *fds, unsigned nb_fds);

// attach.c
int attach_init(struct proc *proc);
void attach_start(struct proc *proc);
void attach_stop(struct proc *proc);
void attach_free(struct proc *proc);

// files.c: directories, secrets, and files that children may read. 0 or -errno, logged.
int files_run_dir(struct supervisor *sup);
int files_state_dir(struct supervisor *sup);
int files_control_socket(struct supervisor *sup);
void files_remove(struct supervisor *sup);
int files_open(struct supervisor *sup, enum ipc_role role, enum ipc_file file, unsigned index);
bool files_allowed(enum ipc_role role, enum ipc_file file);

// share.c: for the shared store.
// A key of 32 bytes for one purpose, from the configured secret, as a file. -errno.
int share_key_open(const struct cfg *cfg, const char *purpose);
// A socket that connects, or is connected, to the server. -errno.
int share_dial(const struct cfg *cfg);

// listen.c: opens all listening sockets. 0 or -errno, logged.
int listen_open(struct supervisor *sup);
void listen_close(struct supervisor *sup);

// privs.c: gives up what no part of this program needs. `scripts`, `pam`: the operator's and PAM
// modules run under it. 0 or -errno.
int privs_reduce(bool scripts, bool pam);
