// SPDX-License-Identifier: GPL-3.0-or-later
// TLS tunnels over kernel TCP, served by stream lcores, or by the workers when there are none.
// Called by the control thread and workers.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/abi/cmd.h"

struct cfg;
struct dp_lcore;
struct dp_session;

// Boot, after crypto, mbuf pools and lcores exist. 0 or -errno.
int dp_stream_init(const struct cfg *cfg);
void dp_stream_fini(void);

// Control thread: the session's TLS tunnel from now on; an older one of the same session is
// closed without a word. Sets session->streamer. Takes over fd on success (the caller closes it
// on failure). -EINVAL: not a connected TCP socket or bad keys; -ENOSPC, -ENOMEM; -EAGAIN: the
// lcore's message ring is full. After a failure the older one goes on.
int dp_stream_attach(struct dp_session *session, int fd, const struct abi_cmd_stream_set *set);

// Control thread: session->dscp has changed.
void dp_stream_dscp(struct dp_session *session);

// Control thread: ends the tunnel, if any, with the frame that `reason` asks for (none for
// ABI_END_REPLACED), close_notify, and close. The session may be freed right afterwards.
void dp_stream_detach(struct dp_session *session, enum abi_end reason);

// Packet worker: payloads with dp_pkt(m)->frame set; the framing is added here. Takes over the
// packets. What a slow client does not drain is dropped and counted for that client alone.
void dp_stream_send(struct dp_session *session, struct rte_mbuf **pkts, unsigned n);

// Body of a stream lcore, until dp_stop is set.
int dp_stream_lcore_main(struct dp_lcore *lcore);

// Without stream lcores each worker serves the streams of the sessions that it owns. Its thread
// joins before its first loop and leaves after its last. 0 or -errno.
int dp_stream_join(struct dp_lcore *worker);
void dp_stream_leave(void);
// Once a loop, after the graph: sends what the graph had for streams; looks at the sockets when the
// worker is idle, or has not for a while. now: TSC. True when anything was done.
bool dp_stream_poll(uint64_t now, bool idle);
// Readable when dp_stream_poll() has something to do.
int dp_stream_poll_fd(void);
// Something is due that no descriptor announces: the worker is not to sleep for long.
bool dp_stream_due(void);

// Control thread: what stream lcores ask for (key updates, release of keys). The control loop
// polls the fd for reading and calls process when it is readable.
int dp_stream_ctl_fd(void);
void dp_stream_ctl_process(void);
