// SPDX-License-Identifier: GPL-3.0-or-later
// The SEQPACKET channel with descriptors. Called by the control thread and by the control plane.
#include "dataplane/abi/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define CHANNEL_FDS_MAX 16u

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
};

int abi_channel_connect(const char *path) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int sock, rc;

	if (len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, len + 1);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		close(sock);
		return rc;
	}
	return sock;
}

int abi_channel_send(int sock, const void *msg, size_t len, const int *fds, unsigned nb_fds) {
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union fd_control control = {0};
	ssize_t n;

	if (nb_fds > CHANNEL_FDS_MAX)
		return -EINVAL;
	if (nb_fds > 0) {
		struct cmsghdr *c;

		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nb_fds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nb_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nb_fds);
	}
	do {
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EPROTO;
}

// Takes all descriptors out of the control data: into fds as far as there is room, the rest is
// closed. Returns how many arrived, more than max_fds when there were too many.
static unsigned fds_take(struct msghdr *mh, int *fds, unsigned max_fds) {
	unsigned nb = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (nb < max_fds)
				fds[nb] = fd;
			else
				close(fd);
			nb++;
		}
	}
	return nb;
}

int abi_channel_recv(int sock, void *msg, size_t len, int *fds, unsigned max_fds) {
	uint8_t extra; // a longer message shows by what lands here
	struct iovec iov[2] = {
		{.iov_base = msg, .iov_len = len},
		{.iov_base = &extra, .iov_len = 1},
	};
	union fd_control control;
	struct msghdr mh = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned nb;
	ssize_t n;

	do {
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	nb = fds_take(&mh, fds, max_fds);
	if (n == 0 && nb == 0)
		return -ECONNRESET;
	if ((size_t)n != len || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || nb > max_fds) {
		for (unsigned i = 0; i < nb && i < max_fds; i++)
			close(fds[i]);
		return -EPROTO;
	}
	return (int)nb;
}

bool abi_channel_closed(int sock) {
	char byte;

	return recv(sock, &byte, 1, MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}
