// SPDX-License-Identifier: GPL-3.0-or-later
// Brings the table and the dataplane into agreement, and follows the dataplane's events. Called
// by dataplane.c's hooks and the tick of sessions.c.
//
// After each attachment the dataplane is asked for all its sessions. What it has and the table
// does not is deleted there; what the table believes connected and was not in the answer has lost
// its connection. The same happens when the dataplane says that it had to drop events.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

#define SWEEP_BURST 256u // policy updates a second after a reload

// --- the dump ---

static void dump_done(int status, void *arg) {
	struct session_mgr *mgr = arg;

	if (status == 0 || !mgr->dumping)
		return;
	mgr->dumping = false; // asked again by the tick
	log_warning("dataplane_dump", "status=%d", status);
}

void reconcile_start(struct session_mgr *mgr) {
	struct abi_cmd cmd = {.type = ABI_CMD_DUMP};

	if (mgr->dumping || !mgr->loaded || !dplane_attached(mgr->dplane))
		return;
	mgr->dump++;
	mgr->events_lost = dplane_counter(mgr->dplane, ABI_C_abi_evt_full);
	mgr->dumping = dplane_command(mgr->dplane, &cmd, dump_done, mgr) == 0;
}

static void delete_unknown(struct session_mgr *mgr, const struct abi_evt *evt) {
	struct abi_cmd cmd = {
		.type = ABI_CMD_SESSION_DEL, .sid = evt->sid, .session_del = {ABI_END_TEMPORARY}};

	log_warning(
		"dataplane_unknown_session", "session=%u.%u", evt->sid.index, evt->sid.generation);
	dplane_command(mgr->dplane, &cmd, NULL, NULL);
}

static bool addresses_match(const struct session *session, const struct abi_evt *evt) {
	return memcmp(&session->inner4, &evt->inner4, sizeof(evt->inner4)) == 0 &&
		memcmp(&session->inner6, &evt->inner6, sizeof(evt->inner6)) == 0;
}

// The client may come back with its cookie for as long as after any other end.
static void await_client(struct session_mgr *mgr, struct session *session) {
	session->expires = session_now() + mgr->cfg->auth.cookie_timeout;
	session_timer_set(mgr, session, TIMER_EXPIRY, session->expires);
}

// The store was lost, the tunnel was not: it stays for as long as its client does, under no name and
// with a cookie that nobody has. Its settings are the dataplane's alone.
static bool adopt(struct session_mgr *mgr, const struct abi_evt *evt) {
	uint8_t cookie_hash[IPC_HASH_LEN];
	struct session *session;

	if (evt->sid.index >= ABI_SESSIONS_MAX || mgr->table[evt->sid.index] ||
		!evt->sid.generation ||
		getrandom(cookie_hash, sizeof(cookie_hash), 0) != (ssize_t)sizeof(cookie_hash))
		return false;
	session = session_new(mgr, evt->sid.index, cookie_hash, SESSION_UNKNOWN_USER);
	if (!session)
		return false;
	session->sid = evt->sid;
	session->installed = session->live_generation = evt->sid.generation;
	session->created = session->started = session->connected = session_now();
	session->edge = SESSION_EDGE_ANY;
	session_address_keep(mgr, session, &evt->inner4, &session->inner4);
	session_address_keep(mgr, session, &evt->inner6, &session->inner6);
	session->inner6_prefix = pools_client_prefix(mgr->pools, &evt->inner6);
	session_state_set(mgr, session, SESSION_CONNECTED);
	store_generation_used(mgr->store, evt->sid.generation);
	session_save(mgr, session, NULL, NULL);
	log_warning("session_adopted", "session=%u.%u text=%s", evt->sid.index, evt->sid.generation,
		"\"its record was lost with the store\"");
	return true;
}

static bool is_adopted(const struct session *session) {
	return session->cstp_mtu == 0;
}

// A CONNECT of a session that has its record, while the store took nothing (connect.c): the dataplane
// knows of it, the record does not.
static bool is_newer(const struct session_mgr *mgr, const struct abi_evt *evt) {
	const struct session *session = evt->sid.index < ABI_SESSIONS_MAX
		? mgr->table[evt->sid.index]
		: NULL;

	return session && session->state != SESSION_AUTHENTICATED && !session->connecting &&
		(int32_t)(evt->sid.generation - session->sid.generation) > 0 &&
		addresses_match(session, evt);
}

static struct session *catch_up(struct session_mgr *mgr, const struct abi_evt *evt) {
	struct session *session = mgr->table[evt->sid.index];

	log_info("session_newer", "session=%u.%u user=%s stored=%u", evt->sid.index,
		evt->sid.generation, log_value(session->str[STR_USER]), session->sid.generation);
	session->sid = evt->sid;
	session->installed = session->live_generation = evt->sid.generation;
	session->expires = 0;
	session_timer_set(mgr, session, TIMER_NONE, 0);
	session_state_set(mgr, session, SESSION_CONNECTED);
	session_save(mgr, session, NULL, NULL);
	return session;
}

