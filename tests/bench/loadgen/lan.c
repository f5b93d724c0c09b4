// SPDX-License-Identifier: GPL-3.0-or-later
// The LAN side of the tunnels: one UDP socket, in the LAN's namespace, that counts, sends and
// answers echo packets. Called by traffic.c.
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/udp.h>
#include <sys/epoll.h>

#define MESSAGES 32u
#define MESSAGE_BYTES 65536u
#define ECHOES 512u
#define UDP_BUFFER (16 << 20)
#define HEADERS 28u // IP and UDP, which the kernel takes off and puts on

static int fd;
static uint8_t *in; // MESSAGES of MESSAGE_BYTES
static uint8_t out[LG_GSO_BYTES];

static struct echoes {
	struct mmsghdr msgs[ECHOES];
	struct iovec iov[ECHOES];
	struct sockaddr_in to[ECHOES];
	unsigned n;
} echoes;

void lg_lan_init(void) {
	struct sockaddr_in local = {
		.sin_family = AF_INET, .sin_addr = lg_opt.lan, .sin_port = htons(LG_INNER_PORT)};
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = LG_FD_DATA(LG_FD_LAN, 0)};
	int one = 1, size = UDP_BUFFER;

	fd = lg_socket_in(lg_opt.lan_netns, AF_INET, SOCK_DGRAM);
	if (bind(fd, (struct sockaddr *)&local, sizeof(local)) != 0)
		lg_die("LAN address: %s; is --lan-netns right?", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one));
	lg_stamp_socket(fd);
	epoll_ctl(lg_epoll, EPOLL_CTL_ADD, fd, &event);
	in = malloc((size_t)MESSAGES * MESSAGE_BYTES);
	if (in == NULL)
		lg_die("no memory");
}

static void echoes_flush(void) {
	unsigned done = 0;

	while (done < echoes.n) {
		int n = sendmmsg(fd, echoes.msgs + done, echoes.n - done, 0);

		if (n <= 0)
			break; // lost, and counted as such
		done += (unsigned)n;
	}
	echoes.n = 0;
}

static void echo_add(uint8_t *data, size_t len, const struct sockaddr_in *to) {
	unsigned i = echoes.n;

	echoes.iov[i] = (struct iovec){data, len};
	echoes.to[i] = *to;
	echoes.msgs[i].msg_hdr = (struct msghdr){.msg_iov = &echoes.iov[i],
		.msg_iovlen = 1,
		.msg_name = &echoes.to[i],
		.msg_namelen = sizeof(*to)};
	echoes.n++;
	if (echoes.n == ECHOES)
		echoes_flush();
}

static void datagram(
	uint8_t *data, size_t len, const struct sockaddr_in *from, struct lg_time time) {
	struct lg_payload payload;

	if (len < sizeof(payload))
		return;
	memcpy(&payload, data, sizeof(payload));
	if (payload.kind == LG_ECHO)
		echo_add(data, len, from);
	else
		lg_payload_arrived(&payload, len + HEADERS, time);
}

void lg_lan_read(void) {
	struct mmsghdr msgs[MESSAGES];
	struct iovec iov[MESSAGES];
	struct sockaddr_in from[MESSAGES];
	uint8_t control[MESSAGES][LG_CONTROL_BYTES];
	struct lg_time time;
	int n;

	for (unsigned i = 0; i < MESSAGES; i++) {
		iov[i] = (struct iovec){in + (size_t)i * MESSAGE_BYTES, MESSAGE_BYTES};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
			.msg_control = control[i],
			.msg_controllen = sizeof(control[i])};
	}
	n = recvmmsg(fd, msgs, MESSAGES, 0, NULL);
	time.now = lg_now();
	for (int i = 0; i < n; i++) {
		size_t segment = lg_gro_segment(&msgs[i].msg_hdr), len = msgs[i].msg_len;

		if (segment == 0)
			segment = len;
		time.stamp = lg_stamp(&msgs[i].msg_hdr, time.now);
		for (size_t at = 0; at < len; at += segment)
			datagram((uint8_t *)iov[i].iov_base + at,
				len - at < segment ? len - at : segment, &from[i], time);
	}
	echoes_flush();
}

unsigned lg_lan_send(struct lg_client *client, unsigned n, uint64_t now) {
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_addr = client->inner, .sin_port = htons(LG_INNER_PORT)};
	uint16_t segment = (uint16_t)(lg_opt.size - HEADERS);
	unsigned max = LG_GSO_BYTES / segment;

	if (n > max)
		n = max;
	if (n > LG_GSO_SEGMENTS)
		n = LG_GSO_SEGMENTS;
	for (unsigned i = 0; i < n; i++) {
		struct lg_payload payload = lg_payload_next(client, LG_DOWNSTREAM, now);

		memcpy(out + (size_t)i * segment, &payload, sizeof(payload));
	}
	if (lg_udp_send(fd, &to, out, (size_t)n * segment, segment))
		return n;
	client->down.next -= n;
	return 0;
}
