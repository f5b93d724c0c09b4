// SPDX-License-Identifier: GPL-3.0-or-later
// Asks the control plane over its socket: one JSON object a line each way. Called by main.c, show.c.

#include "tools/cli/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (1ull << 30)
#define ANSWER_TIMEOUT_S 60

void say_error(const char *fmt, ...) {
	va_list args;
	fflush(stdout);
	fputs("penstockctl: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

static int client_connect(struct client *client) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	if (client->fd >= 0)
		return 0;
	if (strlen(client->path) >= sizeof(addr.sun_path)) {
		say_error("%s: the path is too long for a socket", client->path);
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, client->path);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd >= 0 && connect(client->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
		setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
		return 0;
	}
	int status = errno;
	const char *hint = "";
	if (status == ENOENT || status == ECONNREFUSED)
		hint = " (is penstock-controlplane running?)";
	else if (status == EACCES || status == EPERM)
		hint = " (are you root?)";
	say_error(
		"cannot reach the control plane at %s: %s%s", client->path, strerror(status), hint);
	client_close(client);
	errno = status;
	return -1;
}

void client_close(struct client *client) {
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static int send_all(int fd, const char *text, size_t len) {
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

// One line without its end, malloc'ed. NULL with errno; ECONNRESET: the answer is cut off.
static char *read_line(int fd, size_t *len) {
	size_t room = 65536;
	char *line = malloc(room);
	*len = 0;
	while (line != NULL) {
		ssize_t n = recv(fd, line + *len, room - *len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? (errno == EAGAIN ? ETIMEDOUT : errno) : ECONNRESET;
			break;
		}
		char *end = memchr(line + *len, '\n', (size_t)n);
		*len += (size_t)n;
		if (end != NULL) {
			*len = (size_t)(end - line);
			return line;
		}
		if (*len < room)
			continue;
		char *more = room < ANSWER_MAX ? realloc(line, room * 2) : NULL;
		if (more == NULL) {
			errno = EMSGSIZE;
			break;
		}
		line = more;
		room *= 2;
	}
	free(line);
	return NULL;
}

static int send_request(struct client *client, const char *command, json_t *args) {
	json_t *request = json_pack(
		"{s:s, s:o}", "command", command, "args", args != NULL ? args : json_object());
	char *text = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
	int status = -1;
	json_decref(request);
	if (text == NULL) {
		say_error("the request cannot be made: a name is not valid UTF-8");
		errno = EINVAL;
		return -1;
	}
	if (client_connect(client) == 0) {
		status = send_all(client->fd, text, strlen(text));
		if (status == 0)
			status = send_all(client->fd, "\n", 1);
		// A server that is full says so and closes: read its line all the same.
		if (status < 0 && (errno == EPIPE || errno == ECONNRESET))
			status = 0;
		if (status < 0)
			say_error("cannot send to the control plane: %s", strerror(errno));
	}
	free(text);
	return status;
}

json_t *client_ask(struct client *client, const char *command, json_t *args) {
	size_t len;
	if (send_request(client, command, args) < 0)
		return NULL;
	char *line = read_line(client->fd, &len);
	if (line == NULL) {
		int status = errno;
		say_error("no answer from the control plane: %s", strerror(status));
		client_close(client);
		errno = status;
		return NULL;
	}
	json_t *answer = json_loadb(line, len, 0, NULL);
	json_t *result = json_object_get(answer, "result");
	free(line);
	if (result != NULL) {
		json_incref(result);
		json_decref(answer);
		return result;
	}
	const char *error = json_string_value(json_object_get(answer, "error"));
	int status = (int)json_integer_value(json_object_get(answer, "status"));
	// Texts of several lines (a reload that is refused) come as they are.
	int end = error != NULL ? (int)strlen(error) : 0;
	while (end > 0 && error[end - 1] == '\n')
		end--;
	if (end > 0)
		say_error("%.*s", end, error);
	else
		say_error("the answer of the control plane cannot be understood");
	json_decref(answer);
	errno = status != 0 ? status : EPROTO;
	return NULL;
}
