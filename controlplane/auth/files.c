// SPDX-License-Identifier: GPL-3.0-or-later
// Reading whole files from descriptors that the supervisor opened; called by certset.c, login.c, oidc.c.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

void file_wipe(char *data, size_t len) {
	if (data == NULL)
		return;
	explicit_bzero(data, len);
	free(data);
}

int file_read(int fd, size_t max, char **data, size_t *len) {
	struct stat st;
	size_t size, n = 0;
	ssize_t got;
	int err;

	*data = NULL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size < 0 || (size_t)st.st_size > max)
		return -EFBIG;
	size = (size_t)st.st_size;
	*data = malloc(size + 1);
	if (*data == NULL)
		return -ENOMEM;
	while (n < size) {
		got = pread(fd, *data + n, size - n, (off_t)n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			err = -errno;
			file_wipe(*data, size);
			*data = NULL;
			return err;
		}
		if (got == 0)
			break; // it became shorter meanwhile
		n += (size_t)got;
	}
	(*data)[n] = '\0';
	*len = n;
	return 0;
}
