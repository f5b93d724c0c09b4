// SPDX-License-Identifier: GPL-3.0-or-later
// The operator's scripts, from the session process's side: which are due, and what waits for them.
// Called by connect.c, sessions.c and role.c; the script process runs them.
//
// A connection that begins gets an id, which its record holds before the connect script is asked
// for. From then on a disconnect script is due at its end, unless the connect script is known to
// have failed. What is due is in the store, in the transaction that ends the connection, until the
// script process says that it has been run: whatever dies in between, it is asked for again. So
// each is run at least once, and twice only when the script process died while it ran.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

#define SENT_MAX 256u // disconnect scripts that the script process has at a time
#define SPARE_S 5u // for the way there and back

static bool is_set(const char *path) {
	return path && path[0];
}

// ---- asking

static void facts_fill(const struct session *session, struct ipc_script_facts *facts) {
	*facts = (struct ipc_script_facts){
		.id = session->script_id,
		.session = session->sid.index,
		.remote = session->remote,
		.local = session->local,
		.inner4 = session->inner4,
		.inner6 = session->inner6,
		.inner6_prefix = session->inner6_prefix,
	};
	if (session->extra)
		facts->settings = *session->extra;
	snprintf(facts->user, sizeof(facts->user), "%s", session->str[STR_USER]);
	snprintf(facts->groups, sizeof(facts->groups), "%s", session->str[STR_GROUPS]);
	snprintf(facts->group, sizeof(facts->group), "%s", session->str[STR_GROUP]);
	snprintf(facts->server_name, sizeof(facts->server_name), "%s",
		session->str[STR_SERVER_NAME]);
	snprintf(facts->hostname, sizeof(facts->hostname), "%s", session->str[STR_HOSTNAME]);
	snprintf(facts->agent, sizeof(facts->agent), "%s", session->str[STR_AGENT]);
	snprintf(facts->device_type, sizeof(facts->device_type), "%s",
		session->str[STR_DEVICE_TYPE]);
	snprintf(facts->device_platform, sizeof(facts->device_platform), "%s",
		session->str[STR_DEVICE_PLATFORM]);
}

static int ask(struct session_mgr *mgr, enum ipc_script_event event, uint64_t req,
	const struct ipc_script_facts *facts) {
	struct ipc_script_run msg = {.hdr.req = req, .event = event, .facts = *facts};

	return mgr->opts.send(IPC_SCRIPT, 0, IPC_SCRIPT_RUN, &msg.hdr, sizeof(msg), mgr->opts.arg);
}

// ---- connect

static void state_set(struct session_mgr *mgr, struct session *session, enum script_state state) {
	bool was = session->script_state == SCRIPT_WANTED || session->script_state == SCRIPT_ASKED;
	bool is = state == SCRIPT_WANTED || state == SCRIPT_ASKED;

	if (is && !was)
		LIST_INSERT_HEAD(&mgr->script_connects, session, by_script);
	if (was && !is)
		LIST_REMOVE(session, by_script);
	session->script_state = state;
}

void scripts_forget(struct session *session) {
	state_set(NULL, session, SCRIPT_IDLE);
}

void scripts_begin(struct session_mgr *mgr, struct session *session) {
	session->script_goes_on = session->script_id != 0;
	if (session->script_id || !cfg_has_scripts(mgr->cfg))
		return;
	session->script_id = store_generation_next(mgr->store);
	session->script_since = session_now();
	session->script_from = usage_total(session);
	state_set(mgr, session, is_set(mgr->cfg->scripts.connect) ? SCRIPT_WANTED : SCRIPT_IDLE);
}

static bool same_addr(const struct abi_addr *a, const struct abi_addr *b) {
	return !abi_addr_none(a) && memcmp(a, b, sizeof(*a)) == 0;
}

static void due_send(struct session_mgr *mgr, struct script_due *due);

// Disconnect scripts of the same session or address go first: the script process keeps the order.
static void send_earlier(struct session_mgr *mgr, const struct session *session) {
	struct script_due *due, *next;

	for (due = TAILQ_FIRST(&mgr->scripts_due); due; due = next) {
		next = TAILQ_NEXT(due, link);
		if (due->session == session->sid.index ||
			same_addr(&due->inner4, &session->inner4) ||
			same_addr(&due->inner6, &session->inner6))
			due_send(mgr, due);
	}
}

bool scripts_too_many(const struct session_mgr *mgr, const struct session *session) {
	const struct script_due *due;
	unsigned nb = 0;

	TAILQ_FOREACH(due, &mgr->scripts_due, link)
		nb += due->session == session->sid.index;
	return nb >= SCRIPTS_DUE_OF_SESSION;
}

