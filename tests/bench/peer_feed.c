// SPDX-License-Identifier: GPL-3.0-or-later
// Feeds DPDK's ipsec-secgw from memory and times its worker; tests/bench/peer builds it into that.
//
// In lock step, on the worker's own thread: while the clock stands, FEED_ROUND packets are made and
// put into the ring behind a port; then the clock runs for each turn of the worker's loop until all
// have come out of the other port, where they are looked at and freed. So nothing but the gateway
// is timed, and no second core is needed. What to do is said by the environment (see settings_read),
// results are written to descriptor 3, one JSON object a line.
#include "peer_feed.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_udp.h>

#include "peer_esp.h"

#define FEED_ROUND 256u // packets
#define RING_SIZE 1024u
#define ROUNDS_MAX 65536u
#define WARM_UP 64u // rounds
#define TURNS_MAX 1000000u // without an end of the round: packets were lost
#define DRIVER_BURST 32u
#define FRAME_MAX 1600u
#define LAN 0u
#define WAN 1u
#define IMIX 0u // as a size

enum direction {
	DOWN, // LAN to WAN: sealed
	UP, // WAN to LAN: opened
	DRIVER, // the ports alone: received here, sent there
	DIRECTIONS,
};

static const char *const direction_names[DIRECTIONS] = {"down", "up", "driver"};

// 7:4:1 of 64, 576 and 1,400 bytes, mixed as well as that goes.
static const unsigned imix[] = {64, 576, 64, 64, 576, 64, 1400, 64, 576, 64, 576, 64};

static struct {
	const char *cipher;
	const char *label;
	unsigned directions[DIRECTIONS], nb_directions;
	unsigned sizes[8], nb_sizes; // bytes of the inner packet
	unsigned rounds;
	bool nic; // packet types are known, as a NIC tells them
} settings;

static struct rte_ring *rx_ring[2], *tx_ring[2];
static struct rte_mempool *pool;
static FILE *results;

