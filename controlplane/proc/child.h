// SPDX-License-Identifier: GPL-3.0-or-later
// What every child of the supervisor shares: start-up, sandbox, event loop, peers, configuration.
//
// The supervisor execs the program again with `--role NAME --index N` and a SEQPACKET pair as
// descriptor 3. child_main() takes its messages (configuration, peers, listeners, dataplane),
// drops privileges, enters the sandbox, and calls the role's hooks from one libevent loop.
#pragma once

#include "controlplane/ipc/ipc.h"
#include "yang/config.h"

struct child;

// At IPC_START, in this order: prepare; privileges dropped; state_dir (the working and root directory is
// then the state directory: open "data.mdb", not a path); sandbox; start (child_peer() already
// answers); peer_up for each peer; then listener, control_listener and dataplane_up as the
// supervisor sent them; IPC_READY. Peers' messages come after that. The role owns the descriptors
// that its hooks are given (the state directory's stays open, and child.c's).
//
// Hooks of a role. All may be NULL but message. They run in the event loop, after the sandbox.
struct child_role {
	enum ipc_role role;
	const char *name; // "auth"
	// Still root, in the host's file system and network: opens what cannot be opened later.
	// Non-zero ends the process.
	int (*prepare)(struct child *child);
	// Once, with the first configuration and everything the supervisor promised until
	// IPC_START. Non-zero ends the process.
	int (*start)(struct child *child);
	// A new configuration; the old one is freed after return. -errno: refused, text says why.
	// -EINPROGRESS: decided later by child_reload_done(); until then both stay, child_cfg() is
	// the old one.
	int (*reload)(struct child *child, const struct cfg *cfg, char *text, size_t len);
	// A valid message from a peer or (types not handled here) from the supervisor.
	int (*message)(
		struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds);
	// A peer has come (first time or again) or gone.
	void (*peer_up)(struct child *child, struct ipc_chan *peer);
	void (*peer_down)(struct child *child, enum ipc_role role, unsigned index);
	// Attached to the dataplane (edge, session): fds are the role's to keep.
	void (*dataplane_up)(struct child *child, const struct abi_welcome *welcome, int channel,
		const int *fds, unsigned nb_fds);
	void (*listener)(struct child *child, const struct ipc_listener *msg, int fd); // edge
	void (*control_listener)(struct child *child, int fd); // session
	void (*state_dir)(struct child *child, int fd); // session, before the sandbox
	void (*stop)(struct child *child); // finish: child_exit() when done
};

int child_main(const struct child_role *role, unsigned index);

struct event_base *child_base(struct child *child);
int child_state_dir(const struct child *child); // -1: none
const struct cfg *child_cfg(const struct child *child);
unsigned child_index(const struct child *child);
// NULL while the peer is away.
struct ipc_chan *child_peer(struct child *child, enum ipc_role role, unsigned index);
struct ipc_chan *child_supervisor(struct child *child);
// Ask the supervisor for a file of the configuration; `done` gets an fd it owns or -errno.
int child_file_open(struct child *child, enum ipc_file file, unsigned index,
	void (*done)(struct child *child, int fd, void *arg), void *arg);
// Ends a reload that answered -EINPROGRESS: 0 puts the new configuration in force, -errno refuses
// it. `text` is for people, or NULL.
void child_reload_done(struct child *child, int status, const char *text);
// The dataplane's channel closed: ask for another (dataplane_up comes again).
void child_dataplane_lost(struct child *child);
void child_exit(struct child *child, int status);
// The role's own state.
void child_data_set(struct child *child, void *data);
void *child_data(struct child *child);

// One main a role, called by controlplane/main.c.
extern const struct child_role auth_role;
extern const struct child_role edge_role;
extern const struct child_role session_role;
extern const struct child_role script_role;
extern const struct child_role radius_role;
extern const struct child_role oidc_role;
extern const struct child_role pam_role;
extern const struct child_role kerberos_role;
extern const struct child_role share_role;
extern const struct child_role ocsp_role;
