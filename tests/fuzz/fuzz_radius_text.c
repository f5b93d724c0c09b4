// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the texts of an Access-Accept: groups of Class, routes, messages. Run by tools/check.

#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/radius/settings.h"
#include "dataplane/abi/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_groups(const uint8_t *data, size_t size) {
	static char groups[IPC_USER_GROUPS_LEN];
	memset(groups, 0, sizeof(groups));
	for (unsigned i = 0; i < 3; i++)
		settings_groups(data, size, groups);
	size_t len = strlen(groups);
	if (!ipc_str_ok(groups, sizeof(groups)) || strstr(groups, ",,") != NULL ||
		(len > 0 && (groups[0] == ',' || groups[len - 1] == ',')))
		abort();
}

// A prefix has no host bits.
static void check_route(const uint8_t *data, size_t size) {
	struct ipc_prefix prefix;
	if (!settings_route(data, size, &prefix))
		return;
	bool is4 = abi_addr_is4(&prefix.addr);
	unsigned bits = prefix.len + (is4 ? 96u : 0u);
	if (bits > 128)
		abort();
	for (unsigned bit = bits; bit < 128; bit++)
		if (prefix.addr.bytes[bit / 8] & (0x80u >> bit % 8))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static char message[IPC_MESSAGE_LEN];
	check_groups(data, size);
	check_route(data, size);
	memset(message, 0, sizeof(message));
	settings_message(data, size, message);
	settings_message(data, size, message);
	if (!ipc_str_ok(message, sizeof(message)))
		abort();
	return 0;
}
