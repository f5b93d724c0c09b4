// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the entries of a keytab file from memory; called by accept.c.

#include "keytab.h"

#include <errno.h>
#include <stdbool.h>

struct input {
	const uint8_t *at, *end;
};

static bool number(struct input *in, unsigned bytes, uint32_t *value) {
	*value = 0;
	if ((size_t)(in->end - in->at) < bytes)
		return false;
	while (bytes-- > 0)
		*value = *value << 8 | *in->at++;
	return true;
}

static bool text(struct input *in, struct keytab_text *out) {
	uint32_t len;

	if (!number(in, 2, &len) || (size_t)(in->end - in->at) < len)
		return false;
	out->data = (const char *)in->at;
	out->len = (uint16_t)len;
	in->at += len;
	return true;
}

static bool principal(struct input *in, struct keytab_entry *entry) {
	uint32_t count;

	if (!number(in, 2, &count) || count > KEYTAB_COMPONENTS_MAX || !text(in, &entry->realm))
		return false;
	entry->nb_components = count;
	for (unsigned i = 0; i < count; i++) {
		if (!text(in, &entry->components[i]))
			return false;
	}
	return number(in, 4, &entry->name_type);
}

static bool entry_read(struct input *in, struct keytab_entry *entry) {
	struct keytab_text key;
	uint32_t enctype, vno;

	if (!principal(in, entry) || !number(in, 4, &entry->timestamp) ||
		!number(in, 1, &entry->vno) || !number(in, 2, &enctype) || !text(in, &key))
		return false;
	entry->enctype = (uint16_t)enctype;
	entry->key = (const uint8_t *)key.data;
	entry->key_len = key.len;
	// A version of 32 bits may follow, which then counts unless it is 0.
	if (in->end - in->at >= 4 && number(in, 4, &vno) && vno != 0)
		entry->vno = vno;
	return true;
}

int keytab_read(const void *file, size_t len,
	int (*take)(const struct keytab_entry *entry, void *arg), void *arg) {
	struct input in = {file, (const uint8_t *)file + len};
	uint32_t version, size;

	if (!number(&in, 2, &version) || version != 0x0502)
		return -EINVAL;
	while (number(&in, 4, &size)) {
		bool hole = size > INT32_MAX; // negative: so much was deleted
		uint32_t bytes = hole ? 0u - size : size;
		struct keytab_entry entry = {0};
		struct input inner;
		int err;

		if (size == 0)
			return 0; // MIT's end of a file that was made longer
		if (bytes > (size_t)(in.end - in.at))
			return -EINVAL;
		inner = (struct input){in.at, in.at + bytes};
		in.at += bytes;
		if (hole)
			continue;
		if (!entry_read(&inner, &entry))
			return -EINVAL;
		err = take(&entry, arg);
		if (err != 0)
			return err;
	}
	return in.at == in.end ? 0 : -EINVAL;
}
