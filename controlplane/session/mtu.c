// SPDX-License-Identifier: GPL-3.0-or-later
// MTU arithmetic of a new connection. Called by connect.c.
#include "controlplane/session/mtu.h"
#include "dataplane/abi/mtu.h"

#define LINK_DEFAULT 1500u
#define LINK_MIN4 800u
#define DATA_MAX 9000u // bound of struct abi_policy
// Clients that were not told a size ask for what they compute from their link with the largest
// overhead of all ciphers: 110 to 130 bytes. Further below it is the user's own wish (--mtu).
#define WISH_DISTANCE 160u

static unsigned data_on(const struct mtu_in *in, unsigned link) {
	if (in->dtls)
		return abi_mtu_dtls(link, in->outer6, ABI_AES_256_GCM);
	return abi_mtu_tls(link, in->outer6, in->tls13 ? ABI_TLS13 : ABI_TLS12, ABI_AES_256_GCM);
}

static unsigned link_mtu(const struct mtu_in *in) {
	unsigned link = in->base_mtu, least = in->outer6 ? ABI_MTU_MIN6 : LINK_MIN4;
	unsigned overhead = LINK_DEFAULT - data_on(in, LINK_DEFAULT);

	if (!link)
		link = in->tunnel_mtu ? in->tunnel_mtu + overhead : LINK_DEFAULT;
	if (in->path_mtu && in->path_mtu < link)
		link = in->path_mtu;
	if (link < least)
		link = least;
	return link < DATA_MAX + overhead ? link : DATA_MAX + overhead;
}

struct mtu_out mtu_choose(const struct mtu_in *in) {
	unsigned link = link_mtu(in), data = data_on(in, link);

	if (in->base_mtu && in->tunnel_mtu && in->tunnel_mtu + WISH_DISTANCE < in->base_mtu &&
		in->tunnel_mtu < data)
		data = in->tunnel_mtu;
	if (in->cfg_mtu && in->cfg_mtu < data)
		data = in->cfg_mtu;
	if (data < ABI_MTU_MIN4)
		data = ABI_MTU_MIN4;
	return (struct mtu_out){(uint16_t)link, (uint16_t)data};
}
