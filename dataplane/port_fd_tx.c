// SPDX-License-Identifier: GPL-3.0-or-later
// Transmission to TAPs and AF_PACKET sockets. Called by port.c for nodes.
//
// Packets of one flow that are in one burst leave as one super-packet, which the kernel cuts as late
// as it can, or never: a TAP takes one call a super-packet, a packet socket one a burst.
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "dataplane/port_priv.h"
#include "dataplane/proto/gso.h"

#define SEGS_MAX 8u // of one packet; ours have one, but for what ip_frag chains
_Static_assert(DP_BURST <= GSO_JOIN_MAX, "a burst is joined at once");

// One burst on its way out.
struct batch {
	struct rte_mbuf **pkts;
	unsigned n;
	unsigned nb_groups, nb_iov;
	struct gso_frame frames[DP_BURST];
	struct gso_group groups[DP_BURST];
	struct virtio_net_hdr hdrs[DP_BURST]; // by group
	struct iovec *iovs[DP_BURST]; // by group
	unsigned nb_iovs[DP_BURST]; // by group; 0: cannot be sent
	bool sent[DP_BURST]; // by group
	uint8_t headers[DP_BURST][GSO_HEADERS_MAX + 2]; // by group
	struct iovec iov[DP_BURST * (SEGS_MAX + 1)];
};

static void add_iov(struct batch *b, const void *base, size_t len) {
	b->iov[b->nb_iov++] = (struct iovec){(void *)(uintptr_t)base, len};
}

// One packet as it is. A checksum that was left to us goes to the kernel.
static void add_single(struct batch *b, unsigned group) {
	const struct rte_mbuf *m = b->pkts[b->groups[group].first];
	struct virtio_net_hdr *hdr = &b->hdrs[group];

	*hdr = (struct virtio_net_hdr){.flags = 0};
	if (m->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM) {
		hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		hdr->csum_start = (uint16_t)(m->l2_len + m->l3_len);
		hdr->csum_offset = 6;
	}
	add_iov(b, hdr, sizeof(*hdr));
	if (m->nb_segs > SEGS_MAX)
		b->iovs[group] = NULL;
	for (; m != NULL && b->iovs[group] != NULL; m = m->next)
		add_iov(b, rte_pktmbuf_mtod(m, void *), m->data_len);
}

static void add_super(struct batch *b, unsigned group) {
	const struct gso_group *g = &b->groups[group];
	size_t len = gso_headers(g, b->frames, b->headers[group], &b->hdrs[group]);

	add_iov(b, &b->hdrs[group], sizeof(b->hdrs[group]));
	add_iov(b, b->headers[group], len);
	for (unsigned i = g->first; i != GSO_LAST; i = b->frames[i].next)
		add_iov(b, b->frames[i].data + g->payload, b->frames[i].len - g->payload);
}

static void prepare(struct batch *b, unsigned kinds) {
	b->nb_iov = 0;
	memset(b->sent, false, sizeof(b->sent));
	for (unsigned i = 0; i < b->n; i++) {
		const struct rte_mbuf *m = b->pkts[i];

		b->frames[i].data = m->nb_segs == 1 ? rte_pktmbuf_mtod(m, uint8_t *) : NULL;
		b->frames[i].len = m->data_len;
		b->frames[i].trusted = (m->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM) != 0;
	}
	b->nb_groups = gso_join(b->frames, b->n, kinds, b->groups);
	for (unsigned i = 0; i < b->nb_groups; i++) {
		unsigned first = b->nb_iov;

		b->iovs[i] = b->iov + first;
		if (b->groups[i].count > 1)
			add_super(b, i);
		else
			add_single(b, i);
		b->nb_iovs[i] = b->iovs[i] != NULL ? b->nb_iov - first : 0;
	}
}

