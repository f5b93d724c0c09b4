// SPDX-License-Identifier: GPL-3.0-or-later
// TCP connections of the edge, from accept() to the hand-over into the dataplane.
#pragma once

#include "edge.h"

struct edge_counters {
	uint64_t accepted, refused_banned, refused_source, refused_proxy, displaced, plain_http,
		no_hello, handshakes, handshakes_failed, resumed, timeouts, requests, logins,
		connects, tunnels;
};

// 0 or -errno.
int edge_conns_start(struct child *child);
void edge_conns_stop(struct child *child);
// Takes the descriptor over. It is served once certificates are there.
void edge_conns_listener(struct child *child, const struct ipc_listener *msg, int fd);
// Certificates have come, or the configuration changed.
void edge_conns_update(struct child *child);

// Answers of auth and session. An answer to a question that nobody waits for is ignored.
void edge_conns_signed(struct child *child, const struct ipc_signed *msg);
int edge_conns_login_result(struct child *child, const struct ipc_login_result *msg);
int edge_conns_connect_result(struct child *child, const struct ipc_connect_result *msg);
// Somebody has been banned: his connections are reset, but for those that have logged in.
void edge_conns_banned(struct child *child);
void edge_conns_peer_up(struct child *child, enum ipc_role role);
void edge_conns_peer_down(struct child *child, enum ipc_role role);
