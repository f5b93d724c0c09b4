// SPDX-License-Identifier: GPL-3.0-or-later
// RADIUS packets: the example of RFC 2865, what is signed and how, what of an answer is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "controlplane/radius/packet.h"

#define SECRET "xyzzy5461"

// RFC 2865, 7.1: user nemo, password arctangent.
static const uint8_t rfc_vector[16] = {0x0f, 0x40, 0x3f, 0x94, 0x73, 0x97, 0x80, 0x57, 0xbd, 0x83,
	0xd5, 0xcb, 0x98, 0xf4, 0x22, 0x7a};
static const uint8_t rfc_password[] = {0x02, 0x12, 0x0d, 0xbe, 0x70, 0x8d, 0x93, 0xd4, 0x13, 0xce,
	0x31, 0x96, 0xe4, 0x3f, 0x78, 0x2a, 0x0a, 0xee};
static const uint8_t rfc_accept[] = {0x02, 0x00, 0x00, 0x26, 0x86, 0xfe, 0x22, 0x0e, 0x76, 0x24,
	0xba, 0x2a, 0x10, 0x05, 0xf6, 0xbf, 0x9b, 0x55, 0xe0, 0xb2, 0x06, 0x06, 0x00, 0x00, 0x00,
	0x01, 0x0f, 0x06, 0x00, 0x00, 0x00, 0x00, 0x0e, 0x06, 0xc0, 0xa8, 0x01, 0x03};

static struct rpacket *nemo(const uint8_t **bytes, size_t *len) {
	struct rpacket *packet = rpacket_new(RCODE_ACCESS_REQUEST);
	assert_non_null(packet);
	rpacket_text(packet, RATTR_USER_NAME, "nemo");
	rpacket_text(packet, RATTR_USER_PASSWORD, "arctangent");
	assert_int_equal(rpacket_sign(packet, 0, rfc_vector, SECRET, bytes, len), 0);
	return packet;
}

static void test_request(void **state) {
	const uint8_t *bytes;
	size_t len;
	struct rpacket *packet = nemo(&bytes, &len);
	assert_int_equal(bytes[0], RCODE_ACCESS_REQUEST);
	assert_int_equal(bytes[2] << 8 | bytes[3], len);
	assert_memory_equal(bytes + 4, rfc_vector, 16);
	// Message-Authenticator first, and filled.
	assert_int_equal(bytes[20], RATTR_MESSAGE_AUTHENTICATOR);
	assert_int_equal(bytes[21], 18);
	assert_memory_not_equal(bytes + 22, (uint8_t[16]){0}, 16);
	assert_memory_equal(bytes + 38, "\x01\x06nemo", 6);
	assert_memory_equal(bytes + 44, rfc_password, sizeof(rfc_password));
	assert_int_equal(len, 44 + sizeof(rfc_password));
	rpacket_free(packet);
}

// For another server: another identifier, authenticator and secret, the same attributes.
static void test_signed_again(void **state) {
	static const uint8_t vector[16] = {9};
	const uint8_t *bytes, *again;
	size_t len, again_len;
	struct rpacket *packet = nemo(&bytes, &len);
	uint8_t first[RPACKET_MAX];
	memcpy(first, bytes, len);
	assert_int_equal(rpacket_sign(packet, 77, vector, "other", &again, &again_len), 0);
	assert_int_equal(again_len, len);
	assert_int_equal(again[1], 77);
	assert_memory_equal(again + 4, vector, 16);
	assert_memory_not_equal(again + 22, first + 22, 16);
	assert_memory_not_equal(again + 46, first + 46, 16);
	rpacket_free(packet);
}

static void test_answer(void **state) {
	const uint8_t *bytes;
	const char *why;
	const void *cursor = NULL;
	struct rvalue value;
	size_t len;
	struct rpacket *request = nemo(&bytes, &len);
	struct rpacket *answer = rpacket_read(
		rfc_accept, sizeof(rfc_accept), request, SECRET, false, &why);
	assert_non_null(answer);
	assert_int_equal(rpacket_code(answer), RCODE_ACCESS_ACCEPT);
	assert_true(rpacket_next(answer, &cursor, &value));
	assert_int_equal(value.attr, RATTR_SERVICE_TYPE);
	assert_int_equal(value.type, RVALUE_NUMBER);
	assert_int_equal(value.number, 1);
	// Login-Service and Login-IP-Host are not in the dictionary.
	assert_false(rpacket_next(answer, &cursor, &value));
	rpacket_free(answer);
	rpacket_free(request);
}

