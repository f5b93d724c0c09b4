// SPDX-License-Identifier: GPL-3.0-or-later
// Is a bearer token one of the configured issuer, for us, and now? No I/O.
#pragma once

#include <time.h>

#include "controlplane/ipc/msg.h"
#include "keys.h"
#include "yang/config.h"

// Checks a token: a JSON Web Token (RFC 7519) signed by one of the keys, in compact form (RFC 7515,
// 7.1). `keys` may be NULL: then a token that is well formed is one of an unknown key. `now` is by
// the calendar (CLOCK_REALTIME). *user (IPC_USER_LEN) and *groups (IPC_GROUPS_LEN, comma
// separated) are filled when it returns IPC_OIDC_ACCEPTED, and empty otherwise.
enum ipc_oidc_status oidc_token_check(const struct cfg_oidc *rules, const struct oidc_keys *keys,
	const char *token, size_t len, time_t now, char *user, char *groups);

// Once, before any other use of the libraries: memory that they free is wiped, as it holds tokens.
void oidc_token_init(void);
