// SPDX-License-Identifier: GPL-3.0-or-later
// One connection, shared by the files that carry it: conn.c (life, events), conn_tls.c (ClientHello,
// handshake, signatures), conn_http.c (requests, answers, hand-over), conn_ask.c (questions to
// auth). Each step ends by waiting for something or by conn_close().
#pragma once

#include "tls.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

#include "conn.h"
#include "coro.h"
#include "http.h"
#include "portal.h"
#include "tls_peer.h"

struct event;

enum conn_state {
	CONN_PROXY, // for the header of a proxy
	CONN_HELLO, // for the whole ClientHello, which is only looked at
	CONN_HANDSHAKE, // for the peer
	CONN_SIGN, // for auth's signature; the handshake's coroutine sleeps
	CONN_READ, // for a request
	CONN_ASK, // for the answer to a login or a CONNECT
	CONN_WRITE, // for room to send
	CONN_LINGER, // for the peer to close, so that our last words arrive
};

struct conn {
	LIST_ENTRY(conn) link;
	struct edge_conns *owner;
	uint32_t slot;
	uint64_t number; // of all that this process has accepted, from 1
	int fd;
	struct event *event, *timer;
	short waiting; // EV_READ or EV_WRITE that the event is for, or 0: none is added
	enum conn_state state;
	struct timespec auth_deadline; // of all before the tunnel
	struct timespec step_deadline; // of the step at hand; 0: none
	uint16_t source; // bucket of its address
	bool innocent; // logged in, a health check, or not served by our fault: costs no points
	struct abi_addr remote, local; // behind a proxy: what its header says
	struct abi_addr peer; // the proxy
	bool proxied;
	uint16_t remote_port, local_port; // host order
	char remote_text[64];

	// TLS
	unsigned hello_wakeups;
	char server_name[IPC_NAME_LEN];
	struct tls_cert *cert;
	WOLFSSL *ssl;
	struct tls_secrets secrets;
	struct tls_sent sent;
	struct tls_signer signer;
	struct tls_peer_chain chain; // the client's certificates, if it was asked and has shown any
	struct coro *coro; // while a handshake step runs or sleeps
	int accept_ret, accept_err;
	const struct ipc_signed *signature; // set while the coroutine is woken

	// HTTP
	struct http_reader *reader;
	struct portal portal;
	struct buf rest; // bytes behind the request at hand
	struct buf out;
	size_t out_sent;
	bool tunnel; // after `out` the connection becomes a tunnel
	struct abi_sid sid;

	// The question at hand.
	struct ipc_hdr *asked; // malloc'ed, wiped when answered
	enum ipc_type asked_type;
	bool asked_lost; // who had it died
};

// Who may name the address of the client, in the configuration of the supervisor's start.
struct listener_proxies {
	bool required;
	uint32_t nb;
	struct cfg_prefix prefixes[IPC_PROXIES_MAX];
};

LIST_HEAD(conn_list, conn);

struct edge_conns {
	struct child *child;
	struct conn_list list;
	unsigned nb_conns, nb_slots;
	struct conn **slots; // by the low half of a question's number
	uint32_t epoch; // high half: random at start
	struct coro_pool *coros;
	struct listener *listeners;
	bool listening;
	bool making_room; // listeners stay as they are meanwhile
	uint64_t taken; // connections in this process's life, but for those that were not served
	uint64_t last; // the number that it ends with, once its successor was asked for; 0: not yet
	struct event *end; // spent, and the last has left
	unsigned end_waits; // for handshakes of DTLS
	struct event *full; // while there is no room
	uint32_t *sources; // connections by hashed address, SOURCE_UNKNOWN last
	uint64_t source_key;
	uint64_t untrusted_said_s;
	struct edge_counters counters;
};

// --- conn.c ---
void conn_wait(struct conn *conn, enum conn_state state, short what);
// The same for as many bytes as are worth a look.
void conn_wait_bytes(struct conn *conn, enum conn_state state, size_t bytes);
// Starts the clock of one step, `seconds` from now; 0 stops it.
void conn_step_within(struct conn *conn, unsigned seconds);
// Closes and frees; the connection is gone when it returns.
void conn_close(struct conn *conn, const char *why);
// Our last words are sent: close once the peer has, or after a moment.
void conn_linger(struct conn *conn);
// Closes without a word: the socket has a new owner.
void conn_handed_over(struct conn *conn);

// Its client is known: goes on with the ClientHello, or closes when this one is not served.
void conn_admit(struct conn *conn, const struct abi_addr *remote, uint16_t port);

// --- conn_proxy.c ---
void conn_proxy(struct conn *conn);
void conn_proxy_late(struct conn *conn); // its time is over
// False: no such message.
bool listener_proxies_set(struct listener_proxies *proxies, const struct ipc_listener *msg);
bool listener_proxies_trust(const struct listener_proxies *proxies, const struct abi_addr *addr);

// --- conn_tls.c ---
void conn_hello(struct conn *conn);
void conn_handshake(struct conn *conn);
// Auth's signature, or NULL: there will be none.
void conn_signed(struct conn *conn, const struct ipc_signed *msg);
// Ends a sleeping handshake so that the connection can be freed.
void conn_handshake_abort(struct conn *conn);

// --- conn_http.c ---
void conn_read(struct conn *conn);
void conn_write(struct conn *conn);
void conn_logged_in(struct conn *conn, const struct ipc_login_result *msg);
void conn_connected(struct conn *conn, const struct ipc_connect_result *msg);
// The question at hand will not be answered.
void conn_unanswered(struct conn *conn);
void conn_timeout(struct conn *conn);

// --- conn_ask.c ---
#define CONN_ASK_TIMEOUT_S 12u // auth gives up after 10
#define CONN_LOGIN_TIMEOUT_S 62u // auth gives up after 60 at the latest
// Copies the message, numbers it, sends it to auth (later, when auth is away) and remembers it
// until conn_answered(). 0 or -ENOMEM.
int conn_ask(struct conn *conn, enum ipc_type type, const struct ipc_hdr *msg, size_t len);
void conn_answered(struct conn *conn);
