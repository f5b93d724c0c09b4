// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of the session table and its indexes, with real keys and a reader thread.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/table/session.h"
#include "tests/unit/eal.h"
#include "yang/config.h"

unsigned dp_nb_workers = 2; // of worker.c, which is not linked

#define MAX 64u

static struct cfg_pool pools[] = {
	{
		.v4 = {{AF_INET, {10, 0, 0, 0}}, 24},
		.v6 = {{AF_INET6, {0xfd, 1}}, 112},
		.v6_client_prefix = 128,
	},
	{
		.v4 = {{AF_INET, {192, 168, 4, 0}}, 22},
		.v6 = {{AF_INET6, {0xfd, 2}}, 48},
		.v6_client_prefix = 64,
	},
};
static struct cfg cfg = {.pools = pools, .nb_pools = 2};

static struct abi_addr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
	return (struct abi_addr){{[10] = 0xff, [11] = 0xff, a, b, c, d}};
}

static struct abi_cmd add_cmd(uint32_t index, uint32_t generation) {
	struct abi_cmd cmd = {.type = ABI_CMD_SESSION_ADD, .sid = {index, generation}};

	cmd.session_add.inner4 = v4(10, 0, 0, (uint8_t)(index + 2));
	cmd.session_add.inner6 = (struct abi_addr){{0xfd, 1, [15] = (uint8_t)(index + 2)}};
	cmd.session_add.inner6_prefix = 128;
	cmd.session_add.policy.mtu = 1400;
	return cmd;
}

static struct abi_tuple tuple_of(uint8_t host, uint16_t port) {
	return (struct abi_tuple){
		.local = v4(203, 0, 113, 1),
		.remote = v4(198, 51, 100, host),
		.local_port = htons(443),
		.remote_port = htons(port),
	};
}

static struct abi_cmd dtls_cmd(uint32_t index, uint32_t generation, struct abi_tuple tuple) {
	struct abi_cmd cmd = {.type = ABI_CMD_DTLS_SET, .sid = {index, generation}};

	cmd.dtls_set.tuple = tuple;
	cmd.dtls_set.version = ABI_DTLS12;
	cmd.dtls_set.cipher = ABI_AES_128_GCM;
	cmd.dtls_set.epoch = 1;
	return cmd;
}

static struct dp_session *find(struct abi_tuple tuple) {
	const struct abi_tuple *keys[] = {&tuple};
	struct dp_session *out;

	dp_session_lookup_bulk(keys, 1, &out);
	return out;
}

static uint32_t n4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
	uint8_t bytes[] = {a, b, c, d};
	uint32_t v;

	memcpy(&v, bytes, 4);
	return v;
}

// Until everything deferred has been freed.
static void settle(void) {
	urcu_qsbr_barrier();
	dp_reclaim_process();
}

static void test_add_and_del(void **state) {
	struct abi_cmd cmd = add_cmd(3, 7);
	struct dp_session *session;

	assert_int_equal(dp_session_add(&cmd), 0);
	assert_int_equal(dp_session_count(), 1);
	assert_int_equal(dp_session_add(&cmd), -EEXIST);
	session = dp_session_get((struct abi_sid){3, 7});
	assert_non_null(session);
	assert_int_equal(session->owner, 1);
	assert_int_equal(session->stats->generation, 7);
	assert_null(dp_session_get((struct abi_sid){3, 6}));
	assert_null(dp_session_get((struct abi_sid){3, 8}));
	assert_null(dp_session_get((struct abi_sid){MAX, 7}));
	assert_null(dp_session_get((struct abi_sid){UINT32_MAX, 7}));
	assert_ptr_equal(dp_session_by_inner4(n4(10, 0, 0, 5)), session);
	assert_ptr_equal(dp_session_by_inner6(cmd.session_add.inner6.bytes), session);
	assert_null(dp_session_by_inner4(n4(10, 0, 0, 6)));
	assert_int_equal(dp_session_del((struct abi_sid){3, 6}, ABI_END_SERVER), -ESTALE);
	assert_int_equal(dp_session_del((struct abi_sid){3, 7}, ABI_END_SERVER), 0);
	assert_int_equal(dp_session_del((struct abi_sid){3, 7}, ABI_END_SERVER), -ESTALE);
	assert_null(dp_session_by_inner4(n4(10, 0, 0, 5)));
	assert_null(dp_session_by_inner6(cmd.session_add.inner6.bytes));
	assert_int_equal(dp_session_count(), 0);
	settle();
}

