// SPDX-License-Identifier: GPL-3.0-or-later
// Handshake datagrams: from the workers' ring into the edges' rings, and back. The rings to the
// edges have one producer, the control thread. Called by node punt-control and the control thread.
#include "dataplane/ctl/punt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_jhash.h>
#include <rte_random.h>
#include <rte_ring.h>

#include "dataplane/abi/addr.h"
#include "dataplane/abi/punt.h"
#include "dataplane/ctl/count.h"
#include "dataplane/port.h"
#include "dataplane/table/local.h"
#include "dataplane/worker.h"
#include "yang/config.h"

#define LEFT_SIZE 4096u
#define BURST 64u
#define LISTEN_MAX 64u
#define STICKY 4096u // tuples that are remembered; a handshake takes some datagrams

struct endpoint {
	bool any; // all addresses of the WAN ports
	struct abi_addr addr;
	uint16_t port; // network order
};

// Who got the last datagram of a tuple, by its hash.
struct sticky {
	uint32_t hash;
	uint32_t attached; // which of those that had the number; 0: nobody
	uint8_t edge;
};

static struct {
	struct rte_ring *left; // mbufs of all workers
	int fd;
	_Atomic bool waiting;
	uint32_t rate, seed;
	struct endpoint listen[LISTEN_MAX]; // what edges may send from
	unsigned nb_listen;
	bool wan[ABI_PORTS_MAX]; // by port
	struct abi_ring *punt[ABI_EDGES_MAX], *inject[ABI_EDGES_MAX];
	uint8_t edges[ABI_EDGES_MAX]; // numbers of those attached, in order
	unsigned nb_edges;
	uint32_t attached[ABI_EDGES_MAX]; // how many have had this number
	struct sticky sticky[STICKY];
	uint64_t turn;
} punt = {.fd = -1};

static struct endpoint endpoint_of(const struct cfg_listen *listen) {
	static const uint8_t zero[16];
	struct endpoint e = {.port = htons(listen->udp_port)};

	e.any = memcmp(listen->addr.bytes, zero, listen->addr.family == AF_INET ? 4 : 16) == 0;
	if (listen->addr.family == AF_INET) {
		e.addr.bytes[10] = e.addr.bytes[11] = 0xff;
		memcpy(e.addr.bytes + 12, listen->addr.bytes, 4);
	} else if (listen->addr.family == AF_INET6) {
		memcpy(e.addr.bytes, listen->addr.bytes, 16);
	}
	return e;
}

