// SPDX-License-Identifier: GPL-3.0-or-later
// Decodes application/x-www-form-urlencoded logins (old clients and phones); called by portal.c.

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "encode.h"
#include "form.h"

#define ANSWER "secondary_password"

void creds_wipe(struct creds *creds) {
	explicit_bzero(creds, sizeof(*creds));
}

// One field's place in struct creds.
struct field {
	const char *name;
	size_t offset, size;
	size_t seen; // offset of the bool, or SIZE_MAX
};

static const struct field fields[] = {
	{"username", offsetof(struct creds, username), IPC_USER_LEN,
		offsetof(struct creds, has_username)},
	{"password", offsetof(struct creds, password), IPC_PASSWORD_LEN,
		offsetof(struct creds, has_password)},
	{ANSWER, offsetof(struct creds, answer), IPC_PASSWORD_LEN,
		offsetof(struct creds, has_answer)},
	{"group_list", offsetof(struct creds, group), IPC_GROUP_LEN, SIZE_MAX},
};

bool creds_is_answer(const char *name, size_t len) {
	if (len < sizeof(ANSWER) - 1 || memcmp(name, ANSWER, sizeof(ANSWER) - 1) != 0)
		return false;
	for (size_t i = sizeof(ANSWER) - 1; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
	}
	return true;
}

static bool field_set(struct creds *creds, const char *name, size_t name_len, const char *value,
	size_t value_len) {
	if (creds_is_answer(name, name_len))
		name_len = sizeof(ANSWER) - 1;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *f = &fields[i];
		char *out = (char *)creds + f->offset;
		bool *seen;

		if (strlen(f->name) != name_len || memcmp(f->name, name, name_len) != 0)
			continue;
		if (f->seen == SIZE_MAX)
			return out[0] == '\0' &&
				percent_decode(out, f->size, value, value_len, true);
		seen = (bool *)((char *)creds + f->seen);
		if (*seen || !percent_decode(out, f->size, value, value_len, true))
			return false;
		*seen = true;
	}
	return true;
}

int form_parse(struct creds *creds, const char *body, size_t len) {
	const char *end = body + len;

	memset(creds, 0, sizeof(*creds));
	while (body < end) {
		const char *amp = memchr(body, '&', (size_t)(end - body));
		const char *stop = amp ? amp : end;
		const char *eq = memchr(body, '=', (size_t)(stop - body));

		if (eq != NULL &&
			!field_set(creds, body, (size_t)(eq - body), eq + 1,
				(size_t)(stop - eq - 1))) {
			creds_wipe(creds);
			return -EINVAL;
		}
		body = stop < end ? stop + 1 : end;
	}
	if (creds->has_username || creds->has_password || creds->has_answer)
		creds->kind = CREDS_REPLY;
	return 0;
}
