// SPDX-License-Identifier: GPL-3.0-or-later
// Any datagram as a ClientHello, and as a flight of records: the first parser that meets UDP.
#include <stdlib.h>
#include <string.h>

#include "controlplane/edge/dtls_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(const uint8_t *data, size_t size, struct dtls_bytes bytes) {
	if (bytes.len && (bytes.data < data || bytes.data + bytes.len > data + size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const uint8_t secret[DTLS_SECRET_LEN] = {1}, peer[DTLS_PEER_LEN] = {2};
	uint8_t cookie[DTLS_COOKIE_LEN], hvr[DTLS_HVR_LEN];
	const uint8_t *p = data;
	struct dtls_record record;
	struct dtls_hello hello;

	while (dtls_record_next(&p, data + size, &record)) {
		if (record.body < data || record.body + record.len > data + size)
			abort();
	}
	if (!dtls_hello_parse(data, size, &hello))
		return 0;
	check_inside(data, size, hello.session_id);
	check_inside(data, size, hello.cookie);
	check_inside(data, size, hello.suites);
	check_inside(data, size, hello.compressions);
	check_inside(data, size, hello.app_id);
	if (dtls_cookie_make(secret, peer, &hello, cookie) != 0)
		abort();
	dtls_hvr_make(&hello, cookie, hvr);
	hello.cookie = (struct dtls_bytes){cookie, sizeof(cookie)};
	if (!dtls_cookie_ok(secret, peer, &hello))
		abort();
	return 0;
}
