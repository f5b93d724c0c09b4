// SPDX-License-Identifier: GPL-3.0-or-later
// What serves streams: sockets, closing ones, requests to the control thread. The loop of a stream
// lcore (started by main for each), or without one a part of each packet worker's loop.

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_ring.h>
#include <urcu-qsbr.h>

#include "dataplane/pace.h"
#include "dataplane/port.h"
#include "dataplane/stream/internal.h"

#define IDLE_LOOPS 8u // empty loops before the lcore sleeps
#define SLEEP_MS 200
#define TODO_MS 1 // the same while something is due that nobody announces
#define POLLS_HZ 50000u // looks at the sockets a second, at least, while packets come in
#define INBOX_BURSTS 8u // of STREAM_BATCH, before the sockets have their turn
#define INBOX_BUSY 1024u // packets that a worker has to do before it reads sockets again

_Thread_local struct stream_lcore *stream_self;

static struct dp_stream **streams; // by session index
static uint32_t streams_max;

int stream_table_init(uint32_t max) {
	streams = calloc(max, sizeof(*streams));
	streams_max = streams != NULL ? max : 0;
	return streams != NULL ? 0 : -ENOMEM;
}

void stream_table_fini(void) {
	free(streams);
	streams = NULL;
	streams_max = 0;
}

struct dp_stream *stream_find(struct abi_sid sid) {
	struct dp_stream *stream;

	if (sid.index >= streams_max)
		return NULL;
	stream = streams[sid.index];
	if (stream == NULL || stream->sid.generation != sid.generation ||
		stream->lcore != stream_self->lcore)
		return NULL;
	return stream;
}

void stream_interest(struct dp_stream *stream, uint32_t events) {
	struct epoll_event event = {.events = events, .data.ptr = stream};

	if (stream->fd < 0 || events == stream->events)
		return;
	stream->events = events;
	stream_self->lcore->stats->syscalls++;
	epoll_ctl(stream_self->epoll, EPOLL_CTL_MOD, stream->fd, &event);
}

void stream_want(struct dp_stream *stream, enum stream_want what) {
	stream->wanted |= what;
	if (stream->in_todo)
		return;
	stream->in_todo = true;
	TAILQ_INSERT_TAIL(&stream_self->todo, stream, todo);
}

// What the session sends on follows the newest channel (protocol: the last one used). Said here
// and not by the control thread: what the client sends first may be answered at once.
static void use_stream(struct dp_stream *stream) {
	struct dp_session *session = dp_session_get(stream->sid);

	if (session == NULL)
		return;
	atomic_store_explicit(&session->stream, stream, memory_order_release);
	atomic_store_explicit(&session->tx_channel, 1, memory_order_release);
}

void stream_open(struct dp_stream *stream) {
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = stream};
	struct dp_stream *older = streams[stream->sid.index];

	streams[stream->sid.index] = stream;
	stream->state = STREAM_OPEN;
	stream->events = event.events;
	use_stream(stream); // at no time without a channel
	if (older != NULL && older->state != STREAM_CLOSED)
		stream_close(older, ABI_END_REPLACED, false);
	if (epoll_ctl(stream_self->epoll, EPOLL_CTL_ADD, stream->fd, &event) != 0)
		stream_close(stream, ABI_END_ERROR, true);
}

void stream_rx_again(struct dp_stream *stream) {
	stream->rx_due = true;
	stream_want(stream, 0);
}

void stream_forget(struct dp_stream *stream) {
	struct dp_session *session = dp_session_get(stream->sid);
	struct dp_stream *expected = stream;

	if (session != NULL)
		atomic_compare_exchange_strong(&session->stream, &expected, NULL);
}

void stream_close(struct dp_stream *stream, enum abi_end reason, bool tell) {
	struct abi_evt evt = {.type = ABI_EVT_STREAM_DOWN, .reason = reason, .sid = stream->sid};

	if (stream->state == STREAM_CLOSED)
		return;
	tell = tell && stream->state == STREAM_OPEN;
	stream->state = STREAM_CLOSED;
	stream_self->lcore->stats->syscalls += 2;
	// Closing is not enough: the process that passed the socket on may still hold it, and while
	// anyone does epoll goes on telling of it, with a pointer to what is free by then.
	epoll_ctl(stream_self->epoll, EPOLL_CTL_DEL, stream->fd, NULL);
	close(stream->fd);
	stream->fd = -1;
	stream_tx_drop_all(stream);
	stream_rx_forget(stream);
	stream_forget(stream);
	if (streams[stream->sid.index] == stream)
		streams[stream->sid.index] = NULL;
	if (tell)
		dp_event(&evt);
	stream_want(stream, STREAM_WANT_FREE);
}

