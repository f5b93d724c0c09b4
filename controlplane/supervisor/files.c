// SPDX-License-Identifier: GPL-3.0-or-later
// Directories, secrets, the control socket, and opening of files for children. Called by
// supervisor.c at start and by message.c.
//
// run_dir/                root 0755: sockets, lock, store.key
// state_dir/              root 0711: cookie.key (auth reads it through us)
// state_dir/session/      the session process's own: its store; it cannot touch cookie.key
#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "controlplane/proc/log.h"
#include "controlplane/proc/sandbox.h"

#define CONTROL_BACKLOG 16

static int fail(const char *path, int status) {
	log_error("file", "path=%s text=%s", log_value(path), log_value(strerror(-status)));
	return status;
}

static int join(char *path, size_t size, const char *dir, const char *name) {
	int n = snprintf(path, size, "%s/%s", dir, name);
	return n < 0 || (size_t)n >= size ? fail(dir, -ENAMETOOLONG) : 0;
}

// ---- directories

// mkdir -p: what exists stays as it is.
static int make_dirs(const char *dir, mode_t mode) {
	char path[4096];
	if (snprintf(path, sizeof(path), "%s", dir) >= (int)sizeof(path))
		return fail(dir, -ENAMETOOLONG);
	for (char *slash = path + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return fail(path, -errno);
		*slash = '/';
	}
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return fail(path, -errno);
	return 0;
}

// A directory that only root may change: secrets are made in it.
static int open_root_dir(const char *path, mode_t mode) {
	struct stat st;
	int status = make_dirs(path, mode);
	if (status < 0)
		return status;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(path, -errno);
	if (fstat(fd, &st) < 0 || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		log_error("file", "path=%s text=%s", log_value(path),
			"\"must belong to root and be writable by nobody else\"");
		close(fd);
		return -EPERM;
	}
	return fd;
}

// The files of an earlier user of the role (a package that now has its own user) change hands.
static int hand_over(int parent, const char *name, uint32_t uid, uint32_t gid) {
	const struct dirent *entry;
	struct stat st;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	// Where the disk is read-only what is right already is left alone.
	if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0) {
		close(fd);
		return -errno;
	}
	if (st.st_uid == uid && st.st_gid == gid)
		return fd;
	if (fchown(fd, uid, gid) < 0) {
		close(fd);
		return -errno;
	}
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode) && st.st_nlink == 1)
			(void)!fchownat(fd, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW);
	}
	if (dir != NULL)
		closedir(dir);
	else if (copy >= 0)
		close(copy);
	return fd;
}

// ---- secrets

static int write_secret(int dir, const char *temporary, const char *name) {
	uint8_t new_secret[SUP_SECRET_LEN];
	int status = 0;
	unlinkat(dir, temporary, 0);
	int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (getrandom(new_secret, sizeof(new_secret), 0) != sizeof(new_secret) ||
		write(fd, new_secret, sizeof(new_secret)) != sizeof(new_secret))
		status = -EIO;
	explicit_bzero(new_secret, sizeof(new_secret));
	if (status == 0 &&
		(fsync(fd) < 0 || renameat(dir, temporary, dir, name) < 0 || fsync(dir) < 0))
		status = -errno;
	close(fd);
	return status;
}

// Makes the secret when there is none; an unfit one is not used, and not thrown away either.
static int ensure_secret(int dir, const char *name) {
	struct stat st;
	char temporary[64];
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		snprintf(temporary, sizeof(temporary), ".%s.new", name);
		int status = errno == ENOENT ? write_secret(dir, temporary, name) : -errno;
		return status < 0 ? fail(name, status) : 0;
	}
	if (S_ISREG(st.st_mode) && st.st_uid == 0 && (st.st_mode & 077) == 0 &&
		st.st_size == SUP_SECRET_LEN)
		return 0;
	log_error("file", "path=%s text=%s", log_value(name),
		"\"must be a file of 32 bytes, root's and mode 0600; remove it to get a new one\"");
	return -EPERM;
}

