// SPDX-License-Identifier: GPL-3.0-or-later
// What a process can still do in the sandbox of each role: a child enters it and tries. Needs root.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include <cmocka.h>

#include "controlplane/proc/log.h"
#include "controlplane/proc/sandbox.h"

#define DONE 0 // it went through
#define DENIED 1 // an errno
#define BROKEN 2 // the test itself failed

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const enum ipc_role roles[] = {IPC_AUTH, IPC_EDGE, IPC_SESSION};
#define ROLES (sizeof(roles) / sizeof(roles[0]))

static char state_dir[] = "/tmp/penstock-test-sandbox-XXXXXX";
static int state_fd = -1, secret_fd = -1, listener = -1;
static MDB_env *env;
static pid_t parent;

typedef int (*attempt)(void);

static int outcome(long result) {
	return result < 0 ? DENIED : DONE;
}

// ---- things that must not work

static int try_open(void) {
	return outcome(open("/etc/passwd", O_RDONLY));
}

static int try_open_relative(void) {
	return outcome(open("../../../../../../etc/passwd", O_RDONLY));
}

static int try_open_proc(void) {
	return outcome(open("/proc/self/mem", O_RDWR));
}

static int try_create(void) {
	return outcome(open("/tmp/penstock-test-created", O_WRONLY | O_CREAT, 0600));
}

