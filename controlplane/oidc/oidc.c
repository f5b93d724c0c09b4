// SPDX-License-Identifier: GPL-3.0-or-later
// The OpenID Connect process: tokens from auth, and the keys they are checked with. Run by
// child_main().
//
// It has the way to the provider and no secret of the gateway. It parses what anybody on the
// network may have sent, so it holds nothing else; what it says of a token, auth believes.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/auth/files.h"
#include "controlplane/proc/child.h"
#include "controlplane/proc/log.h"
#include "jwks.h"
#include "token.h"

#define CA_FILE_MAX (4u << 20)
#define WAITING_MAX 1024u

// A token whose key is not there yet.
struct waiting {
	STAILQ_ENTRY(waiting) link;
	struct ipc_oidc_ask msg;
};

struct oidc {
	struct child *child;
	struct fetch *fetch;
	struct jwks *jwks;
	const struct cfg *next_cfg; // of the reload at hand
	STAILQ_HEAD(, waiting) waiting;
	unsigned nb_waiting;
	bool configured; // before, tokens wait for the first keys
};

// ---- tokens

static enum ipc_oidc_status check(
	struct oidc *oidc, const struct ipc_oidc_ask *msg, struct ipc_oidc_answer *answer) {
	return oidc_token_check(&child_cfg(oidc->child)->oidc, jwks_keys(oidc->jwks), msg->token,
		msg->token_len, time(NULL), answer->username, answer->groups);
}

static void reply(struct oidc *oidc, const struct ipc_oidc_ask *msg, enum ipc_oidc_status status,
	struct ipc_oidc_answer *answer) {
	struct ipc_chan *auth = child_peer(oidc->child, IPC_AUTH, 0);

	answer->hdr.req = msg->hdr.req;
	answer->status = status;
	if (auth != NULL)
		ipc_send(auth, IPC_OIDC_ANSWER, &answer->hdr, sizeof(*answer), NULL, 0);
	explicit_bzero(answer, sizeof(*answer));
}

// Without keys, or while the provider cannot be asked for the one that is missing, nobody knows.
static enum ipc_oidc_status without_key(const struct oidc *oidc) {
	return jwks_keys(oidc->jwks) == NULL || jwks_is_stale(oidc->jwks) ? IPC_OIDC_UNAVAILABLE
									  : IPC_OIDC_UNKNOWN_KEY;
}

static bool wait_for_key(struct oidc *oidc, const struct ipc_oidc_ask *msg) {
	struct waiting *waiting;

	if (oidc->nb_waiting >= WAITING_MAX || (oidc->configured && !jwks_want(oidc->jwks)))
		return false;
	waiting = malloc(sizeof(*waiting));
	if (waiting == NULL)
		return false;
	waiting->msg = *msg;
	STAILQ_INSERT_TAIL(&oidc->waiting, waiting, link);
	oidc->nb_waiting++;
	return true;
}

static struct waiting *waiting_pop(struct oidc *oidc) {
	struct waiting *waiting = STAILQ_FIRST(&oidc->waiting);

	STAILQ_REMOVE_HEAD(&oidc->waiting, link);
	oidc->nb_waiting--;
	return waiting;
}

static void waiting_free(struct waiting *waiting) {
	explicit_bzero(waiting, sizeof(*waiting));
	free(waiting);
}

static int on_ask(struct oidc *oidc, const struct ipc_oidc_ask *msg) {
	struct ipc_oidc_answer answer = {0};
	enum ipc_oidc_status status;

	if (msg->token_len > IPC_TOKEN_LEN)
		return -EINVAL;
	status = check(oidc, msg, &answer);
	if (status == IPC_OIDC_UNKNOWN_KEY) {
		if (wait_for_key(oidc, msg))
			return 0;
		status = without_key(oidc);
	}
	reply(oidc, msg, status, &answer);
	return 0;
}

