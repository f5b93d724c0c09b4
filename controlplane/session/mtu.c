// SPDX-License-Identifier: GPL-3.0-or-later
// MTU arithmetic of a new connection. Called by connect.c.
#include "controlplane/session/mtu.h"

#define LINK_DEFAULT 1500u
#define LINK_MIN4 800u
#define LINK_MIN6 1280u
#define DATA_MIN 576u // bounds of struct abi_policy
#define DATA_MAX 9000u
#define UDP_HEADER 8u
#define TCP_HEADER 32u // with timestamps
#define DTLS_OVERHEAD (13u + 8u + 16u + 1u) // GCM: the largest of the ciphers
#define TLS12_OVERHEAD (5u + 8u + 16u + 8u) // record, nonce, tag, CSTP header
#define TLS13_OVERHEAD (5u + 1u + 16u + 8u)

static unsigned overhead(const struct mtu_in *in) {
	unsigned ip = in->outer6 ? 40 : 20;

	if (in->dtls)
		return ip + UDP_HEADER + DTLS_OVERHEAD;
	return ip + TCP_HEADER + (in->tls13 ? TLS13_OVERHEAD : TLS12_OVERHEAD);
}

static unsigned link_mtu(const struct mtu_in *in) {
	unsigned link = in->base_mtu, least = in->outer6 ? LINK_MIN6 : LINK_MIN4;

	if (!link)
		link = in->tunnel_mtu ? in->tunnel_mtu + overhead(in) : LINK_DEFAULT;
	if (in->path_mtu && in->path_mtu < link)
		link = in->path_mtu;
	if (link < least)
		link = least;
	return link < DATA_MAX + overhead(in) ? link : DATA_MAX + overhead(in);
}

struct mtu_out mtu_choose(const struct mtu_in *in) {
	unsigned link = link_mtu(in), data = link - overhead(in);

	if (in->cfg_mtu && in->cfg_mtu < data)
		data = in->cfg_mtu;
	if (data < DATA_MIN)
		data = DATA_MIN;
	return (struct mtu_out){(uint16_t)link, (uint16_t)data};
}
