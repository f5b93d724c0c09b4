// SPDX-License-Identifier: GPL-3.0-or-later
// The TLS side of a connection: ClientHello, handshake, signatures by auth; called by conn.c.
//
// The ClientHello is only looked at (MSG_PEEK) until it is whole: the name in it chooses the
// certificate, slow senders cost no WOLFSSL object, and what is no TLS is answered in clear.

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "camouflage.h"
#include "conn_int.h"
#include "controlplane/proc/log.h"

#define RECORD_HEADER 5u
#define RECORD_MAX 16384u
#define HELLO_WAKEUPS_MAX 32u
#define NO_SIGNATURE (-1)

// --- I/O: exactly what wolfSSL asks for, so that nothing beyond the record at hand leaves the
// socket, which the dataplane goes on reading ---

static int io_recv(WOLFSSL *ssl, char *data, int len, void *arg) {
	struct conn *conn = arg;
	ssize_t n;

	do {
		n = recv(conn->fd, data, (size_t)len, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return (int)n;
	if (n == 0)
		return WOLFSSL_CBIO_ERR_CONN_CLOSE;
	if (errno == EAGAIN)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	return errno == ECONNRESET ? WOLFSSL_CBIO_ERR_CONN_RST : WOLFSSL_CBIO_ERR_GENERAL;
}

static int io_send(WOLFSSL *ssl, char *data, int len, void *arg) {
	struct conn *conn = arg;
	ssize_t n;

	do {
		n = send(conn->fd, data, (size_t)len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		tls_sent_add(&conn->sent, (const uint8_t *)data, (size_t)n);
		return (int)n;
	}
	if (errno == EAGAIN)
		return WOLFSSL_CBIO_ERR_WANT_WRITE;
	return errno == ECONNRESET || errno == EPIPE ? WOLFSSL_CBIO_ERR_CONN_RST
						     : WOLFSSL_CBIO_ERR_GENERAL;
}

// --- signatures ---

// Inside the coroutine, below wolfSSL_accept(): sleeps until auth has answered.
static int sign_wait(struct tls_signer *signer, enum ipc_sign kind,
	const struct tls_content *content, uint8_t *out, uint32_t *out_len) {
	struct conn *conn = (struct conn *)((char *)signer - offsetof(struct conn, signer));
	struct ipc_sign_req msg = {
		.handshake = conn->number,
		.generation = conn->cert->generation,
		.index = conn->cert->index,
		.kind = kind,
		.content = content->content,
		.hash = content->hash,
		.in_len = content->in_len,
	};
	const struct ipc_signed *answer;

	if (content->in_len > sizeof(msg.in) || coro_self() == NULL)
		return NO_SIGNATURE;
	memcpy(msg.in, content->in, content->in_len);
	if (conn_ask(conn, IPC_SIGN, &msg.hdr, sizeof(msg)) != 0)
		return NO_SIGNATURE;
	conn->signature = NULL;
	coro_yield(coro_self());
	answer = conn->signature;
	if (answer == NULL || answer->status != 0 || answer->out_len == 0 ||
		answer->out_len > sizeof(answer->out) || answer->out_len > *out_len)
		return NO_SIGNATURE;
	memcpy(out, answer->out, answer->out_len);
	*out_len = answer->out_len;
	return 0;
}

// --- handshake ---

static void handshake_failed(struct conn *conn) {
	WOLFSSL_ALERT_HISTORY alerts = {0};
	char text[WOLFSSL_MAX_ERROR_SZ] = "";

	conn->owner->counters.handshakes_failed++;
	wolfSSL_get_alert_history(conn->ssl, &alerts);
	wolfSSL_ERR_error_string((unsigned long)conn->accept_err, text);
	log_debug("handshake_failed", "remote=%s error=%d text=%s alert_sent=%d alert_received=%d",
		conn->remote_text, conn->accept_err, log_value(text), alerts.last_tx.code,
		alerts.last_rx.code);
	conn_linger(conn);
}

static void handshake_done(struct conn *conn) {
	struct edge_counters *counters = &conn->owner->counters;
	bool resumed = wolfSSL_session_reused(conn->ssl) != 0;

	counters->handshakes++;
	counters->resumed += resumed;
	log_debug("handshake",
		"remote=%s version=%s cipher=%s resumed=%d server_name=%s certificates=%zu",
		conn->remote_text, wolfSSL_get_version(conn->ssl),
		wolfSSL_get_cipher_name(conn->ssl), resumed, log_value(conn->server_name),
		conn->chain.len);
	conn->reader = http_reader_new();
	if (conn->reader == NULL) {
		conn_close(conn, "no memory");
		return;
	}
	conn_step_within(conn, 0);
	conn_read(conn);
}

// What the step that has just run or slept came to.
static void handshake_next(struct conn *conn) {
	struct coro *coro = conn->coro;

	if (!coro_ended(coro)) {
		conn_wait(conn, CONN_SIGN, 0);
		return;
	}
	conn->coro = NULL;
	coro_free(coro);
	conn_answered(conn);
	if (conn->accept_ret == WOLFSSL_SUCCESS)
		handshake_done(conn);
	else if (conn->accept_err == WOLFSSL_ERROR_WANT_READ)
		conn_wait(conn, CONN_HANDSHAKE, EV_READ);
	else if (conn->accept_err == WOLFSSL_ERROR_WANT_WRITE)
		conn_wait(conn, CONN_HANDSHAKE, EV_WRITE);
	else
		handshake_failed(conn);
}

// The body of the coroutine. Errors are fetched here: the connection's state is complete at its end.
static void handshake_step(void *arg) {
	struct conn *conn = arg;

	conn->accept_ret = wolfSSL_accept(conn->ssl);
	conn->accept_err = wolfSSL_get_error(conn->ssl, conn->accept_ret);
	if (conn->cert->asking != NULL)
		tls_peer_forget(conn->cert->asking);
}

void conn_handshake(struct conn *conn) {
	conn->coro = coro_run(conn->owner->coros, handshake_step, conn);
	if (conn->coro == NULL)
		conn_close(conn, "no memory");
	else
		handshake_next(conn);
}

void conn_signed(struct conn *conn, const struct ipc_signed *msg) {
	if (conn->state != CONN_SIGN || conn->coro == NULL)
		return;
	conn_answered(conn);
	conn->signature = msg;
	coro_resume(conn->coro);
	conn->signature = NULL;
	handshake_next(conn);
}

// A second signature is never asked for: the callback's failure ends wolfSSL_accept().
void conn_handshake_abort(struct conn *conn) {
	if (conn->coro == NULL)
		return;
	conn->signature = NULL;
	while (!coro_ended(conn->coro))
		coro_resume(conn->coro);
	coro_free(conn->coro);
	conn->coro = NULL;
	conn_answered(conn);
}

static int ssl_new(struct conn *conn) {
	static char protocol[] = "http/1.1";

	const struct cfg *cfg = child_cfg(conn->owner->child);
	bool asking = conn->cert->asking != NULL &&
		cfg_vhost_has_factor(cfg, conn->server_name, CFG_FACTOR_CERTIFICATE, false);

	conn->ssl = wolfSSL_new(asking ? conn->cert->asking : conn->cert->ctx);
	if (conn->ssl == NULL)
		return -ENOMEM;
	if (asking)
		tls_peer_collect(conn->ssl, &conn->chain);
	wolfSSL_SSLSetIORecv(conn->ssl, io_recv);
	wolfSSL_SSLSetIOSend(conn->ssl, io_send);
	wolfSSL_SetIOReadCtx(conn->ssl, conn);
	wolfSSL_SetIOWriteCtx(conn->ssl, conn);
	conn->signer.sign = sign_wait;
	tls_signer_set(conn->ssl, &conn->signer);
	// The exporter (the PSK of DTLS) needs the handshake's secrets.
	wolfSSL_KeepArrays(conn->ssl);
	if (wolfSSL_UseALPN(conn->ssl, protocol, sizeof(protocol) - 1,
		    WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) != WOLFSSL_SUCCESS)
		return -ENOMEM;
	return tls_secrets_collect(conn->ssl, &conn->secrets);
}

// --- ClientHello ---

static void no_tls_answer(struct conn *conn, bool http) {
	struct buf out = {0};
	ssize_t n;

	if (camouflage_on(&conn->portal, child_cfg(conn->owner->child)))
		camouflage_no_tls(http, &out);
	else
		buf_puts(&out, portal_plain_http);
	n = out.failed ? -1 : send(conn->fd, out.data, out.len, MSG_NOSIGNAL);
	buf_reset(&out);
	if (n < 0)
		conn_close(conn, "no TLS");
	else
		conn_linger(conn);
}

// HTTP in clear: says so in clear. Anything else gets no answer, but in camouflage.
static void no_tls(struct conn *conn, const uint8_t *data, size_t len) {
	static const char *const methods[] = {
		"GET ", "POST", "HEAD", "PUT ", "OPTI", "CONN", "DELE", "PATC", "TRAC"};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (len < 4 || memcmp(data, methods[i], 4) != 0)
			continue;
		conn->owner->counters.plain_http++;
		no_tls_answer(conn, true);
		return;
	}
	conn->owner->counters.no_hello++;
	if (camouflage_on(&conn->portal, child_cfg(conn->owner->child)))
		no_tls_answer(conn, false);
	else
		conn_close(conn, "no TLS");
}

static void hello_whole(struct conn *conn, const uint8_t *hello, size_t len) {
	const int any = 1;
	unsigned name_len = sizeof(conn->server_name) - 1;

	if (wolfSSL_SNI_GetFromBuffer(hello, (unsigned)len, WOLFSSL_SNI_HOST_NAME,
		    (unsigned char *)conn->server_name, &name_len) != WOLFSSL_SUCCESS)
		name_len = 0;
	conn->server_name[name_len] = '\0';
	if (!ipc_str_ok(conn->server_name, sizeof(conn->server_name)))
		conn->server_name[0] = '\0';
	setsockopt(conn->fd, SOL_SOCKET, SO_RCVLOWAT, &any, sizeof(any));
	conn->cert = edge_tls_select(edge_of(conn->owner->child)->tls, conn->server_name);
	if (conn->cert == NULL || ssl_new(conn) != 0) {
		conn_close(conn, "no memory");
		return;
	}
	conn_handshake(conn);
}

static void hello_want(struct conn *conn, size_t bytes) {
	if (++conn->hello_wakeups > HELLO_WAKEUPS_MAX) {
		conn->owner->counters.no_hello++;
		conn_close(conn, "no whole hello");
		return;
	}
	conn_wait_bytes(conn, CONN_HELLO, bytes);
}

void conn_hello(struct conn *conn) {
	uint8_t hello[RECORD_HEADER + RECORD_MAX];
	size_t want;
	ssize_t n;

	n = recv(conn->fd, hello, sizeof(hello), MSG_PEEK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		hello_want(conn, RECORD_HEADER);
		return;
	}
	if (n <= 0) {
		conn->innocent |= n == 0; // not a byte: a health check
		conn_close(conn, NULL);
		return;
	}
	if (hello[0] != 22 || (n > 1 && hello[1] != 3)) {
		if (n < 4 && hello[0] >= 'A' && hello[0] <= 'Z')
			hello_want(conn, 4);
		else
			no_tls(conn, hello, (size_t)n);
		return;
	}
	want = RECORD_HEADER;
	if ((size_t)n >= RECORD_HEADER)
		want += (size_t)hello[3] << 8 | hello[4];
	if (want > sizeof(hello)) {
		no_tls(conn, hello, (size_t)n);
		return;
	}
	if ((size_t)n < want) {
		hello_want(conn, want);
		return;
	}
	hello_whole(conn, hello, want);
}
