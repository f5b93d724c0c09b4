// SPDX-License-Identifier: GPL-3.0-or-later
// The DTLS ClientHello as the network sends it, and the stateless answer to it. Used by dtls.c.
//
// Nothing here allocates or keeps state, and the answer is never larger than the question: an
// address that has not shown that it receives our datagrams costs one parse and one HMAC.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"
#include "dataplane/abi/abi.h"

#define DTLS_COOKIE_LEN 32u
#define DTLS_SECRET_LEN 32u
#define DTLS_PEER_LEN 36u
#define DTLS_HVR_LEN 60u // record header 13, handshake header 12, version 2, length 1, cookie
#define DTLS_RECORD_HEADER 13u
#define DTLS_EXT_APP_ID 48018u

enum dtls_content {
	DTLS_CHANGE_CIPHER_SPEC = 20,
	DTLS_ALERT = 21,
	DTLS_HANDSHAKE = 22,
	DTLS_APPLICATION_DATA = 23,
};

struct dtls_bytes {
	const uint8_t *data; // into the datagram
	size_t len;
};

struct dtls_hello {
	uint64_t record_seq; // 48 bits, epoch 0
	uint16_t message_seq;
	const uint8_t *version; // 2 bytes
	const uint8_t *random; // 32 bytes, not all zero
	struct dtls_bytes session_id; // 0..32
	struct dtls_bytes cookie; // 0..255
	struct dtls_bytes suites; // even, at least 2
	struct dtls_bytes compressions; // holds 0
	struct dtls_bytes app_id; // extension 48018: IPC_APP_ID_LEN bytes, else empty
};

// Parses a datagram that begins with one unfragmented ClientHello in a record of epoch 0.
// False: it is not that, or its random is all zero. Bytes behind the record are not looked at.
bool dtls_hello_parse(const uint8_t *data, size_t len, struct dtls_hello *hello);

// The id that names the session: the extension when it is there, else the session id; NULL when
// neither has IPC_APP_ID_LEN bytes.
const uint8_t *dtls_hello_app_id(const struct dtls_hello *hello);

// The peer as the cookie covers it: both addresses and ports.
void dtls_peer(const struct abi_tuple *tuple, uint8_t peer[DTLS_PEER_LEN]);

// HMAC-SHA256 over peer, version, random, session id, suites and compressions: what wolfSSL
// computes for the same hello, so that its own check of the second hello passes. 0 or -EIO.
int dtls_cookie_make(const uint8_t secret[DTLS_SECRET_LEN], const uint8_t peer[DTLS_PEER_LEN],
	const struct dtls_hello *hello, uint8_t cookie[DTLS_COOKIE_LEN]);
// Constant time in the cookie's bytes.
bool dtls_cookie_ok(const uint8_t secret[DTLS_SECRET_LEN], const uint8_t peer[DTLS_PEER_LEN],
	const struct dtls_hello *hello);

// The HelloVerifyRequest of RFC 6347, 4.2.1.
void dtls_hvr_make(const struct dtls_hello *hello, const uint8_t cookie[DTLS_COOKIE_LEN],
	uint8_t out[DTLS_HVR_LEN]);

// One record header of a datagram, for those who look at whole flights.
struct dtls_record {
	uint8_t type;
	uint16_t epoch;
	uint64_t seq;
	const uint8_t *body;
	size_t len;
};
// Takes the next record from *data..end. False at the end or when it does not fit.
bool dtls_record_next(const uint8_t **data, const uint8_t *end, struct dtls_record *record);
