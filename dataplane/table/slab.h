// SPDX-License-Identifier: GPL-3.0-or-later
// Pools of objects of one size on large pages, which grow as they are needed: sessions, channels,
// keys. Control thread alone; what lies in them may be used by any.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct dp_slab_chunk;

struct dp_slab {
	size_t size; // of an object, bytes: a multiple of 64
	uint32_t max; // objects at most
	uint32_t made; // objects that were ever taken from chunks
	void *free; // those given back, each holds the next in its first bytes
	struct dp_slab_chunk *chunks;
	uint8_t *next, *end; // of the newest chunk: what was never used
};

// Takes no memory yet. size is rounded up to whole cache lines.
void dp_slab_init(struct dp_slab *slab, size_t size, uint32_t max);
// All objects go.
void dp_slab_fini(struct dp_slab *slab);

// An object of zeros, aligned to a cache line; NULL with errno: ENOSPC `max` are out, ENOMEM.
void *dp_slab_get(struct dp_slab *slab);
// Wipes it. NULL is allowed.
void dp_slab_put(struct dp_slab *slab, void *object);

// `n` entries of `size` bytes, zero, for free(): a table that is hit at random, which the kernel may
// put on huge pages. NULL: no memory.
void *dp_table_alloc(size_t n, size_t size);
