// SPDX-License-Identifier: GPL-3.0-or-later
// The load generator's options. Called by main.c.
#include "loadgen.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lg_options lg_opt = {
	.user = "test",
	.password = "secret",
	.clients = 1,
	.dtls = true,
	.cipher = ABI_AES_128_GCM,
	.size = 1400,
	.window = 0,
	.burst = 32,
	.seconds = 5,
	.parallel = 16,
	.login_timeout = 30,
	.retry_ms = 20,
	.watch_fd = -1,
	.watch_cpu = -1,
};

static const char usage[] =
	"usage: loadgen [OPTION...] RUN...\n"
	"\n"
	"A load generator for AnyConnect-compatible servers. Logs clients in as openconnect does\n"
	"(TLS, XML forms, CONNECT, DTLS by PSK-NEGOTIATE), then does the runs in order, and prints\n"
	"one JSON object for each. One thread, which polls while there is traffic.\n"
	"\n"
	"Runs:\n"
	"  up          UDP packets from every client's address to the LAN address\n"
	"  down        UDP packets from the LAN address to every client's\n"
	"  both        both at once\n"
	"  echo        echo packets alone (--echo-rate, 1000 a second when not given)\n"
	"  logins      log in and out again and again, --clients of them at a time: full logins a\n"
	"              second (with --dtls the DTLS handshake belongs to it)\n"
	"  reconnect   run --restart, and wait until every client is back: by its cookie, or with\n"
	"              its password if the cookie is refused; and answered an echo packet\n"
	"  idle        only keep the clients connected\n"
	"\n"
	"Server and clients:\n"
	"  --server ADDRESS[:PORT]   (192.0.2.1:443)  [ADDRESS]:PORT for IPv6\n"
	"  --host NAME               for the Host: field (the address)\n"
	"  --user NAME, --password TEXT   (test, secret) all clients; {} in the name: their number\n"
	"  --clients N               (1)\n"
	"  --dtls, --tls             the channel of the packets (--dtls)\n"
	"  --cipher NAME             the only one offered: aes-128-gcm (default), aes-256-gcm,\n"
	"                            chacha20-poly1305; any: the library's usual list\n"
	"  --tls-version 1.2|1.3     the only one offered\n"
	"  --netns NAME              namespace of the clients' sockets (where it is started)\n"
	"  --parallel N              logins under way at once (16)\n"
	"  --login-rate N            logins begun a second (as many as --parallel allows)\n"
	"  --login-timeout SECONDS   (30)\n"
	"  --retry-ms N              between attempts of one client (20)\n"
	"\n"
	"Traffic:\n"
	"  --lan ADDRESS             of the LAN side, which is this program, too (198.51.100.2)\n"
	"  --lan-netns NAME          namespace of the LAN side's socket\n"
	"  --size BYTES              inner IP packet (1400)\n"
	"  --rate N                  packets a second and direction, all clients together. Without\n"
	"                            it flat out: --window packets are under way at a time, so the\n"
	"                            server gets what it can carry\n"
	"  --window N                packets under way, all clients together, each way (64 a client,\n"
	"                            1024 at most, but 4 a client at least)\n"
	"  --burst N                 packets in a row for one client, one system call (32)\n"
	"  --echo-rate N             echo packets a second beside up, down and both (0)\n"
	"  --seconds N               of each run (5)\n"
	"  --stamps                  also latency until the kernel received a packet\n"
	"  --interval SECONDS        print a line of {\"loadgen\":\"interval\"} this often\n"
	"  SIGINT, SIGTERM           end the run under way early; its result is printed\n"
	"\n"
	"Measuring the server:\n"
	"  --watch PREFIX[,PREFIX]   add CPU seconds of all processes whose names begin so\n"
	"  --watch-fd N              the same of the /proc/PID/stat that is open as descriptor N (of\n"
	"                            ksoftirqd, say, which other process namespaces do not see)\n"
	"  --watch-cpu N             add busy seconds of this CPU (softirq included)\n"
	"  --sample COMMAND          run before and after each run; its JSON is added as \"sample\"\n"
	"  --restart COMMAND         for the run reconnect; the clock starts with it\n"
	"\n"
	"  --verbose                 what clients do, to stderr\n"
	"  --help                    this text\n"
	"\n"
	"Output, one object a line: {\"loadgen\":\"login\",...} when all are in, then one a run:\n"
	"  up, down, echo  {\"sent\",\"received\",\"lost\",\"mpps\",\"gbps\" (of inner packets),\n"
	"                  \"latency_us\":{\"p50\",\"p90\",\"p99\",\"p999\",\"max\"}}: one way in up and down,\n"
	"                  there and back in echo. --stamps adds \"kernel_us\": from right before it\n"
	"                  is handed to the kernel until the kernel received it at the other end\n"
	"  cpu             CPU seconds: {\"generator\",\"watched\",\"watched_fd\",\"core\"}\n"
	"  logins          {\"logins\",\"per_second\",\"failures\",\"latency_us\"}\n"
	"  reconnect       {\"seconds\" until all are back,\"by_cookie\",\"by_password\",\"first\",\"median\"}\n"
	"Exits with 1 when clients cannot log in or no packet came through, and says why on stderr.\n"
	"The sockets hold one descriptor a client and channel: see ulimit -n.\n";

