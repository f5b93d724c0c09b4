// SPDX-License-Identifier: GPL-3.0-or-later
// Routes, neighbours and addresses from the kernel by rtnetlink. Called by the control thread.
//
// One socket gets notifications, another asks and tells. Lost notifications (ENOBUFS), and
// changes that the kernel does not announce route by route (a link down, an address gone), end in
// a dump of everything: each dump has an epoch, and what it did not see is swept.
#include "dataplane/ctl/netlink.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "dataplane/port.h"
#include "dataplane/table/fib.h"
#include "dataplane/table/local.h"
#include "dataplane/table/neigh.h"

#define REFRESH_S 10 // neighbours in use that the kernel did not confirm are probed so often
#define RECEIVE_BUFFER (4 << 20)
#define DUMP_TRIES 5 // the kernel may say that a dump was not consistent
#define TAP_METRIC UINT32_MAX // the host is the way to what no other port has a route for

static struct nl_sock *events, *asks;
static int epoll_fd = -1, timer_fd = -1;
static uint32_t epoch = 1; // never 0: that is for our own routes
static bool dump_wanted;
static unsigned link_flags[ABI_PORTS_MAX];

// Addresses that a dump has found so far: published at its end, so that none is missing meanwhile.
static bool dumping;
static struct {
	uint32_t n;
	struct abi_addr addr[DP_LOCALS_MAX];
} staged[ABI_PORTS_MAX];

static const size_t addr_len[2] = {4, 16};

static struct dp_port *port_of(unsigned ifindex) {
	return ifindex != 0 ? dp_port_by_ifindex(ifindex) : NULL;
}

static const uint8_t *attr_addr(const struct nlattr *attr, bool v6) {
	if (attr == NULL || (size_t)nla_len(attr) != addr_len[v6])
		return NULL;
	return nla_data(attr);
}

// The hop of a multipath route that goes through one of our ports; the first is taken.
static struct dp_port *multipath(const struct nlattr *attr, bool v6, const uint8_t **gateway) {
	int left = nla_len(attr);

	for (struct rtnexthop *hop = nla_data(attr);
		left >= (int)sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left;
		left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		struct dp_port *port = port_of((unsigned)hop->rtnh_ifindex);
		struct nlattr *tb[RTA_MAX + 1];

		if (port == NULL)
			continue;
		if (nla_parse(tb, RTA_MAX, (struct nlattr *)RTNH_DATA(hop),
			    hop->rtnh_len - (int)sizeof(*hop), NULL) < 0)
			continue;
		*gateway = attr_addr(tb[RTA_GATEWAY], v6);
		return port;
	}
	return NULL;
}

static uint8_t route_type(const struct rtmsg *rtm, const uint8_t *gateway) {
	switch (rtm->rtm_type) {
	case RTN_UNICAST:
		return gateway != NULL ? DP_ROUTE_VIA : DP_ROUTE_LINK;
	case RTN_LOCAL:
		return DP_ROUTE_LOCAL;
	case RTN_BROADCAST:
	case RTN_ANYCAST:
		return DP_ROUTE_REJECT;
	}
	return 0;
}

