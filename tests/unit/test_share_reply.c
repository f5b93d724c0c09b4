// SPDX-License-Identifier: GPL-3.0-or-later
// What the shared store's server says: only what the scripts give is believed.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "controlplane/share/reply.h"

static struct ipc_share_answer read_text(enum ipc_share what, const char *text) {
	struct ipc_share_answer out = {0};
	redisReader *reader = redisReaderCreate();
	const char *error;
	void *reply = NULL;

	assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	assert_non_null(reply);
	reply_read(what, reply, &out, &error);
	assert_true((error != NULL) == (text[0] == '-'));
	freeReplyObject(reply);
	redisReaderFree(reader);
	return out;
}

static void test_good(void **state) {
	struct ipc_share_answer out;

	out = read_text(IPC_SHARE_TAKE, "*4\r\n:0\r\n:9\r\n:1\r\n$3\r\nabc\r\n");
	assert_int_equal(out.status, 0);
	assert_int_equal(out.epoch, 9);
	assert_int_equal(out.which, 1);
	assert_int_equal(out.blob_len, 3);
	assert_memory_equal(out.blob, "abc", 3);
	assert_int_equal(read_text(IPC_SHARE_TAKE, "*1\r\n:-2\r\n").status, -ENOENT);
	assert_int_equal(read_text(IPC_SHARE_PUT, "*2\r\n:0\r\n:4\r\n").epoch, 4);
	assert_int_equal(read_text(IPC_SHARE_PUT, "*1\r\n:-1\r\n").status, -ESTALE);
	out = read_text(IPC_SHARE_PUT, "*2\r\n:-3\r\n:1\r\n");
	assert_int_equal(out.status, -EADDRINUSE);
	assert_int_equal(out.which, 1);
	assert_int_equal(read_text(IPC_SHARE_DEL, "*1\r\n:0\r\n").status, 0);
}

static void test_bad(void **state) {
	static const char *const bad[] = {
		"-NOSCRIPT no\r\n",
		"+OK\r\n",
		":0\r\n",
		"$-1\r\n",
		"*0\r\n",
		"*-1\r\n",
		"*1\r\n$1\r\n0\r\n",
		"*1\r\n:0\r\n",
		"*1\r\n:1\r\n",
		"*2\r\n:0\r\n:0\r\n",
		"*2\r\n:0\r\n:-4\r\n",
		"*2\r\n:-3\r\n:2\r\n",
		"*1\r\n:-3\r\n",
		"*3\r\n:0\r\n:9\r\n$0\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_text(IPC_SHARE_PUT, bad[i]).status, -EIO);
	assert_int_equal(read_text(IPC_SHARE_TAKE, "*3\r\n:0\r\n:9\r\n:1\r\n").status, -EIO);
	assert_int_equal(
		read_text(IPC_SHARE_TAKE, "*4\r\n:0\r\n:9\r\n:1\r\n$0\r\n\r\n").status, -EIO);
	assert_int_equal(read_text(IPC_SHARE_TAKE, "*4\r\n:0\r\n:9\r\n:1\r\n:5\r\n").status, -EIO);
}

static void test_long_array(void **state) {
	redisReader *reader = reply_reader_new();
	void *reply = NULL;

	assert_non_null(reader);
	redisReaderFeed(reader, "*2147483647\r\n:0\r\n", 18);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_ERR);
	redisReaderFree(reader);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_long_array),
		cmocka_unit_test(test_good), cmocka_unit_test(test_bad)};

	return cmocka_run_group_tests_name("share_reply", tests, NULL, NULL);
}
