// SPDX-License-Identifier: GPL-3.0-or-later
// AF_XDP ports: finds and attaches our XDP programs through DPDK's net_af_xdp, fills their maps.
//
// The driver loads the object file and puts its sockets into xsks_map. It tells nobody about the
// other maps: they are found from the interface, by the identity of the program attached to it.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include <rte_mempool.h>

#include "dataplane/ctl/count.h"
#include "dataplane/port_priv.h"
#include "dataplane/xdp/steer.h"

#define OUR_PROGRAMS "penstock_" // prefix of their names
#define MAPS_MAX 8u
#define HANDSHAKES_AT_ONCE 1024u
#define SOCKETS_MAX (ABI_PORTS_MAX * STEER_QUEUES)

// Steering state of one shared port.
struct xdp_steer {
	int hosts_fd; // vpn_hosts
	int bucket_fd; // vpn_bucket
	uint64_t shed; // handshakes that the program dropped and that are counted
	bool follow; // local addresses are followed; else the configured ones
	unsigned nb_hosts;
	struct steer_host hosts[STEER_HOSTS];
};

static struct xdp_steer *steers[ABI_PORTS_MAX];

// The object lies beside the binary in the build folder, else where it was installed.
static int find_object(const char *name, char *path, size_t len) {
	char exe[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		if (slash != NULL)
			*slash = '\0';
		if ((size_t)snprintf(path, len, "%s/%s", exe, name) < len &&
			access(path, R_OK) == 0)
			return 0;
	}
	if ((size_t)snprintf(path, len, "%s/%s", PENSTOCK_LIBDIR, name) >= len)
		return -ENAMETOOLONG;
	return access(path, R_OK) == 0 ? 0 : -errno;
}

// RSS goes to all queues, so that each needs a socket; the driver serves combined queues, or the
// only one.
int xdp_channels(const char *ifname) {
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (void *)&ch};
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;
	unsigned served;

	if (sock < 0)
		return -errno;
	strncpy(ifr.ifr_name, ifname, IFNAMSIZ - 1);
	ret = ioctl(sock, SIOCETHTOOL, &ifr);
	close(sock);
	if (ret != 0)
		return 1; // a device without channels
	served = RTE_MAX(ch.combined_count, 1u);
	if (ch.combined_count + ch.rx_count > served || served > STEER_QUEUES)
		return -ENOTSUP;
	return (int)served;
}

