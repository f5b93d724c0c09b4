// SPDX-License-Identifier: GPL-3.0-or-later
// What the HTTP side answers: the table of URLs, logins by XML or form, limits; called by conn.c.

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "camouflage.h"
#include "encode.h"
#include "httpauth.h"
#include "controlplane/auth/pem.h"
#include "portal.h"
#include "xmlauth.h"

#define EPOCH "Thu, 01 Jan 1970 22:00:00 GMT"
#define NO_CONTEXT "Set-Cookie: webvpncontext=; expires=" EPOCH "; path=/; Secure; HttpOnly\r\n"

const char portal_plain_http[] = "HTTP/1.1 400 Bad Request\r\n"
				 "Content-Type: text/plain\r\n"
				 "Content-Length: 58\r\n"
				 "Connection: close\r\n"
				 "\r\n"
				 "This port speaks HTTPS: use https:// instead of http://.\r\n";

struct request {
	struct portal *portal;
	const struct portal_env *env;
	const struct http_request *http;
	struct buf *out;
	struct ipc_login *login;
	struct ipc_connect *connect;
};

typedef enum portal_todo (*url_handler)(const struct request *r, const char *arg);

static const char *status_text(int status) {
	switch (status) {
	case 200:
		return "OK";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	default:
		return "Bad Request";
	}
}

static void status_line(
	struct portal *portal, const struct portal_env *env, int status, struct buf *out) {
	buf_printf(out, "HTTP/1.1 %d %s\r\nConnection: %s\r\n", status, status_text(status),
		portal->close ? "close" : "Keep-Alive");
	for (size_t i = 0; i < env->cfg->nb_http_headers; i++)
		buf_printf(out, "%s: %s\r\n", env->cfg->http_headers[i].name,
			env->cfg->http_headers[i].value);
}

// The last headers and the body; a HEAD gets the same headers and no body.
static void body_add(
	struct portal *portal, const char *type, const void *body, size_t len, struct buf *out) {
	buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\nX-Transcend-Version: 1\r\n\r\n",
		type, len);
	if (!portal->head)
		buf_add(out, body, len);
}

static enum portal_todo answer(
	const struct request *r, int status, const char *type, const char *body) {
	status_line(r->portal, r->env, status, r->out);
	body_add(r->portal, type, body, strlen(body), r->out);
	return PORTAL_ANSWERED;
}

void portal_refuse(
	struct portal *portal, const struct portal_env *env, int status, struct buf *out) {
	portal->close = true;
	status_line(portal, env, status, out);
	buf_puts(out, "Content-Length: 0\r\n\r\n");
}

void portal_unavailable(
	struct portal *portal, const struct portal_env *env, const char *reason, struct buf *out) {
	portal->close = true;
	status_line(portal, env, 503, out);
	buf_printf(out, "X-Reason: %s\r\nContent-Length: 0\r\n\r\n", reason);
}

static bool is_open(const uint8_t transaction[IPC_TRANSACTION_LEN]) {
	static const uint8_t none[IPC_TRANSACTION_LEN];

	return memcmp(transaction, none, sizeof(none)) != 0;
}

// The group of this name, or (some clients send it instead) with this label. NULL: none.
static const struct cfg_group *group_find(const struct cfg *cfg, const char *name) {
	const struct cfg_group *group = cfg_group_find(cfg, name);

	for (size_t i = 0; group == NULL && i < cfg->nb_groups; i++) {
		if (strcmp(cfg->groups[i].label, name) == 0)
			group = &cfg->groups[i];
	}
	return group;
}

static void groups_add(
	const struct portal *portal, const struct cfg *cfg, struct xmlauth_text *text) {
	if (!cfg->auth.select_group)
		return;
	text->groups = cfg->groups;
	text->nb_groups = cfg->nb_groups;
	text->group = cfg->auth.default_group;
	if (portal->url_group[0] != '\0')
		text->group = portal->url_group;
	if (group_find(cfg, portal->group) != NULL)
		text->group = portal->group;
}

