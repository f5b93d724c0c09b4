// SPDX-License-Identifier: GPL-3.0-or-later
// Varies the frame that flood.c gave it, and sends it out. Run by the kernel as often as flood.c asks.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

#define RECORD_HEADER 13 // DTLS (RFC 6347, 4.1)

#define SPINS 4096 // looks at the clock for one packet, at most
#define LATE_NS 1000000 // what is made good

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flood_config);
} flood_config SEC(".maps");

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__u8 record[RECORD_HEADER + 64];
} __attribute__((packed));

// Of an IPv4 header without options, its own place left out.
static __always_inline __u16 ip_check(const __u16 *word) {
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += i == 5 ? 0 : word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

// The CPU is the flood's own: it waits by looking at the clock.
static __always_inline void pace(struct flood_config *config) {
	__u64 now = bpf_ktime_get_ns();

	if (config->next_ns + LATE_NS < now)
		config->next_ns = now;
	for (int i = 0; i < SPINS && now < config->next_ns; i++)
		now = bpf_ktime_get_ns();
	config->next_ns += config->interval_ns;
}

SEC("xdp")
int flood_vary(struct xdp_md *ctx) {
	struct frame *frame = (void *)(long)ctx->data;
	__u32 any = bpf_get_prandom_u32(), other = bpf_get_prandom_u32(), zero = 0, kind;
	struct flood_config *config = bpf_map_lookup_elem(&flood_config, &zero);

	if (!config || (void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	// a third of the data records each: the client's own, from another port, from elsewhere
	kind = config->hello ? 2 : any % 3;
	frame->ip.saddr = kind == 2 ? config->network | bpf_htonl(3 + other % 240) : config->client;
	frame->udp.source = kind == 0 ? config->client_port
				      : bpf_htons(1024 + (other >> 16) % 64000);
	frame->ip.check = ip_check((const void *)frame + sizeof(frame->eth));
	// in a ClientHello: of its random and its session id; in a data record: number and text
	if (config->hello) {
		__builtin_memcpy(frame->record + 30, &any, 4);
		__builtin_memcpy(frame->record + 62, &other, 4);
	} else {
		__builtin_memcpy(frame->record + 7, &any, 4);
		__builtin_memcpy(frame->record + RECORD_HEADER + 12, &other, 4);
	}
	pace(config);
	return bpf_redirect(config->ifindex, 0);
}

char LICENSE[] SEC("license") = "GPL";
