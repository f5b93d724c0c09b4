// SPDX-License-Identifier: GPL-3.0-or-later
// The RADIUS process: start-up, configuration, messages. Run by child_main().
//
// It holds the shared secrets and the only sockets that lead to RADIUS servers, and the one that they
// may send requests to. It keeps nothing: auth asks again when it comes back, session sends each
// accounting record until it is told that a server has it, and servers ask again.
#include "radius.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "controlplane/proc/log.h"
#include "dataplane/abi/addr.h"

#define EARLY_MAX 4096u

// ---- requests of peers

struct work *work_new(struct radius *radius, struct work_list *list, uint64_t req) {
	struct work *work = calloc(1, sizeof(*work));
	if (work == NULL)
		return NULL;
	work->radius = radius;
	work->req = req;
	LIST_INSERT_HEAD(list, work, link);
	return work;
}

void work_free(struct work *work) {
	LIST_REMOVE(work, link);
	free(work);
}

void works_cancel(struct work_list *list) {
	while (!LIST_EMPTY(list)) {
		struct work *work = LIST_FIRST(list);
		exchange_cancel(work->request);
		work_free(work);
	}
}

// ---- requests that come before the secrets

static void early_free(struct radius *radius, struct early *early) {
	STAILQ_REMOVE(&radius->early, early, early, link);
	radius->nb_early--;
	explicit_bzero(early->msg, early->len);
	free(early);
}

static void early_drop(struct radius *radius, enum ipc_role from) {
	struct early *early, *next;
	for (early = STAILQ_FIRST(&radius->early); early != NULL; early = next) {
		next = STAILQ_NEXT(early, link);
		if (early->from == from)
			early_free(radius, early);
	}
}

// Beyond the limit a peer is not answered: it asks again, or gives up by itself.
static int early_keep(struct radius *radius, enum ipc_role from, const struct ipc_hdr *msg) {
	if (radius->nb_early == EARLY_MAX)
		return 0;
	struct early *early = malloc(sizeof(*early) + msg->len);
	if (early == NULL)
		return 0;
	early->from = from;
	early->len = msg->len;
	memcpy(early->msg, msg, msg->len);
	STAILQ_INSERT_TAIL(&radius->early, early, link);
	radius->nb_early++;
	return 0;
}

static int dispatch(struct radius *radius, const struct ipc_hdr *msg) {
	switch (msg->type) {
	case IPC_RADIUS_ASK:
		return ask_begin(radius, (const struct ipc_radius_ask *)msg);
	case IPC_ACCT:
		return acct_begin(radius, (const struct ipc_acct *)msg);
	case IPC_CHANGED:
		if (radius->dynauth == NULL)
			return -EINVAL;
		dynauth_changed(radius->dynauth, (const struct ipc_changed *)msg);
		return 0;
	default:
		return -EINVAL;
	}
}

// What is not valid is left unanswered: its sender could be told when it had sent it only.
static void early_run(struct radius *radius) {
	while (!STAILQ_EMPTY(&radius->early)) {
		struct early *early = STAILQ_FIRST(&radius->early);
		dispatch(radius, (const struct ipc_hdr *)early->msg);
		early_free(radius, early);
	}
}

// ---- what requests have in common

struct abi_addr radius_addr(const struct cfg_addr *addr) {
	struct abi_addr out = {{0}};
	if (addr->family == AF_INET6) {
		memcpy(out.bytes, addr->bytes, 16);
	} else if (addr->family == AF_INET) {
		out.bytes[10] = out.bytes[11] = 0xff;
		memcpy(out.bytes + 12, addr->bytes, 4);
	}
	return out;
}

const char *radius_nas_identifier(const struct radius *radius) {
	const struct cfg *cfg = child_cfg(radius->child);
	return cfg->radius.nas_identifier[0] != '\0' ? cfg->radius.nas_identifier
		: cfg->hostname[0] != '\0'	     ? cfg->hostname
						     : radius->hostname;
}

void radius_add_nas(struct radius *radius, struct rpacket *packet, const struct abi_addr *local) {
	const struct cfg *cfg = child_cfg(radius->child);
	struct abi_addr addr = radius_addr(&cfg->radius.nas_address);
	if (abi_addr_none(&addr))
		addr = *local;
	if (abi_addr_is4(&addr))
		rpacket_address(packet, RATTR_NAS_IP_ADDRESS, &addr);
	else if (!abi_addr_none(&addr))
		rpacket_address(packet, RATTR_NAS_IPV6_ADDRESS, &addr);
	rpacket_text(packet, RATTR_NAS_IDENTIFIER, radius_nas_identifier(radius));
}

bool radius_user_name(const struct cfg *cfg, const char *name, char *out, size_t size) {
	const char *realm = cfg->radius.default_realm;
	bool has_realm = realm[0] == '\0' || strchr(name, '@') != NULL;
	int len = snprintf(out, size, "%s%s%s", name, has_realm ? "" : "@", has_realm ? "" : realm);
	return len > 0 && (size_t)len < size;
}

// ---- configuration

static struct exchange_timing timing_of(const struct cfg *cfg) {
	return (struct exchange_timing){
		.timeout_ms = cfg->radius.timeout_ms,
		.tries = cfg->radius.tries,
		.dead_time_ms = cfg->radius.dead_time * 1000,
		.require_authenticator = cfg->radius.require_message_authenticator,
	};
}

static int use_secrets(
	struct radius *radius, const struct cfg *cfg, const struct secrets_result *result) {
	const struct exchange_timing timing = timing_of(cfg);
	int status = exchange_servers(
		radius->exchange, result->servers, result->nb_servers, &timing);
	if (status == 0 && radius->dynauth != NULL)
		dynauth_clients(radius->dynauth, result->clients, result->nb_clients);
	return status;
}

