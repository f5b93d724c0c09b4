// SPDX-License-Identifier: GPL-3.0-or-later
// Commands out and replies in, in hiredis's words, over libevent. Called by share.c.
//
// hiredis's own event loop glue makes its sockets itself, which this process may not do.
#include "controlplane/share/redis.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "controlplane/proc/clock.h"

#include "controlplane/share/reply.h"

// Bytes that are not a whole reply yet. The reader makes objects of the parts of one as they come, so
// what it still has as bytes does not say how long the reply is.
#define REPLY_MAX ((size_t)1 << 20)

struct waiting {
	STAILQ_ENTRY(waiting) link;
	uint64_t id;
	uint64_t since_s;
};

struct redis {
	struct redis_hooks hooks;
	struct bufferevent *bev;
	redisReader *reader;
	size_t fed; // since the last whole reply
	STAILQ_HEAD(, waiting) waiting; // in the order of the commands
	unsigned nb_waiting;
	bool busy; // in on_read(): freed at its end
	bool freed;
};

static void redis_destroy(struct redis *redis) {
	while (!STAILQ_EMPTY(&redis->waiting)) {
		struct waiting *waiting = STAILQ_FIRST(&redis->waiting);

		STAILQ_REMOVE_HEAD(&redis->waiting, link);
		free(waiting);
	}
	if (redis->reader)
		redisReaderFree(redis->reader);
	if (redis->bev)
		bufferevent_free(redis->bev);
	free(redis);
}

void redis_free(struct redis *redis) {
	if (!redis)
		return;
	redis->freed = true;
	if (!redis->busy)
		redis_destroy(redis);
}

static void lose(struct redis *redis, const char *why) {
	if (!redis->freed)
		redis->hooks.lost(why, redis->hooks.arg);
}

// NULL, or why the connection cannot go on.
static const char *deliver(struct redis *redis, redisReply *reply) {
	struct waiting *waiting = STAILQ_FIRST(&redis->waiting);
	uint64_t id;

	if (!waiting)
		return "a reply that was not asked for";
	id = waiting->id;
	STAILQ_REMOVE_HEAD(&redis->waiting, link);
	redis->nb_waiting--;
	free(waiting);
	redis->hooks.reply(id, reply, redis->hooks.arg);
	return NULL;
}

static void on_read(struct bufferevent *bev, void *arg) {
	struct redis *redis = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);
	const unsigned char *data = evbuffer_pullup(in, -1);
	const char *why = NULL;
	void *reply;

	redis->busy = true;
	if (len && (!data || redisReaderFeed(redis->reader, (const char *)data, len) != REDIS_OK))
		why = "no memory";
	evbuffer_drain(in, len);
	redis->fed += len;
	while (!why && !redis->freed) {
		if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK)
			why = redis->reader->err == REDIS_ERR_OOM ? "a reply is too long"
								  : redis->reader->errstr;
		else if (!reply)
			break;
		else {
			redis->fed = 0;
			why = deliver(redis, reply);
			freeReplyObject(reply);
		}
	}
	if (!why && redis->fed > REPLY_MAX)
		why = "a reply is too long";
	if (why)
		lose(redis, why);
	redis->busy = false;
	if (redis->freed)
		redis_destroy(redis);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
	int error = EVUTIL_SOCKET_ERROR();

	if (what & BEV_EVENT_EOF)
		lose(arg, "closed by the server");
	else if (what & BEV_EVENT_ERROR)
		lose(arg, strerror(error));
}

struct redis *redis_new(struct event_base *base, int fd, const struct redis_hooks *hooks) {
	struct redis *redis = calloc(1, sizeof(*redis));

	if (!redis) {
		evutil_closesocket(fd);
		return NULL;
	}
	STAILQ_INIT(&redis->waiting);
	redis->hooks = *hooks;
	redis->reader = reply_reader_new();
	redis->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!redis->bev)
		evutil_closesocket(fd);
	if (!redis->bev || !redis->reader) {
		redis_destroy(redis);
		return NULL;
	}
	bufferevent_setcb(redis->bev, on_read, NULL, on_event, redis);
	bufferevent_enable(redis->bev, EV_READ | EV_WRITE);
	return redis;
}

int redis_command(
	struct redis *redis, uint64_t id, int nb, const char *const *words, const size_t *lens) {
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	char *text = NULL;
	int len = waiting ? redisFormatCommandArgv(&text, nb, (const char **)words, lens) : -1;

	if (len < 0 || bufferevent_write(redis->bev, text, (size_t)len) != 0) {
		free(waiting);
		redisFreeCommand(text);
		return -ENOMEM;
	}
	explicit_bzero(text, (size_t)len); // it may have been the password
	redisFreeCommand(text);
	waiting->id = id;
	waiting->since_s = clock_s();
	STAILQ_INSERT_TAIL(&redis->waiting, waiting, link);
	redis->nb_waiting++;
	return 0;
}

void redis_tick(struct redis *redis) {
	const struct waiting *first = STAILQ_FIRST(&redis->waiting);

	if (first && clock_s() - first->since_s > REDIS_TIMEOUT_S)
		lose(redis, "no reply in time");
}

unsigned redis_waiting(const struct redis *redis) {
	return redis->nb_waiting;
}