static void dump_session(struct session_mgr *mgr, const struct abi_evt *evt) {
	struct session *session = session_get(mgr, evt->sid);

	if (!session && is_newer(mgr, evt))
		session = catch_up(mgr, evt);
	if (!session && mgr->adopts && adopt(mgr, evt))
		session = session_get(mgr, evt->sid);
	if (!session || session->installed != evt->sid.generation) {
		delete_unknown(mgr, evt);
		return;
	}
	if (!addresses_match(session, evt)) {
		log_error("dataplane_address", "session=%u.%u user=%s", evt->sid.index,
			evt->sid.generation, log_value(session->str[STR_USER]));
		session_uninstall(mgr, session, ABI_END_TEMPORARY);
		session_ended(mgr, session, ABI_END_TEMPORARY);
		return;
	}
	session->seen = mgr->dump;
	filters_adopt(mgr, session, evt->filter);
	iroutes_adopt(mgr, session, evt->nb_iroutes);
	session->channels = (uint8_t)(evt->channels & (ABI_CHANNEL_STREAM | ABI_CHANNEL_DTLS));
	if (evt->channels & ABI_CHANNEL_DTLS)
		session->dtls_tuple = evt->tuple;
	if (evt->channels & ABI_CHANNEL_STREAM)
		session->awaits_stream = false;
	if (evt->channels & ABI_CHANNEL_STREAM && !is_adopted(session))
		accounting_start(mgr, session);
	// Installed without a stream: after a restart of ours it must still come, or come again.
	if (!(evt->channels & ABI_CHANNEL_STREAM) && session->timer == TIMER_NONE)
		await_client(mgr, session);
}

// CONNECTs that were on their way into a dataplane that has died.
static void connects_go_on(struct session_mgr *mgr) {
	for (uint32_t i = 0; i < mgr->index_end; i++) {
		struct session *session = mgr->table[i];

		if (session && session->connecting && session->awaits_dataplane)
			session_connect_go(mgr, session);
	}
}

static void dump_end(struct session_mgr *mgr) {
	unsigned lost = 0;

	if (!mgr->dumping)
		return;
	mgr->dumping = false;
	for (uint32_t i = 0; i < mgr->index_end; i++) {
		struct session *session = mgr->table[i];

		if (!session || !session->installed || session->seen == mgr->dump)
			continue;
		// Its SESSION_ADD is still under way.
		if (session->connecting)
			continue;
		session->expires = 0;
		session_ended(mgr, session, ABI_END_TEMPORARY);
		lost++;
	}
	if (!mgr->reconciled || lost)
		log_info("reconciled", "connected=%u lost=%u", mgr->nb_state[SESSION_CONNECTED],
			lost);
	mgr->reconciled = true;
	if (mgr->adopts)
		session_indexes_find(mgr);
	mgr->adopts = false;
	connects_go_on(mgr);
	session_held_run(mgr);
}

// --- events ---

static void session_end(struct session_mgr *mgr, const struct abi_evt *evt) {
	struct session *session = session_get(mgr, evt->sid);
	enum abi_end reason = evt->reason < ABI_END_MAX ? evt->reason : ABI_END_UNSPECIFIED;

	// A CONNECT that replaces it is under way: it has another generation already.
	if (!session || session->installed != evt->sid.generation)
		return;
	session_ended(mgr, session, reason);
}

static void stream_down(struct session_mgr *mgr, const struct abi_evt *evt) {
	struct session *session = session_get(mgr, evt->sid);

	if (!session || session->installed != evt->sid.generation)
		return;
	session->channels = (uint8_t)(evt->channels & ~ABI_CHANNEL_STREAM);
	log_debug("stream_down", "session=%u.%u reason=%u", evt->sid.index, evt->sid.generation,
		evt->reason);
	if (session->connecting)
		return;
	await_client(mgr, session);
}

static void dtls_event(struct session_mgr *mgr, const struct abi_evt *evt) {
	struct session *session = session_get(mgr, evt->sid);
	char text[ADDR_TEXT_LEN];

	if (!session || session->installed != evt->sid.generation)
		return;
	switch (evt->type) {
	case ABI_EVT_DTLS_UP:
		session->channels |= ABI_CHANNEL_DTLS;
		session->dtls_tuple = evt->tuple;
		break;
	case ABI_EVT_DTLS_MOVED:
		if (memcmp(&session->dtls_tuple.remote, &evt->tuple.remote,
			    sizeof(evt->tuple.remote)) != 0)
			scripts_moved(mgr, session, &evt->tuple.remote);
		session->dtls_tuple = evt->tuple;
		break;
	default:
		session->channels &= (uint8_t)~ABI_CHANNEL_DTLS;
		break;
	}
	log_info(evt->type == ABI_EVT_DTLS_UP		  ? "dtls_up"
			: evt->type == ABI_EVT_DTLS_MOVED ? "dtls_moved"
							  : "dtls_down",
		"session=%u.%u user=%s remote=%s port=%u cipher=%u", evt->sid.index,
		evt->sid.generation, log_value(session->str[STR_USER]),
		addr_text(&session->dtls_tuple.remote, text),
		ntohs(session->dtls_tuple.remote_port), session->dtls_cipher);
}

