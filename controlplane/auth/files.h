// SPDX-License-Identifier: GPL-3.0-or-later
// Reading whole files from descriptors that the supervisor opened.
#pragma once

#include <stddef.h>

// Reads a regular file of at most `max` bytes from its start. *data is malloc'ed, NUL-terminated
// behind its *len bytes, and goes to file_wipe(). 0 or -errno (-EFBIG: larger, -EINVAL: no
// regular file). Does not close.
int file_read(int fd, size_t max, char **data, size_t *len);
void file_wipe(char *data, size_t len);
