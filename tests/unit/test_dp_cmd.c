// SPDX-License-Identifier: GPL-3.0-or-later
// Unit tests of the checks that commands of the control plane pass.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ctl/validate.h"

static struct abi_addr v4(uint8_t last) {
	return (struct abi_addr){{[10] = 0xff, [11] = 0xff, 10, 0, 0, last}};
}

static struct abi_cmd add_cmd(void) {
	struct abi_cmd cmd = {.type = ABI_CMD_SESSION_ADD, .sid = {5, 1}};

	cmd.session_add.inner4 = v4(2);
	cmd.session_add.inner6.bytes[0] = 0xfd;
	cmd.session_add.inner6_prefix = 128;
	cmd.session_add.policy.mtu = 1400;
	return cmd;
}

static struct abi_cmd dtls_cmd(void) {
	struct abi_cmd cmd = {.type = ABI_CMD_DTLS_SET, .sid = {5, 1}};

	cmd.dtls_set.tuple = (struct abi_tuple){
		.local = v4(1), .remote = v4(9), .local_port = 443, .remote_port = 1000};
	cmd.dtls_set.version = ABI_DTLS12;
	cmd.dtls_set.cipher = ABI_AES_128_GCM;
	cmd.dtls_set.epoch = 1;
	return cmd;
}

static struct abi_cmd stream_cmd(void) {
	struct abi_cmd cmd = {.type = ABI_CMD_STREAM_SET, .sid = {5, 1}};

	cmd.stream_set.token = 1;
	cmd.stream_set.version = ABI_TLS13;
	cmd.stream_set.cipher = ABI_AES_256_GCM;
	cmd.stream_set.rx.secret_len = cmd.stream_set.tx.secret_len = 48;
	return cmd;
}

static struct abi_cmd filter_cmd(void) {
	struct abi_cmd cmd = {.type = ABI_CMD_FILTER_ADD};

	cmd.filter_add = (struct abi_cmd_filter_add){
		.filter = 7,
		.flags = ABI_FILTER_ROUTES | ABI_FILTER_ALLOW,
		.total = 20,
		.first = 14,
		.nb = 4,
		.rule = {{.kind = ABI_FILTER_ROUTE, .addr = v4(0), .len = 24},
			{.kind = ABI_FILTER_EXCLUDE, .len = 128},
			{.kind = ABI_FILTER_SERVICE, .protocol = 6, .low = 80, .high = 443},
			{.kind = ABI_FILTER_DNS, .addr = v4(53)}},
	};
	return cmd;
}

#define REFUSED(make, change) \
	do { \
		struct abi_cmd c = make(); \
		assert_int_equal(dp_cmd_validate(&c), 0); \
		change; \
		assert_int_equal(dp_cmd_validate(&c), -EINVAL); \
	} while (0)

#define ACCEPTED(make, change) \
	do { \
		struct abi_cmd c = make(); \
		change; \
		assert_int_equal(dp_cmd_validate(&c), 0); \
	} while (0)

static void test_add(void **state) {
	ACCEPTED(add_cmd, memset(&c.session_add.inner4, 0, 16));
	ACCEPTED(add_cmd, memset(&c.session_add.inner6, 0, 16));
	ACCEPTED(add_cmd, c.session_add.policy.mtu = 576);
	ACCEPTED(add_cmd, c.session_add.policy.mtu = 9000);
	REFUSED(add_cmd, c.reserved = 1);
	REFUSED(add_cmd, c.sid.generation = 0);
	REFUSED(add_cmd, c.sid.index = ABI_SESSIONS_MAX);
	REFUSED(add_cmd, memset(&c.session_add.inner4, 0, 32));
	REFUSED(add_cmd, c.session_add.inner4.bytes[0] = 1);
	REFUSED(add_cmd, memset(c.session_add.inner4.bytes + 12, 0, 4));
	REFUSED(add_cmd, c.session_add.inner6 = v4(3));
	REFUSED(add_cmd, c.session_add.inner6_prefix = 0);
	REFUSED(add_cmd, c.session_add.inner6_prefix = 129);
	REFUSED(add_cmd, c.session_add.reserved[1] = 1);
	REFUSED(add_cmd, c.session_add.policy.mtu = 575);
	REFUSED(add_cmd, c.session_add.policy.mtu = 9001);
	REFUSED(add_cmd, c.session_add.policy.flags = 8);
	REFUSED(add_cmd, c.session_add.policy.dscp = 64);
	REFUSED(add_cmd, c.session_add.policy.reserved = 1);
	REFUSED(add_cmd, c.session_add.policy.reserved2[2] = 1);
}