// RFC 2865, 3: an answer to nemo's request with these attributes.
static struct rpacket *answer_of(
	const struct rpacket *request, const uint8_t *attributes, size_t len) {
	uint8_t packet[256] = {RCODE_ACCESS_ACCEPT, 0, 0, (uint8_t)(20 + len)};
	const char *why;
	unsigned digest_len;
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	memcpy(packet + 4, rfc_vector, 16);
	memcpy(packet + 20, attributes, len);
	assert_int_equal(EVP_DigestInit_ex(md5, EVP_md5(), NULL), 1);
	assert_int_equal(EVP_DigestUpdate(md5, packet, 20 + len), 1);
	assert_int_equal(EVP_DigestUpdate(md5, SECRET, strlen(SECRET)), 1);
	assert_int_equal(EVP_DigestFinal_ex(md5, packet + 4, &digest_len), 1);
	EVP_MD_CTX_free(md5);
	return rpacket_read(packet, 20 + len, request, SECRET, false, &why);
}

// Addresses, prefixes, text, and values of vendors, two in one attribute; what has not the length of
// its type, or is not known, is passed over.
static void test_values(void **state) {
	static const uint8_t attributes[] = {
		8,
		6,
		10,
		1,
		2,
		3, // Framed-IP-Address
		8,
		5,
		10,
		1,
		2, // too short
		26,
		12,
		0,
		0,
		1,
		55,
		28,
		6,
		192,
		0,
		2,
		53, // Microsoft
		26,
		18,
		0,
		0,
		39,
		71,
		1,
		6,
		0,
		0,
		0,
		125,
		2,
		6,
		0,
		0,
		0,
		250, // Roaring Penguin
		26,
		12,
		0,
		0,
		39,
		71,
		9,
		6,
		0,
		0,
		0,
		1, // not known
		97,
		8,
		0,
		32,
		0x20,
		1,
		0xd,
		0xb8, // Framed-IPv6-Prefix
		22,
		12,
		'1',
		'0',
		'.',
		'1',
		'.',
		'0',
		'.',
		'0',
		'/',
		'8',
	};
	static const uint32_t expected[] = {RATTR_FRAMED_IP_ADDRESS, RATTR_MS_PRIMARY_DNS_SERVER,
		RATTR_RP_UPSTREAM_SPEED_LIMIT, RATTR_RP_DOWNSTREAM_SPEED_LIMIT,
		RATTR_FRAMED_IPV6_PREFIX, RATTR_FRAMED_ROUTE};
	struct rvalue values[6];
	const uint8_t *bytes;
	const void *cursor = NULL;
	size_t len;
	struct rpacket *request = nemo(&bytes, &len);
	struct rpacket *answer = answer_of(request, attributes, sizeof(attributes));
	assert_non_null(answer);
	for (size_t i = 0; i < 6; i++) {
		assert_true(rpacket_next(answer, &cursor, &values[i]));
		assert_int_equal(values[i].attr, expected[i]);
	}
	struct rvalue more;
	assert_false(rpacket_next(answer, &cursor, &more));
	assert_int_equal(values[0].type, RVALUE_ADDRESS);
	assert_memory_equal(values[0].prefix.addr.bytes + 10, "\xff\xff\x0a\x01\x02\x03", 6);
	assert_memory_equal(values[1].prefix.addr.bytes + 12, "\xc0\x00\x02\x35", 4);
	assert_int_equal(values[2].number, 125);
	assert_int_equal(values[3].number, 250);
	assert_int_equal(values[4].type, RVALUE_PREFIX);
	assert_int_equal(values[4].prefix.len, 32);
	assert_memory_equal(values[4].prefix.addr.bytes, "\x20\x01\x0d\xb8\0\0\0\0\0", 9);
	assert_int_equal(values[5].len, 10);
	assert_memory_equal(values[5].bytes, "10.1.0.0/8", 10);
	rpacket_free(answer);
	rpacket_free(request);
}

