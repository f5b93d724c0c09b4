// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the check of messages between processes: what a compromised one may send to another.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// First byte: sender and receiver; second: how many descriptors came; the rest is the message.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const struct ipc_rule *rule;
	if (size < 2)
		return 0;
	enum ipc_role from = data[0] & 7, to = (data[0] >> 3) & 7;
	unsigned nb_fds = data[1];
	size_t len = size - 2;
	uint8_t *msg = malloc(len > 0 ? len : 1); // exact, so that a read beyond is seen
	memcpy(msg, data + 2, len);

	const char *offence = ipc_check(from, to, msg, len, nb_fds, &rule);
	assert((offence == NULL) == (rule != NULL));
	if (rule != NULL) {
		const struct ipc_hdr *hdr = (const void *)msg;
		assert(rule->from == from && rule->to == to && rule->type == hdr->type);
		assert(rule->len == len && hdr->len == len && len <= IPC_MSG_MAX);
		assert(nb_fds == hdr->nb_fds && nb_fds <= IPC_FDS_MAX);
		assert(rule == ipc_rule_find(from, to, hdr->type));
	}
	if (ipc_str_ok((const char *)msg, len))
		assert(memchr(msg, 0, len) != NULL);
	free(msg);
	return 0;
}
