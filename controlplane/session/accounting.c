// SPDX-License-Identifier: GPL-3.0-or-later
// Makes accounting records and keeps them until a server has them. Called as accounting.h says.
#include "controlplane/session/accounting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/proc/bytes.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

#define BUCKETS 16384u // power of two
#define RETRY_MIN_S 5u
#define RETRY_MAX_S 300u
#define INTERIMS_A_TICK 1024u
#define RESAVES_A_TICK 1024u

enum item_state {
	ITEM_FRESH, // not on disk yet
	ITEM_BEHIND, // an earlier record of the session goes first
	ITEM_READY,
	ITEM_SENT,
	ITEM_LATER, // from retry_s on
};

struct item {
	TAILQ_ENTRY(item) by_session; // in its bucket, in order of numbers
	TAILQ_ENTRY(item) in_state; // in ready, sent or later; nowhere behind another
	TAILQ_ENTRY(item) in_interims;
	struct session_mgr *mgr;
	enum item_state state;
	unsigned tries;
	uint64_t retry_s; // CLOCK_MONOTONIC
	struct record_acct record;
};
TAILQ_HEAD(items, item);

struct accounting {
	struct items buckets[BUCKETS];
	struct items ready, sent, later; // later: by retry_s
	struct items interims; // the oldest first
	unsigned nb_sent;
	uint32_t nb_items, items_max;
	uint64_t last_number;
	bool outage; // the last answer was that no server has acknowledged
	uint32_t resave; // next bucket whose records are stored once more; BUCKETS: none
	struct session_queue due; // sessions by interim_due
};

static bool enabled(const struct session_mgr *mgr) {
	return mgr->cfg->radius.accounting && mgr->cfg->radius.nb_servers > 0;
}

// --- the queue ---

static struct items *bucket(struct accounting *accounting, const char *session_id) {
	uint32_t hash = 2166136261u;

	while (*session_id)
		hash = (hash ^ (uint8_t)*session_id++) * 16777619u;
	return &accounting->buckets[(hash ^ hash >> 16) & (BUCKETS - 1)];
}

static bool is_of(const struct item *item, const char *session_id) {
	return strcmp(item->record.acct.session_id, session_id) == 0;
}

static struct item *first_of(struct accounting *accounting, const char *session_id) {
	struct item *item;

	TAILQ_FOREACH(item, bucket(accounting, session_id), by_session)
		if (is_of(item, session_id))
			return item;
	return NULL;
}

static struct item *last_of(struct accounting *accounting, const char *session_id) {
	struct item *item;

	TAILQ_FOREACH_REVERSE(item, bucket(accounting, session_id), items, by_session)
	if (is_of(item, session_id))
		return item;
	return NULL;
}

static struct items *list_of(struct accounting *accounting, enum item_state state) {
	return state == ITEM_READY    ? &accounting->ready
		: state == ITEM_SENT  ? &accounting->sent
		: state == ITEM_LATER ? &accounting->later
				      : NULL;
}

static void state_set(struct accounting *accounting, struct item *item, enum item_state state) {
	struct items *from = list_of(accounting, item->state), *to = list_of(accounting, state);
	struct item *before;

	if (from)
		TAILQ_REMOVE(from, item, in_state);
	accounting->nb_sent += (state == ITEM_SENT) - (item->state == ITEM_SENT);
	item->state = state;
	if (state != ITEM_LATER) {
		if (to)
			TAILQ_INSERT_TAIL(to, item, in_state);
		return;
	}
	before = TAILQ_LAST(to, items);
	while (before && before->retry_s > item->retry_s)
		before = TAILQ_PREV(before, items, in_state);
	if (before)
		TAILQ_INSERT_AFTER(to, before, item, in_state);
	else
		TAILQ_INSERT_HEAD(to, item, in_state);
}

static struct item *item_new(struct session_mgr *mgr, const struct record_acct *record) {
	struct accounting *accounting = mgr->accounting;
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	item->mgr = mgr;
	item->record = *record;
	TAILQ_INSERT_TAIL(bucket(accounting, record->acct.session_id), item, by_session);
	if (record->acct.kind == IPC_ACCT_INTERIM)
		TAILQ_INSERT_TAIL(&accounting->interims, item, in_interims);
	accounting->nb_items++;
	return item;
}

// It is on disk: it may go when it is its turn.
static void item_stored(struct accounting *accounting, struct item *item) {
	bool first = first_of(accounting, item->record.acct.session_id) == item;

	state_set(accounting, item, first ? ITEM_READY : ITEM_BEHIND);
}

