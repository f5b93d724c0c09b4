// SPDX-License-Identifier: GPL-3.0-or-later
// XDP program of a shared port: the VPN's UDP datagrams go to the dataplane, all else to the kernel.
//
// A datagram is the VPN's when its destination is one of the host's own addresses and a port that
// the VPN listens on. Of a fragmented one only the first fragment has the port: it is remembered,
// so that the others follow it, and everybody else's fragments stay with the kernel.
//
// Handshakes beyond what the control plane will be given anyway are dropped here: a flood of them
// would fill the buffers that established tunnels need.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "steer.h"

#define FRAG_LIFE_NS 30000000000ULL
#define V4_MORE bpf_htons(0x2000)
#define V4_OFFSET bpf_htons(0x1fff)
#define V6_OFFSET bpf_htons(0xfff8)
#define V6_MORE bpf_htons(0x0001)

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_PORTS);
	__type(key, __u16);
	__type(value, __u8);
} vpn_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_HOSTS);
	__type(key, struct steer_host);
	__type(value, __u8);
} vpn_hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STEER_FRAGS);
	__type(key, struct steer_frag);
	__type(value, __u64); // when its first fragment came, ns
} vpn_frags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_limit);
} vpn_limit SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_bucket);
} vpn_bucket SEC(".maps");

struct frag_hdr {
	__u8 next;
	__u8 reserved;
	__be16 offset_flags;
	__be32 id;
};

static __always_inline int to_dataplane(struct xdp_md *ctx) {
	// A queue without a socket is the kernel's.
	return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}

static __always_inline int is_ours(const struct udphdr *udp, const void *end, const void *dst) {
	__u16 port;

	if ((const void *)(udp + 1) > end)
		return 0;
	port = udp->dest;
	return bpf_map_lookup_elem(&vpn_ports, &port) && bpf_map_lookup_elem(&vpn_hosts, dst);
}

// A handshake record that comes too soon after the others.
static __always_inline int too_many(const struct udphdr *udp, const void *end) {
	const __u8 *type = (const void *)(udp + 1);
	const struct steer_limit *limit;
	struct steer_bucket *bucket;
	__u64 now, credit;
	__u32 zero = 0;

	if ((const void *)(type + 1) > end || *type != STEER_HANDSHAKE)
		return 0;
	limit = bpf_map_lookup_elem(&vpn_limit, &zero);
	bucket = bpf_map_lookup_elem(&vpn_bucket, &zero);
	if (!limit || !bucket || limit->cost_ns == 0)
		return 0;
	now = bpf_ktime_get_ns();
	credit = bucket->credit_ns + (now - bucket->last_ns);
	if (credit > limit->credit_max_ns)
		credit = limit->credit_max_ns;
	bucket->last_ns = now;
	if (credit < limit->cost_ns) {
		bucket->credit_ns = credit;
		bucket->shed++;
		return 1;
	}
	bucket->credit_ns = credit - limit->cost_ns;
	return 0;
}

static __always_inline int follows(const struct steer_frag *frag) {
	const __u64 *since = bpf_map_lookup_elem(&vpn_frags, frag);

	return since && bpf_ktime_get_ns() - *since < FRAG_LIFE_NS;
}

static __always_inline void remember(const struct steer_frag *frag) {
	__u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&vpn_frags, frag, &now, BPF_ANY);
}

static __always_inline void mapped(unsigned char *out, __be32 addr) {
	__builtin_memset(out, 0, 10);
	out[10] = out[11] = 0xff;
	__builtin_memcpy(out + 12, &addr, 4);
}

static __always_inline int steer_v4(struct xdp_md *ctx, const struct iphdr *ip, const void *end) {
	struct steer_frag frag = {};
	__u32 len;

	if ((const void *)(ip + 1) > end || ip->protocol != IPPROTO_UDP || ip->ihl < 5)
		return XDP_PASS;
	mapped(frag.src, ip->saddr);
	mapped(frag.dst, ip->daddr);
	frag.id = ip->id;
	if (ip->frag_off & V4_OFFSET)
		return follows(&frag) ? to_dataplane(ctx) : XDP_PASS;
	len = ip->ihl * 4;
	if (!is_ours((const void *)ip + len, end, frag.dst))
		return XDP_PASS;
	if (too_many((const void *)ip + len, end))
		return XDP_DROP;
	if (ip->frag_off & V4_MORE)
		remember(&frag);
	return to_dataplane(ctx);
}

static __always_inline int steer_v6(struct xdp_md *ctx, const struct ipv6hdr *ip, const void *end) {
	const struct frag_hdr *hdr = (const void *)(ip + 1);
	const void *payload = hdr;
	struct steer_frag frag = {};

	if ((const void *)(ip + 1) > end)
		return XDP_PASS;
	__builtin_memcpy(frag.src, &ip->saddr, 16);
	__builtin_memcpy(frag.dst, &ip->daddr, 16);
	if (ip->nexthdr == IPPROTO_FRAGMENT) {
		if ((const void *)(hdr + 1) > end || hdr->next != IPPROTO_UDP)
			return XDP_PASS;
		frag.id = hdr->id;
		if (hdr->offset_flags & V6_OFFSET)
			return follows(&frag) ? to_dataplane(ctx) : XDP_PASS;
		payload = hdr + 1;
	} else if (ip->nexthdr != IPPROTO_UDP) {
		return XDP_PASS;
	}
	if (!is_ours(payload, end, frag.dst))
		return XDP_PASS;
	if (too_many(payload, end))
		return XDP_DROP;
	if (payload != (const void *)hdr && (hdr->offset_flags & V6_MORE))
		remember(&frag);
	return to_dataplane(ctx);
}

SEC("xdp")
int penstock_steer(struct xdp_md *ctx) {
	const void *data = (const void *)(long)ctx->data, *end = (const void *)(long)ctx->data_end;
	const struct ethhdr *eth = data;

	if ((const void *)(eth + 1) > end)
		return XDP_PASS;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		return steer_v4(ctx, (const void *)(eth + 1), end);
	case bpf_htons(ETH_P_IPV6):
		return steer_v6(ctx, (const void *)(eth + 1), end);
	default:
		return XDP_PASS;
	}
}

char LICENSE[] SEC("license") = "GPL";
