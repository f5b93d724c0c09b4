// SPDX-License-Identifier: GPL-3.0-or-later
// Single-producer single-consumer ring of fixed-size slots in a shared memfd. Used by both sides.
//
// Layout: struct abi_ring_hdr, then `slots` slots of `slot_size` bytes. head and tail count
// slots and wrap at 2^32. Each side keeps its own copy of slots, size and its own index in
// struct abi_ring: what the other side writes into the header is read, checked against the
// possible range, and never used as a size or mask.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct abi_ring_hdr {
	uint32_t magic; // ABI_RING_MAGIC
	uint32_t slots; // power of two
	uint32_t slot_size; // bytes, multiple of 8
	uint32_t reserved[13];
	uint32_t head; // written by the producer: slots published
	uint32_t reserved1[15];
	uint32_t tail; // written by the consumer: slots consumed
	uint32_t waiting; // written by the consumer: 1 before it sleeps on the bell
	uint32_t reserved2[14];
};
_Static_assert(sizeof(struct abi_ring_hdr) == 192, "abi_ring_hdr");

#define ABI_RING_MAGIC 0x474e4952u

// Private handle of one side of a ring.
struct abi_ring {
	struct abi_ring_hdr *hdr; // shared
	uint8_t *data; // shared
	size_t map_len;
	uint32_t slots;
	uint32_t slot_size;
	uint32_t next; // own index: head for the producer, tail for the consumer
	uint32_t bell_fd; // eventfd to ring when the consumer waits
	bool broken; // the other side's index was impossible: the ring is not used any more
};

// Creates the ring's sealed memfd (F_SEAL_SHRINK|GROW|SEAL) and maps it. Returns the fd or -errno.
int abi_ring_create(struct abi_ring *ring, const char *name, uint32_t slots, uint32_t slot_size);

// Maps a ring received from the peer; checks seals, size and header against what is expected.
// Takes over nothing: the caller closes fd. Returns 0 or -errno (-EPROTO: not such a ring).
int abi_ring_attach(struct abi_ring *ring, int fd, uint32_t slots, uint32_t slot_size);

// Sets the consumer's (or producer's) private index from the shared header, after attaching.
void abi_ring_adopt(struct abi_ring *ring, bool producer);

void abi_ring_detach(struct abi_ring *ring);

// Producer: copies slot_size bytes in and publishes. 0, -EAGAIN full, -EPIPE broken.
int abi_ring_push(struct abi_ring *ring, const void *slot);

// Producer: space for at most n; returns how many were pushed.
unsigned abi_ring_push_bulk(struct abi_ring *ring, const void *slots, unsigned n);

// Consumer: copies one slot out to private memory. `wipe`: zeroes the shared slot before it is
// given back (slots with keys). 0, -EAGAIN empty, -EPIPE broken.
int abi_ring_pop(struct abi_ring *ring, void *slot, bool wipe);

// Rings the bell if the consumer said that it waits. No system call otherwise.
void abi_ring_notify(struct abi_ring *ring);

// Consumer: announces that it is about to sleep on the bell; returns false when slots arrived
// meanwhile (then do not sleep). abi_ring_wake takes the announcement back.
bool abi_ring_wait(struct abi_ring *ring);
void abi_ring_wake(struct abi_ring *ring);

// Slots that are waiting, as far as this side can tell; never more than slots.
uint32_t abi_ring_count(const struct abi_ring *ring, bool producer);
