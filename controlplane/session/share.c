// SPDX-License-Identifier: GPL-3.0-or-later
// What is asked of the shared store, when, and what follows from its answers. Called as share.h says.
#include "controlplane/session/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"

#define REFRESH_MIN_S 5u
#define REFRESH_MAX_S 60u
#define FOREIGN_USER "(another gateway)"

enum wait_kind {
	WAIT_LOGIN,
	WAIT_CONNECT,
	WAIT_CLAIM,
	WAIT_SAVE,
	WAIT_DELETE,
};

// A question without an answer.
struct wait {
	TAILQ_ENTRY(wait) link;
	uint64_t req;
	enum wait_kind kind;
	uint64_t due_s; // CLOCK_MONOTONIC
	uint8_t name[IPC_HASH_LEN];
	struct abi_addr inner4, inner6; // as asked for
	uint64_t asker; // WAIT_LOGIN, WAIT_CLAIM: req of the login or CONNECT
	unsigned tries; // WAIT_CLAIM
	struct ipc_connect *connect; // WAIT_CONNECT
	struct deletion *deletion; // WAIT_DELETE
};

struct deletion {
	STAILQ_ENTRY(deletion) link;
	uint8_t name[IPC_HASH_LEN];
	uint64_t epoch;
	struct abi_addr inner4, inner6;
};

// An address that another gateway's session has: not to be tried again soon.
struct foreign {
	STAILQ_ENTRY(foreign) link;
	struct abi_addr addr;
	uint64_t until_s; // CLOCK_MONOTONIC
};

struct share {
	bool has_key;
	bool server_up; // as share says
	bool up; // and we can use it
	uint8_t seal_key[SEAL_KEY_LEN];
	uint64_t last_req;
	TAILQ_HEAD(waits, wait) waits; // in the order of the questions
	unsigned nb_saves; // of them WAIT_SAVE and WAIT_DELETE
	struct session_queue dirty;
	STAILQ_HEAD(, deletion) deletions;
	unsigned nb_deletions;
	STAILQ_HEAD(, foreign) foreign; // in the order of until_s
	uint32_t sweep; // next index to be looked at for a refresh
};

static void pump(struct session_mgr *mgr);

// --- questions ---

// Owners write so often, so that a key lives for as long as its cookie after its gateway died.
static uint32_t refresh_s(const struct session_mgr *mgr) {
	uint32_t s = mgr->cfg->auth.cookie_timeout / 4;

	return s < REFRESH_MIN_S ? REFRESH_MIN_S : s > REFRESH_MAX_S ? REFRESH_MAX_S : s;
}

static uint64_t ttl_ms(const struct session_mgr *mgr, const struct session *session) {
	uint64_t now = session_now();
	uint64_t s = (uint64_t)mgr->cfg->auth.cookie_timeout + 2 * refresh_s(mgr);

	if (session && session->expires)
		s = session->expires > now ? session->expires - now : 1;
	return s * 1000;
}

static int ask(struct session_mgr *mgr, struct ipc_share_ask *msg, struct wait *wait) {
	struct share *share = mgr->share;

	memcpy(wait->name, msg->name, IPC_HASH_LEN);
	wait->inner4 = msg->inner4;
	wait->inner6 = msg->inner6;
	wait->req = msg->hdr.req = ++share->last_req;
	wait->due_s = clock_s() + SHARE_WAIT_S;
	if (!share->up ||
		mgr->opts.send(
			IPC_SHARE, 0, IPC_SHARE_ASK, &msg->hdr, sizeof(*msg), mgr->opts.arg) != 0)
		return -ENOTCONN;
	TAILQ_INSERT_TAIL(&share->waits, wait, link);
	share->nb_saves += wait->kind >= WAIT_SAVE;
	return 0;
}

static struct wait *wait_new(enum wait_kind kind, uint64_t asker) {
	struct wait *wait = calloc(1, sizeof(*wait));

	if (wait) {
		wait->kind = kind;
		wait->asker = asker;
	}
	return wait;
}

static void wait_free(struct wait *wait) {
	if (!wait)
		return;
	if (wait->connect)
		explicit_bzero(wait->connect, sizeof(*wait->connect));
	free(wait->connect);
	free(wait->deletion);
	free(wait);
}

