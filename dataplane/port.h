// SPDX-License-Identifier: GPL-3.0-or-later
// Ports: what the dataplane sends and receives on, and their interface in the kernel. Used by all.
//
// Every port has exactly one kernel interface, whose addresses, neighbours and routes are the
// dataplane's own (they come by netlink, keyed by `ifindex`):
//
//   mode       wire                            kernel interface
//   dedicated  any DPDK device                 a TAP twin with the device's MAC and MTU
//   shared     AF_XDP, else AF_PACKET          the NIC itself, which the kernel goes on serving
//   tap        the TAP                         the TAP's other end
//
// AF_XDP without zero copy receives by AF_XDP and sends by AF_PACKET, which takes super-packets.
//
// TAPs are plain descriptors with one queue a worker: net_tap raises a real-time signal for every
// packet, and needs a second DPDK port for each twin.
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "dataplane/abi/stats.h"
#include "dataplane/worker.h"
#include "yang/config.h"

#define DP_PORT_NONE UINT16_MAX

// What the port's hardware does, and how its link behaves.
#define DP_PORT_TX_UDP_CKSUM (1u << 1) // RTE_MBUF_F_TX_UDP_CKSUM may be set
#define DP_PORT_NOARP (1u << 2) // no neighbours: every frame goes to peer_mac
#define DP_PORT_HAS_TWIN (1u << 3) // punted packets go to a TAP in the kernel
#define DP_PORT_POINT_TO_HOST (1u << 4) // the other end of the wire is this host's kernel

// How packets reach the wire; chosen at boot.
enum dp_port_io {
	DP_IO_ETHDEV,
	DP_IO_TAP, // `wire`: read and write, a packet or super-packet a call
	DP_IO_PACKET, // `wire`: AF_PACKET sockets, recvmmsg and sendmmsg
};

struct dp_port {
	// All fields are written at boot, before workers run, and read-only afterwards, but those
	// marked (ctl), which the control thread may change.
	uint8_t index; // in dp_ports
	uint8_t role; // enum cfg_port_role
	uint8_t mode; // enum cfg_port_mode
	uint8_t io; // enum dp_port_io: how it receives
	uint8_t tx_io; // enum dp_port_io: how it sends
	uint32_t flags; // DP_PORT_*
	uint16_t port_id; // DPDK's number, or DP_PORT_NONE
	uint16_t nb_rxq, nb_txq;
	uint16_t mtu; // of layer 3, bytes
	unsigned ifindex; // of the kernel's interface
	// ours: destination of frames to us, source of frames from us; read with 2 bytes behind it
	struct rte_ether_addr mac;
	struct rte_ether_addr peer_mac; // DP_PORT_NOARP: where every frame goes
	int rxq_fd; // DP_IO_ETHDEV: the driver's own descriptor to sleep on, -1: none
	struct dp_fdq *wire; // DP_IO_TAP and DP_IO_PACKET, either way: one a worker
	struct dp_fdq *twin; // DP_PORT_HAS_TWIN: one a worker
	uint16_t *txq_of; // by worker number: its transmit queue, or DP_PORT_NONE
	uint16_t tx_worker; // the worker that transmits for those that have no queue
	int claim_fd; // of the kernel interface under the port, -1: none
	bool deaf; // the kernel's own input from that interface was cut off
	bool up; // (ctl) link state, refreshed each second
	char name[ABI_NAME_LEN];
	char driver[ABI_NAME_LEN];
	char kernel_if[IFNAMSIZ];
	const struct cfg_port *cfg;
};

// One worker's descriptor of a TAP or an AF_PACKET socket: its own queue, so that no lock is
// needed. That worker alone uses it; its counters stand in for a device's.
struct dp_fdq {
	int fd;
	unsigned joins; // GSO_*: what the other side takes as super-packets
	struct fdq_rx *rx; // what reception keeps
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_errors, tx_dropped;
} __attribute__((aligned(64)));

extern struct dp_port dp_ports[ABI_PORTS_MAX];
extern unsigned dp_nb_ports;

// The pool of all packets: private area struct dp_pkt, one segment holds any frame of any port.
extern struct rte_mempool *dp_mbuf_pool;

// The kernel's interface number to port; NULL: none of ours.
struct dp_port *dp_port_by_ifindex(unsigned ifindex);

// Receives and sends on the wire from worker `self`'s thread, or the twin. Nodes rx, tx and
// punt-kernel alone call these. Sent packets are freed; what was not sent stays the caller's.
// `queue` is the device's receive queue (DP_IO_ETHDEV), else ignored.
uint16_t dp_port_rx(struct dp_port *port, struct dp_lcore *self, uint16_t queue,
	struct rte_mbuf **pkts, uint16_t n);
uint16_t dp_port_tx(
	struct dp_port *port, struct dp_lcore *self, struct rte_mbuf **pkts, uint16_t n);
uint16_t dp_port_twin_rx(
	struct dp_port *port, struct dp_lcore *self, struct rte_mbuf **pkts, uint16_t n);
uint16_t dp_port_twin_tx(
	struct dp_port *port, struct dp_lcore *self, struct rte_mbuf **pkts, uint16_t n);

// What a sleeping worker can wait on for this queue: a descriptor, or -1.
int dp_port_rxq_fd(const struct dp_rxq *rxq, const struct dp_lcore *self);

// Boot: makes every port of the configuration, starts it, sets its addresses. The error was
// printed. 0 or -errno.
int dp_ports_init(const struct cfg *cfg);
void dp_ports_fini(void);

// Control thread, each second: fills abi_stats.port from devices and sockets.
void dp_ports_stats(void);
