// SPDX-License-Identifier: GPL-3.0-or-later
// Client of the dataplane's rings on the event loop. Called by sessions.c, connect.c, reconcile.c.
#include "controlplane/proc/clock.h"
#include "controlplane/session/dataplane.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "controlplane/proc/log.h"
#include "dataplane/abi/channel.h"
#include "dataplane/abi/ring.h"

#define BURST 256u
#define BUCKETS 4096u
// Order of the descriptors, see enum in abi.h.
enum {
	FD_CMD,
	FD_CPL,
	FD_EVT,
	FD_STATS,
	FD_CMD_BELL,
	FD_EVT_BELL,
	NB_FDS
};

// A command without its completion yet.
struct pending {
	TAILQ_ENTRY(pending) by_time;
	LIST_ENTRY(pending) by_id;
	uint32_t id;
	uint64_t sent_s;
	dplane_done done;
	void *arg;
};

// A command that waits for room in the ring.
struct queued {
	STAILQ_ENTRY(queued) next;
	struct abi_cmd cmd;
};

struct dplane {
	struct event_base *base;
	struct dplane_hooks hooks;
	bool attached;
	uint64_t boot_id;
	uint32_t sessions_max;
	int channel;
	int cmd_bell, evt_bell;
	struct abi_ring cmd, cpl, evt;
	struct event *bell_event, *channel_event, *tick_event;
	const struct abi_stats *stats;
	size_t stats_len;
	uint32_t stats_sessions; // entries that fit the mapping
	uint32_t next_id;
	uint64_t next_token;
	TAILQ_HEAD(pending_list, pending) pending;
	LIST_HEAD(, pending) by_id[BUCKETS];
	STAILQ_HEAD(, queued) queue;
	unsigned nb_queued;
};

// --- commands ---

static struct pending *pending_find(struct dplane *dplane, uint32_t id) {
	struct pending *pending;

	LIST_FOREACH(pending, &dplane->by_id[id % BUCKETS], by_id) {
		if (pending->id == id)
			return pending;
	}
	return NULL;
}

static void pending_answer(struct dplane *dplane, struct pending *pending, int status) {
	dplane_done done = pending->done;
	void *arg = pending->arg;

	TAILQ_REMOVE(&dplane->pending, pending, by_time);
	LIST_REMOVE(pending, by_id);
	free(pending);
	if (done)
		done(status, arg);
}

static int enqueue(struct dplane *dplane, const struct abi_cmd *cmd) {
	struct queued *queued;

	if (dplane->nb_queued >= DPLANE_QUEUE_MAX)
		return -ENOBUFS;
	queued = malloc(sizeof(*queued));
	if (!queued)
		return -ENOBUFS;
	queued->cmd = *cmd;
	STAILQ_INSERT_TAIL(&dplane->queue, queued, next);
	dplane->nb_queued++;
	return 0;
}

static void queue_pop(struct dplane *dplane) {
	struct queued *queued = STAILQ_FIRST(&dplane->queue);

	STAILQ_REMOVE_HEAD(&dplane->queue, next);
	dplane->nb_queued--;
	explicit_bzero(queued, sizeof(*queued));
	free(queued);
}

static void queue_flush(struct dplane *dplane) {
	bool any = false;

	while (!STAILQ_EMPTY(&dplane->queue)) {
		if (abi_ring_push(&dplane->cmd, &STAILQ_FIRST(&dplane->queue)->cmd) != 0)
			break;
		queue_pop(dplane);
		any = true;
	}
	if (any)
		abi_ring_notify(&dplane->cmd);
}

static int push(struct dplane *dplane, const struct abi_cmd *cmd) {
	// Order counts: nothing overtakes what waits already.
	if (STAILQ_EMPTY(&dplane->queue) && abi_ring_push(&dplane->cmd, cmd) == 0) {
		abi_ring_notify(&dplane->cmd);
		return 0;
	}
	return enqueue(dplane, cmd);
}

int dplane_command(struct dplane *dplane, const struct abi_cmd *cmd, dplane_done done, void *arg) {
	struct pending *pending;
	struct abi_cmd copy;
	int ret;

	if (!dplane->attached)
		return -ENOTCONN;
	pending = malloc(sizeof(*pending));
	if (!pending)
		return -ENOBUFS;
	pending->id = ++dplane->next_id;
	pending->sent_s = clock_s();
	pending->done = done;
	pending->arg = arg;
	copy = *cmd;
	copy.id = pending->id;
	ret = push(dplane, &copy);
	explicit_bzero(&copy, sizeof(copy));
	if (ret != 0) {
		free(pending);
		return ret;
	}
	TAILQ_INSERT_TAIL(&dplane->pending, pending, by_time);
	LIST_INSERT_HEAD(&dplane->by_id[pending->id % BUCKETS], pending, by_id);
	return 0;
}

