// SPDX-License-Identifier: GPL-3.0-or-later
// Time, messages, sockets in other namespaces, CPU time of processes and cores. Used by all files of
// the load generator.
#include "loadgen.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t lg_now(void) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void lg_log(const char *format, ...) {
	va_list args;

	if (!lg_opt.verbose)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void lg_die(const char *format, ...) {
	va_list args;

	fprintf(stderr, "loadgen: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

// True: sent, or failed for another reason than that there is no GSO (*lost).
static bool gso_send(int fd, struct msghdr *msg, uint16_t segment, bool *lost) {
	uint8_t control[CMSG_SPACE(sizeof(segment))] = {0};
	struct cmsghdr *c;

	msg->msg_control = control;
	msg->msg_controllen = sizeof(control);
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	*lost = sendmsg(fd, msg, 0) < 0;
	msg->msg_control = NULL;
	msg->msg_controllen = 0;
	return !*lost || (errno != EIO && errno != EINVAL && errno != EOPNOTSUPP);
}

bool lg_udp_send(
	int fd, const struct sockaddr_in *to, uint8_t *data, size_t len, uint16_t segment) {
	static bool no_gso;
	struct iovec whole = {data, len}, iovs[LG_GSO_SEGMENTS];
	struct msghdr msg = {.msg_iov = &whole,
		.msg_iovlen = 1,
		.msg_name = (void *)(uintptr_t)to,
		.msg_namelen = to != NULL ? sizeof(*to) : 0};
	struct mmsghdr msgs[LG_GSO_SEGMENTS] = {0};
	unsigned n = 0;
	bool lost;

	if (len > segment && !no_gso) {
		if (gso_send(fd, &msg, segment, &lost))
			return !lost;
		no_gso = true;
		lg_log("no UDP GSO here: %s", strerror(errno));
	}
	for (size_t at = 0; at < len && n < LG_GSO_SEGMENTS; at += segment, n++) {
		iovs[n] = (struct iovec){data + at, segment};
		msgs[n].msg_hdr = msg;
		msgs[n].msg_hdr.msg_iov = &iovs[n];
	}
	return sendmmsg(fd, msgs, n, 0) > 0;
}

static int netns_open(const char *name) {
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s%s", name[0] == '/' ? "" : "/run/netns/", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		lg_die("%s: %s", path, strerror(errno));
	return fd;
}

int lg_socket_in(const char *netns, int family, int type) {
	int home, there, fd;

	if (netns == NULL) {
		fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			lg_die("socket: %s", strerror(errno));
		return fd;
	}
	home = netns_open("/proc/self/ns/net");
	there = netns_open(netns);
	if (setns(there, CLONE_NEWNET) != 0)
		lg_die("setns %s: %s", netns, strerror(errno));
	fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		lg_die("socket: %s", strerror(errno));
	if (setns(home, CLONE_NEWNET) != 0)
		lg_die("setns back: %s", strerror(errno));
	close(home);
	close(there);
	return fd;
}

json_t *lg_sample(void) {
	json_error_t error;
	json_t *out;
	FILE *in;

	if (lg_opt.sample == NULL)
		return json_null();
	in = popen(lg_opt.sample, "r");
	if (in == NULL)
		lg_die("%s: %s", lg_opt.sample, strerror(errno));
	out = json_loadf(in, JSON_DECODE_ANY, &error);
	if (out == NULL)
		fprintf(stderr, "loadgen: sample: %s\n", error.text);
	pclose(in);
	return out != NULL ? out : json_null();
}

static size_t file_read(const char *path, char *text, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static bool is_watched(const char *comm) {
	const char *prefix = lg_opt.watch;

	while (*prefix != '\0') {
		size_t len = strcspn(prefix, ",");

		if (strncmp(comm, prefix, len) == 0)
			return true;
		prefix += len + (prefix[len] == ',');
	}
	return false;
}

// proc(5): comm is in parentheses, and may hold any; utime and stime are the fields 14 and 15, then
// come those of children that have ended.
static double stat_cpu(char *text, bool any) {
	char *comm = strchr(text, '('), *end = strrchr(text, ')');
	unsigned long user, system;
	long user_ended, system_ended;

	if (comm == NULL || end == NULL)
		return 0;
	*end = '\0';
	if (!any && !is_watched(comm + 1))
		return 0;
	if (sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &user,
		    &system, &user_ended, &system_ended) != 4)
		return 0;
	return (double)((long)(user + system) + user_ended + system_ended) /
		(double)sysconf(_SC_CLK_TCK);
}

static double watched_cpu(void) {
	double sum = 0;
	struct dirent *entry;
	char path[300], text[1024];
	DIR *dir;

	if (lg_opt.watch == NULL)
		return 0;
	dir = opendir("/proc");
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		if (isdigit((unsigned char)entry->d_name[0]) &&
			file_read(path, text, sizeof(text)) > 0)
			sum += stat_cpu(text, false);
	}
	closedir(dir);
	return sum;
}

// A process of another process namespace, whose file somebody has opened for us.
static double watched_fd_cpu(void) {
	char text[1024];
	ssize_t n;

	if (lg_opt.watch_fd < 0)
		return 0;
	n = pread(lg_opt.watch_fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return stat_cpu(text, true);
}

// All that a core did but idling and waiting for a disk, softirq included: the time less what it was
// idle, which the kernel measures, while it only samples what it was busy with.
static double core_cpu(void) {
	unsigned long long idle, iowait;
	char text[16384], name[16], *line;

	if (lg_opt.watch_cpu < 0 || file_read("/proc/stat", text, sizeof(text)) == 0)
		return 0;
	snprintf(name, sizeof(name), "\ncpu%d ", lg_opt.watch_cpu);
	line = strstr(text, name);
	if (line == NULL ||
		sscanf(line + strlen(name), "%*u %*u %*u %llu %llu", &idle, &iowait) != 2)
		return 0;
	return (double)lg_now() / 1e9 - (double)(idle + iowait) / (double)sysconf(_SC_CLK_TCK);
}

void lg_cpu_read(struct lg_cpu *cpu) {
	struct timespec self;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &self);
	cpu->self = (double)self.tv_sec + (double)self.tv_nsec / 1e9;
	cpu->watched = watched_cpu();
	cpu->softirq = watched_fd_cpu();
	cpu->core = core_cpu();
}

json_t *lg_cpu_report(const struct lg_cpu *from, const struct lg_cpu *to) {
	json_t *report = json_pack("{s:f}", "generator", to->self - from->self);

	if (lg_opt.watch != NULL)
		json_object_set_new(report, "watched", json_real(to->watched - from->watched));
	if (lg_opt.watch_fd >= 0)
		json_object_set_new(report, "watched_fd", json_real(to->softirq - from->softirq));
	if (lg_opt.watch_cpu >= 0)
		json_object_set_new(report, "core", json_real(to->core - from->core));
	return report;
}

void lg_print(json_t *object) {
	json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7));
	putchar('\n');
	fflush(stdout);
	json_decref(object);
}

void lg_stamp_socket(int fd) {
	int one = 1;

	if (lg_opt.stamps)
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
}

// Stamps are of the clock of the day: what counts is how long ago one was made.
uint64_t lg_stamp(struct msghdr *msg, uint64_t now) {
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		struct timespec then, day;
		int64_t age;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&then, CMSG_DATA(c), sizeof(then));
		clock_gettime(CLOCK_REALTIME, &day);
		age = (day.tv_sec - then.tv_sec) * 1000000000 + (day.tv_nsec - then.tv_nsec);
		return age > 0 ? now - (uint64_t)age : now;
	}
	return now;
}

size_t lg_gro_segment(struct msghdr *msg) {
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		int size;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		return (size_t)size;
	}
	return 0;
}