static void test_add_refuses(void **state) {
	struct abi_cmd cmd = add_cmd(MAX, 1);

	assert_int_equal(dp_session_add(&cmd), -ENOSPC);
	cmd = add_cmd(1, 0);
	assert_int_equal(dp_session_add(&cmd), -EINVAL);
	cmd = add_cmd(1, 1);
	cmd.session_add.inner4 = v4(10, 0, 1, 1); // in no pool
	assert_int_equal(dp_session_add(&cmd), -EINVAL);
	cmd = add_cmd(1, 1);
	cmd.session_add.inner6_prefix = 120; // would let it speak for its neighbours
	assert_int_equal(dp_session_add(&cmd), -EINVAL);
	cmd = add_cmd(1, 1);
	assert_int_equal(dp_session_add(&cmd), 0);
	cmd = add_cmd(2, 1);
	cmd.session_add.inner4 = v4(10, 0, 0, 3);
	assert_int_equal(dp_session_add(&cmd), -EADDRINUSE);
	cmd = add_cmd(2, 1);
	cmd.session_add.inner6.bytes[15] = 3;
	assert_int_equal(dp_session_add(&cmd), -EADDRINUSE);
	assert_int_equal(dp_session_del((struct abi_sid){1, 1}, ABI_END_SERVER), 0);
	settle();
}

static void test_pools(void **state) {
	static const uint8_t in1[16] = {0xfd, 1, [15] = 9}, out1[16] = {0xfd, 1, [13] = 1},
			     in2[16] = {0xfd, 2, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8},
			     other[16] = {0x20, 1};
	struct abi_cmd cmd = add_cmd(4, 1);
	struct dp_session *session;

	assert_true(dp_session_pool4(n4(10, 0, 0, 0)));
	assert_true(dp_session_pool4(n4(10, 0, 0, 255)));
	assert_false(dp_session_pool4(n4(10, 0, 1, 0)));
	assert_false(dp_session_pool4(n4(9, 255, 255, 255)));
	assert_true(dp_session_pool4(n4(192, 168, 7, 255)));
	assert_false(dp_session_pool4(n4(192, 168, 8, 0)));
	assert_true(dp_session_pool6(in1));
	assert_false(dp_session_pool6(out1));
	assert_true(dp_session_pool6(in2));
	assert_false(dp_session_pool6(other));
	// a client with a /64: all of it is its own, the next one is not
	memset(&cmd.session_add.inner6, 0, 16);
	cmd.session_add.inner6.bytes[0] = 0xfd;
	cmd.session_add.inner6.bytes[1] = 2;
	cmd.session_add.inner6.bytes[7] = 7;
	cmd.session_add.inner6_prefix = 64;
	assert_int_equal(dp_session_add(&cmd), 0);
	session = dp_session_by_inner6(in2);
	assert_non_null(session);
	assert_true(dp_session_has6(session, in2));
	cmd.session_add.inner6.bytes[7] = 8;
	assert_false(dp_session_has6(session, cmd.session_add.inner6.bytes));
	assert_null(dp_session_by_inner6(cmd.session_add.inner6.bytes));
	assert_int_equal(dp_session_del((struct abi_sid){4, 1}, ABI_END_SERVER), 0);
	settle();
}

