// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions and leases on their way to the store and back. Called by sessions.c, connect.c, role.c.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

#define SAVES_A_TICK 256u // after a fault

static void record_strings(struct record_session *record, const struct session *session) {
	snprintf(record->user, sizeof(record->user), "%s", session->str[STR_USER]);
	snprintf(record->groups, sizeof(record->groups), "%s", session->str[STR_GROUPS]);
	snprintf(record->group, sizeof(record->group), "%s", session->str[STR_GROUP]);
	snprintf(record->agent, sizeof(record->agent), "%s", session->str[STR_AGENT]);
	snprintf(record->server_name, sizeof(record->server_name), "%s",
		session->str[STR_SERVER_NAME]);
	snprintf(record->hostname, sizeof(record->hostname), "%s", session->str[STR_HOSTNAME]);
	snprintf(record->device_type, sizeof(record->device_type), "%s",
		session->str[STR_DEVICE_TYPE]);
	snprintf(record->device_platform, sizeof(record->device_platform), "%s",
		session->str[STR_DEVICE_PLATFORM]);
}

static struct record_usage usage_out(const struct session_usage *u) {
	return (struct record_usage){u->rx_packets, u->rx_bytes, u->tx_packets, u->tx_bytes};
}

static struct session_usage usage_in(const struct record_usage *u) {
	return (struct session_usage){u->rx_packets, u->rx_bytes, u->tx_packets, u->tx_bytes};
}

int session_record(
	struct session_mgr *mgr, const struct session *session, struct record_session *record) {
	uint8_t secrets[RECORD_SECRETS_LEN];
	int ret;

	record_session_init(record);
	memcpy(record->cookie_hash, session->cookie_hash, IPC_HASH_LEN);
	record->sid = session->sid;
	record->state = (uint8_t)session->state;
	record->dtls_mode = session->dtls_mode;
	record->legacy_cipher = session->legacy_cipher;
	record->tls_version = session->tls_version;
	record->tls_cipher = session->tls_cipher;
	record->dtls_cipher = session->dtls_cipher;
	record->inner6_prefix = session->inner6_prefix;
	record->last_end = session->last_end;
	record->remote = session->remote;
	record->inner4 = session->inner4;
	record->inner6 = session->inner6;
	record->remote_port = session->remote_port;
	record->cstp_mtu = session->cstp_mtu;
	record->dtls_mtu = session->dtls_mtu;
	record->base_mtu = session->base_mtu;
	record->created = session->created;
	record->started = session->started;
	record->connected = session->connected;
	record->disconnected = session->disconnected;
	record->expires = session->expires;
	record->accounted = session->accounted;
	record->used = usage_out(&session->used);
	record->live = usage_out(&session->live);
	record->script_id = session->script_id;
	record->script_since = session->script_since;
	record->script_from = usage_out(&session->script_from);
	record->local = session->local;
	record->wishes = session->wishes;
	memcpy(record->app_id, session->app_id, IPC_APP_ID_LEN);
	record_strings(record, session);
	if (session->extra)
		record->settings = *session->extra;
	session_facts_get(session, &record->facts);
	memcpy(secrets, session->psk_key, IPC_PSK_LEN);
	memcpy(secrets + IPC_PSK_LEN, session->master_secret, IPC_MASTER_LEN);
	ret = store_seal(mgr->store, session->cookie_hash, secrets, &record->sealed);
	explicit_bzero(secrets, sizeof(secrets));
	return ret;
}

int session_save(struct session_mgr *mgr, struct session *session, store_done done, void *arg) {
	struct record_session record;
	int ret;

	if (!mgr->loaded)
		return -EAGAIN;
	session->usage_saved_s = clock_s();
	session->usage_saved_packets = session->live.rx_packets + session->live.tx_packets;
	ret = session_record(mgr, session, &record);
	if (ret == 0)
		ret = store_session_put(mgr->store, &record, done, arg);
	share_dirty(mgr, session);
	if (ret != 0)
		log_error("store_save", "session=%u user=%s status=%d", session->sid.index,
			log_value(session->str[STR_USER]), ret);
	return ret;
}

void session_save_tick(struct session_mgr *mgr) {
	if (store_fault(mgr->store) != 0)
		return;
	for (unsigned n = 0; n < SAVES_A_TICK && mgr->save_sweep < ABI_SESSIONS_MAX;
		mgr->save_sweep++) {
		struct session *session = mgr->table[mgr->save_sweep];

		if (mgr->save_sweep >= mgr->index_end) {
			mgr->save_sweep = ABI_SESSIONS_MAX;
			return;
		}
		// One that connects is saved by that.
		if (!session || session->connecting)
			continue;
		if (session_save(mgr, session, NULL, NULL) != 0)
			return;
		n++;
	}
}

