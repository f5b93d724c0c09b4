// SPDX-License-Identifier: GPL-3.0-or-later
// The control thread's side of streams: attach, detach, key updates, release. See stream.h.

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/crypto/tls13_update.h"
#include "dataplane/stream/internal.h"
#include "yang/config.h"

#define REQUESTS 4096u
#define BIG_MBUFS 255u
#define SPILL_BUFFERS 31u
#define NOTSENT_BYTES (128 << 10) // unsent bytes in the kernel at most: bounds the queueing delay

struct rte_mempool *stream_big_pool;
struct rte_mempool *stream_spill_pool;

static struct rte_ring *requests; // struct dp_stream *, from all stream lcores
static int request_fd = -1;
static uint32_t sessions_max;
static struct dp_stream **installed; // by session index: as the control thread knows it
static struct stream_list waiting = TAILQ_HEAD_INITIALIZER(waiting); // for a full message ring

int dp_stream_init(const struct cfg *cfg) {
	sessions_max = cfg->dataplane.sessions_max;
	installed = calloc(sessions_max, sizeof(*installed));
	requests = rte_ring_create("stream_req", REQUESTS, SOCKET_ID_ANY, RING_F_SC_DEQ);
	request_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	stream_big_pool = rte_pktmbuf_pool_create("stream_big", BIG_MBUFS, 0, DP_PKT_PRIV_SIZE,
		RTE_PKTMBUF_HEADROOM + TLS_RECORD_MAX, SOCKET_ID_ANY);
	stream_spill_pool = rte_mempool_create("stream_spill", SPILL_BUFFERS, STREAM_SPILL, 0, 0,
		NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
	if (installed != NULL && requests != NULL && request_fd >= 0 && stream_big_pool != NULL &&
		stream_spill_pool != NULL && stream_table_init(sessions_max) == 0)
		return 0;
	dp_stream_fini();
	return -ENOMEM;
}

static void stream_free(struct dp_stream *stream) {
	struct stream_half *halves[] = {&stream->rx, &stream->tx};

	for (unsigned i = 0; i < RTE_DIM(halves); i++) {
		dp_key_free(halves[i]->key);
		dp_key_free(halves[i]->next_key);
		dp_key_free(halves[i]->retired);
	}
	if (stream->fd >= 0)
		close(stream->fd);
	explicit_bzero(stream, sizeof(*stream));
	free(stream);
}

void dp_stream_fini(void) {
	// The lcores have stopped: nothing is under way any more.
	for (uint32_t i = 0; installed != NULL && i < sessions_max; i++)
		if (installed[i] != NULL)
			stream_free(installed[i]);
	free(installed);
	installed = NULL;
	stream_table_fini();
	rte_ring_free(requests);
	requests = NULL;
	rte_mempool_free(stream_big_pool);
	stream_big_pool = NULL;
	rte_mempool_free(stream_spill_pool);
	stream_spill_pool = NULL;
	if (request_fd >= 0)
		close(request_fd);
	request_fd = -1;
}

static void run_start(struct dp_message *message) {
	stream_open(message->arg);
}

// What the client's user reads. The byte before the text is what clients send before theirs.
static const char *farewell(enum abi_end reason) {
	switch (reason) {
	case ABI_END_SERVER:
		return "\xb0"
		       "Ended by the administrator";
	case ABI_END_IDLE:
		return "\xb0"
		       "Idle for too long";
	case ABI_END_SESSION_TIMEOUT:
		return "\xb0"
		       "The session's time is over";
	case ABI_END_DISPLACED:
		return "\xb0"
		       "Replaced by a newer session of this user";
	default:
		return "\xb0"
		       "The session has ended";
	}
}

static void run_stop(struct dp_message *message) {
	struct dp_stream *stream = message->arg;

	if (stream->state != STREAM_OPEN)
		return; // it closed by itself meanwhile
	stream_forget(stream);
	if (stream->end == ABI_END_REPLACED) {
		stream_close(stream, stream->end, false);
		return;
	}
	// draft-mavrogiannopoulos-openconnect, 2.4: tells the client not to come back by itself.
	if (stream->end != ABI_END_USER && stream->end != ABI_END_TEMPORARY)
		stream_tx_frame(stream, DP_FRAME_DISCONNECT, farewell(stream->end));
	stream_tx_control(stream, TLS_ALERT, (const uint8_t[]){1, TLS_ALERT_CLOSE_NOTIFY}, 2);
	if (stream->state == STREAM_CLOSED)
		return; // it could not even say so
	stream->state = STREAM_CLOSING;
	stream->deadline = rte_rdtsc() + STREAM_LINGER_S * dp_tsc_hz;
	stream_want(stream, 0);
}

// A connected TCP socket and nothing else: it came from another process.
static int check_socket(int fd) {
	int type = 0, domain = 0, protocol = 0;
	socklen_t len = sizeof(int);
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
		return -EINVAL;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
		(domain != AF_INET && domain != AF_INET6))
		return -EINVAL;
	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) != 0 ||
		protocol != IPPROTO_TCP)
		return -EINVAL;
	return getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 ? 0 : -ENOTCONN;
}

