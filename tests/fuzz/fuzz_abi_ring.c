// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzer of the rings: a peer that writes anything into the shared memory between our operations.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/abi/ring.h"

#define SLOTS 8u
#define SLOT_SIZE 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void step(struct abi_ring *ring, uint8_t op, bool producer) {
	uint8_t slot[SLOT_SIZE * 4] = {0};

	switch (op % 6) {
	case 0:
		if (producer)
			abi_ring_push(ring, slot);
		else
			abi_ring_pop(ring, slot, op & 128);
		break;
	case 1:
		if (producer)
			abi_ring_push_bulk(ring, slot, op >> 6);
		break;
	case 2:
		if (abi_ring_count(ring, producer) > SLOTS)
			abort();
		break;
	case 3:
		abi_ring_notify(ring);
		break;
	case 4:
		abi_ring_wait(ring);
		abi_ring_wake(ring);
		break;
	default:
		abi_ring_adopt(ring, producer);
	}
	if (ring->slots != SLOTS || ring->slot_size != SLOT_SIZE)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct abi_ring ring, second;
	uint8_t *shared;
	int fd = abi_ring_create(&ring, "fuzz", SLOTS, SLOT_SIZE);

	if (fd < 0)
		return 0;
	shared = (uint8_t *)ring.hdr;
	for (size_t i = 0; i + 3 <= size; i += 3) {
		if (data[i] & 1)
			shared[(data[i + 1] << 1 | (data[i] >> 1 & 1)) % ring.map_len] =
				data[i + 2];
		else
			step(&ring, data[i + 1], data[i] & 2);
	}
	if (abi_ring_attach(&second, fd, SLOTS, SLOT_SIZE) == 0)
		abi_ring_detach(&second);
	abi_ring_detach(&ring);
	close(fd);
	return 0;
}