static void on_route(const struct nlmsghdr *nlh) {
	static const uint8_t any[16];
	const struct rtmsg *rtm = nlmsg_data(nlh);
	struct nlattr *tb[RTA_MAX + 1];
	struct dp_route_spec spec = {0};
	struct dp_port *port;

	if (nlmsg_parse((struct nlmsghdr *)nlh, sizeof(*rtm), tb, RTA_MAX, NULL) < 0)
		return;
	if (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6)
		return;
	if ((rtm->rtm_flags & RTM_F_CLONED) || rtm->rtm_src_len != 0 || rtm->rtm_tos != 0)
		return;
	uint32_t table = tb[RTA_TABLE] != NULL && nla_len(tb[RTA_TABLE]) >= 4
		? nla_get_u32(tb[RTA_TABLE])
		: rtm->rtm_table;

	if (table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL)
		return;
	spec.v6 = rtm->rtm_family == AF_INET6;
	spec.gateway = attr_addr(tb[RTA_GATEWAY], spec.v6);
	if (tb[RTA_OIF] != NULL && nla_len(tb[RTA_OIF]) >= 4)
		port = port_of(nla_get_u32(tb[RTA_OIF]));
	else
		port = tb[RTA_MULTIPATH] != NULL
			? multipath(tb[RTA_MULTIPATH], spec.v6, &spec.gateway)
			: NULL;
	if (port == NULL || (port->flags & DP_PORT_NOARP))
		return;
	spec.type = route_type(rtm, spec.gateway);
	if (spec.type == 0)
		return;
	spec.side = port->role == CFG_ROLE_WAN ? DP_FIB_WAN : DP_FIB_LAN;
	spec.port = port->index;
	spec.len = rtm->rtm_dst_len;
	spec.prefix = attr_addr(tb[RTA_DST], spec.v6);
	if (spec.prefix == NULL) {
		if (spec.len != 0)
			return;
		spec.prefix = any;
	}
	if (tb[RTA_PRIORITY] != NULL && nla_len(tb[RTA_PRIORITY]) >= 4)
		spec.metric = nla_get_u32(tb[RTA_PRIORITY]);
	spec.epoch = epoch;
	spec.replace = (nlh->nlmsg_flags & NLM_F_REPLACE) != 0;
	if (nlh->nlmsg_type == RTM_DELROUTE)
		dp_fib_del(&spec);
	else
		dp_fib_add(&spec);
}

static void on_neigh(const struct nlmsghdr *nlh) {
	const struct ndmsg *ndm = nlmsg_data(nlh);
	const uint16_t valid = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
	struct nlattr *tb[NDA_MAX + 1];
	struct dp_port *port;
	struct dp_neigh *neigh;
	struct abi_addr addr;
	const uint8_t *dst;

	if (nlmsg_parse((struct nlmsghdr *)nlh, sizeof(*ndm), tb, NDA_MAX, NULL) < 0)
		return;
	if ((ndm->ndm_family != AF_INET && ndm->ndm_family != AF_INET6) ||
		(ndm->ndm_flags & NTF_PROXY))
		return;
	port = port_of((unsigned)ndm->ndm_ifindex);
	dst = attr_addr(tb[NDA_DST], ndm->ndm_family == AF_INET6);
	if (port == NULL || dst == NULL || (port->flags & DP_PORT_NOARP))
		return;
	bool ok = nlh->nlmsg_type == RTM_NEWNEIGH && (ndm->ndm_state & valid) != 0 &&
		tb[NDA_LLADDR] != NULL && nla_len(tb[NDA_LLADDR]) == 6;

	dp_addr_from(&addr, ndm->ndm_family == AF_INET6, dst);
	neigh = ok ? dp_neigh_get(port->index, &addr) : dp_neigh_lookup(port->index, &addr);
	if (neigh == NULL)
		return;
	neigh->known = ok;
	neigh->fresh = ok && (ndm->ndm_state & (NUD_REACHABLE | NUD_PERMANENT)) != 0;
	neigh->epoch = epoch;
	dp_neigh_set(neigh, ok ? nla_data(tb[NDA_LLADDR]) : NULL);
	if (!ok)
		dp_neigh_release(neigh);
}

static void on_address(const struct nlmsghdr *nlh) {
	const struct ifaddrmsg *ifa = nlmsg_data(nlh);
	struct nlattr *tb[IFA_MAX + 1];
	struct dp_port *port;
	struct abi_addr addr;
	const uint8_t *bytes;
	bool v6;

	if (nlmsg_parse((struct nlmsghdr *)nlh, sizeof(*ifa), tb, IFA_MAX, NULL) < 0)
		return;
	if (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6)
		return;
	v6 = ifa->ifa_family == AF_INET6;
	port = port_of(ifa->ifa_index);
	// IFA_ADDRESS is the peer's on point-to-point links.
	bytes = attr_addr(tb[IFA_LOCAL] != NULL ? tb[IFA_LOCAL] : tb[IFA_ADDRESS], v6);
	if (port == NULL || bytes == NULL)
		return;
	dp_addr_from(&addr, v6, bytes);
	if (dumping) {
		if (staged[port->index].n < DP_LOCALS_MAX)
			staged[port->index].addr[staged[port->index].n++] = addr;
		return;
	}
	if (nlh->nlmsg_type == RTM_NEWADDR) {
		dp_local_add(port->index, &addr);
		return;
	}
	dp_local_del(port->index, &addr);
	dump_wanted = true; // IPv4 routes with it as their source went silently
}

