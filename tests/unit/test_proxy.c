// SPDX-License-Identifier: GPL-3.0-or-later
// Headers of the PROXY protocol: both versions, byte by byte, and what is none.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/edge/proxy.h"
#include "controlplane/ipc/addr.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(text) ((const uint8_t *)(text)), sizeof(text) - 1

// What the beginning of every length comes to before `len` bytes are there: more is wanted, and
// never less than there is or more than the header has.
static void check_beginnings(const uint8_t *data, size_t len) {
	struct proxy_header header;
	size_t want;

	for (size_t n = 0; n < len; n++) {
		assert_int_equal(proxy_header_parse(data, n, &header, &want), 0);
		assert_in_range(want, n + 1, len);
	}
}

static struct proxy_header parsed(const uint8_t *data, size_t len) {
	uint8_t followed[PROXY_HEADER_MAX + 3] = {0};
	struct proxy_header header, again;
	size_t want;

	check_beginnings(data, len);
	assert_int_equal(proxy_header_parse(data, len, &header, &want), 1);
	assert_int_equal(header.len, len);
	// What the client sends behind it changes nothing.
	memcpy(followed, data, len);
	memcpy(followed + len, "\x16\x03\n", 3);
	assert_int_equal(proxy_header_parse(followed, len + 3, &again, &want), 1);
	assert_memory_equal(&again, &header, sizeof(header));
	return header;
}

static void check_addresses(const struct proxy_header *header, const char *source,
	unsigned source_port, const char *destination, unsigned destination_port) {
	char text[ADDR_TEXT_LEN];

	assert_false(header->local);
	assert_string_equal(addr_text(&header->source, text), source);
	assert_string_equal(addr_text(&header->destination, text), destination);
	assert_int_equal(header->source_port, source_port);
	assert_int_equal(header->destination_port, destination_port);
}

static void refused(const uint8_t *data, size_t len) {
	struct proxy_header header;
	size_t want;

	if (proxy_header_parse(data, len, &header, &want) >= 0)
		fail_msg("taken: %.*s", (int)len, (const char *)data);
}

static void test_v1(void **state) {
	struct proxy_header header = parsed(
		BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 65535 443\r\n"));

	check_addresses(&header, "192.0.2.7", 65535, "198.51.100.1", 443);
	header = parsed(BYTES("PROXY TCP6 2001:db8::7 2001:db8:1::1 0 00443\r\n"));
	check_addresses(&header, "2001:db8::7", 0, "2001:db8:1::1", 443);
	// A client of IPv4 at an IPv6 listener is the same client.
	header = parsed(BYTES("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2\r\n"));
	check_addresses(&header, "192.0.2.7", 1, "198.51.100.1", 2);
	header = parsed(BYTES("PROXY UNKNOWN\r\n"));
	assert_true(header.local);
	header = parsed(BYTES("PROXY UNKNOWN ffff::1 any thing at all\r\n"));
	assert_true(header.local);
}

static void test_v1_none(void **state) {
	static const char *const lines[] = {"GET / HTTP/1.1\r\n",
		"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY\r\n", "PROXY \r\n", "PROXY TCP4\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2x\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 000001 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
		"PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY UNKNOWNS\r\n",
		"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
		// No client has these addresses.
		"PROXY TCP4 0.0.0.0 5.6.7.8 1 2\r\n", "PROXY TCP4 224.0.0.1 5.6.7.8 1 2\r\n",
		"PROXY TCP4 255.255.255.255 5.6.7.8 1 2\r\n", "PROXY TCP6 :: 2001:db8::1 1 2\r\n",
		"PROXY TCP6 ff02::1 2001:db8::1 1 2\r\n",
		"PROXY TCP6 ::ffff:0.0.0.0 2001:db8::1 1 2\r\n"};
	char line[120] = "PROXY UNKNOWN ";

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		refused((const uint8_t *)lines[i], strlen(lines[i]));
	refused(BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\0\r\n"));
	refused(BYTES("\x16\x03\x01\x02\x00"));
	// The longest line has 107 bytes.
	memset(line + 14, 'x', sizeof(line) - 14);
	memcpy(line + 105, "\r\n", 2);
	assert_true(parsed((const uint8_t *)line, 107).local);
	memcpy(line + 105, "x\r\n", 3);
	refused((const uint8_t *)line, 108);
	memset(line + 14, 'x', sizeof(line) - 14);
	refused((const uint8_t *)line, 107);
}

static void test_v2(void **state) {
	struct proxy_header header = parsed(
		BYTES(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb"));

	check_addresses(&header, "192.0.2.7", 65534, "198.51.100.1", 443);
	// With TLVs: a CRC32c that is wrong, and one that claims more than there is.
	header = parsed(BYTES(SIGNATURE "\x21\x11\0\x16\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb"
					"\3\0\4\1\2\3\4\4\xff\xff"));
	check_addresses(&header, "192.0.2.7", 65534, "198.51.100.1", 443);
	header = parsed(BYTES(SIGNATURE "\x21\x21\0\x24"
					"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
					"\x20\1\x0d\xb8\0\1\0\0\0\0\0\0\0\0\0\1\0\1\0\2"));
	check_addresses(&header, "2001:db8::7", 1, "2001:db8:1::1", 2);
	header = parsed(BYTES(SIGNATURE "\x20\0\0\0"));
	assert_true(header.local);
	// LOCAL: the addresses are not to be used.
	header = parsed(BYTES(SIGNATURE "\x20\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb"));
	assert_true(header.local);
	assert_true(abi_addr_none(&header.source));
	header = parsed(BYTES(SIGNATURE "\x21\0\0\3abc"));
	assert_true(header.local);
}

static void test_v2_none(void **state) {
	uint8_t big[PROXY_HEADER_MAX + 1] = SIGNATURE "\x21\x11\x07\xf1";

	refused(BYTES(SIGNATURE "\x11\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb")); // version
	refused(BYTES(SIGNATURE "\x22\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb")); // command
	refused(BYTES(SIGNATURE "\x21\x12\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb")); // UDP
	refused(BYTES(SIGNATURE "\x21\x41\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb")); // family
	refused(BYTES(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb")); // short
	refused(BYTES(SIGNATURE "\x21\x21\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xff\xfe\1\xbb"));
	refused(BYTES(SIGNATURE "\x21\x11\0\x0c\0\0\0\0\xc6\x33\x64\1\xff\xfe\1\xbb")); // nobody
	refused(BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\0"));
	// The longest is PROXY_HEADER_MAX.
	refused(big, sizeof(big));
	big[14] = 0x07;
	big[15] = 0xf0;
	big[16] = 10;
	parsed(big, PROXY_HEADER_MAX);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_v1_none),
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_v2_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
