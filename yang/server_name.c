// SPDX-License-Identifier: GPL-3.0-or-later
// Matching of server names; called by config_find.c and the edge's tls.c.

#include <string.h>
#include <strings.h>

#include "yang/server_name.h"

static size_t name_len(const char *name) {
	size_t len = strlen(name);

	return len > 0 && name[len - 1] == '.' ? len - 1 : len;
}

bool server_name_is_wildcard(const char *pattern) {
	return pattern[0] == '*' && pattern[1] == '.';
}

bool server_name_matches(const char *pattern, const char *name) {
	size_t len = name_len(name);

	if (server_name_is_wildcard(pattern)) {
		const char *dot = memchr(name, '.', len);

		if (dot == NULL || dot == name)
			return false;
		len -= (size_t)(dot + 1 - name);
		name = dot + 1;
		pattern += 2;
		// *.com would be every site's: two labels at least stay fixed.
		if (memchr(pattern, '.', name_len(pattern)) == NULL)
			return false;
	}
	return len > 0 && len == name_len(pattern) && strncasecmp(pattern, name, len) == 0;
}
