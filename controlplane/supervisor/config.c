// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the configuration file once: what is validated is what children get. Called at start and
// on reload.
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX (16 << 20)

__attribute__((format(printf, 2, 3))) static void set_error(char **error, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	if (vasprintf(error, fmt, args) < 0)
		*error = NULL;
	va_end(args);
}

// The whole file, malloc'ed. NULL and *error.
static char *read_file(const char *path, size_t *len, char **error) {
	struct stat st;
	char *text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		set_error(error, "%s: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > CONFIG_BYTES_MAX) {
		set_error(error, "%s: not a regular file of at most 16 MiB", path);
		goto out;
	}
	text = malloc(st.st_size + 1);
	size_t used = 0;
	while (text != NULL && used < (size_t)st.st_size) {
		ssize_t n = read(fd, text + used, st.st_size - used);
		if (n <= 0)
			break;
		used += n;
	}
	if (text == NULL || used < (size_t)st.st_size) {
		set_error(error, "%s: cannot be read", path);
		free(text);
		text = NULL;
		goto out;
	}
	text[used] = '\0';
	*len = used;
out:
	if (fd >= 0)
		close(fd);
	return text;
}

static int seal(const char *text, size_t len) {
	int fd = memfd_create("penstock-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
			0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

int sup_config_load(const char *path, struct config *config, char **error) {
	size_t len = 0;
	*error = NULL;
	char *text = read_file(path, &len, error);
	if (text == NULL)
		goto fail;
	config->cfg = cfg_load_mem(text, len, path, error);
	config->memfd = config->cfg != NULL ? seal(text, len) : -1;
	free(text);
	if (config->cfg == NULL)
		goto fail;
	if (config->memfd < 0) {
		cfg_free(config->cfg);
		config->cfg = NULL;
		set_error(error, "%s: no memory file for it", path);
		goto fail;
	}
	return 0;
fail:
	if (*error == NULL)
		*error = strdup("out of memory");
	return -EINVAL;
}

void sup_config_free(struct config *config) {
	cfg_free(config->cfg);
	config->cfg = NULL;
	if (config->memfd >= 0)
		close(config->memfd);
	config->memfd = -1;
}
