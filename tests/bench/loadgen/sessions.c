// SPDX-License-Identifier: GPL-3.0-or-later
// The runs about sessions: logins a second, and the time until all are back after a restart of the
// server. Called by main.c.
#include "loadgen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ECHO_AGAIN_NS 100000000u // until an echo packet is sent again
#define RECONNECT_MAX_S 60

static struct lg_hist latency;
static unsigned *ended; // clients whose login is complete, to be logged out
static unsigned nb_ended;

// The client may be in use by who calls: its session ends in the loop below.
static void login_done(struct lg_client *client) {
	lg_hist_add(&latency, lg_now() - client->began_ns);
	ended[nb_ended++] = client->no;
}

static void logout_all(void) {
	for (unsigned i = 0; i < nb_ended; i++)
		lg_client_bye(&lg_clients[ended[i]]);
	nb_ended = 0;
}

static unsigned failures(void) {
	unsigned sum = 0;

	for (unsigned i = 0; i < lg_opt.clients; i++)
		sum += lg_clients[i].failures;
	return sum;
}

void lg_run_logins(const char *name) {
	unsigned failed = failures(), parallel = lg_opt.parallel;
	uint64_t start, end, now;
	struct lg_cpu cpu[2];
	json_t *report, *sample[2];
	double seconds;

	for (unsigned i = 0; i < lg_opt.clients; i++)
		if (lg_clients[i].state == LG_UP)
			lg_client_bye(&lg_clients[i]);
	ended = calloc(lg_opt.clients, sizeof(*ended));
	if (ended == NULL)
		lg_die("no memory");
	memset(&latency, 0, sizeof(latency));
	lg_on_up = login_done;
	lg_opt.parallel = lg_opt.clients;
	sample[0] = lg_sample();
	lg_cpu_read(&cpu[0]);
	now = start = lg_now();
	end = start + (uint64_t)(lg_opt.seconds * 1e9);
	while (now < end && !lg_stop) {
		lg_begin_some();
		lg_poll(1000);
		logout_all();
		now = lg_now();
	}
	seconds = (double)(now - start) / 1e9;
	lg_cpu_read(&cpu[1]);
	sample[1] = lg_sample();
	lg_on_up = NULL;
	lg_opt.parallel = parallel;
	free(ended);
	report = lg_run_report(name);
	json_object_update_new(report,
		json_pack("{s:f,s:I,s:f,s:i,s:o,s:o,s:[o,o]}", "seconds", seconds, "logins",
			(json_int_t)latency.count, "per_second", (double)latency.count / seconds,
			"failures", (int)(failures() - failed), "latency_us",
			lg_hist_report(&latency), "cpu", lg_cpu_report(&cpu[0], &cpu[1]), "sample",
			sample[0], sample[1]));
	lg_print(report);
	if (latency.count == 0)
		lg_die("logins: none succeeded");
}

// --- Reconnect

static pid_t restart_begin(void) {
	pid_t pid = fork();

	if (pid < 0)
		lg_die("fork: %s", strerror(errno));
	if (pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", lg_opt.restart, (char *)NULL);
		_exit(127);
	}
	return pid;
}

struct back { // of each client
	unsigned connects; // when the run began
	uint64_t asked_ns; // echo sent
	uint64_t at_ns;
};

// Has the client come again, and did an echo packet go through? Sends one if not.
static bool is_back(struct lg_client *client, struct back *back, uint64_t now) {
	if (back->at_ns != 0)
		return true;
	if (client->state != LG_UP || client->connects == back->connects)
		return false;
	if (client->echo.seen > 0) {
		back->at_ns = now;
		return true;
	}
	if (now > back->asked_ns + ECHO_AGAIN_NS) {
		lg_tunnel_send(client, LG_ECHO, 1, now);
		back->asked_ns = now;
	}
	return false;
}

static int compare(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void reconnect_report(const char *name, const struct back *back, uint64_t start,
	unsigned passwords, unsigned failed) {
	uint64_t *times = calloc(lg_opt.clients, sizeof(*times));
	unsigned n = 0;
	json_t *report = lg_run_report(name);

	for (unsigned i = 0; times != NULL && i < lg_opt.clients; i++)
		if (back[i].at_ns != 0)
			times[n++] = back[i].at_ns - start;
	if (n < lg_opt.clients)
		lg_die("reconnect: %u of %u clients came back", n, lg_opt.clients);
	qsort(times, n, sizeof(*times), compare);
	json_object_update_new(report,
		json_pack("{s:f,s:f,s:f,s:i,s:i,s:i}", "seconds", (double)times[n - 1] / 1e9,
			"first", (double)times[0] / 1e9, "median", (double)times[n / 2] / 1e9,
			"by_cookie", (int)(n - passwords), "by_password", (int)passwords,
			"attempts_failed", (int)failed));
	free(times);
	lg_print(report);
}

static unsigned password_logins(void) {
	unsigned sum = 0;

	for (unsigned i = 0; i < lg_opt.clients; i++)
		sum += lg_clients[i].password_logins;
	return sum;
}

void lg_run_reconnect(const char *name) {
	struct back *back = calloc(lg_opt.clients, sizeof(*back));
	unsigned passwords = password_logins(), failed = failures(), missing;
	uint64_t start, now;
	int status;
	pid_t pid;

	if (back == NULL || lg_opt.restart == NULL)
		lg_die("reconnect: no --restart");
	lg_run_no++;
	for (unsigned i = 0; i < lg_opt.clients; i++) {
		back[i].connects = lg_clients[i].connects;
		lg_clients[i].echo.next = lg_clients[i].echo.seen = 0;
	}
	now = start = lg_now();
	pid = restart_begin();
	do {
		lg_begin_some();
		lg_poll(1000);
		now = lg_now();
		missing = 0;
		for (unsigned i = 0; i < lg_opt.clients; i++)
			missing += !is_back(&lg_clients[i], &back[i], now);
	} while (missing > 0 && !lg_stop && now < start + RECONNECT_MAX_S * 1000000000ull);
	waitpid(pid, &status, 0);
	if (status != 0)
		lg_die("reconnect: --restart ended with status %d", status);
	reconnect_report(name, back, start, password_logins() - passwords, failures() - failed);
	free(back);
}