static int half_init(struct stream_half *half, const struct tls_protection *p,
	const struct abi_keys *keys, bool encrypt) {
	if (keys->secret_len != 0 && keys->secret_len != p->hash_len)
		return -EINVAL;
	half->key = dp_key_new(p->cipher, keys->key, encrypt, p->aad_len);
	if (half->key == NULL)
		return -errno;
	half->keys = *keys;
	memcpy(half->iv, keys->iv, ABI_IV_MAX);
	half->seq = keys->seq;
	return 0;
}

// Of either family: a socket of IPv6 may carry IPv4. The kernel keeps ECN to itself.
static void set_dscp(int fd, uint8_t dscp) {
	int tos = dscp << 2;

	setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
}

static void set_options(int fd) {
	// No error here harms the tunnel: these tune it.
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){NOTSENT_BYTES}, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
}

int dp_stream_attach(struct dp_session *session, int fd, const struct abi_cmd_stream_set *set) {
	const struct tls_protection *p = tls_protection_find(set->version, set->cipher);
	struct dp_stream *stream;
	// Without stream lcores the session's owner serves its stream, too.
	unsigned servers = dp_nb_streamers > 0 ? dp_nb_streamers : dp_nb_workers;
	uint16_t streamer = (uint16_t)(session->sid.index % servers);
	int ret;

	if (p == NULL || session->sid.index >= sessions_max)
		return -EINVAL;
	ret = check_socket(fd);
	if (ret != 0)
		return ret;
	stream = calloc(1, sizeof(*stream));
	if (stream == NULL)
		return -ENOMEM;
	stream->fd = -1;
	stream->sid = session->sid;
	stream->p = p;
	stream->lcore = stream_server(streamer);
	ret = half_init(&stream->rx, p, &set->rx, false);
	if (ret == 0)
		ret = half_init(&stream->tx, p, &set->tx, true);
	if (ret != 0)
		goto fail;
	stream->start = (struct dp_message){.run = run_start, .arg = stream};
	stream->stop = (struct dp_message){.run = run_stop, .arg = stream};
	set_options(fd);
	set_dscp(fd, session->dscp);
	session->streamer = streamer; // of this index for good
	stream->fd = fd;
	// Opening it closes the one before, which stays in use should the ring be full.
	ret = dp_message_send(stream->lcore, &stream->start);
	if (ret != 0) {
		stream->fd = -1;
		goto fail;
	}
	installed[session->sid.index] = stream;
	return 0;
fail:
	stream_free(stream);
	return ret;
}

static bool message_settled(const struct dp_message *message) {
	return message->run == NULL || atomic_load_explicit(&message->done, memory_order_acquire);
}

// Runs on the lcore, whose descriptor it is.
static void run_dscp(struct dp_message *message) {
	struct dp_stream *stream = message->arg;

	if (stream->state == STREAM_OPEN)
		set_dscp(stream->fd, atomic_load_explicit(&stream->dscp, memory_order_acquire));
}

// What the lcore's full message ring did not take is tried again at the next process call.
static void wait_for_ring(struct dp_stream *stream) {
	if (!stream->waiting)
		TAILQ_INSERT_TAIL(&waiting, stream, wait);
	stream->waiting = true;
	eventfd_write(request_fd, 1);
}

