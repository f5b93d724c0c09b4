// SPDX-License-Identifier: GPL-3.0-or-later
// ICMP and ICMPv6 errors and echo replies. Called by icmp-error and icmp-local.
#include "dataplane/proto/icmp.h"

#include <string.h>

#define ICMP_HEADER 8u
#define ICMP4_ECHO_REPLY 0u
#define ICMP4_ECHO 8u
#define ICMP6_ECHO 128u
#define ICMP6_ECHO_REPLY 129u
#define ICMP6_REDIRECT 137u
#define REPLY_TTL 64u

static const struct {
	uint8_t type4, code4, type6, code6;
} kinds[ICMP_KIND_MAX] = {
	[ICMP_TIME_EXCEEDED] = {11, 0, 3, 0},
	[ICMP_TOO_BIG] = {3, 4, 2, 0},
	[ICMP_NET_UNREACHABLE] = {3, 0, 1, 0},
	[ICMP_HOST_UNREACHABLE] = {3, 1, 1, 3},
	[ICMP_PROHIBITED] = {3, 13, 1, 1},
	[ICMP_FILTERED_ROUTE] = {3, 13, 1, 1},
	[ICMP_FILTERED_PORT] = {3, 13, 1, 1},
	[ICMP_FILTERED_FRAGMENT] = {3, 13, 1, 1},
};

// RFC 1122 3.2.2: queries get errors, errors and redirects do not, nor does what is unknown.
static bool is_query4(uint8_t type) {
	switch (type) {
	case ICMP4_ECHO_REPLY:
	case ICMP4_ECHO:
	case 9: // router advertisement, solicitation
	case 10:
	case 13: // timestamp, information, address mask
	case 14:
	case 15:
	case 16:
	case 17:
	case 18:
		return true;
	}
	return false;
}

static bool is_about_error(const uint8_t *ip, const struct ip_info *info) {
	const uint8_t *upper = ip + info->header_len;

	if (info->proto != (info->version == 4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6))
		return false;
	if (info->total_len == info->header_len)
		return true;
	if (info->version == 4)
		return !is_query4(upper[0]);
	return upper[0] < 128 || upper[0] == ICMP6_REDIRECT;
}

bool icmp_error_allowed(const uint8_t *ip, const struct ip_info *info, enum icmp_kind kind) {
	if (info->fragment_offset != 0 ||
		!ip_is_forwardable(ip_source(ip, info->version), info->version))
		return false;
	if (ip_is_multicast(ip_destination(ip, info->version), info->version) &&
		!(info->version == 6 && kind == ICMP_TOO_BIG))
		return false;
	return !is_about_error(ip, info);
}

uint16_t icmp_error_quote_len(const struct ip_info *info) {
	uint16_t most = (info->version == 4 ? 576 : 1280) -
		(uint16_t)icmp_error_headers_len(info->version);

	return info->total_len < most ? info->total_len : most;
}

static uint8_t *write_ip(uint8_t *out, const uint8_t *quote, uint16_t upper_len, uint8_t version,
	const uint8_t *source) {
	if (version == 4) {
		memset(out, 0, IP4_HEADER);
		out[0] = 0x45;
		out[1] = 0xc0; // internetwork control (RFC 1812, 4.3.2.5)
		ip_store16(out + 2, IP4_HEADER + upper_len);
		out[8] = REPLY_TTL;
		out[9] = IP_PROTO_ICMP;
		memcpy(out + 12, source, 4);
		memcpy(out + 16, quote + 12, 4);
		ip4_checksum_write(out);
		return out + IP4_HEADER;
	}
	ip_store32(out, 6u << 28);
	ip_store16(out + 4, upper_len);
	out[6] = IP_PROTO_ICMP6;
	out[7] = REPLY_TTL;
	memcpy(out + 8, source, 16);
	memcpy(out + 24, quote + 8, 16);
	return out + IP6_HEADER;
}

void icmp_error_write(uint8_t *quote, uint16_t quote_len, uint8_t version, enum icmp_kind kind,
	uint16_t mtu, const uint8_t *source) {
	uint8_t *ip = quote - icmp_error_headers_len(version);
	uint16_t len = ICMP_HEADER + quote_len;
	uint8_t *icmp = write_ip(ip, quote, len, version, source);
	uint32_t sum = version == 4 ? 0 : ip_sum_pseudo(ip, 6, IP_PROTO_ICMP6, len);

	icmp[0] = version == 4 ? kinds[kind].type4 : kinds[kind].type6;
	icmp[1] = version == 4 ? kinds[kind].code4 : kinds[kind].code6;
	ip_store16(icmp + 2, 0);
	ip_store32(icmp + 4, kind == ICMP_TOO_BIG ? mtu : 0);
	ip_store16(icmp + 2, ip_sum_finish(ip_sum(icmp, len, sum)));
}

static void swap_addresses(uint8_t *ip, uint8_t version) {
	size_t len = version == 4 ? 4 : 16;
	uint8_t *source = ip + (version == 4 ? 12 : 8), kept[16];

	memcpy(kept, source, len);
	memcpy(source, source + len, len);
	memcpy(source + len, kept, len);
}

bool icmp_echo_reply(uint8_t *ip, const struct ip_info *info) {
	bool v4 = info->version == 4;
	uint8_t *icmp = ip + info->header_len;
	uint16_t len = info->total_len - info->header_len;

	if (ip_is_fragment(info) || info->proto != (v4 ? IP_PROTO_ICMP : IP_PROTO_ICMP6))
		return false;
	if (len < ICMP_HEADER || icmp[0] != (v4 ? ICMP4_ECHO : ICMP6_ECHO) || icmp[1] != 0)
		return false;
	uint32_t pseudo = v4 ? 0 : ip_sum_pseudo(ip, 6, IP_PROTO_ICMP6, len);

	if (ip_sum_finish(ip_sum(icmp, len, pseudo)) != 0)
		return false;
	// Swapped addresses sum to the same: only the type changes the checksum.
	swap_addresses(ip, info->version);
	uint16_t old = ip_load16(icmp);

	icmp[0] = v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
	ip_store16(icmp + 2, ip_checksum_update(ip_load16(icmp + 2), old, ip_load16(icmp)));
	if (v4) {
		ip[8] = REPLY_TTL;
		ip4_checksum_write(ip);
	} else {
		ip[7] = REPLY_TTL;
	}
	return true;
}
