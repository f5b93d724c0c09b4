// SPDX-License-Identifier: GPL-3.0-or-later
// ARP requests and neighbour solicitations, and the answers to them. Called by arp-nd.
#include "dataplane/proto/nd.h"

#include <string.h>

#include "dataplane/proto/ip.h"

#define ARP_REQUEST 1u
#define ARP_REPLY 2u
#define ND_SOLICIT 135u
#define ND_ADVERT 136u
#define ND_HOP_LIMIT 255u
#define ND_HEADER 24u // type, code, checksum, reserved, target
#define ND_OPTION_SOURCE 1u
#define ND_OPTION_TARGET 2u
#define ND_SOLICITED 0x40000000u

bool arp_parse(const uint8_t *frame, size_t len, struct nd_request *request) {
	static const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, ARP_REQUEST};
	const uint8_t *arp = frame + ETH_HEADER;

	if (len < ARP_FRAME || ip_load16(frame + 12) != ETH_TYPE_ARP)
		return false;
	if (memcmp(arp, fixed, sizeof(fixed)) != 0)
		return false;
	// The hardware address must be one station's: an answer to a group would be a storm.
	if ((arp[8] & 1) != 0 || memcmp(arp + 14, arp + 24, 4) == 0)
		return false;
	memset(request, 0, sizeof(*request));
	memcpy(request->mac, arp + 8, 6);
	memcpy(request->sender, arp + 14, 4);
	memcpy(request->target, arp + 24, 4);
	request->probe = ip_load32(arp + 14) == 0;
	return true;
}

// Options of a solicitation: all lengths right; copies the source link-layer address. False:
// malformed.
static bool parse_options(const uint8_t *p, size_t len, uint8_t *mac, bool *found) {
	*found = false;
	while (len > 0) {
		size_t step = len >= 2 ? (size_t)p[1] * 8 : 0;

		if (step == 0 || step > len)
			return false;
		if (p[0] == ND_OPTION_SOURCE && step == 8) {
			memcpy(mac, p + 2, 6);
			*found = true;
		}
		p += step;
		len -= step;
	}
	return true;
}

bool nd_parse(const uint8_t *frame, size_t len, struct nd_request *request) {
	static const uint8_t none[16];
	const uint8_t *ip = frame + ETH_HEADER, *nd;
	struct ip_info info;
	bool has_mac;

	if (len < ETH_HEADER || ip_load16(frame + 12) != ETH_TYPE_IP6)
		return false;
	if (ip_parse(ip, len - ETH_HEADER, false, &info) != IP_OK || info.version != 6)
		return false;
	if (info.proto != IP_PROTO_ICMP6 || info.ttl != ND_HOP_LIMIT ||
		info.header_len != IP6_HEADER)
		return false;
	uint16_t nd_len = info.total_len - info.header_len;

	nd = ip + info.header_len;
	if (nd_len < ND_HEADER || nd[0] != ND_SOLICIT || nd[1] != 0)
		return false;
	if (ip_sum_finish(ip_sum(nd, nd_len, ip_sum_pseudo(ip, 6, IP_PROTO_ICMP6, nd_len))) != 0)
		return false;
	if (ip_is_multicast(nd + 8, 6))
		return false;
	memset(request, 0, sizeof(*request));
	memcpy(request->mac, frame + 6, 6);
	if (!parse_options(nd + ND_HEADER, nd_len - ND_HEADER, request->mac, &has_mac))
		return false;
	request->v6 = true;
	request->probe = memcmp(ip + 8, none, 16) == 0;
	if ((request->probe && has_mac) || (request->mac[0] & 1) != 0)
		return false;
	memcpy(request->sender, ip + 8, 16);
	memcpy(request->target, nd + 8, 16);
	return true;
}

static size_t write_arp(uint8_t *out, const struct nd_request *request, const uint8_t *mac) {
	static const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, ARP_REPLY};
	uint8_t *arp = out + ETH_HEADER;

	memcpy(out, request->mac, 6);
	memcpy(out + 6, mac, 6);
	ip_store16(out + 12, ETH_TYPE_ARP);
	memcpy(arp, fixed, sizeof(fixed));
	memcpy(arp + 8, mac, 6);
	memcpy(arp + 14, request->target, 4);
	memcpy(arp + 18, request->mac, 6);
	memcpy(arp + 24, request->sender, 4);
	return ARP_FRAME;
}

size_t nd_answer_write(uint8_t *out, const struct nd_request *request, const uint8_t *mac) {
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	uint8_t *ip = out + ETH_HEADER, *nd = ip + IP6_HEADER;

	if (!request->v6)
		return write_arp(out, request, mac);
	memcpy(out, request->probe ? all_nodes_mac : request->mac, 6);
	memcpy(out + 6, mac, 6);
	ip_store16(out + 12, ETH_TYPE_IP6);
	ip_store32(ip, 6u << 28);
	ip_store16(ip + 4, ND_HEADER + 8);
	ip[6] = IP_PROTO_ICMP6;
	ip[7] = ND_HOP_LIMIT;
	memcpy(ip + 8, request->target, 16);
	memcpy(ip + 24, request->probe ? all_nodes : request->sender, 16);
	nd[0] = ND_ADVERT;
	nd[1] = 0;
	ip_store16(nd + 2, 0);
	// A proxy does not override what the host itself says (RFC 4861, 7.2.8).
	ip_store32(nd + 4, request->probe ? 0 : ND_SOLICITED);
	memcpy(nd + 8, request->target, 16);
	nd[24] = ND_OPTION_TARGET;
	nd[25] = 1;
	memcpy(nd + 26, mac, 6);
	ip_store16(nd + 2,
		ip_sum_finish(ip_sum(
			nd, ND_HEADER + 8, ip_sum_pseudo(ip, 6, IP_PROTO_ICMP6, ND_HEADER + 8))));
	return ND_ADVERT_FRAME;
}
