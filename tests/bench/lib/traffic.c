// SPDX-License-Identifier: GPL-3.0-or-later
// Clients, their sessions and frames. Called by the benchmarks of the packet path.
#include "tests/bench/lib/traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/cmd.h"
#include "dataplane/port.h"
#include "dataplane/proto/dtls12.h"
#include "dataplane/proto/ip.h"
#include "dataplane/table/filter.h"
#include "dataplane/table/session.h"
#include "tests/bench/lib/gateway.h"

#define ETH_LEN 14u
#define DTLS_PORT 443u
#define EPOCH 1u
#define TTL 64u
#define TAG_MAGIC 0x7a6d5b3cu
#define PATTERN_LEN 2048u
#define CIPHERS (ABI_CHACHA20_POLY1305 + 1u)

static const uint8_t gateway_addr[4] = {203, 0, 113, 1}, host_addr[4] = {198, 51, 100, 2};
static const uint8_t router_mac[6] = {2, 0, 0, 0, 1, 0xfe}, host_mac[6] = {2, 0, 0, 0, 2, 2};

// In the first bytes of the headroom, which no header of the dataplane reaches.
struct tag {
	uint32_t magic;
	uint32_t client;
	uint64_t number; // of this client's packet
	uint16_t size;
};
_Static_assert(sizeof(struct tag) <= 32, "headroom");

struct client *clients;
uint32_t nb_clients;

static uint32_t clients_max;
static uint64_t filter; // of clients to come; 0: none
static struct bare_key keys[2][CIPHERS];
static uint8_t ivs[2][CIPHERS][12];
static uint8_t pattern[PATTERN_LEN]; // payload of all packets

const char *traffic_cipher_name(uint8_t cipher) {
	static const char *const names[CIPHERS] = {
		[ABI_AES_128_GCM] = "aes-128-gcm",
		[ABI_AES_256_GCM] = "aes-256-gcm",
		[ABI_CHACHA20_POLY1305] = "chacha20-poly1305",
	};

	return names[cipher];
}

const char *traffic_direction_name(enum direction dir) {
	return dir == DOWN ? "down" : "up";
}

const struct bare_key *traffic_key(enum direction dir, uint8_t cipher) {
	return &keys[dir][cipher];
}

int traffic_init(uint32_t max) {
	int ret = bare_init();

	if (ret != 0)
		return ret;
	clients = calloc(max, sizeof(*clients));
	if (clients == NULL)
		return -ENOMEM;
	clients_max = max;
	nb_clients = 0;
	for (unsigned i = 0; i < PATTERN_LEN; i++)
		pattern[i] = (uint8_t)(i * 167 + (i >> 8));
	for (unsigned dir = DOWN; dir <= UP; dir++) {
		for (uint8_t cipher = ABI_AES_128_GCM; cipher < CIPHERS; cipher++) {
			uint8_t raw_key[BARE_KEY_LEN];

			for (unsigned i = 0; i < sizeof(raw_key); i++)
				raw_key[i] = (uint8_t)(cipher * 31 + dir * 7 + i);
			bare_key_set(&keys[dir][cipher], cipher, raw_key);
			// AES-GCM: 4 bytes and the explicit part (abi.h, struct abi_keys)
			memset(ivs[dir][cipher], cipher + 1,
				dtls12_explicit_len(cipher) != 0 ? 4 : 12);
		}
	}
	return 0;
}

static struct abi_addr mapped(const uint8_t addr[4]) {
	return (struct abi_addr){{[10] = 0xff, [11] = 0xff, addr[0], addr[1], addr[2], addr[3]}};
}

static void inner_addr(uint32_t client, uint8_t addr[4]) {
	ip_store32(addr, (10u << 24) + 2 + client);
}

static void outer_addr(uint32_t client, uint8_t addr[4]) {
	ip_store32(addr, (100u << 24) + (64u << 16) + 1 + client);
}

static uint16_t outer_port(uint32_t client) {
	return (uint16_t)(20000 + client * 7919u % 40000);
}

