// SPDX-License-Identifier: GPL-3.0-or-later
// What the files of stream/ share: the stream itself and the lcore's private state.
#pragma once

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include <rte_mempool.h>

#include "dataplane/proto/tls_record.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/session.h"
#include "dataplane/worker.h"

#define STREAM_TXQ 512u // records waiting for the socket, power of two
#define STREAM_TXQ_DATA (STREAM_TXQ - 8u) // of them packets: control records always find room
#define STREAM_TX_BYTES (512u << 10) // and their bytes at most
#define STREAM_BATCH 64u // records opened or sealed at once
#define STREAM_SCRATCH (128u << 10) // bytes taken from a socket at once
#define STREAM_SPILL (TLS_RECORD_MAX + STREAM_SCRATCH) // what can lie behind a key update
#define STREAM_LINGER_S 2u // to drain a stream that is being closed
#define STREAM_EVENTS 256u
#define STREAM_PENDING 256u

enum stream_state {
	STREAM_OPEN,
	STREAM_CLOSING, // last words are queued; closed when they are sent, or late
	STREAM_CLOSED, // no descriptor any more; waits until the control thread frees it
};

enum stream_want {
	STREAM_WANT_RX_KEY = 1u << 0, // the client updated its keys: reading is paused
	STREAM_WANT_TX_KEY = 1u << 1, // the client asked for an update, or our key is worn
	STREAM_WANT_RETIRE = 1u << 2, // retired keys are to be freed
	STREAM_WANT_FREE = 1u << 3, // closed: free all
};

// One direction. `keys` (secret of the generation in use) belongs to the control thread while a
// request for it is under way, and to nobody else ever.
struct stream_half {
	struct dp_key *key; // lcore
	uint8_t iv[ABI_IV_MAX]; // lcore
	uint64_t seq; // lcore
	struct abi_keys keys; // ctl
	struct dp_key *next_key; // ctl makes, lcore takes when `ready` has run
	uint8_t next_iv[ABI_IV_MAX];
	struct dp_message ready; // ctl to lcore: next_key is there (value 1) or failed (0)
	struct dp_key *retired; // lcore puts, ctl frees
};

struct dp_stream {
	int fd; // lcore; -1 when closed
	struct abi_sid sid;
	struct dp_lcore *lcore; // that serves it
	const struct tls_protection *p;
	enum stream_state state; // lcore
	uint32_t events; // epoll's interest; lcore
	uint32_t wanted; // STREAM_WANT_*: not yet in the request ring; lcore
	_Atomic uint32_t asked; // STREAM_WANT_*: under way at the control thread
	bool update_requested; // answer a KeyUpdate with ours; lcore
	bool dirty; // in the lcore's list of streams to flush
	bool blocked; // the socket was full: wait for EPOLLOUT
	uint64_t deadline; // TSC, when closing
	enum abi_end end; // set before `stop` is sent
	struct stream_half rx, tx;
	struct dp_message start, stop, mark; // ctl to lcore
	_Atomic uint8_t dscp; // ctl: what `mark` is to set
	bool stop_sent, stop_due, mark_due, serve_due, waiting; // ctl
	TAILQ_ENTRY(dp_stream) wait; // ctl: `waiting`
	unsigned rash; // key updates of the client that protected next to nothing; lcore
	TAILQ_ENTRY(dp_stream) todo; // lcore: has `wanted` bits, or closing
	bool in_todo;
	bool rx_due; // records lie in rx_buf or spill that no event of the socket will announce
	bool shut; // closing: our half is shut, the client's end is awaited
	// sealed records, oldest at tx_tail
	uint32_t tx_head, tx_tail, tx_bytes;
	uint32_t tx_offset; // bytes of the oldest that were sent
	struct rte_mbuf *txq[STREAM_TXQ];
	uint32_t rx_len; // bytes not processed: of an unfinished record, or behind a key update
	uint8_t *spill; // where they are when rx_buf is too small, from stream_spill_pool; or NULL
	uint8_t rx_buf[TLS_RECORD_MAX];
};

TAILQ_HEAD(stream_list, dp_stream);

// Private to a stream lcore.
struct stream_lcore {
	struct dp_lcore *lcore;
	int epoll;
	struct stream_list todo;
	struct dp_stream *dirty[STREAM_EVENTS];
	unsigned nb_dirty;
	unsigned queued, queued_max; // records in the queues of all its streams
	unsigned frames; // received in this loop
	uint64_t asleep; // TSC cycles of this loop
	uint64_t polled; // TSC when the sockets were looked at last
	// On a packet worker: what its own walk of the graph has for streams.
	struct rte_mbuf *pending[STREAM_PENDING];
	unsigned nb_pending;
	struct dp_crypt ops[STREAM_BATCH];
	uint8_t scratch[STREAM_SPILL + STREAM_SCRATCH];
};

extern _Thread_local struct stream_lcore *stream_self;
extern struct rte_mempool *stream_spill_pool; // buffers of STREAM_SPILL bytes
extern struct rte_mempool *stream_big_pool; // mbufs for records that no packet mbuf can hold

// By session index; each entry is touched by the lcore that serves the session alone.
struct dp_stream *stream_find(struct abi_sid sid);

// The lcore that serves streams of this number: a stream lcore, or a worker when there is none.
static inline struct dp_lcore *stream_server(uint16_t streamer) {
	return &dp_lcores[dp_nb_streamers > 0 ? dp_nb_workers + streamer : streamer];
}

// lcore.c
int stream_table_init(uint32_t max);
void stream_table_fini(void);
void stream_open(struct dp_stream *stream);
// Ends without a word; reports `reason` to the control plane when `tell`.
void stream_close(struct dp_stream *stream, enum abi_end reason, bool tell);
void stream_forget(struct dp_stream *stream); // the session sends on it no more
void stream_interest(struct dp_stream *stream, uint32_t events);
void stream_want(struct dp_stream *stream, enum stream_want what);

// Looks again at what was kept, without an event of the socket.
void stream_rx_again(struct dp_stream *stream);

// ctl.c: puts a stream with `asked` bits into the request ring; false: full, try again.
bool stream_request(struct dp_stream *stream);

// rx.c
void stream_rx(struct dp_stream *stream);
void stream_rx_forget(struct dp_stream *stream); // what was not processed
// Of a closing stream: takes what comes and throws it away, so that close() sends no reset
// which would overtake our last words. False: the client's end, or an error.
bool stream_rx_discard(struct dp_stream *stream);

// Reading waits for the next key.
static inline bool stream_rx_paused(const struct dp_stream *stream) {
	return (stream->events & EPOLLIN) == 0;
}

// tx.c
// Seals and queues packets from the workers (dp_pkt(m)->sid, frame); takes them over.
void stream_tx(struct rte_mbuf **pkts, unsigned n);
// On a packet worker: what its own walk had for streams.
void stream_tx_pending(void);
// Seals one record of another type with `len` bytes of text; false when it could not be queued:
// the stream may be closed then.
bool stream_tx_control(struct dp_stream *stream, uint8_t type, const uint8_t *text, uint16_t len);
// One CSTP frame with this text, 64 bytes of it at most.
bool stream_tx_frame(struct dp_stream *stream, uint8_t frame, const char *text);
// Writes what is queued to the socket.
void stream_flush(struct dp_stream *stream);
void stream_flush_dirty(void);
void stream_tx_drop_all(struct dp_stream *stream);
