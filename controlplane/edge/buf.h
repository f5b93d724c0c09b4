// SPDX-License-Identifier: GPL-3.0-or-later
// A growing byte buffer with a bound, wiped when freed. Used for responses of the edge.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUF_MAX (128u * 1024u)

// All zero is an empty buffer. `failed` stays set once memory or the bound ran out: writers need
// no check of their own, who sends the buffer looks once.
struct buf {
	uint8_t *data;
	size_t len; // bytes in use
	size_t size; // bytes allocated
	bool failed;
};

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Wipes and frees; the buffer is empty and usable again.
void buf_reset(struct buf *buf);