static void test_tuples(void **state) {
	struct abi_cmd a = add_cmd(1, 1), b = add_cmd(2, 1), set;
	struct dp_session *sa, *sb, *out[8];
	struct abi_addr remote = tuple_of(7, 0).remote;
	struct abi_tuple moved = tuple_of(7, 2002);

	assert_int_equal(dp_session_add(&a), 0);
	assert_int_equal(dp_session_add(&b), 0);
	sa = dp_session_get(a.sid);
	sb = dp_session_get(b.sid);
	assert_null(find(tuple_of(7, 1000)));
	set = dtls_cmd(1, 1, tuple_of(7, 1000));
	assert_int_equal(dp_session_dtls_set(&set), 0);
	set = dtls_cmd(2, 1, tuple_of(7, 1001));
	assert_int_equal(dp_session_dtls_set(&set), 0);
	assert_ptr_equal(find(tuple_of(7, 1000)), sa);
	assert_ptr_equal(find(tuple_of(7, 1001)), sb);
	assert_int_equal(dp_session_candidates(&remote, out, 8), 2);
	assert_int_equal(dp_session_candidates(&remote, out, 1), 1);
	remote = tuple_of(8, 0).remote;
	assert_int_equal(dp_session_candidates(&remote, out, 8), 0);
	// the client's NAT moves it
	atomic_load(&sa->dtls)->tuple = moved;
	assert_int_equal(dp_session_tuple_set(sa, &moved), 0);
	assert_ptr_equal(find(moved), sa);
	assert_null(find(tuple_of(7, 1000)));
	// to a port that another session had before: the last to claim it has it
	atomic_load(&sa->dtls)->tuple = moved = tuple_of(7, 1001);
	assert_int_equal(dp_session_tuple_set(sa, &moved), 0);
	assert_ptr_equal(find(tuple_of(7, 1001)), sa);
	// and the loser takes nothing away that is not its own any more
	assert_int_equal(dp_session_dtls_clear(b.sid), 0);
	assert_ptr_equal(find(tuple_of(7, 1001)), sa);
	assert_int_equal(dp_session_del(a.sid, ABI_END_SERVER), 0);
	assert_null(find(tuple_of(7, 1001)));
	assert_int_equal(dp_session_del(b.sid, ABI_END_SERVER), 0);
	remote = tuple_of(7, 0).remote;
	assert_int_equal(dp_session_candidates(&remote, out, 8), 0);
	settle();
}

static void test_dtls_replaced(void **state) {
	struct abi_cmd a = add_cmd(1, 9), set;
	struct dp_session *session;
	struct dp_dtls *first;

	dp_session_tick(100);
	assert_int_equal(dp_session_add(&a), 0);
	session = dp_session_get(a.sid);
	set = dtls_cmd(1, 9, tuple_of(1, 1));
	assert_int_equal(dp_session_dtls_set(&set), 0);
	first = atomic_load(&session->dtls);
	set = dtls_cmd(1, 9, tuple_of(1, 2));
	assert_int_equal(dp_session_dtls_set(&set), 0);
	// both addresses, both sets of keys, for a while
	assert_ptr_equal(atomic_load(&session->dtls_prev), first);
	assert_ptr_equal(find(tuple_of(1, 1)), session);
	assert_ptr_equal(find(tuple_of(1, 2)), session);
	dp_session_tick(105);
	assert_ptr_equal(atomic_load(&session->dtls_prev), first);
	dp_session_tick(130);
	assert_null(atomic_load(&session->dtls_prev));
	assert_null(find(tuple_of(1, 1)));
	assert_ptr_equal(find(tuple_of(1, 2)), session);
	// thrice in a row: one before is kept; a replacement on the same tuple keeps it in the hash
	for (uint16_t i = 0; i < 3; i++) {
		set = dtls_cmd(1, 9, tuple_of(1, 2));
		assert_int_equal(dp_session_dtls_set(&set), 0);
	}
	dp_session_tick(200);
	assert_ptr_equal(find(tuple_of(1, 2)), session);
	set = dtls_cmd(1, 8, tuple_of(1, 2));
	assert_int_equal(dp_session_dtls_set(&set), -ESTALE);
	assert_int_equal(dp_session_del(a.sid, ABI_END_SERVER), 0);
	settle();
	assert_null(find(tuple_of(1, 2)));
}

// A client that goes back to the address it came from, by new handshakes.
static void test_dtls_returns(void **state) {
	struct abi_cmd a = add_cmd(1, 11), set;
	struct dp_session *session;

	dp_session_tick(300);
	assert_int_equal(dp_session_add(&a), 0);
	session = dp_session_get(a.sid);
	for (uint16_t i = 0; i < 5; i++) {
		set = dtls_cmd(1, 11, tuple_of(1, 1 + i % 2));
		assert_int_equal(dp_session_dtls_set(&set), 0);
		assert_ptr_equal(find(tuple_of(1, 1)), session);
		assert_ptr_equal(find(tuple_of(1, 1 + i % 2)), session);
	}
	assert_ptr_equal(find(tuple_of(1, 2)), session);
	dp_session_tick(400);
	assert_ptr_equal(find(tuple_of(1, 1)), session);
	assert_null(find(tuple_of(1, 2)));
	assert_int_equal(dp_session_del(a.sid, ABI_END_SERVER), 0);
	settle();
	assert_null(find(tuple_of(1, 1)));
}