// The next of its session may go.
static void item_free(struct accounting *accounting, struct item *item) {
	struct items *list = list_of(accounting, item->state);
	struct item *next;

	if (list)
		TAILQ_REMOVE(list, item, in_state);
	accounting->nb_sent -= item->state == ITEM_SENT;
	TAILQ_REMOVE(bucket(accounting, item->record.acct.session_id), item, by_session);
	if (item->record.acct.kind == IPC_ACCT_INTERIM)
		TAILQ_REMOVE(&accounting->interims, item, in_interims);
	accounting->nb_items--;
	next = first_of(accounting, item->record.acct.session_id);
	if (next && next->state == ITEM_BEHIND)
		state_set(accounting, next, ITEM_READY);
	free(item);
}

static void item_drop(struct session_mgr *mgr, struct item *item) {
	if (store_acct_del(mgr->store, item->record.acct.hdr.req) != 0)
		log_error("store_delete", "accounting=%llu",
			(unsigned long long)item->record.acct.hdr.req);
	item_free(mgr->accounting, item);
}

// --- sending ---

static void pump(struct session_mgr *mgr) {
	struct accounting *accounting = mgr->accounting;
	struct item *item;

	while (accounting->nb_sent < ACCOUNTING_WINDOW &&
		(item = TAILQ_FIRST(&accounting->ready)) != NULL) {
		struct ipc_acct msg = item->record.acct;

		if (mgr->opts.send(IPC_RADIUS, 0, IPC_ACCT, &msg.hdr, sizeof(msg), mgr->opts.arg) !=
			0)
			return; // tried again by the tick, or when the process comes back
		state_set(accounting, item, ITEM_SENT);
	}
}

static void all_ready(struct accounting *accounting, struct items *list) {
	while (!TAILQ_EMPTY(list))
		state_set(accounting, TAILQ_FIRST(list), ITEM_READY);
}

void accounting_radius_up(struct session_mgr *mgr) {
	if (!mgr->loaded)
		return;
	all_ready(mgr->accounting, &mgr->accounting->sent);
	pump(mgr);
}

static void outage_set(struct session_mgr *mgr, bool outage) {
	struct accounting *accounting = mgr->accounting;

	if (accounting->outage == outage)
		return;
	accounting->outage = outage;
	if (outage) {
		log_warning("accounting", "waiting=%u text=%s", accounting->nb_items,
			"\"no server acknowledges: records are kept and sent again\"");
		return;
	}
	log_info("accounting", "waiting=%u text=\"a server acknowledges again\"",
		accounting->nb_items);
	all_ready(accounting, &accounting->later);
}

static void send_later(struct accounting *accounting, struct item *item) {
	uint64_t pause = (uint64_t)RETRY_MIN_S << (item->tries < 8 ? item->tries : 8);

	item->tries++;
	item->retry_s = clock_s() + (pause < RETRY_MAX_S ? pause : RETRY_MAX_S);
	state_set(accounting, item, ITEM_LATER);
}

int accounting_done(struct session_mgr *mgr, const struct ipc_acct_done *msg) {
	struct accounting *accounting = mgr->accounting;
	struct item *item;

	if (msg->status > 0)
		return -EPROTO;
	TAILQ_FOREACH(item, &accounting->sent, in_state)
		if (item->record.acct.hdr.req == msg->hdr.req)
			break;
	if (!item)
		return 0; // answered twice: it was sent again in between
	if (msg->status == 0)
		item_drop(mgr, item);
	else
		send_later(accounting, item);
	outage_set(mgr, msg->status != 0);
	pump(mgr);
	return 0;
}

// --- keeping ---

// A fresh one is not freed before this (make_room(), replaceable()).
static void on_stored(int status, void *arg) {
	struct item *item = arg;

	if (status != 0)
		log_error("accounting", "status=%d text=%s", status,
			"\"a record could not be stored: a crash now would lose it\"");
	if (item && item->state == ITEM_FRESH) {
		item_stored(item->mgr->accounting, item);
		pump(item->mgr);
	}
}

// Which of them the store did not take is not known: a replaced one has nobody to tell.
void accounting_resave(struct session_mgr *mgr) {
	mgr->accounting->resave = 0;
}

static void resave_some(struct session_mgr *mgr) {
	struct accounting *accounting = mgr->accounting;
	struct item *item;

	if (store_fault(mgr->store) != 0)
		return;
	for (unsigned n = 0; n < RESAVES_A_TICK && accounting->resave < BUCKETS;
		accounting->resave++) {
		TAILQ_FOREACH(item, &accounting->buckets[accounting->resave], by_session) {
			if (item->state == ITEM_FRESH)
				continue; // on its way
			if (store_acct_put(mgr->store, &item->record, NULL, NULL) != 0)
				return;
			n++;
		}
	}
}

