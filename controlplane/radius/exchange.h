// SPDX-License-Identifier: GPL-3.0-or-later
// Requests on their way to RADIUS servers: identifiers, retransmission, failover, dead time.
// Called by radius.c; sends and reads packets by packet.h.
//
// Every request goes its own way: thousands may wait at once, and none waits for another. The first
// server of the list that is alive is asked `tries` times, then the next. A server that let a
// request run out of tries, without an answer to any other meanwhile, is dead for `dead_time`: then
// its other requests move on when their present try is over, and new ones pass it by. After that
// time one request at a time tries it again, once; an answer brings it back.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

#define EXCHANGE_SOCKETS_MAX 32u
#define EXCHANGE_SERVERS_MAX 64u
#define EXCHANGE_SECRET_MAX 256u // with its NUL

struct event_base;
struct exchange;
struct exchange_request;

enum exchange_kind {
	EXCHANGE_AUTH,
	EXCHANGE_ACCT,
	EXCHANGE_KINDS,
};

struct exchange_server {
	char name[IPC_NAME_LEN];
	struct abi_addr addr;
	uint16_t port[EXCHANGE_KINDS]; // host order; 0: not asked for this
	char shared_secret[EXCHANGE_SECRET_MAX];
};

struct exchange_timing {
	uint32_t timeout_ms; // of one try
	uint32_t tries; // at one server
	uint32_t dead_time_ms; // 0: never dead
	bool require_authenticator; // of answers to Access-Requests
};

struct exchange_counts {
	uint64_t sent, resent, answered;
	uint64_t unusable; // answers that were refused: malformed, wrong secret, not signed
	uint64_t unexpected; // datagrams that answer nothing
	uint64_t given_up;
};

// The end of a request: `answer` is freed after return; NULL: no server answered, or -ECANCELED.
typedef void (*exchange_done)(const struct rpacket *answer, const char *server, void *arg);

// Takes over the sockets: UDP, bound, non-blocking; the first `nb_auth` carry Access-Requests, the
// others accounting, so that neither can use up the other's identifiers. NULL: no memory.
struct exchange *exchange_new(
	struct event_base *base, const int *fds, unsigned nb_fds, unsigned nb_auth);
// Drops all requests without calling back.
void exchange_free(struct exchange *exchange);

// Sets servers (copied, wiped when replaced) and timing. Requests under way begin again.
int exchange_servers(struct exchange *exchange, const struct exchange_server *servers, size_t nb,
	const struct exchange_timing *timing);

// Takes over `packet`, also on failure. 0; -EBUSY: all identifiers are in use; -ENOENT: no server
// for this; -EINVAL: the packet cannot be built. `done` is called only after 0, and never from
// within this call.
int exchange_send(struct exchange *exchange, enum exchange_kind kind, struct rpacket *packet,
	exchange_done done, void *arg, struct exchange_request **request);
// No callback any more.
void exchange_cancel(struct exchange_request *request);

const struct exchange_counts *exchange_counts(
	const struct exchange *exchange, enum exchange_kind kind);