// Again later while the one before is under way: it may have read the old value already.
static void send_mark(struct dp_stream *stream) {
	stream->mark_due = true;
	if (message_settled(&stream->mark)) {
		stream->mark = (struct dp_message){.run = run_dscp, .arg = stream};
		stream->mark_due = dp_message_send(stream->lcore, &stream->mark) != 0;
		if (stream->mark_due)
			stream->mark.run = NULL;
	}
	if (stream->mark_due)
		wait_for_ring(stream);
}

void dp_stream_dscp(struct dp_session *session) {
	struct dp_stream *stream = installed[session->sid.index];

	if (stream == NULL || stream->sid.generation != session->sid.generation)
		return;
	atomic_store_explicit(&stream->dscp, session->dscp, memory_order_release);
	send_mark(stream);
}

void dp_stream_detach(struct dp_session *session, enum abi_end reason) {
	struct dp_stream *stream = installed[session->sid.index];

	atomic_store_explicit(&session->stream, NULL, memory_order_release);
	if (stream == NULL || stream->stop_sent)
		return;
	stream->stop_sent = true;
	stream->end = reason;
	if (dp_message_send(stream->lcore, &stream->stop) == 0)
		return;
	// The ring is full: sent again by dp_stream_ctl_process.
	stream->stop_sent = false;
	stream->stop_due = true;
	wait_for_ring(stream);
}

// Runs on the lcore.
bool stream_request(struct dp_stream *stream) {
	uint32_t what = stream->wanted;

	if (atomic_load_explicit(&stream->asked, memory_order_acquire) != 0)
		return false; // one at a time: the answer comes first
	atomic_store_explicit(&stream->asked, what, memory_order_release);
	stream->wanted = 0; // now: once it is in the ring the control thread may free it
	if (rte_ring_mp_enqueue(requests, stream) != 0) {
		atomic_store_explicit(&stream->asked, 0, memory_order_release);
		stream->wanted = what;
		return false;
	}
	dp_self->stats->syscalls++;
	eventfd_write(request_fd, 1);
	return true;
}

int dp_stream_ctl_fd(void) {
	return request_fd;
}

// Runs on the lcore: the next key is there, or there is none and the stream cannot go on.
static void run_rx_ready(struct dp_message *message) {
	struct dp_stream *stream = message->arg;
	struct stream_half *rx = &stream->rx;

	if (stream->state != STREAM_OPEN)
		return;
	if (rx->next_key == NULL) {
		stream_close(stream, ABI_END_ERROR, true);
		return;
	}
	rx->retired = rx->key;
	rx->key = rx->next_key;
	rx->next_key = NULL;
	memcpy(rx->iv, rx->next_iv, ABI_IV_MAX);
	rx->seq = 0;
	dp_count(ABI_C_key_update, 1);
	stream_want(stream, STREAM_WANT_RETIRE);
	stream_interest(stream, stream->events | EPOLLIN);
	stream_rx(stream); // records that came with the KeyUpdate
}

// Runs on the lcore: says KeyUpdate under the old key, then uses the new one (RFC 8446, 4.6.3).
static void run_tx_ready(struct dp_message *message) {
	static const uint8_t key_update[TLS_KEY_UPDATE_LEN] = {
		TLS_HANDSHAKE_KEY_UPDATE, 0, 0, 1, 0};
	struct dp_stream *stream = message->arg;
	struct stream_half *tx = &stream->tx;

	if (stream->state != STREAM_OPEN)
		return;
	if (tx->next_key == NULL ||
		!stream_tx_control(stream, TLS_HANDSHAKE, key_update, sizeof(key_update))) {
		stream_close(stream, ABI_END_ERROR, true);
		return;
	}
	tx->retired = tx->key;
	tx->key = tx->next_key;
	tx->next_key = NULL;
	memcpy(tx->iv, tx->next_iv, ABI_IV_MAX);
	tx->seq = 0;
	dp_count(ABI_C_key_update, 1);
	stream->update_requested = false;
	stream_want(stream, STREAM_WANT_RETIRE);
}

