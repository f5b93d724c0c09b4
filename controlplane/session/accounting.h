// SPDX-License-Identifier: GPL-3.0-or-later
// Accounting: what RADIUS servers are told of sessions, and the queue of what they have not
// acknowledged. Called by sessions.c, connect.c, reconcile.c and role.c.
//
// A record is in the store before it is sent and until a server has it, so no crash loses one. After
// a crash of this process or of `radius` what was on its way is sent again: a server may get a
// record twice, with the same Acct-Session-Id, Acct-Status-Type and Event-Timestamp. The records of
// one session are sent in their order, one at a time.
//
// An accounting session is a session of ours: from the first stream until its cookie dies. While
// its client is away (at most the cookie's time) it keeps its address, so it goes on.
#pragma once

#include <stdint.h>

struct accounting;
struct ipc_acct_done;
struct session;
struct session_mgr;

// Session's records under way at a time; the others wait.
#define ACCOUNTING_WINDOW 256u
// Records that are kept: as many as sessions, but at least and at most so many. Beyond that the
// oldest Interim-Update goes; when there is none, the new record.
#define ACCOUNTING_KEPT_MIN 4096u
#define ACCOUNTING_KEPT_MAX 262144u

struct accounting *accounting_new(struct session_mgr *mgr);
void accounting_free(struct accounting *accounting);
// Takes up what the store holds. After the sessions were loaded. 0 or -errno.
int accounting_load(struct session_mgr *mgr);

// Acct-Session-Id, in hexadecimal there.
uint64_t accounting_id(const struct session *session);

// The client has its tunnel. No-op when accounting is off, or was begun before.
void accounting_start(struct session_mgr *mgr, struct session *session);
// Its interval has changed.
void accounting_interval(struct session_mgr *mgr, struct session *session);
// The session is about to be deleted. No-op when accounting was not begun.
void accounting_stop(struct session_mgr *mgr, struct session *session);
// After a fault of the store: what it may have missed is stored again, some at each tick.
void accounting_resave(struct session_mgr *mgr);
// Interim-Updates that are due, records that are to be sent again.
void accounting_tick(struct session_mgr *mgr);

// The radius process has come (again): what was on its way is sent again.
void accounting_radius_up(struct session_mgr *mgr);
// IPC_ACCT_DONE. Non-zero: the content is not valid.
int accounting_done(struct session_mgr *mgr, const struct ipc_acct_done *msg);

// Records that wait for a server.
uint32_t accounting_waiting(const struct session_mgr *mgr);
