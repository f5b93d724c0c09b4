// SPDX-License-Identifier: GPL-3.0-or-later
// What the server's replies mean. Used by share.c.
#pragma once

#include <hiredis/read.h>
#include <stdbool.h>
#include <stddef.h>

#include "controlplane/ipc/msg_share.h"

struct redisReply;

// A reader of replies that takes no longer arrays than ours; one longer is an error. NULL: no memory.
struct redisReader *reply_reader_new(void);

// The scripts that the server runs for the questions (EVAL). Atomic there, so that a session has one
// owner and an address one session. `keys`: names of the session and of its addresses; see share.c.
const char *reply_script(enum ipc_share what);

// A reply to a question of this kind. Sets all of *out but hdr. -EIO there: it is none of those that the
// script gives, and `error` is what the server says (for people; may be NULL).
void reply_read(enum ipc_share what, const struct redisReply *reply, struct ipc_share_answer *out,
	const char **error);
// "OK" or "PONG".
bool reply_is_fine(const struct redisReply *reply);
