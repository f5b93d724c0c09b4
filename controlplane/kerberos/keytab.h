// SPDX-License-Identifier: GPL-3.0-or-later
// A keytab file in memory, read without a file system: MIT's own reader wants a path, and the
// process that holds the keys has none. No I/O.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define KEYTAB_FILE_MAX (1024u * 1024u)
#define KEYTAB_COMPONENTS_MAX 8u

struct keytab_text {
	const char *data; // in the file: no NUL behind it
	uint16_t len;
};

// One key. Everything points into the file.
struct keytab_entry {
	struct keytab_text realm, components[KEYTAB_COMPONENTS_MAX];
	unsigned nb_components;
	uint32_t name_type, timestamp, vno;
	uint16_t enctype;
	const uint8_t *key;
	uint16_t key_len;
};

// Calls `take` for each entry of a keytab (file format 0x0502, MIT krb5's doc/formats/keytab_file_format);
// deleted ones are skipped. 0, what `take` returned when that is not 0, or -EINVAL: no keytab, or a
// broken one.
int keytab_read(const void *file, size_t len,
	int (*take)(const struct keytab_entry *entry, void *arg), void *arg);
