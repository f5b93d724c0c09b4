// SPDX-License-Identifier: GPL-3.0-or-later
// A load generator for AnyConnect-compatible servers; loadgen --help says what it can do. Run by
// tests/bench/clients and tests/bench/interference, or by hand.
#include "loadgen.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

int lg_epoll;
volatile int lg_stop;

static void on_signal(int number) {
	lg_stop = 1;
}

static void signals_init(void) {
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void descriptors_init(void) {
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * lg_opt.clients + 64)
		lg_die("%lu descriptors are too few: ulimit -n", (unsigned long)limit.rlim_cur);
}

// Keeps clients connected, and their probes answered.
static void run_idle(const char *name) {
	uint64_t end = lg_now() + (uint64_t)(lg_opt.seconds * 1e9);
	json_t *sample[2] = {lg_sample(), NULL}, *report;

	while (lg_now() < end && !lg_stop)
		lg_poll(10000);
	sample[1] = lg_sample();
	report = lg_run_report(name);
	json_object_update_new(report,
		json_pack("{s:i,s:[o,o]}", "up", (int)lg_nb_up, "sample", sample[0], sample[1]));
	lg_print(report);
}

static void run(const char *name) {
	static const char *const traffic[] = {"up", "down", "both", "echo"};

	lg_stop = 0;
	if (strcmp(name, "logins") == 0) {
		lg_run_logins(name);
		return;
	}
	lg_login_all();
	if (strcmp(name, "reconnect") == 0)
		lg_run_reconnect(name);
	else if (strcmp(name, "idle") == 0)
		run_idle(name);
	for (unsigned i = 0; i < 4; i++)
		if (strcmp(name, traffic[i]) == 0)
			lg_run_traffic(name);
}

static void names_check(void) {
	static const char names[] = " up down both echo logins reconnect idle ";

	for (unsigned i = 0; i < lg_opt.nb_runs; i++) {
		char name[32];

		snprintf(name, sizeof(name), " %s ", lg_opt.runs[i]);
		if (strstr(names, name) == NULL)
			lg_die("no such run: %s", lg_opt.runs[i]);
	}
}

int main(int argc, char **argv) {
	lg_options_parse(argc, argv);
	names_check();
	signals_init();
	descriptors_init();
	lg_epoll = epoll_create1(EPOLL_CLOEXEC);
	lg_crypto_init();
	lg_tls_init();
	lg_tunnel_init();
	lg_clients_init();
	lg_lan_init();
	for (unsigned i = 0; i < lg_opt.nb_runs; i++)
		run(lg_opt.runs[i]);
	for (unsigned i = 0; i < lg_opt.clients; i++)
		if (lg_clients[i].state == LG_UP)
			lg_client_bye(&lg_clients[i]);
	return 0;
}
