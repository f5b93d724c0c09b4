// SPDX-License-Identifier: GPL-3.0-or-later
// Memory that is wiped when it is freed; given to libxml2, jansson and cjose.
#include "wiping.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void wiping_free(void *ptr) {
	if (ptr == NULL)
		return;
	explicit_bzero(ptr, malloc_usable_size(ptr));
	free(ptr);
}

void *wiping_realloc(void *ptr, size_t size) {
	size_t old = ptr ? malloc_usable_size(ptr) : 0;
	void *fresh;

	if (old >= size && ptr != NULL)
		return ptr;
	fresh = malloc(size);
	if (fresh == NULL)
		return NULL;
	if (ptr != NULL)
		memcpy(fresh, ptr, old);
	wiping_free(ptr);
	return fresh;
}
