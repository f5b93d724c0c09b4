// SPDX-License-Identifier: GPL-3.0-or-later
// Answers as an ordinary web server to who does not know the secret; called by portal.c, conn_*.c.

#include "camouflage.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define REQUESTS_MAX 1000u // on one connection, nginx's keepalive_requests

// Status line, and what the page says where that differs.
struct page {
	int status;
	const char *line;
	const char *title; // NULL: as the line
	const char *detail; // second line of the page
};

static const struct page pages[] = {
	{400, "400 Bad Request", NULL, NULL},
	{401, "401 Unauthorized", "401 Authorization Required", NULL},
	{404, "404 Not Found", NULL, NULL},
	{405, "405 Not Allowed", NULL, NULL},
	{413, "413 Request Entity Too Large", NULL, NULL},
	{414, "414 Request-URI Too Large", NULL, NULL},
	{431, "400 Bad Request", NULL, "Request Header Or Cookie Too Large"},
	{497, "400 Bad Request", NULL, "The plain HTTP request was sent to HTTPS port"},
	{503, "503 Service Temporarily Unavailable", NULL, NULL},
};

static const struct page *page_find(int status) {
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (pages[i].status == status)
			return &pages[i];
	}
	return &pages[0];
}

static void page_body(const struct page *page, struct buf *body) {
	const char *title = page->title != NULL ? page->title : page->line;

	buf_puts(body, "<html>\r\n<head><title>");
	if (page->detail != NULL)
		buf_printf(body, "400 %s", page->detail);
	else
		buf_puts(body, title);
	buf_printf(body, "</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n", title);
	if (page->detail != NULL)
		buf_printf(body, "<center>%s</center>\r\n", page->detail);
	buf_puts(body, "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n");
}

static void page_send(
	const struct page *page, const char *realm, bool close, bool head, struct buf *out) {
	struct buf body = {0};
	time_t now = time(NULL);
	char date[64];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	page_body(page, &body);
	buf_printf(out,
		"HTTP/1.1 %s\r\nServer: nginx\r\nDate: %s\r\nContent-Type: text/html\r\n"
		"Content-Length: %zu\r\nConnection: %s\r\n",
		page->line, date, body.len, close ? "close" : "keep-alive");
	if (realm != NULL)
		buf_printf(out, "WWW-Authenticate: Basic realm=\"%s\"\r\n", realm);
	buf_puts(out, "\r\n");
	if (!head)
		buf_add(out, body.data, body.len);
	out->failed |= body.failed;
	buf_reset(&body);
}

bool camouflage_on(const struct portal *portal, const struct cfg *cfg) {
	return cfg->auth.camouflage.secret[0] != '\0' && !portal->known;
}

// Each byte of the secret is looked at, whatever was given.
static bool secret_is(const char *secret, const char *given) {
	size_t len = strlen(secret), given_len = strlen(given);
	volatile uint8_t differ = len != given_len;

	for (size_t i = 0; i < len; i++)
		differ |= (uint8_t)(secret[i] ^ given[given_len > 0 ? i % given_len : 0]);
	return differ == 0;
}

void camouflage_look(struct portal *portal, const struct cfg *cfg, const struct http_request *req) {
	if (secret_is(cfg->auth.camouflage.secret, req->query))
		portal->known = true;
}

void camouflage_add(
	const struct portal *portal, const struct cfg *cfg, char *path_secret, size_t size) {
	size_t len = strlen(path_secret);

	if (portal->known && cfg->auth.camouflage.secret[0] != '\0')
		snprintf(path_secret + len, size - len, "?%s", cfg->auth.camouflage.secret);
}

static unsigned hosts(const struct http_request *req) {
	unsigned n = 0;

	for (size_t i = 0; i < req->nb_headers; i++)
		n += strcasecmp(req->headers[i].name, "Host") == 0;
	return n;
}

static void nothing_here(struct portal *portal, const struct cfg *cfg, bool head, struct buf *out) {
	const char *realm = cfg->auth.camouflage.realm;

	if (realm[0] != '\0')
		page_send(page_find(401), realm, portal->close, head, out);
	else
		page_send(page_find(404), NULL, portal->close, head, out);
}

// What nginx finds wrong before it looks for a page: 0 or a status.
static int wrong(const struct http_request *req) {
	unsigned nb_hosts = hosts(req);

	if (nb_hosts > 1 || (nb_hosts == 0 && !req->http10))
		return 400;
	return req->method == HTTP_M_TRACE ? 405 : 0;
}

bool camouflage_answer(struct portal *portal, const struct cfg *cfg, const struct http_request *req,
	struct buf *out) {
	int status = wrong(req);

	portal->head = req->method == HTTP_M_HEAD;
	portal->close = !req->keep_alive || ++portal->hidden_requests >= REQUESTS_MAX;
	if (req->method == HTTP_M_CONNECT) {
		portal->close = true;
		return false;
	}
	if (status != 0)
		camouflage_refuse(portal, cfg, status, out);
	else
		nothing_here(portal, cfg, portal->head, out);
	return true;
}

int camouflage_connect_status(const struct http_request *req) {
	return req->path[0] == '/' && wrong(req) == 0 ? 405 : 400;
}

void camouflage_refuse(struct portal *portal, const struct cfg *cfg, int status, struct buf *out) {
	portal->close = true;
	// It would take a body of this size, and then have nothing to show.
	if (status == 413)
		nothing_here(portal, cfg, false, out);
	else
		page_send(page_find(status), NULL, true, portal->head, out);
}

void camouflage_no_tls(bool http, struct buf *out) {
	page_send(page_find(http ? 497 : 400), NULL, true, false, out);
}