// What can be asked is asked, though a secret is missing: its message is in the log.
static void on_first_secrets(
	struct radius *radius, int status, const struct secrets_result *result) {
	if (use_secrets(radius, child_cfg(radius->child), result) < 0)
		child_exit(radius->child, EXIT_FAILURE);
	log_info("radius", "servers=%zu clients=%zu", result->nb_servers, result->nb_clients);
	radius->ready = true;
	early_run(radius);
}

static void on_next_secrets(
	struct radius *radius, int status, const struct secrets_result *result) {
	char text[2 * sizeof(result->bad)];
	if (status == 0)
		status = use_secrets(radius, radius->next_cfg, result);
	snprintf(text, sizeof(text), "the secret of RADIUS %s cannot be read: %s", result->bad,
		strerror(-status));
	radius->next_cfg = NULL;
	child_reload_done(radius->child, status, status < 0 ? text : NULL);
}

static int role_reload(struct child *child, const struct cfg *cfg, char *text, size_t len) {
	struct radius *radius = child_data(child);
	radius->next_cfg = cfg;
	int status = secrets_read(radius, cfg, on_next_secrets);
	return status < 0 ? status : -EINPROGRESS;
}

// ---- counters, for the CLI

static struct ipc_radius_count count_of(const struct radius *radius, enum exchange_kind kind) {
	const struct exchange_counts *counts = exchange_counts(radius->exchange, kind);
	return (struct ipc_radius_count){counts->sent, counts->resent, counts->answered,
		counts->unusable, counts->unexpected, counts->given_up};
}

static void tell_counts(struct radius *radius) {
	struct ipc_chan *session = child_peer(radius->child, IPC_SESSION, 0);
	struct ipc_radius_counts msg = {
		.auth = count_of(radius, EXCHANGE_AUTH), .acct = count_of(radius, EXCHANGE_ACCT)};
	if (radius->dynauth != NULL)
		dynauth_counts(radius->dynauth, &msg);
	if (session == NULL || memcmp(&msg, &radius->told, sizeof(msg)) == 0)
		return;
	radius->told = msg;
	ipc_send(session, IPC_RADIUS_COUNTS, &msg.hdr, sizeof(msg), NULL, 0);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
	tell_counts(arg);
}

// ---- life

static int role_prepare(struct child *child) {
	struct radius *radius = calloc(1, sizeof(*radius));
	if (radius == NULL)
		return -ENOMEM;
	radius->child = child;
	child_data_set(child, radius);
	LIST_INIT(&radius->asks);
	STAILQ_INIT(&radius->early);
	LIST_INIT(&radius->records);
	if (gethostname(radius->hostname, sizeof(radius->hostname) - 1) < 0)
		return -errno;
	int status = rpacket_init();
	if (status == 0)
		status = sockets_open(radius->fds, RADIUS_SOCKETS);
	radius->dynauth_fd = -1;
	if (status < 0 || child_cfg(child)->radius.dynauth.port == 0)
		return status;
	radius->dynauth_fd = sockets_dynauth(&child_cfg(child)->radius.dynauth);
	return radius->dynauth_fd < 0 ? radius->dynauth_fd : 0;
}

static int role_start(struct child *child) {
	static const struct timeval second = {.tv_sec = 1};
	struct radius *radius = child_data(child);
	radius->exchange = exchange_new(
		child_base(child), radius->fds, RADIUS_SOCKETS, RADIUS_AUTH_SOCKETS);
	radius->tick = event_new(child_base(child), -1, EV_PERSIST, on_tick, radius);
	if (radius->exchange == NULL || radius->tick == NULL ||
		event_add(radius->tick, &second) < 0)
		return -ENOMEM;
	if (radius->dynauth_fd >= 0) {
		radius->dynauth = dynauth_new(radius, radius->dynauth_fd);
		if (radius->dynauth == NULL)
			return -ENOMEM;
	}
	return secrets_read(radius, child_cfg(child), on_first_secrets);
}

static int role_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds) {
	struct radius *radius = child_data(child);
	return radius->ready ? dispatch(radius, msg) : early_keep(radius, ipc_chan_peer(from), msg);
}

static void role_peer_up(struct child *child, struct ipc_chan *peer) {
	struct radius *radius = child_data(child);
	if (ipc_chan_peer(peer) != IPC_SESSION)
		return;
	memset(&radius->told, 0, sizeof(radius->told));
	if (radius->exchange != NULL)
		tell_counts(radius);
	if (radius->dynauth != NULL)
		dynauth_session_up(radius->dynauth);
}

// Its successor must not get answers to what it never asked.
static void role_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	struct radius *radius = child_data(child);
	early_drop(radius, role);
	works_cancel(role == IPC_AUTH ? &radius->asks : &radius->records);
}

static void role_stop(struct child *child) {
	struct radius *radius = child_data(child);
	early_drop(radius, IPC_AUTH);
	early_drop(radius, IPC_SESSION);
	works_cancel(&radius->asks);
	works_cancel(&radius->records);
	secrets_free(radius);
	dynauth_free(radius->dynauth);
	exchange_free(radius->exchange);
	event_free(radius->tick);
	rpacket_fini();
	free(radius);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role radius_role = {
	.role = IPC_RADIUS,
	.name = "radius",
	.prepare = role_prepare,
	.start = role_start,
	.reload = role_reload,
	.message = role_message,
	.peer_up = role_peer_up,
	.peer_down = role_peer_down,
	.stop = role_stop,
};