int dp_punt_init(const struct cfg *cfg) {
	uint32_t workers = cfg->dataplane.workers != 0 ? cfg->dataplane.workers : 1;

	for (size_t i = 0; i < cfg->nb_listen && punt.nb_listen < LISTEN_MAX; i++)
		if (cfg->listen[i].udp_port != 0)
			punt.listen[punt.nb_listen++] = endpoint_of(&cfg->listen[i]);
	for (size_t i = 0; i < cfg->dataplane.nb_ports && i < ABI_PORTS_MAX; i++)
		punt.wan[i] = cfg->dataplane.ports[i].role == CFG_ROLE_WAN;
	punt.rate = (cfg->dataplane.handshake_rate + workers - 1) / workers;
	punt.seed = (uint32_t)rte_rand();
	punt.left = rte_ring_create("punt", LEFT_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	punt.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (punt.left != NULL && punt.fd >= 0)
		return 0;
	dp_punt_fini();
	return -ENOMEM;
}

void dp_punt_fini(void) {
	struct rte_mbuf *m;

	while (punt.left != NULL && rte_ring_sc_dequeue(punt.left, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(punt.left);
	punt.left = NULL;
	if (punt.fd >= 0)
		close(punt.fd);
	punt.fd = -1;
	punt.nb_listen = 0;
}

unsigned dp_punt_leave(struct rte_mbuf **pkts, unsigned n) {
	unsigned done = rte_ring_mp_enqueue_burst(punt.left, (void **)pkts, n, NULL);

	atomic_thread_fence(memory_order_seq_cst);
	if (done > 0 && atomic_load_explicit(&punt.waiting, memory_order_relaxed) &&
		atomic_exchange(&punt.waiting, false))
		eventfd_write(punt.fd, 1);
	return done;
}

uint32_t dp_punt_rate(void) {
	return punt.rate;
}

int dp_punt_fd(void) {
	return punt.fd;
}

bool dp_punt_wait(bool waiting) {
	atomic_store(&punt.waiting, waiting);
	if (!waiting || rte_ring_empty(punt.left))
		return true;
	atomic_store(&punt.waiting, false);
	return false;
}

// All datagrams of a handshake go to one edge for as long as that is attached, whoever else comes and
// goes. Where two handshakes meet in one place the hash decides, as before the first datagram.
static struct abi_ring *edge_of(const struct abi_tuple *tuple) {
	uint32_t hash = rte_jhash(tuple, sizeof(*tuple), punt.seed);
	struct sticky *sticky = &punt.sticky[hash % STICKY];

	if (punt.nb_edges == 0)
		return NULL;
	if (sticky->hash != hash || sticky->attached == 0 || punt.punt[sticky->edge] == NULL ||
		sticky->attached != punt.attached[sticky->edge]) {
		sticky->hash = hash;
		sticky->edge = punt.edges[hash % punt.nb_edges];
		sticky->attached = punt.attached[sticky->edge];
	}
	return punt.punt[sticky->edge];
}

static void push(const struct rte_mbuf *m) {
	const struct dp_pkt *pkt = rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m);
	struct abi_ring *ring = edge_of(&pkt->tuple);
	struct abi_punt slot;

	if (ring == NULL || m->nb_segs != 1 || m->data_len > ABI_PUNT_DATA) {
		ctl_count(ring == NULL ? ABI_C_drop_punt_nobody : ABI_C_drop_punt_long, 1);
		return;
	}
	memset(&slot, 0, offsetof(struct abi_punt, data));
	slot.tuple = pkt->tuple;
	slot.len = m->data_len;
	slot.worker = pkt->worker;
	slot.known = pkt->sid.generation != 0;
	slot.sid = pkt->sid;
	memcpy(slot.data, rte_pktmbuf_mtod(m, const void *), m->data_len);
	memset(slot.data + m->data_len, 0, ABI_PUNT_DATA - m->data_len);
	if (abi_ring_push(ring, &slot) == 0)
		abi_ring_notify(ring);
	else
		ctl_count(ABI_C_drop_punt_full, 1);
}

void dp_punt_process(void) {
	struct rte_mbuf *pkts[BURST];
	unsigned n;

	while ((n = rte_ring_sc_dequeue_burst(punt.left, (void **)pkts, BURST, NULL)) > 0) {
		for (unsigned i = 0; i < n; i++)
			push(pkts[i]);
		rte_pktmbuf_free_bulk(pkts, n);
	}
}

void dp_punt_edge(unsigned index, struct abi_ring *to_edge, struct abi_ring *from_edge) {
	punt.punt[index] = to_edge;
	punt.inject[index] = from_edge;
	punt.attached[index] += to_edge != NULL;
	punt.nb_edges = 0;
	for (unsigned i = 0; i < ABI_EDGES_MAX; i++)
		if (punt.punt[i] != NULL)
			punt.edges[punt.nb_edges++] = (uint8_t)i;
}

static bool addr_matches(const struct endpoint *e, const struct abi_addr *addr) {
	if (!e->any)
		return memcmp(&e->addr, addr, sizeof(*addr)) == 0;
	for (uint8_t i = 0; i < ABI_PORTS_MAX; i++)
		if (punt.wan[i] && dp_local_has(i, addr))
			return true;
	return false;
}

// Multicast, limited broadcast and reserved ones are not. That of a subnet has no route that
// outer-output would take.
static bool remote_valid(const struct abi_addr *remote) {
	if (abi_addr_is4(remote))
		return remote->bytes[12] != 0 && remote->bytes[12] < 224;
	return !abi_addr_none(remote) && remote->bytes[0] != 0xff;
}

// An edge may send datagrams of the VPN's own addresses and ports, and nothing else.
bool dp_inject_valid(const struct abi_punt *slot) {
	const struct abi_tuple *t = &slot->tuple;

	if (slot->len == 0 || slot->len > ABI_PUNT_DATA || t->reserved != 0 ||
		t->remote_port == 0 || !remote_valid(&t->remote) || abi_addr_none(&t->local) ||
		abi_addr_is4(&t->local) != abi_addr_is4(&t->remote))
		return false;
	for (unsigned i = 0; i < punt.nb_listen; i++)
		if (punt.listen[i].port == t->local_port &&
			addr_matches(&punt.listen[i], &t->local))
			return true;
	return false;
}

static void inject(const struct abi_punt *slot) {
	struct rte_mbuf *m;
	struct dp_pkt *pkt;
	char *to;

	if (!dp_inject_valid(slot)) {
		ctl_count(ABI_C_drop_inject_bad, 1);
		return;
	}
	m = rte_pktmbuf_alloc(dp_mbuf_pool);
	to = m != NULL ? rte_pktmbuf_append(m, slot->len) : NULL;
	if (to == NULL) {
		rte_pktmbuf_free(m);
		ctl_count(ABI_C_drop_no_mbuf, 1);
		return;
	}
	memcpy(to, slot->data, slot->len);
	pkt = dp_pkt(m);
	memset(pkt, 0, sizeof(*pkt));
	pkt->tuple = slot->tuple;
	pkt->resume = DP_RESUME_INJECT;
	dp_handoff(&dp_lcores[0], &m, 1);
}

bool dp_inject_process(unsigned index, unsigned budget, bool *broken) {
	struct abi_ring *ring = punt.inject[index];
	struct abi_punt slot;
	int rc = -EAGAIN;

	*broken = false;
	if (ring == NULL)
		return false;
	while (budget-- > 0 && (rc = abi_ring_pop(ring, &slot, false)) == 0)
		inject(&slot);
	*broken = rc == -EPIPE;
	return rc == 0;
}
