// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the reader of keytab files: what an entry points to is in the file. Run by tools/check.

#include <stdlib.h>

#include "controlplane/kerberos/keytab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct file {
	const char *begin, *end;
};

static void inside(const struct file *file, const char *data, size_t len) {
	if (data < file->begin || data > file->end || (size_t)(file->end - data) < len)
		abort();
}

static int take(const struct keytab_entry *entry, void *arg) {
	const struct file *file = arg;

	if (entry->nb_components > KEYTAB_COMPONENTS_MAX)
		abort();
	inside(file, entry->realm.data, entry->realm.len);
	inside(file, (const char *)entry->key, entry->key_len);
	for (unsigned i = 0; i < entry->nb_components; i++)
		inside(file, entry->components[i].data, entry->components[i].len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct file file = {(const char *)data, (const char *)data + size};

	keytab_read(data, size, take, &file);
	return 0;
}
