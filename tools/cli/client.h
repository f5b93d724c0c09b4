// SPDX-License-Identifier: GPL-3.0-or-later
// Asks the control plane over its socket. Used by penstockctl's commands.
#pragma once

#include <jansson.h>

#define CLIENT_SOCKET "/run/penstock/control.sock"

struct client {
	const char *path;
	int fd; // -1: not connected
};

// Sends one command with `args` (taken over, may be NULL) and waits for its answer, connecting
// first where needed. Returns the result (a new reference), or NULL after it has said on standard
// error what is wrong; errno is then the status.
json_t *client_ask(struct client *client, const char *command, json_t *args);
void client_close(struct client *client);

// One line on standard error: penstockctl: TEXT.
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
