// SPDX-License-Identifier: GPL-3.0-or-later
// Makes TAP interfaces with one queue a worker: twins, and the LAN side into the host kernel.
//
// Nothing outlives the process: a TAP goes with its last descriptor, its addresses and routes
// with it.
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dataplane/port_priv.h"
#include "dataplane/proto/gso.h"

// What waits for a worker that is busy, or was put off its CPU, for some milliseconds.
#define QUEUE_PACKETS 4096u

#ifndef TUN_F_USO4 // Linux 6.2
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int queue_open(const char ifname[static IFNAMSIZ]) {
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd;

	if (dp_nb_workers > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(ifr.ifr_name, ifname, IFNAMSIZ);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

// Checksums and super-packets that the kernel may leave to us, as far as it can. What it can leave to
// us it takes from us.
static unsigned offloads_set(int fd) {
	const unsigned long tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

	if (ioctl(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) == 0)
		return GSO_TCP | GSO_UDP;
	return ioctl(fd, TUNSETOFFLOAD, tcp) == 0 ? GSO_TCP : 0;
}

static int queues_open(struct dp_port *port, struct dp_fdq *fdqs) {
	for (unsigned i = 0; i < dp_nb_workers; i++) {
		int fd = queue_open(port->kernel_if);

		if (fd < 0) {
			port_error(port, "cannot make the TAP interface %s: %s", port->kernel_if,
				fd == -ENOENT ? "there is no /dev/net/tun" : strerror(-fd));
			return fd;
		}
		fdqs[i].fd = fd;
		fdqs[i].joins = offloads_set(fd);
	}
	return 0;
}

static int addresses_set(struct dp_port *port) {
	for (size_t i = 0; i < port->cfg->nb_addresses; i++) {
		int ret = link_add_address(port->kernel_if, &port->cfg->addresses[i]);

		if (ret != 0) {
			port_error(port, "cannot set address number %zu of %s: %s", i + 1,
				port->kernel_if, strerror(-ret));
			return ret;
		}
	}
	return 0;
}

int tap_open(struct dp_port *port, struct dp_fdq *fdqs, const struct rte_ether_addr *mac) {
	struct link_info info;
	int ret = queues_open(port, fdqs);

	if (ret != 0)
		return ret;
	if (mac != NULL)
		ret = link_set_mac(port->kernel_if, mac);
	if (ret == 0)
		ret = link_set_queue(port->kernel_if, QUEUE_PACKETS);
	if (ret == 0)
		ret = link_set(port->kernel_if, port->mtu, port->flags & DP_PORT_NOARP, true);
	if (ret == 0 && (port->flags & DP_PORT_POINT_TO_HOST))
		ret = link_accept_local(port->kernel_if);
	if (ret == 0)
		ret = link_get(port->kernel_if, &info);
	if (ret != 0) {
		port_error(port, "cannot set %s up: %s", port->kernel_if, strerror(-ret));
		return ret;
	}
	port->ifindex = info.ifindex;
	port->mtu = info.mtu;
	if (mac == NULL)
		port->mac = info.mac;
	return addresses_set(port);
}
