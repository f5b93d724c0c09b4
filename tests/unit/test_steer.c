// SPDX-License-Identifier: GPL-3.0-or-later
// The XDP steering program, run by the kernel on made-up frames. Needs root; argument: its object.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/xdp/steer.h"
#include "frames.h"

#define SKIP 77
#define V4 "192.0.2.1"
#define V6 "2001:db8::1"
#define OTHER4 "192.0.2.99"
#define OTHER6 "2001:db8::99"

static const char *object_path;
static struct bpf_object *object;
static int prog_fd;

static int map_fd(const char *name) {
	return bpf_object__find_map_fd_by_name(object, name);
}

static void fill(void) {
	struct steer_host v4 = {{[10] = 0xff, [11] = 0xff}}, v6;
	uint16_t port = htons(443);
	uint32_t queue = 0, lo = 1;
	uint8_t one = 1;

	inet_pton(AF_INET, V4, v4.bytes + 12);
	inet_pton(AF_INET6, V6, v6.bytes);
	assert_int_equal(bpf_map_update_elem(map_fd("vpn_ports"), &port, &one, 0), 0);
	assert_int_equal(bpf_map_update_elem(map_fd("vpn_hosts"), &v4, &one, 0), 0);
	assert_int_equal(bpf_map_update_elem(map_fd("vpn_hosts"), &v6, &one, 0), 0);
	assert_int_equal(bpf_map_update_elem(map_fd("xsks_map"), &queue, &lo, 0), 0);
}

// The map of sockets becomes one of devices: a redirection then shows without a socket.
static int setup(void **state) {
	struct bpf_map *map;

	object = bpf_object__open_file(object_path, NULL);
	if (object == NULL)
		return -1;
	map = bpf_object__find_map_by_name(object, "xsks_map");
	if (map == NULL || bpf_map__set_type(map, BPF_MAP_TYPE_DEVMAP) != 0 ||
		bpf_object__load(object) != 0)
		return -1;
	prog_fd = bpf_program__fd(bpf_object__find_program_by_name(object, "penstock_steer"));
	fill();
	return 0;
}

static int teardown(void **state) {
	bpf_object__close(object);
	return 0;
}

static uint32_t verdict(const void *data, size_t len) {
	uint8_t out[256];
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = (uint32_t)len,
		.data_out = out, .data_size_out = sizeof(out));

	assert_int_equal(bpf_prog_test_run_opts(prog_fd, &opts), 0);
	return opts.retval;
}

static bool bytes_steered(const void *data, size_t len) {
	uint32_t action = verdict(data, len);

	assert_true(action == XDP_REDIRECT || action == XDP_PASS);
	return action == XDP_REDIRECT;
}

static bool steered(struct frame_spec spec) {
	struct frame f = frame_make(&spec);

	return bytes_steered(f.bytes, f.len);
}

static void test_vpn_datagrams_are_ours(void **state) {
	assert_true(steered((struct frame_spec){V4, IPPROTO_UDP, 443}));
	assert_true(steered((struct frame_spec){V4, IPPROTO_UDP, 443, .options = 10}));
	assert_true(steered((struct frame_spec){V6, IPPROTO_UDP, 443}));
	// an atomic fragment (RFC 6946)
	assert_true(steered((struct frame_spec){V6, IPPROTO_UDP, 443, .fragment = 1, .id = 5}));
}

static void test_the_rest_is_the_kernels(void **state) {
	uint8_t arp[60] = {[12] = 0x08, [13] = 0x06};

	assert_false(steered((struct frame_spec){V4, IPPROTO_UDP, 53}));
	assert_false(steered((struct frame_spec){V4, IPPROTO_TCP, 443}));
	assert_false(steered((struct frame_spec){OTHER4, IPPROTO_UDP, 443}));
	assert_false(steered((struct frame_spec){V6, IPPROTO_UDP, 53}));
	assert_false(steered((struct frame_spec){V6, IPPROTO_TCP, 443}));
	assert_false(steered((struct frame_spec){OTHER6, IPPROTO_UDP, 443}));
	assert_false(bytes_steered(arp, sizeof(arp)));
}

