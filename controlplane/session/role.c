// SPDX-License-Identifier: GPL-3.0-or-later
// The session process: start-up, messages, the store's directory. Run by child_main().
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "controlplane/proc/child.h"
#include "controlplane/proc/log.h"
#include "controlplane/proc/sandbox.h"
#include "controlplane/session/lmdb_status.h"
#include "controlplane/session/otp_store.h"
#include "controlplane/session/sessions.h"
#include "controlplane/session/store_file.h"

// Of the file for each session, copies on write, leases and accounting records included; and for what
// is there however few sessions there are.
#define RECORD_BYTES 8192u
#define STORE_SPARE_BYTES (ACCOUNTING_KEPT_MIN * (size_t)2048)

struct role {
	struct child *child;
	struct store *store; // until the manager has it
	struct otp_store *otp;
	struct session_mgr *mgr;
	char damage[64]; // of the file of sessions; empty: none
	char otp_damage[64];
};

static int role_send(enum ipc_role to, unsigned index, enum ipc_type type, struct ipc_hdr *msg,
	size_t len, void *arg) {
	struct role *role = arg;
	struct ipc_chan *chan = to == IPC_SUPERVISOR ? child_supervisor(role->child)
						     : child_peer(role->child, to, index);

	// The asker is gone: so is its question.
	if (!chan)
		return -ENOTCONN;
	return ipc_send(chan, type, msg, len, NULL, 0);
}

// Only a new process can open files for writing: the dataplane and the clients wait for it.
static void role_reopen(void *arg) {
	log_info("store_reopen", "text=\"this process starts anew, to try to write\"");
	child_exit(((struct role *)arg)->child, EXIT_FAILURE);
}

static void role_dataplane_lost(void *arg) {
	child_dataplane_lost(((struct role *)arg)->child);
}

static void role_pending(void *arg) {
	struct role *role = arg;

	// After everything that is ready in this pass: one commit for all of it.
	if (role->mgr)
		event_active(role->mgr->commit_event, EV_TIMEOUT, 0);
}

static struct role *role_get(struct child *child) {
	struct role *role = child_data(child);

	if (role)
		return role;
	role = calloc(1, sizeof(*role));
	if (!role)
		return NULL;
	role->child = child;
	child_data_set(child, role);
	return role;
}

// LMDB believes what stands in a file. So a process of its own, with our rights and nothing to lose,
// walks through it first: a file that ends it would end us too, again and again.
static void examine(int dir_fd, const char *name) {
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sandbox_drop(IPC_SESSION, dir_fd, 64) != 0)
		_exit(0);
	rc = store_file_check(name);
	_exit(rc == 0 || lmdb_status(rc) == -EROFS ? 0 : 1);
}

static void damage_find(int dir_fd, const char *name, char *damage, size_t size) {
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		examine(dir_fd, name);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		log_warning("store_check", "file=session/%s error=%s", name,
			log_value(strerror(errno)));
		return;
	}
	if (WIFSIGNALED(status))
		snprintf(damage, size, "reading it ends a process by SIG%s",
			sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		snprintf(damage, size, "it is damaged");
}

static int role_prepare(struct child *child) {
	struct role *role = role_get(child);
	int dir_fd = child_state_dir(child);

	if (!role)
		return -ENOMEM;
	if (dir_fd < 0)
		return 0;
	damage_find(dir_fd, STORE_FILE, role->damage, sizeof(role->damage));
	damage_find(dir_fd, OTP_STORE_FILE, role->otp_damage, sizeof(role->otp_damage));
	return 0;
}

// Before the sandbox: the only moment in which files can be opened by name.
static void role_state_dir(struct child *child, int fd) {
	struct role *role = role_get(child);
	const struct cfg *cfg = child_cfg(child);
	struct store_hooks hooks = {role_pending, role};
	uint32_t sessions = cfg->dataplane.sessions_max;
	int ret;

	if (!sessions || sessions > ABI_SESSIONS_MAX)
		sessions = ABI_SESSIONS_MAX;
	ret = role ? 0 : -ENOMEM;
	if (ret == 0 && role->damage[0])
		ret = store_file_set_aside(fd, STORE_FILE, role->damage);
	if (ret == 0)
		ret = store_open(&role->store, fd,
			(size_t)sessions * RECORD_BYTES + STORE_SPARE_BYTES, &hooks);
	if (ret == 0) {
		role->otp = otp_store_open(fd, role->otp_damage[0] ? role->otp_damage : NULL);
		ret = role->otp ? 0 : -ENOMEM;
	}
	if (ret != 0) {
		log_error("state_dir", "error=%s", log_value(strerror(-ret)));
		child_exit(child, EXIT_FAILURE);
	}
}

