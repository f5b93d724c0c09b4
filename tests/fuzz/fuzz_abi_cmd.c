// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzer of the checks that commands of the control plane pass: what they let through is in range.
#include <stdlib.h>
#include <string.h>

#include "dataplane/ctl/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition) {
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct abi_cmd cmd = {0};

	memcpy(&cmd, data, size < sizeof(cmd) ? size : sizeof(cmd));
	if (dp_cmd_validate(&cmd) != 0)
		return 0;
	if (cmd.type < ABI_CMD_DUMP)
		require(cmd.sid.index < ABI_SESSIONS_MAX && cmd.sid.generation != 0);
	switch (cmd.type) {
	case ABI_CMD_SESSION_ADD:
		require(cmd.session_add.policy.mtu >= 576 && cmd.session_add.policy.mtu <= 9000);
		break;
	case ABI_CMD_SESSION_DEL:
		require(cmd.session_del.reason < ABI_END_MAX);
		break;
	case ABI_CMD_STREAM_SET:
		require(cmd.stream_set.rx.secret_len <= ABI_SECRET_MAX);
		require(cmd.stream_set.tx.secret_len <= ABI_SECRET_MAX);
		break;
	case ABI_CMD_DTLS_SET:
		require(cmd.dtls_set.tx.seq < UINT64_C(1) << 48 && cmd.dtls_set.epoch != 0);
		break;
	case ABI_CMD_FILTER_ADD:
		require(cmd.filter_add.nb <= ABI_FILTER_PART);
		require(cmd.filter_add.first + cmd.filter_add.nb <= cmd.filter_add.total);
		for (unsigned i = 0; i < cmd.filter_add.nb; i++)
			require(cmd.filter_add.rule[i].low <= cmd.filter_add.rule[i].high);
		break;
	default:
		break;
	}
	return 0;
}