// A fetch has ended: what waited for it is checked once more.
static void on_keys(void *arg) {
	struct oidc *oidc = arg;

	for (unsigned left = oidc->nb_waiting; left > 0; left--) {
		struct waiting *waiting = waiting_pop(oidc);
		struct ipc_oidc_answer answer = {0};
		enum ipc_oidc_status status = check(oidc, &waiting->msg, &answer);

		if (status == IPC_OIDC_UNKNOWN_KEY)
			status = without_key(oidc);
		reply(oidc, &waiting->msg, status, &answer);
		waiting_free(waiting);
	}
}

// ---- configuration

static int authorities_use(struct oidc *oidc, int fd) {
	char *pem = NULL;
	size_t len;
	int err = fd < 0 ? fd : file_read(fd, CA_FILE_MAX, &pem, &len);

	if (fd >= 0)
		close(fd);
	if (err == 0)
		err = fetch_authorities_set(oidc->fetch, pem, len);
	free(pem);
	if (err != 0)
		log_error("oidc_ca_file", "text=%s", log_value(strerror(-err)));
	return err;
}

// Without the file no server can be trusted: fetches fail, and say so.
static void on_first_authorities(struct child *child, int fd, void *arg) {
	struct oidc *oidc = arg;

	authorities_use(oidc, fd);
	oidc->configured = true;
	jwks_configure(oidc->jwks, &child_cfg(child)->oidc);
}

static void on_next_authorities(struct child *child, int fd, void *arg) {
	struct oidc *oidc = arg;
	const struct cfg *cfg = oidc->next_cfg;
	int err = cfg->oidc.issuer[0] != '\0' ? authorities_use(oidc, fd) : 0;

	oidc->next_cfg = NULL;
	child_reload_done(child, err, err != 0 ? "oidc/ca-file cannot be read" : NULL);
	if (err == 0)
		jwks_configure(oidc->jwks, &cfg->oidc);
}

// What the process was started for may be gone from the configuration: it stays, and is idle.
static int role_reload(struct child *child, const struct cfg *cfg, char *text, size_t len) {
	struct oidc *oidc = child_data(child);
	int err;

	oidc->next_cfg = cfg;
	if (cfg->oidc.issuer[0] == '\0') {
		on_next_authorities(child, -1, oidc);
		return -EINPROGRESS;
	}
	err = child_file_open(child, IPC_FILE_OIDC_CA, 0, on_next_authorities, oidc);
	return err < 0 ? err : -EINPROGRESS;
}

// ---- life

static int role_prepare(struct child *child) {
	struct oidc *oidc = calloc(1, sizeof(*oidc));

	if (oidc == NULL)
		return -ENOMEM;
	oidc->child = child;
	STAILQ_INIT(&oidc->waiting);
	child_data_set(child, oidc);
	oidc_token_init();
	oidc->fetch = fetch_new(child_base(child));
	return oidc->fetch != NULL ? 0 : -ENOMEM;
}

static int role_start(struct child *child) {
	struct oidc *oidc = child_data(child);

	oidc->jwks = jwks_new(child_base(child), oidc->fetch, on_keys, oidc);
	return oidc->jwks != NULL
		? child_file_open(child, IPC_FILE_OIDC_CA, 0, on_first_authorities, oidc)
		: -ENOMEM;
}

static int role_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds) {
	return msg->type == IPC_OIDC_ASK
		? on_ask(child_data(child), (const struct ipc_oidc_ask *)msg)
		: -EINVAL;
}

static void waiting_drop(struct oidc *oidc) {
	while (oidc->nb_waiting > 0)
		waiting_free(waiting_pop(oidc));
}

// Its successor must not get answers to what it never asked.
static void role_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	waiting_drop(child_data(child));
}

static void role_stop(struct child *child) {
	struct oidc *oidc = child_data(child);

	waiting_drop(oidc);
	fetch_cancel(oidc->fetch);
	jwks_free(oidc->jwks);
	fetch_free(oidc->fetch);
	free(oidc);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role oidc_role = {
	.role = IPC_OIDC,
	.name = "oidc",
	.prepare = role_prepare,
	.start = role_start,
	.reload = role_reload,
	.message = role_message,
	.peer_down = role_peer_down,
	.stop = role_stop,
};
