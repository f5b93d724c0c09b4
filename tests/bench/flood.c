// SPDX-License-Identifier: GPL-3.0-or-later
// Sends datagrams that no honest client sends, at a rate. Driven by the benchmark `interference`.
//
// Run in the clients' namespace. Kinds: `hello`, DTLS ClientHellos from spoofed addresses, three in
// ten with a cookie that is not ours; `forged`, data records that do not authenticate: of a client's
// own address and port (taken from the wire), of its address and other ports, of other addresses.
//
// The kernel runs flood.bpf.c on copies of a frame and sends what it made of them (live frames of
// BPF_PROG_TEST_RUN): several times as many a second as by a packet socket. The other end of the veth
// must have an XDP program, as a port of Penstock's has by default.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/types.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "flood.h"

#define BATCH_MAX 64u
#define BATCH_S 50e-6 // no other program runs on this CPU meanwhile: senders of good packets wait
#define RUN_S 0.25
#define FLAT_OUT 4e6 // packets a second that no CPU reaches
#define FRAME_MAX 256u
#define RECORD_TEXT 64u // bytes of a forged record, with nonce and tag
#define PORT_VPN 443u
#define CAPTURE_S 10

static struct {
	const char *ifname, *server, *to_mac;
	bool hello;
	double rate; // a second; 0: as fast as it goes
	double seconds;
} options = {.ifname = "eth0", .server = "192.0.2.1", .seconds = 5};

static struct frame {
	uint8_t bytes[FRAME_MAX];
	unsigned len;
} frames[2]; // in turn: without and with a cookie

static uint8_t pattern[2048]; // a client's frame
static volatile sig_atomic_t stopped;

static void on_signal(int signo) {
	stopped = 1;
}

static _Noreturn void die(const char *what) {
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fill_random(void *dst, size_t len) {
	if (getrandom(dst, len, 0) != (ssize_t)len)
		die("getrandom");
}

static int packet_socket(int protocol) {
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)protocol),
		.sll_ifindex = (int)if_nametoindex(options.ifname),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0 || addr.sll_ifindex == 0 ||
		bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		die(options.ifname);
	return fd;
}

// A data record that a client sends just now: its frame is the pattern of the forged ones.
static unsigned capture(uint8_t *frame, size_t room) {
	int fd = packet_socket(ETH_P_ALL);
	struct timeval limit = {.tv_sec = 1};
	uint64_t end = now_ns() + CAPTURE_S * UINT64_C(1000000000);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	while (now_ns() < end) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, frame, room, 0, (struct sockaddr *)&from, &len);

		if (n < 56 || from.sll_pkttype != PACKET_OUTGOING || frame[12] != 8 ||
			frame[23] != IPPROTO_UDP || frame[36] != PORT_VPN >> 8 ||
			frame[37] != (PORT_VPN & 0xff) || frame[42] != 23)
			continue;
		close(fd);
		return (unsigned)n;
	}
	fprintf(stderr, "flood: no client sends DTLS on %s\n", options.ifname);
	exit(EXIT_FAILURE);
}

// Ethernet, IP and UDP around `len` bytes that lie behind them already. The program sets source and
// IP checksum; UDP may go without one over IPv4.
static void wrap(struct frame *frame, unsigned len) {
	unsigned mac[6];
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.daddr = inet_addr(options.server),
	};
	struct udphdr udp = {.dest = htons(PORT_VPN)};

	if (sscanf(options.to_mac, "%x:%x:%x:%x:%x:%x", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
		    &mac[5]) != 6) {
		fprintf(stderr, "flood: %s is no MAC address\n", options.to_mac);
		exit(EXIT_FAILURE);
	}
	for (unsigned j = 0; j < 6; j++)
		frame->bytes[j] = (uint8_t)mac[j];
	frame->bytes[6] = 2; // a local address: nobody answers
	frame->bytes[12] = 8;
	udp.len = htons((uint16_t)(len + sizeof(udp)));
	ip.tot_len = htons((uint16_t)(len + sizeof(udp) + sizeof(ip)));
	memcpy(frame->bytes + 14, &ip, sizeof(ip));
	memcpy(frame->bytes + 34, &udp, sizeof(udp));
	frame->len = 42 + len;
}

// RFC 6347, 4.2: record, handshake header, version, random, session id, cookie, suites.
static void make_hello(struct frame *frame, unsigned cookie) {
	static const uint8_t suites[] = {0, 4, 0, 0xa9, 0, 0xa8, 1, 0};
	uint8_t *record = frame->bytes + 42, *at = record + 25;
	unsigned body;

	*at++ = 0xfe;
	*at++ = 0xfd;
	fill_random(at, 65 + 1 + cookie);
	at[32] = 32; // session id: who it says it is
	at[65] = (uint8_t)cookie;
	at += 66 + cookie;
	memcpy(at, suites, sizeof(suites));
	at += sizeof(suites);
	body = (unsigned)(at - record - 25);
	record[0] = 22;
	record[1] = 0xfe;
	record[2] = 0xff;
	record[12] = (uint8_t)(body + 12);
	record[13] = 1;
	record[16] = record[24] = (uint8_t)body;
	record[18] = cookie ? 1 : 0; // message number
	wrap(frame, body + 25);
}

