// SPDX-License-Identifier: GPL-3.0-or-later
// A session manager with a real store and the real rings of the boundary, of which the test program
// holds the dataplane's end: for the tests of sessions.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>

#include "controlplane/session/sessions.h"
#include "dataplane/abi/ring.h"

#define SENT_MAX 512u
#define SESSIONS_MAX 64u

// A message that the manager sent.
struct sent {
	enum ipc_role role;
	unsigned index;
	enum ipc_type type;
	union {
		struct ipc_hdr hdr;
		struct ipc_session_created created;
		struct ipc_connect_result result;
		struct ipc_dtls_params params;
		struct ipc_dtls_set dtls_set;
		struct ipc_script_run script;
		struct ipc_acct acct;
		struct ipc_share_ask share;
		struct ipc_changed changed;
		struct ipc_users_ask users;
	};
};

// The dataplane's end.
struct far_end {
	bool up;
	struct abi_ring cmd, cpl, evt;
	int channel, cmd_bell, evt_bell;
	struct abi_stats *stats;
	size_t stats_len;
	uint64_t boot_id;
};

struct bench {
	struct event_base *base;
	struct session_mgr *mgr;
	struct far_end far;
	struct sent sent[SENT_MAX];
	unsigned nb_sent;
	unsigned nb_lost;
	bool radius_away; // sending to it fails
	char path[64];
	int dir_fd;
	struct cfg cfg;
	struct cfg_pool pool;
	struct cfg_listen listen;
	uint64_t req;
};

// Runs the loop until nothing is ready any more.
void spin(struct bench *bench);
// A manager with what the store holds; `first` is the first byte of the secret of this boot.
void manager_start(struct bench *bench, uint8_t first);
// A dataplane comes, with empty rings; `boot_id` says whether it is the one of before.
void attach(struct bench *bench, uint64_t boot_id);
// The dataplane is gone.
void far_close(struct far_end *far);
// The next command, which must be of this type.
struct abi_cmd take_cmd(struct bench *bench, enum abi_cmd_type type);
// There is no command.
void no_cmd(struct bench *bench);
// The dataplane answers a command.
void complete(struct bench *bench, const struct abi_cmd *cmd, int status);
// The dataplane tells of something.
void event(struct bench *bench, struct abi_evt evt);
// The dataplane has ended the session.
void end_session(struct bench *bench, struct abi_sid sid, enum abi_end reason);
// Answers ABI_CMD_DUMP: no session at all.
void dump_end(struct bench *bench);
// What a dataplane that has this session says of it in a dump.
struct abi_evt dump_evt(struct bench *bench, struct abi_sid sid);
// The one message sent since the last one taken, which must be of this type.
struct sent *take_sent(struct bench *bench, enum ipc_type type);
// Of each test: an empty store, a manager, a dataplane attached that has no session.
int sessions_setup(void **state);
int sessions_teardown(void **state);
// The status that a login ends with.
int login_status(struct bench *bench, uint8_t cookie, const char *user);
// A CONNECT with everything that stock openconnect asks for.
struct ipc_connect connect_msg(struct bench *bench, uint8_t cookie);
// A CONNECT that is let in.
struct ipc_connect_result connect_ok(struct bench *bench, uint8_t cookie);
// The status of a CONNECT that is refused, with `reason` in its reason (unless NULL).
unsigned connect_status(struct bench *bench, uint8_t cookie, const char *reason);
// The TLS stream of the session reaches the dataplane.
void stream_up(struct bench *bench, struct abi_sid sid);
// From login to the stream.
struct abi_sid connected(struct bench *bench, uint8_t cookie, const char *user);
// 0: no such session.
enum session_state state_of(struct bench *bench, uint8_t cookie);
