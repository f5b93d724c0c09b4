// SPDX-License-Identifier: GPL-3.0-or-later
// The boundary's socket: who attaches, what rings and descriptors each role gets, and descriptors
// that wait for a command. Called by the control thread alone.
#include "dataplane/ctl/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/abi/channel.h"
#include "dataplane/abi/cmd.h"
#include "dataplane/abi/punt.h"
#include "dataplane/ctl/count.h"
#include "dataplane/ctl/dump.h"
#include "dataplane/ctl/punt.h"
#include "dataplane/table/session.h"

#define TOKENS_MAX 1024u
#define TOKEN_S 10u
#define HELLO_S 5u

struct token {
	uint64_t token; // 0: free
	uint64_t since_s;
	int fd;
};

struct ctl_peer ctl_peers[CTL_PEERS_MAX];

static struct token tokens[TOKENS_MAX];
static int epoll_fd = -1, listen_fd = -1;
static struct sockaddr_un listen_addr;
static uint64_t now_s;

int ctl_epoll_add(int fd, enum ctl_source source, unsigned number) {
	struct epoll_event event = {
		.events = EPOLLIN,
		.data.u64 = (uint64_t)source << 32 | number,
	};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int listen_bind(const char *path) {
	mode_t mask;
	int rc, other;

	if (strlen(path) >= sizeof(listen_addr.sun_path))
		return -ENAMETOOLONG;
	listen_addr.sun_family = AF_UNIX;
	memcpy(listen_addr.sun_path, path, strlen(path) + 1);
	other = abi_channel_connect(path);
	if (other >= 0 || other == -EAGAIN) {
		if (other >= 0)
			close(other);
		return -EADDRINUSE;
	}
	unlink(path); // of a dataplane that is gone
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listen_fd < 0)
		return -errno;
	mask = umask(0177);
	rc = bind(listen_fd, (struct sockaddr *)&listen_addr, sizeof(listen_addr));
	rc = rc < 0 ? -errno : 0;
	umask(mask);
	if (rc == 0 && listen(listen_fd, 128) < 0)
		rc = -errno;
	return rc;
}

int ctl_attach_init(int epoll, const char *path) {
	int rc;

	epoll_fd = epoll;
	for (unsigned i = 0; i < CTL_PEERS_MAX; i++)
		ctl_peers[i] = (struct ctl_peer){.sock = -1, .bell_in = -1, .bell_out = -1};
	rc = listen_bind(path);
	if (rc == 0)
		rc = ctl_epoll_add(listen_fd, CTL_LISTEN, 0);
	if (rc != 0) {
		fprintf(stderr, "penstock-dataplane: cannot listen on %s: %s\n", path,
			rc == -EADDRINUSE ? "another dataplane is running" : strerror(-rc));
		if (listen_fd >= 0)
			close(listen_fd);
		listen_fd = -1;
	}
	return rc;
}

static void token_free(struct token *token) {
	close(token->fd);
	token->token = 0;
}

void ctl_attach_fini(void) {
	for (unsigned i = 0; i < CTL_PEERS_MAX; i++)
		ctl_peer_close(&ctl_peers[i]);
	for (unsigned i = 0; i < TOKENS_MAX; i++)
		if (tokens[i].token != 0)
			token_free(&tokens[i]);
	if (listen_fd >= 0) {
		close(listen_fd);
		unlink(listen_addr.sun_path);
	}
	listen_fd = -1;
}

// Peers.

static unsigned peer_number(const struct ctl_peer *peer) {
	return (unsigned)(peer - ctl_peers);
}

static struct ctl_peer *peer_find(uint16_t role, uint16_t index) {
	for (unsigned i = 0; i < CTL_PEERS_MAX; i++)
		if (ctl_peers[i].sock >= 0 && ctl_peers[i].role == role &&
			ctl_peers[i].index == index)
			return &ctl_peers[i];
	return NULL;
}

struct ctl_peer *ctl_session_peer(void) {
	return peer_find(ABI_ROLE_SESSION, 0);
}

static void fd_close(int *fd) {
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

// Forwarding goes on: only what this peer shared is given back.
static void log_peer(const struct ctl_peer *peer, const char *event) {
	static const char *const roles[] = {[ABI_ROLE_SESSION] = "session",
		[ABI_ROLE_EDGE] = "edge",
		[ABI_ROLE_MONITOR] = "monitor"};

	fprintf(stderr, "level=info role=dataplane event=%s peer=%s index=%u\n", event,
		roles[peer->role], peer->index);
}

void ctl_peer_close(struct ctl_peer *peer) {
	if (peer->sock < 0)
		return;
	if (peer->role == ABI_ROLE_EDGE)
		dp_punt_edge(peer->index, NULL, NULL);
	if (peer->role == ABI_ROLE_SESSION)
		ctl_dump_stop();
	if (peer->role != 0)
		log_peer(peer, "detached");
	abi_ring_detach(&peer->in);
	abi_ring_detach(&peer->out);
	abi_ring_detach(&peer->evt);
	// the peer shares these: closing alone would leave them in the set
	if (peer->bell_in >= 0)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, peer->bell_in, NULL);
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, peer->sock, NULL);
	fd_close(&peer->bell_in);
	fd_close(&peer->bell_out);
	fd_close(&peer->sock);
	peer->role = 0;
	peer->index = 0;
}