static void fail(struct child *child, const char *what, int status) {
	log_error(what, "error=%s", log_value(strerror(-status)));
	child_exit(child, EXIT_FAILURE);
}

static int read_secret(int fd, uint8_t secret[STORE_SECRET_LEN]) {
	ssize_t len = pread(fd, secret, STORE_SECRET_LEN, 0);

	return len == (ssize_t)STORE_SECRET_LEN ? 0 : -EBADF;
}

static void on_secret(struct child *child, int fd, void *arg) {
	struct role *role = arg;
	uint8_t secret[STORE_SECRET_LEN];
	struct store *store = role->store;
	int ret = fd < 0 ? fd : read_secret(fd, secret);

	if (fd >= 0)
		close(fd);
	if (ret == 0)
		ret = store_secret_set(store, secret);
	explicit_bzero(secret, sizeof(secret));
	if (ret == 0) {
		role->store = NULL;
		ret = session_mgr_load(role->mgr, store);
	}
	if (ret != 0) {
		fail(child, "store_load", ret);
		return;
	}
	reconcile_start(role->mgr);
	session_held_run(role->mgr);
}

static void on_share_secret(struct child *child, int fd, void *arg) {
	struct role *role = arg;
	uint8_t secret[STORE_SECRET_LEN];
	int ret = fd < 0 ? fd : read_secret(fd, secret);

	if (fd >= 0)
		close(fd);
	if (ret == 0)
		share_key_set(role->mgr, secret);
	else
		fail(child, "share_secret", ret);
	explicit_bzero(secret, sizeof(secret));
}

static void role_otp_send(struct ipc_otp_answer *msg, void *arg) {
	role_send(IPC_AUTH, 0, IPC_OTP_ANSWER, &msg->hdr, sizeof(*msg), arg);
}

static int role_start(struct child *child) {
	struct role *role = role_get(child);
	struct session_mgr_opts opts = {
		.base = child_base(child),
		.cfg = child_cfg(child),
		.send = role_send,
		.dataplane_lost = role_dataplane_lost,
		.reopen = role_reopen,
		.arg = role,
	};

	if (!role || !role->store) {
		log_error("start", "error=no-state-directory");
		return -ENOENT;
	}
	role->mgr = session_mgr_new(&opts);
	if (!role->mgr || otp_store_start(role->otp, opts.base, role_otp_send, role) != 0)
		return -ENOMEM;
	if (role->mgr->share &&
		child_file_open(child, IPC_FILE_SHARE_SECRET, 0, on_share_secret, role) != 0)
		return -ENOMEM;
	return child_file_open(child, IPC_FILE_STORE_SECRET, 0, on_secret, role);
}

static int role_reload(struct child *child, const struct cfg *cfg, char *text, size_t len) {
	struct role *role = child_data(child);

	if (role && role->mgr)
		session_mgr_cfg(role->mgr, cfg, text, len);
	return 0;
}

static void reload_result(struct session_mgr *mgr, const struct ipc_status *msg) {
	struct session_reload reload = mgr->reload;

	if (!reload.done || !memchr(msg->text, 0, sizeof(msg->text)))
		return;
	memset(&mgr->reload, 0, sizeof(mgr->reload));
	reload.done(msg->status, msg->text, reload.arg);
}

