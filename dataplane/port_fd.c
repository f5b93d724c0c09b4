// SPDX-License-Identifier: GPL-3.0-or-later
// Reception from TAPs and AF_PACKET sockets. Called by port.c for nodes.
//
// Each frame begins with a virtio header: a checksum that its sender left to the hardware is
// completed here, and a super-packet (TSO, USO, or what GRO made of received packets) is cut into
// packets. So one system call brings up to 64 KB. What a call brought and the burst has no room for
// waits in the slots for the next burst. A packet socket is read in bursts besides.
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_malloc.h>

#include "dataplane/port_priv.h"
#include "dataplane/proto/gso.h"
#include "dataplane/proto/ip.h"

#define SPARES (2u * DP_BURST) // one burst, and what slots give back
#define SUPER_SLOTS 4u // read at once while super-packets come: their bytes stay in the cache
#define SLOT_BYTES (72u << 10) // any frame; a multiple of the page size
_Static_assert(SLOT_BYTES >= GSO_FRAME_MAX, "a slot holds any frame");

// A frame that was read: as far as it goes in the packet, what is more in the slot's memory.
struct slot {
	struct virtio_net_hdr hdr;
	struct rte_mbuf *m;
	uint32_t len; // bytes; 0: it was cut off
};

struct fdq_rx {
	unsigned nb_spare;
	struct rte_mbuf *spare[SPARES]; // empty packets
	struct slot slots[DP_BURST];
	unsigned next, nb; // slots that wait
	unsigned batch; // slots to fill at once
	bool cutting; // slots[next] is being cut
	struct gso_cut cut;
	uint8_t *memory; // DP_BURST x SLOT_BYTES, which the kernel gives when they are touched
};

static struct fdq_rx *rx_alloc(void) {
	struct fdq_rx *rx = rte_zmalloc("fdq_rx", sizeof(*rx), RTE_CACHE_LINE_SIZE);

	if (rx == NULL)
		return NULL;
	rx->batch = DP_BURST;
	rx->memory = mmap(NULL, DP_BURST * SLOT_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rx->memory == MAP_FAILED) {
		rte_free(rx);
		return NULL;
	}
	return rx;
}

static void rx_free(struct fdq_rx *rx) {
	if (rx == NULL)
		return;
	for (unsigned i = rx->next; i < rx->nb; i++)
		rte_pktmbuf_free(rx->slots[i].m);
	rte_pktmbuf_free_bulk(rx->spare, rx->nb_spare);
	munmap(rx->memory, DP_BURST * SLOT_BYTES);
	rte_free(rx);
}

struct dp_fdq *fdq_alloc(void) {
	struct dp_fdq *fdqs = rte_zmalloc(
		"fdqs", dp_nb_workers * sizeof(*fdqs), RTE_CACHE_LINE_SIZE);

	for (unsigned i = 0; fdqs != NULL && i < dp_nb_workers; i++)
		fdqs[i].fd = -1;
	for (unsigned i = 0; fdqs != NULL && i < dp_nb_workers; i++) {
		fdqs[i].rx = rx_alloc();
		if (fdqs[i].rx == NULL) {
			fdq_free(fdqs);
			return NULL;
		}
	}
	return fdqs;
}

void fdq_free(struct dp_fdq *fdqs) {
	for (unsigned i = 0; fdqs != NULL && i < dp_nb_workers; i++) {
		if (fdqs[i].fd >= 0)
			close(fdqs[i].fd);
		rx_free(fdqs[i].rx);
	}
	rte_free(fdqs);
}

// An empty packet; NULL: there is none now.
static struct rte_mbuf *take(struct fdq_rx *rx) {
	if (rx->nb_spare == 0) {
		if (rte_pktmbuf_alloc_bulk(dp_mbuf_pool, rx->spare, DP_BURST) != 0) {
			dp_count(ABI_C_drop_no_mbuf, 1);
			return NULL;
		}
		rx->nb_spare = DP_BURST;
	}
	return rx->spare[--rx->nb_spare];
}

static void give_back(struct fdq_rx *rx, struct rte_mbuf *m) {
	rx->spare[rx->nb_spare++] = m;
}

static uint8_t *slot_memory(const struct fdq_rx *rx, unsigned slot) {
	return rx->memory + (size_t)slot * SLOT_BYTES;
}

// Where a frame is to be read to: 3 entries.
static void slot_iov(struct fdq_rx *rx, unsigned i, struct iovec *iov) {
	struct slot *slot = &rx->slots[i];
	size_t room = rte_pktmbuf_tailroom(slot->m);

	iov[0] = (struct iovec){&slot->hdr, sizeof(slot->hdr)};
	iov[1] = (struct iovec){rte_pktmbuf_mtod(slot->m, void *), room};
	iov[2] = (struct iovec){slot_memory(rx, i) + room, SLOT_BYTES - room};
}

static void slot_filled(struct slot *slot, size_t len) {
	slot->len = len > sizeof(slot->hdr) && len < SLOT_BYTES
		? (uint32_t)(len - sizeof(slot->hdr))
		: 0;
}

// A TAP gives one frame a call. Number of slots filled.
static unsigned tap_fill(struct dp_fdq *fdq) {
	struct fdq_rx *rx = fdq->rx;
	struct iovec iov[3];
	ssize_t len;

	rx->slots[0].m = take(rx);
	if (rx->slots[0].m == NULL)
		return 0;
	slot_iov(rx, 0, iov);
	len = readv(fdq->fd, iov, 3);
	if (len <= 0) {
		give_back(rx, rx->slots[0].m);
		return 0;
	}
	slot_filled(&rx->slots[0], (size_t)len);
	return 1;
}

