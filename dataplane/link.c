// SPDX-License-Identifier: GPL-3.0-or-later
// Sets up the kernel's interfaces of the ports at boot: MAC, MTU, flags, addresses.
#include <errno.h>
#include <net/if_arp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <netlink/netlink.h>
#include <linux/ip.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet.h>

#include "dataplane/port_priv.h"

// One SIOC[GS]IF* call. 0 or -errno.
static int if_ioctl(unsigned long request, const char *ifname, struct ifreq *ifr) {
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	if (sock < 0)
		return -errno;
	strncpy(ifr->ifr_name, ifname, IFNAMSIZ - 1);
	ifr->ifr_name[IFNAMSIZ - 1] = '\0';
	ret = ioctl(sock, request, ifr) == 0 ? 0 : -errno;
	close(sock);
	return ret;
}

int link_get(const char *ifname, struct link_info *info) {
	struct ifreq ifr = {0};
	int ret;

	info->ifindex = if_nametoindex(ifname);
	if (info->ifindex == 0)
		return -ENODEV;
	ret = if_ioctl(SIOCGIFMTU, ifname, &ifr);
	if (ret != 0)
		return ret;
	info->mtu = (uint16_t)RTE_MIN(ifr.ifr_mtu, UINT16_MAX);
	ret = if_ioctl(SIOCGIFHWADDR, ifname, &ifr);
	if (ret != 0)
		return ret;
	if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return -EPROTOTYPE;
	memcpy(&info->mac, ifr.ifr_hwaddr.sa_data, sizeof(info->mac));
	ret = if_ioctl(SIOCGIFFLAGS, ifname, &ifr);
	info->up = ret == 0 && (ifr.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	return ret;
}

// Abstract socket names belong to the network namespace, as interfaces do, and go with the process.
int link_claim(const char *ifname) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "penstock/%s", ifname);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) != 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

int link_set_mac(const char *ifname, const struct rte_ether_addr *mac) {
	struct ifreq ifr = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

	memcpy(ifr.ifr_hwaddr.sa_data, mac, sizeof(*mac));
	return if_ioctl(SIOCSIFHWADDR, ifname, &ifr);
}

int link_set_queue(const char *ifname, unsigned packets) {
	struct ifreq ifr = {.ifr_qlen = (int)packets};

	return if_ioctl(SIOCSIFTXQLEN, ifname, &ifr);
}

int link_set(const char *ifname, uint16_t mtu, bool noarp, bool up) {
	struct ifreq ifr = {.ifr_mtu = mtu};
	int ret = mtu != 0 ? if_ioctl(SIOCSIFMTU, ifname, &ifr) : 0;
	short flags;

	if (ret != 0)
		return ret;
	ret = if_ioctl(SIOCGIFFLAGS, ifname, &ifr);
	if (ret != 0)
		return ret;
	flags = ifr.ifr_flags;
	if (noarp)
		flags |= IFF_NOARP;
	if (up)
		flags |= IFF_UP;
	if (flags == ifr.ifr_flags)
		return 0;
	ifr.ifr_flags = flags;
	return if_ioctl(SIOCSIFFLAGS, ifname, &ifr);
}

static int accept_local(struct nl_sock *sock, unsigned ifindex) {
	struct rtnl_link *which = rtnl_link_alloc(), *change = rtnl_link_alloc();
	int ret = -NLE_NOMEM;

	if (which == NULL || change == NULL)
		goto out;
	rtnl_link_set_ifindex(which, (int)ifindex);
	ret = rtnl_link_inet_set_conf(change, IPV4_DEVCONF_ACCEPT_LOCAL, 1);
	if (ret == 0)
		ret = rtnl_link_change(sock, which, change, 0);
out:
	if (change != NULL)
		rtnl_link_put(change);
	if (which != NULL)
		rtnl_link_put(which);
	return ret;
}

int link_accept_local(const char *ifname) {
	struct nl_sock *sock = nl_socket_alloc();
	int ret = sock != NULL ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;

	if (ret == 0)
		ret = accept_local(sock, if_nametoindex(ifname));
	if (sock != NULL)
		nl_socket_free(sock);
	return ret == 0 ? 0 : -EIO;
}

static int address_add(struct nl_sock *sock, unsigned ifindex, const struct cfg_prefix *prefix) {
	size_t len = prefix->addr.family == AF_INET ? 4 : 16;
	struct nl_addr *local = nl_addr_build(prefix->addr.family, prefix->addr.bytes, len);
	struct rtnl_addr *addr = rtnl_addr_alloc();
	int ret = -NLE_NOMEM;

	if (local == NULL || addr == NULL)
		goto out;
	nl_addr_set_prefixlen(local, prefix->len);
	rtnl_addr_set_ifindex(addr, (int)ifindex);
	rtnl_addr_set_local(addr, local);
	// Nobody else can have it, and a tentative address would cost the first second.
	if (prefix->addr.family == AF_INET6)
		rtnl_addr_set_flags(addr, IFA_F_NODAD);
	ret = rtnl_addr_add(sock, addr, 0);
	if (ret == -NLE_EXIST)
		ret = 0;
out:
	if (addr != NULL)
		rtnl_addr_put(addr);
	if (local != NULL)
		nl_addr_put(local);
	return ret;
}

int link_add_address(const char *ifname, const struct cfg_prefix *prefix) {
	unsigned ifindex = if_nametoindex(ifname);
	struct nl_sock *sock;
	int ret;

	if (ifindex == 0)
		return -ENODEV;
	sock = nl_socket_alloc();
	if (sock == NULL)
		return -ENOMEM;
	ret = nl_connect(sock, NETLINK_ROUTE);
	if (ret == 0)
		ret = address_add(sock, ifindex, prefix);
	nl_socket_free(sock);
	switch (-ret) {
	case 0:
		return 0;
	case NLE_PERM:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	default:
		return -EINVAL;
	}
}
