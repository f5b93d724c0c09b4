// SPDX-License-Identifier: GPL-3.0-or-later
// Starts the dataplane between memory ports. Called by the benchmarks of the packet path.
#include "tests/bench/lib/gateway.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include "dataplane/boot.h"
#include "dataplane/crypto/crypto.h"
#include "dataplane/eal.h"
#include "dataplane/graph.h"
#include "dataplane/l3.h"
#include "dataplane/port.h"
#include "dataplane/stats.h"
#include "dataplane/stream/stream.h"
#include "dataplane/table/reclaim.h"
#include "dataplane/table/session.h"
#include "dataplane/worker.h"
#include "tests/bench/lib/gateway.h"
#include "yang/config.h"

static const char config_form[] =
	"{\"penstock:penstock\": {"
	"\"hostname\": \"bench\","
	"\"listen\": [{\"name\": \"all\", \"tcp-port\": 443, \"udp-port\": 443}],"
	"\"certificate\": [{\"name\": \"none\", \"certificate-file\": \"/nonexistent\","
	" \"key-file\": \"/nonexistent\"}],"
	"\"authentication\": {\"password-file\": \"/nonexistent\"},"
	"\"pool\": [{\"name\": \"clients\", \"ipv4-network\": \"10.0.0.0/11\","
	" \"ipv4-gateway\": \"10.0.0.1\"}],"
	"\"dataplane\": {\"workers\": %u, \"streamers\": 1, %s"
	" \"idle\": \"busy\", \"hugepages\": %s, \"sessions-max\": %u, \"buffers\": 4096,"
	" \"port\": ["
	"{\"name\": \"wan\", \"role\": \"wan\", \"mode\": \"dedicated\", \"device\": \"%s\","
	" \"address\": [\"203.0.113.1/24\"], \"mtu\": 1500},"
	"{\"name\": \"lan\", \"role\": \"lan\", \"mode\": \"dedicated\", \"device\": \"%s\","
	" \"address\": [\"198.51.100.1/24\"], \"mtu\": 1500}]},"
	"\"log-level\": \"warning\"}}";

static struct gateway_options options;
static uint64_t booting; // bytes
static struct cfg *cfg;
static struct {
	struct rte_ring *rx[GATEWAY_WORKERS_MAX], *tx[GATEWAY_WORKERS_MAX]; // by device queue
} wires[2];

static int config_make(void) {
	char json[4096], cpus[64] = "", *error = NULL;

	if (options.workers == 1 && options.cpu_worker != options.cpu_rest)
		snprintf(cpus, sizeof(cpus), "\"cpu\": [%u, %u],", options.cpu_worker,
			options.cpu_rest);
	snprintf(json, sizeof(json), config_form, options.workers, cpus,
		options.no_huge ? "false" : "true", options.sessions_max,
		options.wan_device != NULL ? options.wan_device : "net_ring_wan",
		options.lan_device != NULL ? options.lan_device : "net_ring_lan");
	cfg = cfg_load_mem(json, strlen(json), "bench", &error);
	if (cfg == NULL)
		fprintf(stderr, "%s\n", error);
	free(error);
	return cfg != NULL ? 0 : -EINVAL;
}

// A namespace of its own: the twins' addresses and routes are nobody else's.
static int namespace_init(const struct cfg *config) {
	int fd, ret;

	if (unshare(CLONE_NEWNET) != 0)
		return -errno;
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	ret = write(fd, "1", 1) == 1 ? 0 : -errno; // else the kernel solicits routers on the twins
	close(fd);
	return ret;
}

