// SPDX-License-Identifier: GPL-3.0-or-later
// A growing byte buffer with a bound, wiped when freed. Used for responses of the edge.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

// realloc() would leave a copy of secrets behind: a new block, then wipe the old one.
static bool buf_grow(struct buf *buf, size_t more) {
	size_t size = buf->size ? buf->size : 1024;
	uint8_t *data;

	if (buf->failed || more > BUF_MAX || buf->len + more > BUF_MAX)
		goto fail;
	while (size < buf->len + more)
		size *= 2;
	if (size == buf->size)
		return true;
	data = malloc(size);
	if (data == NULL)
		goto fail;
	if (buf->data != NULL) {
		memcpy(data, buf->data, buf->len);
		explicit_bzero(buf->data, buf->size);
		free(buf->data);
	}
	buf->data = data;
	buf->size = size;
	return true;
fail:
	buf->failed = true;
	return false;
}

void buf_add(struct buf *buf, const void *data, size_t len) {
	if (len == 0 || !buf_grow(buf, len))
		return;
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
}

void buf_puts(struct buf *buf, const char *text) {
	buf_add(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *fmt, ...) {
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0 || !buf_grow(buf, (size_t)len + 1)) {
		buf->failed = true;
		return;
	}
	va_start(args, fmt);
	vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)len;
}

void buf_reset(struct buf *buf) {
	if (buf->data != NULL) {
		explicit_bzero(buf->data, buf->size);
		free(buf->data);
	}
	*buf = (struct buf){0};
}
