// SPDX-License-Identifier: GPL-3.0-or-later
// Makes the statistics region: a sealed memfd that only this process can write. Called at boot.
#include "dataplane/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_version.h>

#include "yang/config.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

struct abi_stats *dp_stats;
struct abi_session_stats *dp_stats_sessions;

static size_t map_len;
static int read_fd = -1;

// The region's descriptor opened anew without the right to write.
static int reopen_read_only(int fd) {
	char path[64];
	int copy;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, O_RDONLY | O_CLOEXEC);
	// cppcheck-suppress resourceLeak ; it is what is returned
	return copy < 0 ? -errno : copy;
}

// Maps first: F_SEAL_FUTURE_WRITE refuses every later writable mapping, ours included. Kernels
// before 5.1 do not know it; the read-only descriptor is the protection there.
static int map_and_seal(int fd, size_t len) {
	int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	void *map;

	if (ftruncate(fd, (off_t)len) != 0)
		return -errno;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0 &&
		fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SEAL) != 0) {
		int ret = -errno;

		munmap(map, len);
		return ret;
	}
	dp_stats = map;
	map_len = len;
	return 0;
}

static void fill_header(const struct cfg *cfg) {
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	dp_stats->magic = ABI_STATS_MAGIC;
	dp_stats->version = ABI_VERSION;
	dp_stats->tsc_hz = rte_get_tsc_hz();
	dp_stats->start_realtime_s = (uint64_t)now.tv_sec;
	dp_stats->sessions_max = cfg->dataplane.sessions_max;
	dp_stats->nb_workers = cfg->dataplane.workers + cfg->dataplane.streamers + 1;
	dp_stats->nb_counters = ABI_C_MAX;
	snprintf(dp_stats->dpdk_version, sizeof(dp_stats->dpdk_version), "%s", rte_version());
	snprintf(dp_stats->build, sizeof(dp_stats->build), "%s", PENSTOCK_VERSION);
}

int dp_stats_init(const struct cfg *cfg) {
	size_t len = abi_stats_sessions_offset() +
		(size_t)cfg->dataplane.sessions_max * sizeof(struct abi_session_stats);
	int fd, ret;

	fd = memfd_create("penstock-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	ret = map_and_seal(fd, len);
	if (ret == 0)
		ret = read_fd = reopen_read_only(fd);
	close(fd);
	if (ret < 0) {
		dp_stats_fini();
		return ret;
	}
	dp_stats_sessions = (void *)((char *)dp_stats + abi_stats_sessions_offset());
	fill_header(cfg);
	if (getrandom(&dp_stats->boot_id, sizeof(dp_stats->boot_id), 0) !=
		sizeof(dp_stats->boot_id)) {
		dp_stats_fini();
		return -EIO;
	}
	return 0;
}

void dp_stats_fini(void) {
	if (read_fd >= 0)
		close(read_fd);
	read_fd = -1;
	if (dp_stats != NULL)
		munmap(dp_stats, map_len);
	dp_stats = NULL;
	dp_stats_sessions = NULL;
}

int dp_stats_fd(void) {
	return read_fd;
}
