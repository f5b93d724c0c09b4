// SPDX-License-Identifier: GPL-3.0-or-later
// HTTPS requests by libevent (evdns, evhttp) with OpenSSL; called by jwks.c and ocsp.c.
//
// Names are looked up first and their addresses tried in turn, so that one that does not answer costs
// its part of the time and no more. evhttp goes on with its connection after it has told us of the
// end, so the connection is freed a turn of the event loop later.

#include "fetch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/util.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tls_client.h"

#define ADDRESSES_MAX 4u
#define HEADERS_MAX 16384u
#define TEXT_LEN 256u

struct fetch {
	struct event_base *base;
	struct evdns_base *dns;
	SSL_CTX *ctx; // NULL: nobody is trusted yet
	struct event *timer; // of the whole
	struct event *next; // the first step, or the next address, or the end: in its own turn
	struct event *patience; // of one address
	// The request at hand; `done` NULL: none.
	fetch_done done;
	void *arg;
	unsigned timeout_ms;
	struct evhttp_uri *uri;
	bool tls;
	struct fetch_post post; // type NULL: a GET; the body is ours
	char *host; // without brackets
	struct evdns_getaddrinfo_request *lookup;
	unsigned nb_addresses, tried;
	char addresses[ADDRESSES_MAX][INET6_ADDRSTRLEN];
	struct evhttp_connection *conn;
	bool ended; // nothing more comes: `error`, or the document
	char error[TEXT_LEN];
	char *body;
	size_t len;
	char cache_control[TEXT_LEN];
};

static struct timeval ms_of(unsigned ms) {
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

// --- the end of a request ---

static void conn_close(struct fetch *fetch) {
	if (fetch->conn != NULL)
		evhttp_connection_free(fetch->conn);
	fetch->conn = NULL;
	event_del(fetch->patience);
}

static void request_reset(struct fetch *fetch) {
	if (fetch->lookup != NULL)
		evdns_getaddrinfo_cancel(fetch->lookup);
	fetch->lookup = NULL;
	conn_close(fetch);
	if (fetch->uri != NULL)
		evhttp_uri_free(fetch->uri);
	fetch->uri = NULL;
	free((void *)(uintptr_t)fetch->post.body);
	fetch->post = (struct fetch_post){0};
	free(fetch->host);
	fetch->host = NULL;
	free(fetch->body);
	fetch->body = NULL;
	fetch->len = 0;
	fetch->nb_addresses = fetch->tried = 0;
	fetch->ended = false;
	fetch->cache_control[0] = fetch->error[0] = '\0';
	fetch->done = NULL;
	event_del(fetch->timer);
	event_del(fetch->next);
}

// The callback may begin the next one.
static void finish(struct fetch *fetch) {
	char *body = fetch->body, error[TEXT_LEN], cache_control[TEXT_LEN];
	struct fetch_result result = {.len = fetch->len, .cache_control = cache_control};
	fetch_done done = fetch->done;
	void *arg = fetch->arg;

	strcpy(error, fetch->error);
	strcpy(cache_control, fetch->cache_control);
	result.error = error[0] != '\0' ? error : NULL;
	result.body = body != NULL ? body : "";
	fetch->body = NULL;
	request_reset(fetch);
	done(&result, arg);
	free(body);
}

static void error_set(struct fetch *fetch, const char *text) {
	snprintf(fetch->error, sizeof(fetch->error), "%s", text);
}

static void step_next(struct fetch *fetch) {
	const struct timeval now = {0};

	event_add(fetch->next, &now);
}

static void fail(struct fetch *fetch, const char *text) {
	error_set(fetch, text);
	fetch->ended = true;
	step_next(fetch);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg) {
	struct fetch *fetch = arg;

	error_set(fetch,
		fetch->lookup != NULL ? "the name server does not answer in time"
				      : "the server does not answer in time");
	finish(fetch);
}

// --- one address ---

static void on_patience(evutil_socket_t fd, short what, void *arg) {
	struct fetch *fetch = arg;

	error_set(fetch, "the server does not answer in time");
	conn_close(fetch);
	step_next(fetch);
}

// What TLS said of a connection that came to nothing.
static const char *tls_error(struct bufferevent *bev) {
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	unsigned long code = bufferevent_get_openssl_error(bev);
	long verified = SSL_get_verify_result(ssl);
	const char *text;

	if (verified != X509_V_OK)
		return X509_verify_cert_error_string(verified);
	text = code != 0 ? ERR_reason_error_string(code) : NULL;
	return text != NULL ? text : "no connection";
}

static void document_take(struct fetch *fetch, struct evhttp_request *req) {
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	const char *cache_control = evhttp_find_header(
		evhttp_request_get_input_headers(req), "Cache-Control");
	size_t len = evbuffer_get_length(in);

	if (cache_control != NULL)
		snprintf(fetch->cache_control, sizeof(fetch->cache_control), "%s", cache_control);
	fetch->body = len <= FETCH_MAX ? malloc(len + 1) : NULL;
	if (fetch->body == NULL) {
		fail(fetch, "the document is too long");
		return;
	}
	evbuffer_remove(in, fetch->body, len);
	fetch->body[len] = '\0';
	fetch->len = len;
	fetch->error[0] = '\0';
	fetch->ended = true;
	step_next(fetch);
}

static void on_answer(struct evhttp_request *req, void *arg) {
	struct fetch *fetch = arg;
	int status = req != NULL ? evhttp_request_get_response_code(req) : 0;
	char text[TEXT_LEN];

	event_del(fetch->patience);
	if (status == HTTP_OK) {
		document_take(fetch, req);
	} else if (status != 0) {
		snprintf(text, sizeof(text), "the server answers with status %d", status);
		fail(fetch, text);
	} else {
		if (fetch->error[0] == '\0')
			error_set(fetch,
				fetch->tls
					? tls_error(evhttp_connection_get_bufferevent(fetch->conn))
					: "no connection");
		step_next(fetch); // another address, if there is one
	}
}

static void on_error(enum evhttp_request_error error, void *arg) {
	struct fetch *fetch = arg;

	if (error == EVREQ_HTTP_DATA_TOO_LONG)
		fail(fetch, "the document is too long");
	else if (error == EVREQ_HTTP_INVALID_HEADER)
		fail(fetch, "the answer is no HTTP");
}

static struct bufferevent *tls_open(struct fetch *fetch) {
	SSL *ssl = tls_client_open(fetch->ctx, fetch->host);
	struct bufferevent *bev = ssl == NULL
		? NULL
		: bufferevent_openssl_socket_new(fetch->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
			  BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);

