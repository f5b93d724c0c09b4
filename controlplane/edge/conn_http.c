// SPDX-License-Identifier: GPL-3.0-or-later
// The HTTP side of a connection: requests, answers, and the hand-over to the dataplane; called by
// conn.c once the handshake is done.

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "camouflage.h"
#include "conn_int.h"
#include "httpauth.h"
#include "controlplane/proc/log.h"

#define READ_MAX 16384

// NULL: new clients are served.
static const char *unavailable(struct child *child) {
	if (edge_of(child)->draining)
		return "This gateway is in maintenance: new clients are not taken";
	if (!edge_dtls_attached(child))
		return "The dataplane is not there";
	if (child_peer(child, IPC_AUTH, 0) == NULL || child_peer(child, IPC_SESSION, 0) == NULL)
		return "The gateway is starting";
	return NULL;
}

static struct portal_env env_of(const struct conn *conn) {
	const struct cfg *cfg = child_cfg(conn->owner->child);

	return (struct portal_env){
		.certificate_shown = conn->chain.len > 0,
		.certificate_needed = conn->chain.len == 0 &&
			cfg_vhost_has_factor(cfg, conn->server_name, CFG_FACTOR_CERTIFICATE, true),
		.draining = edge_of(conn->owner->child)->draining,
		.unavailable = unavailable(conn->owner->child),
		.cfg = cfg,
		.cert_sha1 = conn->cert->sha1,
		.chain_pem = conn->cert->chain,
		.server_name = conn->server_name,
	};
}

static bool hidden(const struct conn *conn) {
	return camouflage_on(&conn->portal, child_cfg(conn->owner->child));
}

static int connect_status(const struct conn *conn) {
	return camouflage_connect_status(http_reader_request(conn->reader));
}

// Sends what is in `out`.
static void answer(struct conn *conn) {
	conn_answered(conn);
	if (conn->out.failed) {
		conn_close(conn, "no memory");
		return;
	}
	conn->out_sent = 0;
	conn_step_within(conn, child_cfg(conn->owner->child)->auth.header_timeout);
	conn_write(conn);
}

static void refuse(struct conn *conn, int status) {
	const struct portal_env env = env_of(conn);

	log_debug("refused", "remote=%s status=%d", conn->remote_text, status);
	if (hidden(conn)) {
		conn->portal.head = false; // that was another request
		camouflage_refuse(&conn->portal, child_cfg(conn->owner->child), status, &conn->out);
	} else {
		portal_refuse(&conn->portal, &env, status, &conn->out);
	}
	answer(conn);
}

// --- questions ---

// With the certificates that the client has shown.
static int login_cert_send(struct conn *conn, const struct ipc_login *login) {
	struct ipc_login_cert *msg = calloc(1, sizeof(*msg));
	int err;

	if (msg == NULL)
		return -ENOMEM;
	msg->login = *login;
	msg->chain_len = (uint32_t)conn->chain.len;
	memcpy(msg->chain, conn->chain.data, conn->chain.len);
	err = conn_ask(conn, IPC_LOGIN_CERT, &msg->login.hdr, sizeof(*msg));
	explicit_bzero(msg, sizeof(*msg));
	free(msg);
	return err;
}

static int login_send(struct conn *conn, const struct ipc_login *login) {
	struct portal *portal = &conn->portal;
	struct ipc_login_token *msg;
	int err;

	if (portal->scheme == IPC_SCHEME_NONE && conn->chain.len > 0)
		return login_cert_send(conn, login);
	if (portal->scheme == IPC_SCHEME_NONE)
		return conn_ask(conn, IPC_LOGIN, &login->hdr, sizeof(*login));
	msg = calloc(1, sizeof(*msg));
	if (msg == NULL)
		return -ENOMEM;
	msg->login = *login;
	msg->scheme = portal->scheme;
	msg->token_len = (uint32_t)portal->token.len;
	memcpy(msg->token, portal->token.data, portal->token.len);
	buf_reset(&portal->token);
	err = conn_ask(conn, IPC_LOGIN_TOKEN, &msg->login.hdr, sizeof(*msg));
	explicit_bzero(msg, sizeof(*msg));
	free(msg);
	return err;
}

static void login_ask(struct conn *conn, struct ipc_login *login) {
	login->remote = conn->remote;
	login->local = conn->local;
	login->remote_port = conn->remote_port;
	memcpy(login->server_name, conn->server_name, sizeof(login->server_name));
	conn->owner->counters.logins++;
	if (login_send(conn, login) != 0) {
		conn_close(conn, "no memory");
		return;
	}
	conn_step_within(conn, CONN_LOGIN_TIMEOUT_S);
	conn_wait(conn, CONN_ASK, 0);
}

static uint16_t path_mtu(int fd) {
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || info.tcpi_pmtu > UINT16_MAX)
		return 0;
	return (uint16_t)info.tcpi_pmtu;
}

// A connect script waits for its turn as long as it may run, and then runs.
static unsigned connect_timeout(const struct cfg *cfg) {
	return CONN_ASK_TIMEOUT_S + (cfg->scripts.connect[0] ? 2 * cfg->scripts.timeout : 0);
}

