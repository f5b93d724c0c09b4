// SPDX-License-Identifier: GPL-3.0-or-later
// What children ask of the supervisor. Called by their channels.
#include "supervisor.h"

#include <errno.h>
#include <unistd.h>

#include "controlplane/proc/log.h"

int proc_send(struct proc *proc, enum ipc_type type, struct ipc_hdr *msg, size_t len,
	const int *fds, unsigned nb_fds) {
	if (proc->chan == NULL)
		return -EPIPE;
	int status = ipc_send(proc->chan, type, msg, len, fds, nb_fds);
	// A child that does not read is of no use; one that is gone is reaped anyway.
	if (status < 0 && status != -EPIPE && status != -ECONNRESET)
		proc_kill(proc, "does not take its messages");
	return status;
}

static int on_file_open(struct proc *proc, const struct ipc_hdr *hdr) {
	const struct ipc_file_open *msg = (const void *)hdr;
	if (!files_allowed(proc->role, msg->file))
		return -EPERM;
	struct ipc_file_result answer = {
		.hdr.req = hdr->req,
		.file = msg->file,
		.index = msg->index,
	};
	int fd = files_open(proc->sup, proc->role, msg->file, msg->index);
	answer.status = fd < 0 ? fd : 0;
	proc_send(proc, IPC_FILE, &answer.hdr, sizeof(answer), &fd, fd < 0 ? 0 : 1);
	if (fd >= 0)
		close(fd);
	return 0;
}

// The accused ends. So does an edge that accuses auth or session: the side that faces the network
// cannot be used to end the others again and again, because its own restarts are paused.
static int on_offender(struct proc *proc, const struct ipc_hdr *hdr) {
	const struct ipc_offender *msg = (const void *)hdr;
	if (!ipc_str_ok(msg->why, sizeof(msg->why)) || msg->role >= IPC_ROLE_MAX)
		return -EINVAL;
	struct proc *accused = proc_find(proc->sup, (enum ipc_role)msg->role, msg->index);
	if (accused == NULL || accused->role == proc->role)
		return -EINVAL;
	proc_breach(accused, msg->why);
	if (proc->role == IPC_EDGE)
		proc_kill(proc, "accused a process that it depends on");
	return 0;
}

int proc_message(struct ipc_chan *chan, const struct ipc_hdr *hdr, int *fds, void *arg) {
	struct proc *proc = arg;
	switch (hdr->type) {
	case IPC_READY:
		proc->ready = true;
		sup_announce(proc->sup);
		sup_reload_ready(proc);
		return 0;
	case IPC_FILE_OPEN:
		return on_file_open(proc, hdr);
	case IPC_OFFENDER:
		return on_offender(proc, hdr);
	case IPC_DATAPLANE_LOST:
		attach_start(proc);
		return 0;
	case IPC_RETIRE:
		return proc_retire(proc);
	case IPC_RELOAD:
		sup_reload_start(proc->sup, true, hdr->req);
		return 0;
	case IPC_MAINTAIN:
		maintain_set(proc->sup, (const void *)hdr);
		return 0;
	case IPC_DRAINED:
		maintain_drained(proc->sup);
		return 0;
	case IPC_RELOADED:
		sup_reload_answer(proc, (const void *)hdr);
		return 0;
	default:
		return -EINVAL;
	}
}