// What a worker reported of a channel may come when that one is gone or another has its place.
static void test_moved_late(void **state) {
	struct abi_cmd a = add_cmd(1, 12), set = dtls_cmd(1, 12, tuple_of(1, 1));
	struct abi_tuple late = tuple_of(1, 9);
	struct dp_session *session;

	assert_int_equal(dp_session_add(&a), 0);
	session = dp_session_get(a.sid);
	assert_int_equal(dp_session_dtls_set(&set), 0);
	assert_int_equal(dp_session_tuple_set(session, &late), -ENOENT);
	assert_ptr_equal(find(tuple_of(1, 1)), session);
	assert_null(find(late));
	assert_int_equal(dp_session_dtls_clear(a.sid), 0);
	assert_int_equal(dp_session_tuple_set(session, &late), -ENOENT);
	assert_int_equal(dp_session_del(a.sid, ABI_END_SERVER), 0);
	settle();
	assert_null(find(late));
}

// Keys and hash places come back: far more channels one after the other than the pools hold.
static void test_no_leak(void **state) {
	for (uint32_t i = 1; i < 100; i++) {
		struct abi_cmd a = add_cmd(i % MAX, i), set;

		assert_int_equal(dp_session_add(&a), 0);
		set = dtls_cmd(i % MAX, i, tuple_of((uint8_t)i, (uint16_t)i));
		assert_int_equal(dp_session_dtls_set(&set), 0);
		set = dtls_cmd(i % MAX, i, tuple_of((uint8_t)i, (uint16_t)(i + 1)));
		assert_int_equal(dp_session_dtls_set(&set), 0);
		assert_int_equal(dp_session_del(a.sid, ABI_END_SERVER), 0);
		settle();
	}
}

static _Atomic int reader_state; // 0 start, 1 holds a session, 2 may go on, 3 done

static void *reader(void *arg) {
	struct dp_session *session;

	urcu_qsbr_register_thread();
	session = dp_session_get((struct abi_sid){5, 1});
	if (session == NULL)
		return NULL;
	atomic_store(&reader_state, 1);
	while (atomic_load(&reader_state) != 2)
		;
	// removed long ago, and still whole: this thread has not passed a quiescent state
	if (session->sid.index == 5 && session->sid.generation == 1 && dp_session_at(5) == NULL)
		atomic_store(&reader_state, 3);
	urcu_qsbr_unregister_thread();
	return NULL;
}

static void test_deferred(void **state) {
	struct pollfd pfd = {.fd = dp_reclaim_fd(), .events = POLLIN};
	struct abi_cmd a = add_cmd(5, 1);
	pthread_t thread;

	assert_int_equal(dp_session_add(&a), 0);
	assert_int_equal(pthread_create(&thread, NULL, reader, NULL), 0);
	while (atomic_load(&reader_state) != 1)
		;
	assert_int_equal(dp_session_del(a.sid, ABI_END_SERVER), 0);
	urcu_qsbr_thread_offline();
	assert_int_equal(poll(&pfd, 1, 50), 0); // not before the reader lets go
	atomic_store(&reader_state, 2);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&reader_state), 3);
	assert_int_equal(poll(&pfd, 1, 10000), 1);
	urcu_qsbr_thread_online();
	dp_reclaim_process();
}

static int setup(void **state) {
	if (test_eal_init() < 0 || dp_crypto_init(1, 64) != 0 || dp_reclaim_init() != 0)
		return -1;
	if (dp_session_table_init(MAX, NULL) != 0)
		return -1;
	return dp_session_pools_set(&cfg);
}

static int teardown(void **state) {
	struct abi_cmd a = add_cmd(1, 1);

	dp_session_add(&a); // the end of the table ends what is in it
	dp_session_table_fini();
	dp_reclaim_fini();
	dp_crypto_fini();
	return rte_eal_cleanup();
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_and_del),
		cmocka_unit_test(test_add_refuses),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_tuples),
		cmocka_unit_test(test_dtls_replaced),
		cmocka_unit_test(test_dtls_returns),
		cmocka_unit_test(test_moved_late),
		cmocka_unit_test(test_no_leak),
		cmocka_unit_test(test_deferred),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