// Half of the sequence numbers are used (RFC 6347, 4.1). Said once for a channel by the dataplane.
static void rekey_due(struct session_mgr *mgr, const struct abi_evt *evt) {
	struct session *session = session_get(mgr, evt->sid);

	if (!session || session->installed != evt->sid.generation)
		return;
	log_info("rekey_due", "session=%u.%u user=%s text=%s", evt->sid.index, evt->sid.generation,
		log_value(session->str[STR_USER]),
		"\"the client must make new keys (new-tunnel), or its DTLS channel ends when they "
		"are used up\"");
}

void reconcile_event(const struct abi_evt *evt, void *arg) {
	struct session_mgr *mgr = arg;

	if (!mgr->loaded)
		return;
	switch (evt->type) {
	case ABI_EVT_SESSION_END:
		session_end(mgr, evt);
		break;
	case ABI_EVT_STREAM_DOWN:
		stream_down(mgr, evt);
		break;
	case ABI_EVT_DTLS_UP:
	case ABI_EVT_DTLS_DOWN:
	case ABI_EVT_DTLS_MOVED:
		dtls_event(mgr, evt);
		break;
	case ABI_EVT_SESSION:
		// Outside of a dump of ours: the answer to one of a predecessor.
		if (mgr->dumping)
			dump_session(mgr, evt);
		break;
	case ABI_EVT_FILTER:
		if (mgr->dumping)
			filters_seen(mgr, evt->filter);
		break;
	case ABI_EVT_DUMP_END:
		dump_end(mgr);
		break;
	case ABI_EVT_REKEY:
		rekey_due(mgr, evt);
		break;
	default:
		break;
	}
}

void reconcile_lost(void *arg) {
	struct session_mgr *mgr = arg;

	mgr->dumping = false;
	mgr->reconciled = false;
	filters_lost(mgr);
}

// --- the tick ---

struct policy_step {
	struct session_mgr *mgr;
	struct abi_sid sid;
};

// A dataplane that is busy is told again. Without its new filter a session would go on with what it
// had: it ends, and its client comes back to be let in with the filter, or not.
static void policy_set(int status, void *arg) {
	struct policy_step *step = arg;
	struct session_mgr *mgr = step->mgr;
	struct session *session = session_get(mgr, step->sid);

	free(step);
	if (!session || session->installed != session->sid.generation)
		return;
	if ((status == -EAGAIN || status == -ENOMEM) && session->sid.index < mgr->sweep)
		mgr->sweep = session->sid.index;
	if (status != -ENOENT)
		return;
	log_error("policy_refused", "session=%u.%u user=%s text=\"its filter is not there\"",
		session->sid.index, session->sid.generation, log_value(session->str[STR_USER]));
	session_uninstall(mgr, session, ABI_END_TEMPORARY);
	session_ended(mgr, session, ABI_END_TEMPORARY);
}

int session_policy_send(struct session_mgr *mgr, struct session *session) {
	struct abi_cmd cmd = {.type = ABI_CMD_SESSION_UPDATE, .sid = session->sid};
	struct policy_step *step = malloc(sizeof(*step));
	int ret = -ENOMEM;

	if (step) {
		*step = (struct policy_step){mgr, session->sid};
		session_policy(mgr, session, &cmd.policy);
		ret = dplane_command(mgr->dplane, &cmd, policy_set, step);
	}
	if (ret != 0)
		free(step);
	return ret;
}

static void policy_sweep(struct session_mgr *mgr) {
	for (unsigned n = 0; n < SWEEP_BURST && mgr->sweep < mgr->index_end; mgr->sweep++) {
		struct session *session = mgr->table[mgr->sweep];

		if (!session || !session->installed || session->connecting || is_adopted(session))
			continue;
		if (session_policy_send(mgr, session) != 0)
			return; // goes on with this one at the next tick
		iroutes_set(mgr, session);
		n++;
	}
}

void reconcile_tick(struct session_mgr *mgr) {
	session_held_expire(mgr);
	if (!dplane_attached(mgr->dplane))
		return;
	if (!mgr->reconciled || dplane_counter(mgr->dplane, ABI_C_abi_evt_full) != mgr->events_lost)
		reconcile_start(mgr);
	if (mgr->reconciled)
		policy_sweep(mgr);
	filters_tick(mgr);
	iroutes_tick(mgr);
}