static unsigned packet_fill(struct dp_fdq *fdq, unsigned want) {
	struct iovec iov[DP_BURST][3];
	struct mmsghdr msgs[DP_BURST];
	struct fdq_rx *rx = fdq->rx;
	unsigned n;
	int got;

	for (n = 0; n < want; n++) {
		rx->slots[n].m = take(rx);
		if (rx->slots[n].m == NULL)
			break;
		slot_iov(rx, n, iov[n]);
		memset(&msgs[n], 0, sizeof(msgs[n]));
		msgs[n].msg_hdr.msg_iov = iov[n];
		msgs[n].msg_hdr.msg_iovlen = 3;
	}
	got = n > 0 ? recvmmsg(fdq->fd, msgs, n, MSG_DONTWAIT, NULL) : 0;
	if (got < 0)
		got = 0;
	for (int i = 0; i < got; i++)
		slot_filled(&rx->slots[i], msgs[i].msg_len);
	while (n > (unsigned)got)
		give_back(rx, rx->slots[--n].m);
	return (unsigned)got;
}

// The sender left a checksum to its hardware (a veth's other end does): we are the hardware.
static bool complete_checksum(struct rte_mbuf *m, const struct virtio_net_hdr *hdr) {
	uint32_t start = hdr->csum_start, at = start + hdr->csum_offset;
	uint16_t sum;

	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (start >= m->data_len || at + sizeof(sum) > m->data_len)
		return false;
	// The field holds the pseudo header's sum.
	sum = ip_sum_finish(
		ip_sum(rte_pktmbuf_mtod_offset(m, void *, start), m->data_len - start, 0));
	if (sum == 0 && hdr->csum_offset == 6)
		sum = 0xffff; // UDP: zero would say that there is none
	ip_store16(rte_pktmbuf_mtod_offset(m, uint8_t *, at), sum);
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	return true;
}

static void received(struct dp_fdq *fdq, struct rte_mbuf *m, size_t len) {
	m->data_len = (uint16_t)len;
	m->pkt_len = (uint32_t)len;
	fdq->rx_packets++;
	fdq->rx_bytes += len;
}

static void refuse(struct dp_fdq *fdq, struct rte_mbuf *m) {
	fdq->rx_errors++;
	dp_drop(&m, 1, ABI_C_drop_eth_bad);
}

// The waiting slot as one packet; NULL: it is none.
static struct rte_mbuf *whole(struct dp_fdq *fdq, struct slot *slot) {
	struct rte_mbuf *m = slot->m;

	if (slot->len == 0 || slot->len > rte_pktmbuf_tailroom(m)) {
		refuse(fdq, m);
		return NULL;
	}
	received(fdq, m, slot->len);
	if (!complete_checksum(m, &slot->hdr)) {
		refuse(fdq, m);
		return NULL;
	}
	return m;
}

static bool cut_begin(struct dp_fdq *fdq, unsigned i) {
	struct fdq_rx *rx = fdq->rx;
	struct slot *slot = &rx->slots[i];
	size_t room = rte_pktmbuf_tailroom(slot->m);
	uint8_t *memory = slot_memory(rx, i);

	memcpy(memory, rte_pktmbuf_mtod(slot->m, void *), RTE_MIN(room, (size_t)slot->len));
	if (slot->len == 0 || gso_cut_begin(&rx->cut, memory, slot->len, &slot->hdr, room) != 0) {
		refuse(fdq, slot->m);
		return false;
	}
	give_back(rx, slot->m);
	rx->batch = SUPER_SLOTS;
	return true;
}

// Packets of the super-packet that is being cut, at most n. All of it: `cutting` ends.
static uint16_t cut_some(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	struct fdq_rx *rx = fdq->rx;
	uint16_t done = 0;

	while (done < n) {
		struct rte_mbuf *m = take(rx);
		size_t len;

		if (m == NULL)
			return done;
		len = gso_cut_next(&rx->cut, rte_pktmbuf_mtod(m, uint8_t *));
		if (len == 0) {
			give_back(rx, m);
			rx->cutting = false;
			rx->next++;
			return done;
		}
		received(fdq, m, len);
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		pkts[done++] = m;
	}
	return done;
}

// What waits in the slots, in order, at most n.
static uint16_t drain(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	struct fdq_rx *rx = fdq->rx;
	uint16_t done = 0;

	while (done < n && rx->next < rx->nb) {
		struct slot *slot = &rx->slots[rx->next];
		uint16_t before = done;

		if (rx->cutting) {
			done += cut_some(fdq, pkts + done, n - done);
			if (done == before && rx->cutting)
				break; // no packets
		} else if (slot->hdr.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
			rx->cutting = cut_begin(fdq, rx->next);
			rx->next += !rx->cutting;
		} else {
			pkts[done] = whole(fdq, slot);
			done += pkts[done] != NULL;
			rx->next++;
		}
	}
	return done;
}

uint16_t tap_rx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	struct fdq_rx *rx = fdq->rx;
	uint16_t done = drain(fdq, pkts, n);

	while (done < n && rx->next == rx->nb) {
		rx->next = 0;
		rx->nb = tap_fill(fdq);
		if (rx->nb == 0)
			break;
		done += drain(fdq, pkts + done, n - done);
	}
	return done;
}

uint16_t packet_rx(struct dp_fdq *fdq, struct rte_mbuf **pkts, uint16_t n) {
	struct fdq_rx *rx = fdq->rx;
	uint16_t done = drain(fdq, pkts, n);
	unsigned want;

	do {
		if (done == n || rx->next < rx->nb)
			break;
		want = RTE_MIN((unsigned)(n - done), rx->batch);
		rx->batch = DP_BURST;
		rx->next = 0;
		rx->nb = packet_fill(fdq, want);
		done += drain(fdq, pkts + done, n - done);
	} while (rx->nb == want); // fewer: there are no more
	return done;
}
