// SPDX-License-Identifier: GPL-3.0-or-later
// CSTP frames; see cstp.h. Called by the stream lcores.

#include <errno.h>
#include <string.h>

#include "cstp.h"

static const uint8_t magic[4] = {'S', 'T', 'F', 1};

int cstp_parse(const uint8_t **src, const uint8_t *end, struct cstp_frame *out) {
	const uint8_t *p = *src;
	size_t have = (size_t)(end - p);

	if (have < CSTP_HEADER_LEN || memcmp(p, magic, sizeof(magic)) != 0 || p[7] != 0)
		return -EPROTO;
	out->len = (uint16_t)(p[4] << 8 | p[5]);
	out->type = p[6];
	if (out->len > have - CSTP_HEADER_LEN)
		return -EPROTO;
	out->payload = p + CSTP_HEADER_LEN;
	*src = out->payload + out->len;
	return 0;
}

void cstp_header(uint8_t dst[CSTP_HEADER_LEN], uint8_t type, uint16_t len) {
	memcpy(dst, magic, sizeof(magic));
	dst[4] = len >> 8;
	dst[5] = (uint8_t)len;
	dst[6] = type;
	dst[7] = 0;
}
