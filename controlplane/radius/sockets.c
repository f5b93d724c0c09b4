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
