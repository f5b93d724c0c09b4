// SPDX-License-Identifier: GPL-3.0-or-later
// Gives up what neither the supervisor nor a starting child needs. Called by supervisor.c.
#include "supervisor.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

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
	// Only with scripts, for what they do (sandbox.c, script_caps):
	CAP_NET_ADMIN, // routes, firewall rules, traffic control
	CAP_NET_RAW, // ping, arping, iptables
	CAP_CHOWN, // files of others
	CAP_FOWNER,
};
#define KEPT_SCRIPTS (sizeof(kept) / sizeof(kept[0]))
#define KEPT (KEPT_SCRIPTS - 4)

static bool is_kept(cap_value_t cap, size_t nb) {
	for (unsigned i = 0; i < nb; i++)
		if (kept[i] == cap)
			return true;
	return false;
}

static int drop_bounding(size_t nb) {
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!is_kept(cap, nb) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

// Keeps of the list what is held: a container may have taken some already.
static int keep_held(size_t nb) {
	cap_t have = cap_get_proc();
	cap_t want = cap_init();
	int status = have == NULL || want == NULL ? -ENOMEM : 0;
	for (unsigned i = 0; status == 0 && i < nb; i++) {
		cap_flag_value_t held = CAP_CLEAR;
		if (cap_get_flag(have, kept[i], CAP_PERMITTED, &held) < 0 || held != CAP_SET)
			continue;
		if (cap_set_flag(want, CAP_PERMITTED, 1, &kept[i], CAP_SET) < 0 ||
			cap_set_flag(want, CAP_EFFECTIVE, 1, &kept[i], CAP_SET) < 0)
			status = -errno;
	}
	if (status == 0 && cap_set_proc(want) < 0)
		status = -errno;
	cap_free(have);
	cap_free(want);
	return status;
}

int privs_reduce(bool scripts) {
	size_t nb = scripts ? KEPT_SCRIPTS : KEPT;
	struct rlimit nofile;
	const struct rlimit no_core = {0, 0};
	// Each edge may need many; RLIM_INFINITY is not a number of descriptors.
	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
		nofile.rlim_cur = nofile.rlim_max;
		setrlimit(RLIMIT_NOFILE, &nofile);
	}
	int status = setrlimit(RLIMIT_CORE, &no_core) < 0 ? -errno : 0;
	if (status == 0)
		status = drop_bounding(nb);
	if (status == 0)
		status = keep_held(nb);
	if (status == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		status = -errno;
	return status;
}
