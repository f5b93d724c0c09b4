// SPDX-License-Identifier: GPL-3.0-or-later
// Checks of strings in messages. Called by every handler before it uses one.
#include "ipc.h"

bool ipc_str_ok(const char *str, size_t len) {
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)str[i];
		if (c == '\0')
			return true;
		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return false;
}