enum {
	OPT_SERVER = 256,
	OPT_HOST,
	OPT_USER,
	OPT_PASSWORD,
	OPT_CLIENTS,
	OPT_DTLS,
	OPT_TLS,
	OPT_CIPHER,
	OPT_TLS_VERSION,
	OPT_NETNS,
	OPT_PARALLEL,
	OPT_LOGIN_RATE,
	OPT_LOGIN_TIMEOUT,
	OPT_RETRY_MS,
	OPT_LAN,
	OPT_LAN_NETNS,
	OPT_SIZE,
	OPT_RATE,
	OPT_WINDOW,
	OPT_BURST,
	OPT_ECHO_RATE,
	OPT_SECONDS,
	OPT_STAMPS,
	OPT_INTERVAL,
	OPT_WATCH,
	OPT_WATCH_FD,
	OPT_WATCH_CPU,
	OPT_SAMPLE,
	OPT_RESTART,
	OPT_VERBOSE,
	OPT_HELP,
};

static const struct option options[] = {
	{"server", 1, NULL, OPT_SERVER},
	{"host", 1, NULL, OPT_HOST},
	{"user", 1, NULL, OPT_USER},
	{"password", 1, NULL, OPT_PASSWORD},
	{"clients", 1, NULL, OPT_CLIENTS},
	{"dtls", 0, NULL, OPT_DTLS},
	{"tls", 0, NULL, OPT_TLS},
	{"cipher", 1, NULL, OPT_CIPHER},
	{"tls-version", 1, NULL, OPT_TLS_VERSION},
	{"netns", 1, NULL, OPT_NETNS},
	{"parallel", 1, NULL, OPT_PARALLEL},
	{"login-rate", 1, NULL, OPT_LOGIN_RATE},
	{"login-timeout", 1, NULL, OPT_LOGIN_TIMEOUT},
	{"retry-ms", 1, NULL, OPT_RETRY_MS},
	{"lan", 1, NULL, OPT_LAN},
	{"lan-netns", 1, NULL, OPT_LAN_NETNS},
	{"size", 1, NULL, OPT_SIZE},
	{"rate", 1, NULL, OPT_RATE},
	{"window", 1, NULL, OPT_WINDOW},
	{"burst", 1, NULL, OPT_BURST},
	{"echo-rate", 1, NULL, OPT_ECHO_RATE},
	{"seconds", 1, NULL, OPT_SECONDS},
	{"stamps", 0, NULL, OPT_STAMPS},
	{"interval", 1, NULL, OPT_INTERVAL},
	{"watch", 1, NULL, OPT_WATCH},
	{"watch-fd", 1, NULL, OPT_WATCH_FD},
	{"watch-cpu", 1, NULL, OPT_WATCH_CPU},
	{"sample", 1, NULL, OPT_SAMPLE},
	{"restart", 1, NULL, OPT_RESTART},
	{"verbose", 0, NULL, OPT_VERBOSE},
	{"help", 0, NULL, OPT_HELP},
	{0},
};

static _Noreturn void wrong(const char *what, const char *value) {
	fprintf(stderr, "loadgen: %s: %s; see --help\n", what, value);
	exit(2);
}

static double number(const char *text, double min, double max) {
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= min && value <= max))
		wrong("not a number in its range", text);
	return value;
}

static unsigned whole(const char *text, unsigned min, unsigned max) {
	return (unsigned)number(text, min, max);
}

// ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT; numbers only.
static void server_set(const char *text) {
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
	char *host = strdup(text), *port = NULL, *end;

	if (host == NULL)
		lg_die("no memory");
	end = strchr(host, ']');
	if (host[0] == '[' && end != NULL) {
		*end = '\0';
		port = end[1] == ':' ? end + 2 : NULL;
		memmove(host, host + 1, strlen(host));
	} else if (strchr(host, ':') != NULL && strchr(host, ':') == strrchr(host, ':')) {
		port = strchr(host, ':') + 1;
		port[-1] = '\0';
	}
	if (getaddrinfo(host, port != NULL ? port : "443", &hints, &found) != 0)
		wrong("not an address", text);
	memcpy(&lg_opt.server, found->ai_addr, found->ai_addrlen);
	lg_opt.server_len = found->ai_addrlen;
	freeaddrinfo(found);
	if (lg_opt.host == NULL)
		lg_opt.host = host;
	else
		free(host);
}

