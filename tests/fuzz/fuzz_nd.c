// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the parsers of ARP requests and neighbour solicitations. Run by tools/check.
#include <stdlib.h>
#include <string.h>

#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// An answer is no request, goes to one station or all nodes, and is a whole frame.
static void check_answer(const struct nd_request *request) {
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct nd_request again;
	struct ip_info info;
	uint8_t *out = malloc(request->v6 ? ND_ADVERT_FRAME : ARP_FRAME);

	if (out == NULL)
		abort();
	size_t len = nd_answer_write(out, request, mac);

	if (arp_parse(out, len, &again) || nd_parse(out, len, &again))
		abort();
	if (request->v6 && ip_parse(out + ETH_HEADER, len - ETH_HEADER, true, &info) != IP_OK)
		abort();
	if ((out[0] & 1) != 0 && !(request->v6 && request->probe))
		abort();
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	uint8_t *frame = malloc(size > 0 ? size : 1);
	struct nd_request request;

	if (frame == NULL)
		abort();
	memcpy(frame, data, size);
	if (arp_parse(frame, size, &request) || nd_parse(frame, size, &request))
		check_answer(&request);
	// Few inputs have a right checksum: write it, so that the options are reached.
	if (size >= ETH_HEADER + IP6_HEADER + 24) {
		uint8_t *ip = frame + ETH_HEADER, *nd = ip + IP6_HEADER;
		size_t nd_len = size - ETH_HEADER - IP6_HEADER;

		if (nd_len <= 1500) {
			memcpy(frame + 12, "\x86\xdd\x60", 3);
			ip_store16(ip + 4, (uint16_t)nd_len);
			ip[6] = IP_PROTO_ICMP6;
			ip[7] = 255;
			memcpy(nd, "\x87\x00\x00", 4);
			ip_store16(nd + 2,
				ip_sum_finish(ip_sum(nd, nd_len,
					ip_sum_pseudo(ip, 6, IP_PROTO_ICMP6, (uint32_t)nd_len))));
			if (nd_parse(frame, size, &request))
				check_answer(&request);
		}
	}
	free(frame);
	return 0;
}
