// SPDX-License-Identifier: GPL-3.0-or-later
// Framed messages with descriptors over SEQPACKET pairs, and who may send what to whom.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "msg.h"

#define IPC_FDS_MAX 8u
#define IPC_MSG_MAX 32768u

struct event_base;
struct ipc_chan;

// One row of the table: this sender may send this type to this receiver.
struct ipc_rule {
	enum ipc_role from, to;
	enum ipc_type type;
	uint32_t len; // exact length of the message
	uint8_t nb_fds_min, nb_fds_max;
	const char *name; // for logs
};

// "auth" and so on, for logs.
const char *ipc_role_name(enum ipc_role role);

// NULL: not allowed.
const struct ipc_rule *ipc_rule_find(enum ipc_role from, enum ipc_role to, unsigned type);

// Has either of them anything to say to the other?
bool ipc_are_peers(enum ipc_role a, enum ipc_role b);

// Holds a received message against the table. NULL and *rule when it is allowed; else what is
// wrong with it, in words. `msg` must be aligned for struct ipc_hdr.
const char *ipc_check(enum ipc_role from, enum ipc_role to, const void *msg, size_t len,
	unsigned nb_fds, const struct ipc_rule **rule);

// Called for each valid message. The handler owns the fds (closes or keeps them; set to -1 what
// it keeps, the rest is closed after it returns). `msg` is private memory, wiped afterwards.
// Returning non-zero says that the content was invalid: the offender is reported and the channel
// closed.
typedef int (*ipc_handler)(struct ipc_chan *chan, const struct ipc_hdr *msg, int *fds, void *arg);
// The peer is gone or broke the protocol (`offence`: what it did, or NULL for end of file).
typedef void (*ipc_closed)(struct ipc_chan *chan, const char *offence, void *arg);

// Takes over `fd`. `self` and `peer` choose the rows of the table that count.
struct ipc_chan *ipc_chan_new(struct event_base *base, int fd, enum ipc_role self,
	enum ipc_role peer, unsigned peer_index, ipc_handler handler, ipc_closed closed, void *arg);
void ipc_chan_free(struct ipc_chan *chan);
enum ipc_role ipc_chan_peer(const struct ipc_chan *chan);
unsigned ipc_chan_peer_index(const struct ipc_chan *chan);

// Queues when the socket is full (at most 4,096 messages or 16 MiB, then -ENOBUFS). Sets type,
// len, nb_fds; `msg->req` is the caller's. Descriptors are duplicated when queued: the caller
// keeps its own. The queued copy is wiped once sent. Asserts (in all builds) that the table
// allows it.
int ipc_send(struct ipc_chan *chan, enum ipc_type type, struct ipc_hdr *msg, size_t len,
	const int *fds, unsigned nb_fds);

// True when the array holds a NUL within len and no control characters.
bool ipc_str_ok(const char *str, size_t len);

// True when counts, prefix lengths, families and strings are what they should be.
bool ipc_user_settings_ok(const struct ipc_user_settings *settings);
// True when it says nothing but groups, or nothing at all.
bool ipc_user_settings_empty(const struct ipc_user_settings *settings);
bool ipc_acct_facts_ok(const struct ipc_acct_facts *facts);
// Kind, strings, what identifies a session and what may be changed.
bool ipc_change_ok(const struct ipc_change *change);
// Can the record be sent as it stands? Kind, strings and families.
bool ipc_acct_ok(const struct ipc_acct *acct);
// Strings, numbers and the prefix are what they should be; not whether names are fit for scripts.
bool ipc_script_facts_ok(const struct ipc_script_facts *facts);

// Why a session ended, in a word for logs and scripts: "idle". Any number is fine.
const char *ipc_end_name(uint32_t end);
