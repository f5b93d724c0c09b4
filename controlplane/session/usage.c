// SPDX-License-Identifier: GPL-3.0-or-later
// What sessions have used, over reconnections, restarts of this process and of the dataplane.
// Called by sessions.c, connect.c and info.c.
//
// The dataplane counts each connection from zero, in its statistics region. A session's total is
// what its earlier connections carried (`used`) and what the present one has (`live`, as last
// read). Both are in its record: a crash of this process loses nothing, because the dataplane goes
// on counting; one of the dataplane loses nothing either, because its last numbers are read before
// they go; only what happened since the record was last saved is lost when both end at once.
#include "controlplane/proc/clock.h"
#include "controlplane/session/sessions.h"

#define SWEEP_S 30u // all sessions are read within so many seconds
#define SWEEP_MIN 256u // indexes a tick
#define SAVE_S 60u // an active session's record is saved so often
#define SAVES_A_TICK 1024u // a record is 1.6 KB: this bounds what the disk gets

static uint64_t load(const uint64_t *counter) {
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void usage_start(struct session *session) {
	session->live = (struct session_usage){0};
	session->live_generation = session->sid.generation;
}

// The dataplane clears the generation of a session that ends; its numbers stay until the index is
// used again, which is for this process to decide. In a new dataplane they are zero.
static bool is_ours(
	const struct session *session, uint32_t generation, const struct session_usage *read) {
	if (generation)
		return generation == session->live_generation;
	return read->rx_packets >= session->live.rx_packets &&
		read->rx_bytes >= session->live.rx_bytes &&
		read->tx_packets >= session->live.tx_packets &&
		read->tx_bytes >= session->live.tx_bytes;
}

// What the dataplane says, and of which generation. False: it is away.
static bool read_stats(const struct session_mgr *mgr, const struct session *session,
	struct session_usage *read, uint32_t *generation) {
	const struct abi_session_stats *stats = dplane_session_stats(
		mgr->dplane, session->sid.index);

	if (!stats)
		return false;
	*generation = __atomic_load_n(&stats->generation, __ATOMIC_ACQUIRE);
	*read = (struct session_usage){load(&stats->rx_packets), load(&stats->rx_bytes),
		load(&stats->tx_packets), load(&stats->tx_bytes)};
	return true;
}

void usage_read(struct session_mgr *mgr, struct session *session) {
	struct session_usage read;
	uint32_t generation;

	if (session->live_generation && read_stats(mgr, session, &read, &generation) &&
		is_ours(session, generation, &read))
		session->live = read;
}

struct session_usage usage_total(const struct session *session) {
	return (struct session_usage){
		.rx_packets = session->used.rx_packets + session->live.rx_packets,
		.rx_bytes = session->used.rx_bytes + session->live.rx_bytes,
		.tx_packets = session->used.tx_packets + session->live.tx_packets,
		.tx_bytes = session->used.tx_bytes + session->live.tx_bytes,
	};
}

void usage_end(struct session_mgr *mgr, struct session *session) {
	usage_read(mgr, session);
	session->used = usage_total(session);
	session->folded = session->live;
	session->folded_generation = session->live_generation;
	session->live = (struct session_usage){0};
	session->live_generation = 0;
}

void usage_end_replaced(struct session_mgr *mgr, struct session *session) {
	const struct session_usage *before = &session->folded;
	struct session_usage read, *used = &session->used;
	uint32_t generation;

	if (session->folded_generation && read_stats(mgr, session, &read, &generation) &&
		generation == session->folded_generation) {
		used->rx_packets += read.rx_packets - before->rx_packets;
		used->rx_bytes += read.rx_bytes - before->rx_bytes;
		used->tx_packets += read.tx_packets - before->tx_packets;
		used->tx_bytes += read.tx_bytes - before->tx_bytes;
	}
	session->folded_generation = 0;
}

// True when it was saved.
static bool save_changed(struct session_mgr *mgr, struct session *session, uint64_t now_s) {
	uint64_t packets = session->live.rx_packets + session->live.tx_packets;

	if (session->connecting || packets == session->usage_saved_packets ||
		now_s - session->usage_saved_s < SAVE_S)
		return false;
	return session_save(mgr, session, NULL, NULL) == 0;
}

void usage_tick(struct session_mgr *mgr) {
	uint32_t many = mgr->index_end / SWEEP_S + 1;
	unsigned nb_saved = 0;
	uint64_t now_s = clock_s();

	if (!mgr->reconciled)
		return;
	if (mgr->usage_sweep >= mgr->index_end)
		mgr->usage_sweep = 0;
	for (uint32_t n = many < SWEEP_MIN ? SWEEP_MIN : many;
		n > 0 && nb_saved < SAVES_A_TICK && mgr->usage_sweep < mgr->index_end;
		n--, mgr->usage_sweep++) {
		struct session *session = mgr->table[mgr->usage_sweep];

		if (!session || !session->installed)
			continue;
		usage_read(mgr, session);
		nb_saved += save_changed(mgr, session, now_s);
	}
}

void usage_read_all(struct session_mgr *mgr) {
	for (uint32_t i = 0; i < mgr->index_end; i++)
		if (mgr->table[i] && mgr->table[i]->installed)
			usage_read(mgr, mgr->table[i]);
}
