// SPDX-License-Identifier: GPL-3.0-or-later
// The socket filter of a shared port on AF_PACKET: what of the NIC's traffic is the VPN's.
//
// It sees Ethernet frames as the kernel keeps them (VLAN tags taken off). It has no memory, so
// that all fragments of UDP pass: others' are put together by the dataplane, and then dropped,
// while the kernel works on its own copy. Called by port.c.
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "dataplane/port_priv.h"

#define FILTER_MAX 128u

// A small assembler: jump targets are labels until the end.
struct assembler {
	struct sock_filter code[FILTER_MAX];
	unsigned n;
};

static void emit(struct assembler *a, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf) {
	if (a->n < FILTER_MAX)
		a->code[a->n++] = (struct sock_filter){code, jt, jf, k};
}

static void load(struct assembler *a, uint16_t size, uint32_t offset) {
	emit(a, BPF_LD | size | BPF_ABS, offset, 0, 0);
}

static void verdict(struct assembler *a, bool accept) {
	emit(a, BPF_RET | BPF_K, accept ? 0x40000 : 0, 0, 0);
}

static void accept_if_equal(struct assembler *a, uint32_t k) {
	emit(a, BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1);
	verdict(a, true);
}

static void reject_unless_equal(struct assembler *a, uint32_t k) {
	emit(a, BPF_JMP | BPF_JEQ | BPF_K, k, 1, 0);
	verdict(a, false);
}

static void accept_ports(struct assembler *a, const struct cfg *cfg) {
	for (size_t i = 0; i < cfg->nb_listen && i < 16; i++) {
		if (cfg->listen[i].udp_port != 0)
			accept_if_equal(a, cfg->listen[i].udp_port);
	}
	verdict(a, false);
}

// IPv4 from offset 14: UDP, fragmented or to one of the ports.
static void filter_v4(struct assembler *a, const struct cfg *cfg) {
	load(a, BPF_B, 14 + 9);
	reject_unless_equal(a, IPPROTO_UDP);
	load(a, BPF_H, 14 + 6);
	emit(a, BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 0, 1); // more fragments, or an offset
	verdict(a, true);
	emit(a, BPF_LDX | BPF_B | BPF_MSH, 14, 0, 0); // header length
	emit(a, BPF_LD | BPF_H | BPF_IND, 14 + 2, 0, 0);
	accept_ports(a, cfg);
}

static void filter_v6(struct assembler *a, const struct cfg *cfg) {
	load(a, BPF_B, 14 + 6);
	emit(a, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_FRAGMENT, 0, 3);
	load(a, BPF_B, 14 + 40);
	accept_if_equal(a, IPPROTO_UDP);
	// A fragment of something else falls through: its A is not UDP.
	reject_unless_equal(a, IPPROTO_UDP);
	load(a, BPF_H, 14 + 40 + 2);
	accept_ports(a, cfg);
}

const struct sock_fprog *packet_filter(const struct cfg *cfg) {
	static struct assembler a, v4;
	static struct sock_fprog prog;

	a.n = v4.n = 0;
	filter_v4(&v4, cfg);
	load(&a, BPF_W, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
	reject_unless_equal(&a, PACKET_HOST);
	load(&a, BPF_H, 12);
	emit(&a, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, (uint8_t)v4.n);
	for (unsigned i = 0; i < v4.n; i++)
		emit(&a, v4.code[i].code, v4.code[i].k, v4.code[i].jt, v4.code[i].jf);
	reject_unless_equal(&a, ETH_P_IPV6);
	filter_v6(&a, cfg);
	prog.len = (uint16_t)a.n;
	prog.filter = a.code;
	return &prog;
}
