// SPDX-License-Identifier: GPL-3.0-or-later
// What the files of the ports share. Included by port*.c alone.
#pragma once

#include <linux/filter.h>

#include "dataplane/port.h"

// One message to people for what went wrong with a port.
void port_error(const struct dp_port *port, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

// port_fd.c, port_fd_tx.c: descriptors. fdq_alloc gives one a worker, fd -1.
struct dp_fdq *fdq_alloc(void);
void fdq_free(struct dp_fdq *fdqs); // closes; NULL is allowed
uint16_t tap_rx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n);
uint16_t tap_tx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n);
uint16_t packet_rx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n);
uint16_t packet_tx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n);

// port_tap.c: makes the TAP `port->kernel_if` with one queue a worker, MAC (NULL: the kernel's
// choice), MTU, addresses and NOARP, and sets it up. 0 or -errno, the error was printed.
int tap_open(struct dp_port *port, struct dp_fdq *fdqs, const struct rte_ether_addr *mac);

// port_packet.c: AF_PACKET sockets on interface `ifname`, one a worker, sharing what passes
// `filter` (NULL: everything) by flow. 0 or -errno, the error was printed.
int packet_open(struct dp_port *port, const char *ifname, const struct sock_fprog *filter);
// The same, only to send.
int packet_open_tx(struct dp_port *port, const char *ifname);
// port_filter.c: lets through what a shared port is for: UDP to the listening ports and fragments of UDP.
// The program is static, valid until the next call.
const struct sock_fprog *packet_filter(const struct cfg *cfg);

// port_ethdev.c: probes `devargs`, configures and starts. 0 or -errno, the error was printed.
int ethdev_open(struct dp_port *port, const char *devargs);
void ethdev_close(struct dp_port *port);

// port_xdp.c: AF_XDP on interface `ifname`. `cfg` NULL: all frames are ours (dedicated), else
// the VPN's datagrams. 0 or -errno, the error was printed: -EBUSY somebody else's program is
// attached, -ENOTSUP queues that cannot be served.
int xdp_open(struct dp_port *port, const char *ifname, const struct cfg *cfg);
void xdp_close(struct dp_port *port);
// Receive queues of the interface that AF_XDP has to serve, -ENOTSUP when it cannot serve all.
int xdp_channels(const char *ifname);
// Control thread, each second: local addresses of the host into the steering program's map.
void xdp_refresh(struct dp_port *port);

// port_guard.c: keeps the kernel from answering what is the dataplane's.
// Sockets on the VPN's UDP ports that drop everything, so that no port-unreachable is sent.
int guard_ports_open(const struct cfg *cfg);
void guard_ports_close(void);
// Drops all that the kernel's own stack would take from `ifname`; AF_PACKET still sees it. Filters
// of others stay where they are. Clear also removes what a killed dataplane left.
int guard_ingress_set(const char *ifname);
void guard_ingress_clear(const char *ifname);

// link.c: the kernel's interfaces, by netlink. 0 or -errno.
struct link_info {
	unsigned ifindex;
	uint16_t mtu;
	bool up;
	struct rte_ether_addr mac;
};
int link_get(const char *ifname, struct link_info *info);
int link_set(const char *ifname, uint16_t mtu, bool noarp, bool up); // mtu 0: as it is
// Keeps another dataplane of this namespace off the interface as long as the descriptor that is
// returned lives; -EADDRINUSE: it has it already.
int link_claim(const char *ifname);
int link_set_mac(const char *ifname, const struct rte_ether_addr *mac);
int link_set_queue(const char *ifname, unsigned packets); // that wait to be sent
// Lets the kernel take packets whose source is an address of its own: ICMP errors that we make in
// the name of the gateway, which is the kernel's when it stands at the other end of a TAP.
int link_accept_local(const char *ifname);
int link_add_address(const char *ifname, const struct cfg_prefix *prefix);
