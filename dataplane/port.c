// SPDX-License-Identifier: GPL-3.0-or-later
// The table of ports: made at boot from the configuration, polled by nodes, counted by ctl.
#include "dataplane/port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_malloc.h>

#include "dataplane/port_priv.h"
#include "dataplane/stats.h"

struct dp_port dp_ports[ABI_PORTS_MAX];
unsigned dp_nb_ports;
struct rte_mempool *dp_mbuf_pool;

void port_error(const struct dp_port *port, const char *fmt, ...) {
	va_list args;

	fprintf(stderr, "penstock-dataplane: port %s: ", port->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

struct dp_port *dp_port_by_ifindex(unsigned ifindex) {
	for (unsigned i = 0; i < dp_nb_ports; i++) {
		if (dp_ports[i].ifindex == ifindex)
			return &dp_ports[i];
	}
	return NULL;
}

uint16_t dp_port_rx(struct dp_port *port, struct dp_lcore *self, uint16_t queue,
	struct rte_mbuf **pkts, uint16_t n) {
	switch (port->io) {
	case DP_IO_TAP:
		return tap_rx(&port->wire[self->number], pkts, n);
	case DP_IO_PACKET:
		return packet_rx(&port->wire[self->number], pkts, n);
	default:
		return rte_eth_rx_burst(port->port_id, queue, pkts, n);
	}
}

uint16_t dp_port_tx(
	struct dp_port *port, struct dp_lcore *self, struct rte_mbuf **pkts, uint16_t n) {
	switch (port->tx_io) {
	case DP_IO_TAP:
		return tap_tx(&port->wire[self->number], pkts, n);
	case DP_IO_PACKET:
		return packet_tx(&port->wire[self->number], pkts, n);
	default:
		return rte_eth_tx_burst(port->port_id, port->txq_of[self->number], pkts, n);
	}
}

uint16_t dp_port_twin_rx(
	struct dp_port *port, struct dp_lcore *self, struct rte_mbuf **pkts, uint16_t n) {
	return tap_rx(&port->twin[self->number], pkts, n);
}

uint16_t dp_port_twin_tx(
	struct dp_port *port, struct dp_lcore *self, struct rte_mbuf **pkts, uint16_t n) {
	return tap_tx(&port->twin[self->number], pkts, n);
}

int dp_port_rxq_fd(const struct dp_rxq *rxq, const struct dp_lcore *self) {
	const struct dp_port *port = rxq->port;

	if (rxq->twin)
		return port->twin[self->number].fd;
	return port->io == DP_IO_ETHDEV ? port->rxq_fd : port->wire[self->number].fd;
}

static bool is_interface(const struct cfg_port *cfg) {
	return cfg->driver == CFG_DRIVER_AF_XDP || cfg->driver == CFG_DRIVER_AF_PACKET;
}

// Before anything on the interface is changed that a living dataplane might have made.
static int claim(struct dp_port *port, const char *ifname) {
	port->claim_fd = link_claim(ifname);
	if (port->claim_fd >= 0)
		return 0;
	port_error(port, "cannot use the interface %s: %s", ifname,
		port->claim_fd == -EADDRINUSE ? "another penstock-dataplane does"
					      : strerror(-port->claim_fd));
	return port->claim_fd;
}

// The wire of a dedicated port: a DPDK device, or a kernel interface that is ours alone.
static int wire_open(struct dp_port *port) {
	const char *device = port->cfg->device;
	struct link_info info;
	int ret;

	if (!is_interface(port->cfg))
		return ethdev_open(port, device);
	ret = claim(port, device);
	if (ret != 0)
		return ret;
	ret = link_set(device, port->mtu, false, true);
	if (ret == 0)
		ret = link_get(device, &info);
	if (ret != 0) {
		port_error(port, "cannot use the interface %s: %s", device, strerror(-ret));
		return ret;
	}
	if (port->cfg->driver == CFG_DRIVER_AF_XDP) {
		guard_ingress_clear(device); // of a killed dataplane with the other driver
		return xdp_open(port, device, NULL);
	}
	port->mtu = info.mtu;
	port->mac = info.mac;
	ret = guard_ingress_set(device);
	if (ret != 0) {
		port_error(port, "cannot take %s from the kernel: %s", device, strerror(-ret));
		return ret;
	}
	port->deaf = true;
	return packet_open(port, device, NULL);
}

static int dedicated_open(struct dp_port *port, const struct cfg *cfg) {
	struct rte_ether_addr mac;
	int ret = wire_open(port);

	if (ret != 0)
		return ret;
	port->twin = fdq_alloc();
	if (port->twin == NULL)
		return -ENOMEM;
	port->flags |= DP_PORT_HAS_TWIN;
	mac = port->mac;
	return tap_open(port, port->twin, &mac);
}

static int shared_open(struct dp_port *port, const struct cfg *cfg) {
	enum cfg_driver driver = port->cfg->driver;
	struct link_info info;
	int ret = link_get(port->kernel_if, &info);

	if (ret != 0) {
		port_error(
			port, "cannot use the interface %s: %s", port->kernel_if, strerror(-ret));
		return ret;
	}
	port->ifindex = info.ifindex;
	port->mtu = info.mtu; // the kernel's to choose
	port->mac = info.mac;
	ret = claim(port, port->kernel_if);
	if (ret == 0)
		ret = guard_ports_open(cfg);
	if (ret != 0)
		return ret;
	guard_ingress_clear(port->kernel_if); // of a killed dataplane that had it for itself
	if (driver != CFG_DRIVER_AF_PACKET) {
		port->mtu = 0;
		ret = xdp_open(port, port->kernel_if, cfg);
		port->mtu = info.mtu;
		if (ret == 0 || driver == CFG_DRIVER_AF_XDP)
			return ret;
		port_error(port, "AF_PACKET is used instead");
	}
	port->flags = 0;
	return packet_open(port, port->kernel_if, packet_filter(cfg));
}

// All frames go to the kernel's end, whose packets to us carry its own address (NOARP): neither
// side ever asks for the other's.
static int lan_tap_open(struct dp_port *port, const struct cfg *cfg) {
	int ret;

	port->flags |= DP_PORT_NOARP | DP_PORT_POINT_TO_HOST;
	port->wire = fdq_alloc();
	if (port->wire == NULL)
		return -ENOMEM;
	ret = tap_open(port, port->wire, NULL);
	port->peer_mac = port->mac;
	port->io = port->tx_io = DP_IO_TAP;
	port->nb_rxq = port->nb_txq = (uint16_t)dp_nb_workers;
	strcpy(port->driver, "tap");
	return ret;
}

static const struct {
	int (*open)(struct dp_port *port, const struct cfg *cfg);
} modes[] = {
	[CFG_PORT_DEDICATED] = {dedicated_open},
	[CFG_PORT_SHARED] = {shared_open},
	[CFG_PORT_TAP] = {lan_tap_open},
};

static int names_set(struct dp_port *port) {
	const struct cfg_port *cfg = port->cfg;
	const char *kernel_if = cfg->kernel_if;

	if (cfg->mode == CFG_PORT_SHARED)
		kernel_if = cfg->device;
	else if (kernel_if[0] == '\0')
		kernel_if = cfg->name;
	snprintf(port->name, sizeof(port->name), "%s", cfg->name);
	if (strlen(kernel_if) >= sizeof(port->kernel_if)) {
		port_error(port, "the interface name %s is too long", kernel_if);
		return -ENAMETOOLONG;
	}
	strcpy(port->kernel_if, kernel_if);
	return 0;
}

static bool has_own_txq(const struct dp_port *port, unsigned worker) {
	return port->tx_io != DP_IO_ETHDEV || worker < port->nb_txq;
}

static int txqs_assign(struct dp_port *port) {
	port->txq_of = rte_calloc("txq_of", dp_nb_workers, sizeof(*port->txq_of), 0);
	if (port->txq_of == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < dp_nb_workers; i++)
		port->txq_of[i] = has_own_txq(port, i) ? (uint16_t)i : DP_PORT_NONE;
	port->tx_worker = 0;
	return 0;
}

static int rxq_add(struct dp_lcore *lcore, struct dp_port *port, uint16_t queue, bool twin) {
	struct dp_rxq *rxqs = rte_realloc(
		lcore->rxqs, (lcore->nb_rxqs + 1) * sizeof(*rxqs), RTE_CACHE_LINE_SIZE);

	if (rxqs == NULL)
		return -ENOMEM;
	rxqs[lcore->nb_rxqs++] = (struct dp_rxq){port, queue, twin};
	lcore->rxqs = rxqs;
	return 0;
}

// Device queues go round the workers, starting with another one for each port. Of sockets and
// TAPs each worker has its own queue.
static int rxqs_assign(struct dp_port *port) {
	int ret = 0;

	for (unsigned i = 0; port->io != DP_IO_ETHDEV && ret == 0 && i < dp_nb_workers; i++)
		ret = rxq_add(&dp_lcores[i], port, 0, false);
	for (uint16_t q = 0; port->io == DP_IO_ETHDEV && ret == 0 && q < port->nb_rxq; q++)
		ret = rxq_add(&dp_lcores[(q + port->index) % dp_nb_workers], port, q, false);
	for (unsigned i = 0; port->twin != NULL && ret == 0 && i < dp_nb_workers; i++)
		ret = rxq_add(&dp_lcores[i], port, 0, true);
	return ret;
}

static int port_init(struct dp_port *port, const struct cfg *cfg) {
	int ret = names_set(port);

	if (ret == 0)
		ret = modes[port->mode].open(port, cfg);
	if (ret == 0)
		ret = txqs_assign(port);
	return ret == 0 ? rxqs_assign(port) : ret;
}

static void port_fini(struct dp_port *port) {
	xdp_close(port);
	fdq_free(port->wire);
	fdq_free(port->twin);
	if (port->deaf)
		guard_ingress_clear(port->cfg->device);
	if (port->claim_fd >= 0)
		close(port->claim_fd);
	rte_free(port->txq_of);
	memset(port, 0, sizeof(*port));
}

int dp_ports_init(const struct cfg *cfg) {
	int ret = 0;

	if (cfg->dataplane.nb_ports > ABI_PORTS_MAX) {
		fprintf(stderr, "penstock-dataplane: %zu ports, %u at most are possible\n",
			cfg->dataplane.nb_ports, ABI_PORTS_MAX);
		return -E2BIG;
	}
	for (size_t i = 0; i < cfg->dataplane.nb_ports && ret == 0; i++) {
		struct dp_port *port = &dp_ports[i];

		port->index = (uint8_t)i;
		port->cfg = &cfg->dataplane.ports[i];
		port->role = (uint8_t)port->cfg->role;
		port->mode = (uint8_t)port->cfg->mode;
		port->mtu = port->cfg->mtu;
		port->port_id = DP_PORT_NONE;
		port->rxq_fd = -1;
		port->claim_fd = -1;
		dp_nb_ports++;
		ret = port_init(port, cfg);
		if (ret == -ENOMEM)
			port_error(port, "there is not enough memory");
	}
	if (ret != 0)
		dp_ports_fini();
	else
		dp_ports_stats();
	return ret;
}

void dp_ports_fini(void) {
	while (dp_nb_ports > 0)
		port_fini(&dp_ports[--dp_nb_ports]);
	guard_ports_close();
	for (unsigned i = 0; i < dp_nb_workers; i++) {
		rte_free(dp_lcores[i].rxqs);
		dp_lcores[i].rxqs = NULL;
		dp_lcores[i].nb_rxqs = 0;
	}
}

static void stats_ethdev(const struct dp_port *port, struct abi_port_stats *out) {
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(port->port_id, &stats) != 0)
		return;
	out->rx_packets = stats.ipackets;
	out->rx_bytes = stats.ibytes;
	out->tx_packets = stats.opackets;
	out->tx_bytes = stats.obytes;
	out->rx_dropped = stats.imissed + stats.rx_nombuf;
	out->rx_errors = stats.ierrors;
	out->tx_dropped = stats.oerrors;
}

// Reception and transmission are counted here as far as they go by descriptors.
static void stats_fdqs(const struct dp_port *port, struct abi_port_stats *out) {
	struct abi_port_stats sum = {0};

	for (unsigned i = 0; i < dp_nb_workers; i++) {
		const struct dp_fdq *fdq = &port->wire[i];

		sum.rx_packets += fdq->rx_packets;
		sum.rx_bytes += fdq->rx_bytes;
		sum.tx_packets += fdq->tx_packets;
		sum.tx_bytes += fdq->tx_bytes;
		sum.rx_errors += fdq->rx_errors;
		sum.tx_dropped += fdq->tx_dropped;
	}
	if (port->io != DP_IO_ETHDEV) {
		out->rx_packets = sum.rx_packets;
		out->rx_bytes = sum.rx_bytes;
		out->rx_errors = sum.rx_errors;
	}
	if (port->tx_io != DP_IO_ETHDEV) {
		out->tx_packets = sum.tx_packets;
		out->tx_bytes = sum.tx_bytes;
		out->tx_dropped = sum.tx_dropped;
	}
}

static bool link_up(const struct dp_port *port) {
	struct rte_eth_link link;
	struct link_info info;

	if (port->io == DP_IO_ETHDEV)
		return rte_eth_link_get_nowait(port->port_id, &link) == 0 && link.link_status;
	return link_get(port->mode == CFG_PORT_DEDICATED ? port->cfg->device : port->kernel_if,
		       &info) == 0 &&
		info.up;
}

static void stats_port(struct dp_port *port, struct abi_port_stats *out) {
	memcpy(out->name, port->name, sizeof(out->name));
	memcpy(out->driver, port->driver, sizeof(out->driver));
	snprintf(out->kernel_if, sizeof(out->kernel_if), "%s", port->kernel_if);
	memcpy(out->mac, &port->mac, sizeof(out->mac));
	port->up = link_up(port);
	out->up = port->up;
	out->role = port->role;
	out->mtu = port->mtu;
	if (port->io == DP_IO_ETHDEV)
		stats_ethdev(port, out);
	if (port->wire != NULL)
		stats_fdqs(port, out);
}

void dp_ports_stats(void) {
	for (unsigned i = 0; i < dp_nb_ports; i++) {
		stats_port(&dp_ports[i], &dp_stats->port[i]);
		xdp_refresh(&dp_ports[i]);
	}
	dp_stats->nb_ports = dp_nb_ports;
}