// The oldest Interim-Update that is not on its way: those after it say more.
static bool make_room(struct session_mgr *mgr) {
	struct accounting *accounting = mgr->accounting;
	struct item *item;

	if (accounting->nb_items < accounting->items_max)
		return true;
	TAILQ_FOREACH(item, &accounting->interims, in_interims)
		if (item->state != ITEM_SENT && item->state != ITEM_FRESH) {
			item_drop(mgr, item);
			return true;
		}
	return false;
}

// The newest record of a session that is not on its way and says less than this one.
static struct item *replaceable(struct accounting *accounting, const struct ipc_acct *acct) {
	struct item *last = acct->kind == IPC_ACCT_START ? NULL
							 : last_of(accounting, acct->session_id);

	return last && last->record.acct.kind == IPC_ACCT_INTERIM && last->state != ITEM_SENT
		? last
		: NULL;
}

static void keep(struct session_mgr *mgr, struct record_acct *record) {
	struct accounting *accounting = mgr->accounting;
	struct item *item = replaceable(accounting, &record->acct), *fresh = NULL;

	if (item) {
		record->acct.hdr.req = item->record.acct.hdr.req;
		if (record->acct.kind != IPC_ACCT_INTERIM)
			TAILQ_REMOVE(&accounting->interims, item, in_interims);
		item->record = *record;
	} else {
		record->acct.hdr.req = ++accounting->last_number;
		item = fresh = make_room(mgr) ? item_new(mgr, record) : NULL;
	}
	if (!item) {
		log_error("accounting_lost", "user=%s session=%s kind=%u waiting=%u",
			log_value(record->acct.username), record->acct.session_id,
			record->acct.kind, accounting->nb_items);
		return;
	}
	if (store_acct_put(mgr->store, record, on_stored, fresh) != 0)
		on_stored(-ENOBUFS, fresh);
}

// --- records ---

static uint32_t terminate_cause(enum abi_end reason) {
	switch (reason) { // RFC 2866, 5.10
	case ABI_END_USER:
		return 1; // User Request
	case ABI_END_DPD:
		return 2; // Lost Carrier
	case ABI_END_IDLE:
		return 4; // Idle Timeout
	case ABI_END_SESSION_TIMEOUT:
		return 5; // Session Timeout
	case ABI_END_SERVER:
		return 6; // Admin Reset
	case ABI_END_DISPLACED:
		return 13; // Port Preempted: the user's own newer session has its place
	case ABI_END_ERROR:
		return 17; // User Error
	default:
		return 3; // Lost Service
	}
}

uint64_t accounting_id(const struct session *session) {
	return bytes_get(session->cookie_hash, 8);
}

static void make_record(struct session_mgr *mgr, struct session *session, enum ipc_acct_kind kind,
	uint64_t when, struct record_acct *record) {
	struct ipc_acct *acct = &record->acct;
	struct session_usage used;

	usage_read(mgr, session);
	used = usage_total(session);
	record_acct_init(record);
	acct->kind = kind;
	acct->event_time = when;
	acct->session_time = when > session->accounted ? when - session->accounted : 0;
	acct->rx_bytes = used.rx_bytes;
	acct->tx_bytes = used.tx_bytes;
	acct->rx_packets = used.rx_packets;
	acct->tx_packets = used.tx_packets;
	acct->remote = session->remote;
	acct->local = session->local;
	acct->inner4 = session->inner4;
	acct->inner6 = session->inner6;
	snprintf(acct->session_id, sizeof(acct->session_id), "%016llx",
		(unsigned long long)accounting_id(session));
	session_facts_get(session, &acct->facts);
	snprintf(acct->username, sizeof(acct->username), "%s", session->str[STR_USER]);
	snprintf(acct->agent, sizeof(acct->agent), "%s", session->str[STR_AGENT]);
}

// Nearly always the last: most sessions have the same interval.
static void interim_set(struct session_mgr *mgr, struct session *session, uint64_t due) {
	struct accounting *accounting = mgr->accounting;
	struct session *before;

	if (session->interim_due)
		TAILQ_REMOVE(&accounting->due, session, by_interim);
	session->interim_due = due;
	if (!due)
		return;
	before = TAILQ_LAST(&accounting->due, session_queue);
	while (before && before->interim_due > due)
		before = TAILQ_PREV(before, session_queue, by_interim);
	if (before)
		TAILQ_INSERT_AFTER(&accounting->due, before, session, by_interim);
	else
		TAILQ_INSERT_HEAD(&accounting->due, session, by_interim);
}

static void interim_next(struct session_mgr *mgr, struct session *session) {
	const struct ipc_user_settings *own = session->extra;
	uint32_t interval = own && own->set & IPC_SET_INTERIM ? own->interim_interval
							      : mgr->cfg->radius.interim_interval;
	uint64_t now = session_now(), begun = session->accounted;

	// Counted from the start, so that a restart of ours does not make all come at once.
	interim_set(mgr, session,
		!interval	      ? 0
			: now < begun ? now + interval
				      : begun + ((now - begun) / interval + 1) * interval);
}