// The transaction goes with the connection and, by a cookie, with a client that comes back on
// another one.
static void context_send(
	const struct portal *portal, const struct portal_env *env, struct buf *out) {
	char text[BASE64_LEN(IPC_TRANSACTION_LEN) + 1];

	if (!is_open(portal->transaction)) {
		buf_puts(out, NO_CONTEXT);
		return;
	}
	base64_encode(text, portal->transaction, IPC_TRANSACTION_LEN);
	buf_printf(out, "Set-Cookie: webvpncontext=%s; Max-Age=%u; path=/; Secure; HttpOnly\r\n",
		text, env->cfg->auth.timeout);
	explicit_bzero(text, sizeof(text));
}

static const char *banner_of(const struct portal_env *env) {
	const struct cfg_vhost *vhost = cfg_vhost_find(env->cfg, env->server_name);

	if (vhost != NULL && vhost->pre_login_banner[0] != '\0')
		return vhost->pre_login_banner;
	return env->cfg->network.pre_login_banner;
}

// The first form, or a further one.
static void form_send(struct portal *portal, const struct portal_env *env, const char *message,
	const struct ipc_login_result *further, struct buf *out) {
	char action_secret[1 + 3 * IPC_GROUP_LEN + 1 + CAMOUFLAGE_SECRET_LEN] = "/auth";
	struct xmlauth_text text = {
		.banner = banner_of(env),
		.message = message,
		.bare = portal->bare,
		.action = action_secret,
		.label = further != NULL ? further->label : NULL,
		.round = further != NULL ? further->round : 0,
		.echo = further != NULL && further->echo != 0,
	};
	struct buf body = {0};

	groups_add(portal, env->cfg, &text);
	if (portal->url_group[0] != '\0')
		percent_encode(action_secret + 1, portal->url_group);
	camouflage_add(portal, env->cfg, action_secret, sizeof(action_secret));
	xmlauth_form(&body, &text);
	status_line(portal, env, 200, out);
	context_send(portal, env, out);
	body_add(portal, "text/xml", body.data, body.len, out);
	out->failed |= body.failed;
	buf_reset(&body);
}

static struct httpauth_offers offers_of(const struct portal_env *env) {
	return httpauth_offers(env->cfg, env->server_name);
}

// Asks for an Authorization field; with a token for the next one of the login that is open.
static void challenge_send(struct portal *portal, const struct portal_env *env,
	const uint8_t *token, size_t len, struct buf *out) {
	const struct httpauth_offers offers = offers_of(env);
	enum ipc_scheme failed = is_open(portal->transaction) ? portal->scheme : IPC_SCHEME_NONE;

	status_line(portal, env, 401, out);
	context_send(portal, env, out);
	if (len > 0)
		httpauth_token(token, len, out);
	else
		httpauth_challenge(&offers, failed, out);
	buf_puts(out, "Content-Length: 0\r\n\r\n");
}

#define ASK "Please enter your username and password."

// The beginning of a login, for clients that know what they are asked for.
static void first_send(
	struct portal *portal, const struct portal_env *env, const char *message, struct buf *out) {
	if (portal->wants_challenge)
		challenge_send(portal, env, NULL, 0, out);
	else
		form_send(portal, env, message, NULL, out);
}

// For load balancers: may new clients come here?
static enum portal_todo health(const struct request *r) {
	const char *reason = r->env->unavailable;

	if (reason == NULL)
		return answer(r, 200, "text/plain", "serving\n");
	status_line(r->portal, r->env, 503, r->out);
	buf_printf(r->out, "X-Reason: %s\r\nCache-Control: no-store\r\n", reason);
	body_add(r->portal, "text/plain", reason, strlen(reason), r->out);
	return PORTAL_ANSWERED;
}

static bool is_health(const struct request *r) {
	const char *path = r->env->cfg->health_path;

	return path != NULL && path[0] != '\0' && strcmp(r->http->path, path) == 0 &&
		(r->http->method == HTTP_M_GET || r->http->method == HTTP_M_HEAD);
}

// Cookies are taken as ever: who has a session may come back to it.
static enum portal_todo login_refused(const struct request *r) {
	portal_unavailable(r->portal, r->env, r->env->unavailable, r->out);
	return PORTAL_ANSWERED;
}

