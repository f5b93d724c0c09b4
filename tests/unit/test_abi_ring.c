// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of the boundary's rings and channel: two threads, wrap-around, hostile peers.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/abi/channel.h"
#include "dataplane/abi/ring.h"

struct pair {
	int fd;
	struct abi_ring producer, consumer;
};

static void pair_open(struct pair *p, uint32_t slots, uint32_t slot_size) {
	p->fd = abi_ring_create(&p->producer, "test", slots, slot_size);
	assert_true(p->fd >= 0);
	assert_int_equal(abi_ring_attach(&p->consumer, p->fd, slots, slot_size), 0);
}

static void pair_close(struct pair *p) {
	abi_ring_detach(&p->producer);
	abi_ring_detach(&p->consumer);
	close(p->fd);
}

static void test_fill_and_drain(void **state) {
	uint64_t slot[2], out[2];
	struct pair p;

	pair_open(&p, 8, 16);
	for (int round = 0; round < 5; round++) {
		for (uint64_t i = 0; i < 8; i++) {
			slot[0] = i;
			slot[1] = ~i;
			assert_int_equal(abi_ring_push(&p.producer, slot), 0);
		}
		assert_int_equal(abi_ring_push(&p.producer, slot), -EAGAIN);
		assert_int_equal(abi_ring_count(&p.consumer, false), 8);
		for (uint64_t i = 0; i < 8; i++) {
			assert_int_equal(abi_ring_pop(&p.consumer, out, true), 0);
			assert_int_equal(out[0], i);
			assert_int_equal(out[1], ~i);
		}
		assert_int_equal(abi_ring_pop(&p.consumer, out, true), -EAGAIN);
	}
	pair_close(&p);
}

static void test_bulk(void **state) {
	uint64_t slots[12], out;
	struct pair p;

	for (uint64_t i = 0; i < 12; i++)
		slots[i] = i;
	pair_open(&p, 8, 8);
	assert_int_equal(abi_ring_push_bulk(&p.producer, slots, 5), 5);
	assert_int_equal(abi_ring_push_bulk(&p.producer, slots + 5, 7), 3);
	assert_int_equal(abi_ring_push_bulk(&p.producer, slots, 1), 0);
	assert_false(p.producer.broken);
	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(abi_ring_pop(&p.consumer, &out, false), 0);
		assert_int_equal(out, i);
	}
	pair_close(&p);
}

static void test_wrap_around(void **state) {
	uint64_t out;
	struct pair p;

	pair_open(&p, 4, 8);
	p.producer.hdr->head = p.producer.hdr->tail = UINT32_MAX - 5;
	abi_ring_adopt(&p.producer, true);
	abi_ring_adopt(&p.consumer, false);
	for (uint64_t i = 0; i < 40; i++) {
		assert_int_equal(abi_ring_push(&p.producer, &i), 0);
		assert_int_equal(abi_ring_count(&p.producer, true), 1);
		assert_int_equal(abi_ring_pop(&p.consumer, &out, false), 0);
		assert_int_equal(out, i);
	}
	assert_int_equal(p.producer.hdr->head, (uint32_t)(UINT32_MAX - 5 + 40u));
	pair_close(&p);
}

static void test_wipe(void **state) {
	uint8_t slot[32], out[32], zero[32] = {0};
	struct pair p;

	pair_open(&p, 2, 32);
	memset(slot, 0xa5, sizeof(slot));
	assert_int_equal(abi_ring_push(&p.producer, slot), 0);
	assert_int_equal(abi_ring_pop(&p.consumer, out, true), 0);
	assert_memory_equal(out, slot, 32);
	assert_memory_equal(p.producer.data, zero, 32);
	pair_close(&p);
}

static void test_hostile_indexes(void **state) {
	static const uint32_t lies[] = {5, 9, 0x80000000u, UINT32_MAX - 4};
	uint64_t slot = 1;
	struct pair p;

	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		pair_open(&p, 4, 8);
		p.producer.hdr->head = lies[i];
		assert_int_equal(abi_ring_count(&p.consumer, false), 0);
		assert_int_equal(abi_ring_pop(&p.consumer, &slot, false), -EPIPE);
		p.producer.hdr->head = 1; // no way back
		assert_int_equal(abi_ring_pop(&p.consumer, &slot, false), -EPIPE);
		pair_close(&p);

		pair_open(&p, 4, 8);
		p.consumer.hdr->tail = 0u - lies[i];
		assert_int_equal(abi_ring_push(&p.producer, &slot), -EPIPE);
		p.consumer.hdr->tail = 0;
		assert_int_equal(abi_ring_push(&p.producer, &slot), -EPIPE);
		assert_true(abi_ring_wait(&p.producer));
		pair_close(&p);
	}
}

// What the peer writes over slots and slot_size after attaching changes nothing for this side.
static void test_hostile_header(void **state) {
	uint64_t out;
	struct pair p;

	pair_open(&p, 4, 8);
	p.producer.hdr->slots = 1u << 31;
	p.producer.hdr->slot_size = UINT32_MAX;
	p.producer.hdr->magic = 0;
	for (uint64_t i = 0; i < 9; i++) {
		assert_int_equal(abi_ring_push(&p.producer, &i), 0);
		assert_int_equal(abi_ring_pop(&p.consumer, &out, false), 0);
		assert_int_equal(out, i);
	}
	pair_close(&p);
}

