// SPDX-License-Identifier: GPL-3.0-or-later
// The life of a client: TCP, TLS, HTTP, DTLS, tunnel, end. Driven by epoll and timers from
// traffic.c.
#include "loadgen.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PROBE_NS 100000000u // between DTLS probes until the first answer
#define UDP_BUFFER (4 << 20)
#define COOKIE_TRIES 3u

struct lg_client *lg_clients;
unsigned lg_nb_up, lg_nb_pending;
void (*lg_on_up)(struct lg_client *client);
void (*lg_on_down)(struct lg_client *client);

void lg_clients_init(void) {
	lg_clients = calloc(lg_opt.clients, sizeof(*lg_clients));
	if (lg_clients == NULL)
		lg_die("no memory");
	for (unsigned i = 0; i < lg_opt.clients; i++) {
		lg_clients[i].no = i;
		lg_clients[i].tcp = lg_clients[i].udp = -1;
	}
}

static bool is_pending(enum lg_state state) {
	return state != LG_DOWN && state != LG_UP;
}

static void state_set(struct lg_client *client, enum lg_state state) {
	lg_nb_up += (state == LG_UP) - (client->state == LG_UP);
	lg_nb_pending += (unsigned)is_pending(state) - (unsigned)is_pending(client->state);
	client->state = state;
}

void lg_client_watch(struct lg_client *client, uint32_t events) {
	struct epoll_event event = {
		.events = events, .data.u64 = LG_FD_DATA(LG_FD_TCP, client->no)};

	if (events == client->tcp_events)
		return;
	epoll_ctl(lg_epoll, client->tcp_events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, client->tcp,
		&event);
	client->tcp_events = events;
}

// Everything but the cookie.
static void client_reset(struct lg_client *client) {
	lg_http_end(client);
	lg_tls_end(client);
	if (client->tcp >= 0)
		close(client->tcp);
	if (client->udp >= 0)
		close(client->udp);
	client->tcp = client->udp = -1;
	client->tcp_events = 0;
	lg_keys_clear(&client->tls_tx);
	lg_keys_clear(&client->tls_rx);
	lg_keys_clear(&client->dtls_tx);
	lg_keys_clear(&client->dtls_rx);
	client->out_len = client->out_sent = client->rest_len = 0;
	client->timer_ns = 0;
	state_set(client, LG_DOWN);
}

void lg_client_fail(struct lg_client *client, const char *what, int error) {
	bool was_up = client->state == LG_UP;

	lg_log("client %u: %s: %s", client->no, what, strerror(-error));
	// A dead cookie is no failure: the password comes next, and at once.
	if (error != -EKEYREJECTED) {
		client->failures++;
		client->retry_ns = lg_now() + lg_opt.retry_ms * 1000000ull;
	}
	client_reset(client);
	if (was_up && lg_on_down != NULL)
		lg_on_down(client);
}

static void cookie_forget(struct lg_client *client) {
	free(client->cookie);
	client->cookie = NULL;
	client->context[0] = '\0';
	client->cookie_failures = 0;
}

// Some servers say that a cookie is dead, others (ocserv that was restarted) just hang up.
static void http_failed(struct lg_client *client, int error) {
	if (client->connecting && error == -ECONNRESET &&
		++client->cookie_failures == COOKIE_TRIES) {
		cookie_forget(client);
		error = -EKEYREJECTED;
	}
	lg_client_fail(client, client->connecting ? "CONNECT" : "login", error);
}

static void up(struct lg_client *client) {
	client->timer_ns = 0;
	client->cookie_failures = 0;
	client->logins++;
	state_set(client, LG_UP);
	if (lg_on_up != NULL)
		lg_on_up(client);
}

