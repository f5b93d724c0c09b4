// SPDX-License-Identifier: GPL-3.0-or-later
// The socket filter of shared AF_PACKET ports, run by the kernel on a pair of UNIX sockets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/port_priv.h"
#include "frames.h"

static struct cfg_listen listens[] = {{.udp_port = 443}, {.udp_port = 4443}, {.udp_port = 0}};
static const struct cfg config = {.listen = listens, .nb_listen = 3};
static int pair[2];

static int setup(void **state) {
	const struct sock_fprog *filter = packet_filter(&config);

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) != 0)
		return -1;
	return setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof(*filter));
}

static int teardown(void **state) {
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static bool passes(const void *data, size_t len) {
	uint8_t copy[256];
	ssize_t n;

	assert_int_equal(send(pair[0], data, len, 0), (ssize_t)len);
	n = recv(pair[1], copy, sizeof(copy), 0);
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return false;
	}
	assert_int_equal(n, (ssize_t)len); // whole
	return true;
}

static bool spec_passes(struct frame_spec spec) {
	struct frame f = frame_make(&spec);

	return passes(f.bytes, f.len);
}

static void test_vpn_datagrams_pass(void **state) {
	assert_true(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_UDP, 443}));
	assert_true(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_UDP, 4443}));
	assert_true(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_UDP, 443, .options = 3}));
	assert_true(spec_passes((struct frame_spec){"2001:db8::1", IPPROTO_UDP, 443}));
	assert_true(spec_passes((struct frame_spec){"2001:db8::1", IPPROTO_UDP, 4443}));
}

static void test_fragments_of_udp_pass(void **state) {
	assert_true(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_UDP, 443, .more = 1}));
	assert_true(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_UDP, 9, .offset = 185}));
	assert_true(spec_passes((struct frame_spec){"2001:db8::1", IPPROTO_UDP, 443, .more = 1}));
	assert_true(spec_passes((struct frame_spec){"2001:db8::1", IPPROTO_UDP, 9, .offset = 181}));
}

static void test_the_rest_does_not(void **state) {
	uint8_t arp[60] = {[12] = 0x08, [13] = 0x06};

	assert_false(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_UDP, 53}));
	assert_false(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_UDP, 0}));
	assert_false(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_TCP, 443}));
	assert_false(spec_passes((struct frame_spec){"192.0.2.1", IPPROTO_ICMP, 443, .more = 1}));
	assert_false(spec_passes((struct frame_spec){"2001:db8::1", IPPROTO_UDP, 53}));
	assert_false(spec_passes((struct frame_spec){"2001:db8::1", IPPROTO_TCP, 443}));
	assert_false(
		spec_passes((struct frame_spec){"2001:db8::1", IPPROTO_ICMPV6, 443, .more = 1}));
	assert_false(passes(arp, sizeof(arp)));
}

static void test_short_frames_do_not(void **state) {
	struct frame f = frame_make(&(struct frame_spec){"192.0.2.1", IPPROTO_UDP, 443});

	for (size_t len = 1; len < 14 + 20 + 4; len++)
		assert_false(passes(f.bytes, len));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vpn_datagrams_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fragments_of_udp_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_rest_does_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_frames_do_not, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
