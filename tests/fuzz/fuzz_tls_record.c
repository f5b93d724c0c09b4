// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the parsers of a TLS stream: records, inner types, CSTP frames. Run by tools/check.

#include <stdlib.h>
#include <string.h>

#include "dataplane/proto/cstp.h"
#include "dataplane/proto/tls_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frames(const uint8_t *src, const uint8_t *end) {
	struct cstp_frame frame;

	while (src < end && cstp_parse(&src, end, &frame) == 0)
		if (frame.payload + frame.len > end || frame.payload + frame.len != src)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const struct tls_protection *p;
	const uint8_t *src = data + 1, *end = data + size;
	struct tls_record record;
	uint8_t nonce[12], aad[13];
	static const uint8_t iv[ABI_IV_MAX];

	if (size < 1)
		return 0;
	p = tls_protection_find(1 + data[0] % 2, 1 + data[0] / 2 % 3);
	frames(src, end);
	while (tls_record_parse(p, src, end, &record) > 0) {
		uint16_t len = record.text_len;

		if (src + record.len > end ||
			record.text_offset + record.text_len + TLS_TAG_LEN != record.len)
			abort();
		tls_record_open(p, &record, src, iv, 1, nonce, aad);
		if (tls_inner_type(p, record.type, src + record.text_offset, &len) >= 0) {
			if (len > record.text_len)
				abort();
			frames(src + record.text_offset, src + record.text_offset + len);
		}
		src += record.len;
	}
	return 0;
}