static void load_secrets(
	struct session_mgr *mgr, struct session *session, const struct record_session *record) {
	uint8_t secrets[RECORD_SECRETS_LEN];

	// After a reboot the key is another one: DTLS then waits for the next CONNECT.
	if (store_unseal(mgr->store, record->cookie_hash, &record->sealed, secrets) != 0) {
		session->dtls_mode = IPC_DTLS_NONE;
		return;
	}
	memcpy(session->psk_key, secrets, IPC_PSK_LEN);
	memcpy(session->master_secret, secrets + IPC_PSK_LEN, IPC_MASTER_LEN);
	explicit_bzero(secrets, sizeof(secrets));
}

static void load_fields(struct session *session, const struct record_session *record) {
	session->sid = record->sid;
	session->dtls_mode = record->dtls_mode;
	session->legacy_cipher = record->legacy_cipher;
	session->tls_version = record->tls_version;
	session->tls_cipher = record->tls_cipher;
	session->dtls_cipher = record->dtls_cipher;
	session->inner6_prefix = record->inner6_prefix;
	session->last_end = record->last_end;
	session->remote = record->remote;
	session->remote_port = record->remote_port;
	session->cstp_mtu = record->cstp_mtu;
	session->dtls_mtu = record->dtls_mtu;
	session->base_mtu = record->base_mtu;
	session->created = record->created;
	session->started = record->started;
	session->connected = record->connected;
	session->disconnected = record->disconnected;
	session->expires = record->expires;
	session->accounted = record->accounted;
	session->used = usage_in(&record->used);
	session->live = usage_in(&record->live);
	session->script_id = record->script_id;
	session->script_since = record->script_since;
	session->script_from = usage_in(&record->script_from);
	session->local = record->local;
	session->wishes = record->wishes;
	session->edge = SESSION_EDGE_ANY;
	session->awaits_stream = true; // until the dataplane says that it has it
	session_string_set(session, STR_GROUPS, record->groups);
	session_string_set(session, STR_GROUP, record->group);
	session_string_set(session, STR_AGENT, record->agent);
	session_string_set(session, STR_SERVER_NAME, record->server_name);
	session_string_set(session, STR_HOSTNAME, record->hostname);
	session_string_set(session, STR_DEVICE_TYPE, record->device_type);
	session_string_set(session, STR_DEVICE_PLATFORM, record->device_platform);
}

void session_address_keep(struct session_mgr *mgr, struct session *session,
	const struct abi_addr *addr, struct abi_addr *to) {
	char text[ADDR_TEXT_LEN];
	int ret;

	if (abi_addr_none(addr))
		return;
	ret = pools_take(
		mgr->pools, addr, session->str[STR_USER], session->sid.index, session_now());
	if (ret == 0 || ret == -EADDRNOTAVAIL) {
		// Out of the pools since a change of configuration: it is the session's until it ends.
		*to = *addr;
		return;
	}
	log_error("store_address", "session=%u addr=%s status=%d", session->sid.index,
		addr_text(addr, text), ret);
}

struct session *session_import(struct session_mgr *mgr, const struct record_session *record) {
	uint32_t index = session_index_take(mgr);
	uint64_t now = session_now();
	struct session *session;

	session = index == UINT32_MAX ? NULL
				      : session_new(mgr, index, record->cookie_hash, record->user);
	if (!session) {
		if (index != UINT32_MAX)
			mgr->free[mgr->nb_free++] = index;
		return NULL;
	}
	load_fields(session, record);
	session->sid = (struct abi_sid){index, store_generation_next(mgr->store)};
	if (session_extra_set(session, &record->settings) != 0 ||
		session_facts_set(session, &record->facts) != 0)
		log_error("store_settings", "session=%u", index);
	// That connection is over; its scripts were the other gateway's.
	session->used = usage_total(session);
	session->live = (struct session_usage){0};
	session->script_id = session->script_since = 0;
	session->dtls_mode = IPC_DTLS_NONE;
	session->awaits_stream = false;
	session_address_keep(mgr, session, &record->inner4, &session->inner4);
	session_address_keep(mgr, session, &record->inner6, &session->inner6);
	session->shared4 = session->inner4;
	session->shared6 = session->inner6;
	if (record->state == SESSION_CONNECTED) {
		session->disconnected = now;
		session->expires = now + mgr->cfg->auth.cookie_timeout;
	}
	session_state_set(mgr, session,
		record->state == SESSION_AUTHENTICATED ? SESSION_AUTHENTICATED
						       : SESSION_DISCONNECTED);
	session_timer_set(mgr, session, TIMER_EXPIRY, session->expires);
	session_save(mgr, session, NULL, NULL);
	log_info("session_taken", "session=%u user=%s text=\"from another gateway\"", index,
		log_value(record->user));
	return session;
}