static enum portal_todo logged_out(const struct request *r) {
	r->portal->close = true;
	status_line(r->portal, r->env, 200, r->out);
	buf_puts(r->out,
		"Set-Cookie: webvpn=; expires=" EPOCH "; path=/; Secure; HttpOnly\r\n" NO_CONTEXT);
	body_add(r->portal, "text/html", "<html></html>\n", 14, r->out);
	return PORTAL_ANSWERED;
}

static enum portal_todo url_logout(const struct request *r, const char *arg) {
	return logged_out(r);
}

// The transaction that the request goes on with: its cookie's, else its connection's.
static void transaction_get(const struct request *r, uint8_t transaction[IPC_TRANSACTION_LEN]) {
	const char *value;
	size_t len;

	if (!http_cookie_get(r->http, "webvpncontext", &value, &len) ||
		!base64_decode(transaction, IPC_TRANSACTION_LEN, value, len))
		memcpy(transaction, r->portal->transaction, IPC_TRANSACTION_LEN);
}

static void agent_fill(struct ipc_login *login, const struct http_request *req) {
	const char *agent = http_header_get(req, "User-Agent");
	size_t len = agent ? strnlen(agent, IPC_AGENT_LEN - 1) : 0;

	for (size_t i = 0; i < len; i++)
		login->agent[i] = agent[i] == '\t' ? ' ' : agent[i];
	login->agent[len] = '\0';
}

// True: *login is a reply to the first form, or to a further one of an open login.
static bool login_fill(const struct request *r, const struct creds *creds) {
	struct ipc_login *login = r->login;
	const struct portal *portal = r->portal;

	transaction_get(r, login->transaction);
	if (creds->has_username && creds->username[0] != '\0' && creds->has_password) {
		memcpy(login->username, creds->username, sizeof(login->username));
		memcpy(login->password, creds->password, sizeof(login->password));
		memcpy(login->group, portal->group[0] != '\0' ? portal->group : portal->url_group,
			sizeof(login->group));
	} else if (!creds->has_username && is_open(login->transaction)) {
		memcpy(login->password, creds->has_answer ? creds->answer : creds->password,
			sizeof(login->password));
	} else {
		return false;
	}
	agent_fill(login, r->http);
	return true;
}

// True: *login and the portal's token are what the Authorization field says.
static bool token_fill(const struct request *r) {
	const struct httpauth_offers offers = offers_of(r->env);
	struct ipc_login *login = r->login;
	struct portal *portal = r->portal;

	portal->wants_challenge = httpauth_wanted(&offers, r->http);
	portal->scheme = httpauth_read(&offers, r->http, &portal->token);
	if (portal->scheme == IPC_SCHEME_NONE)
		return false;
	portal->wants_challenge = true;
	transaction_get(r, login->transaction);
	memcpy(login->group, portal->group[0] != '\0' ? portal->group : portal->url_group,
		sizeof(login->group));
	agent_fill(login, r->http);
	return true;
}

static enum portal_todo url_form(const struct request *r, const char *arg) {
	if (r->env->draining)
		return login_refused(r);
	if (token_fill(r))
		return PORTAL_LOGIN;
	if (r->env->certificate_needed)
		portal_refuse(r->portal, r->env, 401, r->out);
	else
		first_send(r->portal, r->env, ASK, r->out);
	return PORTAL_ANSWERED;
}

// What the request says of groups. That of the path is there already.
static void groups_read(struct portal *portal, const struct cfg *cfg, const struct creds *creds) {
	const struct cfg_group *group = group_find(cfg, creds->group);

	if (group != NULL && strlen(group->name) < sizeof(portal->group))
		strcpy(portal->group, group->name);
	else
		memcpy(portal->group, creds->group, sizeof(portal->group));
	if (portal->url_group[0] == '\0' && cfg->auth.group_by_url &&
		cfg_group_find(cfg, creds->url_group) != NULL)
		memcpy(portal->url_group, creds->url_group, sizeof(portal->url_group));
}