// The session's record as it is now. 0 or -errno; `wait` is freed then.
static int put(struct session_mgr *mgr, struct session *session, struct wait *wait) {
	struct ipc_share_ask msg = {
		.what = IPC_SHARE_PUT,
		.blob_len = SHARE_RECORD_LEN,
		.epoch = session->share_epoch,
		.ttl_ms = ttl_ms(mgr, session),
		.inner4 = session->inner4,
		.inner6 = session->inner6,
	};
	struct record_session record;
	int ret = wait ? session_record(mgr, session, &record) : -ENOMEM;

	memcpy(msg.name, session->cookie_hash, IPC_HASH_LEN);
	if (ret == 0)
		ret = share_record_seal(mgr->share->seal_key, &record, msg.blob);
	explicit_bzero(&record, sizeof(record));
	if (ret == 0)
		ret = ask(mgr, &msg, wait);
	if (ret != 0)
		wait_free(wait);
	else
		session->shared_s = clock_s();
	return ret;
}

// --- logins ---

bool share_refuses(const struct session_mgr *mgr) {
	return mgr->share && !mgr->share->up && !mgr->cfg->share.allow_away;
}

bool share_login(struct session_mgr *mgr, struct session *session, uint64_t req) {
	if (!mgr->share || !mgr->share->up)
		return false;
	share_forget(mgr, session); // this writes it
	return put(mgr, session, wait_new(WAIT_LOGIN, req)) == 0;
}

static void login_answered(struct session_mgr *mgr, const struct wait *wait, int status,
	const struct ipc_share_answer *msg) {
	struct session *session = session_find(mgr, wait->name);

	if (session && status == 0)
		session->share_epoch = msg->epoch;
	if (status != 0 && mgr->cfg->share.allow_away)
		status = 0; // it is written when the server is back
	session_login_shared(mgr, wait->asker, wait->name, status == 0 ? 0 : -ENOLINK);
}

// --- CONNECT ---

static bool take(struct session_mgr *mgr, const struct ipc_connect *connect) {
	const struct session *session = session_find(mgr, connect->cookie);
	struct ipc_share_ask msg = {
		.what = IPC_SHARE_TAKE,
		.epoch = session ? session->share_epoch : 0,
		.ttl_ms = ttl_ms(mgr, NULL),
	};
	struct wait *wait = wait_new(WAIT_CONNECT, 0);

	if (!wait)
		return false;
	wait->connect = malloc(sizeof(*connect));
	if (wait->connect) {
		*wait->connect = *connect;
		memcpy(msg.name, connect->cookie, IPC_HASH_LEN);
		if (ask(mgr, &msg, wait) == 0)
			return true;
	}
	wait_free(wait);
	return false;
}

bool share_connect(struct session_mgr *mgr, const struct ipc_connect *msg) {
	if (!mgr->share || (mgr->share->up && take(mgr, msg)))
		return mgr->share != NULL;
	// Who has a tunnel here comes back to it. Another's cookie cannot be told from a wrong one.
	if (session_find(mgr, msg->cookie))
		return false;
	session_hold(mgr, msg);
	return true;
}

// Another gateway has it now. Its client is there; what is told of it from now on is told there.
static void lost(struct session_mgr *mgr, struct session *session) {
	log_info("session_moved", "session=%u.%u user=%s text=\"another gateway has it\"",
		session->sid.index, session->sid.generation, log_value(session->str[STR_USER]));
	session->share_lost = true;
	session->accounted = 0;
	session_uninstall(mgr, session, ABI_END_DISPLACED);
	session_connect_fail(mgr, session, 503, "Another gateway has the session");
	session_delete(mgr, session, "moved");
}

static void taken(
	struct session_mgr *mgr, const struct wait *wait, const struct ipc_share_answer *msg) {
	struct session *session = session_find(mgr, wait->name);
	struct record_session record;
	int ret = 0;

	if (session && !msg->which) {
		session->share_epoch = msg->epoch;
		return;
	}
	ret = share_record_open(
		mgr->share->seal_key, wait->name, msg->blob, msg->blob_len, &record);
	if (ret != 0) {
		log_error("share_record", "status=%d text=%s", ret,
			"\"a record in the shared store is not ours, or was altered: refused\"");
		return;
	}
	if (session)
		lost(mgr, session); // and comes back, as the other has left it
	// They were another's, and are its now. (No-op for all others; so is the end of their time.)
	pools_release(mgr->pools, &record.inner4, SESSION_FOREIGN, session_now());
	pools_release(mgr->pools, &record.inner6, SESSION_FOREIGN, session_now());
	session = session_import(mgr, &record);
	explicit_bzero(&record, sizeof(record));
	if (session)
		session->share_epoch = msg->epoch;
}

