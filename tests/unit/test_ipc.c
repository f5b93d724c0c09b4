// SPDX-License-Identifier: GPL-3.0-or-later
// The message channel between processes: each violation, descriptors, queueing, wiping.
//
// free() is wrapped: no block may be given back with the marker of a secret in it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include <cmocka.h>

#include "controlplane/ipc/ipc.h"

#define MARKER "correct horse battery staple 001"

static unsigned leaked; // blocks freed with the marker in them
void __real_free(void *block);
void __wrap_free(void *block);

void __wrap_free(void *block) {
	if (block != NULL &&
		memmem(block, malloc_usable_size(block), MARKER, sizeof(MARKER) - 1) != NULL)
		leaked++;
	__real_free(block);
}

struct fixture {
	struct event_base *base;
	struct ipc_chan *chan; // auth, talking to edge 3
	int raw; // what the edge holds
	unsigned received;
	uint64_t last_req;
	int kept_fd; // taken over by the handler when >= -1 was asked for
	bool keep_fd, refuse, free_inside;
	const struct ipc_hdr *seen; // memory of the last message
	unsigned closed;
	const char *offence;
};

static int on_message(struct ipc_chan *chan, const struct ipc_hdr *msg, int *fds, void *arg) {
	struct fixture *f = arg;
	f->received++;
	f->last_req = msg->req;
	f->seen = msg;
	if (f->keep_fd && msg->nb_fds > 0) {
		f->kept_fd = fds[0];
		fds[0] = -1;
	}
	if (f->free_inside) {
		ipc_chan_free(chan);
		f->chan = NULL;
	}
	return f->refuse ? -EINVAL : 0;
}

static void on_closed(struct ipc_chan *chan, const char *offence, void *arg) {
	struct fixture *f = arg;
	f->closed++;
	f->offence = offence;
	ipc_chan_free(chan);
	f->chan = NULL;
}

static struct fixture *make(enum ipc_role self, enum ipc_role peer) {
	struct fixture *f = calloc(1, sizeof(*f));
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	f->base = event_base_new();
	f->raw = pair[1];
	f->kept_fd = -1;
	f->chan = ipc_chan_new(f->base, pair[0], self, peer, 3, on_message, on_closed, f);
	assert_non_null(f->chan);
	return f;
}

static void done(struct fixture *f) {
	ipc_chan_free(f->chan);
	event_base_free(f->base);
	close(f->raw);
	free(f);
}

