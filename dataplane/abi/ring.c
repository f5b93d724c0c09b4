// SPDX-License-Identifier: GPL-3.0-or-later
// SPSC rings in sealed memfds: the data path of the boundary. Called by both sides of it.
#include "dataplane/abi/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_SLOTS_MAX (1u << 20)
#define RING_SLOT_MAX (1u << 16)
#define RING_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static bool shape_valid(uint32_t slots, uint32_t slot_size) {
	return slots != 0 && slots <= RING_SLOTS_MAX && (slots & (slots - 1)) == 0 &&
		slot_size != 0 && slot_size <= RING_SLOT_MAX && slot_size % 8 == 0;
}

static size_t shape_bytes(uint32_t slots, uint32_t slot_size) {
	return sizeof(struct abi_ring_hdr) + (size_t)slots * slot_size;
}

static int ring_map(struct abi_ring *ring, int fd, uint32_t slots, uint32_t slot_size) {
	size_t len = shape_bytes(slots, slot_size);
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	*ring = (struct abi_ring){
		.hdr = map,
		.data = (uint8_t *)map + sizeof(struct abi_ring_hdr),
		.map_len = len,
		.slots = slots,
		.slot_size = slot_size,
		.bell_fd = UINT32_MAX,
	};
	return 0;
}

int abi_ring_create(struct abi_ring *ring, const char *name, uint32_t slots, uint32_t slot_size) {
	int fd, rc;

	if (!shape_valid(slots, slot_size))
		return -EINVAL;
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)shape_bytes(slots, slot_size)) < 0 ||
		fcntl(fd, F_ADD_SEALS, RING_SEALS) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	rc = ring_map(ring, fd, slots, slot_size);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	ring->hdr->slots = slots;
	ring->hdr->slot_size = slot_size;
	__atomic_store_n(&ring->hdr->magic, ABI_RING_MAGIC, __ATOMIC_RELEASE);
	return fd;
}

int abi_ring_attach(struct abi_ring *ring, int fd, uint32_t slots, uint32_t slot_size) {
	struct abi_ring_hdr hdr;
	struct stat st;
	int seals, rc;

	if (!shape_valid(slots, slot_size))
		return -EINVAL;
	// without the seals the peer could shrink the file and make every access a SIGBUS
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return -EPROTO;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((size_t)st.st_size != shape_bytes(slots, slot_size))
		return -EPROTO;
	rc = ring_map(ring, fd, slots, slot_size);
	if (rc < 0)
		return rc;
	memcpy(&hdr, ring->hdr, sizeof(hdr));
	if (hdr.magic != ABI_RING_MAGIC || hdr.slots != slots || hdr.slot_size != slot_size) {
		abi_ring_detach(ring);
		return -EPROTO;
	}
	return 0;
}

void abi_ring_adopt(struct abi_ring *ring, bool producer) {
	ring->next = __atomic_load_n(
		producer ? &ring->hdr->head : &ring->hdr->tail, __ATOMIC_ACQUIRE);
	ring->broken = false;
}

void abi_ring_detach(struct abi_ring *ring) {
	if (ring->hdr != NULL)
		munmap(ring->hdr, ring->map_len);
	*ring = (struct abi_ring){.bell_fd = UINT32_MAX};
}

static uint8_t *slot_at(const struct abi_ring *ring, uint32_t index) {
	return ring->data + (size_t)(index & (ring->slots - 1)) * ring->slot_size;
}

// Slots in use, from the own index and the peer's; more than `slots` cannot be true.
static uint32_t slots_used(const struct abi_ring *ring, bool producer) {
	if (producer)
		return ring->next - __atomic_load_n(&ring->hdr->tail, __ATOMIC_ACQUIRE);
	return __atomic_load_n(&ring->hdr->head, __ATOMIC_ACQUIRE) - ring->next;
}

unsigned abi_ring_push_bulk(struct abi_ring *ring, const void *slots, unsigned n) {
	const uint8_t *from = slots;
	uint32_t used, room;

	if (ring->broken || ring->hdr == NULL)
		return 0;
	used = slots_used(ring, true);
	if (used > ring->slots) {
		ring->broken = true;
		return 0;
	}
	room = ring->slots - used;
	if (n > room)
		n = room;
	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++)
		memcpy(slot_at(ring, ring->next + i), from + (size_t)i * ring->slot_size,
			ring->slot_size);
	ring->next += n;
	__atomic_store_n(&ring->hdr->head, ring->next, __ATOMIC_RELEASE);
	return n;
}

int abi_ring_push(struct abi_ring *ring, const void *slot) {
	if (abi_ring_push_bulk(ring, slot, 1) == 1)
		return 0;
	return ring->broken || ring->hdr == NULL ? -EPIPE : -EAGAIN;
}

int abi_ring_pop(struct abi_ring *ring, void *slot, bool wipe) {
	uint32_t used;
	uint8_t *from;

	if (ring->broken || ring->hdr == NULL)
		return -EPIPE;
	used = slots_used(ring, false);
	if (used > ring->slots) {
		ring->broken = true;
		return -EPIPE;
	}
	if (used == 0)
		return -EAGAIN;
	from = slot_at(ring, ring->next);
	memcpy(slot, from, ring->slot_size);
	if (wipe)
		explicit_bzero(from, ring->slot_size);
	ring->next++;
	__atomic_store_n(&ring->hdr->tail, ring->next, __ATOMIC_RELEASE);
	return 0;
}

void abi_ring_notify(struct abi_ring *ring) {
	uint64_t one = 1;

	if (ring->hdr == NULL)
		return;
	// the head published above must be visible before `waiting` is read: pairs with abi_ring_wait
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&ring->hdr->waiting, __ATOMIC_RELAXED) == 0)
		return;
	// the bell is non-blocking: a full counter (EAGAIN) rings all the same
	if (ring->bell_fd != UINT32_MAX && write((int)ring->bell_fd, &one, sizeof(one)) < 0)
		return;
}

bool abi_ring_wait(struct abi_ring *ring) {
	if (ring->hdr == NULL)
		return true;
	__atomic_store_n(&ring->hdr->waiting, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring->broken || slots_used(ring, false) == 0)
		return true;
	__atomic_store_n(&ring->hdr->waiting, 0, __ATOMIC_RELAXED);
	return false;
}

void abi_ring_wake(struct abi_ring *ring) {
	if (ring->hdr != NULL)
		__atomic_store_n(&ring->hdr->waiting, 0, __ATOMIC_RELAXED);
}

uint32_t abi_ring_count(const struct abi_ring *ring, bool producer) {
	uint32_t used;

	if (ring->hdr == NULL || ring->broken)
		return 0;
	used = slots_used(ring, producer);
	return used > ring->slots ? 0 : used;
}
