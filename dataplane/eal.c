// SPDX-License-Identifier: GPL-3.0-or-later
// Makes EAL's arguments from the configuration, starts it, makes the packet pool. Called by main.
#include "dataplane/eal.h"

#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_pci.h>

#include "dataplane/port_priv.h"
#include "yang/config.h"

#define ARGS_MAX 64u
#define ARG_LEN 4096u
#define MBUFS 32768u
#define MBUF_CACHE 256u
#define XDP_MBUFS 4096u // in the rings of each AF_XDP socket
#define FRAME_SLACK (14u + 8u + 4u) // Ethernet with two VLAN tags and CRC
#define XDP_HEADROOM 256u // what the kernel keeps free before a frame in an AF_XDP buffer
#ifdef PENSTOCK_IPSEC_MB
#define KEY_BYTES 0u // keys are not EAL's memory; sessions of a crypto device: `memory` says it
#else
#define KEY_BYTES 1600u // a crypto session with its schedule, about
#endif
#define BASE_MB 96u // rings, graphs, device queues, spill buffers of streams

struct args {
	char *argv[ARGS_MAX + 1];
	int argc;
};

static void __attribute__((format(printf, 2, 3))) add(struct args *args, const char *fmt, ...) {
	va_list list;
	char *arg;

	va_start(list, fmt);
	if (vasprintf(&arg, fmt, list) < 0)
		abort(); // boot
	va_end(list);
	if (args->argc == (int)ARGS_MAX)
		abort();
	args->argv[args->argc++] = arg;
}

static unsigned nb_lcores(const struct cfg *cfg) {
	return 1 + cfg->dataplane.workers + cfg->dataplane.streamers;
}

uint32_t dp_keys_max(const struct cfg *cfg) {
	uint64_t keys = 6ULL * cfg->dataplane.sessions_max + 64;

	return keys > UINT32_MAX ? UINT32_MAX : (uint32_t)keys;
}

// The CPUs that the process may run on, in order; how many.
static unsigned allowed_cpus(unsigned *cpus, unsigned max) {
	cpu_set_t set;
	unsigned n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		CPU_ZERO(&set);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE && n < max; cpu++) {
		if (CPU_ISSET(cpu, &set))
			cpus[n++] = cpu;
	}
	return n;
}

// "0@(0,1),1@0,2@1": workers and streamers go round the CPUs; the control thread floats over all
// of them unless the list of the configuration is long enough to name its own.
static void add_lcores(struct args *args, const struct cfg *cfg) {
	const struct cfg_dataplane *dp = &cfg->dataplane;
	unsigned cpus[CPU_SETSIZE], nb_cpus = 0, n = nb_lcores(cfg);
	char text[ARG_LEN];
	size_t at;

	for (size_t i = 0; i < dp->nb_cpus && nb_cpus < CPU_SETSIZE; i++)
		cpus[nb_cpus++] = dp->cpus[i];
	if (nb_cpus == 0)
		nb_cpus = allowed_cpus(cpus, CPU_SETSIZE);
	if (nb_cpus == 0)
		cpus[nb_cpus++] = 0;
	if (dp->nb_cpus >= n) {
		at = (size_t)snprintf(text, sizeof(text), "0@%u", cpus[n - 1]);
	} else {
		at = (size_t)snprintf(text, sizeof(text), "0@(");
		for (unsigned i = 0; i < nb_cpus && at < sizeof(text) / 2; i++)
			at += (size_t)snprintf(
				text + at, sizeof(text) - at, "%s%u", i > 0 ? "," : "", cpus[i]);
		at += (size_t)snprintf(text + at, sizeof(text) - at, ")");
	}
	for (unsigned i = 1; i < n && at < sizeof(text) - 16; i++)
		at += (size_t)snprintf(
			text + at, sizeof(text) - at, ",%u@%u", i, cpus[(i - 1) % nb_cpus]);
	add(args, "--lcores=%s", text);
	add(args, "--main-lcore=0");
}

static bool is_pci(const struct cfg_port *port) {
	char name[64];
	struct rte_pci_addr addr;

	if (port->mode != CFG_PORT_DEDICATED || port->driver == CFG_DRIVER_AF_XDP ||
		port->driver == CFG_DRIVER_AF_PACKET)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(port->device, ","), port->device);
	return rte_pci_addr_parse(name, &addr) == 0;
}

