// SPDX-License-Identifier: GPL-3.0-or-later
// The system calls that each role may make; anything else kills it. Called by sandbox.c.
//
// Opening files answers EACCES instead: libraries try it (time zone, locale, CPU list) and do
// without. Only the session process, whose root is its state directory, may open.
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const int common_calls[] = {
	// descriptors that are there already
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(dup),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	// the event loop
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(eventfd2),
	SCMP_SYS(pipe2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	// time and randomness
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(getrandom),
	// memory (mmap and mprotect: below, never executable)
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	// itself
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(sysinfo), // glibc's qsort asks how much memory there is
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

// Accepting clients (edge) and the CLI (session).
static const int accept_calls[] = {SCMP_SYS(accept4), SCMP_SYS(accept)};

// Threads for crypt(3); clone itself is below.
static const int thread_calls[] = {SCMP_SYS(set_robust_list), SCMP_SYS(rseq)};

// LMDB.
static const int store_calls[] = {SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(fdatasync),
	SCMP_SYS(fsync), SCMP_SYS(msync), SCMP_SYS(ftruncate), SCMP_SYS(fallocate),
	SCMP_SYS(fstatfs), SCMP_SYS(sync_file_range)};

static const int path_calls[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(stat), SCMP_SYS(lstat),
	SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd)};

#ifdef __SANITIZE_ADDRESS__
static const int sanitizer_calls[] = {SCMP_SYS(prctl), SCMP_SYS(prlimit64), SCMP_SYS(getrlimit),
	SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(getdents64), SCMP_SYS(mincore),
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(personality), SCMP_SYS(setrlimit),
	SCMP_SYS(pipe), SCMP_SYS(process_vm_readv)};
#endif

// Calls that this architecture does not have are none of a program's either.
static int add_calls(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t count) {
	for (size_t i = 0; i < count; i++) {
		int status = seccomp_rule_add(ctx, action, calls[i], 0);
		if (status < 0 && status != -EDOM)
			return status;
	}
	return 0;
}

static int add_memory(scmp_filter_ctx ctx) {
	const struct scmp_arg_cmp not_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int status = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_exec);
	if (status == 0)
		status = seccomp_rule_add_array(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &not_exec);
	return status;
}

static int add_fcntl(scmp_filter_ctx ctx, enum ipc_role role) {
	static const int commands[] = {
		F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GET_SEALS};
	static const int locks[] = {F_SETLK, F_SETLKW, F_GETLK, F_OFD_SETLK, F_OFD_GETLK};
	int status = 0;
	for (size_t i = 0; status == 0 && i < COUNT(commands); i++)
		status = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
	for (size_t i = 0; status == 0 && role == IPC_SESSION && i < COUNT(locks); i++)
		status = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)locks[i]));
	return status;
}

// Signals to itself alone (abort); the size of what waits on a socket (libevent's buffers);
// socket pairs within the process.
static int add_narrow(scmp_filter_ctx ctx) {
	int status = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	if (status == 0)
		status = seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONREAD));
	if (status == 0)
		status = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
			SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	return status;
}

static int add_paths(scmp_filter_ctx ctx, enum ipc_role role) {
#ifdef __SANITIZE_ADDRESS__
	return add_calls(ctx, SCMP_ACT_ALLOW, path_calls, COUNT(path_calls));
#else
	// glibc's fstat() is newfstatat with AT_EMPTY_PATH.
	const struct scmp_arg_cmp by_fd = SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH);
	// MIT's Kerberos goes on without a file that is not there, not without one that it may not read.
	const uint32_t refuse = SCMP_ACT_ERRNO(role == IPC_KERBEROS ? ENOENT : EACCES);
	if (role == IPC_SESSION)
		return add_calls(ctx, SCMP_ACT_ALLOW, path_calls, COUNT(path_calls));
	int status = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, &by_fd);
	for (size_t i = 0; status == 0 && i < COUNT(path_calls); i++) {
		if (path_calls[i] == SCMP_SYS(newfstatat))
			status = seccomp_rule_add(ctx, refuse, SCMP_SYS(newfstatat), 1,
				SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0));
		else
			status = add_calls(ctx, refuse, &path_calls[i], 1);
	}
	return status;
