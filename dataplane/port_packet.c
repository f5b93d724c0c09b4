// SPDX-License-Identifier: GPL-3.0-or-later
// Opens AF_PACKET sockets: for shared ports without AF_XDP, for dedicated kernel interfaces, and to
// send on AF_XDP ports that would have to copy anyway.
//
// They send through the queueing discipline: only what goes that way is cut where the device does
// not cut super-packets itself.
//
// One socket a worker, joined in a fanout group that spreads by flow. The sockets are bound only
// once their filter is there, so that nothing else ever gets in.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/port_priv.h"
#include "dataplane/proto/gso.h"

#define BUFFER_BYTES (4 << 20) // socket buffers

static int option(int fd, int level, int name, int value) {
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int filter_set(int fd, const struct sock_fprog *filter) {
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof(*filter)) == 0 ? 0
											  : -errno;
}

static int socket_options(int fd, const struct sock_fprog *filter) {
	int ret = filter != NULL ? filter_set(fd, filter) : 0;

	if (ret == 0)
		ret = option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (ret == 0)
		ret = option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	// Larger than net.core.rmem_max with CAP_NET_ADMIN; without it what the limit allows.
	if (option(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) != 0)
		option(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
	if (option(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES) != 0)
		option(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
	return ret;
}

// `protocol` 0: nothing is received.
static int socket_open(const struct dp_port *port, unsigned ifindex, uint16_t protocol,
	const struct sock_fprog *filter) {
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)ifindex,
	};
	// Group number: unique to the process and port among those of the namespace. All fragments
	// of a datagram come to the same socket: their hash is made of the addresses alone.
	int group = ((getpid() ^ (port->index << 12)) & 0xffff) | (PACKET_FANOUT_HASH << 16);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	ret = socket_options(fd, filter);
	if (ret == 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		ret = -errno;
	if (ret == 0 && protocol != 0 && dp_nb_workers > 1)
		ret = option(fd, SOL_PACKET, PACKET_FANOUT, group);
	if (ret != 0) {
		close(fd);
		return ret;
	}
	return fd;
}

static int sockets_open(struct dp_port *port, const char *ifname, uint16_t protocol,
	const struct sock_fprog *filter) {
	unsigned ifindex = if_nametoindex(ifname);

	port->wire = fdq_alloc();
	if (port->wire == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < dp_nb_workers; i++) {
		int fd = socket_open(port, ifindex, protocol, filter);

		if (fd < 0) {
			port_error(port, "cannot open a packet socket on %s: %s", ifname,
				strerror(-fd));
			return fd;
		}
		port->wire[i].fd = fd;
		port->wire[i].joins = GSO_TCP | GSO_UDP;
	}
	port->tx_io = DP_IO_PACKET;
	port->flags |= DP_PORT_TX_UDP_CKSUM;
	return 0;
}

int packet_open(struct dp_port *port, const char *ifname, const struct sock_fprog *filter) {
	int ret = sockets_open(port, ifname, ETH_P_ALL, filter);

	if (ret != 0)
		return ret;
	port->io = DP_IO_PACKET;
	port->nb_rxq = port->nb_txq = (uint16_t)dp_nb_workers;
	strcpy(port->driver, "af_packet");
	return 0;
}

int packet_open_tx(struct dp_port *port, const char *ifname) {
	return sockets_open(port, ifname, 0, NULL);
}
