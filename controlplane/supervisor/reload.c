// SPDX-License-Identifier: GPL-3.0-or-later
// Takes a changed configuration into use without a restart. Called on SIGHUP and for the CLI.
//
// Validate here; then every child applies it and answers. When one refuses, dies or is silent, all
// go back to the old one: a reload is done everywhere or nowhere. A child that is starting is asked
// as soon as it is ready; one that does not go back is ended, and starts with the old one.
#include "supervisor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>
#include <systemd/sd-daemon.h>

#include "controlplane/proc/log.h"

#define ANSWER_TIMEOUT_S 20
#define PATHS_MAX 16

__attribute__((format(printf, 2, 3))) static void add_text(
	struct reload *reload, const char *fmt, ...) {
	size_t used = strlen(reload->text);
	va_list args;
	va_start(args, fmt);
	vsnprintf(reload->text + used, sizeof(reload->text) - used, fmt, args);
	va_end(args);
}

static void tell_cli(struct supervisor *sup, uint64_t req, int status, const char *text) {
	struct proc *session = proc_find(sup, IPC_SESSION, 0);
	struct ipc_status msg = {.hdr.req = req, .status = status};
	snprintf(msg.text, sizeof(msg.text), "%s", text);
	if (session != NULL && session->ready)
		proc_send(session, IPC_RELOAD_RESULT, &msg.hdr, sizeof(msg), NULL, 0);
}

static void finish(struct supervisor *sup) {
	struct reload *reload = &sup->reload;
	reload->running = false;
	if (reload->timeout != NULL)
		event_del(reload->timeout);
	if (reload->status == 0)
		log_info("reload", "status=done generation=%u text=%s", sup->generation,
			log_value(reload->text));
	else
		log_error("reload", "status=%d text=%s", reload->status, log_value(reload->text));
	if (reload->from_cli)
		tell_cli(sup, reload->req, reload->status, reload->text);
	sd_notify(0, "READY=1");
}

// One that cannot be told is about to be reaped: sup_reload_forget().
static void tell(struct proc *proc) {
	struct supervisor *sup = proc->sup;
	struct ipc_config msg = {.generation = sup->generation};
	msg.hdr.req = sup->generation;
	if (proc->ready)
		proc_send(proc, IPC_CONFIG, &msg.hdr, sizeof(msg), &sup->config.memfd, 1);
}

// Gives the current configuration to all children; those that are starting get it when they have.
static void push(struct supervisor *sup) {
	sup->generation++;
	sup->reload.waiting = 0;
	for (unsigned i = 0; i < sup->nb_procs; i++) {
		struct proc *proc = &sup->procs[i];
		// On the way back: what it never left it need not (and might not) read again.
		proc->reloading = proc->wanted && !proc->refused;
		proc->refused = false;
		sup->reload.waiting += proc->reloading;
		if (proc->reloading)
			tell(proc);
	}
}

// All have answered, or time is up.
static void conclude(struct supervisor *sup) {
	struct reload *reload = &sup->reload;
	if (reload->status == 0) {
		sup_config_free(&reload->old);
		log_level_set(sup->config.cfg->log_level);
		procs_update(sup);
	} else {
		add_text(reload, "nothing was changed\n");
		sup_config_free(&sup->config);
		sup->config = reload->old;
		reload->old = (struct config){.memfd = -1};
		push(sup); // not waited for: who refuses it is ended
	}
	finish(sup);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg) {
	struct supervisor *sup = arg;
	sup->reload.status = -ETIMEDOUT;
	for (unsigned i = 0; i < sup->nb_procs; i++) {
		struct proc *proc = &sup->procs[i];
		if (!proc->reloading)
			continue;
		add_text(&sup->reload, "%s %u did not answer\n", ipc_role_name(proc->role),
			proc->index);
		// It may still come to take the new one.
		proc_kill(proc, "did not answer to a reload");
	}
	conclude(sup);
}

static void add_restart_text(struct supervisor *sup, const struct cfg *new_cfg) {
	const char *paths[PATHS_MAX];
	size_t n = cfg_restart_needed(sup->config.cfg, new_cfg, paths, PATHS_MAX);
	for (size_t i = 0; i < n && i < PATHS_MAX; i++)
		add_text(&sup->reload, "%s: takes effect after a restart\n", paths[i]);
	if (n > PATHS_MAX)
		add_text(&sup->reload, "and %zu more\n", n - PATHS_MAX);
}

static int begin(struct supervisor *sup) {
	const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	struct reload *reload = &sup->reload;
	struct config config = {.memfd = -1};
	char *error;
	if (sup_config_load(sup->config_path, &config, &error) < 0) {
		add_text(reload, "%s\n", error != NULL ? error : "out of memory");
		free(error);
		return -EINVAL;
	}
	if (reload->timeout == NULL)
		reload->timeout = event_new(sup->base, -1, 0, on_timeout, sup);
	if (reload->timeout == NULL) {
		sup_config_free(&config);
		return -ENOMEM;
	}
	add_restart_text(sup, config.cfg);
	reload->old = sup->config;
	sup->config = config; // files that children now ask for are those of the new one
	push(sup);
	event_add(reload->timeout, &timeout);
	return 0;
}

void sup_reload_start(struct supervisor *sup, bool from_cli, uint64_t req) {
	struct reload *reload = &sup->reload;
	struct timespec now;
	if (reload->running || !sup->announced || sup->stopping) {
		if (from_cli)
			tell_cli(sup, req, -EBUSY, "another reload is going on\n");
		else
			log_warning("reload", "text=\"another reload is going on\"");
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
	reload->running = true;
	reload->from_cli = from_cli;
	reload->req = req;
	reload->text[0] = '\0';
	reload->status = begin(sup);
	if (reload->status < 0)
		finish(sup);
}

static void one_less(struct proc *proc) {
	struct supervisor *sup = proc->sup;
	proc->reloading = false;
	if (sup->reload.waiting > 0 && --sup->reload.waiting == 0 && sup->reload.running)
		conclude(sup);
}

void sup_reload_answer(struct proc *proc, const struct ipc_status *msg) {
	struct supervisor *sup = proc->sup;
	// Of an earlier generation: it came too late.
	if (!proc->reloading || msg->hdr.req != sup->generation)
		return;
	if (msg->status != 0 && !sup->reload.running) {
		proc_kill(proc, "refuses to go back to the old configuration");
	} else if (msg->status != 0) {
		sup->reload.status = msg->status < 0 ? msg->status : -EINVAL;
		proc->refused = true;
		add_text(&sup->reload, "%s: %.*s\n", ipc_role_name(proc->role),
			(int)strnlen(msg->text, sizeof(msg->text)), msg->text);
	}
	one_less(proc);
}

void sup_reload_ready(struct proc *proc) {
	if (proc->reloading)
		tell(proc);
}

void sup_reload_forget(struct proc *proc) {
	struct supervisor *sup = proc->sup;
	proc->refused = false; // its successor gets the current one
	if (!proc->reloading)
		return;
	if (sup->reload.running) {
		sup->reload.status = -ECHILD;
		add_text(&sup->reload, "%s %u ended\n", ipc_role_name(proc->role), proc->index);
	}
	one_less(proc);
}

void sup_reload_free(struct supervisor *sup) {
	sup_config_free(&sup->reload.old);
	if (sup->reload.timeout != NULL)
		event_free(sup->reload.timeout);
	sup->reload.timeout = NULL;
}
