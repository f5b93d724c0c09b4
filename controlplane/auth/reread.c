// SPDX-License-Identifier: GPL-3.0-or-later
// A configured file in memory, read again when it has changed; called by factors.

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/proc/log.h"
#include "files.h"
#include "reread.h"

static int text_load(struct reread *reread, int fd) {
	size_t len;
	char *text;
	int err = file_read(fd, reread->max, &text, &len);

	if (err != 0)
		return err;
	err = reread->load(reread->arg, text, len);
	file_wipe(text, len);
	return err;
}

static int refresh(struct reread *reread, int fd) {
	struct reread_id id = {0};
	struct stat st;
	int err;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	id.dev = st.st_dev;
	id.ino = st.st_ino;
	id.size = st.st_size;
	id.mtime = st.st_mtim;
	if (reread->loaded && memcmp(&id, &reread->id, sizeof(id)) == 0)
		return 0;
	err = text_load(reread, fd);
	if (err == 0) {
		reread->id = id;
		reread->loaded = true;
	}
	return err;
}

static void answer(struct reread *reread, int err) {
	struct reread_wait *wait;
	unsigned count = 0;

	reread->asked = false;
	TAILQ_FOREACH(wait, &reread->waiting, link)
		count++;
	// Those who come from within ready() wait for the next answer.
	while (count-- > 0 && (wait = TAILQ_FIRST(&reread->waiting)) != NULL) {
		reread_cancel(reread, wait);
		wait->ready(wait, err);
	}
}

static void on_file(struct child *child, int fd, void *arg) {
	struct reread *reread = arg;
	int err = refresh(reread, fd);

	if (fd >= 0)
		close(fd);
	if (err != 0)
		log_error(reread->event, "text=%s", log_value(strerror(-err)));
	answer(reread, err);
}

void reread_get(struct reread *reread, struct reread_wait *wait) {
	int err;

	if (reread->waiting.tqh_last == NULL)
		TAILQ_INIT(&reread->waiting);
	TAILQ_INSERT_TAIL(&reread->waiting, wait, link);
	wait->waiting = true;
	if (reread->asked)
		return;
	reread->asked = true;
	err = child_file_open(reread->child, reread->file, reread->index, on_file, reread);
	if (err != 0)
		answer(reread, -EIO);
}

void reread_cancel(struct reread *reread, struct reread_wait *wait) {
	if (!wait->waiting)
		return;
	TAILQ_REMOVE(&reread->waiting, wait, link);
	wait->waiting = false;
}
