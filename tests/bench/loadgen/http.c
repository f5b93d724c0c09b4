// SPDX-License-Identifier: GPL-3.0-or-later
// The HTTP part of a login: XML forms as stock openconnect fills them in, then CONNECT. Called by
// client.c when the TLS connection stands, and whenever its socket is ready.
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#define AGENT "Open AnyConnect VPN Agent v9.01"
#define REQUESTS_MAX 8u // before we take the server for one that never has enough

#define X(s) ((const xmlChar *)(s))

static void user_name(const struct lg_client *client, char *name, size_t size) {
	const char *mark = strstr(lg_opt.user, "{}");

	if (mark == NULL)
		snprintf(name, size, "%s", lg_opt.user);
	else
		snprintf(name, size, "%.*s%u%s", (int)(mark - lg_opt.user), lg_opt.user, client->no,
			mark + 2);
}

static void request_set(struct lg_client *client, char *text, int len) {
	if (len < 0)
		lg_die("no memory");
	free(client->request);
	client->request = text;
	client->request_len = (size_t)len;
	client->request_sent = 0;
	client->answered = false;
	client->body_len = 0;
	client->field[0] = '\0';
	client->field_done = false;
	client->step++;
}

static void post(struct lg_client *client, const char *path, const char *body, int body_len) {
	char cookie[320] = "", *text;
	int len;

	if (client->context[0] != '\0')
		snprintf(cookie, sizeof(cookie), "Cookie: webvpncontext=%s\r\n", client->context);
	len = asprintf(&text,
		"POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: " AGENT "\r\n%s"
		"Accept: */*\r\nAccept-Encoding: identity\r\nX-Transcend-Version: 1\r\n"
		"X-Aggregate-Auth: 1\r\nX-Support-HTTP-Auth: true\r\n"
		"Content-Type: application/xml; charset=utf-8\r\nContent-Length: %d\r\n\r\n%.*s",
		path, lg_opt.host, cookie, body_len, body_len, body);
	request_set(client, text, len);
}

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XML_WHO "<version who=\"vpn\">v9.01</version><device-id>linux-64</device-id>"

static void post_init(struct lg_client *client) {
	char body[512];
	int len = snprintf(body, sizeof(body),
		XML_HEAD
		"<config-auth client=\"vpn\" type=\"init\" aggregate-auth-version=\"2\">" XML_WHO
		"<group-access>https://%s/</group-access></config-auth>",
		lg_opt.host);

	post(client, "/", body, len);
}

static void send_connect(struct lg_client *client) {
	char *text;
	int len = asprintf(&text,
		"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: %s\r\nUser-Agent: " AGENT "\r\n"
		"Cookie: webvpn=%s\r\nX-CSTP-Version: 1\r\nX-CSTP-Hostname: loadgen\r\n"
		"X-CSTP-Base-MTU: 1500\r\nX-CSTP-MTU: 1434\r\nX-CSTP-Address-Type: IPv6,IPv4\r\n"
		"X-CSTP-Full-IPv6-Capability: true\r\n%s\r\n",
		lg_opt.host, client->cookie,
		lg_opt.dtls ? "X-DTLS-CipherSuite: PSK-NEGOTIATE\r\n" : "");

	client->connecting = true;
	request_set(client, text, len);
}

// Fields of the answer

static void cookie_take(struct lg_client *client, const char *value, size_t len) {
	const char *end = memchr(value, ';', len);

	if (end != NULL)
		len = (size_t)(end - value);
	if (len > 7 && memcmp(value, "webvpn=", 7) == 0) {
		free(client->cookie);
		client->cookie = strndup(value + 7, len - 7);
	} else if (len > 14 && memcmp(value, "webvpncontext=", 14) == 0 &&
		len - 14 < sizeof(client->context)) {
		memcpy(client->context, value + 14, len - 14);
		client->context[len - 14] = '\0';
	}
}