static void load_session(const struct record_session *record, void *arg) {
	struct session_mgr *mgr = arg;
	struct session *session;

	if (mgr->table[record->sid.index] || session_find(mgr, record->cookie_hash)) {
		log_error("store_duplicate", "session=%u user=%s", record->sid.index,
			log_value(record->user));
		return;
	}
	session = session_new(mgr, record->sid.index, record->cookie_hash, record->user);
	if (!session)
		return;
	load_fields(session, record);
	if (session_extra_set(session, &record->settings) != 0 ||
		session_facts_set(session, &record->facts) != 0)
		log_error("store_settings", "session=%u", record->sid.index);
	load_secrets(mgr, session, record);
	session_address_keep(mgr, session, &record->inner4, &session->inner4);
	session_address_keep(mgr, session, &record->inner6, &session->inner6);
	// The shared store will say otherwise when they are not any more.
	session->shared4 = session->inner4;
	session->shared6 = session->inner6;
	session_state_set(mgr, session, record->state);
	if (record->state != SESSION_AUTHENTICATED)
		session_app_id_set(mgr, session, record->app_id);
	// Until the dataplane says otherwise.
	if (record->state == SESSION_CONNECTED)
		session->installed = session->live_generation = record->sid.generation;
	else
		session_timer_set(mgr, session, TIMER_EXPIRY, record->expires);
}

struct lease_array {
	struct record_lease *lease;
	size_t nb, size;
	struct session_mgr *mgr;
};

static void load_lease(const struct record_lease *record, void *arg) {
	struct lease_array *array = arg;

	if (array->nb == array->size) {
		size_t size = array->size ? array->size * 2 : 256;
		struct record_lease *lease = reallocarray(
			array->lease, size, sizeof(*array->lease));

		if (!lease)
			return;
		array->lease = lease;
		array->size = size;
	}
	array->lease[array->nb++] = *record;
}

static int by_last_used(const void *a, const void *b) {
	const struct record_lease *x = a, *y = b;

	return (x->last_used > y->last_used) - (x->last_used < y->last_used);
}

static void load_skip_session(const struct record_session *record, void *arg) {
}

static void load_skip_lease(const struct record_lease *record, void *arg) {
}

void session_indexes_find(struct session_mgr *mgr) {
	uint32_t limit = mgr->cfg->dataplane.sessions_max;

	if (!limit || limit > ABI_SESSIONS_MAX)
		limit = ABI_SESSIONS_MAX;
	mgr->nb_free = 0;
	for (uint32_t i = limit; i-- > 0;) {
		if (!mgr->table[i])
			mgr->free[mgr->nb_free++] = i;
	}
}

int session_mgr_load(struct session_mgr *mgr, struct store *store) {
	struct lease_array array = {.mgr = mgr};
	int ret = store_load(store, load_skip_session, load_lease, &array);

	mgr->store = store;
	if (ret >= 0 && array.nb) {
		qsort(array.lease, array.nb, sizeof(*array.lease), by_last_used);
		for (size_t i = 0; i < array.nb; i++)
			pools_remember(mgr->pools, &array.lease[i].addr, array.lease[i].user,
				array.lease[i].last_used);
	}
	free(array.lease);
	if (ret >= 0)
		ret = store_load(store, load_session, load_skip_lease, mgr);
	if (ret >= 0)
		ret = scripts_load(mgr);
	if (ret < 0)
		return ret;
	session_indexes_find(mgr);
	mgr->loaded = true;
	mgr->adopts = store_is_new(store);
	mgr->save_sweep = ABI_SESSIONS_MAX; // the store has it all
	mgr->loaded_s = clock_s();
	ret = accounting_load(mgr);
	if (ret < 0)
		return ret;
	log_info("store_loaded", "authenticated=%u connected=%u disconnected=%u leases=%zu",
		mgr->nb_state[SESSION_AUTHENTICATED], mgr->nb_state[SESSION_CONNECTED],
		mgr->nb_state[SESSION_DISCONNECTED], array.nb);
	return 0;
}
