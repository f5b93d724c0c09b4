// SPDX-License-Identifier: GPL-3.0-or-later
// The session table: adds, removes, channels. Called by the control thread; found by everybody.
#include "dataplane/table/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "dataplane/proto/dtls12.h"
#include "dataplane/table/session_index.h"
#include "dataplane/table/slab.h"
#include "dataplane/worker.h"

#define PREVIOUS_KEPT_S 15u // records on their way under the keys before

static struct dp_session *_Atomic *slots; // by index
static struct abi_session_stats *stats, *private_stats;
static uint32_t sessions_max, sessions_count;
static struct dp_slab session_slab, dtls_slab;
static struct dp_dtls *retired; // previous channels, oldest last
static uint64_t now_s;

int dp_session_table_init(uint32_t max, struct abi_session_stats *session_stats) {
	int rc;

	if (max == 0 || max > ABI_SESSIONS_MAX)
		return -EINVAL;
	rc = session_index_init(max);
	if (rc != 0)
		return rc;
	slots = dp_table_alloc(max, sizeof(*slots));
	if (session_stats == NULL)
		session_stats = private_stats = calloc(max, sizeof(*private_stats));
	stats = session_stats;
	sessions_max = max;
	sessions_count = 0;
	// one more of each may wait for a grace period or for records on their way
	dp_slab_init(&session_slab, sizeof(struct dp_session), 2 * max);
	dp_slab_init(&dtls_slab, sizeof(struct dp_dtls), 3 * max);
	if (slots != NULL && stats != NULL)
		return 0;
	dp_session_table_fini();
	return -ENOMEM;
}

int dp_session_pools_set(const struct cfg *cfg) {
	return session_index_pools(cfg);
}

uint32_t dp_session_max(void) {
	return sessions_max;
}

uint32_t dp_session_count(void) {
	return __atomic_load_n(&sessions_count, __ATOMIC_RELAXED);
}

struct dp_session *dp_session_at(uint32_t index) {
	return index < sessions_max ? atomic_load_explicit(&slots[index], memory_order_acquire)
				    : NULL;
}

struct dp_session *dp_session_get(struct abi_sid sid) {
	struct dp_session *session = dp_session_at(sid.index);

	return session != NULL && session->sid.generation == sid.generation ? session : NULL;
}

// Channels.

static void dtls_free(struct dp_dtls *dtls) {
	if (dtls == NULL)
		return;
	dp_key_free(dtls->rx_key);
	dp_key_free(dtls->tx_key);
	dp_slab_put(&dtls_slab, dtls);
}

static void dtls_release(struct dp_reclaim *reclaim) {
	dtls_free((struct dp_dtls *)((char *)reclaim - offsetof(struct dp_dtls, reclaim)));
}

static struct dp_dtls *dtls_new(const struct abi_cmd_dtls_set *set, struct abi_sid sid) {
	struct dp_dtls *dtls = dp_slab_get(&dtls_slab);

	if (dtls == NULL)
		return NULL;
	dtls->rx_key = dp_key_new(set->cipher, set->rx.key, false, DTLS12_AAD_LEN);
	dtls->tx_key = dp_key_new(set->cipher, set->tx.key, true, DTLS12_AAD_LEN);
	if (dtls->rx_key == NULL || dtls->tx_key == NULL) {
		dtls_free(dtls);
		return NULL;
	}
	memcpy(dtls->rx_iv, set->rx.iv, sizeof(dtls->rx_iv));
	memcpy(dtls->tx_iv, set->tx.iv, sizeof(dtls->tx_iv));
	dtls->cipher = set->cipher;
	dtls->epoch = set->epoch;
	dtls->rx_cipher = set->cipher;
	dtls->rx_epoch = set->epoch;
	dtls->tx_seq = set->tx.seq;
	dp_replay_start(&dtls->replay, set->rx.seq);
	dtls->tuple = set->tuple;
	dtls->sid = sid;
	return dtls;
}

// Takes a previous channel out of use: no reader finds it after a grace period.
static void previous_drop(struct dp_dtls *dtls) {
	struct dp_session *session = dp_session_get(dtls->sid);
	struct dp_dtls *current = NULL;

	for (struct dp_dtls **at = &retired; *at != NULL; at = &(*at)->retire_next) {
		if (*at != dtls)
			continue;
		*at = dtls->retire_next;
		break;
	}
	if (session != NULL) {
		atomic_store_explicit(&session->dtls_prev, NULL, memory_order_release);
		current = atomic_load_explicit(&session->dtls, memory_order_relaxed);
		// the hash's copy is compared, not the one that the owner writes
		if (current == NULL || !dp_tuple_equal(&session->hashed, &dtls->hashed))
			session_index_tuple_del(&dtls->hashed, session);
	}
	dp_reclaim(&dtls->reclaim, dtls_release);
}

