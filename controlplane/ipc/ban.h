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
