// SPDX-License-Identifier: GPL-3.0-or-later
// Parses ClientHellos, makes and checks cookies, builds HelloVerifyRequests. Called by dtls.c.
#include "dtls_hello.h"

#include <errno.h>
#include <string.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "controlplane/proc/bytes.h"

#define CLIENT_HELLO 1u
#define HELLO_VERIFY_REQUEST 3u
#define HANDSHAKE_HEADER 12u
#define RANDOM_LEN 32u
#define SESSION_ID_MAX 32u

// A vector with a length field of `width` bytes. Moves *p behind it.
static bool take_vector(const uint8_t **p, const uint8_t *end, size_t width, size_t min, size_t max,
	struct dtls_bytes *out) {
	size_t len;

	if ((size_t)(end - *p) < width)
		return false;
	len = bytes_get(*p, width);
	*p += width;
	if (len < min || len > max || (size_t)(end - *p) < len)
		return false;
	out->data = *p;
	out->len = len;
	*p += len;
	return true;
}

static bool take_bytes(const uint8_t **p, const uint8_t *end, size_t len, const uint8_t **out) {
	if ((size_t)(end - *p) < len)
		return false;
	*out = *p;
	*p += len;
	return true;
}

bool dtls_record_next(const uint8_t **data, const uint8_t *end, struct dtls_record *record) {
	const uint8_t *p = *data;

	if ((size_t)(end - p) < DTLS_RECORD_HEADER || p[1] != 0xfe)
		return false;
	record->type = p[0];
	record->epoch = (uint16_t)bytes_get(p + 3, 2);
	record->seq = bytes_get(p + 5, 6);
	record->len = bytes_get(p + 11, 2);
	record->body = p + DTLS_RECORD_HEADER;
	if ((size_t)(end - record->body) < record->len)
		return false;
	*data = record->body + record->len;
	return true;
}

// Extensions may be absent (RFC 5246, 7.4.1.2). Only 48018 is of interest: u8 length, id.
static bool parse_extensions(const uint8_t *p, const uint8_t *end, struct dtls_hello *hello) {
	struct dtls_bytes all;

	if (p == end)
		return true;
	if (!take_vector(&p, end, 2, 0, UINT16_MAX, &all) || p != end)
		return false;
	for (p = all.data, end = p + all.len; p != end;) {
		const uint8_t *type;
		struct dtls_bytes body;

		if (!take_bytes(&p, end, 2, &type) ||
			!take_vector(&p, end, 2, 0, UINT16_MAX, &body))
			return false;
		if (bytes_get(type, 2) == DTLS_EXT_APP_ID && body.len == IPC_APP_ID_LEN + 1 &&
			body.data[0] == IPC_APP_ID_LEN) {
			hello->app_id.data = body.data + 1;
			hello->app_id.len = IPC_APP_ID_LEN;
		}
	}
	return true;
}

static bool parse_body(const uint8_t *p, const uint8_t *end, struct dtls_hello *hello) {
	if (!take_bytes(&p, end, 2, &hello->version) || hello->version[0] != 0xfe)
		return false;
	if (hello->version[1] != 0xfd && hello->version[1] != 0xff)
		return false;
	// An all-zero random is what a broken client or a probe sends, never a real handshake.
	if (!take_bytes(&p, end, RANDOM_LEN, &hello->random) ||
		bytes_zero(hello->random, RANDOM_LEN))
		return false;
	if (!take_vector(&p, end, 1, 0, SESSION_ID_MAX, &hello->session_id) ||
		!take_vector(&p, end, 1, 0, UINT8_MAX, &hello->cookie) ||
		!take_vector(&p, end, 2, 2, UINT16_MAX, &hello->suites) ||
		hello->suites.len % 2 != 0 ||
		!take_vector(&p, end, 1, 1, UINT8_MAX, &hello->compressions))
		return false;
	if (!memchr(hello->compressions.data, 0, hello->compressions.len))
		return false;
	return parse_extensions(p, end, hello);
}

