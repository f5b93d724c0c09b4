// SPDX-License-Identifier: GPL-3.0-or-later
// The connection to the shared store's server, which may send whatever it likes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "controlplane/share/redis.h"

struct link {
	struct event_base *base;
	struct redis *redis;
	int server;
	unsigned replies;
	char why[64]; // it is lost
};

static void on_reply(uint64_t id, const struct redisReply *reply, void *arg) {
	struct link *link = arg;

	assert_int_equal(id, 20 + link->replies++);
}

static void on_lost(const char *why, void *arg) {
	struct link *link = arg;

	strncpy(link->why, why, sizeof(link->why) - 1);
	redis_free(link->redis);
	link->redis = NULL;
}

static void link_open(struct link *link, unsigned commands) {
	static const char *const words[] = {"PING"};
	static const size_t lens[] = {4};
	const struct redis_hooks hooks = {on_reply, on_lost, link};
	int fds[2];

	memset(link, 0, sizeof(*link));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	link->base = event_base_new();
	link->server = fds[0];
	link->redis = redis_new(link->base, fds[1], &hooks);
	for (unsigned i = 0; i < commands; i++)
		assert_int_equal(redis_command(link->redis, 20 + i, 1, words, lens), 0);
}

static void say(struct link *link, const char *text) {
	size_t len = strlen(text);

	assert_int_equal(send(link->server, text, len, MSG_NOSIGNAL), len);
	event_base_loop(link->base, EVLOOP_NONBLOCK);
}

static void link_close(struct link *link) {
	redis_free(link->redis);
	close(link->server);
	event_base_free(link->base);
}

static void test_replies(void **state) {
	struct link link;

	link_open(&link, 3);
	say(&link, "+PONG\r\n*2\r\n:0");
	assert_int_equal(link.replies, 1);
	say(&link, "\r\n:7\r\n+PONG\r\n");
	assert_int_equal(link.replies, 3);
	assert_string_equal(link.why, "");
	say(&link, "+PONG\r\n");
	assert_string_equal(link.why, "a reply that was not asked for");
	link_close(&link);
}

// Each part is whole, and made an object of; the reply never is.
static void test_endless(void **state) {
	char text[4001];
	struct link link;

	for (size_t i = 0; i < 4000; i += 4)
		memcpy(text + i, ":1\r\n", 4);
	text[4000] = '\0';
	link_open(&link, 1);
	say(&link, "*100000000\r\n");
	for (unsigned i = 0; i < 1000 && link.redis; i++)
		say(&link, text);
	assert_null(link.redis);
	assert_string_equal(link.why, "a reply is too long");
	assert_int_equal(link.replies, 0);
	link_close(&link);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_endless),
	};

	return cmocka_run_group_tests_name("redis", tests, NULL, NULL);
}