static void connect_answered(struct session_mgr *mgr, const struct wait *wait, int status,
	const struct ipc_share_answer *msg) {
	if (status == 0)
		taken(mgr, wait, msg);
	else if (status != -ENOENT && !session_find(mgr, wait->name)) {
		session_hold(mgr, wait->connect);
		return;
	}
	session_connect_shared(mgr, wait->connect);
}

// --- addresses ---

static bool is_claimed(const struct session *session) {
	return memcmp(&session->inner4, &session->shared4, sizeof(session->inner4)) == 0 &&
		memcmp(&session->inner6, &session->shared6, sizeof(session->inner6)) == 0;
}

static void now_shared(
	struct session *session, const struct wait *wait, const struct ipc_share_answer *msg) {
	session->share_epoch = msg->epoch;
	session->shared4 = wait->inner4;
	session->shared6 = wait->inner6;
}

static bool claim(struct session_mgr *mgr, struct session *session, unsigned tries) {
	struct wait *wait = wait_new(WAIT_CLAIM, session->connect.req);

	if (wait)
		wait->tries = tries;
	return put(mgr, session, wait) == 0;
}

bool share_claim(struct session_mgr *mgr, struct session *session) {
	if (!mgr->share || is_claimed(session))
		return false;
	if (mgr->share->up && claim(mgr, session, 0))
		return true;
	if (!share_refuses(mgr) && !mgr->share->up)
		return false;
	session_connect_fail(mgr, session, 503, "The shared session store is not there");
	return true;
}

// Leased to nobody here for as long as the other's cookie may live.
static void foreign_add(struct session_mgr *mgr, struct session *session, struct abi_addr *addr) {
	struct foreign *foreign = calloc(1, sizeof(*foreign));

	pools_release(mgr->pools, addr, session->sid.index, session_now());
	if (foreign) {
		foreign->addr = *addr;
		foreign->until_s = clock_s() + mgr->cfg->auth.cookie_timeout;
		if (pools_take(mgr->pools, addr, FOREIGN_USER, SESSION_FOREIGN, session_now()) == 0)
			STAILQ_INSERT_TAIL(&mgr->share->foreign, foreign, link);
		else
			free(foreign);
	}
	memset(addr, 0, sizeof(*addr));
}

static void foreign_expire(struct session_mgr *mgr) {
	struct share *share = mgr->share;
	struct foreign *foreign;

	while ((foreign = STAILQ_FIRST(&share->foreign)) != NULL && foreign->until_s <= clock_s()) {
		STAILQ_REMOVE_HEAD(&share->foreign, link);
		pools_release(mgr->pools, &foreign->addr, SESSION_FOREIGN, session_now());
		free(foreign);
	}
}

static void claim_answered(struct session_mgr *mgr, const struct wait *wait, int status,
	const struct ipc_share_answer *msg) {
	struct session *session = session_find(mgr, wait->name);
	const char *why = NULL;

	if (!session || !session->connecting || session->connect.req != wait->asker)
		return; // replaced by another CONNECT, or gone
	if (status == -ESTALE) {
		lost(mgr, session);
		return;
	}
	if (status == -EADDRINUSE && wait->tries < SHARE_CLAIMS_MAX) {
		foreign_add(mgr, session, msg->which == 4 ? &session->inner4 : &session->inner6);
		why = session_addresses_again(mgr, session);
		if (!why && claim(mgr, session, wait->tries + 1))
			return;
	}
	if (status == 0) {
		now_shared(session, wait, msg);
	} else if (why || !mgr->cfg->share.allow_away) {
		session_connect_fail(
			mgr, session, 503, why ? why : "The shared session store is not there");
		return;
	}
	session_connect_claimed(mgr, session);
}

// --- what is written behind ---

void share_dirty(struct session_mgr *mgr, struct session *session) {
	if (!mgr->share || session->share_dirty || session->share_lost)
		return;
	session->share_dirty = true;
	TAILQ_INSERT_TAIL(&mgr->share->dirty, session, by_dirty);
}

void share_forget(struct session_mgr *mgr, struct session *session) {
	if (session->share_dirty)
		TAILQ_REMOVE(&mgr->share->dirty, session, by_dirty);
	session->share_dirty = false;
}