#endif
}

static int add_threads(scmp_filter_ctx ctx) {
	const unsigned long thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		CLONE_THREAD;
	int status = add_calls(ctx, SCMP_ACT_ALLOW, thread_calls, COUNT(thread_calls));
	if (status == 0)
		status = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
	// Its flags are behind a pointer, which a filter cannot read: glibc then takes clone.
	if (status == 0)
		status = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return status;
}

// Sockets to a server and to name servers, of TCP and UDP; none can listen.
static int add_client(scmp_filter_ctx ctx) {
	static const int families[] = {AF_INET, AF_INET6}, types[] = {SOCK_STREAM, SOCK_DGRAM};
	const scmp_datum_t flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
	int status = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
	for (size_t i = 0; status == 0 && i < COUNT(families) * COUNT(types); i++)
		status = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i / COUNT(types)]),
			SCMP_A1(SCMP_CMP_MASKED_EQ, ~flags, (scmp_datum_t)types[i % COUNT(types)]));
	return status;
}

static int add_role(scmp_filter_ctx ctx, enum ipc_role role) {
	int status = 0;
	switch (role) {
	case IPC_AUTH:
		return add_threads(ctx);
	case IPC_EDGE:
		return add_calls(ctx, SCMP_ACT_ALLOW, accept_calls, COUNT(accept_calls));
	case IPC_RADIUS:
		return 0; // its UDP sockets are there, bound: sendto and recvfrom are common
	case IPC_OIDC:
	case IPC_OCSP:
		return add_client(ctx);
	case IPC_KERBEROS:
		return 0; // its keys are in memory
	case IPC_SHARE:
		return 0; // the supervisor gives it sockets that connect already
	case IPC_SESSION:
		status = add_calls(ctx, SCMP_ACT_ALLOW, accept_calls, COUNT(accept_calls));
		if (status == 0)
			status = add_calls(ctx, SCMP_ACT_ALLOW, store_calls, COUNT(store_calls));
		return status;
	default:
		return -EINVAL;
	}
}

static int build(scmp_filter_ctx ctx, enum ipc_role role) {
	int status = add_calls(ctx, SCMP_ACT_ALLOW, common_calls, COUNT(common_calls));
	if (status == 0)
		status = add_memory(ctx);
	if (status == 0)
		status = add_fcntl(ctx, role);
	if (status == 0)
		status = add_narrow(ctx);
	if (status == 0)
		status = add_paths(ctx, role);
	if (status == 0)
		status = add_role(ctx, role);
#ifdef __SANITIZE_ADDRESS__
	if (status == 0)
		status = add_calls(ctx, SCMP_ACT_ALLOW, sanitizer_calls, COUNT(sanitizer_calls));
#endif
	return status;
}

// What no script of an operator and no PAM module needs, and what turns root into the kernel's
// master. They inherit the filter, so it cannot be a list of what is allowed: a call of these answers
// EPERM.
static const int refused_to_others[] = {SCMP_SYS(init_module), SCMP_SYS(finit_module),
	SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot),
	SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(acct), SCMP_SYS(quotactl),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(userfaultfd), SCMP_SYS(perf_event_open),
	SCMP_SYS(bpf), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
	SCMP_SYS(chroot), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(move_mount),
	SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(mount_setattr),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register)};

static int enter_for_others(void) {
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (ctx == NULL)
		return -ENOMEM;
	int status = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 1);
	if (status == 0)
		status = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (status == 0)
		status = add_calls(
			ctx, SCMP_ACT_ERRNO(EPERM), refused_to_others, COUNT(refused_to_others));
	if (status == 0)
		status = seccomp_load(ctx);
	seccomp_release(ctx);
	return status;
}

int seccomp_enter(enum ipc_role role) {
	if (role == IPC_SCRIPT || role == IPC_PAM)
		return enter_for_others();
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (ctx == NULL)
		return -ENOMEM;
	int status = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 1);
	if (status == 0)
		status = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); // a binary tree
	if (status == 0)
		status = build(ctx, role);
	if (status == 0)
		status = seccomp_load(ctx);
	seccomp_release(ctx);
	return status;
}
