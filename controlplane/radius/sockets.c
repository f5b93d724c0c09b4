// SPDX-License-Identifier: GPL-3.0-or-later
// The UDP sockets of the RADIUS process, opened while it still may. Called by radius.c.
#include "radius.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/proc/log.h"

#define RECEIVE_BYTES (1 << 20) // answers of a full load that come at once

static int open_family(int family) {
	const int off = 0, bytes = RECEIVE_BYTES;
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
	struct sockaddr_in any4 = {.sin_family = AF_INET};
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); // as much as there is
	// IPv4 servers by mapped addresses; bound now, because binding is for later forbidden.
	if ((family == AF_INET6 &&
		    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) ||
		bind(fd, family == AF_INET6 ? (struct sockaddr *)&any6 : (struct sockaddr *)&any4,
			family == AF_INET6 ? sizeof(any6) : sizeof(any4)) < 0) {
		int status = -errno;
		close(fd);
		return status;
	}
	return fd;
}

// Those of a flood find no place in it, before they cost anything here.
#define DYNAUTH_BYTES (256 << 10)

static int bind_dynauth(int fd, const struct cfg_addr *addr, uint16_t port) {
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	const int on = 1, off = 0, bytes = DYNAUTH_BYTES;
	bool is4 = addr->family == AF_INET;
	int level = is4 ? IPPROTO_IP : IPPROTO_IPV6;
	memcpy(is4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr, addr->bytes, is4 ? 4 : 16);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	// Its address may come up later than we start.
	if (setsockopt(fd, level, is4 ? IP_FREEBIND : IPV6_FREEBIND, &on, sizeof(on)) < 0 ||
		setsockopt(fd, level, is4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof(on)) < 0 ||
		(!is4 && setsockopt(fd, level, IPV6_V6ONLY, &off, sizeof(off)) < 0) ||
		bind(fd, is4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
			is4 ? sizeof(v4) : sizeof(v6)) < 0)
		return -errno;
	return fd;
}

int sockets_dynauth(const struct cfg_dynauth *conf) {
	struct cfg_addr addr = conf->addr;
	if (addr.family == 0)
		addr.family = AF_INET6;
	int fd = socket(addr.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 && conf->addr.family == 0) { // no IPv6 in this kernel
		addr.family = AF_INET;
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	int status = fd < 0 ? -errno : bind_dynauth(fd, &addr, conf->port);
	if (status >= 0) {
		log_info("radius_listen", "port=%u", conf->port);
		return fd;
	}
	log_error("radius_listen", "port=%u text=%s", conf->port, log_value(strerror(-status)));
	if (fd >= 0)
		close(fd);
	return status;
}

int sockets_open(int *fds, unsigned nb) {
	for (unsigned i = 0; i < nb; i++) {
		int fd = open_family(AF_INET6);
		if (fd < 0)
			fd = open_family(AF_INET);
		if (fd < 0) {
			log_error("radius_socket", "text=%s", log_value(strerror(-fd)));
			while (i-- > 0)
				close(fds[i]);
			return fd;
		}
		fds[i] = fd;
	}
	return 0;
}