int dplane_send_fd(struct dplane *dplane, int fd, uint64_t *token) {
	struct abi_fd_msg msg = {.magic = ABI_MAGIC};

	if (!dplane->attached)
		return -ENOTCONN;
	msg.token = ++dplane->next_token;
	*token = msg.token;
	return abi_channel_send(dplane->channel, &msg, sizeof(msg), &fd, 1);
}

// --- detaching ---

static void detach(struct dplane *dplane) {
	if (!dplane->attached)
		return;
	if (dplane->hooks.leaving)
		dplane->hooks.leaving(dplane->hooks.arg);
	dplane->attached = false;
	event_free(dplane->bell_event);
	event_free(dplane->channel_event);
	abi_ring_detach(&dplane->cmd);
	abi_ring_detach(&dplane->cpl);
	abi_ring_detach(&dplane->evt);
	munmap((void *)(uintptr_t)dplane->stats, dplane->stats_len);
	dplane->stats = NULL;
	close(dplane->channel);
	close(dplane->cmd_bell);
	close(dplane->evt_bell);
	while (!STAILQ_EMPTY(&dplane->queue))
		queue_pop(dplane);
	while (!TAILQ_EMPTY(&dplane->pending))
		pending_answer(dplane, TAILQ_FIRST(&dplane->pending), -ECONNRESET);
}

static void lost(struct dplane *dplane, const char *why) {
	log_warning("dataplane_lost", "reason=%s", why);
	detach(dplane);
	dplane->hooks.lost(dplane->hooks.arg);
}

// --- what comes in ---

static int drain_completions(struct dplane *dplane) {
	struct abi_cpl cpl;
	int ret = 0;

	for (unsigned n = 0; n < BURST && ret == 0; n++) {
		ret = abi_ring_pop(&dplane->cpl, &cpl, false);
		struct pending *pending = ret == 0 ? pending_find(dplane, cpl.id) : NULL;

		// Unknown ids: answers to a predecessor of this process, or too late.
		if (pending)
			pending_answer(dplane, pending, cpl.status > 0 ? -EPROTO : cpl.status);
		if (!dplane->attached)
			return -EPIPE;
	}
	return ret;
}

static int drain_events(struct dplane *dplane) {
	struct abi_evt evt;
	int ret = 0;

	for (unsigned n = 0; n < BURST && ret == 0; n++) {
		ret = abi_ring_pop(&dplane->evt, &evt, false);
		if (ret == 0)
			dplane->hooks.event(&evt, dplane->hooks.arg);
		if (!dplane->attached)
			return -EPIPE;
	}
	return ret;
}

static void on_bell(evutil_socket_t fd, short what, void *arg) {
	struct dplane *dplane = arg;
	uint64_t rings;
	int cpl, evt;

	if (read(fd, &rings, sizeof(rings)) < 0 && errno != EAGAIN && errno != EINTR) {
		lost(dplane, "bell");
		return;
	}
	abi_ring_wake(&dplane->cpl);
	abi_ring_wake(&dplane->evt);
	cpl = drain_completions(dplane);
	evt = dplane->attached ? drain_events(dplane) : -EPIPE;
	if (!dplane->attached)
		return;
	if (cpl == -EPIPE || evt == -EPIPE) {
		lost(dplane, "ring");
		return;
	}
	queue_flush(dplane);
	// More is there, or came just now: again after the other events.
	if (cpl == 0 || evt == 0 || !abi_ring_wait(&dplane->cpl) || !abi_ring_wait(&dplane->evt))
		event_active(dplane->bell_event, EV_READ, 0);
}

static void on_channel(evutil_socket_t fd, short what, void *arg) {
	if (abi_channel_closed(fd))
		lost(arg, "closed");
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
	struct dplane *dplane = arg;
	uint64_t now = clock_s();
	struct pending *pending;

	if (!dplane->attached)
		return;
	while ((pending = TAILQ_FIRST(&dplane->pending)) &&
		now - pending->sent_s > DPLANE_TIMEOUT_S) {
		log_error("dataplane_timeout", "command=%u", pending->id);
		pending_answer(dplane, pending, -ETIMEDOUT);
	}
	if (dplane->attached)
		queue_flush(dplane);
}

// --- attaching ---

static int map_stats(struct dplane *dplane, int fd) {
	int seals = fcntl(fd, F_GET_SEALS);
	const struct abi_stats *stats;
	struct stat st;
	uint64_t offset = abi_stats_sessions_offset(), room;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 ||
		st.st_size < (off_t)offset)
		return -EPROTO;
	stats = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (stats == MAP_FAILED)
		return -errno;
	room = ((uint64_t)st.st_size - offset) / sizeof(struct abi_session_stats);
	// What is used as a bound is read once and checked against the real size.
	dplane->stats_sessions = __atomic_load_n(&stats->sessions_max, __ATOMIC_RELAXED);
	if (stats->magic != ABI_STATS_MAGIC || dplane->stats_sessions > room ||
		dplane->stats_sessions > ABI_SESSIONS_MAX) {
		munmap((void *)(uintptr_t)stats, (size_t)st.st_size);
		return -EPROTO;
	}
	dplane->stats = stats;
	dplane->stats_len = (size_t)st.st_size;
	return 0;
}