// Only the devices of the configuration are touched.
static void add_devices(struct args *args, const struct cfg *cfg) {
	bool any = false;

	for (size_t i = 0; i < cfg->dataplane.nb_ports; i++) {
		if (!is_pci(&cfg->dataplane.ports[i]))
			continue;
		add(args, "--allow=%s", cfg->dataplane.ports[i].device);
		any = true;
	}
	if (!any)
		add(args, "--no-pci");
}

static bool may_use_xdp(const struct cfg_port *port) {
	return port->driver == CFG_DRIVER_AF_XDP ||
		(port->mode == CFG_PORT_SHARED && port->driver == CFG_DRIVER_AUTO);
}

static uint32_t nb_mbufs(const struct cfg *cfg) {
	uint32_t n = MBUFS;

	if (cfg->dataplane.mbufs != 0)
		return cfg->dataplane.mbufs;
	for (size_t i = 0; i < cfg->dataplane.nb_ports; i++) {
		const struct cfg_port *port = &cfg->dataplane.ports[i];

		if (may_use_xdp(port))
			n += XDP_MBUFS * (uint32_t)RTE_MAX(xdp_channels(port->device), 0);
	}
	return n;
}

// The largest MTU that a port has or will have.
static uint16_t largest_mtu(const struct cfg *cfg, bool *xdp) {
	uint16_t mtu = 1500;

	for (size_t i = 0; i < cfg->dataplane.nb_ports; i++) {
		const struct cfg_port *port = &cfg->dataplane.ports[i];
		struct link_info info;

		if (link_get(port->device, &info) == 0)
			mtu = RTE_MAX(mtu, info.mtu);
		mtu = RTE_MAX(mtu, port->mtu);
		*xdp |= may_use_xdp(port);
	}
	return mtu;
}

// Bytes of a packet buffer behind the private area: any frame in one segment.
static uint16_t data_room(const struct cfg *cfg) {
	bool xdp = false;
	unsigned mtu = largest_mtu(cfg, &xdp);
	unsigned room = RTE_PKTMBUF_HEADROOM + mtu + FRAME_SLACK + (xdp ? XDP_HEADROOM : 0);

	room = RTE_MAX(room, RTE_PKTMBUF_HEADROOM + 2048u);
	return (uint16_t)RTE_MIN(room, (unsigned)UINT16_MAX);
}

static unsigned memory_mb(const struct cfg *cfg) {
	uint64_t bytes = (uint64_t)nb_mbufs(cfg) * (data_room(cfg) + 512) +
		(uint64_t)dp_keys_max(cfg) * KEY_BYTES;

	if (cfg->dataplane.memory_mb != 0)
		return cfg->dataplane.memory_mb;
	return BASE_MB + (unsigned)(bytes >> 20);
}

// Free huge pages of all sizes, MB.
static uint64_t free_hugepages_mb(void) {
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	struct dirent *entry;
	uint64_t kb = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[512];
		unsigned long long size_kb, count = 0;
		FILE *file;

		if (sscanf(entry->d_name, "hugepages-%llukB", &size_kb) != 1)
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages",
			entry->d_name);
		file = fopen(path, "re");
		if (file != NULL && fscanf(file, "%llu", &count) == 1)
			kb += count * size_kb;
		if (file != NULL)
			fclose(file);
	}
	if (dir != NULL)
		closedir(dir);
	return kb >> 10;
}

static int check_hugepages(unsigned need_mb) {
	uint64_t have_mb = free_hugepages_mb();

	if (have_mb >= need_mb)
		return 0;
	fprintf(stderr,
		"penstock-dataplane: %u MB of huge pages are needed, %llu MB are free: raise "
		"vm.nr_hugepages to at least %u, or start with --no-huge\n",
		need_mb, (unsigned long long)have_mb, (need_mb + 1) / 2);
	return -ENOMEM;
}

// --no-huge and --in-memory exclude each other in DPDK 22.11; --no-shconf does for the former.
static void add_memory(struct args *args, const struct cfg *cfg, bool no_huge) {
	if (no_huge) {
		add(args, "--no-huge");
		add(args, "--no-shconf");
		add(args, "-m%u", memory_mb(cfg));
		add(args, "--iova-mode=va");
	} else {
		add(args, "--in-memory");
		if (cfg->dataplane.memory_mb != 0)
			add(args, "-m%u", cfg->dataplane.memory_mb);
	}
}