static void on_link(const struct nlmsghdr *nlh) {
	const struct ifinfomsg *ifi = nlmsg_data(nlh);
	struct dp_port *port;

	if (nlmsg_datalen(nlh) < (int)sizeof(*ifi))
		return;
	port = port_of((unsigned)ifi->ifi_index);
	if (port == NULL)
		return;
	unsigned flags = nlh->nlmsg_type == RTM_NEWLINK ? ifi->ifi_flags & (IFF_UP | IFF_RUNNING)
							: 0;

	if (flags != link_flags[port->index])
		dump_wanted = true; // IPv4 routes of a link that goes down are not announced
	link_flags[port->index] = flags;
}

static int on_message(struct nl_msg *msg, void *arg) {
	const struct nlmsghdr *nlh = nlmsg_hdr(msg);

	switch (nlh->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		on_route(nlh);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		on_neigh(nlh);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		on_address(nlh);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(nlh);
		break;
	}
	return NL_OK;
}

static void sweep_neigh(struct dp_neigh *neigh, void *arg) {
	if (!neigh->known || neigh->epoch == epoch)
		return;
	neigh->known = neigh->fresh = false;
	dp_neigh_set(neigh, NULL);
	dp_neigh_release(neigh);
}

// 0 or -NLE_*.
static int dump_once(void) {
	static const int types[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETNEIGH, RTM_GETROUTE};
	struct rtgenmsg gen = {.rtgen_family = AF_UNSPEC};

	memset(staged, 0, sizeof(staged));
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
		int ret = types[i] == RTM_GETLINK
			? nl_send_simple(asks, types[i], NLM_F_DUMP, &link, sizeof(link))
			: nl_send_simple(asks, types[i], NLM_F_DUMP, &gen, sizeof(gen));

		if (ret >= 0)
			ret = nl_recvmsgs_default(asks);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int dump(void) {
	int ret = 0;

	if (++epoch == 0)
		epoch = 1;
	dumping = true;
	for (int i = 0; i < DUMP_TRIES; i++) {
		ret = dump_once();
		if (ret == 0)
			break;
	}
	dumping = dump_wanted = false;
	if (ret != 0) {
		fprintf(stderr, "penstock-dataplane: cannot read the kernel's routes: %s\n",
			nl_geterror(ret));
		return -EIO;
	}
	for (unsigned i = 0; i < dp_nb_ports; i++)
		dp_local_replace((uint8_t)i, staged[i].addr, staged[i].n);
	dp_fib_sweep(epoch);
	dp_neigh_each(sweep_neigh, NULL);
	return 0;
}

// Makes the kernel resolve or confirm a neighbour (NTF_USE: as if it sent to it itself).
static void resolve(uint8_t index, const struct abi_addr *addr) {
	bool v6 = !dp_addr_is4(addr);
	struct ndmsg ndm = {
		.ndm_family = v6 ? AF_INET6 : AF_INET,
		.ndm_ifindex = (int)dp_ports[index].ifindex,
		.ndm_flags = NTF_USE,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWNEIGH, NLM_F_CREATE);

	if (msg == NULL)
		return;
	if (nlmsg_append(msg, &ndm, sizeof(ndm), NLMSG_ALIGNTO) < 0 ||
		nla_put(msg, NDA_DST, (int)addr_len[v6], addr->bytes + (v6 ? 0 : 12)) < 0) {
		nlmsg_free(msg);
		return;
	}
	nl_send_sync(asks, msg); // takes the message; an error: the next packet asks again
}

static void refresh(struct dp_neigh *neigh, void *arg) {
	if (atomic_exchange(&neigh->used, 0) && !neigh->fresh && neigh->known)
		resolve(neigh->port, &neigh->addr);
}

static void on_requests(void) {
	struct dp_neigh_request request;

	dp_neigh_request_clear();
	for (unsigned i = 0; i < 1024 && dp_neigh_request_take(&request); i++) {
		if (request.port < dp_nb_ports && !(dp_ports[request.port].flags & DP_PORT_NOARP))
			resolve(request.port, &request.addr);
	}
}

static void on_events(void) {
	int ret = nl_recvmsgs_default(events);

	// -NLE_NOMEM is ENOBUFS: notifications were lost.
	if (ret < 0 && ret != -NLE_AGAIN)
		dump_wanted = true;
}

void dp_netlink_process(void) {
	struct epoll_event ready[4];
	int n = epoll_wait(epoll_fd, ready, 4, 0);
	uint64_t expirations;

	for (int i = 0; i < n; i++) {
		if (ready[i].data.fd == nl_socket_get_fd(events))
			on_events();
		else if (ready[i].data.fd == dp_neigh_request_fd())
			on_requests();
		else if (read(timer_fd, &expirations, sizeof(expirations)) > 0)
			dp_neigh_each(refresh, NULL);
	}
	if (dump_wanted)
		dump();
}

int dp_netlink_fd(void) {
	return epoll_fd;
}

// RTM_NEWADDR of one gateway address, host prefix, and RTM_NEWROUTE of its pool, on the TAP.
static int tap_address(const struct dp_port *port, const struct cfg_addr *addr) {
	bool v6 = addr->family == AF_INET6;
	struct ifaddrmsg ifa = {
		.ifa_family = addr->family,
		.ifa_prefixlen = v6 ? 128 : 32,
		.ifa_flags = IFA_F_PERMANENT | (v6 ? IFA_F_NODAD : 0),
		.ifa_index = port->ifindex,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);

	if (msg == NULL)
		return -NLE_NOMEM;
	if (nlmsg_append(msg, &ifa, sizeof(ifa), NLMSG_ALIGNTO) < 0 ||
		nla_put(msg, IFA_LOCAL, (int)addr_len[v6], addr->bytes) < 0) {
		nlmsg_free(msg);
		return -NLE_NOMEM;
	}
	return nl_send_sync(asks, msg);
}

// type, flags: RTM_NEWROUTE or RTM_DELROUTE, and how. 0 or -NLE_*.
static int tap_route(
	const struct dp_port *port, const struct cfg_prefix *pool, int type, int flags) {
	bool v6 = pool->addr.family == AF_INET6;
	struct rtmsg rtm = {
		.rtm_family = pool->addr.family,
		.rtm_dst_len = pool->len,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);
	struct cfg_prefix net = *pool;

	for (unsigned i = 0; i < addr_len[v6]; i++) {
		unsigned keep = pool->len > i * 8 ? pool->len - i * 8 : 0;

		if (keep < 8)
			net.addr.bytes[i] &= (uint8_t)(0xff00 >> keep);
	}
	if (msg == NULL)
		return -NLE_NOMEM;
	if (nlmsg_append(msg, &rtm, sizeof(rtm), NLMSG_ALIGNTO) < 0 ||
		nla_put(msg, RTA_DST, (int)addr_len[v6], net.addr.bytes) < 0 ||
		nla_put_u32(msg, RTA_OIF, port->ifindex) < 0) {
		nlmsg_free(msg);
		return -NLE_NOMEM;
	}
	return nl_send_sync(asks, msg);
}

// What the host must know of one pool, on the TAP into it.
static int tap_pool(const struct dp_port *port, const struct cfg_pool *pool) {
	const struct cfg_addr *gateway[2] = {&pool->gateway4, &pool->gateway6};
	const struct cfg_prefix *prefix[2] = {&pool->v4, &pool->v6};

	for (unsigned i = 0; i < 2; i++) {
		int ret = 0;

		if (gateway[i]->family != 0)
			ret = tap_address(port, gateway[i]);
		if (ret == 0 && prefix[i]->addr.family != 0)
			ret = tap_route(
				port, prefix[i], RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
		if (ret != 0) {
			fprintf(stderr,
				"penstock-dataplane: cannot set the IPv%c pool %s on %s: %s\n",
				i == 0 ? '4' : '6', pool->name, port->kernel_if, nl_geterror(ret));
			return -EIO;
		}
	}
	return 0;
}

void dp_netlink_iroute(const struct abi_prefix *prefix, bool add) {
	bool v6 = !dp_addr_is4(&prefix->addr);
	struct cfg_prefix net = {.addr.family = v6 ? AF_INET6 : AF_INET, .len = prefix->len};

	memcpy(net.addr.bytes, prefix->addr.bytes + (v6 ? 0 : 12), addr_len[v6]);
	for (unsigned i = 0; i < dp_nb_ports; i++) {
		int ret;

		if (dp_ports[i].mode != CFG_PORT_TAP)
			continue;
		ret = add ? tap_route(&dp_ports[i], &net, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)
			  : tap_route(&dp_ports[i], &net, RTM_DELROUTE, 0);
		if (ret != 0 && add)
			fprintf(stderr,
				"penstock-dataplane: no route to a network behind a client on %s: "
				"%s\n",
				dp_ports[i].kernel_if, nl_geterror(ret));
	}
}

// A port without neighbours is the way to everything that no other port has a route for.
static int noarp_routes(const struct dp_port *port) {
	static const uint8_t any[16];
	static const struct abi_addr none;
	struct dp_neigh *peer = dp_neigh_get(port->index, &none);

	if (peer == NULL)
		return -ENOMEM;
	dp_neigh_set(peer, port->peer_mac.addr_bytes);
	for (int v6 = 0; v6 < 2; v6++) {
		struct dp_route_spec spec = {
			.side = port->role == CFG_ROLE_WAN ? DP_FIB_WAN : DP_FIB_LAN,
			.type = DP_ROUTE_VIA,
			.port = port->index,
			.v6 = v6,
			.metric = TAP_METRIC,
			.prefix = any,
			.neigh = peer,
		};
		int ret = dp_fib_add(&spec);

		if (ret != 0)
			return ret;
	}
	return 0;
}

static int setup_ports(const struct cfg *cfg) {
	for (unsigned i = 0; i < dp_nb_ports; i++) {
		const struct dp_port *port = &dp_ports[i];
		int ret = port->flags & DP_PORT_NOARP ? noarp_routes(port) : 0;

		for (size_t p = 0; ret == 0 && port->mode == CFG_PORT_TAP && p < cfg->nb_pools; p++)
			ret = tap_pool(port, &cfg->pools[p]);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static struct nl_sock *open_socket(void) {
	struct nl_sock *sock = nl_socket_alloc();

	if (sock == NULL)
		return NULL;
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, NULL);
	if (nl_connect(sock, NETLINK_ROUTE) < 0) {
		nl_socket_free(sock);
		return NULL;
	}
	nl_socket_set_buffer_size(sock, RECEIVE_BUFFER, 0); // as far as net.core.rmem_max lets it
	return sock;
}

static int watch(int fd) {
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int open_all(void) {
	const struct itimerspec period = {{REFRESH_S, 0}, {REFRESH_S, 0}};

	asks = open_socket();
	events = open_socket();
	if (asks == NULL || events == NULL)
		return -ENOMEM;
	nl_socket_disable_seq_check(events);
	nl_socket_set_nonblocking(events);
	if (nl_socket_add_memberships(events, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
		    RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0) < 0)
		return -EPERM;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (epoll_fd < 0 || timer_fd < 0 || timerfd_settime(timer_fd, 0, &period, NULL) < 0)
		return -errno;
	int ret = watch(nl_socket_get_fd(events));

	if (ret == 0)
		ret = watch(dp_neigh_request_fd());
	return ret != 0 ? ret : watch(timer_fd);
}

int dp_netlink_init(const struct cfg *cfg, unsigned workers) {
	int ret = dp_fib_init();

	if (ret == 0)
		ret = dp_neigh_init(workers);
	if (ret == 0) {
		ret = open_all();
		if (ret != 0)
			fprintf(stderr, "penstock-dataplane: no rtnetlink: %s\n", strerror(-ret));
	}
	if (ret == 0)
		ret = setup_ports(cfg);
	if (ret == 0)
		ret = dump();
	if (ret != 0)
		dp_netlink_fini();
	return ret;
}

void dp_netlink_fini(void) {
	nl_socket_free(events);
	nl_socket_free(asks);
	events = asks = NULL;
	if (epoll_fd >= 0)
		close(epoll_fd);
	if (timer_fd >= 0)
		close(timer_fd);
	epoll_fd = timer_fd = -1;
	dp_fib_fini();
	dp_neigh_fini();
	dp_local_fini();
}
