// SPDX-License-Identifier: GPL-3.0-or-later
// Reads one HTTP/1.x request from bytes as they come, by http-parser; called by conn.c.

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http.h"

struct http_reader {
	http_parser parser;
	struct http_request req;
	char target[HTTP_TARGET_MAX + 1];
	size_t target_len;
	// Header fields one after another as NAME NUL VALUE NUL.
	char head[HTTP_HEAD_MAX];
	size_t head_len;
	struct {
		char *data; // a NUL, then the value; NULL: none
		size_t len, size;
	} token; // of the Authorization field
	char body[HTTP_BODY_MAX + 1];
	size_t body_len;
	bool long_authorization; // outlives the request
	bool in_token; // the value at hand goes to `token`
	bool in_value; // the last header callback was for a value
	bool in_name;
	bool started, done;
	int refused; // HTTP status, or 0
};

static int refuse(struct http_reader *reader, int status) {
	if (reader->refused == 0)
		reader->refused = status;
	return -1;
}

static int on_target(http_parser *parser, const char *at, size_t len) {
	struct http_reader *reader = parser->data;

	if (len > HTTP_TARGET_MAX - reader->target_len)
		return refuse(reader, 414);
	memcpy(reader->target + reader->target_len, at, len);
	reader->target_len += len;
	return 0;
}

// Room for `len` bytes and the NUL of the name and of the value.
static int head_add(struct http_reader *reader, const char *at, size_t len) {
	if (len + 2 > HTTP_HEAD_MAX - reader->head_len)
		return refuse(reader, 431);
	memcpy(reader->head + reader->head_len, at, len);
	reader->head_len += len;
	return 0;
}

static void token_free(struct http_reader *reader) {
	if (reader->token.data == NULL)
		return;
	explicit_bzero(reader->token.data, reader->token.size);
	free(reader->token.data);
	reader->token.data = NULL;
}

// Room for `len` bytes more and a NUL. realloc() would leave a copy behind.
static bool token_grow(struct http_reader *reader, size_t len) {
	size_t need = reader->token.len + len + 1, size = reader->token.size;
	char *data;

	if (need <= size)
		return true;
	size = need < 2 * size ? 2 * size : need + 1024;
	data = malloc(size);
	if (data == NULL)
		return false;
	memcpy(data, reader->token.data != NULL ? reader->token.data : "", reader->token.len);
	token_free(reader);
	reader->token.data = data;
	reader->token.size = size;
	return true;
}

static int token_add(struct http_reader *reader, const char *at, size_t len) {
	if (len > HTTP_AUTHORIZATION_MAX - reader->token.len || !token_grow(reader, len))
		return refuse(reader, 431);
	memcpy(reader->token.data + reader->token.len, at, len);
	reader->token.len += len;
	return 0;
}

// Optional white space after the value is no part of it (RFC 9110, 5.5). `end`: a NUL stands before
// the value.
static char *value_close(char *end) {
	while (end[-1] == ' ' || end[-1] == '\t')
		end--;
	*end = '\0';
	return end;
}

static void value_end(struct http_reader *reader) {
	if (!reader->in_value)
		return;
	if (reader->in_token) {
		value_close(reader->token.data + reader->token.len);
		reader->req.headers[reader->req.nb_headers].value = reader->token.data + 1;
	} else {
		char *end = value_close(reader->head + reader->head_len);

		reader->head_len = (size_t)(end - reader->head) + 1;
	}
	reader->in_value = false;
	reader->in_token = false;
	reader->req.nb_headers++;
}

// The name of the field at hand is whole: where does its value go?
static int value_begin(struct http_reader *reader) {
	struct http_header *header = &reader->req.headers[reader->req.nb_headers];

	if (head_add(reader, "", 1) != 0)
		return -1;
	reader->in_name = false;
	reader->in_value = true;
	header->value = reader->head + reader->head_len;
	if (!reader->long_authorization || reader->token.data != NULL ||
		strcasecmp(header->name, "Authorization") != 0)
		return 0;
	reader->in_token = true;
	return token_add(reader, "", 1);
}

static int on_name(http_parser *parser, const char *at, size_t len) {
	struct http_reader *reader = parser->data;

	value_end(reader);
	if (!reader->in_name) {
		if (reader->req.nb_headers == HTTP_HEADERS_MAX)
			return refuse(reader, 431);
		reader->in_name = true;
		reader->req.headers[reader->req.nb_headers].name = reader->head + reader->head_len;
	}
	return head_add(reader, at, len);
}

