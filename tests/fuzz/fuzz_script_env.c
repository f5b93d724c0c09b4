// SPDX-License-Identifier: GPL-3.0-or-later
// Any bytes as what a script is told: what becomes an environment holds nothing that a shell acts on.
#include <stdlib.h>
#include <string.h>

#include "controlplane/script/env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Backslash and tilde have no meaning in the value of a variable.
static void check(const char *variable) {
	for (const char *c = strchr(variable, '=') + 1; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || strchr("$`;|&<>*?'\"[]{}!#\x7f", *c) != NULL)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const struct cfg cfg = {.hostname = (char *)(uintptr_t) "vpn"};
	struct ipc_script_facts facts = {.id = 1};
	char **env;

	memcpy(facts.user, "ann", 4);
	// Pairs of an offset and a byte, so that strings stay strings for longer.
	for (size_t i = 1; i + 2 < size; i += 3)
		((uint8_t *)&facts)[(data[i] << 8 | data[i + 1]) % sizeof(facts)] = data[i + 2];
	if (size == 0 || script_env_make(&cfg, 1 + data[0] % 3, &facts, &env) != 0)
		return 0;
	for (char **at = env; *at != NULL; at++)
		check(*at);
	script_env_free(env);
	return 0;
}
