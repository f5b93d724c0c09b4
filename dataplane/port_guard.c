// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps the kernel's own stack from answering what the dataplane serves. Called by port.c.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/port_priv.h"

#define GUARDS_MAX 64u
// Our filter on an interface, first in line: what comes before it the kernel could answer. The
// handle tells it from an administrator's of the same priority.
#define DEAF_PRIORITY 1u
#define DEAF_HANDLE 0x50454e53u

static int guards[GUARDS_MAX];
static unsigned nb_guards;
static unsigned hooks[ABI_PORTS_MAX]; // interfaces whose clsact qdisc we made
static unsigned nb_hooks;

// A filter that takes nothing: datagrams are dropped before they are queued.
static int refuse_all(int fd) {
	struct sock_filter code = {.code = BPF_RET | BPF_K};
	struct sock_fprog prog = {.len = 1, .filter = &code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int bind_to(int fd, int family, const uint8_t *addr, uint16_t port) {
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int one = 1;

	setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof(one));
	if (family == AF_INET) {
		memcpy(&in.sin_addr, addr, 4);
		return bind(fd, (struct sockaddr *)&in, sizeof(in));
	}
	setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	memcpy(&in6.sin6_addr, addr, 16);
	return bind(fd, (struct sockaddr *)&in6, sizeof(in6));
}

static int guard_open(int family, const uint8_t *addr, uint16_t port) {
	int fd;

	if (nb_guards == GUARDS_MAX)
		return -ENOSPC;
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno; // a kernel without IPv6
	if (refuse_all(fd) != 0 || bind_to(fd, family, addr, port) != 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	guards[nb_guards++] = fd;
	return 0;
}

int guard_ports_open(const struct cfg *cfg) {
	static const uint8_t any[16];
	int ret = 0;

	if (nb_guards > 0)
		return 0; // another shared port did it
	for (size_t i = 0; i < cfg->nb_listen && ret == 0; i++) {
		const struct cfg_listen *listen = &cfg->listen[i];
		int family = listen->addr.family;

		if (listen->udp_port == 0)
			continue;
		if (family != AF_INET6)
			ret = guard_open(
				AF_INET, family ? listen->addr.bytes : any, listen->udp_port);
		if (ret == 0 && family != AF_INET)
			ret = guard_open(
				AF_INET6, family ? listen->addr.bytes : any, listen->udp_port);
		if (ret != 0)
			fprintf(stderr, "penstock-dataplane: cannot reserve UDP port %u: %s\n",
				listen->udp_port,
				ret == -EADDRINUSE ? "another program uses it" : strerror(-ret));
	}
	if (ret != 0)
		guard_ports_close();
	return ret;
}

void guard_ports_close(void) {
	while (nb_guards > 0)
		close(guards[--nb_guards]);
}

static int drop_program(void) {
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_SHOT},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(
		BPF_PROG_TYPE_SCHED_CLS, "penstock_deaf", "GPL", code, RTE_DIM(code), NULL);
}

static int filter_remove(unsigned ifindex) {
	DECLARE_LIBBPF_OPTS(
		bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = DEAF_HANDLE, .priority = DEAF_PRIORITY);

	// asked first: libbpf prints what the kernel says to a removal of nothing
	if (bpf_tc_query(&hook, &opts) != 0)
		return 0;
	opts.prog_fd = 0;
	opts.prog_id = 0;
	opts.flags = 0;
	return bpf_tc_detach(&hook, &opts);
}

// A clsact hook comes after the packet sockets and before the protocols. It may be there already,
// with filters of others, or with ours when a dataplane was killed: that one is replaced.
int guard_ingress_set(const char *ifname) {
	unsigned ifindex = if_nametoindex(ifname);
	DECLARE_LIBBPF_OPTS(
		bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = DEAF_HANDLE, .priority = DEAF_PRIORITY,
		.flags = BPF_TC_F_REPLACE);
	int ret = bpf_tc_hook_create(&hook);

	if (ret != 0 && ret != -EEXIST)
		return ret;
	if (ret == 0 && nb_hooks < RTE_DIM(hooks))
		hooks[nb_hooks++] = ifindex;
	opts.prog_fd = drop_program();
	if (opts.prog_fd < 0)
		ret = opts.prog_fd;
	else
		ret = bpf_tc_attach(&hook, &opts);
	if (opts.prog_fd >= 0)
		close(opts.prog_fd);
	if (ret != 0)
		guard_ingress_clear(ifname);
	return ret;
}

static bool hook_ours(unsigned ifindex) {
	for (unsigned i = 0; i < nb_hooks; i++) {
		if (hooks[i] != ifindex)
			continue;
		hooks[i] = hooks[--nb_hooks];
		return true;
	}
	return false;
}

void guard_ingress_clear(const char *ifname) {
	unsigned ifindex = if_nametoindex(ifname);
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	if (ifindex == 0)
		return;
	filter_remove(ifindex);
	if (hook_ours(ifindex))
		bpf_tc_hook_destroy(&hook);
}
