// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes what classify and the forwarding nodes do with a packet's headers. Run by tools/check.
#include <stdlib.h>
#include <string.h>

#include "dataplane/proto/icmp.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/mss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth) {
	if (!truth)
		abort();
}

// What parsed must lie within the packet, and the UDP payload within that.
static void check_udp(const uint8_t *ip, const struct ip_info *info) {
	struct udp_info udp;

	for (int verify = 0; verify < 2; verify++)
		if (udp_parse(ip, info, verify, &udp))
			require(udp.payload + udp.payload_len <= info->total_len);
}

// The short way says what the long one says, of each packet.
static void check_quick(const uint8_t *packet, size_t size) {
	for (int verify = 0; verify < 2; verify++) {
		struct ip_info info, quick;
		enum ip_status status = ip_parse(packet, size, verify, &info);

		require(ip_parse_quick(packet, size, verify, &quick) == status);
		if (status != IP_OK)
			continue;
		require(quick.version == info.version && quick.proto == info.proto);
		require(quick.ttl == info.ttl && quick.dont_fragment == info.dont_fragment);
		require(quick.more_fragments == info.more_fragments);
		require(quick.header_len == info.header_len && quick.total_len == info.total_len);
		require(quick.fragment_offset == info.fragment_offset);
		require(quick.fragment_header == info.fragment_header);
	}
}

// The error about a packet is a valid packet, and no error is sent about it.
static void check_error(const uint8_t *packet, const struct ip_info *info) {
	static const uint8_t source[16] = {0xfd, [15] = 1};

	for (enum icmp_kind kind = ICMP_TIME_EXCEEDED; kind < ICMP_KIND_MAX; kind++) {
		size_t head = icmp_error_headers_len(info->version);
		uint16_t quote = icmp_error_quote_len(info);
		struct ip_info error;
		uint8_t *out;

		if (!icmp_error_allowed(packet, info, kind))
			continue;
		out = malloc(head + quote);
		require(out != NULL);
		memcpy(out + head, packet, quote);
		icmp_error_write(out + head, quote, info->version, kind, 1400, source);
		require(ip_parse(out, head + quote, true, &error) == IP_OK);
		require(error.total_len == head + quote);
		require(!icmp_error_allowed(out, &error, kind));
		free(out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct ip_info info, again;
	uint8_t *packet;

	if (size > UINT16_MAX)
		return 0;
	packet = malloc(size > 0 ? size : 1); // its own size, so that ASan sees every overrun
	require(packet != NULL);
	memcpy(packet, data, size);
	check_quick(packet, size);
	if (ip_parse(packet, size, false, &info) == IP_OK) {
		require(info.total_len <= size && info.header_len <= info.total_len);
		check_udp(packet, &info);
		check_error(packet, &info);
		if (mss_clamp(packet, &info, 1300))
			require(!mss_clamp(packet, &info, 1300));
		if (info.ttl > 1) {
			ip_ttl_decrement(packet, info.version);
			require(ip_parse(packet, size, false, &again) == IP_OK);
			require(again.ttl == info.ttl - 1);
		}
		if (icmp_echo_reply(packet, &info))
			require(!icmp_echo_reply(packet, &info));
	}
	free(packet);
	return 0;
}
