// SPDX-License-Identifier: GPL-3.0-or-later
// A connection that a proxy hands on: its header, and whose it is from then on; called by conn.c.
//
// Only the header leaves the socket, as with the ClientHello. Until it is whole the connection is
// nobody's: it costs no points and counts for no source; the clock of the request ends it.

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "conn_int.h"
#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"
#include "guard.h"
#include "proxy.h"

#define WAKEUPS_MAX 32u // a sender is to send it at once (2., last paragraph but two)

bool listener_proxies_set(struct listener_proxies *proxies, const struct ipc_listener *msg) {
	if (msg->nb_proxies > IPC_PROXIES_MAX)
		return false;
	proxies->required = msg->proxy_required != 0;
	proxies->nb = msg->nb_proxies;
	memcpy(proxies->prefixes, msg->proxies, sizeof(proxies->prefixes));
	return true;
}

bool listener_proxies_trust(const struct listener_proxies *proxies, const struct abi_addr *addr) {
	for (uint32_t i = 0; i < proxies->nb; i++) {
		if (addr_in(addr, &proxies->prefixes[i]))
			return true;
	}
	return false;
}

static void refuse(struct conn *conn, const char *why) {
	conn->owner->counters.refused_proxy++;
	log_warning("proxy_refused", "proxy=%s why=%s", conn->remote_text, log_value(why));
	conn_close(conn, NULL);
}

void conn_proxy_late(struct conn *conn) {
	refuse(conn, "its header did not come in time");
}

static void want(struct conn *conn, size_t bytes) {
	if (++conn->hello_wakeups > WAKEUPS_MAX)
		refuse(conn, "its header comes in too many pieces");
	else
		conn_wait_bytes(conn, CONN_PROXY, bytes);
}

// Also with its own address as the client's: so do haproxy's checks in version 1.
static bool is_own(const struct conn *conn, const struct proxy_header *header) {
	return header->local || memcmp(&header->source, &conn->peer, sizeof(header->source)) == 0;
}

// The proxy's own (a health check) costs no points, whatever it comes to: it would be the proxy that
// is banned.
static void begin(struct conn *conn, const struct proxy_header *header) {
	bool own = is_own(conn, header);

	log_debug("proxied", "proxy=%s own=%d", conn->remote_text, own);
	conn->hello_wakeups = 0;
	conn->proxied = true;
	if (own) {
		conn_admit(conn, &conn->peer, conn->remote_port);
		return;
	}
	conn->local = header->destination; // the port stays ours: it names the entry of listen
	conn->innocent = false;
	conn_admit(conn, &header->source, header->source_port);
}

void conn_proxy(struct conn *conn) {
	uint8_t data[PROXY_HEADER_MAX];
	struct proxy_header header;
	ssize_t n = recv(conn->fd, data, sizeof(data), MSG_PEEK);
	size_t bytes;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		n = 0;
	else if (n <= 0) {
		conn_close(conn, NULL); // a check whether the port is open
		return;
	}
	switch (proxy_header_parse(data, (size_t)n, &header, &bytes)) {
	case 0:
		want(conn, bytes);
		break;
	case 1:
		// It has been looked at, so it is there.
		if (recv(conn->fd, data, header.len, 0) != (ssize_t)header.len)
			conn_close(conn, "recv");
		else
			begin(conn, &header);
		break;
	default:
		refuse(conn, "no header of the PROXY protocol");
		break;
	}
}
