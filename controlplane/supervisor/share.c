// SPDX-License-Identifier: GPL-3.0-or-later
// What root has to do for the shared store: the keys that come from its secret, and sockets that
// connect to its server. Called by files.c.
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "controlplane/proc/log.h"

static int unfit(const char *path, const char *text) {
	log_error("shared_store", "file=%s text=%s", log_value(path), log_value(text));
	return -EPERM;
}

static int secret_read(const char *path, uint8_t secret[SUP_SECRET_LEN]) {
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int status = 0;
	if (fd < 0)
		return unfit(path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 ||
		st.st_size != SUP_SECRET_LEN)
		status = unfit(path,
			"must be a file of 32 random bytes, mode 0600: head -c 32 "
			"/dev/urandom");
	else if (pread(fd, secret, SUP_SECRET_LEN, 0) != SUP_SECRET_LEN)
		status = -EIO;
	close(fd);
	return status;
}

// A key for one purpose (RFC 5869), so that no process holds what another's come from.
static int key_of(const char *path, const char *purpose, uint8_t key[SUP_SECRET_LEN]) {
	uint8_t secret[SUP_SECRET_LEN];
	int status = secret_read(path, secret);
	if (status == 0 &&
		wc_HKDF(WC_SHA256, secret, sizeof(secret), NULL, 0, (const byte *)purpose,
			(word32)strlen(purpose), key, SUP_SECRET_LEN) != 0)
		status = -EIO;
	explicit_bzero(secret, sizeof(secret));
	return status;
}

int share_key_open(const struct cfg *cfg, const char *purpose) {
	uint8_t key[SUP_SECRET_LEN];
	int status = key_of(cfg->share.secret_file, purpose, key);
	int fd = status == 0 ? memfd_create("key", MFD_CLOEXEC) : status;
	if (status == 0 && fd < 0)
		fd = -errno;
	if (fd >= 0 && write(fd, key, sizeof(key)) != sizeof(key)) {
		close(fd);
		fd = -EIO;
	}
	explicit_bzero(key, sizeof(key));
	return fd;
}

static socklen_t server_address(const struct cfg_share *share, struct sockaddr_storage *out) {
	struct sockaddr_un *un = (struct sockaddr_un *)out;
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof(*out));
	if (share->socket[0] != '\0') {
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", share->socket);
		return sizeof(*un);
	}
	if (share->address.family == AF_INET) {
		in->sin_family = AF_INET;
		in->sin_port = htons(share->port);
		memcpy(&in->sin_addr, share->address.bytes, sizeof(in->sin_addr));
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(share->port);
	memcpy(&in6->sin6_addr, share->address.bytes, sizeof(in6->sin6_addr));
	return sizeof(*in6);
}

int share_dial(const struct cfg *cfg) {
	struct sockaddr_storage addr;
	socklen_t len = server_address(&cfg->share, &addr);
	int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr, len) < 0 && errno != EINPROGRESS) {
		int status = -errno;
		close(fd);
		return status;
	}
	return fd;
}
