// SPDX-License-Identifier: GPL-3.0-or-later
// Which one-time passwords were used, on disk. Used by role.c.
//
// A file of its own: the replay of a code must not become possible because the file of sessions is
// of another version and begins anew.
#pragma once

#include "controlplane/ipc/msg.h"

#define OTP_STORE_FILE "otp.mdb"

struct otp_store;
struct event_base;

// Opens or makes OTP_STORE_FILE in the directory; with `damage` (what was found in it) it stays closed.
// Never NULL but for lack of memory: a file that
// cannot be used is left alone, with a log line, and every question is answered with -EIO. To be
// called before the sandbox: it opens files and changes the working directory.
struct otp_store *otp_store_open(int dir_fd, const char *damage);
void otp_store_close(struct otp_store *store);

// From here on questions are answered, by `send`, in batches: once what they change is on disk.
// 0 or -ENOMEM.
int otp_store_start(struct otp_store *store, struct event_base *base,
	void (*send)(struct ipc_otp_answer *msg, void *arg), void *arg);
void otp_store_ask(struct otp_store *store, const struct ipc_otp_ask *msg);