static void test_dtls(void **state) {
	ACCEPTED(dtls_cmd, c.dtls_set.cipher = ABI_CHACHA20_POLY1305);
	ACCEPTED(dtls_cmd, c.dtls_set.tx.seq = (UINT64_C(1) << 48) - 1);
	REFUSED(dtls_cmd, c.dtls_set.tx.seq = UINT64_C(1) << 48);
	REFUSED(dtls_cmd, c.dtls_set.cipher = 0);
	REFUSED(dtls_cmd, c.dtls_set.cipher = 4);
	REFUSED(dtls_cmd, c.dtls_set.version = ABI_DTLS13);
	REFUSED(dtls_cmd, c.dtls_set.epoch = 0);
	REFUSED(dtls_cmd, c.dtls_set.mtu = 10);
	REFUSED(dtls_cmd, c.dtls_set.reserved = 1);
	REFUSED(dtls_cmd, c.dtls_set.tuple.reserved = 1);
	REFUSED(dtls_cmd, c.dtls_set.tuple.remote_port = 0);
	REFUSED(dtls_cmd, memset(&c.dtls_set.tuple.local, 0, 16));
	REFUSED(dtls_cmd, c.dtls_set.tuple.local.bytes[0] = 0xfd); // families differ
	REFUSED(dtls_cmd, c.dtls_set.rx.secret_len = 32);
	REFUSED(dtls_cmd, c.dtls_set.rx.reserved[0] = 1);
}

static void test_stream(void **state) {
	ACCEPTED(stream_cmd,
		(c.stream_set.version = ABI_TLS12, c.stream_set.rx.secret_len = 0,
			c.stream_set.tx.secret_len = 0));
	REFUSED(stream_cmd, c.stream_set.version = ABI_TLS12);
	REFUSED(stream_cmd, c.stream_set.rx.secret_len = 0);
	REFUSED(stream_cmd, c.stream_set.rx.secret_len = 49);
	REFUSED(stream_cmd, c.stream_set.token = 0);
	REFUSED(stream_cmd, c.stream_set.version = ABI_DTLS12);
	REFUSED(stream_cmd, c.stream_set.cipher = 77);
	REFUSED(stream_cmd, c.stream_set.reserved[5] = 1);
}

static void test_others(void **state) {
	struct abi_cmd cmd = {.type = ABI_CMD_SESSION_DEL, .sid = {1, 1}};

	assert_int_equal(dp_cmd_validate(&cmd), 0);
	cmd.session_del.reason = ABI_END_MAX;
	assert_int_equal(dp_cmd_validate(&cmd), -EINVAL);
	cmd = (struct abi_cmd){.type = ABI_CMD_DUMP};
	assert_int_equal(dp_cmd_validate(&cmd), 0);
	cmd = (struct abi_cmd){.type = ABI_CMD_SESSION_UPDATE, .sid = {1, 1}};
	assert_int_equal(dp_cmd_validate(&cmd), -EINVAL);
	cmd.policy.mtu = 1300;
	assert_int_equal(dp_cmd_validate(&cmd), 0);
	for (unsigned type = 0; type < 65536; type++) {
		cmd = (struct abi_cmd){.type = (uint16_t)type};
		if (type < ABI_CMD_SESSION_ADD || type > ABI_CMD_IROUTES_SET ||
			type == ABI_CMD_SETTINGS)
			assert_int_equal(dp_cmd_validate(&cmd), -EOPNOTSUPP);
	}
}

static void test_dscp(void **state) {
	ACCEPTED(add_cmd, c.session_add.policy.dscp = 63);
	ACCEPTED(add_cmd, c.session_add.policy.flags = ABI_POLICY_DSCP_COPY);
	REFUSED(add_cmd, c.session_add.policy.dscp = 64);
	REFUSED(add_cmd,
		(c.session_add.policy.flags = ABI_POLICY_DSCP_COPY, c.session_add.policy.dscp = 1));
}

