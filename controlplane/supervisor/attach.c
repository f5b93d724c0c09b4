// SPDX-License-Identifier: GPL-3.0-or-later
// Attaches session and edges to the dataplane and gives them the descriptors. Called by proc.c
// and message.c.
//
// The supervisor says HELLO, so that a child cannot choose its role. While the dataplane is away
// it is tried again after 200 ms, growing to 2 s; the control plane serves logins meanwhile.
#include "supervisor.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "controlplane/proc/log.h"
#include "dataplane/abi/channel.h"

#define DELAY_MIN_MS 200u
#define DELAY_MAX_MS 2000u
#define WELCOME_TIMEOUT_S 2

static void log_outcome(const struct proc *proc, int status) {
	char name[32];
	proc_describe(proc, name, sizeof(name));
	if (status == 0)
		log_info("dataplane", "child=%s status=attached", log_value(name));
	else if (proc->attach.delay_ms == DELAY_MIN_MS) // once, not with every attempt
		log_warning("dataplane", "child=%s status=waiting socket=%s text=%s",
			log_value(name), log_value(proc->sup->dataplane_path),
			log_value(strerror(-status)));
}

static void attach_close(struct attach *attach) {
	event_del(attach->retry);
	if (attach->reply != NULL)
		event_free(attach->reply);
	attach->reply = NULL;
	if (attach->sock >= 0)
		close(attach->sock);
	attach->sock = -1;
}

static void try_later(struct proc *proc, int status) {
	struct attach *attach = &proc->attach;
	attach_close(attach);
	log_outcome(proc, status);
	const struct timeval tv = {
		.tv_sec = attach->delay_ms / 1000,
		.tv_usec = attach->delay_ms % 1000 * 1000,
	};
	event_add(attach->retry, &tv);
	attach->delay_ms *= 2;
	if (attach->delay_ms > DELAY_MAX_MS)
		attach->delay_ms = DELAY_MAX_MS;
}

static unsigned expected_fds(const struct proc *proc) {
	const struct ipc_rule *rule = ipc_rule_find(IPC_SUPERVISOR, proc->role, IPC_DATAPLANE);
	return rule->nb_fds_max - 1u; // the channel itself does not come with the WELCOME
}

static int check_welcome(const struct proc *proc, const struct abi_welcome *welcome, int nb_fds) {
	if (welcome->magic != ABI_MAGIC)
		return -EPROTO;
	if (welcome->status != 0)
		return welcome->status < 0 ? welcome->status : -EPROTO;
	if (welcome->version < ABI_VERSION_MIN || welcome->version > ABI_VERSION ||
		welcome->sessions_max == 0 || welcome->sessions_max > ABI_SESSIONS_MAX)
		return -EPROTO;
	if (nb_fds != (int)expected_fds(proc) || welcome->nb_fds != (unsigned)nb_fds)
		return -EPROTO;
	return 0;
}

// Reads the WELCOME and passes it on. 0 or -errno.
static int take_welcome(struct proc *proc) {
	struct ipc_dataplane msg = {0};
	int fds[1 + ABI_WELCOME_FDS_MAX];
	fds[0] = proc->attach.sock;
	int nb_fds = abi_channel_recv(
		proc->attach.sock, &msg.welcome, sizeof(msg.welcome), fds + 1, ABI_WELCOME_FDS_MAX);
	if (nb_fds < 0)
		return nb_fds;
	int status = check_welcome(proc, &msg.welcome, nb_fds);
	if (status == 0)
		proc_send(proc, IPC_DATAPLANE, &msg.hdr, sizeof(msg), fds, (unsigned)nb_fds + 1);
	for (int i = 1; i <= nb_fds; i++)
		close(fds[i]);
	return status;
}

static void on_reply(evutil_socket_t fd, short what, void *arg) {
	struct proc *proc = arg;
	int status = (what & EV_TIMEOUT) ? -ETIMEDOUT : take_welcome(proc);
	if (status < 0) {
		try_later(proc, status);
		return;
	}
	attach_close(&proc->attach);
	proc->attach.wanted = false;
	log_outcome(proc, 0);
}

// Connects, says HELLO and waits for the WELCOME. 0 or -errno.
static int say_hello(struct proc *proc) {
	struct attach *attach = &proc->attach;
	const struct timeval timeout = {.tv_sec = WELCOME_TIMEOUT_S};
	const struct abi_hello hello = {
		.magic = ABI_MAGIC,
		.version_min = ABI_VERSION_MIN,
		.version_max = ABI_VERSION,
		.role = proc->role == IPC_EDGE ? ABI_ROLE_EDGE : ABI_ROLE_SESSION,
		.index = proc->role == IPC_EDGE ? proc->index : 0,
	};
	attach->sock = abi_channel_connect(proc->sup->dataplane_path);
	if (attach->sock < 0)
		return attach->sock;
	int status = abi_channel_send(attach->sock, &hello, sizeof(hello), NULL, 0);
	if (status < 0)
		return status;
	attach->reply = event_new(proc->sup->base, attach->sock, EV_READ, on_reply, proc);
	if (attach->reply == NULL || event_add(attach->reply, &timeout) < 0)
		return -ENOMEM;
	return 0;
}

static void attempt(struct proc *proc) {
	int status = say_hello(proc);
	if (status < 0)
		try_later(proc, status);
}

static void on_retry(evutil_socket_t fd, short what, void *arg) {
	struct proc *proc = arg;
	if (proc->attach.wanted && proc->chan != NULL)
		attempt(proc);
}

int attach_init(struct proc *proc) {
	proc->attach.sock = -1;
	proc->attach.retry = event_new(proc->sup->base, -1, 0, on_retry, proc);
	return proc->attach.retry == NULL ? -ENOMEM : 0;
}

void attach_start(struct proc *proc) {
	if (proc->attach.wanted || proc->sup->stopping)
		return;
	proc->attach.wanted = true;
	proc->attach.delay_ms = DELAY_MIN_MS;
	attempt(proc);
}

void attach_stop(struct proc *proc) {
	proc->attach.wanted = false;
	attach_close(&proc->attach);
}

void attach_free(struct proc *proc) {
	if (proc->attach.retry == NULL)
		return;
	attach_stop(proc);
	event_free(proc->attach.retry);
	proc->attach.retry = NULL;
}