void accounting_start(struct session_mgr *mgr, struct session *session) {
	struct record_acct record;

	if (!mgr->loaded || !enabled(mgr) || session->accounted)
		return;
	session->accounted = session_now();
	make_record(mgr, session, IPC_ACCT_START, session->accounted, &record);
	// Both are in one commit: there is a Start of each session that will have a Stop.
	if (session_save(mgr, session, NULL, NULL) != 0)
		log_error("accounting", "session=%u text=\"its start could not be stored\"",
			session->sid.index);
	keep(mgr, &record);
	interim_next(mgr, session);
}

void accounting_interval(struct session_mgr *mgr, struct session *session) {
	if (session->accounted)
		interim_next(mgr, session);
}

void accounting_stop(struct session_mgr *mgr, struct session *session) {
	struct record_acct record;
	bool away = session->state == SESSION_DISCONNECTED && session->disconnected;

	interim_set(mgr, session, 0);
	if (!session->accounted)
		return;
	make_record(
		mgr, session, IPC_ACCT_STOP, away ? session->disconnected : session_now(), &record);
	record.acct.cause = terminate_cause((enum abi_end)session->last_end);
	session->accounted = 0;
	keep(mgr, &record);
}

static void interims_due(struct session_mgr *mgr) {
	uint64_t now = session_now();
	struct session *session;

	for (unsigned n = 0; n < INTERIMS_A_TICK; n++) {
		struct record_acct record;

		session = TAILQ_FIRST(&mgr->accounting->due);
		if (!session || session->interim_due > now)
			return;
		interim_next(mgr, session);
		if (session->state != SESSION_CONNECTED)
			continue; // nothing has changed
		make_record(mgr, session, IPC_ACCT_INTERIM, now, &record);
		keep(mgr, &record);
	}
}

void accounting_tick(struct session_mgr *mgr) {
	struct accounting *accounting = mgr->accounting;
	uint64_t now = clock_s();
	struct item *item;

	interims_due(mgr);
	resave_some(mgr);
	while ((item = TAILQ_FIRST(&accounting->later)) != NULL && item->retry_s <= now)
		state_set(accounting, item, ITEM_READY);
	pump(mgr);
}

uint32_t accounting_waiting(const struct session_mgr *mgr) {
	return mgr->accounting->nb_items;
}

// --- life ---

static void load_item(const struct record_acct *record, void *arg) {
	struct session_mgr *mgr = arg;
	struct item *item = item_new(mgr, record);

	if (record->acct.hdr.req > mgr->accounting->last_number)
		mgr->accounting->last_number = record->acct.hdr.req;
	if (item)
		item_stored(mgr->accounting, item);
	else
		log_error("accounting", "text=\"no memory for a record: it stays in the store\"");
}

int accounting_load(struct session_mgr *mgr) {
	struct accounting *accounting = mgr->accounting;
	int ret = store_acct_load(mgr->store, load_item, mgr);

	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < mgr->index_end; i++)
		if (mgr->table[i] && mgr->table[i]->accounted)
			interim_next(mgr, mgr->table[i]);
	if (accounting->nb_items)
		log_info("accounting", "waiting=%u text=\"taken up from the store\"",
			accounting->nb_items);
	pump(mgr);
	return 0;
}

struct accounting *accounting_new(struct session_mgr *mgr) {
	struct accounting *accounting = calloc(1, sizeof(*accounting));
	uint32_t max = mgr->cfg->dataplane.sessions_max;

	if (!accounting)
		return NULL;
	for (uint32_t i = 0; i < BUCKETS; i++)
		TAILQ_INIT(&accounting->buckets[i]);
	TAILQ_INIT(&accounting->ready);
	TAILQ_INIT(&accounting->sent);
	TAILQ_INIT(&accounting->later);
	TAILQ_INIT(&accounting->interims);
	TAILQ_INIT(&accounting->due);
	accounting->resave = BUCKETS;
	accounting->items_max = max < ACCOUNTING_KEPT_MIN ? ACCOUNTING_KEPT_MIN
		: max > ACCOUNTING_KEPT_MAX		  ? ACCOUNTING_KEPT_MAX
							  : max;
	return accounting;
}

void accounting_free(struct accounting *accounting) {
	if (!accounting)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++)
		while (!TAILQ_EMPTY(&accounting->buckets[i])) {
			struct item *item = TAILQ_FIRST(&accounting->buckets[i]);

			TAILQ_REMOVE(&accounting->buckets[i], item, by_session);
			free(item);
		}
	free(accounting);
}