void share_gone(struct session_mgr *mgr, struct session *session) {
	struct deletion *deletion;

	share_forget(mgr, session); // written behind its deletion it would be there again
	if (!mgr->share || session->share_lost || mgr->share->nb_deletions >= SHARE_DELETIONS_MAX)
		return;
	deletion = calloc(1, sizeof(*deletion));
	if (!deletion)
		return;
	memcpy(deletion->name, session->cookie_hash, IPC_HASH_LEN);
	deletion->epoch = session->share_epoch;
	deletion->inner4 = session->inner4;
	deletion->inner6 = session->inner6;
	STAILQ_INSERT_TAIL(&mgr->share->deletions, deletion, link);
	mgr->share->nb_deletions++;
	pump(mgr);
}

static int deletion_send(struct session_mgr *mgr, struct deletion *deletion) {
	struct ipc_share_ask msg = {
		.what = IPC_SHARE_DEL,
		.epoch = deletion->epoch,
		.ttl_ms = ttl_ms(mgr, NULL),
		.inner4 = deletion->inner4,
		.inner6 = deletion->inner6,
	};
	struct wait *wait = wait_new(WAIT_DELETE, 0);

	if (!wait)
		return -ENOMEM;
	memcpy(msg.name, deletion->name, IPC_HASH_LEN);
	if (ask(mgr, &msg, wait) != 0) {
		wait_free(wait);
		return -ENOTCONN;
	}
	wait->deletion = deletion;
	return 0;
}

static void pump(struct session_mgr *mgr) {
	struct share *share = mgr->share;
	struct session *session, *next;

	while (share->up && share->nb_saves < SHARE_WINDOW && !STAILQ_EMPTY(&share->deletions)) {
		struct deletion *deletion = STAILQ_FIRST(&share->deletions);

		if (deletion_send(mgr, deletion) != 0)
			return;
		STAILQ_REMOVE_HEAD(&share->deletions, link);
		share->nb_deletions--;
	}
	for (session = TAILQ_FIRST(&share->dirty);
		session && share->up && share->nb_saves < SHARE_WINDOW; session = next) {
		next = TAILQ_NEXT(session, by_dirty);
		if (session->connecting)
			continue; // its addresses are being claimed, or it is about to be saved
		share_forget(mgr, session);
		if (put(mgr, session, wait_new(WAIT_SAVE, 0)) != 0) {
			share_dirty(mgr, session);
			return;
		}
	}
}

static void save_answered(struct session_mgr *mgr, const struct wait *wait, int status,
	const struct ipc_share_answer *msg) {
	struct session *session = session_find(mgr, wait->name);
	char v4[ADDR_TEXT_LEN], v6[ADDR_TEXT_LEN];

	if (!session)
		return;
	if (status == 0) {
		now_shared(session, wait, msg);
	} else if (status == -ESTALE) {
		lost(mgr, session);
	} else if (status == -EADDRINUSE && session->connecting) {
		share_dirty(mgr, session); // it is getting others
	} else if (status == -EADDRINUSE) {
		// Its keys ran out while nobody could write them, and another got the address.
		log_warning("share_address", "session=%u user=%s ipv4=%s ipv6=%s text=%s",
			session->sid.index, log_value(session->str[STR_USER]),
			addr_text(&session->inner4, v4), addr_text(&session->inner6, v6),
			"\"another gateway's session has the address now: ended\"");
		lost(mgr, session);
	} else {
		share_dirty(mgr, session);
	}
}

static void delete_answered(struct session_mgr *mgr, struct wait *wait, int status) {
	if (status != -ENOTCONN || mgr->share->nb_deletions >= SHARE_DELETIONS_MAX)
		return;
	STAILQ_INSERT_TAIL(&mgr->share->deletions, wait->deletion, link);
	mgr->share->nb_deletions++;
	wait->deletion = NULL;
}

// --- answers ---

static void answered(struct session_mgr *mgr, struct wait *wait, int status,
	const struct ipc_share_answer *msg) {
	TAILQ_REMOVE(&mgr->share->waits, wait, link);
	mgr->share->nb_saves -= wait->kind >= WAIT_SAVE;
	switch (wait->kind) {
	case WAIT_LOGIN:
		login_answered(mgr, wait, status, msg);
		break;
	case WAIT_CONNECT:
		connect_answered(mgr, wait, status, msg);
		break;
	case WAIT_CLAIM:
		claim_answered(mgr, wait, status, msg);
		break;
	case WAIT_SAVE:
		save_answered(mgr, wait, status, msg);
		break;
	case WAIT_DELETE:
		delete_answered(mgr, wait, status);
		break;
	}
	wait_free(wait);
}

