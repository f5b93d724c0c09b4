// SPDX-License-Identifier: GPL-3.0-or-later
// A few threads that hash passwords, so that the event loop goes on signing meanwhile.
#pragma once

#include "passwd.h"

struct event_base;
struct verify_pool;

#define VERIFY_QUEUE_MAX 256u
#define VERIFY_SOURCE_MAX 32u // of them from one address

// One password to check. Owned by the caller until `done`, by the pool in between.
struct verify_job {
	struct verify_job *next; // the pool's
	struct passwd_entry entry;
	char password[IPC_PASSWORD_LEN];
	uint64_t source; // whose it is: an IPv4 address, an IPv6 /64
	bool ok; // the answer
	void (*done)(struct verify_job *job); // in the event loop
	void *arg;
};

// NULL with errno. `threads` work at once.
struct verify_pool *verify_pool_new(struct event_base *base, unsigned threads);
// Waits for the threads; jobs not yet done are dropped without their callback.
void verify_pool_free(struct verify_pool *pool);
// 0 or -EBUSY: VERIFY_QUEUE_MAX jobs are waiting, or VERIFY_SOURCE_MAX of this source. Whoever has
// many waiting does not hold up who has few: after a job of one source comes one of another.
int verify_pool_add(struct verify_pool *pool, struct verify_job *job);
