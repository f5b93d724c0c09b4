// SPDX-License-Identifier: GPL-3.0-or-later
// The auth process: keys, passwords and cookies, for the edges that must not hold them. The hooks
// that child_main() calls.

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "certset.h"
#include "content.h"
#include "controlplane/proc/child.h"
#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"
#include "login.h"
#include "sign_limit.h"
#include "tickets.h"

#define WAITING_MAX 1024u
#define REFUSED_SAID_S 10 // one line of an edge in so many seconds

struct auth {
	struct logins *logins;
	struct tickets *tickets;
	// Handshakes that began with the certificates of before a reload are signed with theirs.
	struct certset *current, *previous;
	// Asked before the first set was there: an edge that survived this process' predecessor.
	STAILQ_HEAD(, waiting_sign) waiting;
	unsigned nb_waiting;
	struct sign_limits *limits;
	uint64_t refused_said_s[ABI_EDGES_MAX];
	uint64_t breaches; // requests that ended their edge
};

struct waiting_sign {
	STAILQ_ENTRY(waiting_sign) next;
	unsigned edge;
	struct ipc_sign_req msg;
};

static int on_sign(struct child *child, struct ipc_chan *edge, const struct ipc_sign_req *msg);

static void certs_send(struct auth *auth, struct ipc_chan *edge) {
	const struct certset *set = auth->current;
	struct ipc_certs *msg;

	if (set == NULL)
		return; // sent when it is there
	msg = calloc(1, sizeof(*msg));
	if (msg == NULL)
		return;
	for (size_t i = 0; i < set->nb_pairs; i++) {
		msg->generation = set->generation;
		msg->index = (uint32_t)i;
		msg->total = (uint32_t)set->nb_pairs;
		cert_pair_describe(set->pairs[i], msg);
		if (ipc_send(edge, IPC_CERTS, &msg->hdr, sizeof(*msg), NULL, 0) != 0)
			log_error("certificates", "edge=%u text=\"cannot be sent\"",
				ipc_chan_peer_index(edge));
	}
	free(msg);
}

static void waiting_answer(struct child *child) {
	struct auth *auth = child_data(child);
	struct waiting_sign *waiting;

	while ((waiting = STAILQ_FIRST(&auth->waiting)) != NULL) {
		struct ipc_chan *edge = child_peer(child, IPC_EDGE, waiting->edge);

		STAILQ_REMOVE_HEAD(&auth->waiting, next);
		auth->nb_waiting--;
		// An edge that asks for nonsense here merely gets no answer.
		if (edge != NULL && auth->current != NULL)
			on_sign(child, edge, &waiting->msg);
		free(waiting);
	}
}

// An edge that is gone: its successor must not get the answers.
static void waiting_drop(struct auth *auth, unsigned edge) {
	struct waiting_sign *waiting;

	STAILQ_FOREACH(waiting, &auth->waiting, next) {
		if (waiting->edge == edge)
			waiting->edge = ABI_EDGES_MAX;
	}
}

static int waiting_keep(struct auth *auth, unsigned edge, const struct ipc_sign_req *msg) {
	struct waiting_sign *waiting;

	if (auth->nb_waiting >= WAITING_MAX)
		return -ENOBUFS;
	waiting = malloc(sizeof(*waiting));
	if (waiting == NULL)
		return -ENOMEM;
	waiting->edge = edge;
	waiting->msg = *msg;
	STAILQ_INSERT_TAIL(&auth->waiting, waiting, next);
	auth->nb_waiting++;
	return 0;
}

static void set_use(struct child *child, struct certset *set) {
	struct auth *auth = child_data(child);

	certset_free(auth->previous);
	auth->previous = auth->current;
	auth->current = set;
	log_info("certificates", "generation=%08x count=%zu", set->generation, set->nb_pairs);
	for (unsigned i = 0; i < ABI_EDGES_MAX; i++) {
		struct ipc_chan *edge = child_peer(child, IPC_EDGE, i);

		if (edge != NULL)
			certs_send(auth, edge);
	}
	waiting_answer(child);
}

static void on_first_set(struct child *child, struct certset *set, const char *text) {
	if (set != NULL) {
		set_use(child, set);
		return;
	}
	log_error("certificates", "text=%s", log_value(text));
	child_exit(child, EXIT_FAILURE);
}

// The cookie secret has come, or a ticket may have another life by the new configuration.
static void on_secret_ready(struct child *child) {
	struct auth *auth = child_data(child);

	tickets_update(auth->tickets, logins_cookie_secret(auth->logins));
}

static void on_reloaded_set(struct child *child, struct certset *set, const char *text) {
	if (set != NULL)
		set_use(child, set);
	child_reload_done(child, set != NULL ? 0 : -EINVAL, text);
	if (set == NULL)
		return;
	on_secret_ready(child);
	logins_reloaded(((struct auth *)child_data(child))->logins);
}

static int auth_start(struct child *child) {
	struct auth *auth = calloc(1, sizeof(*auth));
	int err;

	if (auth == NULL || wolfSSL_Init() != WOLFSSL_SUCCESS) {
		free(auth);
		return -ENOMEM;
	}
	STAILQ_INIT(&auth->waiting);
	child_data_set(child, auth);
	auth->tickets = tickets_new(child);
	auth->limits = sign_limits_new();
	err = auth->tickets != NULL && auth->limits != NULL
		? logins_start(child, on_secret_ready, &auth->logins)
		: -ENOMEM;
	if (err != 0) {
		log_error("start", "text=%s", log_value(strerror(-err)));
		return err;
	}
	certset_load(child, child_cfg(child), on_first_set);
	return 0;
}

