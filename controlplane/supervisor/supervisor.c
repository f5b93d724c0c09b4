// SPDX-License-Identifier: GPL-3.0-or-later
// The root process: opens what needs root, starts the others, restarts what dies. Called by main.c.
//
// It reads its configuration file and messages of its own children, no byte from the network.
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <systemd/sd-daemon.h>

#include "controlplane/proc/log.h"

#define STOP_TIMEOUT_S 5

void sup_exit(struct supervisor *sup, int status) {
	sup->status = status;
	event_base_loopbreak(sup->base);
}

void sup_announce(struct supervisor *sup) {
	if (sup->announced)
		return;
	for (unsigned i = 0; i < sup->nb_procs; i++)
		if (sup->procs[i].wanted && !sup->procs[i].ready)
			return;
	sup->announced = true;
	log_info("ready", "version=" PENSTOCK_VERSION " edges=%u", sup->config.cfg->edges);
	sd_notify(0, "READY=1\nSTATUS=Serving");
}

// ---- signals

static void on_stop_timeout(evutil_socket_t fd, short what, void *arg) {
	log_warning("stop", "text=\"some processes did not end in time\"");
	procs_kill(arg);
}

void sup_stop(struct supervisor *sup) {
	const struct timeval timeout = {.tv_sec = STOP_TIMEOUT_S};
	if (sup->stopping) { // asked twice: do not wait
		procs_kill(sup);
		return;
	}
	sd_notify(0, "STOPPING=1");
	sup->stopping = true;
	event_add(sup->stop_timer, &timeout);
	procs_stop(sup);
	if (procs_running(sup) == 0)
		sup_exit(sup, EXIT_SUCCESS);
}

static void on_stop(evutil_socket_t sig, short what, void *arg) {
	log_info("stop", "signal=%d", (int)sig);
	sup_stop(arg);
}

static void on_maintenance(evutil_socket_t sig, short what, void *arg) {
	const struct ipc_maintain want = {.draining = 1, .stop = 1};
	maintain_set(arg, &want);
}

static void on_hangup(evutil_socket_t sig, short what, void *arg) {
	sup_reload_start(arg, false, 0);
}

static void on_child(evutil_socket_t sig, short what, void *arg) {
	procs_reap(arg);
}

static int start_signals(struct supervisor *sup) {
	static const struct {
		int sig;
		event_callback_fn handler;
	} signals[] = {
		{SIGTERM, on_stop},
		{SIGINT, on_stop},
		{SIGHUP, on_hangup},
		{SIGUSR2, on_maintenance},
		{SIGCHLD, on_child},
	};
	_Static_assert(sizeof(signals) / sizeof(signals[0]) ==
			sizeof(sup->ev_signals) / sizeof(sup->ev_signals[0]),
		"one event a signal");
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sup->ev_signals[i] = evsignal_new(
			sup->base, signals[i].sig, signals[i].handler, sup);
		if (sup->ev_signals[i] == NULL || event_add(sup->ev_signals[i], NULL) < 0)
			return -ENOMEM;
	}
	sup->stop_timer = event_new(sup->base, -1, 0, on_stop_timeout, sup);
	return sup->stop_timer == NULL ? -ENOMEM : 0;
}

static void stop_signals(struct supervisor *sup) {
	for (unsigned i = 0; i < sizeof(sup->ev_signals) / sizeof(sup->ev_signals[0]); i++)
		if (sup->ev_signals[i] != NULL)
			event_free(sup->ev_signals[i]);
	if (sup->stop_timer != NULL)
		event_free(sup->stop_timer);
}

// ---- start-up, in this order, and undone in reverse

static int start_loop(struct supervisor *sup) {
	sup->base = event_base_new();
	return sup->base == NULL ? -ENOMEM : 0;
}

static void stop_loop(struct supervisor *sup) {
	event_base_free(sup->base);
}

static int start_privs(struct supervisor *sup) {
	return privs_reduce(
		cfg_has_scripts(sup->config.cfg), cfg_uses_factor(sup->config.cfg, CFG_FACTOR_PAM));
}

static const struct {
	const char *name;
	int (*init)(struct supervisor *sup);
	void (*fini)(struct supervisor *sup); // also after an init that failed half-way
} steps[] = {
	{"event loop", start_loop, stop_loop},
	{"run directory", files_run_dir, files_remove},
	{"state directory", files_state_dir, NULL},
	{"control socket", files_control_socket, NULL},
	{"listening sockets", listen_open, listen_close},
	{"privileges", start_privs, NULL},
	{"signals", start_signals, stop_signals},
	{"reload", NULL, sup_reload_free},
	{"processes", procs_start, procs_free},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static int load_first(struct supervisor *sup) {
	char *error;
	if (sup_config_load(sup->config_path, &sup->config, &error) == 0) {
		log_level_set(sup->config.cfg->log_level);
		sup->generation = 1;
		return 0;
	}
	fprintf(stderr, "%s\n", error != NULL ? error : "out of memory");
	free(error);
	return -EINVAL;
}

static int run(struct supervisor *sup) {
	size_t done = 0;
	int status = 0;
	for (; status == 0 && done < STEPS; done++) {
		status = steps[done].init != NULL ? steps[done].init(sup) : 0;
		if (status < 0)
			log_error("start", "step=%s text=%s", log_value(steps[done].name),
				log_value(strerror(-status)));
	}
	if (status == 0)
		event_base_dispatch(sup->base);
	while (done-- > 0)
		if (steps[done].fini != NULL && (done > 0 || sup->base != NULL))
			steps[done].fini(sup);
	return status < 0 ? EXIT_FAILURE : sup->status;
}

int supervisor_main(const char *config_path) {
	struct supervisor sup = {
		.config_path = config_path,
		.config.memfd = -1,
		.reload.old.memfd = -1,
		.run_lock = -1,
		.state_dir = -1,
		.control_sock = -1,
	};
	log_open("supervisor", -1);
	if (geteuid() != 0) {
		fprintf(stderr,
			"penstock-controlplane must be started as root: it gives each of "
			"its processes a user of its own\n");
		return EXIT_FAILURE;
	}
	if (load_first(&sup) < 0)
		return EXIT_FAILURE;
	int status = run(&sup);
	sup_config_free(&sup.config);
	if (status == EXIT_SUCCESS)
		log_info("stopped", "pid=%d", (int)getpid());
	return status;
}
