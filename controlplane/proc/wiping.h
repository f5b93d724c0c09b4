// SPDX-License-Identifier: GPL-3.0-or-later
// Memory functions for libraries that hold secrets: what is freed is wiped. Used by edge and oidc.
#pragma once

#include <stddef.h>

void wiping_free(void *ptr);
void *wiping_realloc(void *ptr, size_t size);
