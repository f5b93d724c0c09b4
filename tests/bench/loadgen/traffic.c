// SPDX-License-Identifier: GPL-3.0-or-later
// The loop that drives clients, and the runs with traffic: up, down, both, echo. Called by main.c.
#include "loadgen.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define EVENTS 256
#define TIMER_NS 10000000u // between looks at all clients' timers
#define STALL_NS 200000000u // what is under way for longer is lost
#define DRAIN_NS 300000000u // after a run, without an arrival
#define DRAIN_TCP_NS 2000000000u // what TCP lost comes again: 200 ms at the earliest, then 400, 800
#define PASS 512u // packets sent between two looks at what has come
#define FAILURES_MAX 50u // of one client, before we give up

struct sender {
	unsigned kind;
	struct lg_way *way;
	double rate; // packets a second; 0: flat out
	bool on;
	uint64_t due; // packets since the run began
	unsigned turn; // whose it is
};

static uint64_t timers_ns;
static uint64_t begin_ns; // when the next login may begin
static unsigned begin_turn;

// --- Events

static void timers(uint64_t now) {
	if (now < timers_ns)
		return;
	timers_ns = now + TIMER_NS;
	for (unsigned i = 0; i < lg_opt.clients; i++)
		if (lg_clients[i].state != LG_DOWN)
			lg_client_timer(&lg_clients[i], now);
}

// timeout_us: 0 looks only.
void lg_poll(int timeout_us) {
	struct epoll_event events[EVENTS];
	struct timespec timeout = {.tv_nsec = timeout_us * 1000L};
	int n = epoll_pwait2(lg_epoll, events, EVENTS, &timeout, NULL);

	for (int i = 0; i < n; i++) {
		unsigned no = (unsigned)events[i].data.u64;
		enum lg_fd kind = (enum lg_fd)(events[i].data.u64 >> 32);

		if (kind == LG_FD_LAN)
			lg_lan_read();
		else
			lg_client_event(&lg_clients[no], kind, events[i].events);
	}
	timers(lg_now());
}

// Begins logins of clients that are down, within --parallel and --login-rate.
void lg_begin_some(void) {
	uint64_t now = lg_now();

	for (unsigned i = 0; i < lg_opt.clients && lg_nb_pending < lg_opt.parallel; i++) {
		struct lg_client *client = &lg_clients[begin_turn];

		if (now < begin_ns)
			return;
		begin_turn = (begin_turn + 1) % lg_opt.clients;
		if (client->state != LG_DOWN || now < client->retry_ns)
			continue;
		if (client->failures > FAILURES_MAX && lg_opt.restart == NULL)
			lg_die("client %u cannot log in (see --verbose)", client->no);
		if (lg_opt.login_rate > 0)
			begin_ns = (begin_ns > now - 1000000000u ? begin_ns : now) +
				(uint64_t)(1e9 / lg_opt.login_rate);
		lg_client_begin(client);
	}
}

void lg_login_all(void) {
	uint64_t start = lg_now(), now;
	unsigned failures = 0;

	if (lg_nb_up == lg_opt.clients)
		return;
	while (lg_nb_up < lg_opt.clients && !lg_stop) {
		lg_begin_some();
		lg_poll(2000);
	}
	now = lg_now();
	for (unsigned i = 0; i < lg_opt.clients; i++)
		failures += lg_clients[i].failures;
	lg_print(json_pack("{s:s,s:i,s:i,s:f,s:s,s:s}", "loadgen", "login", "clients",
		(int)lg_nb_up, "failures", (int)failures, "seconds", (double)(now - start) / 1e9,
		"channel", lg_opt.dtls ? "dtls" : "tls", "tls",
		lg_clients[0].protection == NULL			 ? "none"
			: lg_clients[0].protection->version == ABI_TLS13 ? "1.3"
									 : "1.2"));
}

// --- Sending

// The numbers of packets that never come are free again after a while.
static unsigned under_way(struct lg_flow *flow, uint64_t now) {
	if (flow->next > flow->seen && now > flow->progress_ns + STALL_NS) {
		flow->seen = flow->next;
		flow->progress_ns = now;
	}
	return (unsigned)(flow->next - flow->seen);
}

