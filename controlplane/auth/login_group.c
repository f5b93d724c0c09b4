// SPDX-License-Identifier: GPL-3.0-or-later
// Which of a user's groups counts; called by login_steps.c.

#include <string.h>

#include "login_int.h"

// The next name of a comma separated list, white space around it left out. False: no more.
static bool name_next(const char **at, const char **name, size_t *len) {
	while (**at != '\0') {
		size_t n = strcspn(*at, ",");

		*name = *at;
		*at += n + ((*at)[n] == ',');
		while (n > 0 && (**name == ' ' || **name == '\t')) {
			(*name)++;
			n--;
		}
		while (n > 0 && ((*name)[n - 1] == ' ' || (*name)[n - 1] == '\t'))
			n--;
		*len = n;
		if (n > 0)
			return true;
	}
	return false;
}

static bool has(const char *groups, const char *wanted, size_t wanted_len) {
	const char *name;
	size_t len;

	while (name_next(&groups, &name, &len)) {
		if (len == wanted_len && memcmp(name, wanted, len) == 0)
			return true;
	}
	return false;
}

bool login_group_choose(const char *groups, const char *asked, const char *standard, char *group) {
	const char *name = asked;
	size_t len = strlen(asked);

	memset(group, 0, IPC_GROUP_LEN);
	if (len > 0 && !has(groups, asked, len))
		return false;
	if (len == 0 && standard[0] != '\0' && has(groups, standard, strlen(standard))) {
		name = standard;
		len = strlen(standard);
	} else if (len == 0 && !name_next(&groups, &name, &len)) {
		return true;
	}
	// A name that no client could ask for is none that counts.
	if (len < IPC_GROUP_LEN)
		memcpy(group, name, len);
	return true;
}

void login_groups_add(char *groups, const char *more) {
	const char *name;
	size_t len;

	while (name_next(&more, &name, &len)) {
		size_t used = strlen(groups), comma = used > 0;

		if (has(groups, name, len) || used + comma + len >= IPC_GROUPS_LEN)
			continue;
		if (comma)
			groups[used++] = ',';
		memcpy(groups + used, name, len);
		groups[used + len] = '\0';
	}
}