static struct {
	unsigned direction, size; // indices into settings
	unsigned round; // of this test; those before WARM_UP do not count
	unsigned turns; // of this round so far
	unsigned waiting; // packets in the receive ring before this turn
	bool timed; // the clock runs
	uint64_t since, busy;
	double values[ROUNDS_MAX]; // cycles a packet, of each round
} now;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...) {
	va_list args;

	va_start(args, format);
	fprintf(stderr, "peer: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(EXIT_FAILURE);
}

static const char *env(const char *name) {
	const char *value = getenv(name);

	if (value == NULL)
		fail("%s is not set", name);
	return value;
}

static unsigned direction_parse(const char *word) {
	for (unsigned i = 0; i < DIRECTIONS; i++)
		if (strcmp(word, direction_names[i]) == 0)
			return i;
	fail("no direction %s", word);
}

static unsigned size_parse(const char *word) {
	unsigned size = (unsigned)strtoul(word, NULL, 10);

	if (strcmp(word, "imix") == 0)
		return IMIX;
	if (size < 64 || size > 1400)
		fail("no size %s: 64 to 1400, or imix", word);
	return size;
}

static unsigned list_parse(
	const char *name, unsigned *out, unsigned max, unsigned (*parse)(const char *)) {
	char *text = strdup(env(name)), *rest = text, *word;
	unsigned n = 0;

	while ((word = strsep(&rest, " ")) != NULL) {
		if (n == max)
			fail("%s is too long", name);
		if (word[0] != '\0')
			out[n++] = parse(word);
	}
	free(text);
	if (n == 0)
		fail("%s is empty", name);
	return n;
}

static void settings_read(void) {
	unsigned long rounds = strtoul(env("PEER_ROUNDS"), NULL, 10);

	settings.cipher = env("PEER_CIPHER");
	settings.label = env("PEER_LABEL");
	settings.nb_directions = list_parse(
		"PEER_DIRECTIONS", settings.directions, DIRECTIONS, direction_parse);
	settings.nb_sizes = list_parse(
		"PEER_SIZES", settings.sizes, RTE_DIM(settings.sizes), size_parse);
	settings.rounds = (unsigned)RTE_MIN(RTE_MAX(rounds, 1u), ROUNDS_MAX);
	settings.nic = strcmp(env("PEER_CHECKSUMS"), "nic") == 0;
	if (peer_esp_init(settings.cipher, env("PEER_KEY")) != 0)
		fail("no cipher %s with that key", settings.cipher);
	results = fdopen(3, "w");
	if (results == NULL)
		fail("descriptor 3 is not open for results");
}

static struct rte_ring *ring_make(const char *name) {
	struct rte_ring *ring = rte_ring_create(
		name, RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);

	if (ring == NULL)
		fail("no memory for the ring %s", name);
	return ring;
}

void peer_ports_make(void) {
	settings_read();
	rx_ring[LAN] = ring_make("lan-rx");
	tx_ring[LAN] = ring_make("lan-tx");
	rx_ring[WAN] = ring_make("wan-rx");
	tx_ring[WAN] = ring_make("wan-tx");
	if (rte_eth_from_rings("lan", &rx_ring[LAN], 1, &tx_ring[LAN], 1, 0) != LAN ||
		rte_eth_from_rings("wan", &rx_ring[WAN], 1, &tx_ring[WAN], 1, 0) != WAN)
		fail("the ports on rings are not 0 and 1");
}

bool peer_ptypes(void) {
	return settings.nic;
}

static enum direction direction_now(void) {
	return settings.directions[now.direction];
}

static unsigned in_port(void) {
	return direction_now() == UP ? WAN : LAN;
}

static unsigned out_port(void) {
	return direction_now() == UP ? LAN : WAN;
}

// Bytes of the i-th inner packet of a round.
static unsigned size_of(unsigned i) {
	unsigned size = settings.sizes[now.size];

	return size == IMIX ? imix[i % RTE_DIM(imix)] : size;
}

// An IPv4 packet with UDP, from the LAN to the client or back.
static void inner_write(uint8_t *to, unsigned size, bool up) {
	static uint8_t pattern[FRAME_MAX];
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)size),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = up ? PEER_CLIENT : PEER_SERVER,
		.dst_addr = up ? PEER_SERVER : PEER_CLIENT,
	};
	struct rte_udp_hdr udp = {
		.src_port = rte_cpu_to_be_16(up ? 40000 : 5001),
		.dst_port = rte_cpu_to_be_16(up ? 5001 : 40000),
		.dgram_len = rte_cpu_to_be_16((uint16_t)(size - sizeof(ip))),
	};

	for (unsigned i = 0; pattern[1] == 0 && i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7);
	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(to, &ip, sizeof(ip));
	memcpy(to + sizeof(ip), &udp, sizeof(udp));
	memcpy(to + sizeof(ip) + sizeof(udp), pattern, size - sizeof(ip) - sizeof(udp));
}

static void frame_write(struct rte_mbuf *m, unsigned size, bool up) {
	uint8_t inner[FRAME_MAX];
	struct rte_ether_hdr *eth = (void *)rte_pktmbuf_append(m, sizeof(*eth));
	unsigned len = up ? peer_esp_len(size) : size;
	uint8_t *packet = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);

	if (packet == NULL)
		fail("no room for a packet of %u bytes", size);
	*eth = (struct rte_ether_hdr){.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)};
	if (settings.nic)
		m->packet_type = RTE_PTYPE_L3_IPV4 | (up ? RTE_PTYPE_TUNNEL_ESP : 0);
	if (!up) {
		inner_write(packet, size, up);
		return;
	}
	inner_write(inner, size, up);
	peer_esp_seal(packet, inner, size);
}

static void feed(void) {
	struct rte_mbuf *pkts[FEED_ROUND];

	if (rte_pktmbuf_alloc_bulk(pool, pkts, FEED_ROUND) != 0)
		fail("no packets are left");
	for (unsigned i = 0; i < FEED_ROUND; i++)
		frame_write(pkts[i], size_of(i), direction_now() == UP);
	if (rte_ring_enqueue_bulk(rx_ring[in_port()], (void **)pkts, FEED_ROUND, NULL) == 0)
		fail("a receive ring is full");
}

// What came out is what went in. Checksum and time to live may differ.
static void inner_check(const uint8_t *packet, unsigned len, unsigned size) {
	uint8_t want[FRAME_MAX];

	inner_write(want, size, direction_now() == UP);
	if (len != size || memcmp(packet + 12, want + 12, size - 12) != 0)
		fail("%s, %u bytes: another packet came out", direction_names[direction_now()],
			size);
}

