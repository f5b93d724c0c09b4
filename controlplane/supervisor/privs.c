// SPDX-License-Identifier: GPL-3.0-or-later
// Gives up what neither the supervisor nor a starting child needs. Called by supervisor.c.
#include "supervisor.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "controlplane/proc/caps.h"

// A line of justification each. A child starts with these and drops all of them (sandbox.c).
// CHOWN and FOWNER (the session's directory) and NET_BIND_SERVICE (port 443) were used before.
static const cap_value_t kept[] = {
	CAP_KILL, // end a child, which runs as another user
	CAP_SETUID, // children take their users
	CAP_SETGID, // and their groups, and leave root's
	CAP_SETPCAP, // children empty their bounding set
	CAP_SYS_ADMIN, // children enter namespaces of their own
	CAP_SYS_CHROOT, // children leave the file system
	CAP_SYS_RESOURCE, // descriptor limits
	CAP_DAC_OVERRIDE, // sockets and secrets in directories of others
	CAP_DAC_READ_SEARCH, // certificates and keys, whoever owns them
};
#define KEPT (sizeof(kept) / sizeof(kept[0]))

// With scripts, for what they do (sandbox.c, script_caps):
static const cap_value_t kept_scripts[] = {
	CAP_NET_ADMIN, // routes, firewall rules, traffic control
	CAP_NET_RAW, // ping, arping, iptables
	CAP_CHOWN, // files of others
	CAP_FOWNER,
};
#define KEPT_SCRIPTS (sizeof(kept_scripts) / sizeof(kept_scripts[0]))

// With PAM (sandbox.c, pam_caps):
static const cap_value_t kept_pam[] = {
	CAP_CHOWN, // counters of users
	CAP_AUDIT_WRITE, // libpam
};
#define KEPT_PAM (sizeof(kept_pam) / sizeof(kept_pam[0]))

static void add(cap_value_t *caps, size_t *nb, const cap_value_t *more, size_t nb_more) {
	memcpy(caps + *nb, more, nb_more * sizeof(*more));
	*nb += nb_more;
}

int privs_reduce(bool scripts, bool pam) {
	cap_value_t caps[KEPT + KEPT_SCRIPTS + KEPT_PAM];
	size_t nb = 0;
	struct rlimit nofile;
	const struct rlimit no_core = {0, 0};
	add(caps, &nb, kept, KEPT);
	if (scripts)
		add(caps, &nb, kept_scripts, KEPT_SCRIPTS);
	if (pam)
		add(caps, &nb, kept_pam, KEPT_PAM);
	// Each edge may need many; RLIM_INFINITY is not a number of descriptors.
	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
		nofile.rlim_cur = nofile.rlim_max;
		setrlimit(RLIMIT_NOFILE, &nofile);
	}
	int status = setrlimit(RLIMIT_CORE, &no_core) < 0 ? -errno : 0;
	if (status == 0)
		status = caps_keep(caps, nb);
	if (status == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		status = -errno;
	return status;
}
