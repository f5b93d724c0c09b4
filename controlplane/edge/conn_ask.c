// SPDX-License-Identifier: GPL-3.0-or-later
// Questions of connections to auth, and whose the answers are; called by edge.c and conn_*.c.
//
// A question carries the number of the connection's slot and a random epoch of this process. When
// auth comes back after its end all open questions are asked again; when the session process does,
// the CONNECTs that may have died with it.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn_int.h"
#include "controlplane/proc/log.h"

static void asked_send(struct conn *conn) {
	struct ipc_chan *auth = child_peer(conn->owner->child, IPC_AUTH, 0);

	if (auth == NULL)
		return;
	// A queue that is full is a loss like any other: the clock ends the wait. Without a session
	// process here auth may still send what it gets to the dead one; what it keeps instead goes
	// there twice, and counts once.
	if (ipc_send(auth, conn->asked_type, conn->asked, conn->asked->len, NULL, 0) == 0)
		conn->asked_lost = child_peer(conn->owner->child, IPC_SESSION, 0) == NULL;
}

int conn_ask(struct conn *conn, enum ipc_type type, const struct ipc_hdr *msg, size_t len) {
	conn_answered(conn);
	conn->asked = malloc(len);
	if (conn->asked == NULL)
		return -ENOMEM;
	memcpy(conn->asked, msg, len);
	conn->asked->len = (uint32_t)len;
	conn->asked->req = (uint64_t)conn->owner->epoch++ << 32 | conn->slot;
	conn->asked_type = type;
	asked_send(conn);
	return 0;
}

void conn_answered(struct conn *conn) {
	if (conn->asked == NULL)
		return;
	explicit_bzero(conn->asked, conn->asked->len);
	free(conn->asked);
	conn->asked = NULL;
	conn->asked_lost = false;
}

// The connection that asked this, or NULL.
static struct conn *asker(struct edge_conns *conns, uint64_t req, enum ipc_type type) {
	uint32_t slot = (uint32_t)req;
	struct conn *conn = slot < conns->nb_slots ? conns->slots[slot] : NULL;

	if (conn == NULL || conn->asked == NULL || conn->asked->req != req ||
		conn->asked_type != type)
		return NULL;
	return conn;
}

void edge_conns_signed(struct child *child, const struct ipc_signed *msg) {
	struct conn *conn = asker(edge_of(child)->conns, msg->hdr.req, IPC_SIGN);

	if (conn != NULL)
		conn_signed(conn, msg);
}

int edge_conns_login_result(struct child *child, const struct ipc_login_result *msg) {
	struct conn *conn = asker(edge_of(child)->conns, msg->hdr.req, IPC_LOGIN);

	if (conn == NULL)
		conn = asker(edge_of(child)->conns, msg->hdr.req, IPC_LOGIN_TOKEN);
	if (conn == NULL)
		conn = asker(edge_of(child)->conns, msg->hdr.req, IPC_LOGIN_CERT);
	if (msg->status > IPC_LOGIN_FORM || msg->form > IPC_FORM_TOKEN ||
		msg->token_len > sizeof(msg->token) || msg->echo > 1 ||
		!ipc_str_ok(msg->reason, sizeof(msg->reason)) ||
		!ipc_str_ok(msg->message, sizeof(msg->message)) ||
		!ipc_str_ok(msg->label, sizeof(msg->label)))
		return -EINVAL;
	if (conn != NULL)
		conn_logged_in(conn, msg);
	return 0;
}

int edge_conns_connect_result(struct child *child, const struct ipc_connect_result *msg) {
	struct conn *conn = asker(edge_of(child)->conns, msg->hdr.req, IPC_CONNECT);

	if (!ipc_str_ok(msg->reason, sizeof(msg->reason)) || msg->inner6_prefix > 128 ||
		!ipc_str_ok(msg->username, sizeof(msg->username)) ||
		!ipc_str_ok(msg->group, sizeof(msg->group)) ||
		!ipc_str_ok(msg->server_name, sizeof(msg->server_name)) ||
		!ipc_user_settings_ok(&msg->settings))
		return -EINVAL;
	if (conn != NULL)
		conn_connected(conn, msg);
	return 0;
}

void edge_conns_peer_up(struct child *child, enum ipc_role role) {
	struct edge_conns *conns = edge_of(child)->conns;
	struct conn *conn;

	LIST_FOREACH(conn, &conns->list, link) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		if (conn->asked == NULL)
			continue;
		if (role == IPC_AUTH || (conn->asked_type == IPC_CONNECT && conn->asked_lost))
			asked_send(conn);
	}
}

void edge_conns_peer_down(struct child *child, enum ipc_role role) {
	struct edge_conns *conns = edge_of(child)->conns;
	struct conn *conn;

	LIST_FOREACH(conn, &conns->list, link) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		if (role == IPC_SESSION && conn->asked != NULL)
			conn->asked_lost = true;
	}
}