static void connect_ask(struct session_mgr *mgr, struct session *session) {
	struct ipc_script_facts facts;

	send_earlier(mgr, session);
	facts_fill(session, &facts);
	state_set(mgr, session, SCRIPT_ASKED);
	// While the script process is away nobody hears it: scripts_peer_up() asks again.
	ask(mgr, IPC_SCRIPT_CONNECT, session->script_id, &facts);
}

static void refuse(struct session_mgr *mgr, struct session *session, int status) {
	const char *reason = status > 0 ? "The connect script refused the connection"
		: status == -ETIMEDOUT	? "The connect script did not end in time"
		: status == -EBUSY	? "Too many connect scripts wait"
		: status == -EINVAL	? "No script can be run for this user name"
					: "The connect script could not be run";

	session_connect_fail(mgr, session, 503, reason);
	session_uninstall(mgr, session, ABI_END_TEMPORARY);
	session_ended(mgr, session, ABI_END_TEMPORARY);
}

bool scripts_hold(struct session_mgr *mgr, struct session *session) {
	enum script_state state = session->script_state;

	if (state == SCRIPT_FAILED) {
		state_set(mgr, session, SCRIPT_IDLE);
		if (mgr->cfg->scripts.required)
			refuse(mgr, session, session->script_status);
		return mgr->cfg->scripts.required;
	}
	if (state == SCRIPT_IDLE)
		return false;
	session->script_holds = true;
	// In the queue as long as it may run, and then it runs.
	session_timer_set(mgr, session, TIMER_STREAM,
		session_now() + 2 * mgr->cfg->scripts.timeout + SPARE_S);
	if (state == SCRIPT_WANTED)
		connect_ask(mgr, session);
	return true;
}

static struct session *connect_find(struct session_mgr *mgr, uint64_t id) {
	struct session *session;

	LIST_FOREACH(session, &mgr->script_connects, by_script) {
		if (session->script_id == id)
			return session;
	}
	return NULL;
}

static void connect_done(struct session_mgr *mgr, uint64_t id, int status) {
	struct session *session = connect_find(mgr, id);
	bool holds;

	if (!session || session->script_state != SCRIPT_ASKED)
		return; // it has ended: its disconnect script was asked for behind this one
	holds = session->script_holds && session->connecting;
	session->script_holds = false;
	session->script_status = status;
	if (status != 0)
		session->script_id = 0; // no disconnect script for it
	state_set(mgr, session, status != 0 && !holds ? SCRIPT_FAILED : SCRIPT_IDLE);
	if (!holds)
		return; // the CONNECT that replaced the one that asked is being stored
	session_timer_set(mgr, session, TIMER_NONE, 0);
	if (status != 0 && mgr->cfg->scripts.required) {
		refuse(mgr, session, status);
		return;
	}
	if (status != 0)
		session_save(mgr, session, NULL, NULL);
	session_connect_go(mgr, session);
}

// ---- host-update

// Nobody waits for it, and the next one tells everything anew: it is asked for once.
static void host_update(
	struct session_mgr *mgr, const struct session *session, const struct abi_addr *remote) {
	struct ipc_script_facts facts;

	if (!session->script_id || !is_set(mgr->cfg->scripts.host_update))
		return;
	facts_fill(session, &facts);
	facts.remote = *remote;
	ask(mgr, IPC_SCRIPT_HOST_UPDATE, 0, &facts);
}

void scripts_connected(struct session_mgr *mgr, struct session *session) {
	if (session->str[STR_HOSTNAME][0] || session->script_goes_on)
		host_update(mgr, session, &session->remote);
}

void scripts_moved(
	struct session_mgr *mgr, const struct session *session, const struct abi_addr *remote) {
	host_update(mgr, session, remote);
}

// ---- disconnect

static void due_remove(struct session_mgr *mgr, struct script_due *due) {
	TAILQ_REMOVE(&mgr->scripts_due, due, link);
	mgr->nb_scripts_due--;
	mgr->nb_scripts_sent -= due->sent;
	free(due->facts);
	free(due);
}

static void due_send(struct session_mgr *mgr, struct script_due *due) {
	struct record_script record;

	if (due->sent || due->waits)
		return;
	if (!due->facts && store_script_get(mgr->store, due->id, &record) != 0) {
		log_error("script_lost", "id=%llu text=\"its record cannot be read\"",
			(unsigned long long)due->id);
		due_remove(mgr, due);
		return;
	}
	if (ask(mgr, IPC_SCRIPT_DISCONNECT, due->id, due->facts ? due->facts : &record.facts) != 0)
		return; // when the script process is there
	due->sent = true;
	mgr->nb_scripts_sent++;
}

static void pump(struct session_mgr *mgr) {
	struct script_due *due, *next;

	for (due = TAILQ_FIRST(&mgr->scripts_due); due && mgr->nb_scripts_sent < SENT_MAX;
		due = next) {
		next = TAILQ_NEXT(due, link);
		due_send(mgr, due);
	}
}