static void test_refused(void **state) {
	const uint8_t *bytes;
	const char *why;
	uint8_t copy[64];
	size_t len, n = sizeof(rfc_accept);
	struct rpacket *request = nemo(&bytes, &len);
	// Nothing vouches for it but the old digest (CVE-2024-3596).
	assert_null(rpacket_read(rfc_accept, n, request, SECRET, true, &why));
	assert_string_equal(why, "no Message-Authenticator");
	assert_null(rpacket_read(rfc_accept, n, request, "wrong", false, &why));
	assert_non_null(strstr(why, "shared secret"));
	assert_null(rpacket_read(rfc_accept, n - 1, request, SECRET, false, &why));
	assert_string_equal(why, "malformed");
	assert_null(rpacket_read(rfc_accept, 19, request, SECRET, false, &why));
	assert_null(rpacket_read(rfc_accept, 0, request, SECRET, false, &why));
	for (size_t i = 0; i < n; i++) {
		memcpy(copy, rfc_accept, n);
		copy[i] ^= 0x10;
		assert_null(rpacket_read(copy, n, request, SECRET, false, &why));
	}
	// Our own request, sent back.
	assert_null(rpacket_read(bytes, len, request, SECRET, true, &why));
	assert_string_equal(why, "not an answer to this request");
	rpacket_free(request);
}

static void test_too_much(void **state) {
	static const uint8_t vector[16];
	char text[256];
	const uint8_t *bytes;
	size_t len;
	memset(text, 'x', sizeof(text) - 1);
	text[RPACKET_PASSWORD_MAX + 1] = '\0';
	struct rpacket *packet = rpacket_new(RCODE_ACCESS_REQUEST);
	rpacket_text(packet, RATTR_USER_PASSWORD, text);
	assert_true(rpacket_sign(packet, 0, vector, SECRET, &bytes, &len) < 0);
	rpacket_free(packet);
	text[RPACKET_PASSWORD_MAX + 1] = 'x';
	text[254] = '\0';
	packet = rpacket_new(RCODE_ACCESS_REQUEST);
	rpacket_text(packet, RATTR_CONNECT_INFO, text);
	assert_true(rpacket_sign(packet, 0, vector, SECRET, &bytes, &len) < 0);
	rpacket_free(packet);
	// A number where an address belongs is a bug of the caller, which comes out here.
	packet = rpacket_new(RCODE_ACCESS_REQUEST);
	rpacket_number(packet, RATTR_NAS_IP_ADDRESS, 1);
	assert_true(rpacket_sign(packet, 0, vector, SECRET, &bytes, &len) < 0);
	rpacket_free(packet);
}

static void test_accounting(void **state) {
	static const uint8_t vector[16] = {1};
	static const uint8_t v4[] = {8, 6, 10, 0, 0, 7}, octets[] = {42, 6, 0xff, 0, 0, 1};
	struct abi_addr addr = {.bytes = {[10] = 0xff, 0xff, 10, 0, 0, 7}};
	const uint8_t *bytes;
	size_t len;
	struct rpacket *packet = rpacket_new(RCODE_ACCOUNTING_REQUEST);
	rpacket_address(packet, RATTR_FRAMED_IP_ADDRESS, &addr);
	rpacket_number(packet, RATTR_ACCT_INPUT_OCTETS, 0xff000001);
	assert_int_equal(rpacket_sign(packet, 5, vector, SECRET, &bytes, &len), 0);
	assert_int_equal(bytes[0], RCODE_ACCOUNTING_REQUEST);
	// The authenticator is a digest, not the random number (RFC 2866, 3).
	assert_memory_not_equal(bytes + 4, vector, 16);
	assert_memory_equal(bytes + 20, v4, sizeof(v4));
	assert_memory_equal(bytes + 26, octets, sizeof(octets));
	assert_int_equal(len, 32);
	rpacket_free(packet);
}

static int setup(void **state) {
	return rpacket_init();
}

static int teardown(void **state) {
	rpacket_fini();
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_signed_again),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_accounting),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
