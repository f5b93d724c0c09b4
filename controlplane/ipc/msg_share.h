// SPDX-License-Identifier: GPL-3.0-or-later
// Messages between session and share; see msg.h.
#pragma once

#include "controlplane/ipc/msg.h"

#define IPC_SHARE_BLOB_MAX 8192u

enum ipc_share {
	// A CONNECT: this gateway is the session's owner from now on. The answer has its epoch and,
	// when it was another's before, its record.
	IPC_SHARE_TAKE = 1,
	// The owner's record and addresses. -ESTALE: another owns it; -EADDRINUSE: `which` address
	// belongs to another session. Nothing was changed then.
	IPC_SHARE_PUT = 2,
	IPC_SHARE_DEL = 3, // by its owner, for good; else no-op
};

struct ipc_share_ask {
	struct ipc_hdr hdr;
	uint32_t what; // enum ipc_share
	uint32_t blob_len; // IPC_SHARE_PUT
	uint64_t epoch; // that the owner knows; 0: none yet, since its start
	uint64_t ttl_ms; // IPC_SHARE_DEL: for so long nobody may write it anew
	uint8_t name[IPC_HASH_LEN]; // of the session
	struct abi_addr inner4, inner6; // all zero: none
	uint8_t blob[IPC_SHARE_BLOB_MAX]; // sealed
};

struct ipc_share_answer {
	struct ipc_hdr hdr;
	int32_t status; // 0; -ENOENT (TAKE), -ESTALE, -EADDRINUSE (PUT); -ENOTCONN, -EIO: not known
	uint32_t which; // -EADDRINUSE: 4 or 6
	uint64_t epoch;
	uint32_t blob_len; // TAKE: 0: it was this gateway's
	uint32_t reserved;
	uint8_t blob[IPC_SHARE_BLOB_MAX];
};

struct ipc_share_state {
	struct ipc_hdr hdr;
	uint32_t up;
	uint32_t reserved;
};