static int role_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds) {
	struct role *role = child_data(child);
	struct session_mgr *mgr = role->mgr;
	unsigned index = ipc_chan_peer_index(from);

	if (!mgr)
		return 0;
	switch (msg->type) {
	case IPC_SESSION_NEW:
		return session_login(mgr, (const struct ipc_session_new *)msg);
	case IPC_OTP_ASK:
		otp_store_ask(role->otp, (const struct ipc_otp_ask *)msg);
		return 0;
	case IPC_SESSION_CONNECT:
		return session_connect(mgr, (const struct ipc_connect *)msg);
	case IPC_STREAM_UP:
		return session_stream_up(mgr, index, (const struct ipc_stream_up *)msg, fds[0]);
	case IPC_DTLS_QUERY:
		return session_dtls_query(mgr, index, (const struct ipc_dtls_query *)msg);
	case IPC_DTLS_UP:
		return session_dtls_up(mgr, index, (const struct ipc_dtls_up *)msg);
	case IPC_MAINTENANCE:
		session_maintenance(mgr, (const struct ipc_maintenance *)msg);
		return 0;
	case IPC_SCRIPT_DONE:
		return scripts_done(mgr, (const struct ipc_script_done *)msg);
	case IPC_WRONG_PASSWORD:
		return guard_wrong_password(mgr->guard, (const struct ipc_wrong_password *)msg);
	case IPC_USERS_CHANGED:
		removed_changed(mgr);
		return 0;
	case IPC_USERS_ANSWER:
		return removed_answer(mgr, (const struct ipc_users_answer *)msg);
	case IPC_CONTACTS:
		return guard_contacts(mgr->guard, (const struct ipc_contacts *)msg);
	case IPC_BANS:
		return guard_bans(mgr->guard, (const struct ipc_bans *)msg);
	case IPC_ACCT_DONE:
		return accounting_done(mgr, (const struct ipc_acct_done *)msg);
	case IPC_CHANGE:
		return change_begin(mgr, (const struct ipc_change *)msg);
	case IPC_RADIUS_COUNTS:
		mgr->radius_counts = *(const struct ipc_radius_counts *)msg;
		return 0;
	case IPC_SHARE_ANSWER:
		return share_answer(mgr, (const struct ipc_share_answer *)msg);
	case IPC_SHARE_STATE:
		return share_state(mgr, (const struct ipc_share_state *)msg);
	case IPC_RELOAD_RESULT:
		reload_result(mgr, (const struct ipc_status *)msg);
		return 0;
	default:
		return -EPROTO;
	}
}

static void role_peer_up(struct child *child, struct ipc_chan *peer) {
	struct role *role = child_data(child);

	if (ipc_chan_peer(peer) == IPC_SCRIPT)
		scripts_peer_up(role->mgr);
	else if (ipc_chan_peer(peer) == IPC_EDGE)
		guard_edge_up(role->mgr->guard, ipc_chan_peer_index(peer));
	else if (ipc_chan_peer(peer) == IPC_RADIUS)
		accounting_radius_up(role->mgr);
}

static void role_peer_down(struct child *child, enum ipc_role peer, unsigned index) {
	struct role *role = child_data(child);

	if (role && peer == IPC_SCRIPT)
		scripts_peer_down(role->mgr);
	else if (role && peer == IPC_SHARE)
		share_peer_down(role->mgr);
}

static void role_dataplane_up(struct child *child, const struct abi_welcome *welcome, int channel,
	const int *fds, unsigned nb_fds) {
	struct role *role = child_data(child);
	uint64_t before = dplane_boot_id(role->mgr->dplane);
	int ret;

	reconcile_lost(role->mgr);
	ret = dplane_attach(role->mgr->dplane, welcome, channel, fds, nb_fds);
	if (ret != 0) {
		log_error("dataplane_refused", "status=%d", ret);
		return;
	}
	log_info("dataplane_attached", "boot=%016llx restarted=%s sessions_max=%u",
		(unsigned long long)welcome->boot_id,
		before && before != welcome->boot_id ? "yes" : "no", welcome->sessions_max);
	reconcile_start(role->mgr);
}

static void role_control_listener(struct child *child, int fd) {
	struct role *role = child_data(child);
	int ret = control_listen(role->mgr, child_base(child), fd);

	if (ret != 0)
		log_error("control_listen", "error=%s", log_value(strerror(-ret)));
}

static void role_stop(struct child *child) {
	struct role *role = child_data(child);

	if (role) {
		control_close();
		// Sessions stay: in the store, and in the dataplane.
		session_mgr_free(role->mgr);
		store_close(role->store);
		otp_store_close(role->otp);
		free(role);
		child_data_set(child, NULL);
	}
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role session_role = {
	.role = IPC_SESSION,
	.name = "session",
	.prepare = role_prepare,
	.start = role_start,
	.reload = role_reload,
	.message = role_message,
	.peer_up = role_peer_up,
	.peer_down = role_peer_down,
	.dataplane_up = role_dataplane_up,
	.control_listener = role_control_listener,
	.state_dir = role_state_dir,
	.stop = role_stop,
};
