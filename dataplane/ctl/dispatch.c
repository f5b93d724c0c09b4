// SPDX-License-Identifier: GPL-3.0-or-later
// Does the commands of the control plane: a slot is copied, wiped, checked, then acted on. Called
// by the control loop.
#include "dataplane/ctl/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "dataplane/ctl/count.h"
#include "dataplane/ctl/dump.h"
#include "dataplane/ctl/iroutes.h"
#include "dataplane/ctl/validate.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/filter.h"
#include "dataplane/table/session.h"

#define UPDATES_MAX 1024u // policies that workers have not taken yet

// A change of policy on its way to the session's owner.
struct update {
	struct dp_message message;
	struct abi_sid sid;
	struct abi_policy policy;
	SLIST_ENTRY(update) next;
};

static SLIST_HEAD(, update) updates = SLIST_HEAD_INITIALIZER(updates);
static unsigned nb_updates;

static int session_del(const struct abi_cmd *cmd) {
	struct dp_session *session = dp_session_get(cmd->sid);

	if (session == NULL)
		return -ESTALE;
	dp_stream_detach(session, (enum abi_end)cmd->session_del.reason);
	ctl_iroutes_clear(cmd->sid);
	return dp_session_del(cmd->sid, (enum abi_end)cmd->session_del.reason);
}

static int stream_set(const struct abi_cmd *cmd) {
	int fd = ctl_token_take(cmd->stream_set.token);
	struct dp_session *session = dp_session_get(cmd->sid);
	int rc;

	if (fd < 0)
		return session == NULL ? -ESTALE : -EBADF;
	rc = session != NULL ? dp_stream_attach(session, fd, &cmd->stream_set) : -ESTALE;
	if (rc != 0) {
		close(fd);
		return rc;
	}
	// the client just came by this way; DTLS takes over with its first authentic record
	atomic_store_explicit(&session->tx_channel, 1, memory_order_relaxed);
	return 0;
}

static int dtls_set(const struct abi_cmd *cmd) {
	struct dp_session *session = dp_session_get(cmd->sid);
	int rc;

	if (session == NULL)
		return -ESTALE;
	if (session->flags & ABI_POLICY_NO_DTLS)
		return -EPERM;
	rc = dp_session_dtls_set(cmd);
	if (rc != -ENOSPC)
		return rc;
	// sessions that came and went faster than grace periods end hold the keys
	dp_reclaim_flush();
	return dp_session_dtls_set(cmd);
}

// Runs on the owner.
static void run_update(struct dp_message *message) {
	const struct update *update = message->arg;
	struct dp_session *session = dp_session_get(update->sid);
	struct dp_dtls *dtls;

	if (session == NULL)
		return;
	dp_session_policy_set(session, &update->policy);
	session->started = rte_rdtsc(); // session_timeout_s is what is left from now on
	dtls = atomic_load_explicit(&session->dtls, memory_order_acquire);
	if (dtls != NULL)
		dtls->outer.epoch = 0; // DSCP is in the headers
}

static void updates_free(void) {
	struct update *update = SLIST_FIRST(&updates), *next;

	for (; update != NULL; update = next) {
		next = SLIST_NEXT(update, next);
		if (!atomic_load_explicit(&update->message.done, memory_order_acquire))
			continue;
		SLIST_REMOVE(&updates, update, update, next);
		free(update);
		nb_updates--;
	}
}

static int session_update(const struct abi_cmd *cmd) {
	struct dp_session *session = dp_session_get(cmd->sid);
	struct dp_filter *filter = NULL;
	struct update *update;
	int rc;

	if (session == NULL)
		return -ESTALE;
	if (nb_updates >= UPDATES_MAX)
		updates_free();
	if (nb_updates >= UPDATES_MAX)
		return -EAGAIN;
	update = calloc(1, sizeof(*update));
	if (update == NULL)
		return -ENOMEM;
	update->message = (struct dp_message){.run = run_update, .arg = update};
	update->sid = cmd->sid;
	update->policy = cmd->policy;
	if (cmd->policy.filter != 0) {
		filter = dp_filter_get(cmd->policy.filter);
		if (filter == NULL) {
			free(update);
			return -ENOENT;
		}
	}
	rc = dp_message_send(&dp_lcores[session->owner], &update->message);
	if (rc != 0) {
		dp_filter_put(filter);
		free(update);
		return rc;
	}
	dp_session_filter_set(session, filter);
	if (session->dscp != cmd->policy.dscp) {
		session->dscp = cmd->policy.dscp;
		dp_stream_dscp(session);
	}
	SLIST_INSERT_HEAD(&updates, update, next);
	nb_updates++;
	return 0;
}

static int command(const struct abi_cmd *cmd) {
	int rc = dp_cmd_validate(cmd);

	if (rc != 0) {
		ctl_count(ABI_C_abi_bad_cmd, 1);
		return rc;
	}
	switch (cmd->type) {
	case ABI_CMD_SESSION_ADD:
		rc = dp_session_add(cmd);
		break;
	case ABI_CMD_SESSION_DEL:
		rc = session_del(cmd);
		break;
	case ABI_CMD_STREAM_SET:
		rc = stream_set(cmd);
		break;
	case ABI_CMD_DTLS_SET:
		rc = dtls_set(cmd);
		break;
	case ABI_CMD_SESSION_UPDATE:
		rc = session_update(cmd);
		break;
	case ABI_CMD_DUMP:
		ctl_dump_start();
		break;
	case ABI_CMD_FILTER_ADD:
		rc = dp_filter_add(&cmd->filter_add);
		break;
	case ABI_CMD_IROUTES_SET:
		rc = ctl_iroutes_set(cmd);
		break;
	case ABI_CMD_FILTER_DEL:
		rc = dp_filter_del(cmd->filter_del.filter);
		break;
	default:
		rc = -EOPNOTSUPP;
	}
	if (rc == -ESTALE)
		ctl_count(ABI_C_abi_stale, 1);
	dp_stats->sessions = dp_session_count();
	return rc;
}

bool ctl_dispatch(struct ctl_peer *peer, unsigned budget, bool *stalled) {
	struct abi_cmd cmd;
	unsigned done = 0;
	int rc = 0;

	*stalled = false;
	while (done < budget) {
		struct abi_cpl cpl;

		// never a command without room for its completion
		if (abi_ring_count(&peer->out, true) >= ABI_CPL_SLOTS) {
			*stalled = true;
			break;
		}
		rc = abi_ring_pop(&peer->in, &cmd, true);
		if (rc != 0)
			break;
		cpl = (struct abi_cpl){.id = cmd.id, .sid = cmd.sid};
		cpl.status = command(&cmd);
		explicit_bzero(&cmd, sizeof(cmd));
		done++;
		rc = abi_ring_push(&peer->out, &cpl);
		if (rc != 0)
			break;
	}
	if (done > 0)
		abi_ring_notify(&peer->out);
	if (rc == -EPIPE || peer->out.broken) {
		ctl_peer_close(peer);
		return false;
	}
	return rc == 0 && !*stalled;
}

void ctl_dispatch_tick(void) {
	updates_free();
}

void ctl_dispatch_fini(void) {
	struct update *update;

	while ((update = SLIST_FIRST(&updates)) != NULL) {
		SLIST_REMOVE_HEAD(&updates, next);
		free(update);
	}
	nb_updates = 0;
	ctl_iroutes_fini();
}