static void make_next(struct dp_stream *stream, struct stream_half *half, bool encrypt) {
	if (tls13_keys_update(stream->p, &half->keys) != 0)
		return;
	half->next_key = dp_key_new(stream->p->cipher, half->keys.key, encrypt, stream->p->aad_len);
	memcpy(half->next_iv, half->keys.iv, ABI_IV_MAX);
}

static bool send_ready(struct dp_stream *stream, struct stream_half *half,
	void (*run)(struct dp_message *message)) {
	half->ready = (struct dp_message){.run = run, .arg = stream};
	return dp_message_send(stream->lcore, &half->ready) == 0;
}

static void retire(struct stream_half *half) {
	dp_key_free(half->retired);
	half->retired = NULL;
}

// All messages to the lcore have been run, so that nothing there points here.
static bool settled(const struct dp_stream *stream) {
	return atomic_load_explicit(&stream->start.done, memory_order_acquire) &&
		message_settled(&stream->rx.ready) && message_settled(&stream->tx.ready) &&
		message_settled(&stream->mark) &&
		(!stream->stop_sent ||
			atomic_load_explicit(&stream->stop.done, memory_order_acquire));
}

// Does what is asked, bit by bit; false: something must be tried again later.
static bool serve(struct dp_stream *stream) {
	uint32_t asked = atomic_load_explicit(&stream->asked, memory_order_acquire);

	stream->serve_due = true;
	if (asked & STREAM_WANT_FREE) {
		if (!settled(stream))
			return false;
		if (stream->waiting)
			TAILQ_REMOVE(&waiting, stream, wait);
		if (installed[stream->sid.index] == stream)
			installed[stream->sid.index] = NULL;
		stream_free(stream);
		return true;
	}
	if (asked & STREAM_WANT_RETIRE) {
		retire(&stream->rx);
		retire(&stream->tx);
		asked &= ~(uint32_t)STREAM_WANT_RETIRE;
		atomic_store_explicit(&stream->asked, asked, memory_order_release);
	}
	// Ours before the client's: reading goes on with the latter, and what the client sent behind
	// its request is answered after our own update (RFC 8446, 4.6.3).
	if (asked & STREAM_WANT_TX_KEY) {
		if (stream->tx.next_key == NULL)
			make_next(stream, &stream->tx, true);
		if (!send_ready(stream, &stream->tx, run_tx_ready))
			return false;
		asked &= ~(uint32_t)STREAM_WANT_TX_KEY;
		atomic_store_explicit(&stream->asked, asked, memory_order_release);
	}
	if (asked & STREAM_WANT_RX_KEY) {
		if (stream->rx.next_key == NULL)
			make_next(stream, &stream->rx, false);
		if (!send_ready(stream, &stream->rx, run_rx_ready))
			return false;
	}
	stream->serve_due = false;
	atomic_store_explicit(&stream->asked, 0, memory_order_release);
	return true;
}

static void resend_stop(struct dp_stream *stream) {
	if (!stream->stop_due)
		return;
	stream->stop_sent = true;
	stream->stop_due = dp_message_send(stream->lcore, &stream->stop) != 0;
	stream->stop_sent = !stream->stop_due;
}

static void serve_waiting(void) {
	struct stream_list again = TAILQ_HEAD_INITIALIZER(again);
	struct dp_stream *stream;

	TAILQ_CONCAT(&again, &waiting, wait);
	while ((stream = TAILQ_FIRST(&again)) != NULL) {
		TAILQ_REMOVE(&again, stream, wait);
		stream->waiting = false;
		resend_stop(stream);
		if (stream->mark_due)
			send_mark(stream);
		if (stream->stop_due)
			wait_for_ring(stream);
		if (stream->serve_due && !serve(stream))
			wait_for_ring(stream);
	}
}

void dp_stream_ctl_process(void) {
	struct dp_stream *stream;
	eventfd_t bells;

	eventfd_read(request_fd, &bells);
	serve_waiting();
	while (rte_ring_sc_dequeue(requests, (void **)&stream) == 0)
		if (!serve(stream))
			wait_for_ring(stream);
}
