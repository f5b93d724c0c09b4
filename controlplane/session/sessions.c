// SPDX-License-Identifier: GPL-3.0-or-later
// Table of sessions: cookies, logins, limits, timers, ends. Called by role.c, connect.c and
// reconcile.c.
#include "controlplane/ipc/addr.h"
#include "controlplane/session/sessions.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/proc/bytes.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"

#define TICK_S 1
#define DRAIN_SCRIPTS_S 30u // beyond the time limit, disconnect scripts are not waited for

uint64_t session_now(void) {
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

// --- look-up ---

// Cookie hashes and application ids are random already.
static struct session_list *bucket_random(struct session_list *table, const uint8_t *key) {
	uint32_t hash;

	memcpy(&hash, key, sizeof(hash));
	return &table[hash & (SESSION_BUCKETS - 1)];
}

static struct session_list *bucket_user(struct session_mgr *mgr, const char *user) {
	uint32_t hash = 2166136261u;

	while (*user)
		hash = (hash ^ (uint8_t)*user++) * 16777619u;
	return &mgr->by_user[(hash ^ hash >> 16) & (SESSION_BUCKETS - 1)];
}

struct session *session_find(struct session_mgr *mgr, const uint8_t cookie_hash[IPC_HASH_LEN]) {
	struct session *session;

	LIST_FOREACH(session, bucket_random(mgr->by_cookie, cookie_hash), by_cookie) {
		if (memcmp(session->cookie_hash, cookie_hash, IPC_HASH_LEN) == 0)
			return session;
	}
	return NULL;
}

// Of the cookie's hash the first 8 bytes (accounting_id()), which choose the bucket, too.
struct session *session_find_accounting(struct session_mgr *mgr, uint64_t id) {
	struct session *session;
	uint8_t hash[8];

	bytes_put(hash, sizeof(hash), id);
	LIST_FOREACH(session, bucket_random(mgr->by_cookie, hash), by_cookie) {
		if (memcmp(session->cookie_hash, hash, sizeof(hash)) == 0)
			return session;
	}
	return NULL;
}

struct session *session_next_of_user(
	struct session_mgr *mgr, const char *user, const struct session *session) {
	struct session *next = session ? LIST_NEXT(session, by_user)
				       : LIST_FIRST(bucket_user(mgr, user));

	while (next && strcmp(next->str[STR_USER], user) != 0)
		next = LIST_NEXT(next, by_user);
	return next;
}

struct session *session_find_app_id(struct session_mgr *mgr, const uint8_t app_id[IPC_APP_ID_LEN]) {
	struct session *session;

	LIST_FOREACH(session, bucket_random(mgr->by_app_id, app_id), by_app_id) {
		if (memcmp(session->app_id, app_id, IPC_APP_ID_LEN) == 0)
			return session;
	}
	return NULL;
}

struct session *session_get(struct session_mgr *mgr, struct abi_sid sid) {
	struct session *session = sid.index < ABI_SESSIONS_MAX ? mgr->table[sid.index] : NULL;

	return session && sid.generation && session->sid.generation == sid.generation ? session
										      : NULL;
}

unsigned session_count_user(struct session_mgr *mgr, const char *user, const struct session *but) {
	struct session *session;
	unsigned nb = 0;

	LIST_FOREACH(session, bucket_user(mgr, user), by_user) {
		if (session != but && session->state != SESSION_DISCONNECTED &&
			strcmp(session->str[STR_USER], user) == 0)
			nb++;
	}
	return nb;
}

uint32_t session_limit(const struct session_mgr *mgr) {
	uint32_t limit = mgr->cfg->dataplane.sessions_max;

	if (!limit || limit > ABI_SESSIONS_MAX)
		limit = ABI_SESSIONS_MAX;
	if (mgr->cfg->auth.max_clients && mgr->cfg->auth.max_clients < limit)
		limit = mgr->cfg->auth.max_clients;
	return limit;
}

// --- parts of a session ---

void session_string_set(struct session *session, enum session_string which, const char *text) {
	char *copy = strdup(text);

	if (!copy)
		return; // the old text stays
	free(session->str[which]);
	session->str[which] = copy;
}

int session_extra_set(struct session *session, const struct ipc_user_settings *settings) {
	if (ipc_user_settings_empty(settings)) {
		free(session->extra);
		session->extra = NULL;
		return 0;
	}
	if (!session->extra)
		session->extra = malloc(sizeof(*session->extra));
	if (!session->extra)
		return -ENOMEM;
	*session->extra = *settings;
	// They are the session's already.
	memset(session->extra->groups, 0, sizeof(session->extra->groups));
	return 0;
}

int session_facts_set(struct session *session, const struct ipc_acct_facts *facts) {
	free(session->facts);
	session->facts = NULL;
	session->authentic = facts->authentic;
	session->password_file = facts->password_file != 0;
	if (!facts->class_len)
		return 0;
	session->facts = malloc(sizeof(*session->facts));
	if (!session->facts)
		return -ENOMEM;
	*session->facts = *facts;
	return 0;
}

void session_facts_get(const struct session *session, struct ipc_acct_facts *facts) {
	memset(facts, 0, sizeof(*facts));
	if (session->facts)
		*facts = *session->facts;
	facts->authentic = session->authentic;
	facts->password_file = session->password_file;
}

void session_app_id_set(struct session_mgr *mgr, struct session *session, const uint8_t *app_id) {
	if (session->has_app_id)
		LIST_REMOVE(session, by_app_id);
	memcpy(session->app_id, app_id, IPC_APP_ID_LEN);
	session->has_app_id = true;
	LIST_INSERT_HEAD(bucket_random(mgr->by_app_id, app_id), session, by_app_id);
}

void session_state_set(struct session_mgr *mgr, struct session *session, enum session_state state) {
	if (session->state)
		mgr->nb_state[session->state]--;
	session->state = state;
	mgr->nb_state[state]++;
}

void session_timer_set(
	struct session_mgr *mgr, struct session *session, enum session_timer timer, uint64_t due) {
	struct session_queue *queue;
	struct session *before;

	if (session->timer != TIMER_NONE)
		TAILQ_REMOVE(&mgr->timer[session->timer - 1], session, by_due);
	session->timer = timer;
	session->due = due;
	if (timer == TIMER_NONE)
		return;
	// Nearly always the last: all timers of a kind run equally long.
	queue = &mgr->timer[timer - 1];
	before = TAILQ_LAST(queue, session_queue);
	while (before && before->due > due)
		before = TAILQ_PREV(before, session_queue, by_due);
	if (before)
		TAILQ_INSERT_AFTER(queue, before, session, by_due);
	else
		TAILQ_INSERT_HEAD(queue, session, by_due);
}

uint32_t session_index_take(struct session_mgr *mgr) {
	// Those of adopted sessions are still among them until the reconciliation has ended.
	while (mgr->nb_free) {
		uint32_t index = mgr->free[--mgr->nb_free];

		if (!mgr->table[index])
			return index;
	}
	return UINT32_MAX;
}

struct session *session_new(struct session_mgr *mgr, uint32_t index,
	const uint8_t cookie_hash[IPC_HASH_LEN], const char *user) {
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	for (int i = 0; i < STR_MAX; i++) {
		session->str[i] = strdup(i == STR_USER ? user : "");
		if (!session->str[i])
			goto fail;
	}
	session->sid.index = index;
	memcpy(session->cookie_hash, cookie_hash, IPC_HASH_LEN);
	mgr->table[index] = session;
	if (index >= mgr->index_end)
		mgr->index_end = index + 1;
	LIST_INSERT_HEAD(bucket_random(mgr->by_cookie, cookie_hash), session, by_cookie);
	LIST_INSERT_HEAD(bucket_user(mgr, user), session, by_user);
	return session;
fail:
	for (int i = 0; i < STR_MAX; i++)
		free(session->str[i]);
	free(session);
	return NULL;
}

static void session_free(struct session_mgr *mgr, struct session *session) {
	session_timer_set(mgr, session, TIMER_NONE, 0);
	LIST_REMOVE(session, by_cookie);
	LIST_REMOVE(session, by_user);
	if (session->has_app_id)
		LIST_REMOVE(session, by_app_id);
	scripts_forget(session);
	filters_release(session);
	share_forget(mgr, session);
	iroutes_release(mgr, session);
	mgr->table[session->sid.index] = NULL;
	mgr->nb_state[session->state]--;
	for (int i = 0; i < STR_MAX; i++)
		free(session->str[i]);
	free(session->extra);
	free(session->facts);
	explicit_bzero(session, sizeof(*session));
	free(session);
}

// --- the end of sessions ---

static void lease_save(struct session_mgr *mgr, const struct abi_addr *addr, const char *user) {
	struct record_lease record;

	record_lease_init(&record);
	record.addr = *addr;
	record.last_used = session_now();
	snprintf(record.user, sizeof(record.user), "%s", user);
	store_lease_put(mgr->store, &record);
}

static void release(struct session_mgr *mgr, struct session *session, struct abi_addr *addr) {
	if (abi_addr_none(addr))
		return;
	pools_release(mgr->pools, addr, session->sid.index, session_now());
	lease_save(mgr, addr, session->str[STR_USER]);
	memset(addr, 0, sizeof(*addr));
}

void session_delete(struct session_mgr *mgr, struct session *session, const char *why) {
	uint32_t index = session->sid.index;

	log_info("session_deleted", "session=%u user=%s reason=%s", index,
		log_value(session->str[STR_USER]), why);
	if (session->connecting)
		session_connect_fail(mgr, session, 401, "The session has ended");
	scripts_end(mgr, session, ABI_END_SESSION_TIMEOUT);
	accounting_stop(mgr, session);
	if (store_session_del(mgr->store, session->cookie_hash, NULL, NULL) != 0)
		log_error("store_delete", "session=%u", index);
	share_gone(mgr, session);
	release(mgr, session, &session->inner4);
	release(mgr, session, &session->inner6);
	session_free(mgr, session);
	mgr->free[mgr->nb_free++] = index;
}

void session_uninstall(struct session_mgr *mgr, struct session *session, enum abi_end reason) {
	struct abi_cmd cmd = {.type = ABI_CMD_SESSION_DEL,
		.sid = {session->sid.index, session->installed},
		.session_del = {.reason = reason}};

	if (!session->installed)
		return;
	session->installed = 0;
	session->channels = 0;
	filters_release(session);
	iroutes_release(mgr, session);
	// Detached: the next reconciliation finds it and deletes it.
	dplane_command(mgr->dplane, &cmd, NULL, NULL);
}

static bool cookie_dies(enum abi_end reason) {
	return reason == ABI_END_USER || reason == ABI_END_SERVER || reason == ABI_END_IDLE ||
		reason == ABI_END_SESSION_TIMEOUT || reason == ABI_END_DISPLACED;
}

static void log_end(const struct session *session, enum abi_end reason) {
	uint64_t now = session_now();

	log_info("disconnect",
		"session=%u.%u user=%s reason=%s duration=%llu rx_bytes=%llu tx_bytes=%llu",
		session->sid.index, session->sid.generation, log_value(session->str[STR_USER]),
		ipc_end_name(reason),
		(unsigned long long)(now > session->connected ? now - session->connected : 0),
		(unsigned long long)session->live.rx_bytes,
		(unsigned long long)session->live.tx_bytes);
}

void session_ended(struct session_mgr *mgr, struct session *session, enum abi_end reason) {
	uint64_t now = session_now();

	usage_read(mgr, session);
	log_end(session, reason);
	usage_end(mgr, session);
	scripts_end(mgr, session, reason);
	mgr->nb_ended++;
	session->installed = 0;
	session->channels = 0;
	filters_release(session);
	iroutes_release(mgr, session);
	session->dtls_cipher = 0;
	session->last_end = (uint8_t)reason;
	session->disconnected = now;
	session_state_set(mgr, session, SESSION_DISCONNECTED);
	if (cookie_dies(reason)) {
		session_delete(mgr, session, ipc_end_name(reason));
		return;
	}
	// A connection that lost its stream before has been counting since then.
	if (!session->expires)
		session->expires = now + mgr->cfg->auth.cookie_timeout;
	session_timer_set(mgr, session, TIMER_EXPIRY, session->expires);
	session_save(mgr, session, NULL, NULL);
}

// --- the sessions of one user ---

// Of those that count, the one that logged in first; with `waiting` only of those without a tunnel.
static struct session *oldest_of(
	struct session_mgr *mgr, const char *user, const struct session *but, bool waiting) {
	struct session *session, *oldest = NULL;

	LIST_FOREACH(session, bucket_user(mgr, user), by_user) {
		if (session == but || session->state == SESSION_DISCONNECTED ||
			(waiting && session->state != SESSION_AUTHENTICATED) ||
			strcmp(session->str[STR_USER], user) != 0)
			continue;
		// The list begins with the newest.
		if (!oldest || session->created <= oldest->created)
			oldest = session;
	}
	return oldest;
}

static void displace(struct session_mgr *mgr, struct session *session) {
	log_info("displaced", "session=%u.%u user=%s", session->sid.index, session->sid.generation,
		log_value(session->str[STR_USER]));
	if (session->state == SESSION_CONNECTED) {
		session_uninstall(mgr, session, ABI_END_DISPLACED);
		session_ended(mgr, session, ABI_END_DISPLACED);
	} else {
		session_delete(mgr, session, ipc_end_name(ABI_END_DISPLACED));
	}
}

void session_make_room(struct session_mgr *mgr, const struct session *session, uint32_t same) {
	const char *user = session->str[STR_USER];

	while (mgr->cfg->auth.replace_oldest && same &&
		session_count_user(mgr, user, session) >= same)
		displace(mgr, oldest_of(mgr, user, session, false));
}

// Whoever has a tunnel loses it only when the new one connects, unless the server is full; but
// logins alone are not collected without end either.
static bool room_to_log_in(struct session_mgr *mgr, const char *user, uint32_t same, bool full) {
	struct session *oldest;

	if (!same || session_count_user(mgr, user, NULL) < same)
		return true;
	if (!mgr->cfg->auth.replace_oldest)
		return false;
	oldest = oldest_of(mgr, user, NULL, true);
	if (!oldest && full)
		oldest = oldest_of(mgr, user, NULL, false);
	if (oldest && (full || session_count_user(mgr, user, NULL) >= 2 * same))
		displace(mgr, oldest);
	return true;
}

// --- login ---

struct login {
	struct session_mgr *mgr;
	uint64_t req;
	uint8_t cookie_hash[IPC_HASH_LEN];
};

static void login_answer(struct session_mgr *mgr, uint64_t req, int status) {
	struct ipc_session_created msg = {.hdr.req = req, .status = status};

	if (status != 0)
		mgr->nb_refused++;
	mgr->opts.send(IPC_AUTH, 0, IPC_SESSION_CREATED, &msg.hdr, sizeof(msg), mgr->opts.arg);
}

static void login_stored(int status, void *arg) {
	struct login *login = arg;
	struct session_mgr *mgr = login->mgr;
	struct session *session = session_find(mgr, login->cookie_hash);

	if (status != 0 && session)
		session_delete(mgr, session, "store");
	else if (session && share_login(mgr, session, login->req)) {
		free(login);
		return;
	} else if (session)
		mgr->nb_logins++;
	// -ENOSPC would say that there are too many clients.
	login_answer(mgr, login->req, !session ? -EIO : status == -ENOSPC ? -EDQUOT : status);
	free(login);
}

void session_login_shared(struct session_mgr *mgr, uint64_t req,
	const uint8_t cookie_hash[IPC_HASH_LEN], int status) {
	struct session *session = session_find(mgr, cookie_hash);

	if (!session)
		status = -EIO;
	else if (status != 0)
		session_delete(mgr, session, "shared-store");
	else
		mgr->nb_logins++;
	login_answer(mgr, req, status);
}

// Of the user's sessions, as the settings will be.
static uint32_t same_limit(const struct session_mgr *mgr, const struct ipc_session_new *msg) {
	struct settings settings;

	settings_compute(&settings, mgr->cfg,
		&(struct settings_who){
			msg->server_name, msg->group, msg->username, &msg->settings});
	return settings.max_same_clients;
}

static bool is_full(const struct session_mgr *mgr) {
	return !mgr->nb_free ||
		mgr->nb_state[SESSION_AUTHENTICATED] + mgr->nb_state[SESSION_CONNECTED] >=
		session_limit(mgr);
}

static int login_check(struct session_mgr *mgr, const struct ipc_session_new *msg) {
	uint32_t same = same_limit(mgr, msg);

	if (!mgr->loaded)
		return -EAGAIN; // auth asks again
	if (mgr->maintenance.draining)
		return -ESHUTDOWN; // edges refuse it before they ask for a password
	if (session_find(mgr, msg->cookie_hash))
		return -EIO;
	if (share_refuses(mgr))
		return -ENOLINK;
	if (!room_to_log_in(mgr, msg->username, same, is_full(mgr)))
		return -EUSERS;
	return is_full(mgr) ? -ENOSPC : 0;
}

static int login_store(
	struct session_mgr *mgr, struct session *session, const struct ipc_session_new *msg) {
	struct login *login = calloc(1, sizeof(*login));
	int ret;

	if (!login)
		return -ENOMEM;
	login->mgr = mgr;
	login->req = msg->hdr.req;
	memcpy(login->cookie_hash, msg->cookie_hash, IPC_HASH_LEN);
	ret = session_save(mgr, session, login_stored, login);
	if (ret != 0)
		free(login);
	return ret;
}

int session_login(struct session_mgr *mgr, const struct ipc_session_new *msg) {
	char text[ADDR_TEXT_LEN];
	struct session *session;
	uint32_t index;
	int ret;

	if (!ipc_str_ok(msg->username, sizeof(msg->username)) || !msg->username[0] ||
		!ipc_str_ok(msg->groups, sizeof(msg->groups)) ||
		!ipc_str_ok(msg->group, sizeof(msg->group)) ||
		!ipc_user_settings_ok(&msg->settings) || !ipc_acct_facts_ok(&msg->facts) ||
		!ipc_str_ok(msg->agent, sizeof(msg->agent)) ||
		!ipc_str_ok(msg->server_name, sizeof(msg->server_name)))
		return -EPROTO;
	ret = login_check(mgr, msg);
	if (ret != 0)
		goto refuse;
	index = session_index_take(mgr);
	ret = -ENOSPC;
	if (index == UINT32_MAX)
		goto refuse;
	session = session_new(mgr, index, msg->cookie_hash, msg->username);
	ret = -EIO;
	if (!session) {
		mgr->free[mgr->nb_free++] = index;
		goto refuse;
	}
	session->remote = msg->remote;
	session->created = session_now();
	session->expires = session->created + mgr->cfg->auth.cookie_timeout;
	session_string_set(session, STR_GROUPS, msg->groups);
	session_string_set(session, STR_GROUP, msg->group);
	session_string_set(session, STR_AGENT, msg->agent);
	session_string_set(session, STR_SERVER_NAME, msg->server_name);
	session_state_set(mgr, session, SESSION_AUTHENTICATED);
	session_timer_set(mgr, session, TIMER_EXPIRY, session->expires);
	if (session_extra_set(session, &msg->settings) != 0 ||
		session_facts_set(session, &msg->facts) != 0 ||
		login_store(mgr, session, msg) != 0) {
		session_delete(mgr, session, "store");
		goto refuse;
	}
	log_info("login", "session=%u user=%s remote=%s agent=%s", session->sid.index,
		log_value(msg->username), addr_text(&msg->remote, text), log_value(msg->agent));
	return 0;
refuse:
	// Auth, which is told, warns.
	log_debug("login_refused", "user=%s remote=%s status=%d", log_value(msg->username),
		addr_text(&msg->remote, text), ret);
	login_answer(mgr, msg->hdr.req, ret);
	return 0;
}

// --- timers ---

// A connected one here has been without its stream for as long: first the connection ends, then,
// as its time has run out already, the cookie.
static void expire(struct session_mgr *mgr, struct session *session) {
	if (session->state == SESSION_CONNECTED) {
		session_uninstall(mgr, session, ABI_END_TEMPORARY);
		session_ended(mgr, session, ABI_END_TEMPORARY);
	} else {
		session_delete(mgr, session, "cookie-expired");
	}
}

static void stream_missing(struct session_mgr *mgr, struct session *session) {
	// The script process has its own clock: it is not there, or it is stuck.
	if (session->connecting)
		session_connect_fail(mgr, session, 503,
			session->awaits_dataplane ? "The dataplane is not there"
						  : "The connect script could not be run in time");
	session_uninstall(mgr, session, ABI_END_TEMPORARY);
	session_ended(mgr, session, ABI_END_TEMPORARY);
}

void session_maintenance(struct session_mgr *mgr, const struct ipc_maintenance *msg) {
	mgr->maintenance = *msg;
	mgr->drained = false;
}

// The time is over: those that are left are told to go. Then the end of the last one is told, and
// waits for the scripts that come with it; those that do not come to an end are in the store.
static void drain_tick(struct session_mgr *mgr) {
	uint64_t until = mgr->maintenance.until_s, now = clock_s();
	struct ipc_empty msg = {0};

	if (!mgr->maintenance.draining || mgr->drained)
		return;
	if (until && now >= until && session_disconnect_all(mgr) > 0)
		log_info("drain_timeout", "text=\"those that were left were disconnected\"");
	if (mgr->nb_state[SESSION_AUTHENTICATED] + mgr->nb_state[SESSION_CONNECTED] +
			mgr->nb_state[SESSION_DISCONNECTED] >
		0)
		return;
	if (mgr->nb_scripts_due && !(until && now >= until + DRAIN_SCRIPTS_S))
		return;
	mgr->drained = mgr->opts.send(IPC_SUPERVISOR, 0, IPC_DRAINED, &msg.hdr, sizeof(msg),
			       mgr->opts.arg) == 0;
}

static void store_watch(struct session_mgr *mgr) {
	switch (store_tick(mgr->store)) {
	case STORE_REOPEN:
		if (mgr->opts.reopen)
			mgr->opts.reopen(mgr->opts.arg);
		break;
	case STORE_BACK:
		mgr->save_sweep = 0;
		accounting_resave(mgr);
		break;
	default:
		break;
	}
	session_save_tick(mgr);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
	struct session_mgr *mgr = arg;
	uint64_t now = session_now();
	struct session *session;

	if (!mgr->loaded)
		return;
	while ((session = TAILQ_FIRST(&mgr->timer[TIMER_EXPIRY - 1])) && session->due <= now)
		expire(mgr, session);
	while ((session = TAILQ_FIRST(&mgr->timer[TIMER_STREAM - 1])) && session->due <= now)
		stream_missing(mgr, session);
	store_watch(mgr);
	reconcile_tick(mgr);
	usage_tick(mgr);
	scripts_tick(mgr);
	drain_tick(mgr);
	accounting_tick(mgr);
	removed_tick(mgr);
	share_tick(mgr);
	if (mgr->reload.done && mgr->reload.due <= now) {
		struct session_reload reload = mgr->reload;

		memset(&mgr->reload, 0, sizeof(mgr->reload));
		reload.done(-ETIMEDOUT, "no answer from the supervisor", reload.arg);
	}
}

void session_commit(struct session_mgr *mgr) {
	// The done functions may collect more, which then goes with the next pass.
	if (mgr->store)
		store_commit(mgr->store);
}

static void on_commit(evutil_socket_t fd, short what, void *arg) {
	session_commit(arg);
}

// --- the manager ---

static struct session_list *lists_new(void) {
	struct session_list *lists = calloc(SESSION_BUCKETS, sizeof(*lists));

	for (uint32_t i = 0; lists && i < SESSION_BUCKETS; i++)
		LIST_INIT(&lists[i]);
	return lists;
}

static void on_dataplane_leaving(void *arg) {
	usage_read_all(arg);
}

static void on_dataplane_lost(void *arg) {
	struct session_mgr *mgr = arg;

	reconcile_lost(mgr);
	if (mgr->opts.dataplane_lost)
		mgr->opts.dataplane_lost(mgr->opts.arg);
}

struct session_mgr *session_mgr_new(const struct session_mgr_opts *opts) {
	struct session_mgr *mgr = calloc(1, sizeof(*mgr));
	struct dplane_hooks hooks = {reconcile_event, on_dataplane_leaving, on_dataplane_lost, mgr};
	struct timeval tick = {.tv_sec = TICK_S};

	if (!mgr)
		return NULL;
	mgr->opts = *opts;
	mgr->cfg = opts->cfg;
	STAILQ_INIT(&mgr->held);
	LIST_INIT(&mgr->script_connects);
	TAILQ_INIT(&mgr->scripts_due);
	TAILQ_INIT(&mgr->timer[0]);
	TAILQ_INIT(&mgr->timer[1]);
	mgr->table = calloc(ABI_SESSIONS_MAX, sizeof(struct session *));
	mgr->free = calloc(ABI_SESSIONS_MAX, sizeof(*mgr->free));
	mgr->by_cookie = lists_new();
	mgr->by_app_id = lists_new();
	mgr->by_user = lists_new();
	mgr->pools = pools_new(opts->cfg);
	mgr->guard = guard_new(&(struct guard_hooks){opts->send, opts->arg}, opts->cfg);
	mgr->accounting = accounting_new(mgr);
	mgr->filters = filters_new();
	mgr->iroutes = iroutes_new();
	mgr->dplane = dplane_new(opts->base, &hooks);
	mgr->tick_event = event_new(opts->base, -1, EV_PERSIST, on_tick, mgr);
	mgr->commit_event = event_new(opts->base, -1, 0, on_commit, mgr);
	if (opts->cfg->share.node && opts->cfg->share.node[0])
		mgr->share = share_new();
	if (mgr->table && mgr->free && mgr->by_cookie && mgr->by_app_id && mgr->by_user &&
		mgr->pools && mgr->guard && mgr->accounting && mgr->filters && mgr->iroutes &&
		mgr->dplane && mgr->tick_event && mgr->commit_event && removed_init(mgr) == 0) {
		event_add(mgr->tick_event, &tick);
		return mgr;
	}
	session_mgr_free(mgr);
	return NULL;
}

void session_mgr_free(struct session_mgr *mgr) {
	if (!mgr)
		return;
	session_commit(mgr);
	dplane_free(mgr->dplane);
	for (uint32_t i = 0; i < mgr->index_end; i++) {
		if (mgr->table[i])
			session_free(mgr, mgr->table[i]);
	}
	while (!STAILQ_EMPTY(&mgr->held)) {
		struct session_held *held = STAILQ_FIRST(&mgr->held);

		STAILQ_REMOVE_HEAD(&mgr->held, next);
		explicit_bzero(held, sizeof(*held));
		free(held);
	}
	scripts_free(mgr);
	accounting_free(mgr->accounting);
	filters_free(mgr->filters);
	share_free(mgr->share);
	iroutes_free(mgr->iroutes);
	store_close(mgr->store);
	if (mgr->tick_event)
		event_free(mgr->tick_event);
	if (mgr->commit_event)
		event_free(mgr->commit_event);
	pools_free(mgr->pools);
	guard_free(mgr->guard);
	removed_free(mgr);
	free(mgr->by_cookie);
	free(mgr->by_app_id);
	free(mgr->by_user);
	free(mgr->table);
	free(mgr->free);
	free(mgr);
}

void session_mgr_cfg(struct session_mgr *mgr, const struct cfg *cfg, char *text, size_t len) {
	if (!pools_same(mgr->pools, cfg))
		snprintf(text, len, "pools: the change takes effect at the next restart");
	mgr->cfg = cfg;
	pools_own(mgr->pools, cfg);
	guard_cfg(mgr->guard, cfg);
	mgr->sweep = 0; // the new policy goes to all, some at each tick
}
