// SPDX-License-Identifier: GPL-3.0-or-later
// Bans as messages carry them; used by session and edge.
#pragma once

#include "controlplane/proc/bans.h"
#include "msg.h"

// `lifted`: it has ended before its time.
static inline struct ipc_ban ipc_ban_of(const struct ban_info *info, bool lifted) {
	return (struct ipc_ban){
		.addr = info->addr,
		.since_s = info->since_s,
		.until_s = lifted ? 0 : info->until_s,
		.wrong_passwords = info->wrong_passwords,
		.connections = info->connections,
		.prefix_len = info->prefix_len,
	};
}

// False: there is no ban of such a prefix. What it says of times is the sender's word.
static inline bool ipc_ban_read(const struct ipc_ban *ban, struct ban_info *info) {
	*info = (struct ban_info){
		.addr = ban->addr,
		.prefix_len = ban->prefix_len,
		.wrong_passwords = ban->wrong_passwords,
		.connections = ban->connections,
		.since_s = ban->since_s,
		.until_s = ban->until_s,
	};
	return ban->prefix_len == 128 || ban->prefix_len == 64;
}

// Hands over all bans in force, at most IPC_BANS_MAX in a message.
struct ipc_bans_cut {
	struct ipc_bans msg;
	void (*send)(struct ipc_bans *msg, void *arg);
	void *arg;
};

static inline void ipc_bans_flush(struct ipc_bans_cut *cut) {
	if (cut->msg.nb_bans > 0)
		cut->send(&cut->msg, cut->arg);
	cut->msg = (struct ipc_bans){0};
}

static inline int ipc_bans_add(const struct ban_info *info, void *arg) {
	struct ipc_bans_cut *cut = arg;

	cut->msg.bans[cut->msg.nb_bans++] = ipc_ban_of(info, false);
	if (cut->msg.nb_bans == IPC_BANS_MAX)
		ipc_bans_flush(cut);
	return 0;
}

static inline void ipc_bans_all(struct bans *bans, uint64_t now_s,
	void (*send)(struct ipc_bans *msg, void *arg), void *arg) {
	struct ipc_bans_cut cut = {.send = send, .arg = arg};

	bans_each(bans, false, 0, now_s, ipc_bans_add, &cut);
	ipc_bans_flush(&cut);
}
