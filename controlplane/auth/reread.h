// SPDX-License-Identifier: GPL-3.0-or-later
// A configured file in memory, read again when it is another one or has changed. Each user of it
// waits until the supervisor has opened it; those who come meanwhile wait for the same answer.
#pragma once

#include <sys/queue.h>
#include <sys/stat.h>

#include "controlplane/proc/child.h"

// Who waits. Zeroed by its owner before the first use.
struct reread_wait {
	TAILQ_ENTRY(reread_wait) link;
	bool waiting;
	void (*ready)(struct reread_wait *wait, int err); // 0: what `load` made is up to date
};

// What of a file says that it is another than the one that was read.
struct reread_id {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct reread {
	struct child *child;
	enum ipc_file file;
	unsigned index; // of several
	const char *event; // in the log
	size_t max; // bytes
	// Takes the text in, which is wiped afterwards. 0 or -errno: what was there stays.
	int (*load)(void *arg, const char *text, size_t len);
	void *arg;
	struct reread_id id;
	bool loaded, asked;
	TAILQ_HEAD(, reread_wait) waiting;
};

// Calls wait->ready once, now or later.
void reread_get(struct reread *reread, struct reread_wait *wait);
// wait->ready is not called any more.
void reread_cancel(struct reread *reread, struct reread_wait *wait);