static struct abi_tuple tuple_of(uint32_t client) {
	uint8_t outer[4];

	outer_addr(client, outer);
	return (struct abi_tuple){
		.local = mapped(gateway_addr),
		.remote = mapped(outer),
		.local_port = htons(DTLS_PORT),
		.remote_port = htons(outer_port(client)),
	};
}

int traffic_filter(void) {
	struct abi_cmd_filter_add add = {
		.filter = 1,
		.flags = ABI_FILTER_ROUTES | ABI_FILTER_ALLOW,
		.total = 5,
		.nb = 5,
		.rule = {{.kind = ABI_FILTER_ROUTE, .len = 24},
			{.kind = ABI_FILTER_ROUTE, .len = 24},
			{.kind = ABI_FILTER_EXCLUDE, .len = 25},
			{.kind = ABI_FILTER_SERVICE, .protocol = 6, .low = 443, .high = 443},
			{.kind = ABI_FILTER_SERVICE, .protocol = 17, .low = 5000, .high = 5010}},
	};

	add.rule[0].addr = mapped((const uint8_t[]){198, 51, 100, 0});
	add.rule[1].addr = mapped((const uint8_t[]){192, 168, 0, 0});
	add.rule[2].addr = mapped((const uint8_t[]){198, 51, 100, 128});
	filter = add.filter;
	return dp_filter_add(&add);
}

static int session_add(uint32_t client) {
	struct abi_cmd cmd = {.type = ABI_CMD_SESSION_ADD, .sid = {client, 1}};
	uint8_t inner[4];

	inner_addr(client, inner);
	cmd.session_add.inner4 = mapped(inner);
	cmd.session_add.policy.mtu = 1434;
	cmd.session_add.policy.dpd_s = 3600; // nobody falls silent in a benchmark
	cmd.session_add.policy.keepalive_s = 3600;
	cmd.session_add.policy.filter = filter;
	return dp_session_add(&cmd);
}

static int channel_set(uint32_t client, uint8_t cipher) {
	struct abi_cmd cmd = {.type = ABI_CMD_DTLS_SET, .sid = {client, 1}};
	struct abi_cmd_dtls_set *set = &cmd.dtls_set;

	set->tuple = tuple_of(client);
	set->version = ABI_DTLS12;
	set->cipher = cipher;
	set->epoch = EPOCH;
	set->mtu = 1434;
	memcpy(set->rx.key, keys[UP][cipher].raw_key, ABI_KEY_MAX);
	memcpy(set->tx.key, keys[DOWN][cipher].raw_key, ABI_KEY_MAX);
	memcpy(set->rx.iv, ivs[UP][cipher], ABI_IV_MAX);
	memcpy(set->tx.iv, ivs[DOWN][cipher], ABI_IV_MAX);
	set->rx.seq = set->tx.seq = 1; // the Finished messages had 0
	return dp_session_dtls_set(&cmd);
}

int traffic_clients_add(uint32_t n, uint8_t cipher) {
	if (n > clients_max - nb_clients)
		return -ENOSPC;
	for (uint32_t i = 0; i < n; i++) {
		int ret = session_add(nb_clients);

		if (ret == 0)
			ret = channel_set(nb_clients, cipher);
		if (ret != 0)
			return ret;
		clients[nb_clients++] = (struct client){.up_seq = 1, .cipher = cipher};
	}
	return 0;
}

static void inner_packet(uint8_t *ip, uint32_t client, enum direction dir, uint16_t size) {
	struct udp_headers headers = {
		.ttl = TTL,
		.dont_fragment = true,
		.source_port = htons(5001),
		.destination_port = htons(5001),
		.payload_len = (uint16_t)(size - IP4_HEADER - UDP_HEADER),
	};
	uint8_t addr[4];

	inner_addr(client, addr);
	headers.source = dir == DOWN ? host_addr : addr;
	headers.destination = dir == DOWN ? addr : host_addr;
	udp_write_headers(ip, &headers);
	ip_store16(ip + IP4_HEADER + 6, 0); // no UDP checksum inside
	memcpy(ip + IP4_HEADER + UDP_HEADER, pattern, headers.payload_len);
}