static void connect_ask(struct conn *conn, struct ipc_connect *connect) {
	static const char label[] = "EXPORTER-openconnect-psk";

	// The tunnel begins with our answer: a client that sends before it is none of ours.
	if (conn->rest.len > 0 || wolfSSL_pending(conn->ssl) > 0) {
		refuse(conn, hidden(conn) ? connect_status(conn) : 400);
		return;
	}
	if (wolfSSL_export_keying_material(conn->ssl, connect->psk, IPC_PSK_LEN, label,
		    sizeof(label) - 1, NULL, 0, 0) != WOLFSSL_SUCCESS) {
		conn_close(conn, "no exporter");
		return;
	}
	connect->remote = conn->remote;
	connect->local = conn->local;
	connect->remote_port = conn->remote_port;
	connect->local_port = conn->local_port;
	connect->path_mtu = conn->proxied ? 0 : path_mtu(conn->fd); // that of the proxy is another
	connect->tls_version = (uint8_t)tls_version_get(conn->ssl);
	conn->owner->counters.connects++;
	if (conn_ask(conn, IPC_CONNECT, &connect->hdr, sizeof(*connect)) != 0) {
		conn_close(conn, "no memory");
		return;
	}
	conn_step_within(conn, connect_timeout(child_cfg(conn->owner->child)));
	// A script's time is not the client's.
	if (conn->auth_deadline.tv_sec < conn->step_deadline.tv_sec)
		conn->auth_deadline = conn->step_deadline;
	conn_wait(conn, CONN_ASK, 0);
}

static void request(struct conn *conn) {
	const struct portal_env env = env_of(conn);
	struct ipc_connect connect = {.tls_cipher = (uint8_t)tls_cipher_get(conn->ssl)};
	struct ipc_login login = {0};
	const struct http_request *req = http_reader_request(conn->reader);

	conn->owner->counters.requests++;
	log_debug("request", "remote=%s path=%s", conn->remote_text, log_value(req->path));
	switch (portal_request(&conn->portal, &env, req, &conn->out, &login, &connect)) {
	case PORTAL_ANSWERED:
		answer(conn);
		break;
	case PORTAL_LOGIN:
		login_ask(conn, &login);
		break;
	case PORTAL_CONNECT:
		connect_ask(conn, &connect);
		break;
	}
	explicit_bzero(&login, sizeof(login));
	explicit_bzero(&connect, sizeof(connect));
}

// --- reading ---

// Long fields only where they are of use, and only from who may see that this is a gateway.
static void long_authorization(struct conn *conn) {
	const struct httpauth_offers offers = httpauth_offers(
		child_cfg(conn->owner->child), conn->server_name);

	http_reader_long_authorization(conn->reader, httpauth_any(&offers) && !hidden(conn));
}

// Feeds bytes to the reader. True: go on reading; false: something else has begun, the connection
// may be gone.
static bool feed(struct conn *conn, const uint8_t *data, size_t len) {
	bool begun = http_reader_started(conn->reader);
	size_t used;
	int status;

	if (!begun)
		long_authorization(conn);
	status = http_reader_feed(conn->reader, data, len, &used);
	if (status == 0) {
		if (!begun && len > 0)
			conn_step_within(conn, child_cfg(conn->owner->child)->auth.header_timeout);
		return true;
	}
	if (status != 1) {
		refuse(conn, status);
		return false;
	}
	buf_add(&conn->rest, data + used, len - used);
	conn_step_within(conn, 0);
	request(conn);
	return false;
}

// Bytes that came with the last request are the beginning of the next.
static bool feed_rest(struct conn *conn) {
	struct buf rest = conn->rest;
	bool go_on;

	conn->rest = (struct buf){0};
	go_on = rest.failed ? true : feed(conn, rest.data, rest.len);
	buf_reset(&rest);
	return go_on;
}

void conn_read(struct conn *conn) {
	static uint8_t data[READ_MAX]; // wiped below: it holds passwords
	int n;

	if (conn->rest.len > 0 && !feed_rest(conn))
		return;
	for (;;) {
		bool go_on;

		n = wolfSSL_read(conn->ssl, data, sizeof(data));
		if (n <= 0)
			break;
		go_on = feed(conn, data, (size_t)n);
		explicit_bzero(data, (size_t)n);
		if (!go_on)
			return;
	}
	switch (wolfSSL_get_error(conn->ssl, n)) {
	case WOLFSSL_ERROR_WANT_READ:
		conn_wait(conn, CONN_READ, EV_READ);
		break;
	case WOLFSSL_ERROR_WANT_WRITE:
		conn_wait(conn, CONN_READ, EV_WRITE);
		break;
	case WOLFSSL_ERROR_ZERO_RETURN:
		conn_close(conn, NULL);
		break;
	default:
		conn_close(conn, "read");
		break;
	}
}

// --- hand-over ---

