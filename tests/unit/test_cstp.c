// SPDX-License-Identifier: GPL-3.0-or-later
// Tests of dataplane/proto/cstp.c. Run by meson test.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "dataplane/proto/cstp.h"

static void test_round_trip(void **state) {
	uint8_t buf[CSTP_HEADER_LEN + 3 + CSTP_HEADER_LEN] = {0};
	const uint8_t *src = buf, *end = buf + sizeof(buf);
	struct cstp_frame frame;

	cstp_header(buf, 0, 3);
	cstp_header(buf + CSTP_HEADER_LEN + 3, 7, 0);
	assert_memory_equal(buf, "STF\1\0\3\0\0", 8);
	assert_int_equal(cstp_parse(&src, end, &frame), 0);
	assert_int_equal(frame.len, 3);
	assert_int_equal(frame.type, 0);
	assert_ptr_equal(frame.payload, buf + 8);
	assert_int_equal(cstp_parse(&src, end, &frame), 0);
	assert_int_equal(frame.type, 7);
	assert_ptr_equal(src, end);
}

static void test_malformed(void **state) {
	static const char *const bad[] = {"XTF\1\0\0\0\0", "STF\2\0\0\0\0", "STF\1\0\0\0\1",
		"STF\1\0\1\0\0", "STF\1\xff\xff\0\0"};
	struct cstp_frame frame;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const uint8_t *src = (const uint8_t *)bad[i];

		assert_int_equal(cstp_parse(&src, src + 8, &frame), -EPROTO);
		assert_ptr_equal(src, bad[i]);
	}
	for (unsigned len = 0; len < 8; len++) {
		const uint8_t *src = (const uint8_t *)"STF\1\0\0\0\0";

		assert_int_equal(cstp_parse(&src, src + len, &frame), -EPROTO);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
