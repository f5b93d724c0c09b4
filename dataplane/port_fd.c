// SPDX-License-Identifier: GPL-3.0-or-later
// Reception and transmission on TAPs and AF_PACKET sockets. Called by port.c for nodes.
//
// These are the only system calls of a packet worker besides its sleep: a TAP takes one call a
// packet, a packet socket one a burst.
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_ip.h>
#include <rte_malloc.h>

#include "dataplane/port_priv.h"

#define SEGS_MAX 8u // of one packet; ours have one, but for what ip_frag chains

struct dp_fdq *fdq_alloc(void) {
	struct dp_fdq *fdqs = rte_zmalloc(
		"fdqs", dp_nb_workers * sizeof(*fdqs), RTE_CACHE_LINE_SIZE);

	for (unsigned i = 0; fdqs != NULL && i < dp_nb_workers; i++)
		fdqs[i].fd = -1;
	return fdqs;
}

void fdq_free(struct dp_fdq *fdqs) {
	for (unsigned i = 0; fdqs != NULL && i < dp_nb_workers; i++) {
		if (fdqs[i].fd >= 0)
			close(fdqs[i].fd);
		rte_pktmbuf_free_bulk(fdqs[i].spare, fdqs[i].nb_spare);
	}
	rte_free(fdqs);
}

// Empty packets to receive into; how many there are, at most n.
static uint16_t refill(struct dp_fdq *fdq, uint16_t n) {
	if (fdq->nb_spare >= n)
		return n;
	if (rte_pktmbuf_alloc_bulk(
		    dp_mbuf_pool, fdq->spare + fdq->nb_spare, DP_BURST - fdq->nb_spare) == 0)
		fdq->nb_spare = DP_BURST;
	else
		dp_count(ABI_C_drop_no_mbuf, 1);
	return (uint16_t)RTE_MIN(fdq->nb_spare, n);
}

static void received(struct dp_fdq *fdq, struct rte_mbuf *m, size_t len) {
	m->data_len = (uint16_t)len;
	m->pkt_len = (uint32_t)len;
	fdq->rx_packets++;
	fdq->rx_bytes += len;
}

uint16_t tap_rx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	uint16_t done = 0;

	n = refill(fdq, n);
	while (done < n) {
		struct rte_mbuf *m = fdq->spare[fdq->nb_spare - 1];
		ssize_t len = read(fdq->fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));

		if (len <= 0)
			break;
		fdq->nb_spare--;
		received(fdq, m, (size_t)len);
		pkts[done++] = m;
	}
	return done;
}

// The packet's segments into iov, behind `first` entries that are there. 0: too many.
static unsigned gather(const struct rte_mbuf *m, struct iovec *iov, unsigned first) {
	unsigned n = first;

	for (; m != NULL; m = m->next) {
		if (n == SEGS_MAX + 1)
			return 0;
		iov[n].iov_base = rte_pktmbuf_mtod(m, void *);
		iov[n++].iov_len = m->data_len;
	}
	return n;
}

static void sent(struct dp_fdq *fdq, struct rte_mbuf *m) {
	fdq->tx_packets++;
	fdq->tx_bytes += m->pkt_len;
	rte_pktmbuf_free(m);
}

uint16_t tap_tx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	struct iovec iov[SEGS_MAX + 1];
	uint16_t done;

	for (done = 0; done < n; done++) {
		unsigned segs = gather(pkts[done], iov, 0);

		if (segs == 0 || writev(fdq->fd, iov, (int)segs) < 0) {
			fdq->tx_dropped += n - done;
			break;
		}
		sent(fdq, pkts[done]);
	}
	return done;
}

// The sender left a checksum to its hardware (a veth's other end does): we are the hardware.
static bool complete_checksum(struct rte_mbuf *m, const struct virtio_net_hdr *hdr) {
	uint32_t start = hdr->csum_start, at = start + hdr->csum_offset;
	uint16_t sum;

	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return false; // larger than any frame of this link
	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (start >= m->data_len || at + sizeof(sum) > m->data_len)
		return false;
	// The field holds the pseudo header's sum; unaligned on purpose.
	sum = (uint16_t)~rte_raw_cksum(
		rte_pktmbuf_mtod_offset(m, void *, start), m->data_len - start);
	if (sum == 0 && hdr->csum_offset == 6)
		sum = 0xffff; // UDP: zero would say that there is none
	memcpy(rte_pktmbuf_mtod_offset(m, void *, at), &sum, sizeof(sum));
	return true;
}

uint16_t packet_rx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	struct virtio_net_hdr hdrs[DP_BURST];
	struct iovec iov[DP_BURST][2];
	struct mmsghdr msgs[DP_BURST];
	struct rte_mbuf **spare;
	uint16_t done = 0;
	int got;

	n = refill(fdq, RTE_MIN(n, (uint16_t)DP_BURST));
	spare = fdq->spare + fdq->nb_spare - n;
	memset(msgs, 0, n * sizeof(msgs[0]));
	for (uint16_t i = 0; i < n; i++) {
		iov[i][0] = (struct iovec){&hdrs[i], sizeof(hdrs[i])};
		iov[i][1].iov_base = rte_pktmbuf_mtod(spare[i], void *);
		iov[i][1].iov_len = rte_pktmbuf_tailroom(spare[i]);
		msgs[i].msg_hdr.msg_iov = iov[i];
		msgs[i].msg_hdr.msg_iovlen = 2;
	}
	got = n > 0 ? recvmmsg(fdq->fd, msgs, n, MSG_DONTWAIT, NULL) : 0;
	for (int i = 0; i < got; i++) {
		struct rte_mbuf *m = spare[i];

		if (msgs[i].msg_len > sizeof(hdrs[i]))
			received(fdq, m, msgs[i].msg_len - sizeof(hdrs[i]));
		if (msgs[i].msg_len <= sizeof(hdrs[i]) || (msgs[i].msg_hdr.msg_flags & MSG_TRUNC) ||
			!complete_checksum(m, &hdrs[i])) {
			fdq->rx_errors++;
			dp_drop(&m, 1, ABI_C_drop_eth_bad);
			continue;
		}
		pkts[done++] = m;
	}
	if (got > 0) {
		// What is left of the spare packets moves down over those that were used.
		memmove(spare, spare + got, (n - (unsigned)got) * sizeof(spare[0]));
		fdq->nb_spare -= (unsigned)got;
	}
	return done;
}

uint16_t packet_tx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	static const struct virtio_net_hdr no_offload;
	struct iovec iov[DP_BURST][SEGS_MAX + 1];
	struct mmsghdr msgs[DP_BURST];
	uint16_t total = 0;

	while (total < n) {
		unsigned batch = RTE_MIN((unsigned)(n - total), DP_BURST);
		int done;

		memset(msgs, 0, batch * sizeof(msgs[0]));
		for (unsigned i = 0; i < batch; i++) {
			iov[i][0].iov_base = (void *)(uintptr_t)&no_offload;
			iov[i][0].iov_len = sizeof(no_offload);
			msgs[i].msg_hdr.msg_iov = iov[i];
			msgs[i].msg_hdr.msg_iovlen = gather(pkts[total + i], iov[i], 1);
		}
		done = sendmmsg(fdq->fd, msgs, batch, MSG_DONTWAIT);
		for (int i = 0; i < done; i++)
			sent(fdq, pkts[total + (unsigned)i]);
		if (done > 0)
			total += (uint16_t)done;
		if (done < (int)batch)
			break; // full, or a frame that the link refuses
	}
	fdq->tx_dropped += n - total;
	return total;
}
