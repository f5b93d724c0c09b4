// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes what anybody may send to the port of dynamic authorisation: its checks, the library's
// decoding, what is read out of it and the answer. Run by tools/check.
//
// The first byte says what is done to the input before it is read: nothing, or it becomes the
// attributes of a request with a right authenticator, so that the decoding is reached.
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/radius/change.h"

#define SECRET "fuzz"
#define ATTRIBUTES_MAX 3000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// RFC 5176, 2.3: the Request Authenticator.
static void make_request(uint8_t code, uint8_t *packet, size_t len) {
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	packet[0] = code;
	packet[1] = 7;
	packet[2] = (uint8_t)(len >> 8);
	packet[3] = (uint8_t)len;
	memset(packet + 4, 0, 16);
	if (md5 == NULL || EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1 ||
		EVP_DigestUpdate(md5, packet, len) != 1 ||
		EVP_DigestUpdate(md5, SECRET, sizeof(SECRET) - 1) != 1 ||
		EVP_DigestFinal_ex(md5, packet + 4, NULL) != 1)
		abort();
	EVP_MD_CTX_free(md5);
}

static void look(const struct rpacket *request) {
	static const struct change_self self = {.nas_identifier = "gw", .default_realm = "x.net"};
	static struct ipc_change change;
	const uint8_t *bytes;
	size_t len;
	uint32_t seconds;
	change_timestamp(request, &seconds);
	uint32_t cause = change_read(request, &self, &change);
	// What session would end us for.
	if (cause == 0 && !ipc_change_ok(&change))
		abort();
	struct rpacket *answer = rpacket_new(RCODE_COA_NAK);
	if (answer == NULL)
		abort();
	rpacket_number(answer, RATTR_ERROR_CAUSE, cause);
	const void *cursor = NULL;
	struct rvalue value;
	while (rpacket_next(request, &cursor, &value))
		if (value.attr == RATTR_PROXY_STATE)
			rpacket_bytes(answer, RATTR_PROXY_STATE, value.bytes, value.len);
	rpacket_sign_answer(answer, request, SECRET, &bytes, &len);
	rpacket_free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static uint8_t packet[20 + ATTRIBUTES_MAX];
	static bool started;
	const char *why = NULL;
	if (!started && rpacket_init() != 0)
		abort();
	started = true;
	if (size == 0)
		return 0;
	uint8_t how = *data++;
	size--;
	struct rpacket *request;
	if (how & 1) {
		request = rpacket_read_request(data, size, SECRET, how & 2, &why);
	} else {
		size = size < ATTRIBUTES_MAX ? size : ATTRIBUTES_MAX;
		memcpy(packet + 20, data, size);
		make_request(
			how & 2 ? RCODE_COA_REQUEST : RCODE_DISCONNECT_REQUEST, packet, 20 + size);
		request = rpacket_read_request(packet, 20 + size, SECRET, false, &why);
	}
	if (request == NULL && why == NULL)
		abort();
	if (request != NULL)
		look(request);
	rpacket_free(request);
	return 0;
}
