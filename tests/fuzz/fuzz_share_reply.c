// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes what the shared store's server sends: hiredis's reader, and what its replies are taken for. Run
// by tools/check.

#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "controlplane/share/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The first byte: the question.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	redisReader *reader = size ? reply_reader_new() : NULL;
	struct ipc_share_answer out;
	const char *error;
	void *reply = NULL;

	if (!reader)
		return 0;
	redisReaderFeed(reader, (const char *)data + 1, size - 1);
	while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
		(void)reply_is_fine(reply);
		reply_read(1 + data[0] % 3, reply, &out, &error);
		if (out.status > 0 || out.blob_len > sizeof(out.blob) || out.which > 1)
			abort();
		freeReplyObject(reply);
		reply = NULL;
	}
	redisReaderFree(reader);
	return 0;
}