// From here on the tunnel lives in the dataplane alone; what this process knew of it is wiped.
static void hand_over(struct conn *conn) {
	struct ipc_chan *session = child_peer(conn->owner->child, IPC_SESSION, 0);
	struct ipc_stream_up msg = {.sid = conn->sid};
	int err;

	if (session == NULL || wolfSSL_pending(conn->ssl) > 0) {
		conn_close(conn, "hand-over");
		return;
	}
	err = tls_keys_export(conn->ssl, &conn->secrets, &conn->sent, &msg.stream);
	if (err == 0)
		err = ipc_send(session, IPC_STREAM_UP, &msg.hdr, sizeof(msg), &conn->fd, 1);
	explicit_bzero(&msg, sizeof(msg));
	if (err != 0) {
		log_warning("hand_over", "remote=%s text=%s", conn->remote_text,
			log_value(strerror(-err)));
		conn_close(conn, "hand-over");
		return;
	}
	conn->owner->counters.tunnels++;
	log_info("tunnel", "remote=%s version=%s cipher=%s sid=%u", conn->remote_text,
		wolfSSL_get_version(conn->ssl), wolfSSL_get_cipher_name(conn->ssl),
		conn->sid.index);
	conn_handed_over(conn);
}

// --- writing ---

static void written(struct conn *conn) {
	bool close = conn->portal.close;

	buf_reset(&conn->out);
	conn->out_sent = 0;
	conn_step_within(conn, hidden(conn) ? CAMOUFLAGE_IDLE_S : 0);
	if (conn->tunnel) {
		hand_over(conn);
	} else if (close) {
		wolfSSL_shutdown(conn->ssl);
		conn_linger(conn);
	} else {
		http_reader_next(conn->reader);
		// A client that waited for the answer has not sent the next request yet.
		if (conn->rest.len > 0 || wolfSSL_pending(conn->ssl) > 0)
			conn_read(conn);
		else
			conn_wait(conn, CONN_READ, EV_READ);
	}
}

void conn_write(struct conn *conn) {
	while (conn->out_sent < conn->out.len) {
		int n = wolfSSL_write(conn->ssl, conn->out.data + conn->out_sent,
			(int)(conn->out.len - conn->out_sent));

		if (n > 0) {
			conn->out_sent += (size_t)n;
			continue;
		}
		switch (wolfSSL_get_error(conn->ssl, n)) {
		case WOLFSSL_ERROR_WANT_WRITE:
			conn_wait(conn, CONN_WRITE, EV_WRITE);
			return;
		case WOLFSSL_ERROR_WANT_READ:
			conn_wait(conn, CONN_WRITE, EV_READ);
			return;
		default:
			conn_close(conn, "write");
			return;
		}
	}
	written(conn);
}

// --- answers ---

void conn_logged_in(struct conn *conn, const struct ipc_login_result *msg) {
	const struct portal_env env = env_of(conn);
	static const char *const names[] = {"accepted", "denied", "error", "form"};

	log_debug("login", "remote=%s result=%s", conn->remote_text, names[msg->status]);
	conn->innocent |= msg->status == IPC_LOGIN_OK || msg->status == IPC_LOGIN_ERROR;
	portal_login_result(&conn->portal, &env, msg, &conn->out);
	answer(conn);
}

void conn_connected(struct conn *conn, const struct ipc_connect_result *msg) {
	log_debug("connect", "remote=%s status=%u reason=%s", conn->remote_text, msg->status,
		log_value(msg->reason));
	if (msg->status != 0 && hidden(conn)) {
		refuse(conn, connect_status(conn));
		return;
	}
	cstp_connect_answer(&conn->out, msg, &conn->portal.offer, child_cfg(conn->owner->child));
	conn->tunnel = msg->status == 0;
	conn->innocent |= msg->status != 401;
	conn->sid = msg->sid;
	answer(conn);
}

void conn_unanswered(struct conn *conn) {
	const struct ipc_login *login = (const struct ipc_login *)conn->asked;
	const struct portal_env env = env_of(conn);

	conn->innocent = true;
	// Auth gives up earlier and says so: here it or the way to it is broken.
	if (login != NULL && conn->asked_type != IPC_CONNECT)
		log_warning("login_refused", "user=%s remote=%s reason=\"no answer\"",
			log_value(login->username), conn->remote_text);
	else
		log_warning("connect_refused", "remote=%s reason=\"no answer\"", conn->remote_text);
	if (hidden(conn)) {
		refuse(conn, 503);
		return;
	}
	portal_unavailable(&conn->portal, &env, "Server busy", &conn->out);
	answer(conn);
}

void conn_timeout(struct conn *conn) {
	conn->owner->counters.timeouts++;
	if (conn->state == CONN_ASK)
		conn_unanswered(conn);
	else if (conn->state == CONN_PROXY)
		conn_proxy_late(conn);
	else if (conn->state == CONN_READ && http_reader_started(conn->reader) && !hidden(conn))
		refuse(conn, 408);
	else
		conn_close(conn, conn->state == CONN_LINGER ? NULL : "timeout");
}
