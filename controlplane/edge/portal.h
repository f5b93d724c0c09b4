// SPDX-License-Identifier: GPL-3.0-or-later
// What the HTTP side answers: the table of URLs, logins by XML or form, and their limits. No I/O.
#pragma once

#include <stdbool.h>

#include "buf.h"
#include "cstp.h"
#include "http.h"

// What all connections share; owned by the caller.
struct portal_env {
	const struct cfg *cfg;
	const uint8_t *cert_sha1; // 20 bytes: the leaf's DER
	const char *chain_pem; // leaf first
	const char *server_name; // SNI; NULL or empty: none
	bool certificate_shown; // by the client, in its handshake
	bool certificate_needed; // and it has shown none: no method lets it in without
	bool draining; // no new logins
	const char *unavailable; // why new clients are not served, for X-Reason; NULL: they are
};

// One connection's login. All zero at its start.
struct portal {
	uint32_t requests;
	uint8_t transaction[IPC_TRANSACTION_LEN]; // of the login that is open; all zero: none
	char url_group[IPC_GROUP_LEN]; // that the last path or group-access named
	char group[IPC_GROUP_LEN]; // chosen in the last request
	bool bare; // a client of version 3 or older
	bool head; // the request at hand is a HEAD
	bool http10;
	bool close; // after the answer
	bool known; // has shown the secret of the camouflage
	bool wants_challenge; // of the request at hand: 401 instead of the first form
	enum ipc_scheme scheme; // PORTAL_LOGIN: of an Authorization field, with
	struct buf token; // its token, which the caller takes and resets
	uint32_t hidden_requests; // before that
	struct cstp_offer offer; // of the CONNECT at hand
};

enum portal_todo {
	PORTAL_ANSWERED, // the answer is in `out`
	// *login is filled but for the addresses, and portal's scheme and token are set:
	// portal_login_result() answers.
	PORTAL_LOGIN,
	PORTAL_CONNECT, // *connect is filled but for addresses, path_mtu and PSK
};

// Handles one request. `connect` and `login` are zeroed, but for connect->tls_cipher, by the
// caller, who wipes them.
enum portal_todo portal_request(struct portal *portal, const struct portal_env *env,
	const struct http_request *req, struct buf *out, struct ipc_login *login,
	struct ipc_connect *connect);
void portal_login_result(struct portal *portal, const struct portal_env *env,
	const struct ipc_login_result *result, struct buf *out);
// `reason` is for people and ends in X-Reason; the connection closes.
void portal_unavailable(
	struct portal *portal, const struct portal_env *env, const char *reason, struct buf *out);
// Answers a request that could not be read (400, 408, 413, 414, 431); the connection closes.
void portal_refuse(
	struct portal *portal, const struct portal_env *env, int status, struct buf *out);

// The answer to HTTP without TLS on this port.
extern const char portal_plain_http[];
