// SPDX-License-Identifier: GPL-3.0-or-later
// XDP program of a dedicated port on a kernel interface: every frame goes to the dataplane.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "steer.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

SEC("xdp")
int penstock_all(struct xdp_md *ctx) {
	return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
}

char LICENSE[] SEC("license") = "GPL";