// The client's header with another number and text.
static void make_forged(struct frame *frame) {
	uint8_t *record = frame->bytes + 42;

	memcpy(record, pattern + 42, 13);
	fill_random(record + 5, 6);
	record[11] = 0;
	record[12] = RECORD_TEXT;
	fill_random(record + 13, RECORD_TEXT);
	wrap(frame, 13 + RECORD_TEXT);
}

static void make_frames(void) {
	if (options.hello) {
		make_hello(&frames[0], 0);
		make_hello(&frames[1], 32);
		return;
	}
	capture(pattern, sizeof(pattern));
	make_forged(&frames[0]);
	make_forged(&frames[1]);
}

static void configure(int map) {
	struct flood_config config = {
		.interval_ns = options.rate > 0 ? (uint64_t)(1e9 / options.rate) : 0,
		.ifindex = if_nametoindex(options.ifname),
		.hello = options.hello,
		.network = inet_addr(options.server) & htonl(0xffffff00),
	};
	const uint32_t zero = 0;

	memcpy(&config.client, pattern + 26, sizeof(config.client));
	memcpy(&config.client_port, pattern + 34, sizeof(config.client_port));
	if (config.ifindex == 0)
		die(options.ifname);
	if (bpf_map_update_elem(map, &zero, &config, BPF_ANY) != 0)
		die("configuration");
}

// The program lies beside this one.
static int load(void) {
	struct bpf_object *object;
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);

	if (n < 0)
		die("/proc/self/exe");
	strcpy(path + n, ".bpf.o");
	object = bpf_object__open_file(path, NULL);
	if (object == NULL || bpf_object__load(object) != 0)
		die(path);
	configure(bpf_object__find_map_fd_by_name(object, "flood_config"));
	return bpf_program__fd(bpf_object__find_program_by_name(object, "flood_vary"));
}

static uint32_t batch_size(void) {
	double batch = options.rate * BATCH_S;

	return batch == 0 || batch > BATCH_MAX ? BATCH_MAX : batch < 1 ? 1 : (uint32_t)batch;
}

// A call takes long to begin with: it sends for RUN_S.
static uint64_t flood(int program, uint64_t start) {
	uint64_t end = start + (uint64_t)(options.seconds * 1e9), sent = 0;
	uint32_t repeat = (uint32_t)((options.rate > 0 ? options.rate : FLAT_OUT) * RUN_S);

	for (unsigned i = 0; !stopped && now_ns() < end; i++) {
		const struct frame *frame = &frames[i % 10 < 3];
		DECLARE_LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->bytes,
			.data_size_in = frame->len, .repeat = (int)repeat,
			.batch_size = batch_size(), .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

		if (bpf_prog_test_run_opts(program, &run) == 0)
			sent += repeat;
		else if (errno != EINTR)
			die("live frames");
	}
	return sent;
}

static void usage(void) {
	fprintf(stderr,
		"Usage: flood [--interface IF] [--server IPV4] [--rate PPS] [--seconds S] "
		"--mac SERVER-MAC hello|forged\n");
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
	static const struct option known[] = {
		{"interface", required_argument, NULL, 'i'},
		{"server", required_argument, NULL, 's'},
		{"mac", required_argument, NULL, 'm'},
		{"rate", required_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 't'},
		{0},
	};
	uint64_t start, sent;
	double took;
	int opt, program;

	while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (opt) {
		case 'i':
			options.ifname = optarg;
			break;
		case 's':
			options.server = optarg;
			break;
		case 'm':
			options.to_mac = optarg;
			break;
		case 'r':
			options.rate = atof(optarg);
			break;
		case 't':
			options.seconds = atof(optarg);
			break;
		default:
			usage();
		}
	}
	if (optind + 1 != argc || options.to_mac == NULL)
		usage();
	options.hello = strcmp(argv[optind], "hello") == 0;
	if (!options.hello && strcmp(argv[optind], "forged") != 0)
		usage();
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	make_frames();
	program = load();
	start = now_ns();
	sent = flood(program, start);
	took = (double)(now_ns() - start) / 1e9;
	printf("{\"flood\": \"%s\", \"sent\": %llu, \"seconds\": %.3f, \"pps\": %.0f}\n",
		argv[optind], (unsigned long long)sent, took, (double)sent / took);
	return EXIT_SUCCESS;
}