static unsigned drain_inbox(void) {
	struct rte_mbuf *pkts[STREAM_BATCH];
	unsigned total = 0, n;

	for (unsigned i = 0; i < INBOX_BURSTS; i++) {
		n = rte_ring_sc_dequeue_burst(
			stream_self->lcore->inbox, (void **)pkts, STREAM_BATCH, NULL);
		if (n == 0)
			break;
		stream_tx(pkts, n);
		total += n;
	}
	stream_flush_dirty();
	return total;
}

static unsigned run_messages(void) {
	struct dp_message *message;
	unsigned n = 0;

	while (rte_ring_sc_dequeue(stream_self->lcore->messages, (void **)&message) == 0) {
		message->run(message);
		atomic_store_explicit(&message->done, 1, memory_order_release);
		n++;
	}
	return n;
}

static void serve_socket(struct dp_stream *stream, uint32_t events) {
	if (stream->state == STREAM_CLOSED)
		return;
	if (events & EPOLLOUT)
		stream_flush(stream);
	if (stream->state == STREAM_CLOSING && (events & (EPOLLIN | EPOLLRDHUP)) &&
		!stream_rx_discard(stream)) {
		stream_close(stream, stream->end, false);
		return;
	}
	if (stream->state != STREAM_OPEN || stream_rx_paused(stream)) {
		// Nothing more is read; an error or a reset is final.
		if (events & (EPOLLERR | EPOLLHUP))
			stream_close(stream, ABI_END_TEMPORARY, true);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		stream_rx(stream);
}

static unsigned serve_sockets(int timeout_ms) {
	struct epoll_event events[STREAM_EVENTS];
	eventfd_t bells;
	uint64_t asleep;
	int n;

	stream_self->lcore->stats->syscalls++;
	stream_self->polled = asleep = rte_rdtsc();
	n = epoll_wait(stream_self->epoll, events, STREAM_EVENTS, timeout_ms);
	if (timeout_ms != 0)
		stream_self->asleep = rte_rdtsc() - asleep;
	if (timeout_ms != 0)
		urcu_qsbr_thread_online();
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == NULL)
			eventfd_read(stream_self->lcore->wake_fd, &bells);
		else
			serve_socket(events[i].data.ptr, events[i].events);
	}
	stream_flush_dirty();
	return n > 0 ? (unsigned)n : 0;
}

// All is said: the client's end is awaited, but not for long. True: over.
static bool linger(struct dp_stream *stream, uint64_t now) {
	if (now > stream->deadline)
		return true;
	if (stream->tx_head == stream->tx_tail && !stream->shut) {
		stream->shut = true;
		stream_self->lcore->stats->syscalls++;
		return shutdown(stream->fd, SHUT_WR) != 0;
	}
	return false;
}

// Streams with something to ask of the control thread, or to be closed in time.
static void run_todo(void) {
	struct stream_list again = TAILQ_HEAD_INITIALIZER(again);
	uint64_t now = rte_rdtsc();
	struct dp_stream *stream;

	TAILQ_CONCAT(&again, &stream_self->todo, todo);
	while ((stream = TAILQ_FIRST(&again)) != NULL) {
		bool closing = stream->state == STREAM_CLOSING;

		TAILQ_REMOVE(&again, stream, todo);
		stream->in_todo = false;
		if (closing && linger(stream, now)) {
			stream_close(stream, stream->end, false);
			continue; // in the list again, to be freed
		}
		if (stream->rx_due && stream->state == STREAM_OPEN && !stream_rx_paused(stream)) {
			stream->rx_due = false;
			stream_rx(stream);
			if (stream->in_todo)
				continue;
		}
		// When asked to free it the control thread may do so at once: do not look again.
		if (stream->wanted != 0 && !stream_request(stream))
			stream_want(stream, 0);
		else if (closing)
			stream_want(stream, 0);
	}
}

static bool may_sleep(void) {
	struct dp_lcore *lcore = stream_self->lcore;

	atomic_store_explicit(&lcore->sleeping, 1, memory_order_seq_cst);
	if (rte_ring_empty(lcore->inbox) && rte_ring_empty(lcore->messages))
		return true;
	atomic_store_explicit(&lcore->sleeping, 0, memory_order_relaxed);
	return false;
}