// Everything that is ready now; a socket pair has delivered when send returns.
static void run(struct fixture *f) {
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void raw_send(int sock, const void *msg, size_t len, const int *fds, unsigned nb_fds) {
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(32 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	if (nb_fds > 0) {
		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(nb_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nb_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nb_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &mh, 0), len);
}

static void login(struct ipc_login *msg, uint64_t req) {
	*msg = (struct ipc_login){.hdr = {IPC_LOGIN, 0, sizeof(*msg), req}};
	strcpy(msg->password, MARKER);
}

static unsigned open_fds(void) {
	unsigned n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void expect_offence(struct fixture *f) {
	run(f);
	assert_int_equal(f->received, 0);
	assert_int_equal(f->closed, 1);
	assert_non_null(f->offence);
	assert_null(f->chan);
	// The offender sees its end.
	char byte;
	ssize_t n = recv(f->raw, &byte, 1, MSG_DONTWAIT);
	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	done(f);
}

static void test_valid(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login msg;
	assert_int_equal(ipc_chan_peer(f->chan), IPC_EDGE);
	assert_int_equal(ipc_chan_peer_index(f->chan), 3);
	login(&msg, 7);
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	run(f);
	assert_int_equal(f->received, 1);
	assert_int_equal(f->last_req, 7);
	assert_int_equal(f->closed, 0);
	done(f);
}

static void test_wiped_after_handler(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login msg;
	login(&msg, 7);
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	run(f);
	assert_int_equal(f->received, 1);
	assert_null(memmem(f->seen, sizeof(msg), MARKER, sizeof(MARKER) - 1));
	done(f);
}

static void test_unknown_type(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_empty msg = {.hdr = {IPC_TYPE_MAX + 5, 0, sizeof(msg), 0}};
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	expect_offence(f);
}

// A type of the table, but of another pair of processes.
static void test_type_of_others(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_session_created msg = {.hdr = {IPC_SESSION_CREATED, 0, sizeof(msg), 0}};
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	expect_offence(f);
}

// The edge sends what only auth may send to it.
static void test_wrong_direction(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login_result msg = {.hdr = {IPC_LOGIN_RESULT, 0, sizeof(msg), 0}};
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	expect_offence(f);
}

static void test_too_short(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login msg;
	login(&msg, 0);
	raw_send(f->raw, &msg, sizeof(msg) - 1, NULL, 0);
	expect_offence(f);
}

static void test_shorter_than_header(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	raw_send(f->raw, "abcdefg", 7, NULL, 0);
	expect_offence(f);
}

static void test_header_lies(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login msg;
	login(&msg, 0);
	msg.hdr.len += 8;
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	expect_offence(f);
}

static void test_oversize(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	static char big[IPC_MSG_MAX + 512];
	struct ipc_hdr hdr = {IPC_LOGIN, 0, sizeof(big), 0};
	memcpy(big, &hdr, sizeof(hdr));
	raw_send(f->raw, big, sizeof(big), NULL, 0);
	expect_offence(f);
}

static void test_unexpected_fd(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login msg;
	login(&msg, 0);
	msg.hdr.nb_fds = 1;
	raw_send(f->raw, &msg, sizeof(msg), &f->raw, 1);
	unsigned before = open_fds();
	expect_offence(f);
	assert_true(open_fds() <= before); // what came with it is closed
}

static void test_missing_fd(void **state) {
	struct fixture *f = make(IPC_SESSION, IPC_EDGE);
	struct ipc_stream_up msg = {.hdr = {IPC_STREAM_UP, 0, sizeof(msg), 0}};
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	expect_offence(f);
}

static void test_fd_count_lies(void **state) {
	struct fixture *f = make(IPC_SESSION, IPC_EDGE);
	struct ipc_stream_up msg = {.hdr = {IPC_STREAM_UP, 1, sizeof(msg), 0}};
	int fds[2] = {f->raw, f->raw};
	raw_send(f->raw, &msg, sizeof(msg), fds, 2);
	expect_offence(f);
}

static void test_too_many_fds(void **state) {
	struct fixture *f = make(IPC_SESSION, IPC_EDGE);
	struct ipc_stream_up msg = {.hdr = {IPC_STREAM_UP, 20, sizeof(msg), 0}};
	int fds[20];
	for (unsigned i = 0; i < 20; i++)
		fds[i] = f->raw;
	unsigned before = open_fds();
	raw_send(f->raw, &msg, sizeof(msg), fds, 20);
	expect_offence(f);
	assert_true(open_fds() <= before);
}

static void test_content_refused(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login msg;
	f->refuse = true;
	login(&msg, 0);
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	run(f);
	assert_int_equal(f->received, 1); // the second is not looked at any more
	assert_int_equal(f->closed, 1);
	assert_non_null(f->offence);
	done(f);
}

static void test_end_of_file(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	shutdown(f->raw, SHUT_RDWR);
	run(f);
	assert_int_equal(f->closed, 1);
	assert_null(f->offence);
	done(f);
}

static void test_fd_kept(void **state) {
	struct fixture *f = make(IPC_SESSION, IPC_EDGE);
	struct ipc_stream_up msg = {.hdr = {IPC_STREAM_UP, 1, sizeof(msg), 0}};
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	f->keep_fd = true;
	raw_send(f->raw, &msg, sizeof(msg), &ends[0], 1);
	run(f);
	assert_int_equal(f->received, 1);
	assert_true(f->kept_fd >= 0);
	assert_int_equal(fcntl(f->kept_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(ends[1], "x", 1), 1);
	char byte = 0;
	assert_int_equal(read(f->kept_fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(f->kept_fd);
	close(ends[0]);
	close(ends[1]);
	done(f);
}

static void test_fd_not_kept(void **state) {
	struct fixture *f = make(IPC_SESSION, IPC_EDGE);
	struct ipc_stream_up msg = {.hdr = {IPC_STREAM_UP, 1, sizeof(msg), 0}};
	unsigned before = open_fds();
	raw_send(f->raw, &msg, sizeof(msg), &f->raw, 1);
	run(f);
	assert_int_equal(f->received, 1);
	assert_int_equal(open_fds(), before);
	done(f);
}

static void test_freed_in_handler(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login msg;
	f->free_inside = true;
	login(&msg, 0);
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	raw_send(f->raw, &msg, sizeof(msg), NULL, 0);
	run(f);
	assert_int_equal(f->received, 1);
	assert_int_equal(f->closed, 0);
	done(f);
}

// Fills the socket and then the queue. Returns how many were taken.
static unsigned fill(struct fixture *f, enum ipc_type type, struct ipc_hdr *msg, size_t len) {
	unsigned n = 0;
	int status;
	for (;; n++) {
		msg->req = n;
		status = ipc_send(f->chan, type, msg, len, NULL, 0);
		if (status != 0)
			break;
	}
	assert_int_equal(status, -ENOBUFS);
	return n;
}

// Reads everything and holds the order to what was sent.
static unsigned drain(struct fixture *f) {
	static _Alignas(16) char buf[IPC_MSG_MAX];
	unsigned n = 0;
	for (;;) {
		ssize_t len = recv(f->raw, buf, sizeof(buf), MSG_DONTWAIT);
		if (len < 0) {
			assert_int_equal(errno, EAGAIN);
			run(f);
			len = recv(f->raw, buf, sizeof(buf), MSG_DONTWAIT);
			if (len < 0)
				return n;
		}
		assert_int_equal(((struct ipc_hdr *)buf)->req, n);
		n++;
	}
}

static void test_queue_messages(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login_result msg = {0};
	memcpy(msg.cookie, MARKER, IPC_COOKIE_LEN);
	leaked = 0;
	unsigned n = fill(f, IPC_LOGIN_RESULT, &msg.hdr, sizeof(msg));
	assert_true(n > 4096);
	assert_true(n < 4096 + 4096); // 4,096 queued and what the socket holds
	assert_int_equal(drain(f), n);
	assert_int_equal(leaked, 0);
	// And it goes on.
	assert_int_equal(ipc_send(f->chan, IPC_LOGIN_RESULT, &msg.hdr, sizeof(msg), NULL, 0), 0);
	done(f);
}

static void test_queue_bytes(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_certs *msg = calloc(1, sizeof(*msg));
	unsigned n = fill(f, IPC_CERTS, &msg->hdr, sizeof(*msg));
	unsigned queue_max = (16u << 20) / sizeof(*msg);
	assert_true(n >= queue_max);
	assert_true(n < queue_max + 64);
	assert_int_equal(drain(f), n);
	free(msg);
	done(f);
}

static void test_queue_wiped_at_end(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login_result msg = {0};
	memcpy(msg.cookie, MARKER, IPC_COOKIE_LEN);
	fill(f, IPC_LOGIN_RESULT, &msg.hdr, sizeof(msg));
	leaked = 0;
	ipc_chan_free(f->chan);
	f->chan = NULL;
	assert_int_equal(leaked, 0);
	done(f);
}

// A descriptor in the queue is the channel's own copy.
static void test_queue_fds(void **state) {
	struct fixture *f = make(IPC_EDGE, IPC_SESSION);
	struct ipc_dtls_query query = {0};
	struct ipc_stream_up msg = {0};
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	fill(f, IPC_DTLS_QUERY, &query.hdr, sizeof(query));
	// Room for one in the queue, none in the socket.
	char buf[4096];
	while (recv(f->raw, buf, sizeof(buf), MSG_DONTWAIT) > 0 &&
		ipc_send(f->chan, IPC_STREAM_UP, &msg.hdr, sizeof(msg), &ends[0], 1) < 0)
		run(f);
	close(ends[0]);
	int got = -1;
	while (got < 0) {
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
		struct msghdr mh = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes)};
		if (recvmsg(f->raw, &mh, MSG_DONTWAIT) < 0) {
			run(f);
			continue;
		}
		if (((struct ipc_hdr *)buf)->type == IPC_STREAM_UP)
			memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(got));
	}
	assert_int_equal(write(ends[1], "y", 1), 1);
	assert_int_equal(read(got, buf, 1), 1);
	assert_int_equal(buf[0], 'y');
	close(got);
	close(ends[1]);
	done(f);
}

static void test_peer_gone(void **state) {
	struct fixture *f = make(IPC_AUTH, IPC_EDGE);
	struct ipc_login_result msg = {0};
	signal(SIGPIPE, SIG_DFL); // a send to nobody must not kill
	close(f->raw);
	f->raw = dup(0);
	assert_true(ipc_send(f->chan, IPC_LOGIN_RESULT, &msg.hdr, sizeof(msg), NULL, 0) < 0);
	run(f);
	assert_int_equal(f->closed, 1);
	assert_null(f->offence);
	done(f);
}

// Sending what the table does not allow is a bug of ours: it ends the sender in all builds.
static void test_send_outside_table(void **state) {
	pid_t pid = fork();
	if (pid == 0) {
		struct fixture *f = make(IPC_EDGE, IPC_AUTH);
		struct ipc_session_new msg = {0};
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		ipc_send(f->chan, IPC_SESSION_NEW, &msg.hdr, sizeof(msg), NULL, 0);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_wiped_after_handler),
		cmocka_unit_test(test_unknown_type),
		cmocka_unit_test(test_type_of_others),
		cmocka_unit_test(test_wrong_direction),
		cmocka_unit_test(test_too_short),
		cmocka_unit_test(test_shorter_than_header),
		cmocka_unit_test(test_header_lies),
		cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_unexpected_fd),
		cmocka_unit_test(test_missing_fd),
		cmocka_unit_test(test_fd_count_lies),
		cmocka_unit_test(test_too_many_fds),
		cmocka_unit_test(test_content_refused),
		cmocka_unit_test(test_end_of_file),
		cmocka_unit_test(test_fd_kept),
		cmocka_unit_test(test_fd_not_kept),
		cmocka_unit_test(test_freed_in_handler),
		cmocka_unit_test(test_queue_messages),
		cmocka_unit_test(test_queue_bytes),
		cmocka_unit_test(test_queue_wiped_at_end),
		cmocka_unit_test(test_queue_fds),
		cmocka_unit_test(test_peer_gone),
		cmocka_unit_test(test_send_outside_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