static int creds_read(struct creds *creds, const struct http_request *req) {
	const char *type = http_header_get(req, "Content-Type");
	size_t space = strspn(req->body, " \t\r\n");

	// Clients do not always name the type: an XML document starts with '<', a form never does.
	if (req->body[space] == '<')
		return xmlauth_parse(creds, req->body + space, req->body_len - space);
	if (type != NULL && strstr(type, "xml") != NULL && req->body_len != 0)
		return -1;
	return form_parse(creds, req->body, req->body_len);
}

// Asks for a certificate once: who says that it has none cannot be let in.
static void certificate_ask(const struct request *r, const struct creds *creds) {
	const struct xmlauth_text text = {.bare = r->portal->bare};
	struct buf body = {0};

	if (creds->no_certificate) {
		portal_refuse(r->portal, r->env, 401, r->out);
		return;
	}
	xmlauth_certificate_request(&body, &text);
	status_line(r->portal, r->env, 200, r->out);
	body_add(r->portal, "text/xml", body.data, body.len, r->out);
	r->out->failed |= body.failed;
	buf_reset(&body);
}

static enum portal_todo init_login(const struct request *r) {
	memcpy(r->login->group,
		r->portal->group[0] != '\0' ? r->portal->group : r->portal->url_group,
		sizeof(r->login->group));
	agent_fill(r->login, r->http);
	return PORTAL_LOGIN;
}

static enum portal_todo url_login(const struct request *r, const char *arg) {
	enum portal_todo todo = PORTAL_ANSWERED;
	struct creds creds;

	if (creds_read(&creds, r->http) != 0) {
		portal_refuse(r->portal, r->env, 400, r->out);
		return PORTAL_ANSWERED;
	}
	groups_read(r->portal, r->env->cfg, &creds);
	if (creds.kind == CREDS_LOGOUT)
		logged_out(r);
	else if (r->env->draining)
		login_refused(r);
	else if (token_fill(r) || (creds.kind == CREDS_REPLY && login_fill(r, &creds)))
		todo = PORTAL_LOGIN;
	else if (creds.kind == CREDS_INIT && r->env->certificate_shown)
		todo = init_login(r); // perhaps no form is needed
	else if (creds.kind == CREDS_INIT && r->env->certificate_needed)
		certificate_ask(r, &creds);
	else
		first_send(r->portal, r->env, ASK, r->out);
	creds_wipe(&creds);
	return todo;
}

static enum portal_todo url_text(const struct request *r, const char *arg) {
	return answer(r, 200, arg[0] == '<' ? "text/xml" : "text/plain", arg);
}

static enum portal_todo url_html(const struct request *r, const char *arg) {
	return answer(r, 200, "text/html", arg);
}

static enum portal_todo not_found(const struct request *r) {
	return answer(r, 404, "text/html", "<html><body><h1>404 Not Found</h1></body></html>\r\n");
}

// `arg`: which certificate ('l'eaf or 'c'a) and form ('p'em or 'd'er).
static enum portal_todo url_certificate(const struct request *r, const char *arg) {
	const char *pem = r->env->chain_pem;
	size_t len, der_len;
	uint8_t *der;

	pem = arg[0] == 'l' ? pem_first(pem, &len) : pem_last(pem, &len);
	if (pem == NULL)
		return not_found(r);
	if (arg[1] == 'p') {
		status_line(r->portal, r->env, 200, r->out);
		body_add(r->portal, "application/x-pem-file", pem, len, r->out);
		return PORTAL_ANSWERED;
	}
	der = pem_to_der(pem, len, &der_len);
	if (der == NULL)
		return not_found(r);
	status_line(r->portal, r->env, 200, r->out);
	body_add(r->portal, "application/pkix-cert", der, der_len, r->out);
	free(der);
	return PORTAL_ANSWERED;
}

#define MANIFEST "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<vpn rev=\"1.0\">\n</vpn>\n"
#define EMPTY_HTML "<html></html>\n"