static int cipher_of(const char *name) {
	if (strcmp(name, "aes-128-gcm") == 0)
		return ABI_AES_128_GCM;
	if (strcmp(name, "aes-256-gcm") == 0)
		return ABI_AES_256_GCM;
	if (strcmp(name, "chacha20-poly1305") == 0)
		return ABI_CHACHA20_POLY1305;
	if (strcmp(name, "any") != 0)
		wrong("not a cipher", name);
	return 0;
}

static void client_option(int c) {
	switch (c) {
	case OPT_SERVER:
		server_set(optarg);
		break;
	case OPT_HOST:
		lg_opt.host = optarg;
		break;
	case OPT_USER:
		lg_opt.user = optarg;
		break;
	case OPT_PASSWORD:
		lg_opt.password = optarg;
		break;
	case OPT_CLIENTS:
		lg_opt.clients = whole(optarg, 1, LG_CLIENTS_MAX);
		break;
	case OPT_DTLS:
	case OPT_TLS:
		lg_opt.dtls = c == OPT_DTLS;
		break;
	case OPT_CIPHER:
		lg_opt.cipher = cipher_of(optarg);
		break;
	case OPT_TLS_VERSION:
		if (strcmp(optarg, "1.2") != 0 && strcmp(optarg, "1.3") != 0)
			wrong("not a version", optarg);
		lg_opt.tls_version = optarg[2] == '2' ? 12 : 13;
		break;
	case OPT_NETNS:
		lg_opt.netns = optarg;
		break;
	case OPT_PARALLEL:
		lg_opt.parallel = whole(optarg, 1, LG_CLIENTS_MAX);
		break;
	case OPT_LOGIN_RATE:
		lg_opt.login_rate = number(optarg, 0.001, 1e6);
		break;
	case OPT_LOGIN_TIMEOUT:
		lg_opt.login_timeout = number(optarg, 0.1, 3600);
		break;
	case OPT_RETRY_MS:
		lg_opt.retry_ms = whole(optarg, 1, 60000);
		break;
	}
}

static void traffic_option(int c) {
	switch (c) {
	case OPT_LAN:
		if (inet_pton(AF_INET, optarg, &lg_opt.lan) != 1)
			wrong("not an IPv4 address", optarg);
		break;
	case OPT_LAN_NETNS:
		lg_opt.lan_netns = optarg;
		break;
	case OPT_SIZE:
		lg_opt.size = whole(optarg, LG_SIZE_MIN, LG_SIZE_MAX);
		break;
	case OPT_RATE:
		lg_opt.rate = number(optarg, 1, 1e9);
		break;
	case OPT_WINDOW:
		lg_opt.window = whole(optarg, 1, 1u << 24);
		break;
	case OPT_BURST:
		lg_opt.burst = whole(optarg, 1, LG_GSO_SEGMENTS);
		break;
	case OPT_ECHO_RATE:
		lg_opt.echo_rate = number(optarg, 0, 1e7);
		break;
	case OPT_SECONDS:
		lg_opt.seconds = number(optarg, 0.01, 86400);
		break;
	case OPT_STAMPS:
		lg_opt.stamps = true;
		break;
	case OPT_INTERVAL:
		lg_opt.interval = number(optarg, 0.001, 86400);
		break;
	case OPT_WATCH:
		lg_opt.watch = optarg;
		break;
	case OPT_WATCH_FD:
		lg_opt.watch_fd = (int)whole(optarg, 0, 1 << 20);
		break;
	case OPT_WATCH_CPU:
		lg_opt.watch_cpu = (int)whole(optarg, 0, 4095);
		break;
	case OPT_SAMPLE:
		lg_opt.sample = optarg;
		break;
	case OPT_RESTART:
		lg_opt.restart = optarg;
		break;
	case OPT_VERBOSE:
		lg_opt.verbose = true;
		break;
	}
}

void lg_options_parse(int argc, char **argv) {
	int c;

	inet_pton(AF_INET, "198.51.100.2", &lg_opt.lan);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == OPT_HELP) {
			fputs(usage, stdout);
			exit(0);
		}
		if (c == '?')
			exit(2);
		client_option(c);
		traffic_option(c);
	}
	if (lg_opt.server_len == 0)
		server_set("192.0.2.1");
	if (lg_opt.window == 0) {
		lg_opt.window = 64 * lg_opt.clients < 1024 ? 64 * lg_opt.clients : 1024;
		if (lg_opt.window < 4 * lg_opt.clients)
			lg_opt.window = 4 * lg_opt.clients;
	}
	lg_opt.runs = argv + optind;
	lg_opt.nb_runs = (unsigned)(argc - optind);
	if (lg_opt.nb_runs == 0)
		wrong("no run named", "");
}
