// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes an answer of a RADIUS server: its checks, the library's decoding, and what is read out of
// it. Run by tools/check.
//
// The first byte says what is done to the input before it is read: nothing, or it becomes the
// attributes of an answer with right authenticators, so that the decoding is reached.

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/radius/packet.h"
#include "controlplane/radius/settings.h"

#define SECRET "fuzz"
#define ATTRIBUTES_MAX 3000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rpacket *request;

static void start(void) {
	static const uint8_t vector[RPACKET_VECTOR_LEN] = {1, 2, 3};
	const uint8_t *bytes;
	size_t len;
	if (request != NULL)
		return;
	if (rpacket_init() != 0)
		abort();
	request = rpacket_new(RCODE_ACCESS_REQUEST);
	rpacket_text(request, RATTR_USER_PASSWORD, "password");
	if (rpacket_sign(request, 7, vector, SECRET, &bytes, &len) != 0)
		abort();
}

// RFC 2865, 3: the Response Authenticator.
static void make_answer(uint8_t code, uint8_t *packet, size_t len) {
	static const uint8_t vector[RPACKET_VECTOR_LEN] = {1, 2, 3};
	uint8_t digest[16];
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	packet[0] = code;
	packet[1] = 7;
	packet[2] = (uint8_t)(len >> 8);
	packet[3] = (uint8_t)len;
	memcpy(packet + 4, vector, sizeof(vector));
	if (md5 == NULL || EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1 ||
		EVP_DigestUpdate(md5, packet, len) != 1 ||
		EVP_DigestUpdate(md5, SECRET, sizeof(SECRET) - 1) != 1 ||
		EVP_DigestFinal_ex(md5, digest, NULL) != 1)
		abort();
	EVP_MD_CTX_free(md5);
	memcpy(packet + 4, digest, sizeof(digest));
}

static void look(const struct rpacket *answer) {
	static struct ipc_radius_answer msg;
	const void *cursor = NULL;
	struct rvalue value;
	memset(&msg, 0, sizeof(msg));
	while (rpacket_next(answer, &cursor, &value)) {
		if (value.attr == RATTR_REPLY_MESSAGE)
			settings_message(value.bytes, value.len, msg.message);
		else
			settings_add(&msg.settings, &value, true);
	}
	// What auth and session would end us for.
	if (!ipc_str_ok(msg.message, sizeof(msg.message)) || !ipc_user_settings_ok(&msg.settings))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const uint8_t codes[] = {2, 3, 11};
	static uint8_t packet[20 + ATTRIBUTES_MAX];
	const char *why = NULL;
	if (size == 0)
		return 0;
	start();
	uint8_t how = *data++;
	size--;
	struct rpacket *answer;
	if (how & 1) {
		answer = rpacket_read(data, size, request, SECRET, how & 2, &why);
	} else {
		size = size < ATTRIBUTES_MAX ? size : ATTRIBUTES_MAX;
		memcpy(packet + 20, data, size);
		make_answer(codes[how / 2 % sizeof(codes)], packet, 20 + size);
		answer = rpacket_read(packet, 20 + size, request, SECRET, false, &why);
	}
	if (answer == NULL && why == NULL)
		abort();
	if (answer != NULL)
		look(answer);
	rpacket_free(answer);
	return 0;
}