static int auth_reload(struct child *child, const struct cfg *cfg, char *text, size_t len) {
	certset_load(child, cfg, on_reloaded_set);
	return -EINPROGRESS;
}

static struct cert_pair *pair_find(struct auth *auth, uint32_t generation, uint32_t index) {
	struct certset *sets[] = {auth->current, auth->previous};

	for (size_t i = 0; i < 2; i++) {
		if (sets[i] != NULL && sets[i]->generation == generation)
			return index < sets[i]->nb_pairs ? sets[i]->pairs[index] : NULL;
	}
	return NULL;
}

static void say_refused(struct auth *auth, unsigned edge, const char *why) {
	uint64_t now_s = clock_s();

	if (now_s < auth->refused_said_s[edge] + REFUSED_SAID_S)
		return;
	auth->refused_said_s[edge] = now_s;
	log_warning("sign_refused", "edge=%u why=%s too_many=%lu", edge, log_value(why),
		sign_limits_refused(auth->limits, edge));
}

// What the configuration does not let edges agree to. A reload may be between the two.
static const char *not_agreed(const struct cfg *cfg, const struct ipc_sign_req *msg) {
	if (msg->content == IPC_CONTENT_TLS13)
		return cfg->tls13 ? NULL : "TLS 1.3 is off";
	if (!cfg->tls12)
		return "TLS 1.2 is off";
	return cfg->tls13 && !content_admits_tls13(msg) ? "hides that TLS 1.3 is on" : NULL;
}

// 0, a refusal that the edge is told, or -EINVAL, which ends it.
static int sign(struct child *child, unsigned edge, const struct ipc_sign_req *msg,
	struct ipc_signed *out) {
	struct auth *auth = child_data(child);
	struct cert_pair *pair = pair_find(auth, msg->generation, msg->index);
	struct content content;
	const char *why;
	int err;

	if (content_make(msg, &content) != 0)
		return -EINVAL;
	err = sign_limits_take(
		auth->limits, edge, msg->handshake, child_cfg(child)->signature_rate, clock_ms());
	if (err == -EEXIST)
		return -EINVAL;
	why = err == -EBUSY ? "too many a second" : not_agreed(child_cfg(child), msg);
	if (why != NULL)
		say_refused(auth, edge, why);
	if (err != 0 || why != NULL)
		return err != 0 ? err : -EPERM;
	// A set that is no longer known: the edge may have been slow.
	return pair != NULL ? cert_pair_sign(pair, msg, out) : -ESTALE;
}

// What is no handshake of a TLS server, or one that was signed before, ends the edge.
static int on_sign(struct child *child, struct ipc_chan *edge, const struct ipc_sign_req *msg) {
	struct auth *auth = child_data(child);
	unsigned index = ipc_chan_peer_index(edge);
	struct ipc_signed out = {.status = 0};
	int err;

	if (auth->current == NULL && waiting_keep(auth, index, msg) == 0)
		return 0;
	err = sign(child, index, msg, &out);
	if (err == -EINVAL) {
		log_error("sign_breach",
			"edge=%u kind=%u content=%u len=%u handshake=%lu breaches=%lu", index,
			msg->kind, msg->content, msg->in_len, msg->handshake, ++auth->breaches);
		return err;
	}
	out.hdr.req = msg->hdr.req;
	out.status = err;
	ipc_send(edge, IPC_SIGNED, &out.hdr, sizeof(out), NULL, 0);
	explicit_bzero(&out, sizeof(out));
	return 0;
}

static int auth_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds) {
	struct auth *auth = child_data(child);

	switch (msg->type) {
	case IPC_SIGN:
		return on_sign(child, from, (const struct ipc_sign_req *)msg);
	case IPC_LOGIN:
		return logins_login(auth->logins, from, (const struct ipc_login *)msg);
	case IPC_LOGIN_TOKEN:
		return logins_login_token(auth->logins, from, (const struct ipc_login_token *)msg);
	case IPC_LOGIN_CERT:
		return logins_login_cert(auth->logins, from, (const struct ipc_login_cert *)msg);
	case IPC_CONNECT:
		return logins_connect(auth->logins, from, (const struct ipc_connect *)msg);
	case IPC_SESSION_CREATED:
		return logins_created(auth->logins, (const struct ipc_session_created *)msg);
	default:
		return logins_factor_message(auth->logins, msg);
	}
}

static void auth_peer_up(struct child *child, struct ipc_chan *peer) {
	struct auth *auth = child_data(child);

	if (ipc_chan_peer(peer) == IPC_EDGE) {
		sign_limits_reset(auth->limits, ipc_chan_peer_index(peer));
		tickets_send(auth->tickets, peer);
		certs_send(auth, peer);
	} else if (ipc_chan_peer(peer) == IPC_SESSION) {
		logins_session_up(auth->logins);
	}
	logins_peer_up(auth->logins, ipc_chan_peer(peer));
}

static void auth_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	struct auth *auth = child_data(child);

	if (role != IPC_EDGE)
		return;
	waiting_drop(auth, index);
	logins_edge_down(auth->logins, index);
}

static void auth_stop(struct child *child) {
	struct auth *auth = child_data(child);

	tickets_free(auth->tickets);
	logins_free(auth->logins);
	for (unsigned i = 0; i < ABI_EDGES_MAX; i++)
		waiting_drop(auth, i);
	waiting_answer(child);
	certset_free(auth->previous);
	certset_free(auth->current);
	sign_limits_free(auth->limits);
	free(auth);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role auth_role = {
	.role = IPC_AUTH,
	.name = "auth",
	.start = auth_start,
	.reload = auth_reload,
	.message = auth_message,
	.peer_up = auth_peer_up,
	.peer_down = auth_peer_down,
	.stop = auth_stop,
};
