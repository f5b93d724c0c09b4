// SPDX-License-Identifier: GPL-3.0-or-later
// Any bytes as the header of a proxy: the first parser that meets a connection from one.
#include <stdlib.h>
#include <string.h>

#include "controlplane/edge/proxy.h"
#include "dataplane/abi/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What was enough stays enough, and one byte less is not.
static void check_taken(const uint8_t *data, size_t size, const struct proxy_header *header) {
	struct proxy_header again;
	size_t want;

	if (header->len == 0 || header->len > size || header->len > PROXY_HEADER_MAX)
		abort();
	if (!header->local && abi_addr_none(&header->source))
		abort();
	if (proxy_header_parse(data, header->len, &again, &want) != 1 ||
		memcmp(&again, header, sizeof(again)) != 0)
		abort();
	if (proxy_header_parse(data, header->len - 1, &again, &want) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct proxy_header header;
	size_t want = 0;

	switch (proxy_header_parse(data, size, &header, &want)) {
	case 1:
		check_taken(data, size, &header);
		break;
	case 0:
		if (want <= size || want > PROXY_HEADER_MAX)
			abort();
		break;
	}
	return 0;
}
