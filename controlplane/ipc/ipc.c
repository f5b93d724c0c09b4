// SPDX-License-Identifier: GPL-3.0-or-later
// A libevent channel of table-checked messages over a SEQPACKET pair. Used by every process.
#include "ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <event2/event.h>

#define QUEUE_MESSAGES_MAX 4096u
#define QUEUE_BYTES_MAX (16u << 20)
#define READS_PER_WAKE 32 // then the other descriptors of the loop have their turn
#define RETRY_US 10000 // after a shortage in the kernel that no event announces

struct queued {
	STAILQ_ENTRY(queued) next;
	size_t len;
	unsigned nb_fds;
	int fds[IPC_FDS_MAX];
	uint8_t msg[];
};

struct ipc_chan {
	int fd;
	enum ipc_role self, peer;
	unsigned peer_index;
	ipc_handler handler;
	ipc_closed closed;
	void *arg;
	struct event *ev_read, *ev_write, *ev_retry;
	STAILQ_HEAD(, queued) queue;
	size_t queue_len, queue_bytes;
	bool busy; // inside the handler or closed callback: freeing waits
	bool freed;
	_Alignas(16) uint8_t in[IPC_MSG_MAX];
};

static void close_fds(const int *fds, unsigned nb_fds) {
	for (unsigned i = 0; i < nb_fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

// ---- sending

// One sendmsg. 0 or -errno.
static int send_now(int fd, const void *msg, size_t len, const int *fds, unsigned nb_fds) {
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(IPC_FDS_MAX * sizeof(int))];
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
	ssize_t n;
	do
		n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

// Shortages that pass by themselves; EAGAIN is announced by the socket, the others are not.
static bool is_shortage(int status) {
	return status == -EAGAIN || status == -ENOBUFS || status == -ENOMEM ||
		status == -ETOOMANYREFS;
}

static void wait_for_room(struct ipc_chan *chan, int status) {
	const struct timeval retry = {.tv_usec = RETRY_US};
	if (status == -EAGAIN)
		event_add(chan->ev_write, NULL);
	else
		event_add(chan->ev_retry, &retry);
}

static void queued_free(struct queued *item) {
	close_fds(item->fds, item->nb_fds);
	explicit_bzero(item->msg, item->len);
	free(item);
}

static int enqueue(
	struct ipc_chan *chan, const void *msg, size_t len, const int *fds, unsigned nb_fds) {
	if (chan->queue_len >= QUEUE_MESSAGES_MAX || chan->queue_bytes + len > QUEUE_BYTES_MAX)
		return -ENOBUFS;
	struct queued *item = malloc(sizeof(*item) + len);
	if (item == NULL)
		return -ENOMEM;
	memcpy(item->msg, msg, len);
	item->len = len;
	item->nb_fds = 0;
	for (unsigned i = 0; i < nb_fds; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (copy < 0) {
			int status = -errno;
			queued_free(item);
			return status;
		}
		item->fds[item->nb_fds++] = copy;
	}
	STAILQ_INSERT_TAIL(&chan->queue, item, next);
	chan->queue_len++;
	chan->queue_bytes += len;
	return 0;
}

static void queue_pop(struct ipc_chan *chan) {
	struct queued *item = STAILQ_FIRST(&chan->queue);
	STAILQ_REMOVE_HEAD(&chan->queue, next);
	chan->queue_len--;
	chan->queue_bytes -= item->len;
	queued_free(item);
}

static void queue_flush(evutil_socket_t fd, short what, void *arg) {
	struct ipc_chan *chan = arg;
	while (!STAILQ_EMPTY(&chan->queue)) {
		const struct queued *item = STAILQ_FIRST(&chan->queue);
		int status = send_now(chan->fd, item->msg, item->len, item->fds, item->nb_fds);
		if (is_shortage(status)) {
			wait_for_room(chan, status);
			return;
		}
		// Any other failure means that the peer is gone: the read event says so.
		queue_pop(chan);
	}
}

int ipc_send(struct ipc_chan *chan, enum ipc_type type, struct ipc_hdr *msg, size_t len,
	const int *fds, unsigned nb_fds) {
	const struct ipc_rule *rule;
	msg->type = type;
	msg->nb_fds = nb_fds;
	msg->len = len;
	if (ipc_check(chan->self, chan->peer, msg, len, nb_fds, &rule) != NULL)
		abort(); // a bug of ours: the receiver would end this process anyway
	if (chan->freed)
		return -EPIPE;
	if (STAILQ_EMPTY(&chan->queue)) {
		int status = send_now(chan->fd, msg, len, fds, nb_fds);
		if (!is_shortage(status))
			return status;
		int queued = enqueue(chan, msg, len, fds, nb_fds);
		if (queued == 0)
			wait_for_room(chan, status);
		return queued;
	}
	return enqueue(chan, msg, len, fds, nb_fds);
}

// ---- receiving

// Collects the descriptors of a message. Returns how many, or -1 when one cannot be told.
static int take_fds(struct msghdr *mh, int *fds) {
	int nb_fds = 0;
	bool odd = (mh->msg_flags & MSG_CTRUNC) != 0;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(mh); cmsg != NULL; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
			odd = true;
			continue;
		}
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (nb_fds < (int)IPC_FDS_MAX) {
				fds[nb_fds++] = fd;
			} else {
				close(fd);
				odd = true;
			}
		}
	}
	if (odd) {
		close_fds(fds, nb_fds);
		return -1;
	}
	return nb_fds;
}