int dp_eal_init(const struct cfg *cfg, bool no_huge) {
	struct args args = {.argc = 0};
	char *argv[ARGS_MAX + 1];
	int ret = no_huge ? 0 : check_hugepages(memory_mb(cfg));

	if (ret != 0)
		return ret;
	libbpf_set_print(NULL); // what went wrong is told by us
	add(&args, "penstock-dataplane");
	add_lcores(&args, cfg);
	add_memory(&args, cfg, no_huge);
	add_devices(&args, cfg);
	add(&args, "--file-prefix=penstock"); // nothing is shared by that name
	add(&args, "--no-telemetry");
	add(&args, "--log-level=*:%s", cfg->log_level == CFG_LOG_DEBUG ? "debug" : "warning");
	if (cfg->log_level != CFG_LOG_DEBUG) // it warns of each page size without pages
		add(&args, "--log-level=lib.eal:error");
	memcpy(argv, args.argv, sizeof(argv)); // EAL reorders it
	ret = rte_eal_init(args.argc, argv);
	for (int i = 0; i < args.argc; i++)
		free(args.argv[i]);
	if (ret < 0) {
		fprintf(stderr, "penstock-dataplane: DPDK does not start: %s\n",
			rte_strerror(rte_errno));
		return rte_errno != 0 ? -rte_errno : -EINVAL;
	}
	return 0;
}

// EAL makes a folder for sockets that it then does not use, and leaves it behind. Another
// dataplane may be there (in another namespace): it uses it as little.
static void remove_runtime_dir(void) {
	char path[512];

	snprintf(path, sizeof(path), "%s", rte_eal_get_runtime_dir());
	rmdir(path);
}

void dp_eal_fini(void) {
	rte_eal_cleanup();
	remove_runtime_dir();
}

// AF_XDP needs all packets side by side (xdp_open looks), but the pool keeps each within a page, so
// that a device can reach it by one physical address: with small pages more than a third is gaps.
// Without PCI devices, or where these use virtual addresses too, pages do not matter.
static unsigned pool_flags(const struct cfg *cfg) {
	bool pci = false, xdp = false;

	for (size_t i = 0; i < cfg->dataplane.nb_ports; i++) {
		pci |= is_pci(&cfg->dataplane.ports[i]);
		xdp |= may_use_xdp(&cfg->dataplane.ports[i]);
	}
	if (!pci || (xdp && rte_eal_iova_mode() == RTE_IOVA_VA))
		return RTE_MEMPOOL_F_NO_IOVA_CONTIG;
	return 0;
}

// What rte_pktmbuf_pool_create does, with flags. NULL: rte_errno says why.
static struct rte_mempool *pool_create(const struct cfg *cfg) {
	struct rte_pktmbuf_pool_private private = {
		.mbuf_data_room_size = data_room(cfg),
		.mbuf_priv_size = DP_PKT_PRIV_SIZE,
	};
	unsigned size = sizeof(struct rte_mbuf) + DP_PKT_PRIV_SIZE + private.mbuf_data_room_size;
	struct rte_mempool *pool = rte_mempool_create_empty("packets", nb_mbufs(cfg), size,
		MBUF_CACHE, sizeof(private), SOCKET_ID_ANY, pool_flags(cfg));
	int ret;

	if (pool == NULL)
		return NULL;
	ret = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (ret == 0) {
		rte_pktmbuf_pool_init(pool, &private);
		ret = rte_mempool_populate_default(pool);
	}
	if (ret < 0) {
		rte_mempool_free(pool);
		rte_errno = -ret;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

int dp_pool_init(const struct cfg *cfg) {
	dp_mbuf_pool = pool_create(cfg);
	if (dp_mbuf_pool == NULL)
		fprintf(stderr, "penstock-dataplane: no memory for %u packets: %s\n", nb_mbufs(cfg),
			rte_strerror(rte_errno));
	return dp_mbuf_pool != NULL ? 0 : -ENOMEM;
}

void dp_pool_fini(void) {
	rte_mempool_free(dp_mbuf_pool);
	dp_mbuf_pool = NULL;
}
