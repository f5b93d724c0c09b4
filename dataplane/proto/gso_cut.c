// SPDX-License-Identifier: GPL-3.0-or-later
// Cuts a super-packet into packets, as a NIC with TSO or USO does. Called by port_fd.c.
#include "dataplane/proto/gso.h"

#include <errno.h>
#include <string.h>

#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"

#define TYPE_VLAN 0x8100u
#define TYPE_QINQ 0x88a8u
#define VLAN_TAG 4u
#define TCP_HEADER 20u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

// Bytes of the link header; 0: the frame is shorter.
static size_t link_header(const uint8_t *frame, size_t len) {
	size_t at = 12;

	for (unsigned tags = 0; tags < 3 && len >= at + 2; tags++) {
		uint16_t type = ip_load16(frame + at);

		if (type != TYPE_VLAN && type != TYPE_QINQ)
			return at + 2;
		at += VLAN_TAG;
	}
	return 0;
}

static bool kind_fits(uint8_t gso_type, const struct ip_info *info) {
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return info->version == 4 && info->proto == IP_PROTO_TCP;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return info->version == 6 && info->proto == IP_PROTO_TCP;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return info->proto == IP_PROTO_UDP;
	}
	return false;
}

int gso_cut_begin(struct gso_cut *cut, const uint8_t *frame, size_t len,
	const struct virtio_net_hdr *hdr, size_t room) {
	size_t network = link_header(frame, len);
	struct ip_info info;

	if (network == 0 || hdr->gso_size == 0 ||
		ip_parse(frame + network, len - network, false, &info) != IP_OK ||
		ip_is_fragment(&info) || !kind_fits(hdr->gso_type, &info))
		return -EINVAL;
	cut->frame = frame;
	cut->v6 = info.version == 6;
	cut->tcp = info.proto == IP_PROTO_TCP;
	cut->network = (uint16_t)network;
	cut->end = (uint32_t)network + info.total_len;
	uint32_t transport = (uint32_t)network + info.header_len;
	uint32_t payload = transport + (cut->tcp ? TCP_HEADER : UDP_HEADER);

	if (payload >= cut->end)
		return -EINVAL;
	if (cut->tcp) {
		payload = transport + (uint32_t)(frame[transport + 12] >> 4) * 4;
		if (payload < transport + TCP_HEADER || payload >= cut->end)
			return -EINVAL;
	}
	cut->size = hdr->gso_size;
	if (payload + (cut->end - payload < cut->size ? cut->end - payload : cut->size) > room)
		return -EMSGSIZE;
	cut->transport = (uint16_t)transport;
	cut->payload = (uint16_t)payload;
	cut->at = payload;
	cut->n = 0;
	return 0;
}

static void network_lengths(const struct gso_cut *cut, uint8_t *ip, uint32_t total_len) {
	if (cut->v6) {
		ip_store16(ip + 4, (uint16_t)(total_len - IP6_HEADER));
		return;
	}
	ip_store16(ip + 2, (uint16_t)total_len);
	ip_store16(ip + 4, (uint16_t)(ip_load16(ip + 4) + cut->n));
	ip4_checksum_write(ip);
}

static void tcp_header(const struct gso_cut *cut, uint8_t *tcp, uint32_t part) {
	ip_store32(tcp + 4, ip_load32(tcp + 4) + (cut->at - cut->payload));
	if (cut->at + part < cut->end)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (cut->n > 0)
		tcp[13] &= (uint8_t)~TCP_CWR;
}

static void transport_checksum(const struct gso_cut *cut, uint8_t *out, uint32_t len) {
	uint8_t *header = out + cut->transport;
	uint8_t *field = header + (cut->tcp ? 16 : 6);
	uint8_t proto = cut->tcp ? IP_PROTO_TCP : IP_PROTO_UDP;
	uint32_t sum = ip_sum_pseudo(out + cut->network, cut->v6 ? 6 : 4, proto, len);

	ip_store16(field, 0);
	uint16_t check = ip_sum_finish(ip_sum(header, len, sum));

	ip_store16(field, check == 0 && !cut->tcp ? 0xffff : check); // 0 would say: no checksum
}

size_t gso_cut_next(struct gso_cut *cut, uint8_t *out) {
	uint32_t part = cut->end - cut->at;

	if (part == 0)
		return 0;
	if (part > cut->size)
		part = cut->size;
	memcpy(out, cut->frame, cut->payload);
	memcpy(out + cut->payload, cut->frame + cut->at, part);
	network_lengths(cut, out + cut->network, cut->payload - cut->network + part);
	if (cut->tcp)
		tcp_header(cut, out + cut->transport, part);
	else
		ip_store16(out + cut->transport + 4, (uint16_t)(UDP_HEADER + part));
	transport_checksum(cut, out, cut->payload - cut->transport + part);
	cut->at += part;
	cut->n++;
	return cut->payload + part;
}
