// SPDX-License-Identifier: GPL-3.0-or-later
// Logins without a form: the Authorization field of a request (RFC 9110, 11), and the answer that
// asks for one. No I/O.
#pragma once

#include "buf.h"
#include "controlplane/ipc/msg.h"
#include "http.h"
#include "yang/config.h"

// What clients of a virtual host may log in with, by the first factor of each method.
struct httpauth_offers {
	bool negotiate; // Kerberos: RFC 4559
	bool bearer; // OpenID Connect: RFC 6750
	bool form;
};

// `server_name`: that the client asked for (SNI), or empty.
struct httpauth_offers httpauth_offers(const struct cfg *cfg, const char *server_name);
// True when any scheme is offered.
bool httpauth_any(const struct httpauth_offers *offers);
// Is the client to be asked for an Authorization field instead of shown a form? Where there is a
// form only those that say that they know both.
bool httpauth_wanted(const struct httpauth_offers *offers, const struct http_request *req);

// Reads the field of the request. Adds the token of a scheme that is offered (Negotiate: decoded)
// to `token`, at least one byte and at most IPC_TOKEN_LEN, and returns the scheme; anything else:
// IPC_SCHEME_NONE and nothing added.
enum ipc_scheme httpauth_read(
	const struct httpauth_offers *offers, const struct http_request *req, struct buf *token);

// The fields of a 401 that ask for one of what is offered. `failed`: of a token that was refused
// just now, or IPC_SCHEME_NONE.
void httpauth_challenge(
	const struct httpauth_offers *offers, enum ipc_scheme failed, struct buf *out);
// The next token of the server's side (RFC 4559, 4.1); nothing when there is none.
void httpauth_token(const uint8_t *token, size_t len, struct buf *out);