static int hex_digit(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void app_id_take(struct lg_client *client, const char *value, size_t len) {
	if (len != 2 * sizeof(client->app_id))
		return;
	for (unsigned i = 0; i < sizeof(client->app_id); i++) {
		int high = hex_digit(value[2 * i]), low = hex_digit(value[2 * i + 1]);

		if (high < 0 || low < 0)
			return;
		client->app_id[i] = (uint8_t)(high << 4 | low);
	}
	client->has_app_id = true;
}

static void field_take(struct lg_client *client, const char *value, size_t len) {
	const char *name = client->field;
	char text[64];

	snprintf(text, sizeof(text), "%.*s", (int)len, value);
	if (strcasecmp(name, "Set-Cookie") == 0)
		cookie_take(client, value, len);
	else if (!client->connecting)
		return;
	else if (strcmp(name, "X-CSTP-Address") == 0 && strchr(text, ':') == NULL)
		inet_pton(AF_INET, text, &client->inner);
	else if (strcmp(name, "X-CSTP-MTU") == 0)
		client->mtu = (unsigned)atoi(text);
	else if (strcmp(name, "X-DTLS-Port") == 0)
		client->dtls_port = (uint16_t)atoi(text);
	else if (strcmp(name, "X-DTLS-App-ID") == 0)
		app_id_take(client, value, len);
}

// The parser calls for names and values in pieces; our buffer holds whole answers' heads as a rule,
// and a field that comes in two pieces is put together here.
static int on_field(http_parser *parser, const char *at, size_t len) {
	struct lg_client *client = parser->data;
	size_t have = client->field_done ? 0 : strlen(client->field);

	client->field_done = false;
	if (have + len >= sizeof(client->field))
		len = sizeof(client->field) - 1 - have;
	memcpy(client->field + have, at, len);
	client->field[have + len] = '\0';
	return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len) {
	struct lg_client *client = parser->data;

	if (!client->field_done)
		field_take(client, at, len);
	client->field_done = true;
	return 0;
}

static int on_headers(http_parser *parser) {
	struct lg_client *client = parser->data;

	// 2: no body and no further answer: the tunnel begins.
	return client->connecting && parser->status_code == 200 ? 2 : 0;
}

static int on_body(http_parser *parser, const char *at, size_t len) {
	struct lg_client *client = parser->data;

	if (client->body == NULL)
		client->body = malloc(LG_HTTP_MAX);
	if (client->body == NULL || client->body_len + len > LG_HTTP_MAX)
		return -1;
	memcpy(client->body + client->body_len, at, len);
	client->body_len += len;
	return 0;
}

static int on_complete(http_parser *parser) {
	struct lg_client *client = parser->data;

	client->answered = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

// Forms

static void input_fill(struct lg_client *client, xmlNode *input, xmlNode *auth) {
	xmlChar *name = xmlGetProp(input, X("name")), *type = xmlGetProp(input, X("type"));
	char user[256];

	user_name(client, user, sizeof(user));
	if (name == NULL || type == NULL)
		;
	else if (xmlStrEqual(type, X("password")))
		xmlNewTextChild(auth, NULL, name, X(lg_opt.password));
	else if (xmlStrEqual(type, X("text")))
		xmlNewTextChild(auth, NULL, name, X(user));
	xmlFree(name);
	xmlFree(type);
}

static void form_fill(struct lg_client *client, xmlNode *form) {
	xmlDoc *doc = xmlNewDoc(X("1.0"));
	xmlNode *root = xmlNewNode(NULL, X("config-auth")), *auth, *version;
	xmlChar *action = xmlGetProp(form, X("action")), *text;
	int len;

	xmlDocSetRootElement(doc, root);
	xmlNewProp(root, X("client"), X("vpn"));
	xmlNewProp(root, X("type"), X("auth-reply"));
	xmlNewProp(root, X("aggregate-auth-version"), X("2"));
	version = xmlNewTextChild(root, NULL, X("version"), X("v9.01"));
	xmlNewProp(version, X("who"), X("vpn"));
	xmlNewTextChild(root, NULL, X("device-id"), X("linux-64"));
	auth = xmlNewChild(root, NULL, X("auth"), NULL);
	for (xmlNode *node = form->children; node != NULL; node = node->next)
		if (xmlStrEqual(node->name, X("input")))
			input_fill(client, node, auth);
	xmlDocDumpMemoryEnc(doc, &text, &len, "UTF-8");
	post(client, action != NULL ? (const char *)action : "/auth", (const char *)text, len);
	xmlFree(text);
	xmlFree(action);
	xmlFreeDoc(doc);
}

static xmlNode *child(xmlNode *parent, const char *name) {
	xmlNode *node = parent != NULL ? parent->children : NULL;

	while (node != NULL && !xmlStrEqual(node->name, X(name)))
		node = node->next;
	return node;
}

// What to ask next after an answer with a page: the form, or CONNECT.
static int page_answer(struct lg_client *client) {
	int flags = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING, ret = -EACCES;
	xmlDoc *doc = xmlReadMemory(client->body, (int)client->body_len, NULL, NULL, flags);
	xmlNode *root = doc != NULL ? xmlDocGetRootElement(doc) : NULL, *auth, *form;
	xmlChar *id;

	auth = xmlStrEqual(root != NULL ? root->name : NULL, X("auth")) ? root
									: child(root, "auth");
	id = auth != NULL ? xmlGetProp(auth, X("id")) : NULL;
	form = child(auth, "form");
	if (xmlStrEqual(id, X("success")) && client->cookie != NULL) {
		client->password_logins++;
		send_connect(client);
		ret = 0;
	} else if (form != NULL && client->step < REQUESTS_MAX) {
		form_fill(client, form);
		ret = 0;
	}
	xmlFree(id);
	xmlFreeDoc(doc);
	return ret;
}

// 0: the tunnel is open; -EAGAIN: another request was made.
static int answer(struct lg_client *client) {
	unsigned status = client->parser.status_code;
	bool keep = http_should_keep_alive(&client->parser) != 0;

	if (client->connecting) {
		if (status == 200)
			return client->inner.s_addr != 0 ? 0 : -EPROTO;
		if (status == 401) { // the cookie is dead
			free(client->cookie);
			client->cookie = NULL;
			return -EKEYREJECTED;
		}
		lg_log("client %u: CONNECT: status %u", client->no, status);
		return -EBUSY;
	}
	if (status != 200 || !keep) {
		lg_log("client %u: status %u", client->no, status);
		return status == 401 ? -EACCES : -EBUSY;
	}
	http_parser_init(&client->parser, HTTP_RESPONSE);
	return page_answer(client) == 0 ? -EAGAIN : -EACCES;
}

void lg_http_begin(struct lg_client *client) {
	client->step = 0;
	client->connecting = client->has_app_id = false;
	client->inner.s_addr = 0;
	client->mtu = 0;
	http_parser_init(&client->parser, HTTP_RESPONSE);
	client->parser.data = client;
	if (client->cookie != NULL)
		send_connect(client);
	else
		post_init(client);
}

static int request_push(struct lg_client *client) {
	while (client->request_sent < client->request_len) {
		ssize_t n = gnutls_record_send(client->tls, client->request + client->request_sent,
			client->request_len - client->request_sent);

		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			return -EAGAIN;
		if (n < 0)
			return -ECONNRESET;
		client->request_sent += (size_t)n;
	}
	return 0;
}

// One record at a time, so that nothing behind the answer to CONNECT is taken out of the socket.
static int answer_pull(struct lg_client *client) {
	char text[16384];

	while (!client->answered) {
		ssize_t n = gnutls_record_recv(client->tls, text, sizeof(text));

		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			return -EAGAIN;
		if (n <= 0)
			return -ECONNRESET;
		http_parser_execute(&client->parser, &settings, text, (size_t)n);
		if (client->parser.http_errno != HPE_OK && client->parser.http_errno != HPE_PAUSED)
			return -EPROTO;
	}
	return 0;
}

int lg_http_run(struct lg_client *client) {
	int ret;

	do {
		ret = request_push(client);
		if (ret == 0)
			ret = answer_pull(client);
		if (ret != 0)
			return ret;
		ret = answer(client);
	} while (ret == -EAGAIN);
	return ret;
}

void lg_http_end(struct lg_client *client) {
	free(client->request);
	free(client->body);
	client->request = client->body = NULL;
	client->request_len = client->request_sent = client->body_len = 0;
}