// A path that ends in '/' stands for all below it. `post` NULL: GET and HEAD only.
static const struct url {
	const char *path;
	url_handler get, post;
	const char *arg;
} urls[] = {
	{"/", url_form, url_login, ""},
	{"/auth", url_form, url_login, ""},
	{"/VPN", url_form, url_login, ""},
	{"/svc", url_form, url_login, ""},
	{"/logout", url_logout, url_logout, ""},
	{"/cert.pem", url_certificate, NULL, "lp"},
	{"/cert.cer", url_certificate, NULL, "ld"},
	{"/ca.pem", url_certificate, NULL, "cp"},
	{"/ca.cer", url_certificate, NULL, "cd"},
	{"/VPNManifest.xml", url_text, NULL, MANIFEST},
	{"/1/VPNManifest.xml", url_text, NULL, MANIFEST},
	{"/1/index.html", url_html, NULL, EMPTY_HTML},
	{"/1/Linux", url_html, NULL, EMPTY_HTML},
	{"/1/Linux_64", url_html, NULL, EMPTY_HTML},
	{"/1/Windows", url_html, NULL, EMPTY_HTML},
	{"/1/Windows_ARM64", url_html, NULL, EMPTY_HTML},
	{"/1/Darwin_i386", url_html, NULL, EMPTY_HTML},
	{"/1/binaries/vpndownloader.sh", url_text, NULL, "#!/bin/sh\n\nexit 0\n"},
	{"/1/binaries/update.txt", url_text, NULL, "0,0,0000\n"},
	{"/+CSCOT+/", url_text, NULL, MANIFEST},
};

static const struct url *url_find(const char *path) {
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		size_t len = strlen(urls[i].path);
		bool below = len > 1 && urls[i].path[len - 1] == '/';

		if (below ? strncmp(urls[i].path, path, len) == 0 : strcmp(urls[i].path, path) == 0)
			return &urls[i];
	}
	return NULL;
}

// The path of a group stands for "/".
static const struct url *url_group_find(
	struct portal *portal, const struct cfg *cfg, const char *path) {
	size_t len = strlen(path);

	if (!cfg->auth.group_by_url || path[0] != '/')
		return NULL;
	if (len > 1 && path[len - 1] == '/')
		len--;
	if (!percent_decode(
		    portal->url_group, sizeof(portal->url_group), path + 1, len - 1, false) ||
		cfg_group_find(cfg, portal->url_group) == NULL) {
		portal->url_group[0] = '\0';
		return NULL;
	}
	return &urls[0];
}

static enum portal_todo method_refuse(const struct request *r, const char *allow) {
	status_line(r->portal, r->env, 405, r->out);
	buf_printf(r->out, "Allow: %s\r\nContent-Length: 0\r\n\r\n", allow);
	return PORTAL_ANSWERED;
}

// Some clients leave the first slash out.
static bool is_tunnel(const struct http_request *req) {
	return strcmp(req->path + (req->path[0] == '/'), "CSCOSSLC/tunnel") == 0;
}

static enum portal_todo tunnel_request(const struct request *r) {
	int status;

	// After a CONNECT nothing on the connection is HTTP any more.
	r->portal->close = true;
	if (!is_tunnel(r->http))
		return not_found(r);
	status = cstp_connect_parse(r->connect, &r->portal->offer, r->http, r->env->cfg);
	if (status == 0)
		return PORTAL_CONNECT;
	cstp_refuse(r->out, (unsigned)status, NULL);
	return PORTAL_ANSWERED;
}

// Without the secret. Every CONNECT is asked for, so that none takes longer than another: one without
// a cookie by one that nobody has.
static enum portal_todo hidden_request(const struct request *r) {
	struct portal *portal = r->portal;

	if (camouflage_answer(portal, r->env->cfg, r->http, r->out))
		return PORTAL_ANSWERED;
	if (cstp_connect_parse(r->connect, &portal->offer, r->http, r->env->cfg) == 0 &&
		is_tunnel(r->http))
		return PORTAL_CONNECT;
	return getrandom(r->connect->cookie, IPC_COOKIE_LEN, 0) == (ssize_t)IPC_COOKIE_LEN
		? PORTAL_CONNECT
		: not_found(r);
}

// "Open AnyConnect VPN Agent v3.x" and older know no config-auth element.
static bool agent_bare(const char *agent) {
	static const char prefix[] = "Open AnyConnect VPN Agent v";
	unsigned long version;

	if (agent == NULL || strncmp(agent, prefix, sizeof(prefix) - 1) != 0)
		return false;
	version = strtoul(agent + sizeof(prefix) - 1, NULL, 10);
	return version >= 1 && version <= 3;
}

