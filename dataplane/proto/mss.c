// SPDX-License-Identifier: GPL-3.0-or-later
// Lowers the MSS option of TCP SYNs to what fits the tunnel. Called by l3-forward.
#include "dataplane/proto/mss.h"

#define TCP_HEADER 20u
#define TCP_SYN 0x02u
#define OPTION_END 0u
#define OPTION_NOP 1u
#define OPTION_MSS 2u

// Lowers the option whose value is at tcp + at. An odd offset spans two checksum words, which
// swaps the bytes of both values (RFC 1071, 2 B).
static void set_mss(uint8_t *tcp, uint32_t at, uint16_t mss) {
	uint16_t old = ip_load16(tcp + at), new = mss;

	ip_store16(tcp + at, mss);
	if (at & 1) {
		old = (uint16_t)(old << 8 | old >> 8);
		new = (uint16_t)(new << 8 | new >> 8);
	}
	ip_store16(tcp + 16, ip_checksum_update(ip_load16(tcp + 16), old, new));
}

bool mss_clamp(uint8_t *ip, const struct ip_info *info, uint16_t mtu) {
	uint16_t room = info->total_len - info->header_len;
	uint16_t headers = TCP_HEADER + (info->version == 4 ? IP4_HEADER : IP6_HEADER);
	uint8_t *tcp = ip + info->header_len;

	if (info->proto != IP_PROTO_TCP || info->fragment_offset != 0 || room < TCP_HEADER)
		return false;
	if (!(tcp[13] & TCP_SYN) || mtu <= headers)
		return false;
	uint32_t end = (uint32_t)(tcp[12] >> 4) * 4;

	if (end > room)
		return false;
	for (uint32_t at = TCP_HEADER; at < end;) {
		if (tcp[at] == OPTION_END)
			return false;
		if (tcp[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 2 > end || tcp[at + 1] < 2 || at + tcp[at + 1] > end)
			return false;
		if (tcp[at] == OPTION_MSS && tcp[at + 1] == 4) {
			if (ip_load16(tcp + at + 2) <= mtu - headers)
				return false;
			set_mss(tcp, at + 2, mtu - headers);
			return true;
		}
		at += tcp[at + 1];
	}
	return false;
}
