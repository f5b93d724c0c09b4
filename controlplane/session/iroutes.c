// SPDX-License-Identifier: GPL-3.0-or-later
// Networks behind clients: whose they are, and what the dataplane is told. Called by connect.c,
// reconcile.c and sessions.c.
//
// A network is that session's which asked for it first, until the session's connection ends; then
// others that want it get it. Networks within others are a matter of the longest prefix.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"
#include "controlplane/session/sessions.h"
#include "dataplane/abi/addr.h"

#define BUCKETS 1024u

struct iroute {
	LIST_ENTRY(iroute) by_prefix, by_session;
	struct abi_prefix prefix;
	struct session *session;
};

struct iroutes {
	struct iroute_list bucket[BUCKETS];
	bool freed; // since the last tick: others may have it now
};

static bool same(const struct abi_prefix *a, const struct abi_prefix *b) {
	return a->len == b->len && memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

static struct iroute_list *bucket_of(struct iroutes *iroutes, const struct abi_prefix *prefix) {
	uint32_t hash = 2166136261u ^ prefix->len;

	for (unsigned i = 0; i < sizeof(prefix->addr.bytes); i++)
		hash = (hash ^ prefix->addr.bytes[i]) * 16777619u;
	return &iroutes->bucket[(hash ^ hash >> 16) % BUCKETS];
}

static struct iroute *iroute_find(struct iroutes *iroutes, const struct abi_prefix *prefix) {
	struct iroute *iroute;

	LIST_FOREACH(iroute, bucket_of(iroutes, prefix), by_prefix) {
		if (same(&iroute->prefix, prefix))
			return iroute;
	}
	return NULL;
}

static struct abi_prefix prefix_of(const struct cfg_prefix *cfg) {
	struct abi_prefix prefix = {.addr = settings_addr(&cfg->addr), .len = cfg->len};
	unsigned bits = prefix.len + (cfg->addr.family == AF_INET ? 96u : 0);

	for (unsigned i = bits; i < 128; i++)
		prefix.addr.bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	return prefix;
}

static void iroute_free(struct iroute *iroute) {
	LIST_REMOVE(iroute, by_prefix);
	LIST_REMOVE(iroute, by_session);
	free(iroute);
}

// --- whose it is ---

static void log_conflict(const struct session *session, const struct iroute *iroute) {
	char text[ADDR_TEXT_LEN];

	log_warning("iroute_conflict", "session=%u user=%s network=%s/%u owner=%u owner_user=%s",
		session->sid.index, log_value(session->str[STR_USER]),
		addr_text(&iroute->prefix.addr, text), iroute->prefix.len,
		iroute->session->sid.index, log_value(iroute->session->str[STR_USER]));
}

// False: another session has it, or there is no memory.
static bool take(
	struct session_mgr *mgr, struct session *session, const struct abi_prefix *prefix) {
	struct iroute *iroute = iroute_find(mgr->iroutes, prefix);

	if (iroute && iroute->session != session && !session->iroutes_missing)
		log_conflict(session, iroute); // once, not at each attempt
	if (iroute)
		return iroute->session == session;
	iroute = calloc(1, sizeof(*iroute));
	if (!iroute)
		return false;
	iroute->prefix = *prefix;
	iroute->session = session;
	LIST_INSERT_HEAD(bucket_of(mgr->iroutes, prefix), iroute, by_prefix);
	LIST_INSERT_HEAD(&session->iroutes, iroute, by_session);
	return true;
}

static bool wants(const struct settings *settings, const struct abi_prefix *prefix) {
	for (size_t i = 0; i < settings->nb_iroutes; i++) {
		struct abi_prefix wanted = prefix_of(&settings->iroutes[i]);

		if (same(&wanted, prefix))
			return true;
	}
	return false;
}

// Gives back what the settings do not have any more, and takes what is free.
static void claim(struct session_mgr *mgr, struct session *session) {
	struct iroute *iroute, *next;
	struct settings settings;
	bool missing = false;

	session_settings(mgr, session, &settings);
	for (iroute = LIST_FIRST(&session->iroutes); iroute; iroute = next) {
		next = LIST_NEXT(iroute, by_session);
		if (wants(&settings, &iroute->prefix))
			continue;
		iroute_free(iroute);
		mgr->iroutes->freed = true;
	}
	for (size_t i = 0; i < settings.nb_iroutes; i++) {
		struct abi_prefix prefix = prefix_of(&settings.iroutes[i]);

		missing |= !take(mgr, session, &prefix);
	}
	session->iroutes_missing = missing;
}

// --- the dataplane ---

struct iroutes_step {
	struct session_mgr *mgr;
	struct abi_sid sid;
};

static void set_done(int status, void *arg) {
	struct iroutes_step *step = arg;
	struct session_mgr *mgr = step->mgr;
	struct session *session = session_get(mgr, step->sid);

	free(step);
	if (status == 0 || status == -ECONNRESET || status == -ESTALE || !session)
		return;
	log_warning("iroutes_refused", "session=%u.%u user=%s status=%d", session->sid.index,
		session->sid.generation, log_value(session->str[STR_USER]), status);
	// In the dataplane somebody still has it whom we do not know to: tried again.
	session->iroutes_missing = true;
	mgr->iroutes->freed |= status == -EADDRINUSE;
}

void iroutes_set(struct session_mgr *mgr, struct session *session) {
	struct abi_cmd cmd = {.type = ABI_CMD_IROUTES_SET, .sid = session->sid};
	struct iroutes_step *step;
	const struct iroute *iroute;

	if (!session->installed || session->installed != session->sid.generation)
		return;
	claim(mgr, session);
	LIST_FOREACH(iroute, &session->iroutes, by_session) {
		if (cmd.iroutes_set.nb < ABI_IROUTES_MAX)
			cmd.iroutes_set.prefix[cmd.iroutes_set.nb++] = iroute->prefix;
	}
	if (!cmd.iroutes_set.nb && !session->iroutes_told)
		return;
	step = malloc(sizeof(*step));
	if (!step)
		return;
	*step = (struct iroutes_step){mgr, session->sid};
	session->iroutes_told = cmd.iroutes_set.nb > 0;
	if (dplane_command(mgr->dplane, &cmd, set_done, step) == 0)
		return;
	free(step);
	session->iroutes_missing = mgr->iroutes->freed = true;
}

void iroutes_adopt(struct session_mgr *mgr, struct session *session, uint32_t nb) {
	session->iroutes_told = nb > 0;
	if (nb > 0)
		claim(mgr, session);
}

void iroutes_release(struct session_mgr *mgr, struct session *session) {
	session->iroutes_missing = session->iroutes_told = false;
	while (!LIST_EMPTY(&session->iroutes)) {
		iroute_free(LIST_FIRST(&session->iroutes));
		mgr->iroutes->freed = true;
	}
}

void iroutes_tick(struct session_mgr *mgr) {
	if (!mgr->iroutes->freed || !mgr->reconciled || mgr->sweep < mgr->index_end)
		return;
	mgr->iroutes->freed = false;
	for (uint32_t i = 0; i < mgr->index_end; i++) {
		if (mgr->table[i] && mgr->table[i]->iroutes_missing && !mgr->table[i]->connecting)
			iroutes_set(mgr, mgr->table[i]);
	}
}

unsigned iroutes_of(const struct session *session, struct abi_prefix *out, unsigned max) {
	const struct iroute *iroute;
	unsigned nb = 0;

	LIST_FOREACH(iroute, &session->iroutes, by_session) {
		if (nb < max)
			out[nb++] = iroute->prefix;
	}
	return nb;
}

struct iroutes *iroutes_new(void) {
	return calloc(1, sizeof(struct iroutes));
}

void iroutes_free(struct iroutes *iroutes) {
	free(iroutes); // the sessions' went with them
}
