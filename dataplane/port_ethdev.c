// SPDX-License-Identifier: GPL-3.0-or-later
// Probes, configures and starts DPDK devices. Called by port.c and port_xdp.c at boot.
#include <errno.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "dataplane/port_priv.h"

#define DESCRIPTORS 1024u
#define XDP_DESCRIPTORS 2048u // as many buffers as the driver gives to the fill ring: never full

static uint64_t known_ports(void) {
	uint64_t known = 0;
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id) {
		if (id < 64)
			known |= 1ULL << id;
	}
	return known;
}

// A PCI device was probed by EAL already (it is on its allow list): look it up by its name.
static uint16_t find_probed(const char *devargs) {
	struct rte_devargs args;
	uint16_t id = DP_PORT_NONE;

	if (rte_devargs_parse(&args, devargs) != 0)
		return DP_PORT_NONE;
	if (rte_eth_dev_get_port_by_name(args.name, &id) != 0)
		id = DP_PORT_NONE;
	rte_devargs_reset(&args);
	return id;
}

static int probe(struct dp_port *port, const char *devargs) {
	uint64_t before = known_ports();
	uint16_t id;
	int ret;

	port->port_id = find_probed(devargs);
	if (port->port_id != DP_PORT_NONE)
		return 0;
	ret = rte_dev_probe(devargs);
	if (ret != 0)
		return ret == -1 ? -ENODEV : ret;
	RTE_ETH_FOREACH_DEV(id) {
		if (id < 64 && !(before & (1ULL << id))) {
			port->port_id = id;
			return 0;
		}
	}
	return -ENODEV;
}

// Receive queues: as configured, else one a worker, as far as the device has them. Transmit
// queues: one a worker as far as possible. AF_XDP wants as many of the one as of the other, and
// a socket on each of the interface's queues.
static void choose_queues(struct dp_port *port, const struct rte_eth_dev_info *info) {
	unsigned want = port->cfg->rx_queues != 0 ? port->cfg->rx_queues : dp_nb_workers;

	port->nb_rxq = (uint16_t)RTE_MIN(want, (unsigned)info->max_rx_queues);
	port->nb_txq = (uint16_t)RTE_MIN(dp_nb_workers, (unsigned)info->max_tx_queues);
	if (strcmp(info->driver_name, "net_af_xdp") == 0)
		port->nb_rxq = port->nb_txq = info->max_rx_queues;
}

static void fill_conf(
	struct dp_port *port, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf) {
	const uint64_t rss = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP;

	if (port->nb_rxq > 1 && (info->flow_type_rss_offloads & rss)) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = rss & info->flow_type_rss_offloads;
	}
	if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) {
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
		port->flags |= DP_PORT_TX_UDP_CKSUM;
	}
}

static int setup_queues(struct dp_port *port) {
	bool xdp = strcmp(port->driver, "net_af_xdp") == 0;
	uint16_t nb_default = xdp ? XDP_DESCRIPTORS : DESCRIPTORS;
	uint16_t nb_rxd = port->cfg->descriptors != 0 ? port->cfg->descriptors : nb_default;
	uint16_t nb_txd = nb_rxd;
	int ret = rte_eth_dev_adjust_nb_rx_tx_desc(port->port_id, &nb_rxd, &nb_txd);

	if (ret == -ENOTSUP)
		ret = 0;
	for (uint16_t q = 0; ret == 0 && q < port->nb_rxq; q++)
		ret = rte_eth_rx_queue_setup(
			port->port_id, q, nb_rxd, SOCKET_ID_ANY, NULL, dp_mbuf_pool);
	for (uint16_t q = 0; ret == 0 && q < port->nb_txq; q++)
		ret = rte_eth_tx_queue_setup(port->port_id, q, nb_txd, SOCKET_ID_ANY, NULL);
	return ret;
}

static int configure(struct dp_port *port) {
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	int ret = rte_eth_dev_info_get(port->port_id, &info);

	if (ret != 0)
		return ret;
	snprintf(port->driver, sizeof(port->driver), "%s", info.driver_name);
	choose_queues(port, &info);
	fill_conf(port, &info, &conf);
	ret = rte_eth_dev_configure(port->port_id, port->nb_rxq, port->nb_txq, &conf);
	if (ret != 0)
		return ret;
	if (port->mtu != 0) {
		ret = rte_eth_dev_set_mtu(port->port_id, port->mtu);
		if (ret != 0 && ret != -ENOTSUP)
			return ret;
	}
	ret = rte_eth_dev_get_mtu(port->port_id, &port->mtu);
	return ret != 0 ? ret : setup_queues(port);
}

int ethdev_open(struct dp_port *port, const char *devargs) {
	int ret = probe(port, devargs);

	if (ret != 0) {
		port_error(port, "there is no device %s for DPDK: %s", devargs, strerror(-ret));
		return ret;
	}
	port->io = port->tx_io = DP_IO_ETHDEV;
	ret = configure(port);
	if (ret == 0)
		ret = rte_eth_dev_start(port->port_id);
	if (ret == 0)
		ret = rte_eth_macaddr_get(port->port_id, &port->mac);
	if (ret != 0) {
		port_error(port, "cannot start %s: %s", devargs, strerror(-ret));
		ethdev_close(port);
		return ret;
	}
	// Neighbour discovery and routing protocols use multicast; not every device filters it.
	rte_eth_allmulticast_enable(port->port_id);
	return 0;
}

void ethdev_close(struct dp_port *port) {
	struct rte_eth_dev_info info;

	if (port->port_id == DP_PORT_NONE)
		return;
	if (rte_eth_dev_info_get(port->port_id, &info) != 0)
		info.device = NULL;
	rte_eth_dev_stop(port->port_id);
	rte_eth_dev_close(port->port_id);
	if (info.device != NULL)
		rte_dev_remove(info.device);
	port->port_id = DP_PORT_NONE;
}
