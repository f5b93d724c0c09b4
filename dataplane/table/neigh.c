// SPDX-License-Identifier: GPL-3.0-or-later
// Neighbour table: chained hash with lock-free readers. Called by netlink and the output nodes.
#include "dataplane/table/neigh.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BUCKETS 4096u
#define REQUESTS 64u // a worker, power of two

// One worker's requests: it moves head, the control thread tail.
struct requests {
	_Atomic uint32_t head __attribute__((aligned(64)));
	_Atomic uint32_t tail __attribute__((aligned(64)));
	struct dp_neigh_request slot[REQUESTS];
};

_Atomic uint32_t dp_way_epoch = 1;

static struct dp_neigh *_Atomic buckets[BUCKETS];
static uint32_t count;
static struct requests *requests;
static unsigned nb_requests;
static _Atomic int rung; // the bell was rung and not yet heard
static int bell_fd = -1;

static uint32_t hash(uint8_t port, const struct abi_addr *addr) {
	uint64_t a, b;

	memcpy(&a, addr->bytes, 8);
	memcpy(&b, addr->bytes + 8, 8);
	a = (a ^ b * UINT64_C(0x9e3779b97f4a7c15) ^ port) * UINT64_C(0xff51afd7ed558ccd);
	return (uint32_t)(a >> 40) & (BUCKETS - 1);
}

int dp_neigh_init(unsigned workers) {
	requests = aligned_alloc(64, workers * sizeof(*requests));
	bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (requests == NULL || bell_fd < 0) {
		dp_neigh_fini();
		return -ENOMEM;
	}
	memset(requests, 0, workers * sizeof(*requests));
	nb_requests = workers;
	return 0;
}

void dp_neigh_fini(void) {
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct dp_neigh *neigh = atomic_exchange(&buckets[i], NULL);

		while (neigh != NULL) {
			struct dp_neigh *next = neigh->next;

			free(neigh);
			neigh = next;
		}
	}
	count = 0;
	free(requests);
	requests = NULL;
	nb_requests = 0;
	if (bell_fd >= 0)
		close(bell_fd);
	bell_fd = -1;
	rung = 0;
}

void dp_way_changed(void) {
	uint32_t next = atomic_load_explicit(&dp_way_epoch, memory_order_relaxed) + 1;

	atomic_store_explicit(&dp_way_epoch, next != 0 ? next : 1, memory_order_release);
}

struct dp_neigh *dp_neigh_lookup(uint8_t port, const struct abi_addr *addr) {
	struct dp_neigh *_Atomic *bucket = &buckets[hash(port, addr)];
	struct dp_neigh *neigh = atomic_load_explicit(bucket, memory_order_acquire);

	while (neigh != NULL &&
		(neigh->port != port || memcmp(&neigh->addr, addr, sizeof(*addr)) != 0))
		neigh = atomic_load_explicit(&neigh->next, memory_order_acquire);
	return neigh;
}

void dp_neigh_request(unsigned worker, uint8_t port, const struct abi_addr *addr) {
	struct requests *r = &requests[worker];
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	struct dp_neigh_request *slot = &r->slot[head % REQUESTS];

	if (head - tail == REQUESTS)
		return;
	// A burst to one destination asks once.
	if (head != tail) {
		const struct dp_neigh_request *last = &r->slot[(head - 1) % REQUESTS];

		if (last->port == port && memcmp(&last->addr, addr, sizeof(*addr)) == 0)
			return;
	}
	slot->addr = *addr;
	slot->port = port;
	atomic_store(&r->head, head + 1);
	if (!atomic_exchange(&rung, 1))
		eventfd_write(bell_fd, 1);
}

int dp_neigh_request_fd(void) {
	return bell_fd;
}

void dp_neigh_request_clear(void) {
	eventfd_t bells;

	eventfd_read(bell_fd, &bells);
	atomic_store(&rung, 0); // before looking: what comes later rings again
}

bool dp_neigh_request_take(struct dp_neigh_request *request) {
	for (unsigned i = 0; i < nb_requests; i++) {
		struct requests *r = &requests[i];
		uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

		if (tail == atomic_load(&r->head))
			continue;
		*request = r->slot[tail % REQUESTS];
		atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
		return true;
	}
	return false;
}

struct dp_neigh *dp_neigh_get(uint8_t port, const struct abi_addr *addr) {
	struct dp_neigh *_Atomic *bucket = &buckets[hash(port, addr)];
	struct dp_neigh *neigh = dp_neigh_lookup(port, addr);

	if (neigh != NULL)
		return neigh;
	if (count >= DP_NEIGH_MAX) {
		errno = ENOSPC;
		return NULL;
	}
	neigh = calloc(1, sizeof(*neigh));
	if (neigh == NULL)
		return NULL;
	neigh->addr = *addr;
	neigh->port = port;
	atomic_init(&neigh->next, atomic_load_explicit(bucket, memory_order_relaxed));
	atomic_store_explicit(bucket, neigh, memory_order_release);
	count++;
	return neigh;
}

void dp_neigh_set(struct dp_neigh *neigh, const uint8_t *mac) {
	uint64_t link = 0;

	if (mac != NULL) {
		for (int i = 0; i < 6; i++)
			link |= (uint64_t)mac[i] << (8 * i);
		link |= DP_NEIGH_VALID;
	}
	if (link == atomic_load_explicit(&neigh->link, memory_order_relaxed))
		return;
	atomic_store_explicit(&neigh->link, link, memory_order_release);
	dp_way_changed();
}

static void neigh_free(struct dp_reclaim *reclaim) {
	free((char *)reclaim - offsetof(struct dp_neigh, reclaim));
}

void dp_neigh_release(struct dp_neigh *neigh) {
	struct dp_neigh *_Atomic *link = &buckets[hash(neigh->port, &neigh->addr)];

	if (neigh->refs != 0 || neigh->known)
		return;
	while (atomic_load_explicit(link, memory_order_relaxed) != neigh)
		link = &atomic_load_explicit(link, memory_order_relaxed)->next;
	// The entry keeps its own next: a reader that is on it goes on.
	atomic_store_explicit(link, atomic_load(&neigh->next), memory_order_release);
	count--;
	dp_way_changed();
	dp_reclaim(&neigh->reclaim, neigh_free);
}

void dp_neigh_each(void (*fn)(struct dp_neigh *neigh, void *arg), void *arg) {
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct dp_neigh *neigh = atomic_load_explicit(&buckets[i], memory_order_relaxed),
				*next;

		for (; neigh != NULL; neigh = next) {
			next = atomic_load_explicit(&neigh->next, memory_order_relaxed);
			fn(neigh, arg);
		}
	}
}

uint32_t dp_neigh_count(void) {
	return count;
}