// Says that the channel has come to its end; the callback may free it.
static void chan_end(struct ipc_chan *chan, const char *offence) {
	event_del(chan->ev_read);
	event_del(chan->ev_write);
	event_del(chan->ev_retry);
	while (!STAILQ_EMPTY(&chan->queue))
		queue_pop(chan);
	if (chan->closed != NULL)
		chan->closed(chan, offence, chan->arg);
}

// Hands one message to the handler. Returns what the sender did wrong, or NULL.
static const char *deliver(struct ipc_chan *chan, size_t len, int *fds, unsigned nb_fds) {
	const struct ipc_rule *rule;
	const char *offence = ipc_check(chan->peer, chan->self, chan->in, len, nb_fds, &rule);
	if (offence == NULL &&
		chan->handler(chan, (const struct ipc_hdr *)chan->in, fds, chan->arg) != 0)
		offence = "content of a message is invalid";
	return offence;
}

// Receives one message. True when there may be more; false when there is nothing, or the end.
static bool receive_one(struct ipc_chan *chan) {
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(IPC_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = chan->in, .iov_len = sizeof(chan->in)};
	struct msghdr mh = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	int fds[IPC_FDS_MAX];

	ssize_t len = recvmsg(chan->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	int nb_fds = len < 0 ? 0 : take_fds(&mh, fds);
	if (len <= 0) {
		close_fds(fds, nb_fds > 0 ? nb_fds : 0);
		chan_end(chan, NULL);
		return false;
	}

	const char *offence;
	if (mh.msg_flags & MSG_TRUNC)
		offence = "longer than any message";
	else if (nb_fds < 0)
		offence = "wrong number of descriptors";
	else
		offence = deliver(chan, len, fds, nb_fds);
	close_fds(fds, nb_fds > 0 ? nb_fds : 0);
	explicit_bzero(chan->in, len);
	if (offence != NULL && !chan->freed)
		chan_end(chan, offence);
	return offence == NULL;
}

static void chan_destroy(struct ipc_chan *chan) {
	event_free(chan->ev_read);
	event_free(chan->ev_write);
	event_free(chan->ev_retry);
	while (!STAILQ_EMPTY(&chan->queue))
		queue_pop(chan);
	close(chan->fd);
	explicit_bzero(chan->in, sizeof(chan->in));
	free(chan);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
	struct ipc_chan *chan = arg;
	chan->busy = true;
	for (int i = 0; i < READS_PER_WAKE && !chan->freed; i++)
		if (!receive_one(chan))
			break;
	chan->busy = false;
	if (chan->freed)
		chan_destroy(chan);
}

// ---- life

struct ipc_chan *ipc_chan_new(struct event_base *base, int fd, enum ipc_role self,
	enum ipc_role peer, unsigned peer_index, ipc_handler handler, ipc_closed closed,
	void *arg) {
	struct ipc_chan *chan = calloc(1, sizeof(*chan));
	if (chan == NULL) {
		close(fd);
		errno = ENOMEM;
		return NULL;
	}
	chan->fd = fd;
	chan->self = self;
	chan->peer = peer;
	chan->peer_index = peer_index;
	chan->handler = handler;
	chan->closed = closed;
	chan->arg = arg;
	STAILQ_INIT(&chan->queue);
	chan->ev_read = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, chan);
	chan->ev_write = event_new(base, fd, EV_WRITE, queue_flush, chan);
	chan->ev_retry = event_new(base, -1, 0, queue_flush, chan);
	if (chan->ev_read == NULL || chan->ev_write == NULL || chan->ev_retry == NULL ||
		event_add(chan->ev_read, NULL) < 0)
		goto fail;
	return chan;
fail:
	if (chan->ev_read != NULL)
		event_free(chan->ev_read);
	if (chan->ev_write != NULL)
		event_free(chan->ev_write);
	if (chan->ev_retry != NULL)
		event_free(chan->ev_retry);
	close(fd);
	free(chan);
	errno = ENOMEM;
	return NULL;
}

void ipc_chan_free(struct ipc_chan *chan) {
	if (chan == NULL || chan->freed)
		return;
	if (!chan->busy) {
		chan_destroy(chan);
		return;
	}
	// Called from inside a callback of this channel: on_readable ends it when that returns.
	chan->freed = true;
	event_del(chan->ev_read);
	event_del(chan->ev_write);
	event_del(chan->ev_retry);
}

enum ipc_role ipc_chan_peer(const struct ipc_chan *chan) {
	return chan->peer;
}

unsigned ipc_chan_peer_index(const struct ipc_chan *chan) {
	return chan->peer_index;
}
