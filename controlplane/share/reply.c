// SPDX-License-Identifier: GPL-3.0-or-later
// The scripts that change sessions in the shared store, and what their replies mean. Called by share.c.
#include "controlplane/share/reply.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <string.h>

// A session is a hash: o its owner, e the owner's epoch, r the sealed record. An address is a string:
// the name of its session.
//
// The epoch grows with each change of owner. So of two processes with one name only one goes on.
// One that has ended is nobody's for as long as its cookie could be good, instead of being away: a
// gateway that was cut off and had it before must not write it anew.
static const char *const scripts[] = {
	// KEYS: session. ARGV: node, epoch, ttl.
	[IPC_SHARE_TAKE] = "local v = redis.call('HMGET', KEYS[1], 'o', 'e', 'r')\n"
			   "if not v[1] or v[1] == '' then return {-2} end\n"
			   "if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then\n"
			   "  redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
			   "end\n"
			   "if v[1] == ARGV[1] and (ARGV[2] == '0' or ARGV[2] == v[2]) then\n"
			   "  return {0, tonumber(v[2]), 0, v[3]}\n"
			   "end\n"
			   "redis.call('HSET', KEYS[1], 'o', ARGV[1])\n"
			   "return {0, redis.call('HINCRBY', KEYS[1], 'e', 1), 1, v[3]}\n",
	// KEYS: session, addresses. ARGV: node, epoch, ttl, name, record.
	[IPC_SHARE_PUT] =
		"local v = redis.call('HMGET', KEYS[1], 'o', 'e')\n"
		"if v[1] and (v[1] ~= ARGV[1] or (ARGV[2] ~= '0' and ARGV[2] ~= v[2])) then\n"
		"  return {-1}\n"
		"end\n"
		"for i = 2, #KEYS do\n"
		"  local holder = redis.call('GET', KEYS[i])\n"
		"  if holder and holder ~= ARGV[4] then return {-3, i - 2} end\n"
		"end\n"
		"local e = v[2] or (ARGV[2] == '0' and '1' or ARGV[2])\n"
		"redis.call('HSET', KEYS[1], 'o', ARGV[1], 'e', e, 'r', ARGV[5])\n"
		"redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
		"for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[4], 'PX', ARGV[3]) end\n"
		"return {0, tonumber(e)}\n",
	// KEYS: session, addresses. ARGV: node, epoch, ttl, name.
	[IPC_SHARE_DEL] =
		"local v = redis.call('HMGET', KEYS[1], 'o', 'e')\n"
		"if v[1] and (v[1] ~= ARGV[1] or (ARGV[2] ~= '0' and ARGV[2] ~= v[2])) then\n"
		"  return {-1}\n"
		"end\n"
		"redis.call('HSET', KEYS[1], 'o', '', 'e', v[2] or '1')\n"
		"redis.call('HDEL', KEYS[1], 'r')\n"
		"redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
		"for i = 2, #KEYS do\n"
		"  if redis.call('GET', KEYS[i]) == ARGV[4] then redis.call('DEL', KEYS[i]) end\n"
		"end\n"
		"return {0}\n",
};

// hiredis makes room for as many elements as an array says that it has; ours have four at most.
#define ELEMENTS_MAX 16

static void *(*array_make)(const redisReadTask *task, int elements);

static void *array_bounded(const redisReadTask *task, int elements) {
	return elements <= ELEMENTS_MAX ? array_make(task, elements) : NULL;
}

struct redisReader *reply_reader_new(void) {
	static redisReplyObjectFunctions bounded;
	redisReader *reader = redisReaderCreate();

	if (!reader)
		return NULL;
	if (!array_make) {
		bounded = *reader->fn;
		array_make = bounded.createArray;
		bounded.createArray = array_bounded;
	}
	reader->fn = &bounded;
	return reader;
}

const char *reply_script(enum ipc_share what) {
	return scripts[what];
}

bool reply_is_fine(const struct redisReply *reply) {
	return reply->type == REDIS_REPLY_STATUS &&
		(strcmp(reply->str, "OK") == 0 || strcmp(reply->str, "PONG") == 0);
}

static bool number(const struct redisReply *reply, size_t i, long long *out) {
	if (i >= reply->elements || reply->element[i] == NULL ||
		reply->element[i]->type != REDIS_REPLY_INTEGER)
		return false;
	*out = reply->element[i]->integer;
	return true;
}

static bool take_read(const struct redisReply *reply, struct ipc_share_answer *out) {
	const struct redisReply *record;
	long long epoch, others;

	if (!number(reply, 1, &epoch) || !number(reply, 2, &others) || epoch <= 0 ||
		reply->elements != 4)
		return false;
	record = reply->element[3];
	if (record == NULL || record->type != REDIS_REPLY_STRING || record->len == 0 ||
		record->len > sizeof(out->blob))
		return false;
	out->epoch = (uint64_t)epoch;
	out->which = others != 0;
	out->blob_len = (uint32_t)record->len;
	memcpy(out->blob, record->str, record->len);
	return true;
}

static bool done_read(
	enum ipc_share what, const struct redisReply *reply, struct ipc_share_answer *out) {
	long long epoch;

	switch (what) {
	case IPC_SHARE_TAKE:
		return take_read(reply, out);
	case IPC_SHARE_PUT:
		if (reply->elements != 2 || !number(reply, 1, &epoch) || epoch <= 0)
			return false;
		out->epoch = (uint64_t)epoch;
		return true;
	default:
		return true;
	}
}

// The scripts' own numbers for what they did not do.
static int status_of(long long code) {
	return code == -1 ? -ESTALE : code == -2 ? -ENOENT : code == -3 ? -EADDRINUSE : -EIO;
}

void reply_read(enum ipc_share what, const struct redisReply *reply, struct ipc_share_answer *out,
	const char **error) {
	long long code, which = 0;

	out->status = -EIO;
	out->which = out->blob_len = out->reserved = 0;
	out->epoch = 0;
	*error = reply->type == REDIS_REPLY_ERROR ? reply->str : NULL;
	if (reply->type != REDIS_REPLY_ARRAY || !number(reply, 0, &code))
		return;
	if (code != 0) {
		out->status = status_of(code);
		if (code == -3 && number(reply, 1, &which) && which >= 0 && which <= 1)
			out->which = (uint32_t)which;
		else if (code == -3)
			out->status = -EIO;
	} else if (done_read(what, reply, out)) {
		out->status = 0;
	}
}