static void test_filter(void **state) {
	struct abi_filter_rule *r;

	ACCEPTED(filter_cmd, c.filter_add.total = ABI_FILTER_RULES_MAX);
	ACCEPTED(filter_cmd, c.filter_add.flags = ABI_FILTER_DENY);
	ACCEPTED(filter_cmd, c.filter_add.total = c.filter_add.first = c.filter_add.nb = 0);
	REFUSED(filter_cmd, c.filter_add.filter = 0);
	REFUSED(filter_cmd, c.filter_add.flags = 8);
	REFUSED(filter_cmd, c.filter_add.flags = ABI_FILTER_ALLOW | ABI_FILTER_DENY);
	REFUSED(filter_cmd, c.filter_add.total = ABI_FILTER_RULES_MAX + 1);
	REFUSED(filter_cmd, c.filter_add.total = 17);
	REFUSED(filter_cmd, c.filter_add.first = UINT16_MAX);
	REFUSED(filter_cmd, c.filter_add.nb = 0);
	REFUSED(filter_cmd, (c.filter_add.nb = ABI_FILTER_PART + 1, c.filter_add.total = 40));
	REFUSED(filter_cmd, c.filter_add.reserved[1] = 1);
	REFUSED(filter_cmd, c.filter_add.rule[0].len = 33);
	REFUSED(filter_cmd, c.filter_add.rule[1].len = 129);
	REFUSED(filter_cmd, c.filter_add.rule[0].kind = 0);
	REFUSED(filter_cmd, c.filter_add.rule[0].kind = 5);
	REFUSED(filter_cmd, c.filter_add.rule[0].high = 1);
	REFUSED(filter_cmd, c.filter_add.rule[0].reserved = 1);
	REFUSED(filter_cmd, c.filter_add.rule[2].low = 444);
	REFUSED(filter_cmd, c.filter_add.rule[2].protocol = 47);
	REFUSED(filter_cmd, c.filter_add.rule[2].protocol = 1);
	REFUSED(filter_cmd, c.filter_add.rule[2].addr.bytes[0] = 1);
	REFUSED(filter_cmd, c.filter_add.rule[3].len = 1);
	REFUSED(filter_cmd, c.filter_add.rule[3].addr = (struct abi_addr){0});
	ACCEPTED(filter_cmd,
		(r = &c.filter_add.rule[2], r->protocol = 1, r->low = 0, r->high = UINT16_MAX));
	struct abi_cmd del = {.type = ABI_CMD_FILTER_DEL, .filter_del = {7}};

	assert_int_equal(dp_cmd_validate(&del), 0);
	del.filter_del.filter = 0;
	assert_int_equal(dp_cmd_validate(&del), -EINVAL);
}

static struct abi_cmd iroutes_cmd(void) {
	struct abi_cmd cmd = {.type = ABI_CMD_IROUTES_SET, .sid = {5, 1}};

	cmd.iroutes_set.nb = 2;
	cmd.iroutes_set.prefix[0] = (struct abi_prefix){.addr = v4(0), .len = 24};
	cmd.iroutes_set.prefix[1] = (struct abi_prefix){.addr = {{0x20, 1}}, .len = 16};
	return cmd;
}

static void test_iroutes(void **state) {
	ACCEPTED(iroutes_cmd, c.iroutes_set.nb = 0);
	ACCEPTED(iroutes_cmd,
		(c.iroutes_set.prefix[0].addr = v4(7), c.iroutes_set.prefix[0].len = 32));
	REFUSED(iroutes_cmd, c.sid.generation = 0);
	REFUSED(iroutes_cmd, c.iroutes_set.nb = ABI_IROUTES_MAX + 1);
	REFUSED(iroutes_cmd, c.iroutes_set.nb = 3); // one of length 0
	REFUSED(iroutes_cmd, c.iroutes_set.prefix[0].len = 33);
	REFUSED(iroutes_cmd, c.iroutes_set.prefix[1].len = 129);
	REFUSED(iroutes_cmd, c.iroutes_set.prefix[0].addr = v4(1));
	REFUSED(iroutes_cmd, c.iroutes_set.prefix[1].len = 15);
	REFUSED(iroutes_cmd, c.iroutes_set.prefix[1].reserved[2] = 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_dtls),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_dscp),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_iroutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