static unsigned send_burst(struct sender *s, struct lg_client *client, unsigned n, uint64_t now) {
	unsigned sent;

	if (client->state != LG_UP)
		return 0;
	if (s->kind == LG_DOWNSTREAM)
		sent = lg_lan_send(client, n, now);
	else
		sent = lg_tunnel_send(client, s->kind, n, now);
	s->way->sent += sent;
	return sent;
}

// As many as the window allows; how many were sent.
static unsigned send_flat(struct sender *s) {
	unsigned window = lg_opt.window / lg_opt.clients, total = 0;
	unsigned least;

	if (window == 0)
		window = 1;
	least = window / 2 < lg_opt.burst ? window / 2 : lg_opt.burst;
	for (unsigned i = 0; i < lg_opt.clients && total < PASS; i++) {
		struct lg_client *client = &lg_clients[s->turn];
		struct lg_flow *flow = s->kind == LG_DOWNSTREAM ? &client->down : &client->up;
		uint64_t now = lg_now();
		unsigned used = under_way(flow, now), room = used < window ? window - used : 0;

		s->turn = (s->turn + 1) % lg_opt.clients;
		if (room == 0 || room < least)
			continue;
		total += send_burst(s, client, room < lg_opt.burst ? room : lg_opt.burst, now);
	}
	return total;
}

// What is due by now. A client that cannot take its packets loses its turn, and they count as due.
static unsigned send_paced(struct sender *s, uint64_t start, uint64_t now) {
	uint64_t due = (uint64_t)(s->rate * (double)(now - start) / 1e9) - s->due;
	unsigned each = (unsigned)(due / lg_opt.clients) + 1, total = 0;

	if (each > lg_opt.burst)
		each = lg_opt.burst;
	while (total < due && total < PASS) {
		unsigned n = due - total < each ? (unsigned)(due - total) : each;

		send_burst(s, &lg_clients[s->turn], n, lg_now());
		s->turn = (s->turn + 1) % lg_opt.clients;
		total += n;
	}
	s->due += total;
	return total;
}

static unsigned send_some(struct sender *s, uint64_t start, uint64_t now) {
	if (!s->on)
		return 0;
	return s->rate > 0 ? send_paced(s, start, now) : send_flat(s);
}

// --- Runs

static void flow_reset(struct lg_flow *flow) {
	flow->next = flow->seen = 0;
}

static void mtu_check(void) {
	for (unsigned i = 0; i < lg_opt.clients; i++)
		if (lg_clients[i].state == LG_UP && lg_clients[i].mtu < lg_opt.size)
			lg_die("a tunnel's MTU is %u; give a smaller --size", lg_clients[i].mtu);
}

static void run_reset(void) {
	lg_run_no++;
	memset(&lg_up, 0, sizeof(lg_up));
	memset(&lg_down, 0, sizeof(lg_down));
	memset(&lg_echo, 0, sizeof(lg_echo));
	for (unsigned i = 0; i < lg_opt.clients; i++) {
		flow_reset(&lg_clients[i].up);
		flow_reset(&lg_clients[i].down);
		flow_reset(&lg_clients[i].echo);
	}
}

static json_t *way_report(const struct lg_way *way, double seconds) {
	uint64_t lost = way->sent > way->received ? way->sent - way->received : 0;

	json_t *report = json_pack("{s:I,s:I,s:I,s:f,s:f,s:o}", "sent", (json_int_t)way->sent,
		"received", (json_int_t)way->received, "lost", (json_int_t)lost, "mpps",
		(double)way->received / seconds / 1e6, "gbps",
		(double)way->bytes * 8 / seconds / 1e9, "latency_us",
		lg_hist_report(&way->latency));

	if (lg_opt.stamps)
		json_object_set_new(report, "kernel_us", lg_hist_report(&way->kernel));
	return report;
}

static json_t *recent_report(struct lg_way *way, double seconds) {
	json_t *report = json_pack("{s:I,s:f,s:o}", "received", (json_int_t)way->recent, "mpps",
		(double)way->recent / seconds / 1e6, "latency_us",
		lg_hist_report(&way->recent_latency));

	way->recent = 0;
	memset(&way->recent_latency, 0, sizeof(way->recent_latency));
	return report;
}

static const char *const ciphers[] = {"any", "aes-128-gcm", "aes-256-gcm", "chacha20-poly1305"};

