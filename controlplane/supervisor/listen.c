// SPDX-License-Identifier: GPL-3.0-or-later
// Opens the listening TCP sockets, which all edges share. Called by supervisor.c at start.
#include "supervisor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/proc/log.h"

#define BACKLOG 4096

union any_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static void describe(const union any_addr *addr, char *text, size_t len) {
	char host[INET6_ADDRSTRLEN];
	if (addr->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &addr->v4.sin_addr, host, sizeof(host));
		snprintf(text, len, "%s:%u", host, ntohs(addr->v4.sin_port));
	} else {
		inet_ntop(AF_INET6, &addr->v6.sin6_addr, host, sizeof(host));
		snprintf(text, len, "[%s]:%u", host, ntohs(addr->v6.sin6_port));
	}
}

static int set_on(int fd, int level, int option) {
	const int on = 1;
	return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

// The dataplane may bring an address up later than we start: FREEBIND does not wait for it.
static int set_options(int fd, int family) {
	int status = set_on(fd, SOL_SOCKET, SO_REUSEADDR);
	if (status == 0 && family == AF_INET)
		status = set_on(fd, IPPROTO_IP, IP_FREEBIND);
	if (status == 0 && family == AF_INET6)
		status = set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (status == 0 && family == AF_INET6)
		status = set_on(fd, IPPROTO_IPV6, IPV6_FREEBIND);
	return status;
}

static int open_socket(const union any_addr *addr) {
	int family = addr->sa.sa_family;
	socklen_t len = family == AF_INET ? sizeof(addr->v4) : sizeof(addr->v6);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	int status = set_options(fd, family);
	if (status == 0 && (bind(fd, &addr->sa, len) < 0 || listen(fd, BACKLOG) < 0))
		status = -errno;
	if (status == 0)
		return fd;
	close(fd);
	return status;
}

static struct ipc_listener message_of(const struct cfg_listen *listen, unsigned index) {
	struct ipc_listener msg = {.index = index, .proxy_required = listen->proxy_required};
	for (; msg.nb_proxies < listen->nb_trusted_proxies && msg.nb_proxies < IPC_PROXIES_MAX;
		msg.nb_proxies++)
		msg.proxies[msg.nb_proxies] = listen->trusted_proxies[msg.nb_proxies];
	return msg;
}

static int add_listener(struct supervisor *sup, const union any_addr *addr, unsigned index) {
	char text[80];
	describe(addr, text, sizeof(text));
	if (sup->nb_listeners == SUP_LISTENERS_MAX) {
		log_error("listen", "address=%s text=\"too many listening sockets\"", text);
		return -E2BIG;
	}
	int fd = open_socket(addr);
	if (fd < 0) {
		log_error("listen", "address=%s text=%s", log_value(text),
			log_value(fd == -EADDRINUSE ? "the port is in use by another program"
						    : strerror(-fd)));
		return fd;
	}
	sup->listeners[sup->nb_listeners++] = (struct listener){
		.fd = fd,
		.msg = message_of(&sup->config.cfg->listen[index], index),
	};
	log_info("listen", "address=%s", log_value(text));
	return 0;
}

static union any_addr make_addr(int family, const uint8_t *bytes, uint16_t port) {
	union any_addr addr = {.sa.sa_family = (sa_family_t)family};
	if (family == AF_INET) {
		addr.v4.sin_port = htons(port);
		memcpy(&addr.v4.sin_addr, bytes, 4);
	} else {
		addr.v6.sin6_port = htons(port);
		memcpy(&addr.v6.sin6_addr, bytes, 16);
	}
	return addr;
}

static bool have_ipv6(void) {
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int listen_one(struct supervisor *sup, const struct cfg_listen *conf, unsigned index) {
	static const uint8_t any[16];
	if (conf->addr.family != 0) {
		union any_addr addr = make_addr(
			conf->addr.family, conf->addr.bytes, conf->tcp_port);
		return add_listener(sup, &addr, index);
	}
	union any_addr v4 = make_addr(AF_INET, any, conf->tcp_port);
	int status = add_listener(sup, &v4, index);
	if (status < 0)
		return status;
	if (!have_ipv6()) {
		log_warning("listen", "text=\"this kernel has no IPv6: IPv4 only\"");
		return 0;
	}
	union any_addr v6 = make_addr(AF_INET6, any, conf->tcp_port);
	return add_listener(sup, &v6, index);
}

int listen_open(struct supervisor *sup) {
	const struct cfg *cfg = sup->config.cfg;
	int status = 0;
	for (unsigned i = 0; status == 0 && i < cfg->nb_listen; i++)
		status = listen_one(sup, &cfg->listen[i], i);
	return status;
}

void listen_close(struct supervisor *sup) {
	for (unsigned i = 0; i < sup->nb_listeners; i++)
		close(sup->listeners[i].fd);
	sup->nb_listeners = 0;
}
