// SPDX-License-Identifier: GPL-3.0-or-later
// The environment that a script gets. Used by script.c; no I/O.
#pragma once

#include <stddef.h>

#include "controlplane/ipc/msg.h"
#include "yang/config.h"

// Variables of `facts` and of the configuration, NULL-terminated, in *env: script_env_free(). 0;
// -EINVAL: a user or group name that no script is safe with, or facts that cannot be; -ENOMEM;
// -E2BIG: the configuration's lists are longer than any environment should be.
int script_env_make(const struct cfg *cfg, enum ipc_script_event event,
	const struct ipc_script_facts *facts, char ***env);
void script_env_free(char **env);

// Fit to be the name of a user or a group in a script: letters, digits, UTF-8 and ._@+=:,%\ and
// space and minus, beginning with none of ".-" and space. No slash (it would be a path), nothing
// that a shell expands or splits commands at.
bool script_name_ok(const char *name, size_t len);
