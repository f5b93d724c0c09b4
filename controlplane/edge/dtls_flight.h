// SPDX-License-Identifier: GPL-3.0-or-later
// The last server flight of finished handshakes, kept to be sent again verbatim. Used by dtls.c.
//
// The server's Finished may be lost after the handshake object is gone; the client then repeats
// its own (RFC 6347, 4.2.4). The bytes kept are what was on the wire: no keys.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"

#define DTLS_FLIGHTS 1024u // kept at once; the oldest gives way
#define DTLS_FLIGHT_BYTES 512u // of all datagrams of one flight
#define DTLS_FLIGHT_DATAGRAMS 4u
#define DTLS_FLIGHT_MS 10000u
#define DTLS_FLIGHT_GAP_MS 200u // between two repetitions, at least

struct dtls_flight {
	struct abi_tuple tuple;
	struct abi_sid sid;
	uint64_t made_ms, sent_ms;
	uint16_t len[DTLS_FLIGHT_DATAGRAMS];
	uint8_t nb;
	bool used;
	uint8_t bytes[DTLS_FLIGHT_BYTES];
	int32_t next; // in its hash bucket, -1: end
};

struct dtls_flights {
	struct dtls_flight flight[DTLS_FLIGHTS];
	int32_t bucket[DTLS_FLIGHTS];
	uint32_t oldest; // next to be given away
};

void dtls_flights_init(struct dtls_flights *flights);
// Keeps `flight` (bytes, len, nb set) for its tuple; an earlier one of the tuple is forgotten.
void dtls_flights_keep(
	struct dtls_flights *flights, const struct dtls_flight *flight, uint64_t now_ms);
// The flight to repeat now, or NULL: none, too old, or repeated a moment ago.
const struct dtls_flight *dtls_flights_repeat(
	struct dtls_flights *flights, const struct abi_tuple *tuple, uint64_t now_ms);
// A handshake of this session ended less than `ms` ago.
bool dtls_flights_recent(
	const struct dtls_flights *flights, struct abi_sid sid, uint64_t now_ms, uint64_t ms);

// Adds a datagram; false when there is no room (then the flight cannot be kept).
bool dtls_flight_add(struct dtls_flight *flight, const uint8_t *data, size_t len);
bool dtls_tuple_equal(const struct abi_tuple *a, const struct abi_tuple *b);
uint32_t dtls_tuple_hash(const struct abi_tuple *tuple);