static void older_drop(struct dp_session *session) {
	struct dp_dtls *older = atomic_load_explicit(&session->dtls_prev, memory_order_relaxed);

	if (older != NULL)
		previous_drop(older);
}

static void previous_keep(struct dp_session *session, struct dp_dtls *dtls) {
	if (dtls == NULL)
		return;
	dtls->hashed = session->hashed;
	dtls->retire_s = now_s + PREVIOUS_KEPT_S;
	dtls->retire_next = retired;
	retired = dtls;
	atomic_store_explicit(&session->dtls_prev, dtls, memory_order_release);
}

void dp_session_tick(uint64_t monotonic_s) {
	struct dp_dtls *dtls = retired;

	now_s = monotonic_s;
	while (dtls != NULL) {
		struct dp_dtls *next = dtls->retire_next;

		if (dtls->retire_s <= now_s)
			previous_drop(dtls);
		dtls = next;
	}
}

int dp_session_dtls_set(const struct abi_cmd *cmd) {
	const struct abi_cmd_dtls_set *set = &cmd->dtls_set;
	struct dp_session *session = dp_session_get(cmd->sid);
	struct dp_dtls *dtls;
	int rc;

	if (session == NULL)
		return -ESTALE;
	dtls = dtls_new(set, cmd->sid);
	if (dtls == NULL)
		return errno == EINVAL ? -EINVAL : -ENOSPC;
	older_drop(session); // first: the client may be back at that one's address
	rc = session_index_tuple_add(&set->tuple, session);
	if (rc != 0) {
		dtls_free(dtls);
		return rc;
	}
	session_index_remote_set(cmd->sid.index, &set->tuple.remote);
	session->dtls_mtu = set->mtu;
	previous_keep(
		session, atomic_exchange_explicit(&session->dtls, dtls, memory_order_acq_rel));
	session->hashed = set->tuple;
	return 0;
}

int dp_session_dtls_clear(struct abi_sid sid) {
	struct dp_session *session = dp_session_get(sid);
	struct dp_dtls *dtls;

	if (session == NULL)
		return -ESTALE;
	dtls = atomic_exchange_explicit(&session->dtls, NULL, memory_order_acq_rel);
	session_index_remote_clear(sid.index);
	if (dtls == NULL)
		return 0;
	session_index_tuple_del(&session->hashed, session);
	dp_reclaim(&dtls->reclaim, dtls_release);
	return 0;
}

// The owner has written the new addresses into its dp_dtls already; `hashed` are the old ones. Without
// a channel nothing may enter the index: dp_session_dtls_clear would not take it out again. While the
// owner writes, it compares as another: the event of that comes later.
int dp_session_tuple_set(struct dp_session *session, const struct abi_tuple *tuple) {
	const struct dp_dtls *dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);
	int rc;

	if (dtls == NULL || !dp_tuple_equal(&dtls->tuple, tuple))
		return -ENOENT;
	rc = session_index_tuple_add(tuple, session);
	if (rc != 0)
		return rc;
	if (!dp_tuple_equal(tuple, &session->hashed))
		session_index_tuple_del(&session->hashed, session);
	session->hashed = *tuple;
	session_index_remote_set(session->sid.index, &tuple->remote);
	return 0;
}

// Sessions.

void dp_session_filter_set(struct dp_session *session, struct dp_filter *filter) {
	struct dp_filter *before = atomic_exchange_explicit(
		&session->filter, filter, memory_order_acq_rel);

	// behind the pointer: who sees the flag sees a filter, or that it has gone again
	atomic_store_explicit(&session->filtered, filter != NULL, memory_order_release);
	dp_filter_put(before);
}

static int add_check(const struct abi_cmd *cmd) {
	const struct abi_cmd_session_add *add = &cmd->session_add;

	if (cmd->sid.index >= sessions_max)
		return -ENOSPC;
	if (cmd->sid.generation == 0)
		return -EINVAL;
	if (dp_session_at(cmd->sid.index) != NULL)
		return -EEXIST;
	return session_index_inner_check(&add->inner4, &add->inner6, add->inner6_prefix);
}

static struct dp_session *session_new(const struct abi_cmd *cmd) {
	const struct abi_cmd_session_add *add = &cmd->session_add;
	struct dp_session *session = dp_slab_get(&session_slab);
	uint64_t now = rte_rdtsc();