static int try_socket(void) {
	return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_unix_socket(void) {
	return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int try_exec(void) {
	char *argv[] = {(char *)"true", NULL};
	return outcome(execve("/bin/true", argv, NULL));
}

static int try_fork(void) {
	return outcome(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int try_vfork(void) {
	return outcome(syscall(SYS_fork));
}

static int try_ptrace(void) {
	return outcome(ptrace(PTRACE_ATTACH, parent, 0, 0));
}

static int try_kill(void) {
	return outcome(kill(parent, SIGCONT));
}

static int try_tgkill(void) {
	return outcome(syscall(SYS_tgkill, parent, parent, SIGCONT));
}

static int try_exec_memory(void) {
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? DENIED : DONE;
}

static int try_make_exec(void) {
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return BROKEN;
	return outcome(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_setuid(void) {
	return outcome(setuid(0));
}

static int try_unshare(void) {
	return outcome(syscall(SYS_unshare, 0x10000000)); // user namespace
}

static int try_mount(void) {
	return outcome(syscall(SYS_mount, "none", "/", "tmpfs", 0, 0));
}

static int try_bpf(void) {
	return outcome(syscall(SYS_bpf, 0, 0, 0));
}

static int try_io_uring(void) {
	return outcome(syscall(SYS_io_uring_setup, 1, 0));
}

static int try_memory_of_others(void) {
	return outcome(syscall(SYS_process_vm_writev, parent, 0, 0, 0, 0, 0));
}

static int try_memfd(void) {
	return outcome(syscall(SYS_memfd_create, "x", 0));
}

static int try_terminal(void) {
	return outcome(ioctl(0, TIOCSTI, "x"));
}

static int try_chown(void) {
	return outcome(syscall(SYS_fchown, secret_fd, 0, 0));
}

static int try_unlink(void) {
	return outcome(syscall(SYS_unlink, "data.mdb"));
}

static int try_limits(void) {
	const struct rlimit limit = {1 << 20, 1 << 20};
	return outcome(setrlimit(RLIMIT_NOFILE, &limit));
}

static int try_x32(void) {
	return outcome(syscall(0x40000000 | SYS_getpid));
}

static const struct {
	const char *name;
	attempt try;
	bool sanitizer_opens; // let through in sanitizer builds, which need it themselves
	bool answers; // says no instead of killing
} forbidden[] = {
	{"open a file", try_open, true, true},
	{"open a file by a relative path", try_open_relative, true, true},
	{"open its own memory", try_open_proc, true, true},
	{"create a file", try_create, true, true},
	{"make a network socket", try_socket, false, false},
	{"make a UNIX socket", try_unix_socket, false, false},
	{"exec", try_exec, false, false},
	{"clone a process", try_fork, false, false},
	{"fork", try_vfork, false, false},
	{"ptrace", try_ptrace, false, false},
	{"signal another process", try_kill, false, false},
	{"signal a thread of another process", try_tgkill, false, false},
	{"map executable memory", try_exec_memory, false, false},
	{"make memory executable", try_make_exec, false, false},
	{"become root", try_setuid, false, false},
	{"make a user namespace", try_unshare, false, false},
	{"mount", try_mount, false, false},
	{"bpf", try_bpf, false, false},
	{"io_uring", try_io_uring, false, false},
	{"write memory of another process", try_memory_of_others, false, false},
	{"make a memory file", try_memfd, false, false},
	{"type into the terminal", try_terminal, false, false},
	{"give a file away", try_chown, false, false},
	{"remove a file", try_unlink, false, false},
	{"raise its limits", try_limits, true, false},
	{"call by the x32 numbers", try_x32, false, false},
};

// ---- things that must work

static int do_loop(void) {
	struct event_base *base = event_base_new();
	const struct timeval soon = {.tv_usec = 1000};
	int pair[2];
	char byte = 'a';
	if (base == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return BROKEN;
	event_base_loopexit(base, &soon);
	event_base_dispatch(base);
	event_base_free(base);
	if (send(pair[0], &byte, 1, 0) != 1 || recv(pair[1], &byte, 1, 0) != 1)
		return BROKEN;
	return DONE;
}

static int do_memory(void) {
	uint8_t random_key[32];
	struct stat st;
	if (getrandom(random_key, sizeof(random_key), 0) != sizeof(random_key))
		return BROKEN;
	for (size_t size = 1; size < 64u << 20; size *= 4) {
		char *p = malloc(size);
		if (p == NULL)
			return BROKEN;
		p[size - 1] = 1;
		p = realloc(p, size * 2);
		free(p);
	}
	return fstat(secret_fd, &st) == 0 ? DONE : BROKEN;
}

static int do_read_secret(void) {
	char byte;
	return pread(secret_fd, &byte, 1, 0) == 1 ? DONE : BROKEN;
}

static int do_log(void) {
	int ends[2];
	char line[200] = "";
	if (pipe2(ends, O_CLOEXEC) < 0)
		return BROKEN;
	// dup2 is not allowed; what is closed first is given out next.
	close(STDERR_FILENO);
	if (dup(ends[1]) != STDERR_FILENO)
		return BROKEN;
	log_error("test", "text=%s", log_value("in the sandbox"));
	if (read(ends[0], line, sizeof(line) - 1) <= 0)
		return BROKEN;
	return strstr(line, "event=test text=\"in the sandbox\"") != NULL ? DONE : BROKEN;
}

// Accepts from the inherited socket, though this process is in another network namespace.
static int do_accept(void) {
	struct tcp_info info;
	socklen_t len = sizeof(info);
	char byte;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return BROKEN;
	if (info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_CLOSE_WAIT)
		return BROKEN;
	const int on = 1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return BROKEN;
	if (recv(fd, &byte, 1, 0) != 1 || send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return BROKEN;
	return DONE;
}

static int do_connect(void) {
	struct sockaddr_in addr = {0};
	socklen_t len = sizeof(addr);
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (tcp < 0 || socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) < 0 ||
		getsockname(listener, (struct sockaddr *)&addr, &len) < 0)
		return BROKEN;
	return connect(tcp, (struct sockaddr *)&addr, len) == 0 || errno == EINPROGRESS ? DONE
											: BROKEN;
}

static int try_listen(void) {
	return outcome(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
}

static int try_bind(void) {
	const struct sockaddr_in addr = {.sin_family = AF_INET};
	return outcome(
		bind(socket(AF_INET, SOCK_DGRAM, 0), (const struct sockaddr *)&addr, sizeof(addr)));
}

static int try_raw(void) {
	return outcome(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int try_netlink(void) {
	return outcome(socket(AF_NETLINK, SOCK_DGRAM, 0));
}

static int do_store(void) {
	MDB_txn *txn;
	MDB_dbi dbi;
	char bytes[5000] = "value";
	int number;
	MDB_val key = {sizeof(number), &number}, value = {sizeof(bytes), bytes};
	for (number = 0; number < 200; number++) {
		if (mdb_txn_begin(env, NULL, 0, &txn) != 0 ||
			mdb_dbi_open(txn, NULL, 0, &dbi) != 0 ||
			mdb_put(txn, dbi, &key, &value, 0) != 0 || mdb_txn_commit(txn) != 0)
			return BROKEN;
	}
	number = 7;
	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0 || mdb_get(txn, dbi, &key, &value) != 0)
		return BROKEN;
	mdb_txn_abort(txn);
	return DONE;
}

static int do_own_file(void) {
	int fd = open("own", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) < 0 || ftruncate(fd, 0) < 0)
		return BROKEN;
	return DONE;
}

static void *thread_body(void *arg) {
	free(malloc(1000));
	*(int *)arg = 1;
	return NULL;
}

static int do_thread(void) {
	pthread_t thread;
	int ran = 0;
	if (pthread_create(&thread, NULL, thread_body, &ran) != 0)
		return DENIED;
	pthread_join(thread, NULL);
	return ran ? DONE : BROKEN;
}

// ---- running one in a child

static int enter(enum ipc_role role) {
	bool session = role == IPC_SESSION;
	if (sandbox_drop(role, session ? state_fd : -1, 256) < 0)
		return -1;
	if (session &&
		(mdb_env_create(&env) != 0 || mdb_env_set_mapsize(env, 64 << 20) != 0 ||
			mdb_env_open(env, ".", MDB_NOTLS, 0600) != 0))
		return -1;
	return sandbox_lock(role, session ? state_fd : -1);
}

// The wait status of a child in the sandbox of `role` that exits with what `what` returns.
static int in_sandbox(enum ipc_role role, attempt what) {
	int status;
	parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		log_open("test", -1);
		log_level_set(SANITIZED ? CFG_LOG_ERROR : CFG_LOG_WARNING);
		_exit(enter(role) < 0 ? BROKEN : what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect_done(enum ipc_role role, const char *name, attempt what) {
	int status = in_sandbox(role, what);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != DONE)
		fail_msg("%s cannot: %s (wait status %#x)", ipc_role_name(role), name,
			(unsigned)status);
}

static void expect_killed(enum ipc_role role, const char *name, attempt what) {
	int status = in_sandbox(role, what);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("%s is not killed for: %s (wait status %#x)", ipc_role_name(role), name,
			(unsigned)status);
}

static void expect_answer(enum ipc_role role, const char *name, attempt what) {
	int status = in_sandbox(role, what);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != DENIED)
		fail_msg("%s can: %s (wait status %#x)", ipc_role_name(role), name,
			(unsigned)status);
}

// ---- tests

static void test_forbidden(void **state) {
	for (size_t r = 0; r < ROLES; r++) {
		for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
			if (SANITIZED && forbidden[i].sanitizer_opens)
				continue;
			if (forbidden[i].answers)
				expect_answer(roles[r], forbidden[i].name, forbidden[i].try);
			else
				expect_killed(roles[r], forbidden[i].name, forbidden[i].try);
		}
	}
}

static void test_everybody_can(void **state) {
	for (size_t r = 0; r < ROLES; r++) {
		expect_done(roles[r], "run an event loop", do_loop);
		expect_done(roles[r], "have memory and randomness", do_memory);
		expect_done(roles[r], "read what it was given", do_read_secret);
		expect_done(roles[r], "log", do_log);
	}
}

static void test_threads_of_auth_alone(void **state) {
	expect_done(IPC_AUTH, "start a thread", do_thread);
	if (!SANITIZED) {
		expect_killed(IPC_EDGE, "start a thread", do_thread);
		expect_killed(IPC_SESSION, "start a thread", do_thread);
	}
}

// Processes of auth's user that wait until `end` is closed: other gateways of this machine, whose
// processes the kernel counts together with ours.
static void others_of_auth(int end[2], unsigned nb) {
	uint32_t uid, gid;
	char byte;
	sandbox_ids(IPC_AUTH, &uid, &gid);
	assert_int_equal(pipe(end), 0);
	for (unsigned i = 0; i < nb; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid != 0)
			continue;
		close(end[1]);
		_exit(setresuid(uid, uid, uid) == 0 && read(end[0], &byte, 1) == 0 ? 0 : 1);
	}
}

static void test_gateways_leave_each_other_threads(void **state) {
	const unsigned others = 40;
	int end[2], status;
	others_of_auth(end, others);
	expect_done(IPC_AUTH, "start a thread", do_thread);
	close(end[1]);
	for (unsigned i = 0; i < others; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	close(end[0]);
}

static void test_edge_accepts(void **state) {
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(send(client, "x", 1, 0), 1);
	expect_done(IPC_EDGE, "serve a client", do_accept);
	close(client);
	if (!SANITIZED)
		expect_killed(IPC_AUTH, "accept", do_accept);
}

// To a server, wherever it is; and nothing else that the others may not.
static void connects(enum ipc_role role) {
	expect_done(role, "connect", do_connect);
	expect_done(role, "run an event loop", do_loop);
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		if (forbidden[i].try == try_socket || (SANITIZED && forbidden[i].sanitizer_opens))
			continue;
		if (forbidden[i].answers)
			expect_answer(role, forbidden[i].name, forbidden[i].try);
		else
			expect_killed(role, forbidden[i].name, forbidden[i].try);
	}
	if (SANITIZED)
		return;
	expect_killed(role, "listen", try_listen);
	expect_killed(role, "bind", try_bind);
	expect_killed(role, "make a raw socket", try_raw);
	expect_killed(role, "make a netlink socket", try_netlink);
	expect_killed(role, "start a thread", do_thread);
	expect_killed(role, "accept", do_accept);
}

static void test_oidc_connects(void **state) {
	connects(IPC_OIDC);
}

static void test_ocsp_connects(void **state) {
	connects(IPC_OCSP);
}

static void test_session_stores(void **state) {
	expect_done(IPC_SESSION, "use its store", do_store);
	expect_done(IPC_SESSION, "write in its directory", do_own_file);
}

// What is gone before the filter is loaded.
static int look_around(enum ipc_role role) {
	uint32_t uid, gid;
	struct rlimit core, nproc;
	sandbox_ids(role, &uid, &gid);
	int root = open("/", O_RDONLY | O_DIRECTORY); // outside
	if (sandbox_drop(role, role == IPC_SESSION ? state_fd : -1, 256) < 0)
		return 10;
	if (getuid() != uid || geteuid() != uid || getgid() != gid || uid == 0 || gid == 0)
		return 11;
	if (getgroups(0, NULL) != 0)
		return 12;
	cap_t none = cap_init(), have = cap_get_proc();
	if (cap_compare(none, have) != 0)
		return 13;
	if (cap_get_bound(CAP_SYS_ADMIN) != 0 || cap_get_bound(CAP_CHOWN) != 0)
		return 14;
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
		return 15;
	if (getrlimit(RLIMIT_NPROC, &nproc) < 0 || (role != IPC_AUTH && nproc.rlim_max != 0))
		return 16;
	if (!SANITIZED && role != IPC_SESSION) {
		DIR *dir = opendir("/");
		for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
			if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
				return 17;
	}
	if (!SANITIZED && access("/etc", F_OK) == 0)
		return 18;
	close(root);
	return 0;
}

static void test_identity(void **state) {
	for (size_t r = 0; r < ROLES; r++) {
		int status;
		pid_t pid = fork();
		if (pid == 0)
			_exit(look_around(roles[r]));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("%s: check %d", ipc_role_name(roles[r]), WEXITSTATUS(status));
	}
}

// Three roles, three users.
static void test_users_differ(void **state) {
	uint32_t uid[ROLES], gid;
	for (size_t r = 0; r < ROLES; r++) {
		sandbox_ids(roles[r], &uid[r], &gid);
		for (size_t other = 0; other < r; other++)
			assert_int_not_equal(uid[r], uid[other]);
	}
}

static int setup(void **state) {
	uint32_t uid, gid;
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (mkdtemp(state_dir) == NULL)
		return -1;
	sandbox_ids(IPC_SESSION, &uid, &gid);
	if (chown(state_dir, uid, gid) < 0)
		return -1;
	state_fd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	secret_fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 4) < 0)
		return -1;
	return state_fd < 0 || secret_fd < 0 ? -1 : 0;
}

static int teardown(void **state) {
	static const char *const names[] = {"data.mdb", "lock.mdb", "own"};
	int dir = open(state_dir, O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(dir, names[i], 0);
	close(dir);
	return rmdir(state_dir);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_users_differ),
		cmocka_unit_test(test_everybody_can),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_threads_of_auth_alone),
		cmocka_unit_test(test_gateways_leave_each_other_threads),
		cmocka_unit_test(test_edge_accepts),
		cmocka_unit_test(test_oidc_connects),
		cmocka_unit_test(test_ocsp_connects),
		cmocka_unit_test(test_session_stores),
	};
	if (geteuid() != 0) {
		fprintf(stderr, "needs root\n");
		return 77; // skipped
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
