// SPDX-License-Identifier: GPL-3.0-or-later
// Takes from a child process what its role does not need. Called by child.c at IPC_START.
//
// What cannot be had on this kernel or in this container (a namespace, Landlock) is logged and
// done without; user, capabilities, no_new_privs and seccomp are never done without.
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "caps.h"
#include "log.h"

#define FALLBACK_ID 61184u // plus the role: systemd's range for dynamic users
// crypt(3) runs beside the event loop. The kernel counts by user, over all gateways of the machine
// and its containers, so this stops a flood of threads and no more; seccomp permits no process.
#define AUTH_THREADS_MAX 1024u

#ifdef __SANITIZE_ADDRESS__
// The sanitizer opens /proc and the program itself to report.
static const bool confine_files = false;
#else
static const bool confine_files = true;
#endif

void sandbox_ids(enum ipc_role role, uint32_t *uid, uint32_t *gid) {
	char name[32];
	snprintf(name, sizeof(name), "penstock-%s", ipc_role_name(role));
	const struct passwd *user = getpwnam(name);
	// A user of that name with root's numbers would be no user at all.
	if (user != NULL && user->pw_uid != 0 && user->pw_gid != 0) {
		*uid = user->pw_uid;
		*gid = user->pw_gid;
	} else {
		*uid = *gid = FALLBACK_ID + role;
	}
}

// ---- namespaces and root directory

static bool leave_namespace(int flag, const char *name) {
	if (unshare(flag) == 0)
		return true;
	log_warning("sandbox", "missing=%s text=%s", name, log_value(strerror(errno)));
	return false;
}

// An empty, read-only file system as root; the old one is unmounted from this namespace.
static int enter_empty_root(void) {
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/proc", "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555") < 0 ||
		chdir("/proc") < 0)
		return -errno;
	// An initial ramfs as root cannot be pivoted away: chroot does.
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0)
			return -errno;
		return chdir("/") < 0 ? -errno : 0;
	}
	return chroot(".") < 0 || chdir("/") < 0 ? -errno : 0;
}

static int enter_root(bool own_mounts, int root_dir) {
	if (!confine_files) {
		log_warning("sandbox", "missing=root-directory text=\"sanitizer build\"");
		return root_dir >= 0 && fchdir(root_dir) < 0 ? -errno : 0;
	}
	if (root_dir >= 0)
		return fchdir(root_dir) < 0 || chroot(".") < 0 ? -errno : 0;
	if (own_mounts)
		return enter_empty_root();
	log_warning("sandbox", "missing=root-directory text=\"no mount namespace\"");
	return 0; // Landlock and seccomp still stand
}

// A new one for each request to a server.
static bool makes_sockets(enum ipc_role role) {
	return role == IPC_OIDC || role == IPC_OCSP;
}

static int isolate(enum ipc_role role, int root_dir) {
	bool own_mounts = leave_namespace(CLONE_NEWNS, "mount-namespace");
	leave_namespace(CLONE_NEWIPC, "ipc-namespace");
	leave_namespace(CLONE_NEWUTS, "uts-namespace");
	// Sockets keep the namespace that they were made in: what was inherited still works.
	if (!makes_sockets(role))
		leave_namespace(CLONE_NEWNET, "network-namespace");
	return enter_root(own_mounts, root_dir);
}

// ---- identity