void scripts_tick(struct session_mgr *mgr) {
	if (mgr->nb_scripts_due > mgr->nb_scripts_sent)
		pump(mgr);
}

static struct script_due *due_new(struct session_mgr *mgr, const struct ipc_script_facts *facts) {
	struct script_due *due = calloc(1, sizeof(*due));

	if (!due)
		return NULL;
	due->mgr = mgr;
	due->id = facts->id;
	due->session = facts->session;
	due->inner4 = facts->inner4;
	due->inner6 = facts->inner6;
	TAILQ_INSERT_TAIL(&mgr->scripts_due, due, link);
	mgr->nb_scripts_due++;
	return due;
}

// What the store could not take stays in memory: it is run, though not after a crash.
static void due_stored(int status, void *arg) {
	struct script_due *due = arg;
	struct session_mgr *mgr = due->mgr;

	due->waits = false;
	if (status == 0) {
		free(due->facts);
		due->facts = NULL;
	} else {
		log_error("script_store", "id=%llu status=%d", (unsigned long long)due->id, status);
	}
	pump(mgr);
}

static void due_keep(struct session_mgr *mgr, const struct record_script *record) {
	struct script_due *due = due_new(mgr, &record->facts);

	if (due)
		due->facts = malloc(sizeof(*due->facts));
	if (!due || !due->facts) {
		log_error("script_lost", "id=%llu text=\"no memory\"",
			(unsigned long long)record->facts.id);
		if (due)
			due_remove(mgr, due);
		return;
	}
	*due->facts = record->facts;
	due->waits = store_script_put(mgr->store, record, due_stored, due) == 0;
}

void scripts_end(struct session_mgr *mgr, struct session *session, enum abi_end reason) {
	struct session_usage total = usage_total(session), *from = &session->script_from;
	uint64_t now = session_now();
	bool begun = session->script_state != SCRIPT_WANTED;
	struct record_script record;

	state_set(mgr, session, SCRIPT_IDLE);
	session->script_holds = false;
	if (!session->script_id)
		return;
	if (begun && is_set(mgr->cfg->scripts.disconnect)) {
		record_script_init(&record);
		facts_fill(session, &record.facts);
		record.facts.end = reason;
		record.facts.duration = now > session->script_since ? now - session->script_since
								    : 0;
		record.facts.rx_packets = total.rx_packets - from->rx_packets;
		record.facts.rx_bytes = total.rx_bytes - from->rx_bytes;
		record.facts.tx_packets = total.tx_packets - from->tx_packets;
		record.facts.tx_bytes = total.tx_bytes - from->tx_bytes;
		due_keep(mgr, &record);
	}
	session->script_id = 0;
}

static void disconnect_done(struct session_mgr *mgr, uint64_t id, int status) {
	struct script_due *due;

	TAILQ_FOREACH(due, &mgr->scripts_due, link)
		if (due->id == id && due->sent)
			break;
	if (!due)
		return;
	if (status == -EBUSY) { // later
		due->sent = false;
		mgr->nb_scripts_sent--;
		return;
	}
	store_script_del(mgr->store, id);
	due_remove(mgr, due);
	pump(mgr);
}

// ---- the script process

int scripts_done(struct session_mgr *mgr, const struct ipc_script_done *msg) {
	switch (msg->event) {
	case IPC_SCRIPT_CONNECT:
		connect_done(mgr, msg->hdr.req, msg->status);
		return 0;
	case IPC_SCRIPT_DISCONNECT:
		disconnect_done(mgr, msg->hdr.req, msg->status);
		return 0;
	default:
		return -EPROTO;
	}
}

void scripts_peer_up(struct session_mgr *mgr) {
	struct session *session;

	pump(mgr);
	LIST_FOREACH(session, &mgr->script_connects, by_script)
		if (session->script_state == SCRIPT_ASKED)
			connect_ask(mgr, session);
}

void scripts_peer_down(struct session_mgr *mgr) {
	struct script_due *due;

	mgr->nb_scripts_sent = 0;
	TAILQ_FOREACH(due, &mgr->scripts_due, link)
		due->sent = false;
}

static void load_due(const struct record_script *record, void *arg) {
	due_new(arg, &record->facts);
}

int scripts_load(struct session_mgr *mgr) {
	int ret = store_scripts_load(mgr->store, load_due, mgr);

	if (ret >= 0 && mgr->nb_scripts_due)
		log_info("scripts_due", "disconnect=%u", mgr->nb_scripts_due);
	return ret;
}

void scripts_free(struct session_mgr *mgr) {
	while (!TAILQ_EMPTY(&mgr->scripts_due))
		due_remove(mgr, TAILQ_FIRST(&mgr->scripts_due));
}