void ctl_accept(void) {
	int sock = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct ctl_peer *peer = NULL;

	if (sock < 0)
		return;
	for (unsigned i = 0; i < CTL_PEERS_MAX && peer == NULL; i++)
		if (ctl_peers[i].sock < 0)
			peer = &ctl_peers[i];
	if (peer == NULL || ctl_epoll_add(sock, CTL_PEER, peer_number(peer)) != 0) {
		close(sock);
		return;
	}
	*peer = (struct ctl_peer){
		.sock = sock,
		.since_s = now_s,
		.bell_in = -1,
		.bell_out = -1,
	};
}

// HELLO and WELCOME.

struct grant {
	int fds[ABI_WELCOME_FDS_MAX];
	unsigned nb;
	unsigned owned; // bits: close after sending (memfds of rings: the mapping stays)
};

static int grant_ring(struct grant *grant, struct abi_ring *ring, const char *name, uint32_t slots,
	uint32_t slot_size, int bell) {
	int fd = abi_ring_create(ring, name, slots, slot_size);

	if (fd < 0)
		return fd;
	ring->bell_fd = (uint32_t)bell;
	grant->owned |= 1u << grant->nb;
	grant->fds[grant->nb++] = fd;
	return 0;
}

static int bells_make(struct ctl_peer *peer) {
	peer->bell_in = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	peer->bell_out = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (peer->bell_in < 0 || peer->bell_out < 0)
		return -errno;
	return ctl_epoll_add(peer->bell_in, CTL_BELL, peer_number(peer));
}

static int grant_session(struct ctl_peer *peer, struct grant *grant) {
	int rc = bells_make(peer);

	if (rc == 0)
		rc = grant_ring(grant, &peer->in, "penstock-cmd", ABI_CMD_SLOTS,
			sizeof(struct abi_cmd), peer->bell_in);
	if (rc == 0)
		rc = grant_ring(grant, &peer->out, "penstock-cpl", ABI_CPL_SLOTS,
			sizeof(struct abi_cpl), peer->bell_out);
	if (rc == 0)
		rc = grant_ring(grant, &peer->evt, "penstock-evt", ABI_EVT_SLOTS,
			sizeof(struct abi_evt), peer->bell_out);
	if (rc != 0)
		return rc;
	grant->fds[grant->nb++] = dp_stats_fd();
	grant->fds[grant->nb++] = peer->bell_in;
	grant->fds[grant->nb++] = peer->bell_out;
	return 0;
}

static int grant_edge(struct ctl_peer *peer, struct grant *grant) {
	int rc = bells_make(peer);

	if (rc == 0)
		rc = grant_ring(grant, &peer->out, "penstock-punt", ABI_PUNT_SLOTS,
			sizeof(struct abi_punt), peer->bell_out);
	if (rc == 0)
		rc = grant_ring(grant, &peer->in, "penstock-inject", ABI_PUNT_SLOTS,
			sizeof(struct abi_punt), peer->bell_in);
	if (rc != 0)
		return rc;
	grant->fds[grant->nb++] = peer->bell_out;
	grant->fds[grant->nb++] = peer->bell_in;
	return 0;
}

static int grant_make(struct ctl_peer *peer, struct grant *grant) {
	switch (peer->role) {
	case ABI_ROLE_SESSION:
		return grant_session(peer, grant);
	case ABI_ROLE_EDGE:
		return grant_edge(peer, grant);
	default:
		grant->fds[grant->nb++] = dp_stats_fd();
		return 0;
	}
}

