// SPDX-License-Identifier: GPL-3.0-or-later
// Gets a small document by HTTPS, or sends one and gets another, without ever waiting: names, TLS and
// HTTP by libevent and OpenSSL on the process's event loop.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct fetch;

#define FETCH_MAX (256u << 10) // bytes of a document; a longer one is refused

// What came of it; valid during the call.
struct fetch_result {
	const char *error; // NULL: the server answered 200
	const char *body;
	size_t len;
	const char *cache_control; // empty: none
};

typedef void (*fetch_done)(const struct fetch_result *result, void *arg);

// Before the process loses its files: reads /etc/resolv.conf, /etc/hosts and OpenSSL's
// configuration. NULL: no memory.
struct fetch *fetch_new(struct event_base *base);
void fetch_free(struct fetch *fetch);
// The certificates (PEM) of those who may vouch for servers; replaces the ones before. 0, -ENOMEM, or
// -EINVAL: there is none among them.
int fetch_authorities_set(struct fetch *fetch, const char *pem, size_t len);
// One at a time. `done` is called once, later, at the latest after `timeout_ms`; not after
// fetch_cancel(). No redirection is followed, no proxy asked. -EINVAL: no https URL; -EBUSY.
int fetch_get(
	struct fetch *fetch, const char *url, unsigned timeout_ms, fetch_done done, void *arg);
// The same with a document to send (copied); `url` may be one of http: then what comes back is
// anybody's.
struct fetch_post {
	const char *type; // Content-Type; a literal
	const void *body;
	size_t len;
};
int fetch_post(struct fetch *fetch, const char *url, const struct fetch_post *post,
	unsigned timeout_ms, fetch_done done, void *arg);
void fetch_cancel(struct fetch *fetch);
