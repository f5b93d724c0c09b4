// SPDX-License-Identifier: GPL-3.0-or-later
// Requests of RADIUS servers: who has signed them, what they ask for, why they are refused, how they
// are answered, and that none is new twice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/radius/change.h"
#include "controlplane/radius/seen.h"

#define SECRET "lab"
#define HEAD 20u
#define MAC_AT (HEAD + 2u)

// Attributes as they are sent: type, length, value.
#define USER_ANN \
	"\x01\x05" \
	"ann"
#define USER_REALM \
	"\x01\x11" \
	"ann@example.net"
#define SESSION_ID \
	"\x2c\x12" \
	"00000000000000ff"
#define ADDRESS4 "\x08\x06\x0a\x01\x02\x03"
#define CALLING \
	"\x1f\x0b" \
	"192.0.2.9"
#define NAS_ID \
	"\x20\x05" \
	"lab"
#define NAS_OTHER \
	"\x20\x05" \
	"bal"
#define NAS_IP "\x04\x06\xc0\x00\x02\x01"
#define TIMEOUT "\x1b\x06\x00\x00\x01\x00"
#define IDLE_0 "\x1c\x06\x00\x00\x00\x00"
#define TIMEOUT_SHORT "\x1b\x05\x00\x01\x00"
#define RATE_UP "\x1a\x0c\x00\x00\x27\x47\x01\x06\x00\x00\x00\x7d"
#define FILTER \
	"\x0b\x06" \
	"none"
#define LOGIN_SERVICE "\x0f\x06\x00\x00\x00\x00"
#define AUTHORIZE_ONLY "\x06\x06\x00\x00\x00\x11"
#define PROXY_STATE "\x21\x04\x12\x34"
#define STAMP "\x37\x06\x00\x01\x00\x00"

static const struct change_self self = {.nas_identifier = "lab", .default_realm = "Example.net"};

struct bytes {
	uint8_t data[512];
	size_t len;
};

static void md5_of(const uint8_t *data, size_t len, uint8_t digest[16]) {
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	assert_int_equal(EVP_DigestInit_ex(md5, EVP_md5(), NULL), 1);
	assert_int_equal(EVP_DigestUpdate(md5, data, len), 1);
	assert_int_equal(EVP_DigestUpdate(md5, SECRET, strlen(SECRET)), 1);
	assert_int_equal(EVP_DigestFinal_ex(md5, digest, NULL), 1);
	EVP_MD_CTX_free(md5);
}

static void mac_of(const uint8_t *data, size_t len, uint8_t mac[16]) {
	unsigned n = 16;
	assert_non_null(HMAC(EVP_md5(), SECRET, strlen(SECRET), data, len, mac, &n));
}

// RFC 5176, 2.3 and 3.4.
static struct bytes request_of(enum rcode code, bool with_mac, const char *text, size_t len) {
	struct bytes out = {.data = {(uint8_t)code, 9}, .len = HEAD};
	if (with_mac) {
		memcpy(out.data + HEAD, "\x50\x12", 2);
		out.len += 18;
	}
	memcpy(out.data + out.len, text, len);
	out.len += len;
	out.data[2] = (uint8_t)(out.len >> 8);
	out.data[3] = (uint8_t)out.len;
	if (with_mac)
		mac_of(out.data, out.len, out.data + MAC_AT);
	md5_of(out.data, out.len, out.data + 4);
	return out;
}

static struct rpacket *read_ok(const struct bytes *bytes) {
	const char *why = "none";
	struct rpacket *packet = rpacket_read_request(bytes->data, bytes->len, SECRET, true, &why);
	if (packet == NULL)
		fail_msg("%s", why);
	return packet;
}

static uint32_t cause_of(enum rcode code, const char *text, size_t len, struct ipc_change *change) {
	struct bytes bytes = request_of(code, true, text, len);
	struct rpacket *packet = read_ok(&bytes);
	uint32_t cause = change_read(packet, &self, change);
	rpacket_free(packet);
	if (cause == 0)
		assert_true(ipc_change_ok(change));
	return cause;
}

#define EXPECT(cause, code, text) \
	assert_int_equal(cause_of(code, text, sizeof(text) - 1, &change), cause)