static int wire_init(unsigned port, const char *name, uint8_t mac_last) {
	struct rte_ether_addr mac = {{2, 0, 0, 0, 0, mac_last}};
	int id;

	for (unsigned q = 0; q < options.workers; q++) {
		char ring[RTE_RING_NAMESIZE];

		snprintf(ring, sizeof(ring), "%s-in-%u", name, q);
		wires[port].rx[q] = rte_ring_create(
			ring, GATEWAY_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		snprintf(ring, sizeof(ring), "%s-out-%u", name, q);
		wires[port].tx[q] = rte_ring_create(
			ring, GATEWAY_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (wires[port].rx[q] == NULL || wires[port].tx[q] == NULL)
			return -ENOMEM;
	}
	id = rte_eth_from_rings(
		name, wires[port].rx, options.workers, wires[port].tx, options.workers, 0);
	if (id < 0)
		return -ENODEV;
	// The driver's address is zero, which counts as a free place: this becomes the first one.
	return rte_eth_dev_mac_addr_add((uint16_t)id, &mac, 0);
}

static int wires_init(const struct cfg *config) {
	int ret = options.wan_device == NULL ? wire_init(GATEWAY_WAN, "wan", 1) : 0;

	return ret == 0 && options.lan_device == NULL ? wire_init(GATEWAY_LAN, "lan", 2) : ret;
}

// The router before the clients, and the host on the LAN: their link addresses are known.
static int neighbours_init(const struct cfg *config) {
	static const char *const commands[] = {
		"ip neigh replace 203.0.113.254 lladdr 02:00:00:00:01:fe nud permanent dev wan",
		"ip neigh replace 198.51.100.2 lladdr 02:00:00:00:02:02 nud permanent dev lan",
		"ip route replace default via 203.0.113.254 dev wan",
	};

	for (unsigned i = 0; i < RTE_DIM(commands); i++) {
		if (system(commands[i]) != 0) {
			fprintf(stderr, "bench: failed: %s\n", commands[i]);
			return -EIO;
		}
	}
	return 0;
}

static int eal_init(const struct cfg *config) {
	int ret = dp_eal_init(config, options.no_huge);

	if (ret != -ENOMEM || options.no_huge)
		return ret;
	fprintf(stderr, "bench: goes on in ordinary memory, which is slower\n");
	options.no_huge = true;
	return dp_eal_init(config, true);
}

// What has been taken by now a session does not take.
static int memory_init(const struct cfg *config) {
	booting = gateway_memory();
	return 0;
}

// Those of the dataplane's own main, with the wires and neighbours between; what it does without
// is the control socket.
static const struct dp_step steps[] = {
	{"network namespace", namespace_init, NULL},
	{"DPDK", eal_init, dp_eal_fini},
	{"statistics", dp_stats_init, dp_stats_fini},
	{"lcores", dp_lcores_init, dp_lcores_fini},
	{"packet buffers", dp_pool_init, dp_pool_fini},
	{"memory", memory_init, NULL},
	{"cryptography", dp_boot_crypto, dp_crypto_fini},
	{"deferred reclamation", dp_boot_reclaim, dp_reclaim_fini},
	{"sessions", dp_boot_sessions, dp_session_table_fini},
	{"wires", wires_init, NULL},
	{"ports", dp_ports_init, dp_ports_fini},
	{"neighbours", neighbours_init, NULL},
	{"forwarding", dp_l3_init, dp_l3_fini},
	{"streams", dp_stream_init, dp_stream_fini},
	{"graph", dp_boot_graph, dp_graph_fini},
};

static unsigned done;
static bool running;

int gateway_start(const struct gateway_options *opts) {
	int ret;

	options = *opts;
	ret = config_make();
	if (ret != 0)
		return ret;
	done = dp_boot(steps, RTE_DIM(steps), cfg, "bench");
	if (done == RTE_DIM(steps))
		return 0;
	gateway_stop();
	return -EIO;
}

// The stream lcore has nothing to do here, but polls as the workers do: it gets what they leave.
static void streamer_policy(int policy) {
	const struct sched_param none = {0};
	char comm[32], path[64], name[32] = "";
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/task");

	snprintf(comm, sizeof(comm), "rte-worker-%u\n", dp_nb_workers + 1);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int tid = atoi(entry->d_name);
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
		file = fopen(path, "re");
		if (file != NULL && fgets(name, sizeof(name), file) != NULL &&
			strcmp(name, comm) == 0)
			sched_setscheduler(tid, policy, &none);
		if (file != NULL)
			fclose(file);
	}
	if (dir != NULL)
		closedir(dir);
}

int gateway_run(void) {
	int ret;

	setpriority(PRIO_PROCESS, 0, -20); // the caller may share a CPU with a worker that polls
	ret = dp_lcores_launch();
	running = ret == 0;
	if (running)
		streamer_policy(SCHED_IDLE);
	return ret;
}

void gateway_stop(void) {
	if (running) {
		streamer_policy(SCHED_OTHER); // or it would never see that it shall stop
		setpriority(PRIO_PROCESS, 0, 19); // which is waited for without sleeping
		dp_lcores_stop();
	}
	running = false;
	dp_unboot(steps, done);
	done = 0;
	cfg_free(cfg);
	cfg = NULL;
}

// As dp_ports_init deals queues out: each port begins with another worker.
uint16_t gateway_queue(unsigned port, unsigned w) {
	return (uint16_t)((w + options.workers - port % options.workers) % options.workers);
}

struct rte_ring *gateway_rx(unsigned port, unsigned w) {
	return wires[port].rx[gateway_queue(port, w)];
}

struct rte_ring *gateway_tx(unsigned port, unsigned w) {
	return wires[port].tx[w];
}

void gateway_offload(bool on) {
	if (on)
		dp_ports[GATEWAY_WAN].flags |= DP_PORT_TX_UDP_CKSUM;
	else
		dp_ports[GATEWAY_WAN].flags &= ~DP_PORT_TX_UDP_CKSUM;
}

bool gateway_hugepages(void) {
	return !options.no_huge;
}

uint64_t gateway_memory(void) {
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t kb = 0;
	char line[128];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		unsigned long long n;

		if (sscanf(line, "VmRSS: %llu kB", &n) == 1 ||
			sscanf(line, "HugetlbPages: %llu kB", &n) == 1)
			kb += n;
	}
	if (file != NULL)
		fclose(file);
	return kb << 10;
}

uint64_t gateway_memory_booting(void) {
	return booting;
}
