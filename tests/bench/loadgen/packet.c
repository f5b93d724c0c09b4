// SPDX-License-Identifier: GPL-3.0-or-later
// The generator's inner packets: IPv4, UDP, and a payload that says who sent it when. Called by
// tunnel.c and lan.c.
#include "loadgen.h"

#include <arpa/inet.h>
#include <string.h>

#include <netinet/ip.h>
#include <netinet/udp.h>

#define MAGIC 0x4c474431u

struct lg_way lg_up, lg_down, lg_echo;
uint32_t lg_run_no;

// Even lengths only.
static uint32_t sum_add(uint32_t sum, const void *data, size_t len) {
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return sum;
}

static uint16_t sum_end(uint32_t sum) {
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

// The same for every packet of a client: identification 0 with DF (RFC 6864, 4.1).
void lg_packet_header(struct lg_client *client) {
	struct iphdr *ip = (void *)client->header;
	struct udphdr *udp = (void *)(client->header + sizeof(*ip));

	memset(client->header, 0, sizeof(client->header));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = htons((uint16_t)lg_opt.size);
	ip->frag_off = htons(IP_DF);
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = client->inner.s_addr;
	ip->daddr = lg_opt.lan.s_addr;
	ip->check = sum_end(sum_add(0, ip, sizeof(*ip)));
	udp->source = udp->dest = htons(LG_INNER_PORT);
	udp->len = htons((uint16_t)(lg_opt.size - sizeof(*ip)));
	client->header_sum = sum_add(0, &ip->saddr, 8) + IPPROTO_UDP + ntohs(udp->len) +
		sum_add(0, udp, sizeof(*udp));
}

// Hosts send checksums, and neither a kernel nor a NIC joins datagrams that have none. What follows
// the payload is zero.
void lg_packet_fill(struct lg_client *client, unsigned kind, uint64_t now, uint8_t *packet) {
	struct lg_payload payload = lg_payload_next(client, kind, now);
	uint16_t check = sum_end(sum_add(client->header_sum, &payload, sizeof(payload)));

	if (check == 0)
		check = 0xffff; // RFC 768
	memcpy(packet, client->header, sizeof(client->header));
	memcpy(packet + sizeof(client->header) - 2, &check, sizeof(check));
	memcpy(packet + sizeof(client->header), &payload, sizeof(payload));
}

static struct lg_flow *flow_of(struct lg_client *client, unsigned kind) {
	if (kind == LG_UPSTREAM)
		return &client->up;
	return kind == LG_DOWNSTREAM ? &client->down : &client->echo;
}

struct lg_payload lg_payload_next(struct lg_client *client, unsigned kind, uint64_t now) {
	struct lg_flow *flow = flow_of(client, kind);

	if (flow->next == flow->seen)
		flow->progress_ns = now;
	return (struct lg_payload){.magic = MAGIC,
		.kind = kind,
		.client = client->no,
		.run = lg_run_no,
		.seq = flow->next++,
		.sent_ns = now};
}

void lg_payload_arrived(const struct lg_payload *payload, size_t len, struct lg_time time) {
	struct lg_flow *flow;
	struct lg_way *way;
	uint64_t latency = time.now - payload->sent_ns;

	if (payload->magic != MAGIC || payload->run != lg_run_no ||
		payload->client >= lg_opt.clients)
		return;
	flow = flow_of(&lg_clients[payload->client], payload->kind);
	way = payload->kind == LG_UPSTREAM	 ? &lg_up
		: payload->kind == LG_DOWNSTREAM ? &lg_down
						 : &lg_echo;
	if (payload->seq >= flow->seen)
		flow->seen = payload->seq + 1;
	flow->progress_ns = time.now;
	way->received++;
	way->bytes += len;
	lg_hist_add(&way->latency, latency);
	if (lg_opt.stamps)
		lg_hist_add(&way->kernel,
			time.stamp > payload->sent_ns ? time.stamp - payload->sent_ns : 0);
	way->recent++;
	lg_hist_add(&way->recent_latency, latency);
}

void lg_packet_downstream(const uint8_t *packet, size_t len, struct lg_time time) {
	struct lg_payload payload;
	const size_t headers = sizeof(struct iphdr) + sizeof(struct udphdr);

	if (len < headers + sizeof(payload) || packet[0] != 0x45 || packet[9] != IPPROTO_UDP)
		return;
	memcpy(&payload, packet + headers, sizeof(payload));
	lg_payload_arrived(&payload, len, time);
}
