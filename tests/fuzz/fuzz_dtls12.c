// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzer of the DTLS 1.2 record parser: a datagram of any bytes, and what opening would read.
#include <stdlib.h>

#include "dataplane/proto/dtls12.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const uint8_t *src = data, *end = data + size;
	static const uint8_t iv[12];
	uint8_t nonce[12], aad[13];
	struct dtls12_record r;

	while (dtls12_parse(&src, end, &r) == 0) {
		if (src > end || r.body + r.len > end || r.epoch != r.seq >> 48)
			abort();
		dtls12_is_client_hello(&r);
		for (uint8_t cipher = ABI_AES_128_GCM; cipher <= ABI_CHACHA20_POLY1305; cipher++) {
			int len = dtls12_open(&r, cipher, iv, nonce, aad);

			if (len >= 0 &&
				(unsigned)len + dtls12_overhead(cipher) !=
					r.len + DTLS12_HEADER_LEN)
				abort();
		}
	}
	return 0;
}