static int attach_rings(struct dplane *dplane, const int *fds) {
	int ret = abi_ring_attach(&dplane->cmd, fds[FD_CMD], ABI_CMD_SLOTS, sizeof(struct abi_cmd));

	if (ret == 0)
		ret = abi_ring_attach(
			&dplane->cpl, fds[FD_CPL], ABI_CPL_SLOTS, sizeof(struct abi_cpl));
	if (ret == 0)
		ret = abi_ring_attach(
			&dplane->evt, fds[FD_EVT], ABI_EVT_SLOTS, sizeof(struct abi_evt));
	if (ret == 0)
		ret = map_stats(dplane, fds[FD_STATS]);
	if (ret != 0) {
		abi_ring_detach(&dplane->cmd);
		abi_ring_detach(&dplane->cpl);
		abi_ring_detach(&dplane->evt);
		return ret;
	}
	abi_ring_adopt(&dplane->cmd, true);
	abi_ring_adopt(&dplane->cpl, false);
	abi_ring_adopt(&dplane->evt, false);
	dplane->cmd_bell = fds[FD_CMD_BELL];
	dplane->evt_bell = fds[FD_EVT_BELL];
	dplane->cmd.bell_fd = (uint32_t)dplane->cmd_bell;
	return 0;
}

int dplane_attach(struct dplane *dplane, const struct abi_welcome *welcome, int channel,
	const int *fds, unsigned nb_fds) {
	int ret = -EPROTO;

	detach(dplane);
	if (nb_fds == NB_FDS && welcome->sessions_max && welcome->sessions_max <= ABI_SESSIONS_MAX)
		ret = attach_rings(dplane, fds);
	if (ret != 0) {
		for (unsigned i = 0; i < nb_fds; i++)
			close(fds[i]);
		close(channel);
		return ret;
	}
	for (unsigned i = FD_CMD; i <= FD_STATS; i++)
		close(fds[i]);
	dplane->channel = channel;
	dplane->boot_id = welcome->boot_id;
	dplane->sessions_max = welcome->sessions_max;
	evutil_make_socket_nonblocking(dplane->evt_bell);
	evutil_make_socket_nonblocking(channel);
	dplane->bell_event = event_new(
		dplane->base, dplane->evt_bell, EV_READ | EV_PERSIST, on_bell, dplane);
	dplane->channel_event = event_new(
		dplane->base, channel, EV_READ | EV_PERSIST, on_channel, dplane);
	event_add(dplane->bell_event, NULL);
	event_add(dplane->channel_event, NULL);
	dplane->attached = true;
	// Takes up what already waits, and announces the sleep.
	event_active(dplane->bell_event, EV_READ, 0);
	return 0;
}

struct dplane *dplane_new(struct event_base *base, const struct dplane_hooks *hooks) {
	struct dplane *dplane = calloc(1, sizeof(*dplane));
	struct timeval second = {.tv_sec = 1};

	if (!dplane)
		return NULL;
	dplane->base = base;
	dplane->hooks = *hooks;
	TAILQ_INIT(&dplane->pending);
	STAILQ_INIT(&dplane->queue);
	for (unsigned i = 0; i < BUCKETS; i++)
		LIST_INIT(&dplane->by_id[i]);
	dplane->tick_event = event_new(base, -1, EV_PERSIST, on_tick, dplane);
	if (!dplane->tick_event) {
		free(dplane);
		return NULL;
	}
	event_add(dplane->tick_event, &second);
	return dplane;
}

void dplane_free(struct dplane *dplane) {
	if (!dplane)
		return;
	detach(dplane);
	event_free(dplane->tick_event);
	free(dplane);
}

bool dplane_attached(const struct dplane *dplane) {
	return dplane->attached;
}

uint64_t dplane_boot_id(const struct dplane *dplane) {
	return dplane->boot_id;
}

uint32_t dplane_sessions_max(const struct dplane *dplane) {
	return dplane->sessions_max;
}

const struct abi_stats *dplane_stats(const struct dplane *dplane) {
	return dplane->stats;
}

const struct abi_session_stats *dplane_session_stats(const struct dplane *dplane, uint32_t index) {
	if (!dplane->stats || index >= dplane->stats_sessions)
		return NULL;
	return (const struct abi_session_stats *)((const uint8_t *)dplane->stats +
		       abi_stats_sessions_offset()) +
		index;
}

uint64_t dplane_counter(const struct dplane *dplane, enum abi_counter counter) {
	uint64_t sum = 0;

	for (unsigned i = 0; dplane->stats && i < ABI_STATS_WORKERS; i++)
		sum += __atomic_load_n(
			&dplane->stats->worker[i].counters[counter], __ATOMIC_RELAXED);
	return sum;
}