// A role that one peer has. A peer that has gone, which nobody noticed yet, does not hold it.
static bool role_taken(uint16_t role, uint16_t index) {
	struct ctl_peer *peer = peer_find(role, index);
	char byte;
	ssize_t n;

	if (role == ABI_ROLE_MONITOR || peer == NULL)
		return false;
	n = recv(peer->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return true;
	ctl_peer_close(peer);
	return false;
}

static int hello_check(const struct abi_hello *hello) {
	if (hello->magic != ABI_MAGIC || hello->version_min > ABI_VERSION ||
		hello->version_max < ABI_VERSION_MIN || hello->version_min > hello->version_max)
		return -EPROTO;
	if (hello->reserved != 0 || hello->role < ABI_ROLE_SESSION ||
		hello->role > ABI_ROLE_MONITOR)
		return -EINVAL;
	if (hello->role == ABI_ROLE_EDGE ? hello->index >= ABI_EDGES_MAX : hello->index != 0)
		return -EINVAL;
	return role_taken(hello->role, hello->index) ? -EBUSY : 0;
}

static void welcome(struct ctl_peer *peer, const struct abi_hello *hello) {
	struct abi_welcome answer = {
		.magic = ABI_MAGIC,
		.version = RTE_MIN(hello->version_max, (uint16_t)ABI_VERSION),
		.sessions_max = dp_session_max(),
		.boot_id = dp_stats->boot_id,
		.nb_workers = dp_nb_workers,
	};
	struct grant grant = {.nb = 0};
	int rc = hello_check(hello);

	if (rc == 0) {
		peer->role = hello->role;
		peer->index = hello->index;
		rc = grant_make(peer, &grant);
	}
	answer.status = (int16_t)rc;
	answer.nb_fds = rc == 0 ? grant.nb : 0;
	if (abi_channel_send(peer->sock, &answer, sizeof(answer), grant.fds, answer.nb_fds) != 0 &&
		rc == 0)
		rc = -EIO;
	for (unsigned i = 0; i < grant.nb; i++)
		if (grant.owned >> i & 1)
			close(grant.fds[i]);
	if (rc != 0) {
		ctl_peer_close(peer);
		return;
	}
	if (peer->role == ABI_ROLE_EDGE)
		dp_punt_edge(peer->index, &peer->out, &peer->in);
	log_peer(peer, "attached");
}

// Descriptors.

static struct token *token_find(uint64_t value) {
	for (unsigned i = 0; i < TOKENS_MAX; i++)
		if (tokens[i].token == value)
			return &tokens[i];
	return NULL;
}

// 0, -EAGAIN nothing more, or what ends the peer.
static int token_receive(struct ctl_peer *peer) {
	struct abi_fd_msg msg;
	struct token *slot;
	int fd = -1;
	int n = abi_channel_recv(peer->sock, &msg, sizeof(msg), &fd, 1);

	if (n < 0)
		return n;
	if (n == 0)
		return -EPROTO;
	if (msg.magic != ABI_MAGIC || msg.reserved != 0 || msg.token == 0 ||
		token_find(msg.token) != NULL) {
		close(fd);
		return -EPROTO;
	}
	slot = token_find(0);
	if (slot == NULL) {
		close(fd); // the command that names it fails with -EBADF
		return 0;
	}
	*slot = (struct token){.token = msg.token, .since_s = now_s, .fd = fd};
	return 0;
}

static int tokens_receive(struct ctl_peer *peer) {
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < TOKENS_MAX; i++)
		rc = token_receive(peer);
	return rc == -EAGAIN ? 0 : rc;
}

int ctl_token_take(uint64_t value) {
	struct token *token = token_find(value);
	struct ctl_peer *peer = ctl_session_peer();
	int fd;

	// the ring can be faster than the socket
	if (token == NULL && peer != NULL && tokens_receive(peer) == 0)
		token = token_find(value);
	if (token == NULL)
		return -EBADF;
	fd = token->fd;
	token->token = 0;
	return fd;
}

void ctl_peer_readable(unsigned number) {
	struct ctl_peer *peer = &ctl_peers[number];
	struct abi_hello hello;
	int rc;

	if (number >= CTL_PEERS_MAX || peer->sock < 0)
		return;
	if (peer->role == ABI_ROLE_SESSION) {
		rc = tokens_receive(peer);
		if (rc < 0)
			ctl_peer_close(peer);
		return;
	}
	rc = abi_channel_recv(peer->sock, &hello, sizeof(hello), NULL, 0);
	if (rc == -EAGAIN)
		return;
	// edges and monitors have nothing to say after their HELLO
	if (rc < 0 || peer->role != 0 || hello.magic != ABI_MAGIC)
		ctl_peer_close(peer);
	else
		welcome(peer, &hello);
}

void ctl_attach_tick(uint64_t monotonic_s) {
	now_s = monotonic_s;
	for (unsigned i = 0; i < CTL_PEERS_MAX; i++)
		if (ctl_peers[i].sock >= 0 && ctl_peers[i].role == 0 &&
			ctl_peers[i].since_s + HELLO_S < now_s)
			ctl_peer_close(&ctl_peers[i]);
	for (unsigned i = 0; i < TOKENS_MAX; i++)
		if (tokens[i].token != 0 && tokens[i].since_s + TOKEN_S < now_s)
			token_free(&tokens[i]);
}