bool dtls_hello_parse(const uint8_t *data, size_t len, struct dtls_hello *hello) {
	struct dtls_record record;
	const uint8_t *p = data;
	size_t body_len;

	memset(hello, 0, sizeof(*hello));
	if (!dtls_record_next(&p, data + len, &record) || record.type != DTLS_HANDSHAKE ||
		record.epoch != 0 || record.len < HANDSHAKE_HEADER)
		return false;
	p = record.body;
	body_len = bytes_get(p + 1, 3);
	// type, length, message_seq, fragment_offset, fragment_length (RFC 6347, 4.2.2). A hello
	// in fragments would need state before the address is proven: no client here needs that.
	if (p[0] != CLIENT_HELLO || bytes_get(p + 6, 3) != 0 || bytes_get(p + 9, 3) != body_len ||
		body_len != record.len - HANDSHAKE_HEADER)
		return false;
	hello->record_seq = record.seq;
	hello->message_seq = (uint16_t)bytes_get(p + 4, 2);
	return parse_body(p + HANDSHAKE_HEADER, record.body + record.len, hello);
}

const uint8_t *dtls_hello_app_id(const struct dtls_hello *hello) {
	if (hello->app_id.len == IPC_APP_ID_LEN)
		return hello->app_id.data;
	return hello->session_id.len == IPC_APP_ID_LEN ? hello->session_id.data : NULL;
}

void dtls_peer(const struct abi_tuple *tuple, uint8_t peer[DTLS_PEER_LEN]) {
	memcpy(peer, tuple->remote.bytes, 16);
	memcpy(peer + 16, &tuple->remote_port, 2);
	memcpy(peer + 18, tuple->local.bytes, 16);
	memcpy(peer + 34, &tuple->local_port, 2);
}

int dtls_cookie_make(const uint8_t secret[DTLS_SECRET_LEN], const uint8_t peer[DTLS_PEER_LEN],
	const struct dtls_hello *hello, uint8_t cookie[DTLS_COOKIE_LEN]) {
	Hmac hmac;
	int ret;

	if (wc_HmacInit(&hmac, NULL, INVALID_DEVID) != 0)
		return -EIO;
	ret = wc_HmacSetKey(&hmac, WC_SHA256, secret, DTLS_SECRET_LEN);
	if (ret == 0)
		ret = wc_HmacUpdate(&hmac, peer, DTLS_PEER_LEN);
	if (ret == 0)
		ret = wc_HmacUpdate(&hmac, hello->version, 2);
	if (ret == 0)
		ret = wc_HmacUpdate(&hmac, hello->random, RANDOM_LEN);
	if (ret == 0)
		ret = wc_HmacUpdate(&hmac, hello->session_id.data, (word32)hello->session_id.len);
	if (ret == 0)
		ret = wc_HmacUpdate(&hmac, hello->suites.data, (word32)hello->suites.len);
	if (ret == 0)
		ret = wc_HmacUpdate(
			&hmac, hello->compressions.data, (word32)hello->compressions.len);
	if (ret == 0)
		ret = wc_HmacFinal(&hmac, cookie);
	wc_HmacFree(&hmac);
	return ret == 0 ? 0 : -EIO;
}

bool dtls_cookie_ok(const uint8_t secret[DTLS_SECRET_LEN], const uint8_t peer[DTLS_PEER_LEN],
	const struct dtls_hello *hello) {
	uint8_t want[DTLS_COOKIE_LEN], differ = 0;

	if (hello->cookie.len != DTLS_COOKIE_LEN ||
		dtls_cookie_make(secret, peer, hello, want) != 0)
		return false;
	for (size_t i = 0; i < DTLS_COOKIE_LEN; i++)
		differ |= want[i] ^ hello->cookie.data[i];
	explicit_bzero(want, sizeof(want));
	return differ == 0;
}

void dtls_hvr_make(const struct dtls_hello *hello, const uint8_t cookie[DTLS_COOKIE_LEN],
	uint8_t out[DTLS_HVR_LEN]) {
	size_t body_len = 2 + 1 + DTLS_COOKIE_LEN;

	memset(out, 0, DTLS_HVR_LEN);
	out[0] = DTLS_HANDSHAKE;
	// The version says nothing yet: 1.0 whatever follows (RFC 6347, 4.2.1).
	out[1] = 0xfe;
	out[2] = 0xff;
	bytes_put(out + 5, 6, hello->record_seq);
	bytes_put(out + 11, 2, HANDSHAKE_HEADER + body_len);
	out[13] = HELLO_VERIFY_REQUEST;
	bytes_put(out + 14, 3, body_len);
	// message_seq 0, fragment_offset 0
	bytes_put(out + 22, 3, body_len);
	out[25] = 0xfe;
	out[26] = 0xff;
	out[27] = DTLS_COOKIE_LEN;
	memcpy(out + 28, cookie, DTLS_COOKIE_LEN);
}