	if (bev == NULL) {
		SSL_free(ssl);
		return NULL;
	}
	// Many servers close without a word; lengths tell whether the document is whole.
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

static int default_port(const struct fetch *fetch) {
	return fetch->tls ? 443 : 80;
}

static int conn_open(struct fetch *fetch, const char *address) {
	int port = evhttp_uri_get_port(fetch->uri);
	struct bufferevent *bev = fetch->tls
		? tls_open(fetch)
		: bufferevent_socket_new(
			  fetch->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);

	if (bev == NULL)
		return -ENOMEM;
	fetch->conn = evhttp_connection_base_bufferevent_new(
		fetch->base, NULL, bev, address, (uint16_t)(port > 0 ? port : default_port(fetch)));
	if (fetch->conn == NULL) {
		bufferevent_free(bev);
		return -ENOMEM;
	}
	evhttp_connection_set_max_body_size(fetch->conn, FETCH_MAX);
	evhttp_connection_set_max_headers_size(fetch->conn, HEADERS_MAX);
	evhttp_connection_set_retries(fetch->conn, 0);
	return 0;
}

static void headers_add(struct fetch *fetch, struct evhttp_request *req) {
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	const char *host = evhttp_uri_get_host(fetch->uri);
	int port = evhttp_uri_get_port(fetch->uri);
	char text[TEXT_LEN + 8];

	if (port > 0 && port != default_port(fetch))
		snprintf(text, sizeof(text), "%s:%d", host, port);
	else
		snprintf(text, sizeof(text), "%s", host);
	evhttp_add_header(headers, "Host", text);
	if (fetch->post.type != NULL)
		evhttp_add_header(headers, "Content-Type", fetch->post.type);
	else
		evhttp_add_header(headers, "Accept", "application/json");
	evhttp_add_header(headers, "Connection", "close");
}

static int request_send(struct fetch *fetch) {
	const char *path = evhttp_uri_get_path(fetch->uri);
	const char *query = evhttp_uri_get_query(fetch->uri);
	struct evhttp_request *req = evhttp_request_new(on_answer, fetch);
	char *target;
	int err;

	if (req == NULL)
		return -ENOMEM;
	if (asprintf(&target, "%s%s%s%s", path[0] == '/' ? "" : "/", path, query != NULL ? "?" : "",
		    query != NULL ? query : "") < 0) {
		evhttp_request_free(req);
		return -ENOMEM;
	}
	evhttp_request_set_error_cb(req, on_error);
	headers_add(fetch, req);
	if (fetch->post.type != NULL)
		evbuffer_add(
			evhttp_request_get_output_buffer(req), fetch->post.body, fetch->post.len);
	err = evhttp_make_request(fetch->conn, req,
		fetch->post.type != NULL ? EVHTTP_REQ_POST : EVHTTP_REQ_GET, target);
	free(target);
	return err != 0 ? -EIO : 0; // the request is the connection's, even then
}

static void address_try(struct fetch *fetch) {
	const struct timeval wait = ms_of(fetch->timeout_ms / fetch->nb_addresses);

	conn_close(fetch);
	if (fetch->tried == fetch->nb_addresses) {
		finish(fetch);
		return;
	}
	fetch->error[0] = '\0';
	if (conn_open(fetch, fetch->addresses[fetch->tried++]) != 0 || request_send(fetch) != 0)
		fail(fetch, "no connection");
	else if (!fetch->ended)
		event_add(fetch->patience, &wait);
}

// --- names ---

static void addresses_take(struct fetch *fetch, const struct evutil_addrinfo *list) {
	for (; list != NULL && fetch->nb_addresses < ADDRESSES_MAX; list = list->ai_next) {
		const struct sockaddr *sa = list->ai_addr;
		const void *bytes = sa->sa_family == AF_INET6
			? (const void *)&((const struct sockaddr_in6 *)sa)->sin6_addr
			: (const void *)&((const struct sockaddr_in *)sa)->sin_addr;

		if ((sa->sa_family == AF_INET6 || sa->sa_family == AF_INET) &&
			inet_ntop(sa->sa_family, bytes, fetch->addresses[fetch->nb_addresses],
				INET6_ADDRSTRLEN) != NULL)
			fetch->nb_addresses++;
	}
}

static void on_addresses(int err, struct evutil_addrinfo *list, void *arg) {
	struct fetch *fetch = arg;

	if (err == EVUTIL_EAI_CANCEL)
		return;
	fetch->lookup = NULL;
	addresses_take(fetch, list);
	if (err != 0)
		fail(fetch, evutil_gai_strerror(err));
	else if (fetch->nb_addresses == 0)
		fail(fetch, "the name has no address");
	else
		step_next(fetch);
	if (list != NULL)
		evutil_freeaddrinfo(list);
}

static void lookup_begin(struct fetch *fetch) {
	static const struct evutil_addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
	struct evdns_getaddrinfo_request *lookup = evdns_getaddrinfo(
		fetch->dns, fetch->host, NULL, &hints, on_addresses, fetch);

	// NULL: it has called back already.
	if (lookup != NULL)
		fetch->lookup = lookup;
}

// --- requests ---

static void on_next(evutil_socket_t fd, short what, void *arg) {
	struct fetch *fetch = arg;

	if (fetch->ended)
		finish(fetch);
	else if (fetch->nb_addresses == 0)
		lookup_begin(fetch);
	else
		address_try(fetch);
}

static int url_read(struct fetch *fetch, const char *url, bool plain) {
	const char *scheme, *host;
	size_t len;

	fetch->uri = evhttp_uri_parse(url);
	if (fetch->uri == NULL)
		return -EINVAL;
	scheme = evhttp_uri_get_scheme(fetch->uri);
	host = evhttp_uri_get_host(fetch->uri);
	len = host != NULL ? strlen(host) : 0;
	fetch->tls = scheme != NULL && strcasecmp(scheme, "https") == 0;
	if (scheme == NULL || len == 0 || len >= TEXT_LEN ||
		(!fetch->tls && (!plain || strcasecmp(scheme, "http") != 0)) ||
		evhttp_uri_get_userinfo(fetch->uri) != NULL)
		return -EINVAL;
	fetch->host = host[0] == '[' ? strndup(host + 1, len - 2) : strdup(host);
	return fetch->host != NULL ? 0 : -ENOMEM;
}

static int post_copy(struct fetch *fetch, const struct fetch_post *post) {
	void *body;

	if (post == NULL)
		return 0;
	body = malloc(post->len + 1);
	if (body == NULL)
		return -ENOMEM;
	memcpy(body, post->body, post->len);
	fetch->post = (struct fetch_post){.type = post->type, .body = body, .len = post->len};
	return 0;
}

static int begin(struct fetch *fetch, const char *url, const struct fetch_post *post,
	unsigned timeout_ms, fetch_done done, void *arg) {
	const struct timeval wait = ms_of(timeout_ms);
	int err;

	if (fetch->done != NULL)
		return -EBUSY;
	err = url_read(fetch, url, post != NULL);
	if (err == 0)
		err = post_copy(fetch, post);
	if (err != 0) {
		request_reset(fetch);
		return err;
	}
	fetch->done = done;
	fetch->arg = arg;
	fetch->timeout_ms = timeout_ms;
	event_add(fetch->timer, &wait);
	if (fetch->tls && fetch->ctx == NULL)
		fail(fetch, "no certificate authority is configured");
	else
		step_next(fetch);
	return 0;
}

int fetch_get(
	struct fetch *fetch, const char *url, unsigned timeout_ms, fetch_done done, void *arg) {
	return begin(fetch, url, NULL, timeout_ms, done, arg);
}

int fetch_post(struct fetch *fetch, const char *url, const struct fetch_post *post,
	unsigned timeout_ms, fetch_done done, void *arg) {
	return begin(fetch, url, post, timeout_ms, done, arg);
}

void fetch_cancel(struct fetch *fetch) {
	if (fetch->done != NULL)
		request_reset(fetch);
}

// --- life ---

// Connections keep the context that they were made with.
int fetch_authorities_set(struct fetch *fetch, const char *pem, size_t len) {
	size_t nb;
	SSL_CTX *ctx = tls_client_new(pem, len, &nb);

	if (ctx == NULL)
		return nb == 0 ? -EINVAL : -ENOMEM;
	SSL_CTX_free(fetch->ctx);
	fetch->ctx = ctx;
	return 0;
}

static bool parts_make(struct fetch *fetch) {
	fetch->dns = evdns_base_new(fetch->base, 0);
	fetch->timer = event_new(fetch->base, -1, 0, on_timeout, fetch);
	fetch->next = event_new(fetch->base, -1, 0, on_next, fetch);
	fetch->patience = event_new(fetch->base, -1, 0, on_patience, fetch);
	if (fetch->dns == NULL || fetch->timer == NULL || fetch->next == NULL ||
		fetch->patience == NULL)
		return false;
	// Without the file the resolver asks 127.0.0.1. Its pauses are made for longer waits.
	evdns_base_resolv_conf_parse(fetch->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	evdns_base_set_option(fetch->dns, "timeout:", "1");
	evdns_base_set_option(fetch->dns, "attempts:", "2");
	return true;
}

struct fetch *fetch_new(struct event_base *base) {
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (fetch == NULL)
		return NULL;
	fetch->base = base;
	if (OPENSSL_init_ssl(0, NULL) != 1 || !parts_make(fetch)) {
		fetch_free(fetch);
		return NULL;
	}
	return fetch;
}

void fetch_free(struct fetch *fetch) {
	struct event *const events[] = {fetch->timer, fetch->next, fetch->patience};

	fetch_cancel(fetch);
	if (fetch->dns != NULL)
		evdns_base_free(fetch->dns, 0);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i] != NULL)
			event_free(events[i]);
	}
	SSL_CTX_free(fetch->ctx);
	free(fetch);
}
