// SPDX-License-Identifier: GPL-3.0-or-later
// Cuts packets to a link's MTU. Called by l3-forward, lan-output and outer-output.
#include "dataplane/node/fragment.h"

#include <rte_ip_frag.h>

#include "dataplane/port.h"
#include "dataplane/proto/ip.h"

#define FRAGMENT_HEADER 8u

static unsigned give_up(struct rte_mbuf *m, struct rte_mbuf **out, unsigned n) {
	rte_pktmbuf_free_bulk(out, n);
	dp_drop(&m, 1, ABI_C_drop_no_mbuf);
	return 0;
}

static unsigned finish(struct rte_mbuf *m, struct rte_mbuf **out, unsigned n) {
	for (unsigned i = 0; i < n; i++) {
		*dp_pkt(out[i]) = *dp_pkt(m);
		out[i]->ol_flags = 0;
	}
	dp_count(ABI_C_fragmented, 1);
	rte_pktmbuf_free(m);
	return n;
}

unsigned fragment4(struct rte_mbuf *m, uint16_t mtu, struct rte_mbuf **out) {
	int n = rte_ipv4_fragment_copy_nonseg_packet(m, out, FRAGMENTS_MAX, mtu, dp_mbuf_pool);

	if (n <= 0)
		return give_up(m, out, 0);
	for (int i = 0; i < n; i++)
		ip4_checksum_write(rte_pktmbuf_mtod(out[i], uint8_t *));
	return finish(m, out, (unsigned)n);
}

static void write_fragment6(
	uint8_t *to, const uint8_t *from, uint32_t offset, uint16_t part, bool more, uint32_t id) {
	memcpy(to, from, IP6_HEADER);
	ip_store16(to + 4, FRAGMENT_HEADER + part);
	to[6] = 44;
	to[IP6_HEADER] = from[6];
	to[IP6_HEADER + 1] = 0;
	ip_store16(to + IP6_HEADER + 2, (uint16_t)(offset | more));
	ip_store32(to + IP6_HEADER + 4, id);
	memcpy(to + IP6_HEADER + FRAGMENT_HEADER, from + IP6_HEADER + offset, part);
}

unsigned fragment6(struct rte_mbuf *m, uint16_t mtu, uint32_t id, struct rte_mbuf **out) {
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t left = m->data_len - IP6_HEADER, offset = 0;
	uint16_t step = (uint16_t)((mtu - IP6_HEADER - FRAGMENT_HEADER) & ~7u);
	unsigned n = 0;

	for (; left > 0; n++) {
		uint16_t part = left > step ? step : (uint16_t)left;
		char *to = NULL;

		if (n < FRAGMENTS_MAX && (out[n] = rte_pktmbuf_alloc(dp_mbuf_pool)) != NULL) {
			to = rte_pktmbuf_append(out[n], IP6_HEADER + FRAGMENT_HEADER + part);
			if (to == NULL)
				rte_pktmbuf_free(out[n]);
		}
		if (to == NULL)
			return give_up(m, out, n);
		left -= part;
		write_fragment6((uint8_t *)to, ip, offset, part, left > 0, id);
		offset += part;
	}
	return finish(m, out, n);
}