static int on_value(http_parser *parser, const char *at, size_t len) {
	struct http_reader *reader = parser->data;

	if (!reader->in_value && value_begin(reader) != 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (((unsigned char)at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7f)
			return refuse(reader, 400);
	}
	return reader->in_token ? token_add(reader, at, len) : head_add(reader, at, len);
}

static enum http_verb method_of(const http_parser *parser) {
	switch (parser->method) {
	case HTTP_GET:
		return HTTP_M_GET;
	case HTTP_HEAD:
		return HTTP_M_HEAD;
	case HTTP_POST:
		return HTTP_M_POST;
	case HTTP_CONNECT:
		return HTTP_M_CONNECT;
	case HTTP_TRACE:
		return HTTP_M_TRACE;
	default:
		return HTTP_M_OTHER;
	}
}

// http://host/path and /path?query are both the path (RFC 9112, 3.2.2).
static void path_set(struct http_reader *reader) {
	char *path = reader->target;
	size_t len;

	reader->target[reader->target_len] = '\0';
	if (strncasecmp(path, "https://", 8) == 0 || strncasecmp(path, "http://", 7) == 0) {
		path = strchr(path, ':') + 3;
		path += strcspn(path, "/?#");
	}
	path[strcspn(path, "#")] = '\0';
	len = strcspn(path, "?");
	memcpy(reader->req.path, path, len);
	reader->req.path[len] = '\0';
	reader->req.query = path[len] == '?' ? path + len + 1 : "";
	if (len == 0)
		strcpy(reader->req.path, "/");
}

static int on_headers(http_parser *parser) {
	struct http_reader *reader = parser->data;

	value_end(reader);
	if (parser->http_major != 1)
		return refuse(reader, 400);
	if (parser->content_length != UINT64_MAX && parser->content_length > HTTP_BODY_MAX)
		return refuse(reader, 413);
	path_set(reader);
	reader->req.method = method_of(parser);
	reader->req.keep_alive = http_should_keep_alive(parser) != 0;
	reader->req.http10 = parser->http_minor == 0;
	// No body is read after CONNECT, whatever its headers say; Upgrade is not offered.
	if (reader->req.method == HTTP_M_CONNECT)
		return 2;
	parser->upgrade = 0;
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len) {
	struct http_reader *reader = parser->data;

	if (len > HTTP_BODY_MAX - reader->body_len)
		return refuse(reader, 413);
	memcpy(reader->body + reader->body_len, at, len);
	reader->body_len += len;
	return 0;
}

// The parser stops here: what follows is the next request's (or the tunnel's).
static int on_message(http_parser *parser) {
	struct http_reader *reader = parser->data;

	reader->body[reader->body_len] = '\0';
	reader->req.body = reader->body;
	reader->req.body_len = reader->body_len;
	reader->done = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_message,
};

struct http_reader *http_reader_new(void) {
	struct http_reader *reader = calloc(1, sizeof(*reader));

	if (reader != NULL)
		http_reader_next(reader);
	return reader;
}

void http_reader_free(struct http_reader *reader) {
	if (reader == NULL)
		return;
	token_free(reader);
	explicit_bzero(reader, sizeof(*reader));
	free(reader);
}

void http_reader_long_authorization(struct http_reader *reader, bool allowed) {
	reader->long_authorization = allowed;
}

void http_reader_next(struct http_reader *reader) {
	bool allowed = reader->long_authorization;

	token_free(reader);
	explicit_bzero(reader, sizeof(*reader));
	reader->long_authorization = allowed;
	http_parser_init(&reader->parser, HTTP_REQUEST);
	reader->parser.data = reader;
}

int http_reader_feed(struct http_reader *reader, const void *data, size_t len, size_t *used) {
	enum http_errno err;

	*used = 0;
	if (reader->refused != 0 || reader->done || len == 0)
		return reader->refused;
	reader->started = true;
	*used = http_parser_execute(&reader->parser, &settings, data, len);
	err = HTTP_PARSER_ERRNO(&reader->parser);
	if (reader->refused != 0)
		return reader->refused;
	if (reader->done)
		return 1;
	if (err == HPE_OK && *used == len)
		return 0;
	reader->refused = err == HPE_HEADER_OVERFLOW ? 431 : 400;
	return reader->refused;
}

const struct http_request *http_reader_request(const struct http_reader *reader) {
	return &reader->req;
}

bool http_reader_started(const struct http_reader *reader) {
	return reader->started && !reader->done;
}

const char *http_header_get(const struct http_request *req, const char *name) {
	for (size_t i = 0; i < req->nb_headers; i++) {
		if (strcasecmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	}
	return NULL;
}

static bool cookie_find(const char *text, const char *name, const char **value, size_t *len) {
	size_t name_len = strlen(name);

	while (*text != '\0') {
		size_t n;

		text += strspn(text, "; \t");
		n = strcspn(text, ";");
		if (n > name_len && text[name_len] == '=' && memcmp(text, name, name_len) == 0) {
			*value = text + name_len + 1;
			*len = n - name_len - 1;
			while (*len > 0 &&
				((*value)[*len - 1] == ' ' || (*value)[*len - 1] == '\t'))
				(*len)--;
			return true;
		}
		text += n;
	}
	return false;
}

bool http_cookie_get(
	const struct http_request *req, const char *name, const char **value, size_t *len) {
	for (size_t i = 0; i < req->nb_headers; i++) {
		if (strcasecmp(req->headers[i].name, "Cookie") == 0 &&
			cookie_find(req->headers[i].value, name, value, len))
			return true;
	}
	return false;
}
