// SPDX-License-Identifier: GPL-3.0-or-later
// Maintenance: no new clients, and the end once the last has gone. Called by message.c for the CLI
// and by supervisor.c for SIGUSR2.
//
// The state is kept here, because this process is the one that stays: children that start are told.
#include "supervisor.h"

#include <systemd/sd-daemon.h>

#include "controlplane/proc/clock.h"
#include "controlplane/proc/log.h"

void maintain_tell(struct proc *proc) {
	struct ipc_maintenance msg = proc->sup->maintenance;
	proc_send(proc, IPC_MAINTENANCE, &msg.hdr, sizeof(msg), NULL, 0);
}

static void tell_all(struct supervisor *sup) {
	for (unsigned i = 0; i < sup->nb_procs; i++) {
		struct proc *proc = &sup->procs[i];
		if (proc->role == IPC_EDGE || proc->role == IPC_SESSION)
			maintain_tell(proc);
	}
}

void maintain_set(struct supervisor *sup, const struct ipc_maintain *want) {
	log_info("maintenance", "draining=%s stop=%s timeout=%u", want->draining ? "yes" : "no",
		want->stop ? "yes" : "no", want->timeout_s);
	if (sup->stopping)
		return;
	if (want->stop && !want->draining) {
		sup_stop(sup);
		return;
	}
	sup->maintenance = (struct ipc_maintenance){
		.draining = want->draining != 0,
		.stop = want->stop != 0,
		.until_s = want->draining && want->timeout_s ? clock_s() + want->timeout_s : 0,
	};
	tell_all(sup);
	sd_notify(0, want->draining ? "STATUS=Draining" : "STATUS=Serving");
}

void maintain_drained(struct supervisor *sup) {
	if (!sup->maintenance.draining)
		return;
	log_info("drained", "stop=%s", sup->maintenance.stop ? "yes" : "no");
	sd_notify(0, "STATUS=Drained");
	if (sup->maintenance.stop && !sup->stopping)
		sup_stop(sup);
}
