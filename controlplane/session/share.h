// SPDX-License-Identifier: GPL-3.0-or-later
// Sessions that several gateways share, over the share process. Called by sessions.c, connect.c,
// persist.c and role.c.
//
// The own store stays the truth of a gateway's own sessions; the shared one knows who owns each session
// and address, and has its record, for the gateway that its client comes to next. A CONNECT takes the
// session over first; an address that a session gets is claimed before anybody is told; everything else
// is written behind. A gateway that has lost a session to another ends it without a word to the client.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "controlplane/ipc/msg_share.h"
#include "controlplane/session/seal.h"
#include "controlplane/session/store.h"

struct session;
struct session_mgr;
struct share;

// Deletions that wait for the server. Beyond that they are left to the time limit of each key.
#define SHARE_DELETIONS_MAX 65536u
#define SHARE_WINDOW 256u // records under way at a time
#define SHARE_WAIT_S 3u // a login or CONNECT waits so long for an answer
#define SHARE_CLAIMS_MAX 65536u // addresses that one CONNECT tries

struct share *share_new(void);
void share_free(struct share *share);
void share_key_set(struct session_mgr *mgr, const uint8_t key[SEAL_KEY_LEN]);

// Sessions are shared, but the server cannot be reached, and nobody new is let in meanwhile.
bool share_refuses(const struct session_mgr *mgr);

// A login is in the own store. True: session_login_shared() comes later; false: there is nothing to wait for.
bool share_login(struct session_mgr *mgr, struct session *session, uint64_t req);
// A CONNECT. True: session_connect_shared() comes later, or it was answered or is held.
bool share_connect(struct session_mgr *mgr, const struct ipc_connect *msg);
// Its addresses were chosen. True: session_connect_claimed() comes later.
bool share_claim(struct session_mgr *mgr, struct session *session);
// It has changed, and is in the own store.
void share_dirty(struct session_mgr *mgr, struct session *session);
// Its cookie is dead.
void share_gone(struct session_mgr *mgr, struct session *session);
// It is freed.
void share_forget(struct session_mgr *mgr, struct session *session);

// Messages of share. Non-zero: the content is invalid.
int share_answer(struct session_mgr *mgr, const struct ipc_share_answer *msg);
int share_state(struct session_mgr *mgr, const struct ipc_share_state *msg);
void share_peer_down(struct session_mgr *mgr);
void share_tick(struct session_mgr *mgr);

// share_record.c. The blob is nonce, tag, sealed record: SHARE_RECORD_LEN bytes. 0 or -errno.
#define SHARE_RECORD_LEN (SEAL_NONCE_LEN + SEAL_TAG_LEN + sizeof(struct record_session))
int share_record_seal(
	const uint8_t key[SEAL_KEY_LEN], const struct record_session *record, uint8_t *blob);
// -EBADMSG: altered, of another session, or sealed under another secret; -EPROTO: not a record that this
// version knows.
int share_record_open(const uint8_t key[SEAL_KEY_LEN], const uint8_t name[IPC_HASH_LEN],
	const uint8_t *blob, size_t len, struct record_session *record);