// Descriptor and info of the program on the interface; -ENOENT when there is none.
static int attached(unsigned ifindex, struct bpf_prog_info *info) {
	uint32_t id = 0, len = sizeof(*info);
	int fd, ret;

	if (bpf_xdp_query_id((int)ifindex, 0, &id) != 0 || id == 0)
		return -ENOENT;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return -errno;
	ret = bpf_obj_get_info_by_fd(fd, info, &len);
	if (ret != 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

// A program that a killed dataplane left behind is ours to take away; another's is not.
static int make_room(unsigned ifindex) {
	struct bpf_prog_info info = {0};
	int fd = attached(ifindex, &info);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	close(fd);
	if (strncmp(info.name, OUR_PROGRAMS, strlen(OUR_PROGRAMS)) != 0)
		return -EBUSY;
	return bpf_xdp_detach((int)ifindex, 0, NULL) == 0 ? 0 : -EBUSY;
}

// Descriptor of the attached program's map `name`.
static int find_map(unsigned ifindex, const char *name) {
	uint32_t ids[MAPS_MAX];
	struct bpf_prog_info prog = {.nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)ids};
	int prog_fd = attached(ifindex, &prog);

	if (prog_fd < 0)
		return prog_fd;
	close(prog_fd);
	for (uint32_t i = 0; i < prog.nr_map_ids && i < MAPS_MAX; i++) {
		struct bpf_map_info info = {0};
		uint32_t len = sizeof(info);
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && strcmp(info.name, name) == 0)
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static void host_from(struct steer_host *host, int family, const void *addr) {
	memset(host, 0, sizeof(*host));
	if (family == AF_INET6) {
		memcpy(host->bytes, addr, 16);
		return;
	}
	host->bytes[10] = host->bytes[11] = 0xff;
	memcpy(host->bytes + 12, addr, 4);
}

static bool hosts_have(const struct steer_host *hosts, unsigned n, const struct steer_host *host) {
	for (unsigned i = 0; i < n; i++) {
		if (memcmp(&hosts[i], host, sizeof(*host)) == 0)
			return true;
	}
	return false;
}

// All addresses of the host's interfaces, once each.
static unsigned local_hosts(struct steer_host *hosts, unsigned max) {
	struct ifaddrs *list, *ifa;
	unsigned n = 0;

	if (getifaddrs(&list) != 0)
		return 0;
	for (ifa = list; ifa != NULL && n < max; ifa = ifa->ifa_next) {
		int family = ifa->ifa_addr != NULL ? ifa->ifa_addr->sa_family : AF_UNSPEC;

		if (family == AF_INET)
			host_from(&hosts[n], family,
				&((struct sockaddr_in *)ifa->ifa_addr)->sin_addr);
		else if (family == AF_INET6)
			host_from(&hosts[n], family,
				&((struct sockaddr_in6 *)ifa->ifa_addr)->sin6_addr);
		else
			continue;
		if (!hosts_have(hosts, n, &hosts[n]))
			n++;
	}
	freeifaddrs(list);
	return n;
}

// Counts what the program dropped since the last time.
static void count_shed(struct xdp_steer *steer) {
	struct steer_bucket *buckets;
	int cpus = libbpf_num_possible_cpus();
	const uint32_t zero = 0;
	uint64_t shed = 0;

	buckets = cpus > 0 ? calloc((size_t)cpus, sizeof(*buckets)) : NULL;
	if (buckets == NULL)
		return;
	if (bpf_map_lookup_elem(steer->bucket_fd, &zero, buckets) == 0) {
		for (int i = 0; i < cpus; i++)
			shed += buckets[i].shed;
		ctl_count(ABI_C_drop_punt_rate, shed - steer->shed);
		steer->shed = shed;
	}
	free(buckets);
}

void xdp_refresh(struct dp_port *port) {
	static struct steer_host now[STEER_HOSTS];
	struct xdp_steer *steer = steers[port->index];
	const uint8_t one = 1;
	unsigned n;

	if (steer == NULL)
		return;
	count_shed(steer);
	if (!steer->follow)
		return;
	n = local_hosts(now, STEER_HOSTS);
	if (n == 0)
		return;
	for (unsigned i = 0; i < n; i++) {
		if (!hosts_have(steer->hosts, steer->nb_hosts, &now[i]))
			bpf_map_update_elem(steer->hosts_fd, &now[i], &one, BPF_ANY);
	}
	for (unsigned i = 0; i < steer->nb_hosts; i++) {
		if (!hosts_have(now, n, &steer->hosts[i]))
			bpf_map_delete_elem(steer->hosts_fd, &steer->hosts[i]);
	}
	memcpy(steer->hosts, now, n * sizeof(now[0]));
	steer->nb_hosts = n;
}

static int fill_ports(unsigned ifindex, const struct cfg *cfg) {
	int fd = find_map(ifindex, "vpn_ports"), ret = 0;
	const uint8_t one = 1;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < cfg->nb_listen && ret == 0; i++) {
		uint16_t key = rte_cpu_to_be_16(cfg->listen[i].udp_port);

		if (key != 0 && bpf_map_update_elem(fd, &key, &one, BPF_ANY) != 0)
			ret = -errno;
	}
	close(fd);
	return ret;
}

// Per CPU, because any may get all of a flood. A quarter more than what workers let through, so
// that theirs is the limit that holds; half of the buffers of a receive queue at once.
static int fill_limit(unsigned ifindex, const struct cfg *cfg) {
	uint64_t rate = RTE_MAX((uint64_t)cfg->dataplane.handshake_rate * 5 / 4, UINT64_C(1));
	struct steer_limit limit = {.cost_ns = RTE_MAX(1000000000 / rate, UINT64_C(1))};
	int fd = find_map(ifindex, "vpn_limit"), ret;
	const uint32_t zero = 0;

	if (fd < 0)
		return fd;
	limit.credit_max_ns = HANDSHAKES_AT_ONCE * limit.cost_ns;
	ret = bpf_map_update_elem(fd, &zero, &limit, BPF_ANY) == 0 ? 0 : -errno;
	close(fd);
	return ret;
}

static int fill_hosts(struct dp_port *port, unsigned ifindex, const struct cfg *cfg) {
	struct xdp_steer *steer = calloc(1, sizeof(*steer));
	const uint8_t one = 1;

	if (steer == NULL)
		return -ENOMEM;
	steer->hosts_fd = steer->bucket_fd = -1;
	steers[port->index] = steer;
	steer->hosts_fd = find_map(ifindex, "vpn_hosts");
	steer->bucket_fd = find_map(ifindex, "vpn_bucket");
	if (steer->hosts_fd < 0 || steer->bucket_fd < 0)
		return RTE_MIN(steer->hosts_fd, steer->bucket_fd);
	for (size_t i = 0; i < cfg->nb_listen; i++) {
		const struct cfg_listen *listen = &cfg->listen[i];
		struct steer_host host;

		if (listen->udp_port == 0)
			continue;
		if (listen->addr.family == 0) {
			steer->follow = true;
			continue;
		}
		host_from(&host, listen->addr.family, listen->addr.bytes);
		if (bpf_map_update_elem(steer->hosts_fd, &host, &one, BPF_ANY) != 0)
			return -errno;
	}
	xdp_refresh(port);
	return 0;
}

static bool is_xdp_socket(int fd) {
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_XDP;
}

// The process's AF_XDP sockets; their number.
static unsigned xdp_sockets(int *fds, unsigned max) {
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned n = 0;

	while (dir != NULL && n < max && (entry = readdir(dir)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && is_xdp_socket(fd))
			fds[n++] = fd;
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

// The driver tells nobody about its sockets: they are those that were not there before. -1: none.
static int new_socket(const int *before, unsigned nb_before) {
	int fds[SOCKETS_MAX];
	unsigned n = xdp_sockets(fds, SOCKETS_MAX);

	for (unsigned i = 0; i < n; i++) {
		bool known = false;

		for (unsigned k = 0; k < nb_before; k++)
			known |= before[k] == fds[i];
		if (!known)
			return fds[i];
	}
	return -1;
}

static bool is_zero_copy(int fd) {
	struct xdp_options options = {.flags = 0};
	socklen_t len = sizeof(options);

	return fd >= 0 && getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &len) == 0 &&
		(options.flags & XDP_OPTIONS_ZEROCOPY);
}

static int steer_init(struct dp_port *port, const char *ifname, const struct cfg *cfg) {
	unsigned ifindex = if_nametoindex(ifname);
	int ret = fill_ports(ifindex, cfg);

	if (ret == 0)
		ret = fill_limit(ifindex, cfg);
	return ret != 0 ? ret : fill_hosts(port, ifindex, cfg);
}

static void count_outside(struct rte_mempool *pool, void *arg, void *obj, unsigned index) {
	const struct rte_mempool_memhdr *mem = STAILQ_FIRST(&pool->mem_list);
	size_t size = pool->header_size + pool->elt_size + pool->trailer_size;
	uintptr_t start = (uintptr_t)mem->addr, at = (uintptr_t)obj - pool->header_size;
	unsigned *outside = arg;

	if (at < start || at + size > start + pool->populated_size * size)
		(*outside)++;
}

// The driver registers as many bytes as all packets have, from where the pool's first memory is.
// The kernel takes buffers that lie elsewhere off the fill ring and forgets them, in no statistics:
// reception would stop for good after some time.
static int check_pool(void) {
	unsigned outside = 0;

	rte_mempool_obj_iter(dp_mbuf_pool, count_outside, &outside);
	return outside == 0 ? 0 : -EFAULT;
}

static const char *reason(int ret) {
	switch (ret) {
	case -EFAULT:
		return "the packet pool is not in one piece (a PCI device needs it so)";
	case -EBUSY:
		return "another XDP program is attached";
	case -ENOTSUP:
		return "it has receive queues that AF_XDP cannot serve (ethtool -L can change that)";
	default:
		return strerror(-ret);
	}
}

// With zero copy the driver's own rings are the fastest way, and busy polling spares interrupts.
// Where the kernel copies, it has filled our ring in the interrupt already, so that there is nothing
// to poll it for; and it sends one frame after the other, where a packet socket takes super-packets.
static int driver_open(struct dp_port *port, const char *ifname, const char *devargs) {
	char copying[PATH_MAX + 160];
	int before[SOCKETS_MAX], fd, ret;
	unsigned nb_before = xdp_sockets(before, SOCKETS_MAX);

	snprintf(copying, sizeof(copying), "%s,busy_budget=0", devargs);
	ret = ethdev_open(port, copying);
	if (ret != 0)
		return ret;
	fd = new_socket(before, nb_before);
	if (is_zero_copy(fd)) {
		ethdev_close(port);
		ret = ethdev_open(port, devargs);
		fd = new_socket(before, nb_before);
	} else {
		ret = packet_open_tx(port, ifname);
	}
	if (ret != 0)
		xdp_close(port);
	else if (port->nb_rxq == 1)
		port->rxq_fd = fd;
	return ret;
}

int xdp_open(struct dp_port *port, const char *ifname, const struct cfg *cfg) {
	char object[PATH_MAX], devargs[PATH_MAX + 128];
	int nb_queues = xdp_channels(ifname), ret = nb_queues < 0 ? nb_queues : check_pool();

	if (ret == 0)
		ret = find_object(
			cfg != NULL ? "steer.bpf.o" : "all.bpf.o", object, sizeof(object));
	if (ret == 0)
		ret = make_room(if_nametoindex(ifname));
	if (ret != 0) {
		port_error(port, "no AF_XDP on %s: %s", ifname, reason(ret));
		return ret;
	}
	snprintf(devargs, sizeof(devargs), "net_af_xdp%u,iface=%s,queue_count=%d,xdp_prog=%s",
		port->index, ifname, nb_queues, object);
	ret = driver_open(port, ifname, devargs);
	if (ret != 0)
		return ret;
	if (cfg != NULL)
		ret = steer_init(port, ifname, cfg);
	if (ret != 0) {
		port_error(port, "cannot set up the XDP program on %s: %s", ifname, strerror(-ret));
		xdp_close(port);
	}
	return ret;
}

void xdp_close(struct dp_port *port) {
	struct xdp_steer *steer = steers[port->index];

	port->rxq_fd = -1;
	ethdev_close(port);
	if (port->io == DP_IO_ETHDEV) {
		fdq_free(port->wire);
		port->wire = NULL;
	}
	if (steer != NULL && steer->hosts_fd >= 0)
		close(steer->hosts_fd);
	if (steer != NULL && steer->bucket_fd >= 0)
		close(steer->bucket_fd);
	free(steer);
	steers[port->index] = NULL;
}
