// SPDX-License-Identifier: GPL-3.0-or-later
// Deferred freeing by call_rcu, brought back to the control thread. Called by the tables.
#include "dataplane/table/reclaim.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct dp_reclaim *_Atomic ready; // stack: the call_rcu thread pushes, ctl takes all
static int ready_fd = -1;

int dp_reclaim_init(void) {
	ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ready_fd < 0)
		return -errno;
	urcu_qsbr_register_thread();
	return 0;
}

void dp_reclaim_flush(void) {
	urcu_qsbr_barrier();
	dp_reclaim_process();
}

void dp_reclaim_fini(void) {
	dp_reclaim_flush();
	if (ready_fd >= 0)
		close(ready_fd);
	ready_fd = -1;
	urcu_qsbr_unregister_thread();
}

// Runs on the call_rcu thread. Keys belong to the control thread's pools: not freed here.
static void grace_over(struct rcu_head *head) {
	struct dp_reclaim *reclaim = (struct dp_reclaim *)((char *)head -
		offsetof(struct dp_reclaim, head));

	reclaim->next = atomic_load(&ready);
	while (!atomic_compare_exchange_weak(&ready, &reclaim->next, reclaim))
		;
	eventfd_write(ready_fd, 1);
}

void dp_reclaim(struct dp_reclaim *reclaim, void (*release)(struct dp_reclaim *reclaim)) {
	reclaim->release = release;
	urcu_qsbr_call_rcu(&reclaim->head, grace_over);
}

int dp_reclaim_fd(void) {
	return ready_fd;
}

void dp_reclaim_process(void) {
	struct dp_reclaim *list;
	eventfd_t bells;

	eventfd_read(ready_fd, &bells);
	list = atomic_exchange(&ready, NULL);
	while (list != NULL) {
		struct dp_reclaim *next = list->next;

		list->release(list);
		list = next;
	}
}