// ---- start

int files_run_dir(struct supervisor *sup) {
	const char *path = sup->config.cfg->run_dir;
	int dir = open_root_dir(path, 0755);
	if (dir < 0)
		return dir;
	int status = ensure_secret(dir, "store.key");
	sup->run_lock = openat(dir, "controlplane.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (status == 0 && sup->run_lock < 0)
		status = fail(path, -errno);
	if (status == 0 && flock(sup->run_lock, LOCK_EX | LOCK_NB) < 0) {
		log_error("file", "path=%s text=%s", log_value(path),
			"\"another penstock-controlplane runs here\"");
		status = -EBUSY;
	}
	close(dir);
	if (status == 0)
		status = join(
			sup->dataplane_path, sizeof(sup->dataplane_path), path, "dataplane.sock");
	return status;
}

int files_state_dir(struct supervisor *sup) {
	uint32_t uid, gid;
	const char *path = sup->config.cfg->state_dir;
	int dir = open_root_dir(path, 0711);
	if (dir < 0)
		return dir;
	sandbox_ids(IPC_SESSION, &uid, &gid);
	int status = ensure_secret(dir, "cookie.key");
	if (status == 0 && mkdirat(dir, "session", 0700) < 0 && errno != EEXIST)
		status = fail(path, -errno);
	int own = -1;
	if (status == 0) {
		own = hand_over(dir, "session", uid, gid);
		status = own < 0 ? fail(path, own) : 0;
	}
	if (status == 0) {
		sup->state_dir = openat(own, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		status = sup->state_dir < 0 ? fail(path, -errno) : 0;
	}
	if (own >= 0)
		close(own);
	close(dir);
	return status;
}

int files_control_socket(struct supervisor *sup) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int status = join(sup->control_path, sizeof(sup->control_path), sup->config.cfg->run_dir,
		"control.sock");
	if (status < 0) {
		sup->control_path[0] = '\0';
		return status;
	}
	memcpy(addr.sun_path, sup->control_path, sizeof(addr.sun_path));
	unlink(sup->control_path); // ours by the lock: of one that was killed
	sup->control_sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sup->control_sock < 0)
		return fail(sup->control_path, -errno);
	mode_t old = umask(0117); // 0660 from the first moment
	int bound = bind(sup->control_sock, (const struct sockaddr *)&addr, sizeof(addr));
	status = bound < 0 ? -errno : 0;
	umask(old);
	if (status == 0 && listen(sup->control_sock, CONTROL_BACKLOG) < 0)
		status = -errno;
	return status < 0 ? fail(sup->control_path, status) : 0;
}

void files_remove(struct supervisor *sup) {
	if (sup->control_sock >= 0) {
		unlink(sup->control_path);
		close(sup->control_sock);
	}
	if (sup->state_dir >= 0)
		close(sup->state_dir);
	if (sup->run_lock >= 0)
		close(sup->run_lock);
	sup->control_sock = sup->state_dir = sup->run_lock = -1;
}

// ---- for children

bool files_allowed(enum ipc_role role, enum ipc_file file) {
	switch (file) {
	case IPC_FILE_PASSWORDS:
	case IPC_FILE_CERTIFICATE:
	case IPC_FILE_KEY:
	case IPC_FILE_COOKIE_SECRET:
	case IPC_FILE_OTP_USERS:
	case IPC_FILE_CLIENT_CAS:
	case IPC_FILE_CLIENT_CRL:
		return role == IPC_AUTH;
	case IPC_FILE_STORE_SECRET:
		return role == IPC_SESSION;
	case IPC_FILE_RADIUS_SECRET:
	case IPC_FILE_DYNAUTH_SECRET:
		return role == IPC_RADIUS;
	case IPC_FILE_OIDC_CA:
		return role == IPC_OIDC;
	case IPC_FILE_KEYTAB:
		return role == IPC_KERBEROS;
	case IPC_FILE_SHARE_SECRET:
		return role == IPC_SESSION;
	case IPC_FILE_SHARE_PASSWORD:
	case IPC_FILE_SHARE_SOCKET:
		return role == IPC_SHARE;
	}
	return false;
}

