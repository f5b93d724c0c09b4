// SPDX-License-Identifier: GPL-3.0-or-later
// The loop of the control thread. Called by main.
#include "dataplane/ctl/ctl.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/ctl/attach.h"
#include "dataplane/ctl/count.h"
#include "dataplane/ctl/dispatch.h"
#include "dataplane/ctl/dump.h"
#include "dataplane/ctl/events.h"
#include "dataplane/ctl/netlink.h"
#include "dataplane/ctl/punt.h"
#include "dataplane/port.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/reclaim.h"
#include "dataplane/table/session.h"

#define EVENTS_MAX 32u
#define COMMANDS_BUDGET 128u // at once, so that the others have their turn
#define INJECT_BUDGET 64u
#define STALLED_MS 10 // until a ring that does not drain is looked at again
#define TICK_MS 1000

static int epoll_fd = -1, stop_fd = -1;
static _Atomic bool stopping;
static uint64_t next_tick_ms;

static uint64_t now_ms(void) {
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int sources_add(void) {
	const struct {
		int fd;
		enum ctl_source source;
	} sources[] = {
		{stop_fd, CTL_STOP},
		{dp_event_fd(), CTL_LCORE_EVENTS},
		{dp_punt_fd(), CTL_PUNT},
		{dp_reclaim_fd(), CTL_RECLAIM},
		{dp_stream_ctl_fd(), CTL_STREAM},
		{dp_netlink_fd(), CTL_NETLINK},
	};

	for (unsigned i = 0; i < RTE_DIM(sources); i++) {
		int rc = ctl_epoll_add(sources[i].fd, sources[i].source, 0);

		if (rc != 0)
			return rc;
	}
	return 0;
}

int dp_ctl_init(const struct cfg *cfg, const char *path) {
	int rc = dp_punt_init(cfg);

	if (rc != 0)
		return rc;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (epoll_fd < 0 || stop_fd < 0)
		rc = -errno;
	if (rc == 0)
		rc = ctl_attach_init(epoll_fd, path);
	if (rc == 0)
		rc = sources_add();
	if (rc != 0)
		dp_ctl_fini();
	return rc;
}

void dp_ctl_fini(void) {
	ctl_attach_fini();
	ctl_dispatch_fini();
	dp_punt_fini();
	if (epoll_fd >= 0)
		close(epoll_fd);
	if (stop_fd >= 0)
		close(stop_fd);
	epoll_fd = stop_fd = -1;
}

void dp_ctl_stop(void) {
	int error = errno;

	atomic_store(&stopping, true);
	if (stop_fd >= 0)
		eventfd_write(stop_fd, 1);
	errno = error;
}

// Rings and queues. Sets *more when something may be left, *stalled when a peer is too slow.
static void work(bool *more, bool *stalled) {
	struct ctl_peer *peer;
	bool one;

	*more |= ctl_events_process(UINT32_MAX);
	dp_punt_process();
	peer = ctl_session_peer();
	if (peer == NULL) {
		ctl_dump_stop();
	} else {
		*more |= ctl_dispatch(peer, COMMANDS_BUDGET, &one);
		*stalled |= one;
		if (peer->sock >= 0) {
			*more |= ctl_dump_process(peer, &one);
			*stalled |= one;
		}
	}
	for (unsigned i = 0; i < CTL_PEERS_MAX; i++) {
		bool broken;

		peer = &ctl_peers[i];
		if (peer->sock < 0 || peer->role != ABI_ROLE_EDGE)
			continue;
		*more |= dp_inject_process(peer->index, INJECT_BUDGET, &broken);
		if (broken || peer->out.broken)
			ctl_peer_close(peer);
	}
}

// Says everywhere that the thread sleeps; false when something came meanwhile.
static bool announce(bool stalled) {
	bool quiet = dp_event_wait(true);

	quiet = dp_punt_wait(true) && quiet;
	for (unsigned i = 0; i < CTL_PEERS_MAX; i++) {
		struct ctl_peer *peer = &ctl_peers[i];

		if (peer->sock < 0 || peer->bell_in < 0)
			continue;
		// commands wait for room in the completion ring: the clock wakes us, not the bell
		if (stalled && peer->role == ABI_ROLE_SESSION)
			continue;
		quiet = abi_ring_wait(&peer->in) && quiet;
	}
	return quiet;
}

static void withdraw(void) {
	dp_event_wait(false);
	dp_punt_wait(false);
	for (unsigned i = 0; i < CTL_PEERS_MAX; i++)
		if (ctl_peers[i].sock >= 0 && ctl_peers[i].bell_in >= 0)
			abi_ring_wake(&ctl_peers[i].in);
}

static void bell_clear(unsigned number) {
	eventfd_t bells;

	if (number < CTL_PEERS_MAX && ctl_peers[number].bell_in >= 0)
		eventfd_read(ctl_peers[number].bell_in, &bells);
}

static void serve(const struct epoll_event *event) {
	unsigned number = (uint32_t)event->data.u64;
	eventfd_t bells;

	switch ((enum ctl_source)(event->data.u64 >> 32)) {
	case CTL_LISTEN:
		ctl_accept();
		break;
	case CTL_LCORE_EVENTS:
		eventfd_read(dp_event_fd(), &bells);
		break;
	case CTL_RECLAIM:
		dp_reclaim_process();
		break;
	case CTL_STREAM:
		dp_stream_ctl_process();
		break;
	case CTL_NETLINK:
		dp_netlink_process();
		break;
	case CTL_PEER:
		ctl_peer_readable(number);
		break;
	case CTL_BELL:
		bell_clear(number);
		break;
	case CTL_PUNT:
		eventfd_read(dp_punt_fd(), &bells);
		break;
	case CTL_STOP:
		break;
	}
}

static void tick(void) {
	uint64_t now = now_ms();

	if (now < next_tick_ms)
		return;
	next_tick_ms = now + TICK_MS;
	dp_session_tick(now / 1000);
	ctl_attach_tick(now / 1000);
	ctl_dispatch_tick();
	dp_ports_stats();
}

// Sleeps until something happens; returns the number of events, or -errno.
static int sleep_until(struct epoll_event *events, bool more, bool stalled) {
	uint64_t now = now_ms();
	int timeout = next_tick_ms > now ? (int)(next_tick_ms - now) : 0, n;

	if (stalled && timeout > STALLED_MS)
		timeout = STALLED_MS;
	if (more || !announce(stalled))
		timeout = 0;
	// offline: nobody waits for a thread that sleeps
	urcu_qsbr_thread_offline();
	n = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout);
	urcu_qsbr_thread_online();
	if (n < 0 && errno != EINTR)
		return -errno;
	withdraw();
	return n < 0 ? 0 : n;
}

int dp_ctl_run(void) {
	struct epoll_event events[EVENTS_MAX];

	while (!atomic_load(&stopping)) {
		bool more = false, stalled = false;
		int n;

		tick();
		work(&more, &stalled);
		n = sleep_until(events, more, stalled);
		if (n < 0) {
			fprintf(stderr, "penstock-dataplane: epoll: %s\n", strerror(-n));
			return n;
		}
		for (int i = 0; i < n; i++)
			serve(&events[i]);
	}
	return 0;
}