static void test_disconnect(void **state) {
	struct ipc_change change;
	EXPECT(0, RCODE_DISCONNECT_REQUEST,
		USER_REALM SESSION_ID ADDRESS4 CALLING NAS_ID NAS_IP PROXY_STATE STAMP);
	assert_int_equal(change.kind, IPC_CHANGE_DISCONNECT);
	assert_int_equal(change.by,
		IPC_BY_USERNAME | IPC_BY_SESSION_ID | IPC_BY_INNER4 | IPC_BY_REMOTE | IPC_BY_NAS);
	assert_string_equal(change.username, "ann@example.net");
	assert_string_equal(change.short_name, "ann");
	assert_string_equal(change.session_id, "00000000000000ff");
	assert_memory_equal(change.inner4.bytes + 10, "\xff\xff\x0a\x01\x02\x03", 6);
	assert_memory_equal(change.remote.bytes + 10, "\xff\xff\xc0\x00\x02\x09", 6);
	assert_memory_equal(change.nas.bytes + 10, "\xff\xff\xc0\x00\x02\x01", 6);
	EXPECT(IPC_CAUSE_MISSING_ATTRIBUTE, RCODE_DISCONNECT_REQUEST, NAS_ID);
	EXPECT(IPC_CAUSE_UNSUPPORTED_ATTRIBUTE, RCODE_DISCONNECT_REQUEST, USER_ANN TIMEOUT);
	EXPECT(IPC_CAUSE_UNSUPPORTED_ATTRIBUTE, RCODE_DISCONNECT_REQUEST, USER_ANN LOGIN_SERVICE);
	EXPECT(IPC_CAUSE_INVALID_REQUEST, RCODE_DISCONNECT_REQUEST, USER_ANN USER_ANN);
	EXPECT(IPC_CAUSE_NO_SESSION, RCODE_DISCONNECT_REQUEST,
		"\x1f\x05"
		"abc");
	EXPECT(IPC_CAUSE_NO_SESSION, RCODE_DISCONNECT_REQUEST, "\x01\x05\x61\x00\x62");
}

static void test_change(void **state) {
	struct ipc_change change;
	EXPECT(0, RCODE_COA_REQUEST, USER_ANN TIMEOUT RATE_UP);
	assert_int_equal(change.kind, IPC_CHANGE_SETTINGS);
	assert_string_equal(change.short_name, "");
	assert_int_equal(change.settings.set, IPC_SET_SESSION_TIMEOUT | IPC_SET_RX_RATE);
	assert_int_equal(change.settings.session_timeout, 256);
	assert_int_equal(change.settings.rx_rate, 125000);
	EXPECT(0, RCODE_COA_REQUEST, USER_ANN FILTER);
	assert_int_equal(change.settings.set, IPC_SET_FILTER);
	assert_string_equal(change.settings.filter, "none");
	EXPECT(IPC_CAUSE_MISSING_ATTRIBUTE, RCODE_COA_REQUEST, USER_ANN);
	EXPECT(IPC_CAUSE_MISSING_ATTRIBUTE, RCODE_COA_REQUEST, TIMEOUT);
	EXPECT(IPC_CAUSE_INVALID_VALUE, RCODE_COA_REQUEST, USER_ANN TIMEOUT IDLE_0);
	EXPECT(IPC_CAUSE_INVALID_VALUE, RCODE_COA_REQUEST, USER_ANN TIMEOUT_SHORT);
	EXPECT(IPC_CAUSE_INVALID_REQUEST, RCODE_COA_REQUEST, USER_ANN TIMEOUT TIMEOUT);
	EXPECT(IPC_CAUSE_UNSUPPORTED_ATTRIBUTE, RCODE_COA_REQUEST, USER_ANN TIMEOUT LOGIN_SERVICE);
	EXPECT(IPC_CAUSE_UNSUPPORTED_ATTRIBUTE, RCODE_DISCONNECT_REQUEST, USER_ANN FILTER);
	EXPECT(IPC_CAUSE_INVALID_REQUEST, RCODE_COA_REQUEST, USER_ANN FILTER FILTER);
	EXPECT(IPC_CAUSE_INVALID_VALUE, RCODE_COA_REQUEST, USER_ANN "\x0b\x04\x61\x00");
	EXPECT(IPC_CAUSE_UNSUPPORTED_SERVICE, RCODE_COA_REQUEST, USER_ANN AUTHORIZE_ONLY);
	// Another gateway's is not judged, whatever comes first.
	EXPECT(IPC_CAUSE_NAS_MISMATCH, RCODE_COA_REQUEST, FILTER USER_ANN NAS_OTHER);
}

