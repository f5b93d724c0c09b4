// SPDX-License-Identifier: GPL-3.0-or-later
// A connection to a Redis or Valkey server, over a socket that somebody else has made. Used by share.c.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct redis;
struct redisReply;

#define REDIS_TIMEOUT_S 3u // without a reply: the connection is given up

struct redis_hooks {
	// Replies come in the order of the commands; `id` is the command's.
	void (*reply)(uint64_t id, const struct redisReply *reply, void *arg);
	// The connection is lost; commands without a reply will have none. redis_free() may be called.
	void (*lost)(const char *why, void *arg);
	void *arg;
};

// Takes over `fd`, which is connected or is about to be. NULL: no memory; fd is closed.
struct redis *redis_new(struct event_base *base, int fd, const struct redis_hooks *hooks);
void redis_free(struct redis *redis);
// Sends a command: `nb` words with their lengths. 0 or -ENOMEM.
int redis_command(
	struct redis *redis, uint64_t id, int nb, const char *const *words, const size_t *lens);
// Every second: gives the connection up when a reply is due for too long.
void redis_tick(struct redis *redis);
// Commands without a reply.
unsigned redis_waiting(const struct redis *redis);
