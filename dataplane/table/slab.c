// SPDX-License-Identifier: GPL-3.0-or-later
// Pools of objects on large pages. Called by the session table and the key slots.
//
// Sessions are hit at random: with pages of 4 KB each object costs a miss of the TLB on top of those
// of the cache. A chunk is a huge page if the machine has one free, else 2 MB that the kernel may
// make one (transparent huge pages). Chunks are never given back before the end.
#include "dataplane/table/slab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_eal.h>

#define LINE 64u
#define CHUNK (2u << 20)
#define PAGE 4096u

// In the first line of each chunk.
struct dp_slab_chunk {
	struct dp_slab_chunk *next;
	void *map; // what munmap gets
	size_t map_len;
};

void dp_slab_init(struct dp_slab *slab, size_t size, uint32_t max) {
	*slab = (struct dp_slab){.size = (size + LINE - 1) & ~(size_t)(LINE - 1), .max = max};
}

void dp_slab_fini(struct dp_slab *slab) {
	while (slab->chunks != NULL) {
		struct dp_slab_chunk *chunk = slab->chunks;

		slab->chunks = chunk->next;
		munmap(chunk->map, chunk->map_len);
	}
	slab->free = slab->next = slab->end = NULL;
	slab->made = 0;
}

static void *map(size_t len, int flags) {
	void *at = mmap(
		NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	// cppcheck-suppress memleak ; it is what is returned
	return at != MAP_FAILED ? at : NULL;
}

// Aligned to CHUNK, so that the kernel can put a huge page under it.
static struct dp_slab_chunk *map_aligned(void) {
	char *at = map(2 * CHUNK, 0);
	struct dp_slab_chunk *chunk;

	if (at == NULL)
		return NULL;
	chunk = (void *)(((uintptr_t)at + CHUNK - 1) & ~(uintptr_t)(CHUNK - 1));
	madvise(chunk, CHUNK, MADV_HUGEPAGE); // without them it is small pages
	chunk->map = at;
	chunk->map_len = 2 * CHUNK; // what is not touched takes no memory
	return chunk;
}

static struct dp_slab_chunk *chunk_make(size_t len) {
	struct dp_slab_chunk *chunk;

	if (len < CHUNK)
		chunk = map(len, 0);
	else
		chunk = rte_eal_has_hugepages() ? map(len, MAP_HUGETLB) : NULL;
	if (chunk != NULL) {
		chunk->map = chunk;
		chunk->map_len = len;
	} else {
		chunk = map_aligned();
	}
	if (chunk == NULL)
		return NULL;
	madvise(chunk, len, MADV_DONTDUMP); // there are keys in it
	return chunk;
}

static int grow(struct dp_slab *slab) {
	size_t want = LINE + slab->size * (slab->max - slab->made);
	size_t len = want < CHUNK ? (want + PAGE - 1) & ~(size_t)(PAGE - 1) : CHUNK;
	struct dp_slab_chunk *chunk = chunk_make(len);

	if (chunk == NULL)
		return -ENOMEM;
	chunk->next = slab->chunks;
	slab->chunks = chunk;
	slab->next = (uint8_t *)chunk + LINE;
	slab->end = (uint8_t *)chunk + len;
	return 0;
}

void *dp_slab_get(struct dp_slab *slab) {
	void *object = slab->free;

	if (object != NULL) {
		memcpy(&slab->free, object, sizeof(slab->free));
		memset(object, 0, sizeof(slab->free)); // the rest was wiped
		return object;
	}
	if (slab->made == slab->max) {
		errno = ENOSPC;
		return NULL;
	}
	if ((size_t)(slab->end - slab->next) < slab->size && grow(slab) != 0) {
		errno = ENOMEM;
		return NULL;
	}
	object = slab->next;
	slab->next += slab->size;
	slab->made++;
	return object;
}

void dp_slab_put(struct dp_slab *slab, void *object) {
	if (object == NULL)
		return;
	explicit_bzero(object, slab->size);
	memcpy(object, &slab->free, sizeof(slab->free));
	slab->free = object;
}

void *dp_table_alloc(size_t n, size_t size) {
	char *at = calloc(n, size); // large ones are mapped: pages come as they are used
	uintptr_t start = ((uintptr_t)at + CHUNK - 1) & ~(uintptr_t)(CHUNK - 1);
	uintptr_t end = ((uintptr_t)at + n * size) & ~(uintptr_t)(CHUNK - 1);

	if (at != NULL && start < end)
		madvise((void *)start, end - start, MADV_HUGEPAGE);
	return at;
}