static void test_signed(void **state) {
	static const char text[] = USER_ANN;
	const char *why;
	struct bytes bytes = request_of(RCODE_DISCONNECT_REQUEST, false, text, sizeof(text) - 1);
	struct rpacket *packet = rpacket_read_request(bytes.data, bytes.len, SECRET, false, &why);
	assert_non_null(packet);
	rpacket_free(packet);
	assert_null(rpacket_read_request(bytes.data, bytes.len, SECRET, true, &why));
	assert_string_equal(why, "no Message-Authenticator");
	bytes = request_of(RCODE_COA_REQUEST, true, text, sizeof(text) - 1);
	assert_null(rpacket_read_request(bytes.data, bytes.len, "other", true, &why));
	for (size_t i = 0; i < bytes.len; i++) {
		struct bytes copy = bytes;
		copy.data[i] ^= 1;
		assert_null(rpacket_read_request(copy.data, copy.len, SECRET, true, &why));
	}
	// What is signed but no request of these.
	bytes = request_of(RCODE_ACCOUNTING_REQUEST, true, text, sizeof(text) - 1);
	assert_null(rpacket_read_request(bytes.data, bytes.len, SECRET, false, &why));
	assert_string_equal(why, "neither a Disconnect-Request nor a CoA-Request");
}

// RFC 5176, 2.3 and 3.4: both authenticators of an answer are over that of the request.
static void test_answer(void **state) {
	static const char text[] = USER_ANN PROXY_STATE;
	uint8_t copy[128], digest[16];
	const uint8_t *out;
	size_t len;
	struct bytes bytes = request_of(RCODE_COA_REQUEST, true, text, sizeof(text) - 1);
	struct rpacket *request = read_ok(&bytes), *answer = rpacket_new(RCODE_COA_NAK);
	rpacket_number(answer, RATTR_ERROR_CAUSE, IPC_CAUSE_NO_SESSION);
	assert_int_equal(rpacket_sign_answer(answer, request, SECRET, &out, &len), 0);
	assert_true(len <= sizeof(copy));
	assert_int_equal(out[0], RCODE_COA_NAK);
	assert_int_equal(out[1], 9);
	memcpy(copy, out, len);
	memcpy(copy + 4, bytes.data + 4, 16);
	md5_of(copy, len, digest);
	assert_memory_equal(digest, out + 4, 16);
	assert_int_equal(out[HEAD], 80);
	memset(copy + MAC_AT, 0, 16);
	mac_of(copy, len, digest);
	assert_memory_equal(digest, out + MAC_AT, 16);
	rpacket_free(answer);
	rpacket_free(request);
}

static void test_timestamp(void **state) {
	static const char with[] = USER_ANN STAMP, without[] = USER_ANN;
	uint32_t seconds = 0;
	struct bytes bytes = request_of(RCODE_COA_REQUEST, true, with, sizeof(with) - 1);
	struct rpacket *packet = read_ok(&bytes);
	assert_true(change_timestamp(packet, &seconds));
	assert_int_equal(seconds, 65536);
	rpacket_free(packet);
	bytes = request_of(RCODE_COA_REQUEST, true, without, sizeof(without) - 1);
	packet = read_ok(&bytes);
	assert_false(change_timestamp(packet, &seconds));
	rpacket_free(packet);
}

static void test_seen(void **state) {
	static const struct abi_addr one = {{1}}, two = {{2}};
	uint8_t vector[RPACKET_VECTOR_LEN] = {5};
	struct seen *seen = seen_new();
	struct seen_request *request = seen_add(seen, &one, vector, 100);
	assert_ptr_equal(seen_find(seen, &one, vector), request);
	assert_null(seen_find(seen, &two, vector));
	assert_null(request->answer);
	seen_answer(request, (const uint8_t *)"yes", 3);
	assert_memory_equal(request->answer, "yes", 3);
	seen_expire(seen, 100);
	assert_ptr_equal(seen_find(seen, &one, vector), request);
	seen_expire(seen, 101);
	assert_null(seen_find(seen, &one, vector));
	seen_forget(seen, seen_add(seen, &one, vector, 101));
	assert_null(seen_find(seen, &one, vector));
	// Full: a new one is not taken, an old one not forgotten before its time.
	for (uint32_t i = 0; i < SEEN_MAX; i++) {
		memcpy(vector, &i, sizeof(i));
		assert_non_null(seen_add(seen, &one, vector, 102));
	}
	assert_null(seen_add(seen, &two, vector, 103));
	memset(vector, 0, sizeof(vector));
	assert_non_null(seen_find(seen, &one, vector));
	seen_expire(seen, 103);
	assert_non_null(seen_add(seen, &two, vector, 103));
	seen_free(seen);
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
		cmocka_unit_test(test_disconnect),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_signed),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_timestamp),
		cmocka_unit_test(test_seen),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