static void packet_check(const struct rte_mbuf *m, unsigned size) {
	const uint8_t *packet = rte_pktmbuf_mtod_offset(m, uint8_t *, RTE_ETHER_HDR_LEN);
	uint8_t inner[FRAME_MAX];
	unsigned len = m->data_len - RTE_ETHER_HDR_LEN;

	if (direction_now() != DOWN) {
		inner_check(packet, len, size);
		return;
	}
	if (len != peer_esp_len(size) || peer_esp_open(inner, packet, size) != 0)
		fail("down, %u bytes: no authentic ESP packet came out", size);
	inner_check(inner, size, size);
}

static void drain(void) {
	struct rte_mbuf *pkts[FEED_ROUND];

	if (rte_ring_dequeue_bulk(tx_ring[out_port()], (void **)pkts, FEED_ROUND, NULL) == 0)
		fail("the packets are not all there");
	packet_check(pkts[now.round % FEED_ROUND], size_of(now.round % FEED_ROUND));
	rte_pktmbuf_free_bulk(pkts, FEED_ROUND);
}

static int by_value(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(void) {
	unsigned size = settings.sizes[now.size];
	char name[16];

	if (size == IMIX)
		snprintf(name, sizeof(name), "\"imix\"");
	else
		snprintf(name, sizeof(name), "%u", size);
	qsort(now.values, settings.rounds, sizeof(now.values[0]), by_value);
	fprintf(results,
		"{\"bench\":\"peer\",\"program\":\"%s\",\"direction\":\"%s\",\"cipher\":\"%s\","
		"\"size\":%s,\"checksums\":\"%s\",\"packets\":%u,\"cycles_packet\":%.1f,"
		"\"cycles_median\":%.1f}\n",
		settings.label, direction_names[direction_now()], settings.cipher, name,
		settings.nic ? "nic" : "cpu", settings.rounds * FEED_ROUND, now.values[0],
		now.values[settings.rounds / 2]);
	fflush(results);
}

// Keeps the round's time and goes on to the next; false: there is none.
static bool advance(void) {
	if (now.round >= WARM_UP)
		now.values[now.round - WARM_UP] = (double)now.busy / FEED_ROUND;
	now.busy = 0;
	now.turns = 0;
	if (++now.round < WARM_UP + settings.rounds)
		return true;
	report();
	now.round = 0;
	if (++now.size < settings.nb_sizes)
		return true;
	now.size = 0;
	return ++now.direction < settings.nb_directions;
}

// What the ports cost: the same round without a gateway.
static void driver_round(void) {
	struct rte_mbuf *pkts[DRIVER_BURST];
	uint64_t since = rte_rdtsc(), end;

	for (unsigned done = 0; done < FEED_ROUND;) {
		uint16_t n = rte_eth_rx_burst(LAN, 0, pkts, DRIVER_BURST);

		done += rte_eth_tx_burst(WAN, 0, pkts, n);
		if (rte_eth_rx_burst(WAN, 0, pkts, DRIVER_BURST) != 0)
			fail("the wrong port received");
		end = rte_rdtsc();
		now.busy += end - since;
		since = end;
	}
}

// Stops the clock; true while packets of the round are still on their way.
static bool turn_end(uint64_t end) {
	unsigned waiting = rte_ring_count(rx_ring[in_port()]);
	unsigned out = rte_ring_count(tx_ring[out_port()]);
	bool worked = waiting < now.waiting || waiting == 0;

	if (worked)
		now.busy += end - now.since;
	now.waiting = waiting;
	if (out == FEED_ROUND)
		return false;
	if (++now.turns > TURNS_MAX)
		fail("%s, %s: %u packets of %u came out", direction_names[direction_now()],
			settings.cipher, out, FEED_ROUND);
	return true;
}

static bool round_start(void) {
	while (now.direction < settings.nb_directions) {
		feed();
		if (direction_now() != DRIVER)
			return true;
		driver_round();
		drain();
		advance();
	}
	return false;
}

bool peer_turn(void) {
	uint64_t end = rte_rdtsc();

	if (now.timed && turn_end(end)) {
		now.since = rte_rdtsc();
		return true;
	}
	if (now.timed) {
		drain();
		advance();
	} else {
		pool = rte_mempool_lookup("mbuf_pool_0_0");
		if (pool == NULL)
			fail("ipsec-secgw has no pool mbuf_pool_0_0");
	}
	if (!round_start())
		return false;
	now.timed = true;
	now.waiting = FEED_ROUND;
	now.since = rte_rdtsc();
	return true;
}
