// SPDX-License-Identifier: GPL-3.0-or-later
// Ends sessions or changes their settings, as a RADIUS server asks (RFC 5176). Called by role.c with
// what the radius process has checked.
//
// All sessions that match are meant, and it is done to all of them or to none. The answer goes out
// when it is on disk: a cookie that was said to be dead stays so, and a changed setting is there
// after kill -9 and at the next CONNECT. The dataplane is told last: whatever keeps it from hearing
// so is made up for by the sweep that comes after each reconciliation.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

// A session that is being changed; found again by its hash: it may end meanwhile.
struct changed {
	uint8_t cookie_hash[IPC_HASH_LEN];
	struct ipc_user_settings before; // empty: none
};

struct change {
	struct session_mgr *mgr;
	uint64_t req;
	uint32_t cause; // enum ipc_error_cause
	uint32_t nb, waits; // sessions; writes to the store
	bool disconnects;
	struct changed list[];
};

static void answer(
	struct session_mgr *mgr, uint64_t req, int status, uint32_t cause, uint32_t sessions) {
	struct ipc_changed msg = {
		.hdr.req = req, .status = status, .cause = cause, .sessions = sessions};

	mgr->opts.send(IPC_RADIUS, 0, IPC_CHANGED, &msg.hdr, sizeof(msg), mgr->opts.arg);
}

// --- which sessions ---

static bool same(const struct abi_addr *a, const struct abi_addr *b) {
	return memcmp(a, b, sizeof(*a)) == 0;
}