static void test_attach_refuses(void **state) {
	struct abi_ring ring, other;
	struct pair p;
	int fd;

	assert_int_equal(abi_ring_create(&ring, "t", 3, 8), -EINVAL);
	assert_int_equal(abi_ring_create(&ring, "t", 4, 7), -EINVAL);
	assert_int_equal(abi_ring_create(&ring, "t", 0, 8), -EINVAL);
	assert_int_equal(abi_ring_create(&ring, "t", UINT32_MAX, 8), -EINVAL);

	pair_open(&p, 8, 16);
	assert_int_equal(abi_ring_attach(&other, p.fd, 16, 16), -EPROTO);
	assert_int_equal(abi_ring_attach(&other, p.fd, 16, 8), -EPROTO);
	p.producer.hdr->slots = 16;
	assert_int_equal(abi_ring_attach(&other, p.fd, 8, 16), -EPROTO);
	pair_close(&p);

	// right size, not sealed: could be shrunk under our feet
	fd = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(struct abi_ring_hdr) + 8 * 16), 0);
	assert_int_equal(abi_ring_attach(&other, fd, 8, 16), -EPROTO);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(abi_ring_attach(&other, fd, 8, 16), -EPROTO);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(abi_ring_attach(&other, fd, 8, 16), -EPROTO); // no magic yet
	close(fd);
}

#define THREAD_SLOTS 400000u

struct message {
	uint64_t number;
	uint64_t copies[5];
};

static void *produce(void *arg) {
	struct pair *p = arg;
	struct message m;

	for (uint64_t i = 0; i < THREAD_SLOTS; i++) {
		m.number = i;
		for (int j = 0; j < 5; j++)
			m.copies[j] = i * 0x9e3779b97f4a7c15u + (uint64_t)j;
		while (abi_ring_push(&p->producer, &m) == -EAGAIN)
			sched_yield();
		abi_ring_notify(&p->producer);
	}
	return NULL;
}

// The consumer sleeps on the bell whenever the ring is empty: a lost wake-up hangs the test.
static void test_two_threads(void **state) {
	int bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct message m;
	uint64_t seen = 0, count;
	pthread_t thread;
	struct pair p;

	assert_true(bell >= 0);
	pair_open(&p, 64, sizeof(struct message));
	p.producer.bell_fd = (uint32_t)bell;
	p.producer.hdr->head = p.producer.hdr->tail = UINT32_MAX - 1000; // wraps on the way
	abi_ring_adopt(&p.producer, true);
	abi_ring_adopt(&p.consumer, false);
	assert_int_equal(pthread_create(&thread, NULL, produce, &p), 0);
	while (seen < THREAD_SLOTS) {
		int rc = abi_ring_pop(&p.consumer, &m, false);

		if (rc == -EAGAIN) {
			if (abi_ring_wait(&p.consumer)) {
				struct pollfd pfd = {.fd = bell, .events = POLLIN};

				assert_int_equal(poll(&pfd, 1, 20000), 1);
				abi_ring_wake(&p.consumer);
				if (read(bell, &count, sizeof(count)) < 0)
					assert_int_equal(errno, EAGAIN);
			}
			continue;
		}
		assert_int_equal(rc, 0);
		assert_int_equal(m.number, seen);
		for (int j = 0; j < 5; j++)
			assert_int_equal(m.copies[j], seen * 0x9e3779b97f4a7c15u + (uint64_t)j);
		seen++;
	}
	pthread_join(thread, NULL);
	pair_close(&p);
	close(bell);
}

static void test_channel(void **state) {
	struct abi_fd_msg msg = {.magic = ABI_MAGIC, .token = 7}, in;
	int sv[2], fds[4], got[4];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(abi_channel_recv(sv[1], &in, sizeof(in), got, 1), -EAGAIN);
	for (int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(abi_channel_send(sv[0], &msg, sizeof(msg), fds, 4), 0);
	assert_int_equal(abi_channel_recv(sv[1], &in, sizeof(in), got, 4), 4);
	assert_int_equal(in.token, 7);
	for (int i = 0; i < 4; i++) {
		assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
		close(got[i]);
	}
	// more descriptors than asked for, too short, too long, none where none is wanted
	assert_int_equal(abi_channel_send(sv[0], &msg, sizeof(msg), fds, 4), 0);
	assert_int_equal(abi_channel_recv(sv[1], &in, sizeof(in), got, 1), -EPROTO);
	assert_int_equal(abi_channel_send(sv[0], &msg, sizeof(msg) - 1, fds, 1), 0);
	assert_int_equal(abi_channel_recv(sv[1], &in, sizeof(in), got, 1), -EPROTO);
	assert_int_equal(abi_channel_send(sv[0], &msg, sizeof(msg), fds, 0), 0);
	assert_int_equal(abi_channel_recv(sv[1], &in, sizeof(in) - 8, got, 1), -EPROTO);
	assert_int_equal(abi_channel_send(sv[0], &msg, sizeof(msg), NULL, 0), 0);
	assert_int_equal(abi_channel_recv(sv[1], &in, sizeof(in), NULL, 0), 0);
	close(sv[0]);
	assert_int_equal(abi_channel_recv(sv[1], &in, sizeof(in), got, 1), -ECONNRESET);
	// nothing leaked: the next descriptor is the lowest free one
	close(sv[1]);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	assert_int_equal(eventfd(0, 0), sv[0]);
	close(sv[0]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill_and_drain),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_wrap_around),
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_hostile_indexes),
		cmocka_unit_test(test_hostile_header),
		cmocka_unit_test(test_attach_refuses),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