static uint8_t *eth_header(struct rte_mbuf *m, unsigned port, const uint8_t *source, size_t len) {
	uint8_t *eth = rte_pktmbuf_mtod(m, uint8_t *);

	m->data_len = (uint16_t)(ETH_LEN + len); // an empty packet has the room
	m->pkt_len = m->data_len;
	memcpy(eth, &dp_ports[port].mac, 6);
	memcpy(eth + 6, source, 6);
	ip_store16(eth + 12, 0x0800);
	return eth + ETH_LEN;
}

static void make_up(struct rte_mbuf *m, uint32_t number, uint16_t size, bool checked) {
	struct client *client = &clients[number];
	unsigned head = DTLS12_HEADER_LEN + dtls12_explicit_len(client->cipher);
	uint16_t record_len = (uint16_t)(1 + size + dtls12_overhead(client->cipher));
	uint8_t *ip = eth_header(m, GATEWAY_WAN, router_mac, IP4_HEADER + UDP_HEADER + record_len);
	uint8_t *record = ip + IP4_HEADER + UDP_HEADER, text[1 + PATTERN_LEN];
	uint8_t nonce[12], aad[DTLS12_AAD_LEN], outer[4];
	struct udp_headers headers = {
		.ttl = TTL,
		.source = outer,
		.destination = gateway_addr,
		.source_port = htons(outer_port(number)),
		.destination_port = htons(DTLS_PORT),
		.payload_len = record_len,
		.checksum = true,
	};

	text[0] = DP_FRAME_DATA;
	inner_packet(text + 1, number, UP, size);
	dtls12_seal(record, client->cipher, DTLS12_APPLICATION_DATA,
		(uint64_t)EPOCH << 48 | client->up_seq++, (uint16_t)(1 + size),
		ivs[UP][client->cipher], nonce, aad);
	bare_seal(
		&keys[UP][client->cipher], record + head, text, 1u + size, nonce, aad, sizeof(aad));
	outer_addr(number, outer);
	udp_write_headers(ip, &headers);
	if (checked)
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

void traffic_make(
	struct rte_mbuf *m, enum direction dir, uint32_t client, uint16_t size, bool checked) {
	struct tag *tag = m->buf_addr;

	*tag = (struct tag){
		.magic = TAG_MAGIC,
		.client = client,
		.number = ++clients[client].sent,
		.size = size,
	};
	if (dir == UP) {
		make_up(m, client, size, checked);
		return;
	}
	inner_packet(eth_header(m, GATEWAY_LAN, host_mac, size), client, DOWN, size);
	if (checked)
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

bool traffic_tag(const struct rte_mbuf *m, uint32_t *client, uint16_t *size) {
	const struct tag *tag = m->buf_addr;

	if (tag->magic != TAG_MAGIC || tag->client >= nb_clients)
		return false;
	*client = tag->client;
	*size = tag->size;
	return true;
}

bool traffic_in_order(const struct rte_mbuf *m) {
	const struct tag *tag = m->buf_addr;
	struct client *client = &clients[tag->client];
	bool in_order = tag->number > client->received;

	client->received = tag->number;
	return in_order;
}

static const char *check_eth(
	const uint8_t *eth, size_t len, const struct dp_port *port, const uint8_t *to) {
	if (len < ETH_LEN + IP4_HEADER + UDP_HEADER)
		return "too short";
	if (memcmp(eth, to, 6) != 0 || memcmp(eth + 6, &port->mac, 6) != 0)
		return "link addresses";
	return ip_load16(eth + 12) == 0x0800 ? NULL : "not IPv4";
}

// The inner packet as it was sent, one hop later.
static const char *check_inner(
	const uint8_t *ip, size_t len, uint32_t client, enum direction dir, uint16_t size) {
	uint8_t expected[PATTERN_LEN];

	inner_packet(expected, client, dir, size);
	expected[8] = TTL - 1;
	ip4_checksum_write(expected);
	if (len != size)
		return "length of the inner packet";
	return memcmp(ip, expected, size) == 0 ? NULL : "bytes of the inner packet";
}

static const char *check_outer(
	const uint8_t *ip, size_t len, const struct tag *tag, bool offloaded) {
	struct ip_info info;
	struct udp_info udp;
	uint8_t outer[4];

	outer_addr(tag->client, outer);
	if (ip_parse(ip, len, true, &info) != IP_OK || info.total_len != len)
		return "outer IP header";
	if (!udp_parse(ip, &info, !offloaded, &udp))
		return "outer UDP header or checksum";
	if (memcmp(ip + 12, gateway_addr, 4) != 0 || memcmp(ip + 16, outer, 4) != 0)
		return "outer addresses";
	if (udp.source != htons(DTLS_PORT) || udp.destination != htons(outer_port(tag->client)))
		return "outer ports";
	return NULL;
}

static const char *check_record(const uint8_t *at, size_t len, const struct tag *tag) {
	struct client *client = &clients[tag->client];
	uint8_t nonce[12], aad[DTLS12_AAD_LEN], text[1 + PATTERN_LEN];
	const uint8_t *src = at, *end = at + len;
	struct dtls12_record record;
	uint64_t seq;
	int text_len;

	if (dtls12_parse(&src, end, &record) != 0 || src != end)
		return "DTLS header";
	seq = record.seq & DTLS12_SEQ_MAX;
	if (record.type != DTLS12_APPLICATION_DATA || record.epoch != EPOCH)
		return "DTLS type or epoch";
	if (seq <= client->down_seq)
		return "DTLS sequence number";
	client->down_seq = seq;
	text_len = dtls12_open(&record, client->cipher, ivs[DOWN][client->cipher], nonce, aad);
	if (text_len != 1 + tag->size)
		return "DTLS length";
	if (!bare_open(&keys[DOWN][client->cipher], text,
		    record.body + dtls12_explicit_len(client->cipher), (size_t)text_len, nonce, aad,
		    sizeof(aad)))
		return "DTLS authentication";
	if (text[0] != DP_FRAME_DATA)
		return "frame type";
	return check_inner(text + 1, (size_t)text_len - 1, tag->client, DOWN, tag->size);
}

const char *traffic_check(const struct rte_mbuf *m, enum direction dir, bool offloaded) {
	const uint8_t *eth = rte_pktmbuf_mtod(m, const uint8_t *), *ip = eth + ETH_LEN;
	const struct tag *tag = m->buf_addr;
	size_t len = m->data_len;
	const char *wrong;

	if (m->nb_segs != 1)
		return "more than one segment";
	if (dir == UP) {
		wrong = check_eth(eth, len, &dp_ports[GATEWAY_LAN], host_mac);
		return wrong != NULL ? wrong
				     : check_inner(ip, len - ETH_LEN, tag->client, UP, tag->size);
	}
	wrong = check_eth(eth, len, &dp_ports[GATEWAY_WAN], router_mac);
	if (wrong == NULL)
		wrong = check_outer(ip, len - ETH_LEN, tag, offloaded);
	if (wrong != NULL)
		return wrong;
	return check_record(
		ip + IP4_HEADER + UDP_HEADER, len - ETH_LEN - IP4_HEADER - UDP_HEADER, tag);
}

void traffic_record(struct traffic_record *record, uint8_t cipher, uint16_t size) {
	uint8_t head[DTLS12_HEADER_LEN + DTLS12_EXPLICIT_MAX];

	record->text_at = ETH_LEN + IP4_HEADER + UDP_HEADER + DTLS12_HEADER_LEN +
		dtls12_explicit_len(cipher);
	record->text_len = 1u + size;
	dtls12_seal(head, cipher, DTLS12_APPLICATION_DATA, (uint64_t)EPOCH << 48 | 1,
		(uint16_t)record->text_len, ivs[DOWN][cipher], record->nonce, record->aad);
}