	if (session == NULL)
		return NULL;
	session->sid = cmd->sid;
	session->owner = (uint16_t)(cmd->sid.index % dp_nb_workers);
	dp_session_policy_set(session, &add->policy);
	session->inner4 = addr_none(&add->inner4) ? 0 : addr_get4(&add->inner4);
	session->has6 = !addr_none(&add->inner6);
	memcpy(session->inner6, add->inner6.bytes, sizeof(session->inner6));
	session->inner6_prefix = add->inner6_prefix;
	session->stats = &stats[cmd->sid.index];
	session->started = session->last_rx = session->last_dtls_rx = now;
	session->last_tx = session->last_data = session->last_probe = now;
	return session;
}

static void stats_start(const struct dp_session *session) {
	struct abi_session_stats *s = session->stats;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	__atomic_store_n(&s->generation, 0, __ATOMIC_RELEASE);
	*s = (struct abi_session_stats){
		.worker = session->owner,
		.last_rx_s = (uint32_t)ts.tv_sec,
		.last_data_s = (uint32_t)ts.tv_sec,
	};
	__atomic_store_n(&s->generation, session->sid.generation, __ATOMIC_RELEASE);
}

int dp_session_add(const struct abi_cmd *cmd) {
	const struct abi_cmd_session_add *add = &cmd->session_add;
	struct dp_filter *filter = NULL;
	struct dp_session *session;
	int rc = add_check(cmd);

	if (rc != 0)
		return rc;
	if (add->policy.filter != 0) {
		filter = dp_filter_get(add->policy.filter);
		if (filter == NULL)
			return -ENOENT;
	}
	session = session_new(cmd);
	if (session == NULL) {
		dp_filter_put(filter);
		return -ENOMEM;
	}
	session->dscp = add->policy.dscp;
	dp_session_filter_set(session, filter); // before anybody finds it
	stats_start(session);
	atomic_store_explicit(&slots[cmd->sid.index], session, memory_order_release);
	session_index_inner_set(session, &add->inner4, &add->inner6);
	__atomic_store_n(&sessions_count, sessions_count + 1, __ATOMIC_RELAXED);
	return 0;
}

static void session_release(struct dp_reclaim *reclaim) {
	struct dp_session *session = (struct dp_session *)((char *)reclaim -
		offsetof(struct dp_session, reclaim));

	dp_slab_put(&session_slab, session);
}

static void inner_addresses(
	const struct dp_session *session, struct abi_addr *inner4, struct abi_addr *inner6) {
	memset(inner4, 0, sizeof(*inner4));
	if (session->inner4 != 0) {
		inner4->bytes[10] = inner4->bytes[11] = 0xff;
		memcpy(inner4->bytes + 12, &session->inner4, sizeof(session->inner4));
	}
	memcpy(inner6->bytes, session->inner6, sizeof(inner6->bytes));
}

void dp_session_addresses(
	const struct dp_session *session, struct abi_addr *inner4, struct abi_addr *inner6) {
	inner_addresses(session, inner4, inner6);
}

int dp_session_del(struct abi_sid sid, enum abi_end reason) {
	struct dp_session *session = dp_session_get(sid);
	struct abi_addr inner4, inner6;

	if (session == NULL)
		return -ESTALE;
	inner_addresses(session, &inner4, &inner6);
	session_index_inner_clear(&inner4, &inner6);
	// `filter` stays for who still holds the session: it is freed no sooner than that
	dp_filter_put(atomic_load_explicit(&session->filter, memory_order_relaxed));
	older_drop(session);
	dp_session_dtls_clear(sid);
	atomic_store_explicit(&slots[sid.index], NULL, memory_order_release);
	__atomic_store_n(&session->stats->generation, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&sessions_count, sessions_count - 1, __ATOMIC_RELAXED);
	dp_reclaim(&session->reclaim, session_release);
	return 0;
}

void dp_session_table_fini(void) {
	for (uint32_t i = 0; slots != NULL && i < sessions_max; i++) {
		struct dp_session *session = dp_session_at(i);

		if (session != NULL)
			dp_session_del(session->sid, ABI_END_SERVER);
	}
	if (slots != NULL)
		dp_reclaim_flush();
	dp_filters_fini();
	session_index_fini();
	dp_slab_fini(&session_slab);
	dp_slab_fini(&dtls_slab);
	free((void *)slots);
	free(private_stats);
	slots = NULL;
	stats = private_stats = NULL;
	sessions_max = sessions_count = 0;
}