// The path of a file, in `storage` when it is made up here. 0 or -errno.
static int file_path(const struct cfg *cfg, enum ipc_file file, unsigned index, char *storage,
	size_t size, const char **path) {
	*path = storage;
	switch (file) {
	case IPC_FILE_PASSWORDS:
		*path = cfg->auth.password_file;
		return 0;
	case IPC_FILE_OTP_USERS:
		*path = cfg->auth.otp.file;
		return 0;
	case IPC_FILE_OIDC_CA:
		*path = cfg->oidc.ca_file;
		return 0;
	case IPC_FILE_CLIENT_CAS:
		*path = cfg->auth.client_cert.ca_file;
		return 0;
	case IPC_FILE_CLIENT_CRL:
		if (index >= cfg->auth.client_cert.nb_crl_files)
			return -ENOENT;
		*path = cfg->auth.client_cert.crl_files[index];
		return 0;
	case IPC_FILE_KEYTAB:
		*path = cfg->auth.kerberos.keytab_file;
		return 0;
	case IPC_FILE_CERTIFICATE:
	case IPC_FILE_KEY:
		if (index >= cfg->nb_certificates)
			return -ENOENT;
		*path = file == IPC_FILE_KEY ? cfg->certificates[index].key_file
					     : cfg->certificates[index].certificate_file;
		return 0;
	case IPC_FILE_COOKIE_SECRET:
		return join(storage, size, cfg->state_dir, "cookie.key");
	case IPC_FILE_STORE_SECRET:
		return join(storage, size, cfg->run_dir, "store.key");
	case IPC_FILE_RADIUS_SECRET:
		if (index >= cfg->radius.nb_servers)
			return -ENOENT;
		*path = cfg->radius.servers[index].secret_file;
		return 0;
	case IPC_FILE_DYNAUTH_SECRET:
		if (index >= cfg->radius.dynauth.nb_clients)
			return -ENOENT;
		*path = cfg->radius.dynauth.clients[index].secret_file;
		return 0;
	case IPC_FILE_SHARE_PASSWORD:
		*path = cfg->share.password_file;
		return 0;
	case IPC_FILE_SHARE_SECRET:
	case IPC_FILE_SHARE_SOCKET:
		break; // made, not opened
	}
	return -EINVAL;
}

// What belongs to the shared store. True: *fd is the descriptor, or -errno.
static bool shared_open(const struct cfg *cfg, enum ipc_file file, int *fd) {
	bool shared = cfg->share.node[0] != '\0';
	if (file == IPC_FILE_COOKIE_SECRET && shared)
		*fd = share_key_open(cfg, "penstock cookies 1");
	else if (file == IPC_FILE_SHARE_SECRET)
		*fd = shared ? share_key_open(cfg, "penstock shared store 1") : -ENOENT;
	else if (file == IPC_FILE_SHARE_SOCKET)
		*fd = shared ? share_dial(cfg) : -ENOENT;
	else
		return false;
	return true;
}

int files_open(struct supervisor *sup, enum ipc_role role, enum ipc_file file, unsigned index) {
	char storage[4096];
	const char *path;
	struct stat st;
	int made;
	if (!files_allowed(role, file))
		return -EPERM;
	if (shared_open(sup->config.cfg, file, &made))
		return made;
	int status = file_path(sup->config.cfg, file, index, storage, sizeof(storage), &path);
	if (status < 0)
		return status;
	if (path[0] == '\0')
		return -ENOENT;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fail(path, -errno);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(path, -EINVAL);
	}
	return fd;
}
