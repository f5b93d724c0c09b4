// SPDX-License-Identifier: GPL-3.0-or-later
// Messages between auth and session about users who are not in the password file any more; a part of
// msg.h.
#pragma once

#include "msg.h"

#define IPC_USERS_MAX 64u // in one message

struct ipc_users_ask {
	struct ipc_hdr hdr;
	uint32_t nb; // of `names`, at least 1
	uint32_t reserved;
	char names[IPC_USERS_MAX][IPC_USER_LEN];
};

struct ipc_users_answer {
	struct ipc_hdr hdr; // req: the question's
	uint64_t gone; // bits: not in the file, or locked
};
