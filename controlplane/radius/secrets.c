// SPDX-License-Identifier: GPL-3.0-or-later
// Gets the shared secrets from the supervisor, one file after another. Called by radius.c.
#include "radius.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"

struct secrets {
	struct radius *radius; // NULL: replaced by another; freed when its file comes
	const struct cfg *cfg;
	secrets_done done;
	size_t next; // of the configured servers, then of the clients
	int status;
	struct secrets_result result;
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

// 0 or -errno; then `line` is wiped.
static int take_secret(int fd, char *line, size_t size) {
	int status = fd < 0 ? fd : take_line(fd, line, size);
	if (status < 0)
		explicit_bzero(line, size);
	return status;
}

static int take_server(struct secrets *secrets, const struct cfg_radius_server *conf, int fd) {
	struct secrets_result *result = &secrets->result;
	struct exchange_server *server = &result->servers[result->nb_servers];
	int status = take_secret(fd, server->shared_secret, sizeof(server->shared_secret));
	if (status < 0)
		return status;
	strncpy(server->name, conf->name, sizeof(server->name) - 1);
	server->addr = radius_addr(&conf->addr);
	server->port[EXCHANGE_AUTH] = conf->auth_port;
	server->port[EXCHANGE_ACCT] = conf->acct_port;
	result->nb_servers++;
	return 0;
}

static int take_client(struct secrets *secrets, const struct cfg_dynauth_client *conf, int fd) {
	struct secrets_result *result = &secrets->result;
	struct dynauth_client *client = &result->clients[result->nb_clients];
	int status = take_secret(fd, client->shared_secret, sizeof(client->shared_secret));
	if (status < 0)
		return status;
	client->addr = radius_addr(&conf->addr);
	result->nb_clients++;
	return 0;
}

static void ask_next(struct secrets *secrets);

static void missing(struct secrets *secrets, const char *file, int status) {
	log_error("radius_secret", "of=%s file=%s text=%s", log_value(secrets->result.bad),
		log_value(file),
		log_value(status == -EINVAL ? "its first line must be the secret, of 1 to "
					      "255 characters"
					    : strerror(-status)));
	secrets->status = status;
}

static void take_file(struct secrets *secrets, size_t i, int fd) {
	const struct cfg_radius *radius = &secrets->cfg->radius;
	char name[ADDR_TEXT_LEN];
	char *bad = secrets->result.bad;
	size_t size = sizeof(secrets->result.bad);
	int status;
	if (i < radius->nb_servers) {
		status = take_server(secrets, &radius->servers[i], fd);
		if (status == 0)
			return;
		snprintf(bad, size, "server %s", radius->servers[i].name);
		missing(secrets, radius->servers[i].secret_file, status);
		return;
	}
	const struct cfg_dynauth_client *conf = &radius->dynauth.clients[i - radius->nb_servers];
	const struct abi_addr addr = radius_addr(&conf->addr);
	status = take_client(secrets, conf, fd);
	if (status == 0)
		return;
	snprintf(bad, size, "client %s", addr_text(&addr, name));
	missing(secrets, conf->secret_file, status);
}

static void on_file(struct child *child, int fd, void *arg) {
	struct secrets *secrets = arg;
	if (secrets->radius != NULL)
		take_file(secrets, secrets->next++, fd);
	if (fd >= 0)
		close(fd);
	if (secrets->radius != NULL)
		ask_next(secrets);
	else
		discard(secrets);
}

// 1: there is no more.
static int open_next(struct secrets *secrets) {
	const struct cfg_radius *radius = &secrets->cfg->radius;
	size_t i = secrets->next;
	bool is_server = i < radius->nb_servers;
	if (i >= radius->nb_servers + radius->dynauth.nb_clients)
		return 1;
	return child_file_open(secrets->radius->child,
		is_server ? IPC_FILE_RADIUS_SECRET : IPC_FILE_DYNAUTH_SECRET,
		(unsigned)(is_server ? i : i - radius->nb_servers), on_file, secrets);
}

static void ask_next(struct secrets *secrets) {
	struct radius *radius = secrets->radius;
	int status = open_next(secrets);
	if (status == 0)
		return;
	if (status < 0)
		secrets->status = status;
	radius->secrets = NULL;
	secrets->done(radius, secrets->status, &secrets->result);
	discard(secrets);
}

int secrets_read(struct radius *radius, const struct cfg *cfg, secrets_done done) {
	if (cfg->radius.nb_servers > EXCHANGE_SERVERS_MAX ||
		cfg->radius.dynauth.nb_clients > DYNAUTH_CLIENTS_MAX)
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