static int set_limit(int resource, rlim_t max) {
	const struct rlimit limit = {.rlim_cur = max, .rlim_max = max};
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int set_limits(enum ipc_role role, uint32_t nofile) {
	struct rlimit have;
	int status = set_limit(RLIMIT_CORE, 0);
	if (status == 0)
		status = set_limit(RLIMIT_NPROC, role == IPC_AUTH ? AUTH_THREADS_MAX : 0);
	if (status < 0)
		return status;
	if (getrlimit(RLIMIT_NOFILE, &have) < 0)
		return -errno;
	return set_limit(RLIMIT_NOFILE, have.rlim_max < nofile ? have.rlim_max : nofile);
}

static int drop_bounding_set(void) {
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

static int drop_capabilities(void) {
	cap_t none = cap_init();
	if (none == NULL)
		return -ENOMEM;
	int status = cap_set_proc(none) < 0 ? -errno : 0;
	cap_free(none);
	if (status == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		status = -errno;
	return status;
}

static int become(uint32_t uid, uint32_t gid) {
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	// Believe it only when root does not come back.
	if (setuid(0) == 0 || getuid() != uid || geteuid() != uid || getgid() != gid)
		return -EPERM;
	return 0;
}

// ---- the script and the PAM process

// What scripts may do as root. They change what they are made to change, so files, network and user
// of the script process are the machine's; what it may not do, they may not either.
static const cap_value_t script_caps[] = {
	CAP_NET_ADMIN, // routes, firewall rules, traffic control
	CAP_NET_RAW, // ping, arping, iptables
	CAP_DAC_OVERRIDE, // files of others
	CAP_DAC_READ_SEARCH,
	CAP_CHOWN,
	CAP_FOWNER,
	CAP_KILL, // reload other services; end scripts that run as another user
	CAP_SETUID, // scripts/user
	CAP_SETGID,
};
#define SCRIPT_CAPS (sizeof(script_caps) / sizeof(script_caps[0]))

// What PAM modules do as root, as they expect of a service like login(1).
static const cap_value_t pam_caps[] = {
	CAP_DAC_READ_SEARCH, // /etc/shadow, keys in users' homes
	CAP_DAC_OVERRIDE, // counters of failures, which belong to the users (pam_faillock)
	CAP_CHOWN, // which are made anew
	CAP_SETUID, // modules that look into a home do it as its owner; their helpers
	CAP_SETGID,
	CAP_AUDIT_WRITE, // libpam tells the audit system, and takes a no for a broken system
	CAP_KILL, // the end of what they started as another user
};
#define PAM_CAPS (sizeof(pam_caps) / sizeof(pam_caps[0]))

// Do they keep the machine's files, network and user?
static bool runs_others_programs(enum ipc_role role) {
	return role == IPC_SCRIPT || role == IPC_PAM;
}

static int drop_but(const cap_value_t *caps, size_t nb, uint32_t nofile) {
	int status = set_limit(RLIMIT_CORE, 0);
	if (status == 0)
		status = set_limit(RLIMIT_NOFILE, nofile);
	if (status == 0)
		status = caps_keep(caps, nb);
	if (status == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		status = -errno;
	return status;
}

int sandbox_drop(enum ipc_role role, int root_dir, uint32_t nofile) {
	uint32_t uid, gid;
	if (role == IPC_SCRIPT)
		return drop_but(script_caps, SCRIPT_CAPS, nofile);
	if (role == IPC_PAM)
		return drop_but(pam_caps, PAM_CAPS, nofile);
	sandbox_ids(role, &uid, &gid); // reads files: before they are gone
	umask(0077);
	int status = isolate(role, root_dir);
	if (status == 0)
		status = set_limits(role, nofile);
	if (status == 0)
		status = drop_bounding_set();
	if (status == 0)
		status = become(uid, gid);
	if (status == 0)
		status = drop_capabilities();
	if (status == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		status = -errno;
	if (status == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		status = -errno;
	return status;
}

// ---- Landlock

// linux/landlock.h of newer kernels; which fields exist follows from the ABI number.
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; // from ABI 4
	uint64_t scoped; // from ABI 6
};

static uint64_t fs_rights(int abi) {
	// ABI 1 knows 13 rights, 2 adds REFER, 3 TRUNCATE, 5 IOCTL_DEV.
	static const unsigned bits[] = {13, 14, 15, 15, 16};
	unsigned i = abi > 5 ? 4 : (unsigned)abi - 1;
	return (UINT64_C(1) << bits[i]) - 1;
}

static int allow_dir(int ruleset, int dir, int abi) {
	struct landlock_path_beneath_attr rule = {
		.parent_fd = dir,
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
			LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
			LANDLOCK_ACCESS_FS_REMOVE_FILE,
	};
	if (abi >= 3)
		rule.allowed_access |= UINT64_C(1) << 14; // truncate
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		? -errno
		: 0;
}

static int enter_landlock(enum ipc_role role, int root_dir) {
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1) {
		log_warning("sandbox", "missing=landlock text=%s", log_value(strerror(errno)));
		return 0;
	}
	if (abi < 6) // older kernels: the files are guarded, TCP from 4 on, the rest from 6 on
		log_info("sandbox", "partial=landlock abi=%ld", abi);
	const struct ruleset_attr attr = {
		.handled_access_fs = fs_rights((int)abi),
		// bind and connect of TCP
		.handled_access_net = abi < 4 ? 0
			: makes_sockets(role) ? 1
					      : 3,
		.scoped = abi >= 6 ? 3 : 0, // abstract UNIX sockets, signals
	};
	size_t size = abi >= 6 ? sizeof(attr) : abi >= 4 ? 16 : 8;
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return -errno;
	int status = root_dir >= 0 ? allow_dir(ruleset, root_dir, (int)abi) : 0;
	if (status == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		status = -errno;
	close(ruleset);
	return status;
}

int sandbox_lock(enum ipc_role role, int root_dir) {
	if (runs_others_programs(role)) // which open files
		return seccomp_enter(role);
	if (!confine_files)
		log_warning("sandbox", "missing=landlock text=\"sanitizer build\"");
	int status = confine_files ? enter_landlock(role, root_dir) : 0;
	return status < 0 ? status : seccomp_enter(role);
}