// Frees the packets of the groups that left. The others move to the end of the burst, which stays the
// caller's. Returns how many packets left.
static uint16_t finish(struct dp_fdq *fdq, struct batch *b) {
	struct rte_mbuf *gone[DP_BURST], *kept[DP_BURST];
	unsigned nb_gone = 0, nb_kept = 0;

	for (unsigned g = 0; g < b->nb_groups; g++) {
		for (unsigned i = b->groups[g].first; i != GSO_LAST; i = b->frames[i].next) {
			if (!b->sent[g]) {
				kept[nb_kept++] = b->pkts[i];
				continue;
			}
			fdq->tx_packets++;
			fdq->tx_bytes += b->pkts[i]->pkt_len;
			gone[nb_gone++] = b->pkts[i];
		}
	}
	if (nb_kept > 0)
		memcpy(b->pkts + nb_gone, kept, nb_kept * sizeof(kept[0]));
	rte_pktmbuf_free_bulk(gone, nb_gone);
	return (uint16_t)nb_gone;
}

// What follows from the error of group `g`'s transmission.
enum verdict {
	SKIP, // that frame is refused, others are not
	STOP, // the link is full, or down
	AGAIN, // this kernel does not know such super-packets: they go as single packets
};

static enum verdict judge(struct dp_fdq *fdq, const struct batch *b, unsigned g) {
	switch (errno) {
	case EINVAL:
	case EOPNOTSUPP:
		if (b->groups[g].count == 1)
			return SKIP;
		fdq->joins &= b->groups[g].tcp ? ~GSO_TCP : ~GSO_UDP;
		return AGAIN;
	case EMSGSIZE:
		return SKIP;
	}
	return STOP;
}

static enum verdict tap_send(struct dp_fdq *fdq, struct batch *b) {
	for (unsigned i = 0; i < b->nb_groups; i++) {
		enum verdict verdict;

		if (b->nb_iovs[i] == 0)
			continue;
		b->sent[i] = writev(fdq->fd, b->iovs[i], (int)b->nb_iovs[i]) >= 0;
		if (b->sent[i])
			continue;
		verdict = judge(fdq, b, i);
		if (verdict != SKIP)
			return verdict;
	}
	return SKIP;
}

static enum verdict packet_send(struct dp_fdq *fdq, struct batch *b) {
	struct mmsghdr msgs[DP_BURST];
	unsigned at = 0;

	for (unsigned i = 0; i < b->nb_groups; i++) {
		memset(&msgs[i], 0, sizeof(msgs[i]));
		msgs[i].msg_hdr.msg_iov = b->iovs[i];
		msgs[i].msg_hdr.msg_iovlen = b->nb_iovs[i]; // none: refused as too short
	}
	while (at < b->nb_groups) {
		int n = sendmmsg(fdq->fd, msgs + at, b->nb_groups - at, MSG_DONTWAIT);
		enum verdict verdict;

		if (n > 0) {
			memset(b->sent + at, true, (unsigned)n);
			at += (unsigned)n;
			continue;
		}
		verdict = judge(fdq, b, at);
		if (verdict != SKIP)
			return verdict;
		at++;
	}
	return SKIP;
}

// Refused packets make room for those that were not tried yet.
static void to_the_end(struct rte_mbuf **pkts, unsigned n, unsigned refused) {
	struct rte_mbuf *kept[DP_BURST];

	if (refused == 0 || refused == n)
		return;
	memcpy(kept, pkts, refused * sizeof(kept[0]));
	memmove(pkts, pkts + refused, (n - refused) * sizeof(kept[0]));
	memcpy(pkts + n - refused, kept, refused * sizeof(kept[0]));
}

static uint16_t transmit(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n,
	enum verdict (*send)(struct dp_fdq *fdq, struct batch *b)) {
	enum verdict verdict = SKIP;
	struct batch b;
	uint16_t total = 0, refused = 0;

	while (total + refused < n && verdict != STOP) {
		uint16_t left, rest;

		b.pkts = pkts + total;
		b.n = RTE_MIN((unsigned)(n - total - refused), DP_BURST);
		prepare(&b, fdq->joins);
		verdict = send(fdq, &b);
		left = finish(fdq, &b);
		rest = (uint16_t)(b.n - left);
		total += left;
		if (verdict != SKIP)
			continue;
		to_the_end(pkts + total, (unsigned)(n - total - refused), rest);
		refused += rest;
	}
	fdq->tx_dropped += n - total;
	return total;
}

uint16_t tap_tx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	return transmit(fdq, pkts, n, tap_send);
}

uint16_t packet_tx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	return transmit(fdq, pkts, n, packet_send);
}