void lg_client_begin(struct lg_client *client) {
	int one = 1;

	client->began_ns = lg_now();
	client->tcp = lg_socket_in(lg_opt.netns, lg_opt.server.ss_family, SOCK_STREAM);
	setsockopt(client->tcp, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	state_set(client, LG_CONNECTING);
	if (connect(client->tcp, (struct sockaddr *)&lg_opt.server, lg_opt.server_len) != 0 &&
		errno != EINPROGRESS) {
		lg_client_fail(client, "connect", -errno);
		return;
	}
	lg_client_watch(client, EPOLLIN | EPOLLOUT);
}

static void dtls_begin(struct lg_client *client) {
	struct epoll_event event = {
		.events = EPOLLIN, .data.u64 = LG_FD_DATA(LG_FD_UDP, client->no)};
	struct sockaddr_storage to = lg_opt.server;
	int size = UDP_BUFFER, ret;

	// Port and port are at the same place in both families.
	((struct sockaddr_in *)&to)->sin_port = htons(client->dtls_port);
	client->udp = lg_socket_in(lg_opt.netns, to.ss_family, SOCK_DGRAM);
	setsockopt(client->udp, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(client->udp, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (connect(client->udp, (struct sockaddr *)&to, lg_opt.server_len) != 0) {
		lg_client_fail(client, "connect by UDP", -errno);
		return;
	}
	epoll_ctl(lg_epoll, EPOLL_CTL_ADD, client->udp, &event);
	state_set(client, LG_DTLS_SHAKE);
	ret = lg_dtls_start(client);
	if (ret == 0)
		ret = lg_dtls_shake(client);
	if (ret != -EAGAIN)
		lg_client_fail(client, "DTLS", ret);
}

static void tunnel_opened(struct lg_client *client) {
	int ret = lg_tls_take(client);

	lg_http_end(client);
	lg_client_watch(client, EPOLLIN);
	lg_stamp_socket(client->tcp);
	lg_packet_header(client);
	client->connects++;
	if (ret == 0 && lg_opt.dtls && (!client->has_app_id || client->dtls_port == 0))
		lg_die("the server offers no DTLS by PSK");
	if (ret != 0)
		lg_client_fail(client, "keys", ret);
	else if (lg_opt.dtls)
		dtls_begin(client);
	else
		up(client);
}

static void probe(struct lg_client *client) {
	static const uint8_t nothing[1];

	lg_tunnel_frame(client, true, LG_DPD_REQ, nothing, 0);
	client->timer_ns = lg_now() + PROBE_NS;
}

static void dtls_event(struct lg_client *client) {
	int ret = lg_dtls_shake(client);
	int one = 1;

	if (ret == -EAGAIN)
		return;
	if (ret != 0) {
		lg_client_fail(client, "DTLS", ret);
		return;
	}
	setsockopt(client->udp, IPPROTO_UDP, UDP_GRO, &one, sizeof(one));
	lg_stamp_socket(client->udp);
	lg_tls_end(client);
	state_set(client, LG_DTLS_PROBE);
	probe(client);
}

static void tcp_login(struct lg_client *client) {
	int ret;

	if (client->state == LG_CONNECTING) {
		socklen_t len = sizeof(ret);

		getsockopt(client->tcp, SOL_SOCKET, SO_ERROR, &ret, &len);
		ret = ret != 0 ? -ret : lg_tls_start(client);
		if (ret != 0) {
			lg_client_fail(client, "connect", ret);
			return;
		}
		state_set(client, LG_TLS_SHAKE);
	}
	if (client->state == LG_TLS_SHAKE) {
		ret = lg_tls_shake(client);
		if (ret == 0) {
			state_set(client, LG_HTTP);
			lg_http_begin(client);
		} else if (ret != -EAGAIN) {
			lg_client_fail(client, "TLS", ret);
			return;
		}
	}
	if (client->state == LG_HTTP) {
		ret = lg_http_run(client);
		if (ret == 0) {
			tunnel_opened(client);
			return;
		}
		if (ret != -EAGAIN) {
			http_failed(client, ret);
			return;
		}
	}
	lg_client_watch(client,
		client->state == LG_TLS_SHAKE && gnutls_record_get_direction(client->tls)
			? EPOLLIN | EPOLLOUT
			: EPOLLIN);
}

void lg_client_event(struct lg_client *client, enum lg_fd fd, uint32_t events) {
	int ret = 0;

	if (fd == LG_FD_UDP) {
		if (client->state == LG_DTLS_SHAKE)
			dtls_event(client);
		else if (client->udp >= 0)
			lg_tunnel_read_udp(client);
		return;
	}
	if (client->tcp < 0)
		return;
	if (client->state < LG_DTLS_SHAKE) {
		tcp_login(client);
		return;
	}
	if (events & EPOLLOUT)
		ret = lg_tunnel_flush(client);
	if (ret == -EAGAIN)
		ret = 0;
	if (ret == 0 && events & ~(uint32_t)EPOLLOUT)
		ret = lg_tunnel_read_tcp(client);
	if (ret != 0)
		lg_client_fail(client, "tunnel", ret);
}

void lg_client_timer(struct lg_client *client, uint64_t now) {
	if (is_pending(client->state) &&
		(double)(now - client->began_ns) > lg_opt.login_timeout * 1e9) {
		lg_client_fail(client, "login", -ETIMEDOUT);
		return;
	}
	if (client->timer_ns == 0 || now < client->timer_ns)
		return;
	if (client->state == LG_DTLS_SHAKE)
		dtls_event(client);
	else if (client->state == LG_DTLS_PROBE)
		probe(client);
}

// The server answered on the DTLS channel: it sends there from now on.
void lg_client_proved(struct lg_client *client) {
	if (client->state == LG_DTLS_PROBE)
		up(client);
}

void lg_client_bye(struct lg_client *client) {
	static const uint8_t text[] = "\xb0"
				      "done";

	lg_tunnel_frame(client, false, LG_DISCONNECT, text, sizeof(text) - 1);
	cookie_forget(client);
	client_reset(client);
}
