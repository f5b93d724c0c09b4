// SPDX-License-Identifier: GPL-3.0-or-later
// Points and bans for all processes. Called by role.c with messages of auth and edges.
//
// The table is here because this process outlives edges and auth, and has the CLI. When it dies
// itself edges go on refusing by their copies, and give them to its successor.

#include "guard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/ipc/ban.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"

#define COUNT_MAX 1000000u // connections in one message; more is no edge's doing

struct guard {
	struct guard_hooks hooks;
	struct bans *bans;
	uint32_t ban_time_s;
	uint64_t refused;
};

static void broadcast(struct guard *guard, struct ipc_bans *msg) {
	for (unsigned i = 0; i < ABI_EDGES_MAX; i++)
		guard->hooks.send(IPC_EDGE, i, IPC_BANS, &msg->hdr, sizeof(*msg), guard->hooks.arg);
}

static void ban_log(const struct guard *guard, const struct ban_info *info, bool lifted) {
	const char *len = info->prefix_len == 128 ? "" : "/64";
	char text[ADDR_TEXT_LEN];

	if (lifted)
		log_info("ban_lifted", "address=%s%s refused=%llu", addr_text(&info->addr, text),
			len, (unsigned long long)info->refused);
	else
		log_warning("ban",
			"address=%s%s score=%u wrong_passwords=%u connections=%u seconds=%llu",
			addr_text(&info->addr, text), len, bans_score(guard->bans, info),
			info->wrong_passwords, info->connections,
			(unsigned long long)(info->until_s - info->since_s));
}

static void on_changed(const struct ban_info *info, bool lifted, void *arg) {
	struct guard *guard = arg;
	struct ipc_bans msg = {.nb_bans = 1, .bans[0] = ipc_ban_of(info, lifted)};

	ban_log(guard, info, lifted);
	broadcast(guard, &msg);
}

struct guard *guard_new(const struct guard_hooks *hooks, const struct cfg *cfg) {
	struct guard *guard = calloc(1, sizeof(*guard));

	if (guard == NULL)
		return NULL;
	guard->hooks = *hooks;
	guard->bans = bans_new(BANS_ENTRIES, &(struct bans_hooks){on_changed, guard});
	if (guard->bans == NULL) {
		free(guard);
		return NULL;
	}
	guard_cfg(guard, cfg);
	return guard;
}

void guard_free(struct guard *guard) {
	if (guard == NULL)
		return;
	bans_free(guard->bans);
	free(guard);
}

void guard_cfg(struct guard *guard, const struct cfg *cfg) {
	const struct bans_limits limits = bans_limits_of(cfg);

	guard->ban_time_s = limits.ban_time_s;
	bans_limits_set(guard->bans, &limits, clock_s());
}

// --- an edge that has come ---

struct newcomer {
	struct guard *guard;
	unsigned edge;
};

static void bans_send(struct ipc_bans *msg, void *arg) {
	const struct newcomer *newcomer = arg;
	const struct guard_hooks *hooks = &newcomer->guard->hooks;

	hooks->send(IPC_EDGE, newcomer->edge, IPC_BANS, &msg->hdr, sizeof(*msg), hooks->arg);
}

void guard_edge_up(struct guard *guard, unsigned index) {
	struct newcomer newcomer = {guard, index};

	ipc_bans_all(guard->bans, clock_s(), bans_send, &newcomer);
}

// --- messages ---

int guard_wrong_password(struct guard *guard, const struct ipc_wrong_password *msg) {
	if (abi_addr_none(&msg->remote))
		return -EPROTO;
	bans_wrong_password(guard->bans, &msg->remote, clock_s());
	return 0;
}

int guard_contacts(struct guard *guard, const struct ipc_contacts *msg) {
	uint64_t now_s = clock_s();

	if (msg->nb_contacts > IPC_CONTACTS_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < msg->nb_contacts; i++) {
		const struct ipc_contact *contact = &msg->contacts[i];

		if (abi_addr_none(&contact->remote) || contact->connections > COUNT_MAX ||
			contact->refused > COUNT_MAX)
			return -EPROTO;
		guard->refused += contact->refused;
		bans_refused(guard->bans, &contact->remote, contact->refused, now_s);
		bans_connections(guard->bans, &contact->remote, contact->connections, now_s);
	}
	return 0;
}

// Nothing an edge says bans anybody for longer than a ban takes.
static int ban_take(struct guard *guard, const struct ipc_ban *ban, uint64_t now_s) {
	struct ban_info info;

	if (!ipc_ban_read(ban, &info) || info.since_s > now_s)
		return -EPROTO;
	info.until_s = info.since_s + guard->ban_time_s;
	bans_put(guard->bans, &info, now_s);
	return 0;
}

int guard_bans(struct guard *guard, const struct ipc_bans *msg) {
	uint64_t now_s = clock_s();
	int ret = 0;

	if (msg->nb_bans > IPC_BANS_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < msg->nb_bans && ret == 0; i++)
		ret = ban_take(guard, &msg->bans[i], now_s);
	return ret;
}

struct bans *guard_table(struct guard *guard) {
	return guard->bans;
}

uint64_t guard_refused(const struct guard *guard) {
	return guard->refused;
}
