// SPDX-License-Identifier: GPL-3.0-or-later
// The CONNECT exchange: what the client's headers ask for and the headers that answer. No I/O.
#pragma once

#include <stdbool.h>

#include "buf.h"
#include "controlplane/ipc/msg.h"
#include "http.h"
#include "yang/config.h"

// What the answer repeats of the request. Names are static strings.
struct cstp_offer {
	const char *legacy_name; // suite's name in the answer, or NULL
	bool dtls12; // the name goes into X-DTLS12-CipherSuite
	uint32_t wishes; // IPC_WISH_*
	char hostname[IPC_NAME_LEN];
};

// Reads a CONNECT request. Fills the cookie, wishes, MTUs, legacy cipher, master secret and names
// of *connect (zeroed by the caller, who fills addresses, versions and the PSK; `tls_cipher` must
// be set: a legacy suite like it is preferred) and *offer. 0, or the HTTP status: 401 no cookie
// that could be ours, 400.
int cstp_connect_parse(struct ipc_connect *connect, struct cstp_offer *offer,
	const struct http_request *req, const struct cfg *cfg);

// The whole answer, 200 or refusal, with the settings of the session that `result` names.
void cstp_connect_answer(struct buf *out, const struct ipc_connect_result *result,
	const struct cstp_offer *offer, const struct cfg *cfg);

// 503 with an X-Reason, or another refusal without a body; the connection is to be closed.
void cstp_refuse(struct buf *out, unsigned status, const char *reason);

// A Cisco client: some headers have other names for it.
bool cstp_agent_cisco(const char *agent);
