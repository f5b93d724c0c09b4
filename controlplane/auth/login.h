// SPDX-License-Identifier: GPL-3.0-or-later
// Logins and CONNECTs in the auth process, from an edge's message to the session process and back.
#pragma once

#include "controlplane/proc/child.h"

struct logins;

// 0 or -errno. Asks for the cookie secret; logins wait until it is there. `secret_ready` is told.
int logins_start(
	struct child *child, void (*secret_ready)(struct child *child), struct logins **out);
// The 32 bytes of the cookie secret, or NULL before they are there. Owned by the logins.
const uint8_t *logins_cookie_secret(const struct logins *logins);
void logins_free(struct logins *logins);

// Messages of an edge. Non-zero: the content is not valid, the edge is ended.
int logins_login(struct logins *logins, struct ipc_chan *edge, const struct ipc_login *msg);
int logins_login_token(
	struct logins *logins, struct ipc_chan *edge, const struct ipc_login_token *msg);
int logins_login_cert(
	struct logins *logins, struct ipc_chan *edge, const struct ipc_login_cert *msg);
int logins_connect(struct logins *logins, struct ipc_chan *edge, const struct ipc_connect *msg);
// The session process' answer to a new session.
int logins_created(struct logins *logins, const struct ipc_session_created *msg);

// What a factor asked of another process. Non-zero: the content is not valid.
int logins_factor_message(struct logins *logins, const struct ipc_hdr *msg);

void logins_session_up(struct logins *logins);
// There is another configuration.
void logins_reloaded(struct logins *logins);
// Factors may have something to send again.
void logins_peer_up(struct logins *logins, enum ipc_role role);
// What this edge asked for is answered to nobody.
void logins_edge_down(struct logins *logins, unsigned index);