json_t *lg_run_report(const char *name) {
	return json_pack("{s:s,s:s,s:s,s:i,s:i}", "loadgen", name, "channel",
		lg_opt.dtls ? "dtls" : "tls", "cipher", ciphers[lg_opt.cipher], "clients",
		(int)lg_opt.clients, "size", (int)lg_opt.size);
}

struct run {
	struct sender up, down, echo;
	uint64_t start, end, interval;
};

static void interval_print(struct run *run, uint64_t now) {
	double seconds = (double)(now - run->interval) / 1e9;
	json_t *line;

	if (lg_opt.interval == 0 || seconds < lg_opt.interval)
		return;
	run->interval = now;
	line = json_pack("{s:s,s:f,s:i}", "loadgen", "interval", "at",
		(double)(now - run->start) / 1e9, "up_clients", (int)lg_nb_up);
	if (run->up.on)
		json_object_set_new(line, "up", recent_report(&lg_up, seconds));
	if (run->down.on)
		json_object_set_new(line, "down", recent_report(&lg_down, seconds));
	if (run->echo.on)
		json_object_set_new(line, "echo", recent_report(&lg_echo, seconds));
	lg_print(line);
}

static void traffic(struct run *run) {
	uint64_t now = lg_now();

	run->start = run->interval = now;
	run->end = now + (uint64_t)(lg_opt.seconds * 1e9);
	while (now < run->end && !lg_stop) {
		unsigned sent = send_some(&run->up, run->start, now);

		sent += send_some(&run->down, run->start, now);
		sent += send_some(&run->echo, run->start, now);
		lg_poll(sent > 0 ? 0 : 50);
		if (lg_nb_up < lg_opt.clients)
			lg_begin_some();
		now = lg_now();
		interval_print(run, now);
	}
	run->end = now;
}

static uint64_t arrived(void) {
	return lg_up.received + lg_down.received + lg_echo.received;
}

static void drain(void) {
	uint64_t last = lg_now(), before = arrived(),
		 patience = lg_opt.dtls ? DRAIN_NS : DRAIN_TCP_NS;

	while (lg_now() < last + patience && arrived() < lg_up.sent + lg_down.sent + lg_echo.sent) {
		lg_poll(1000);
		if (arrived() != before)
			last = lg_now();
		before = arrived();
	}
}

void lg_run_traffic(const char *name) {
	bool both = strcmp(name, "both") == 0, echo = strcmp(name, "echo") == 0;
	struct run run = {
		.up = {LG_UPSTREAM, &lg_up, lg_opt.rate, both || strcmp(name, "up") == 0, 0, 0},
		.down = {LG_DOWNSTREAM, &lg_down, lg_opt.rate, both || strcmp(name, "down") == 0, 0,
			0},
		.echo = {LG_ECHO, &lg_echo, lg_opt.echo_rate, echo || lg_opt.echo_rate > 0, 0, 0},
	};
	struct lg_cpu cpu[2];
	json_t *sample[2], *report;
	uint64_t in_time;
	double seconds;

	if (run.echo.on && run.echo.rate == 0)
		run.echo.rate = 1000;
	mtu_check();
	run_reset();
	sample[0] = lg_sample();
	lg_cpu_read(&cpu[0]);
	traffic(&run);
	in_time = arrived();
	drain();
	lg_cpu_read(&cpu[1]);
	sample[1] = lg_sample();
	seconds = (double)(run.end - run.start) / 1e9;
	report = lg_run_report(name);
	json_object_set_new(report, "seconds", json_real(seconds));
	if (run.up.on)
		json_object_set_new(report, "up", way_report(&lg_up, seconds));
	if (run.down.on)
		json_object_set_new(report, "down", way_report(&lg_down, seconds));
	if (run.echo.on)
		json_object_set_new(report, "echo", way_report(&lg_echo, seconds));
	if (lg_opt.stamps) {
		lg_hist_join(&lg_up.kernel, &lg_down.kernel);
		json_object_set_new(report, "kernel_us", lg_hist_report(&lg_up.kernel));
	}
	json_object_set_new(report, "cpu", lg_cpu_report(&cpu[0], &cpu[1]));
	json_object_set_new(report, "sample", json_pack("[o,o]", sample[0], sample[1]));
	lg_print(report);
	if (in_time == 0 && (run.up.on || run.down.on || run.echo.on))
		lg_die("%s: no packet came through", name);
}