int share_answer(struct session_mgr *mgr, const struct ipc_share_answer *msg) {
	struct wait *wait;

	if (!mgr->share || msg->status > 0 || msg->blob_len > sizeof(msg->blob) ||
		(msg->status == -EADDRINUSE && msg->which != 4 && msg->which != 6))
		return -EPROTO;
	TAILQ_FOREACH(wait, &mgr->share->waits, link)
		if (wait->req == msg->hdr.req)
			break;
	if (!wait)
		return 0; // given up meanwhile
	answered(mgr, wait, msg->status, msg);
	pump(mgr);
	return 0;
}

// Those that were asked until now: what follows from them may ask again.
static void give_up(struct session_mgr *mgr, uint64_t due_s) {
	uint64_t last = mgr->share->last_req;
	struct wait *wait;

	while ((wait = TAILQ_FIRST(&mgr->share->waits)) != NULL && wait->req <= last &&
		wait->due_s <= due_s)
		answered(mgr, wait, -ENOTCONN, NULL);
}

static void state_apply(struct session_mgr *mgr) {
	struct share *share = mgr->share;

	if (share->up == share->server_up || !share->has_key || !mgr->loaded)
		return;
	share->up = share->server_up;
	log_info("share_state", "server=%s", share->up ? "up" : "away");
	if (!share->up) {
		give_up(mgr, UINT64_MAX);
		return;
	}
	// Whatever was missed, and whoever was taken over meanwhile.
	for (uint32_t i = 0; i < mgr->index_end; i++)
		if (mgr->table[i])
			share_dirty(mgr, mgr->table[i]);
	pump(mgr);
	session_held_run(mgr);
}

int share_state(struct session_mgr *mgr, const struct ipc_share_state *msg) {
	if (!mgr->share || msg->up > 1)
		return -EPROTO;
	mgr->share->server_up = msg->up;
	state_apply(mgr);
	return 0;
}

void share_peer_down(struct session_mgr *mgr) {
	if (!mgr->share)
		return;
	mgr->share->server_up = false;
	state_apply(mgr);
}

static void refresh(struct session_mgr *mgr) {
	struct share *share = mgr->share;
	uint32_t every = refresh_s(mgr), many = mgr->index_end / REFRESH_MIN_S + 1;

	for (uint32_t n = 0; n < many && mgr->index_end; n++) {
		struct session *session;

		if (share->sweep >= mgr->index_end)
			share->sweep = 0;
		session = mgr->table[share->sweep++];
		if (session && session->state == SESSION_CONNECTED && !session->expires &&
			clock_s() - session->shared_s >= every)
			share_dirty(mgr, session);
	}
}

void share_tick(struct session_mgr *mgr) {
	if (!mgr->share)
		return;
	state_apply(mgr);
	give_up(mgr, clock_s());
	foreign_expire(mgr);
	refresh(mgr);
	pump(mgr);
}

// --- life ---

void share_key_set(struct session_mgr *mgr, const uint8_t key[SEAL_KEY_LEN]) {
	memcpy(mgr->share->seal_key, key, SEAL_KEY_LEN);
	mgr->share->has_key = true;
}

struct share *share_new(void) {
	struct share *share = calloc(1, sizeof(*share));

	if (!share)
		return NULL;
	TAILQ_INIT(&share->waits);
	TAILQ_INIT(&share->dirty);
	STAILQ_INIT(&share->deletions);
	STAILQ_INIT(&share->foreign);
	return share;
}

void share_free(struct share *share) {
	if (!share)
		return;
	while (!TAILQ_EMPTY(&share->waits)) {
		struct wait *wait = TAILQ_FIRST(&share->waits);

		TAILQ_REMOVE(&share->waits, wait, link);
		wait_free(wait);
	}
	while (!STAILQ_EMPTY(&share->deletions)) {
		struct deletion *deletion = STAILQ_FIRST(&share->deletions);

		STAILQ_REMOVE_HEAD(&share->deletions, link);
		free(deletion);
	}
	while (!STAILQ_EMPTY(&share->foreign)) {
		struct foreign *foreign = STAILQ_FIRST(&share->foreign);

		STAILQ_REMOVE_HEAD(&share->foreign, link);
		free(foreign);
	}
	explicit_bzero(share, sizeof(*share));
	free(share);
}