enum portal_todo portal_request(struct portal *portal, const struct portal_env *env,
	const struct http_request *req, struct buf *out, struct ipc_login *login,
	struct ipc_connect *connect) {
	const struct request r = {portal, env, req, out, login, connect};
	const struct url *url;

	// A load balancer knows no secret; each of its checks is a connection of its own.
	if (is_health(&r)) {
		portal->head = req->method == HTTP_M_HEAD;
		portal->close = true;
		return health(&r);
	}
	if (camouflage_on(portal, env->cfg))
		camouflage_look(portal, env->cfg, req);
	if (camouflage_on(portal, env->cfg))
		return hidden_request(&r);
	portal->bare = agent_bare(http_header_get(req, "User-Agent"));
	portal->head = req->method == HTTP_M_HEAD;
	portal->http10 = req->http10;
	portal->wants_challenge = false;
	portal->scheme = IPC_SCHEME_NONE;
	buf_reset(&portal->token);
	portal->requests++;
	portal->close = !req->keep_alive ||
		portal->requests >= env->cfg->auth.requests_per_connection;
	if (req->method == HTTP_M_CONNECT)
		return tunnel_request(&r);
	url = url_find(req->path);
	portal->url_group[0] = '\0';
	if (url == NULL)
		url = url_group_find(portal, env->cfg, req->path);
	if (url == NULL)
		return not_found(&r);
	if (req->method == HTTP_M_GET || req->method == HTTP_M_HEAD)
		return url->get(&r, url->arg);
	if (req->method == HTTP_M_POST && url->post != NULL)
		return url->post(&r, url->arg);
	return method_refuse(&r, url->post != NULL ? "GET, HEAD, POST" : "GET, HEAD");
}

static void success_send(struct portal *portal, const struct portal_env *env,
	const struct ipc_login_result *result, struct buf *out) {
	const struct xmlauth_text text = {
		.banner = env->cfg->network.banner,
		.message = "SSL VPN Service",
		.bare = portal->bare,
	};
	char cookie_secret[BASE64_LEN(IPC_COOKIE_LEN) + 1];
	struct buf body = {0};
	char sha1[41];

	base64_encode(cookie_secret, result->cookie, IPC_COOKIE_LEN);
	hex_encode(sha1, env->cert_sha1, 20, true);
	xmlauth_success(&body, &text);
	status_line(portal, env, 200, out);
	httpauth_token(result->token, result->token_len, out);
	buf_printf(out,
		"Set-Cookie: webvpncontext=%s; Secure; HttpOnly\r\n"
		"Set-Cookie: webvpn=%s; Secure; HttpOnly\r\n"
		"Set-Cookie: webvpnc=; expires=" EPOCH "; path=/; Secure; HttpOnly\r\n"
		"Set-Cookie: webvpnc=bu:/&p:t&iu:1/&sh:%s; path=/; Secure; HttpOnly\r\n",
		cookie_secret, cookie_secret, sha1);
	explicit_bzero(cookie_secret, sizeof(cookie_secret));
	body_add(portal, "text/xml", body.data, body.len, out);
	out->failed |= body.failed;
	buf_reset(&body);
}

void portal_login_result(struct portal *portal, const struct portal_env *env,
	const struct ipc_login_result *result, struct buf *out) {
	explicit_bzero(portal->transaction, sizeof(portal->transaction));
	switch (result->status) {
	case IPC_LOGIN_OK:
		success_send(portal, env, result, out);
		break;
	case IPC_LOGIN_FORM:
		memcpy(portal->transaction, result->transaction, sizeof(portal->transaction));
		if (result->form == IPC_FORM_FIRST)
			first_send(portal, env, result->message, out);
		else if (result->form == IPC_FORM_TOKEN)
			challenge_send(portal, env, result->token, result->token_len, out);
		else
			form_send(portal, env, result->message, result, out);
		break;
	case IPC_LOGIN_DENIED:
		portal_refuse(portal, env, 401, out);
		break;
	default:
		portal_unavailable(portal, env, result->reason, out);
		break;
	}
}
