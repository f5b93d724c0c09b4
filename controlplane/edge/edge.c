// SPDX-License-Identifier: GPL-3.0-or-later
// An edge process: the bytes of clients that are not yet in a tunnel. The hooks that child_main()
// calls; conn.c does the TCP side, dtls.c the datagrams.

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "controlplane/proc/log.h"
#include "edge.h"
#include "guard.h"
#include "tls.h"
#include "xmlauth.h"

static int edge_start(struct child *child) {
	struct edge *edge = calloc(1, sizeof(*edge));
	int err = -ENOMEM;

	if (edge == NULL)
		return err;
	edge->child = child;
	child_data_set(child, edge);
	if (wolfSSL_Init() != WOLFSSL_SUCCESS || xmlauth_init() != 0)
		return err;
	edge->tls = edge_tls_new();
	if (edge->tls == NULL)
		return err;
	err = edge_guard_start(child);
	if (err == 0)
		err = edge_conns_start(child);
	if (err == 0)
		err = edge_dtls_start(child);
	if (err != 0)
		log_error("start", "text=%s", log_value(strerror(-err)));
	return err;
}

// After the reload hook, when child_cfg() is the new one.
static void on_reloaded(int fd, short what, void *arg) {
	struct child *child = arg;

	if (edge_of(child) == NULL)
		return;
	edge_conns_update(child);
	edge_dtls_reload(child);
}

static int edge_reload(struct child *child, const struct cfg *cfg, char *text, size_t len) {
	static const struct timeval now;
	int err = edge_tls_reload(edge_of(child)->tls, cfg);

	if (err != 0) {
		snprintf(text, len, "the certificates cannot be used with this configuration");
		return err;
	}
	if (event_base_once(child_base(child), -1, EV_TIMEOUT, on_reloaded, child, &now) != 0)
		return -ENOMEM;
	// Now, not in on_reloaded(): the old prefixes are freed when this returns.
	edge_guard_cfg(child, cfg);
	return 0;
}

static int on_certs(struct child *child, const struct ipc_certs *msg) {
	int err = edge_tls_certs(edge_of(child)->tls, child_cfg(child), msg);

	if (err == 0)
		edge_conns_update(child);
	return err == -EINVAL ? err : 0;
}

static int on_ticket_keys(struct child *child, const struct ipc_ticket_keys *msg) {
	int err = edge_tls_ticket_keys(edge_of(child)->tls, msg);

	if (err == 0)
		edge_conns_update(child);
	return err;
}

static int edge_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds) {
	switch (msg->type) {
	case IPC_CERTS:
		return on_certs(child, (const struct ipc_certs *)msg);
	case IPC_CLIENT_CAS:
		return edge_tls_peer_cas(edge_of(child)->tls, (const struct ipc_client_cas *)msg);
	case IPC_TICKET_KEYS:
		return on_ticket_keys(child, (const struct ipc_ticket_keys *)msg);
	case IPC_SIGNED:
		edge_conns_signed(child, (const struct ipc_signed *)msg);
		return 0;
	case IPC_LOGIN_RESULT:
		return edge_conns_login_result(child, (const struct ipc_login_result *)msg);
	case IPC_CONNECT_RESULT:
		return edge_conns_connect_result(child, (const struct ipc_connect_result *)msg);
	case IPC_BANS:
		return edge_guard_bans(child, (const struct ipc_bans *)msg);
	case IPC_DTLS_PARAMS:
		return edge_dtls_params(child, (const struct ipc_dtls_params *)msg);
	case IPC_MAINTENANCE:
		edge_of(child)->draining = ((const struct ipc_maintenance *)msg)->draining != 0;
		return 0;
	case IPC_DTLS_SET:
		return edge_dtls_set(child, (const struct ipc_dtls_set *)msg);
	default:
		return 0;
	}
}

static void edge_peer_up(struct child *child, struct ipc_chan *peer) {
	enum ipc_role role = ipc_chan_peer(peer);

	edge_conns_peer_up(child, role);
	if (role == IPC_SESSION) {
		edge_guard_session_up(child);
		edge_dtls_session_up(child);
	}
}

static void edge_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	edge_conns_peer_down(child, role);
}

void edge_stop(struct child *child) {
	struct edge *edge = edge_of(child);

	edge_dtls_stop(child);
	edge_conns_stop(child);
	edge_guard_stop(child);
	edge_tls_free(edge->tls);
	free(edge);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role edge_role = {
	.role = IPC_EDGE,
	.name = "edge",
	.start = edge_start,
	.reload = edge_reload,
	.message = edge_message,
	.peer_up = edge_peer_up,
	.peer_down = edge_peer_down,
	.dataplane_up = edge_dtls_attach,
	.listener = edge_conns_listener,
	.stop = edge_stop,
};
