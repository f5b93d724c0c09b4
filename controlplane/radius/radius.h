// SPDX-License-Identifier: GPL-3.0-or-later
// The RADIUS process's own structures, shared by the files of this folder.
//
// radius.c: the process. sockets.c: what it opens before the sandbox. secrets.c: the shared secrets,
// by the supervisor. ask.c: logins. acct.c: accounting. exchange.c: the way to the servers.
// dynauth.c: what servers ask for (change.c: what that is; seen.c: once).
#pragma once

#include <sys/queue.h>

#include "controlplane/proc/child.h"
#include "dynauth.h"
#include "exchange.h"

// Identifiers are 256 a socket: so many requests may be on their way.
#define RADIUS_AUTH_SOCKETS 12u
#define RADIUS_ACCT_SOCKETS 4u
#define RADIUS_SOCKETS (RADIUS_AUTH_SOCKETS + RADIUS_ACCT_SOCKETS)

// A request of a peer that is on its way.
struct work {
	LIST_ENTRY(work) link;
	struct radius *radius;
	uint64_t req;
	struct exchange_request *request;
	struct abi_addr remote; // for logs
	char username[IPC_USER_LEN]; // as it was sent
	bool realm_added; // the default one
};
LIST_HEAD(work_list, work);

// A request that came before the secrets were read.
struct early {
	STAILQ_ENTRY(early) link;
	enum ipc_role from;
	size_t len;
	_Alignas(16) uint8_t msg[];
};

struct radius {
	struct child *child;
	int fds[RADIUS_SOCKETS];
	int dynauth_fd; // -1: none configured
	struct dynauth *dynauth; // NULL: likewise
	struct exchange *exchange; // owns the sockets
	char hostname[IPC_NAME_LEN]; // the machine's
	bool ready; // the servers are known
	STAILQ_HEAD(, early) early;
	unsigned nb_early;
	struct work_list asks, records;
	struct secrets *secrets; // being read
	const struct cfg *next_cfg; // of a reload that waits for them
	struct event *tick;
	struct ipc_radius_counts told; // what session knows
};

// sockets.c: UDP sockets of the host's network, of both families where the kernel has IPv6, with
// ports of the kernel's choice. 0 or -errno, logged.
int sockets_open(int *fds, unsigned nb);

// The UDP socket for dynamic authorisation, bound; answers know the address that was asked. The
// socket or -errno, logged.
int sockets_dynauth(const struct cfg_dynauth *conf);

// Those whose secrets were read.
struct secrets_result {
	struct exchange_server servers[EXCHANGE_SERVERS_MAX];
	size_t nb_servers;
	struct dynauth_client clients[DYNAUTH_CLIENTS_MAX];
	size_t nb_clients;
	char bad[IPC_NAME_LEN + 16]; // whose secret cannot be had, for people
};

// secrets.c: reads the secret of each server and client of `cfg` and then calls `done` with those
// that it has, and -errno when one of the secrets cannot be had. At most one at a time: a second
// call replaces the first, whose `done` is not called. The result is wiped after `done`. 0 or
// -errno.
typedef void (*secrets_done)(
	struct radius *radius, int status, const struct secrets_result *result);
int secrets_read(struct radius *radius, const struct cfg *cfg, secrets_done done);
void secrets_free(struct radius *radius);

// radius.c: of the configured servers' requests what all have: NAS-Identifier and the like.
const char *radius_nas_identifier(const struct radius *radius);
void radius_add_nas(struct radius *radius, struct rpacket *packet, const struct abi_addr *local);
// The name with the default realm where it has none. False: too long.
bool radius_user_name(const struct cfg *cfg, const char *name, char *out, size_t size);
struct abi_addr radius_addr(const struct cfg_addr *addr);

// ask.c: IPC_RADIUS_ASK. Non-zero: invalid.
int ask_begin(struct radius *radius, const struct ipc_radius_ask *msg);
// acct.c: IPC_ACCT. Non-zero: invalid.
int acct_begin(struct radius *radius, const struct ipc_acct *msg);

// radius.c
struct work *work_new(struct radius *radius, struct work_list *list, uint64_t req);
void work_free(struct work *work); // not its request
void works_cancel(struct work_list *list);