// The client's own address, or its prefix by whichever address of it.
static bool is_inner6(const struct session *session, const struct ipc_prefix *prefix) {
	const uint8_t *a = session->inner6.bytes, *b = prefix->addr.bytes;
	unsigned whole = prefix->len / 8, rest = prefix->len % 8;

	if (abi_addr_none(&session->inner6))
		return false;
	if (prefix->len == 128)
		return same(&session->inner6, &prefix->addr);
	return prefix->len == session->inner6_prefix && memcmp(a, b, whole) == 0 &&
		(!rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool is_user(const struct session *session, const struct ipc_change *msg) {
	const char *user = session->str[STR_USER];

	return strcmp(user, msg->username) == 0 ||
		(msg->short_name[0] && strcmp(user, msg->short_name) == 0);
}

static bool is_accounting_id(const struct session *session, const struct ipc_change *msg) {
	char *end;
	unsigned long long id = strtoull(msg->session_id, &end, 16);

	return strlen(msg->session_id) == IPC_ACCT_ID_LEN - 1 && *end == '\0' &&
		id == accounting_id(session);
}

// In everything that identifies a session; `at_nas`: and in what names the gateway.
static bool matches(const struct session *session, const struct ipc_change *msg, bool at_nas) {
	uint32_t by = msg->by;

	if (by & IPC_BY_SESSION_ID && !is_accounting_id(session, msg))
		return false;
	if (by & IPC_BY_USERNAME && !is_user(session, msg))
		return false;
	if (by & IPC_BY_INNER4 && !same(&session->inner4, &msg->inner4))
		return false;
	if (by & IPC_BY_INNER6 && !is_inner6(session, &msg->inner6))
		return false;
	if (by & IPC_BY_REMOTE && !same(&session->remote, &msg->remote))
		return false;
	if (by & IPC_BY_LOCAL && !same(&session->local, &msg->local))
		return false;
	return !at_nas || !(by & IPC_BY_NAS) || same(&session->local, &msg->nas);
}

// Calls `each` for those that match, of those that come into question: the one with the id, those
// of the user (and its short name), that with the address, or all.
static void for_each_match(struct session_mgr *mgr, const struct ipc_change *msg, bool at_nas,
	void (*each)(struct session *session, void *arg), void *arg) {
	const char *names[] = {msg->username, msg->short_name};
	uint32_t holder = msg->by & IPC_BY_INNER4 ? pools_holder(mgr->pools, &msg->inner4)
						  : POOL_NO_SESSION;
	struct session *session;

	if (msg->by & IPC_BY_SESSION_ID) {
		session = session_find_accounting(mgr, strtoull(msg->session_id, NULL, 16));
		if (session && matches(session, msg, at_nas))
			each(session, arg);
	} else if (msg->by & IPC_BY_USERNAME) {
		for (unsigned i = 0; i < 2 && names[i][0]; i++) {
			session = NULL;
			while ((session = session_next_of_user(mgr, names[i], session)) != NULL)
				if (matches(session, msg, at_nas))
					each(session, arg);
		}
	} else if (holder != POOL_NO_SESSION) {
		session = mgr->table[holder];
		if (session && matches(session, msg, at_nas))
			each(session, arg);
	} else {
		for (uint32_t i = 0; i < mgr->index_end; i++)
			if (mgr->table[i] && matches(mgr->table[i], msg, at_nas))
				each(mgr->table[i], arg);
	}
}

static void count(struct session *session, void *arg) {
	++*(uint32_t *)arg;
}

static void collect(struct session *session, void *arg) {
	struct change *change = arg;
	struct changed *changed = &change->list[change->nb++];

	memcpy(changed->cookie_hash, session->cookie_hash, IPC_HASH_LEN);
	if (session->extra)
		changed->before = *session->extra;
}

// NULL, and the cause.
static struct change *find(struct session_mgr *mgr, const struct ipc_change *msg, uint32_t *cause) {
	uint32_t nb = 0, elsewhere = 0;
	struct change *change;

	for_each_match(mgr, msg, true, count, &nb);
	if (!nb && msg->by & IPC_BY_NAS)
		for_each_match(mgr, msg, false, count, &elsewhere);
	*cause = elsewhere ? IPC_CAUSE_NAS_MISMATCH : IPC_CAUSE_NO_SESSION;
	if (!nb)
		return NULL;
	*cause = IPC_CAUSE_RESOURCES;
	change = calloc(1, sizeof(*change) + nb * sizeof(change->list[0]));
	if (!change)
		return NULL;
	change->mgr = mgr;
	change->req = msg->hdr.req;
	for_each_match(mgr, msg, true, collect, change);
	return change;
}

// --- settings ---

static void merge(struct ipc_user_settings *to, const struct ipc_user_settings *from) {
	if (from->set & IPC_SET_RX_RATE)
		to->rx_rate = from->rx_rate;
	if (from->set & IPC_SET_TX_RATE)
		to->tx_rate = from->tx_rate;
	if (from->set & IPC_SET_SESSION_TIMEOUT)
		to->session_timeout = from->session_timeout;
	if (from->set & IPC_SET_IDLE_TIMEOUT)
		to->idle_timeout = from->idle_timeout;
	if (from->set & IPC_SET_INTERIM)
		to->interim_interval = from->interim_interval;
	if (from->set & IPC_SET_FILTER)
		memcpy(to->filter, from->filter, sizeof(to->filter));
	to->set |= from->set;
}

// The dataplane's part. Of a connection that is not the session's any more nothing is said: the
// new one gets its policy when it is installed.
static void enforce(struct session_mgr *mgr, struct session *session) {
	accounting_interval(mgr, session);
	if (!session->installed || session->installed != session->sid.generation)
		return;
	if (session_policy_send(mgr, session) != 0)
		mgr->sweep = 0;
}

static void roll_back(struct change *change) {
	for (uint32_t i = 0; i < change->nb; i++) {
		const struct changed *changed = &change->list[i];
		struct session *session = session_find(change->mgr, changed->cookie_hash);

		if (!session)
			continue;
		session_extra_set(session, &changed->before);
		session_save(change->mgr, session, NULL, NULL);
	}
}

static void finish(struct change *change) {
	struct session_mgr *mgr = change->mgr;

	if (change->cause && !change->disconnects)
		roll_back(change);
	for (uint32_t i = 0; !change->cause && !change->disconnects && i < change->nb; i++) {
		struct session *session = session_find(mgr, change->list[i].cookie_hash);

		if (session)
			enforce(mgr, session);
	}
	answer(mgr, change->req, 0, change->cause, change->cause ? 0 : change->nb);
	free(change);
}

static void on_stored(int status, void *arg) {
	struct change *change = arg;

	if (status != 0) {
		log_error("change", "status=%d text=\"the store could not be written\"", status);
		change->cause = IPC_CAUSE_RESOURCES;
	}
	if (--change->waits == 0)
		finish(change);
}

static void change_settings(struct change *change, const struct ipc_user_settings *settings) {
	change->waits = 1; // our own, so that none is the last while others are asked for
	for (uint32_t i = 0; !change->cause && i < change->nb; i++) {
		struct session *session = session_find(change->mgr, change->list[i].cookie_hash);
		struct ipc_user_settings merged = change->list[i].before;

		merge(&merged, settings);
		change->waits++;
		if (session_extra_set(session, &merged) == 0 &&
			session_save(change->mgr, session, on_stored, change) == 0)
			continue;
		change->waits--;
		change->cause = IPC_CAUSE_RESOURCES;
	}
	on_stored(0, change);
}

// --- the end ---

// What was collected for the store is in one commit, so the last change of it tells of all.
static void disconnect(struct change *change) {
	struct session_mgr *mgr = change->mgr;

	change->disconnects = true;
	change->waits = 1;
	for (uint32_t i = 0; i < change->nb; i++) {
		struct session *session = session_find(mgr, change->list[i].cookie_hash);

		if (session) // the end of one may have been that of another
			session_disconnect(mgr, session);
	}
	if (store_session_del(mgr->store, change->list[0].cookie_hash, on_stored, change) != 0)
		on_stored(-ENOBUFS, change);
}

int change_begin(struct session_mgr *mgr, const struct ipc_change *msg) {
	struct change *change;
	uint32_t cause;

	if (!ipc_change_ok(msg))
		return -EPROTO;
	if (!mgr->loaded) {
		answer(mgr, msg->hdr.req, -EAGAIN, 0, 0);
		return 0;
	}
	change = find(mgr, msg, &cause);
	if (!change)
		answer(mgr, msg->hdr.req, 0, cause, 0);
	else if (msg->kind == IPC_CHANGE_DISCONNECT)
		disconnect(change);
	else
		change_settings(change, &msg->settings);
	return 0;
}
