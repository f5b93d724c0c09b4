// SPDX-License-Identifier: GPL-3.0-or-later
// Reads one HTTP/1.x request from bytes as they come, within fixed bounds. No I/O.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_TARGET_MAX 1024u // request target, bytes
#define HTTP_HEAD_MAX 8192u // names and values of all header fields
#define HTTP_HEADERS_MAX 64u
#define HTTP_AUTHORIZATION_MAX 32800u // of the Authorization field, where a long one is allowed
#define HTTP_BODY_MAX 16384u

enum http_verb {
	HTTP_M_GET,
	HTTP_M_HEAD,
	HTTP_M_POST,
	HTTP_M_CONNECT,
	HTTP_M_TRACE,
	HTTP_M_OTHER,
};

struct http_header {
	const char *name, *value; // NUL-terminated, no control characters in the value
};

// A whole request. Everything belongs to the reader and is gone with the next http_reader_next().
struct http_request {
	enum http_verb method;
	char path[HTTP_TARGET_MAX + 1]; // without the query
	const char *query; // what follows '?', without '#' and on; empty: none
	bool keep_alive;
	bool http10;
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t nb_headers;
	const char *body; // NUL-terminated
	size_t body_len;
};

struct http_reader;

// NULL: no memory.
struct http_reader *http_reader_new(void);
// Wipes: requests hold passwords.
void http_reader_free(struct http_reader *reader);
// From the next request on: may the value of an Authorization field be longer than the head (and
// not count for it)? Its memory grows with what comes. False at the start.
void http_reader_long_authorization(struct http_reader *reader, bool allowed);

// Feeds bytes. Returns 0: more are needed (all were taken); 1: the request is whole, *used says
// how many of the bytes were its; or the HTTP status of the refusal: 400, 413, 414, 431. After 1
// or a status nothing can be fed until http_reader_next().
int http_reader_feed(struct http_reader *reader, const void *data, size_t len, size_t *used);
const struct http_request *http_reader_request(const struct http_reader *reader);
// True when the first byte of a request has come and the last has not.
bool http_reader_started(const struct http_reader *reader);
// Forgets (and wipes) the request; the reader is ready for the next one.
void http_reader_next(struct http_reader *reader);

// The only value of a header (names compared without case), NULL when absent. Given twice: the
// first.
const char *http_header_get(const struct http_request *req, const char *name);
// Looks a cookie up in all Cookie fields. False: absent. *value is not NUL-terminated.
bool http_cookie_get(
	const struct http_request *req, const char *name, const char **value, size_t *len);
