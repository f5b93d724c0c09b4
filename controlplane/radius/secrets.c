// SPDX-License-Identifier: GPL-3.0-or-later
// Gets the shared secrets from the supervisor, one file after another. Called by radius.c.
#include "radius.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"

struct secrets {
	struct radius *radius; // NULL: replaced by another; freed when its file comes
	const struct cfg *cfg;
	secrets_done done;
	size_t next; // of the configured servers
	size_t nb; // that can be asked
	int status;
	char bad[IPC_NAME_LEN]; // the last server whose secret cannot be had
	struct exchange_server servers[EXCHANGE_SERVERS_MAX];
};

static void discard(struct secrets *secrets) {
	explicit_bzero(secrets, sizeof(*secrets));
	free(secrets);
}

// The first line, which must not be empty, and hold no NUL (the library's secrets are strings).
static int take_line(int fd, char *line, size_t size) {
	ssize_t len = pread(fd, line, size, 0);
	if (len < 0)
		return -errno;
	char *end = memchr(line, '\n', (size_t)len);
	size_t n = end != NULL ? (size_t)(end - line) : (size_t)len;
	if (n > 0 && n <= (size_t)len && line[n - 1] == '\r')
		n--;
	if (n == 0 || n >= size || memchr(line, 0, n) != NULL)
		return -EINVAL;
	explicit_bzero(line + n, size - n);
	return 0;
}

static int take_server(struct secrets *secrets, const struct cfg_radius_server *conf, int fd) {
	struct exchange_server *server = &secrets->servers[secrets->nb];
	int status = fd < 0 ? fd
			    : take_line(fd, server->shared_secret, sizeof(server->shared_secret));
	if (status < 0) {
		explicit_bzero(server, sizeof(*server));
		return status;
	}
	strncpy(server->name, conf->name, sizeof(server->name) - 1);
	server->addr = radius_addr(&conf->addr);
	server->port[EXCHANGE_AUTH] = conf->auth_port;
	server->port[EXCHANGE_ACCT] = conf->acct_port;
	secrets->nb++;
	return 0;
}

static void ask_next(struct secrets *secrets);

static void on_file(struct child *child, int fd, void *arg) {
	struct secrets *secrets = arg;
	if (secrets->radius == NULL) {
		if (fd >= 0)
			close(fd);
		discard(secrets);
		return;
	}
	const struct cfg_radius_server *conf = &secrets->cfg->radius.servers[secrets->next++];
	int status = take_server(secrets, conf, fd);
	if (fd >= 0)
		close(fd);
	if (status < 0) {
		log_error("radius_secret", "server=%s file=%s text=%s", log_value(conf->name),
			log_value(conf->secret_file),
			log_value(status == -EINVAL ? "its first line must be the secret, of 1 to "
						      "255 characters"
						    : strerror(-status)));
		secrets->status = status;
		strncpy(secrets->bad, conf->name, sizeof(secrets->bad) - 1);
	}
	ask_next(secrets);
}

static void ask_next(struct secrets *secrets) {
	struct radius *radius = secrets->radius;
	int status = secrets->next < secrets->cfg->radius.nb_servers
		? child_file_open(radius->child, IPC_FILE_RADIUS_SECRET, (unsigned)secrets->next,
			  on_file, secrets)
		: 1;
	if (status == 0)
		return;
	if (status < 0)
		secrets->status = status;
	radius->secrets = NULL;
	secrets->done(radius, secrets->status, secrets->servers, secrets->nb, secrets->bad);
	discard(secrets);
}

int secrets_read(struct radius *radius, const struct cfg *cfg, secrets_done done) {
	if (cfg->radius.nb_servers > EXCHANGE_SERVERS_MAX)
		return -E2BIG;
	struct secrets *secrets = calloc(1, sizeof(*secrets));
	if (secrets == NULL)
		return -ENOMEM;
	secrets_free(radius);
	secrets->radius = radius;
	secrets->cfg = cfg;
	secrets->done = done;
	radius->secrets = secrets;
	ask_next(secrets);
	return 0;
}

void secrets_free(struct radius *radius) {
	if (radius->secrets != NULL)
		radius->secrets->radius = NULL;
	radius->secrets = NULL;
}