// The sockets' turn, unless they had it just now and there is other work.
static bool sockets_due(uint64_t now, bool idle) {
	return idle || now - stream_self->polled >= dp_tsc_hz / POLLS_HZ;
}

static unsigned sleep_or_poll(unsigned idle_loops, struct dp_pace *pace) {
	unsigned n;

	if (pace->hot && idle_loops > 0 && !dp_idle_busy) {
		uint64_t before = rte_rdtsc();

		urcu_qsbr_thread_offline();
		dp_pace_sleep();
		urcu_qsbr_thread_online();
		stream_self->asleep = rte_rdtsc() - before;
		return 0;
	}
	if (dp_idle_busy || idle_loops < IDLE_LOOPS || !may_sleep())
		return serve_sockets(0);
	urcu_qsbr_thread_offline();
	n = serve_sockets(TAILQ_EMPTY(&stream_self->todo) ? SLEEP_MS : TODO_MS);
	atomic_store_explicit(&stream_self->lcore->sleeping, 0, memory_order_relaxed);
	dp_pace_waited(pace);
	return n;
}

// A loop that worked is busy but for the time that it slept before.
static void account(struct abi_worker_stats *stats, uint64_t *before, bool busy, unsigned packets) {
	uint64_t now = rte_rdtsc(), asleep = stream_self->asleep;

	stats->cycles_idle += busy ? asleep : now - *before;
	stats->cycles_busy += busy ? now - *before - asleep : 0;
	stream_self->asleep = 0;
	stats->packets += packets;
	stats->loops++;
	*before = now;
}

static int join(struct dp_lcore *lcore, unsigned servers) {
	struct stream_lcore *self = rte_zmalloc("stream_lcore", sizeof(*self), RTE_CACHE_LINE_SIZE);
	int ret;

	if (self == NULL)
		return -ENOMEM;
	self->lcore = lcore;
	self->queued_max = dp_mbuf_pool->size / 4 / servers;
	TAILQ_INIT(&self->todo);
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (self->epoll < 0) {
		ret = -errno;
		rte_free(self);
		return ret;
	}
	stream_self = self;
	return 0;
}

void dp_stream_leave(void) {
	rte_pktmbuf_free_bulk(stream_self->pending, stream_self->nb_pending);
	close(stream_self->epoll);
	rte_free(stream_self);
	stream_self = NULL;
}

int dp_stream_join(struct dp_lcore *worker) {
	return join(worker, dp_nb_workers);
}

int dp_stream_poll_fd(void) {
	return stream_self->epoll;
}

bool dp_stream_due(void) {
	return !TAILQ_EMPTY(&stream_self->todo);
}

bool dp_stream_poll(uint64_t now, bool idle) {
	unsigned work = stream_self->nb_pending;

	if (work > 0)
		stream_tx_pending();
	// Also what messages of the control thread queued: a stream that closes must not be freed
	// while it stands in the list.
	stream_flush_dirty();
	// What came in goes through the graph first: TCP holds the clients back meanwhile.
	if (rte_ring_count(stream_self->lcore->inbox) < INBOX_BUSY && sockets_due(now, idle))
		work += serve_sockets(0);
	run_todo();
	return work != 0;
}

static int bell_add(const struct stream_lcore *self) {
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->lcore->wake_fd, &event) == 0 ? 0
											: -errno;
}

int dp_stream_lcore_main(struct dp_lcore *lcore) {
	uint64_t before = rte_rdtsc();
	struct dp_pace pace = {0};
	unsigned idle_loops = 0;
	int ret = join(lcore, dp_nb_streamers);

	if (ret != 0)
		return ret;
	ret = bell_add(stream_self);
	if (ret != 0)
		goto out;
	prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
	urcu_qsbr_register_thread();
	while (!atomic_load_explicit(&dp_stop, memory_order_relaxed)) {
		unsigned work = run_messages(), packets = drain_inbox();

		stream_self->frames = 0;
		work += packets;
		if (sockets_due(before, work == 0))
			work += sleep_or_poll(idle_loops, &pace);
		run_todo();
		urcu_qsbr_quiescent_state();
		idle_loops = work != 0 ? 0 : idle_loops + 1;
		dp_pace_count(&pace, before, dp_tsc_hz, packets + stream_self->frames);
		account(lcore->stats, &before, work != 0, packets + stream_self->frames);
	}
	urcu_qsbr_unregister_thread();
out:
	dp_stream_leave();
	return ret;
}