static void fragments(const char *host, const char *other) {
	struct frame_spec first = {host, IPPROTO_UDP, 443, .more = 1, .id = 0x1234};
	struct frame_spec last = {host, IPPROTO_UDP, 9, .offset = 181, .id = 0x1234};
	struct frame_spec theirs = {host, IPPROTO_UDP, 53, .more = 1, .id = 0x1235};

	assert_false(steered(last)); // its first fragment is not known yet
	assert_true(steered(first));
	assert_true(steered(last));
	last.more = 1; // one from the middle
	assert_true(steered(last));
	last.dst = other;
	assert_false(steered(last));
	assert_false(steered(theirs));
	theirs.offset = 181;
	theirs.port = 443; // only looks like it: no UDP header is here
	assert_false(steered(theirs));
}

static void test_fragments_follow_the_first(void **state) {
	fragments(V4, OTHER4);
	fragments(V6, OTHER6);
}

static void test_short_frames_are_the_kernels(void **state) {
	struct frame v4 = frame_make(&(struct frame_spec){V4, IPPROTO_UDP, 443});
	struct frame v6 = frame_make(&(struct frame_spec){V6, IPPROTO_UDP, 443, .more = 1});

	// the kernel takes no frame shorter than an Ethernet header
	for (size_t len = 14; len < 14 + 20 + 8; len++)
		assert_false(bytes_steered(v4.bytes, len));
	for (size_t len = 14; len < 14 + 40 + 8 + 8; len++)
		assert_false(bytes_steered(v6.bytes, len));
	v4.bytes[14] = 0x44; // a header shorter than 20 bytes
	assert_false(bytes_steered(v4.bytes, v4.len));
}

// Sums over all CPUs: the kernel runs the program on any of them.
static uint64_t shed(void) {
	struct steer_bucket *buckets = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*buckets));
	const uint32_t zero = 0;
	uint64_t sum = 0;

	assert_non_null(buckets);
	assert_int_equal(bpf_map_lookup_elem(map_fd("vpn_bucket"), &zero, buckets), 0);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		sum += buckets[i].shed;
	free(buckets);
	return sum;
}

static void handshakes(const char *host) {
	const unsigned each = 3, sent = 200;
	struct steer_limit limit = {
		.cost_ns = 1000000000000, .credit_max_ns = each * 1000000000000};
	struct frame data = frame_make(&(struct frame_spec){host, IPPROTO_UDP, 443});
	struct frame hello = data;
	const uint32_t zero = 0;
	uint64_t before = shed();
	unsigned passed = 0, dropped = 0;

	data.bytes[data.len - 8] = 23; // what UDP carries begins here
	hello.bytes[hello.len - 8] = STEER_HANDSHAKE;
	for (unsigned i = 0; i < sent; i++) // no limit yet
		assert_true(bytes_steered(hello.bytes, hello.len));
	assert_int_equal(bpf_map_update_elem(map_fd("vpn_limit"), &zero, &limit, 0), 0);
	for (unsigned i = 0; i < sent; i++) {
		uint32_t action = verdict(hello.bytes, hello.len);

		passed += action == XDP_REDIRECT;
		dropped += action == XDP_DROP;
		assert_true(bytes_steered(data.bytes, data.len));
	}
	assert_int_equal(passed + dropped, sent);
	// A full bucket a CPU; the clock of a machine that is just up fills none.
	assert_true(passed <= each * (unsigned)libbpf_num_possible_cpus());
	assert_int_equal(shed() - before, dropped);
}

static void test_handshakes_beyond_the_limit_are_dropped(void **state) {
	handshakes(V4);
}

static void test_handshakes6_beyond_the_limit_are_dropped(void **state) {
	handshakes(V6);
}

int main(int argc, char **argv) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vpn_datagrams_are_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_rest_is_the_kernels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fragments_follow_the_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_frames_are_the_kernels, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_handshakes_beyond_the_limit_are_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_handshakes6_beyond_the_limit_are_dropped, setup, teardown),
	};

	if (argc != 2) {
		fprintf(stderr, "Usage: %s OBJECT\n", argv[0]);
		return 1;
	}
	if (geteuid() != 0) {
		fprintf(stderr, "SKIP: loading BPF programs needs root\n");
		return SKIP;
	}
	object_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
