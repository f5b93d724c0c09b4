// SPDX-License-Identifier: GPL-3.0-or-later
// CSTP frames: AnyConnect's framing of packets in a TLS stream. Used by the stream lcores.
//
// draft-mavrogiannopoulos-openconnect, section 2.2: 'S' 'T' 'F' 1, length (16 bits, big endian),
// type, 0, payload.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CSTP_HEADER_LEN 8u

struct cstp_frame {
	uint8_t type; // enum dp_frame
	uint16_t len; // of the payload, bytes
	const uint8_t *payload; // within the buffer
};

// Takes one frame from *src and moves *src behind it. 0, or -EPROTO when the bytes are not a
// whole frame.
int cstp_parse(const uint8_t **src, const uint8_t *end, struct cstp_frame *out);

// Writes the header of a frame with `len` payload bytes.
void cstp_header(uint8_t dst[CSTP_HEADER_LEN], uint8_t type, uint16_t len);
