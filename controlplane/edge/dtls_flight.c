// SPDX-License-Identifier: GPL-3.0-or-later
// A bounded table of last server flights by tuple, oldest out first. Called by dtls.c.
#include "dtls_flight.h"

#include <string.h>

bool dtls_tuple_equal(const struct abi_tuple *a, const struct abi_tuple *b) {
	return memcmp(a, b, sizeof(*a)) == 0;
}

// FNV-1a: the tables are small, and only addresses that proved themselves get in.
uint32_t dtls_tuple_hash(const struct abi_tuple *tuple) {
	const uint8_t *p = (const uint8_t *)tuple;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof(*tuple); i++)
		hash = (hash ^ p[i]) * 16777619u;
	return hash ^ hash >> 16;
}

void dtls_flights_init(struct dtls_flights *flights) {
	memset(flights, 0, sizeof(*flights));
	for (uint32_t i = 0; i < DTLS_FLIGHTS; i++)
		flights->bucket[i] = -1;
}

static int32_t *bucket_of(struct dtls_flights *flights, const struct abi_tuple *tuple) {
	return &flights->bucket[dtls_tuple_hash(tuple) % DTLS_FLIGHTS];
}

static void forget(struct dtls_flights *flights, struct dtls_flight *flight) {
	int32_t *link = bucket_of(flights, &flight->tuple);
	int32_t index = (int32_t)(flight - flights->flight);

	while (*link >= 0 && *link != index)
		link = &flights->flight[*link].next;
	if (*link == index)
		*link = flight->next;
	memset(flight, 0, sizeof(*flight));
}

static struct dtls_flight *find(struct dtls_flights *flights, const struct abi_tuple *tuple) {
	int32_t index = *bucket_of(flights, tuple);

	while (index >= 0 && !dtls_tuple_equal(&flights->flight[index].tuple, tuple))
		index = flights->flight[index].next;
	return index >= 0 ? &flights->flight[index] : NULL;
}

void dtls_flights_keep(
	struct dtls_flights *flights, const struct dtls_flight *flight, uint64_t now_ms) {
	struct dtls_flight *slot = find(flights, &flight->tuple);
	int32_t *bucket;

	if (slot)
		forget(flights, slot);
	slot = &flights->flight[flights->oldest++ % DTLS_FLIGHTS];
	if (slot->used)
		forget(flights, slot);
	*slot = *flight;
	slot->used = true;
	slot->made_ms = now_ms;
	slot->sent_ms = now_ms;
	bucket = bucket_of(flights, &slot->tuple);
	slot->next = *bucket;
	*bucket = (int32_t)(slot - flights->flight);
}

const struct dtls_flight *dtls_flights_repeat(
	struct dtls_flights *flights, const struct abi_tuple *tuple, uint64_t now_ms) {
	struct dtls_flight *flight = find(flights, tuple);

	if (!flight)
		return NULL;
	if (now_ms - flight->made_ms > DTLS_FLIGHT_MS) {
		forget(flights, flight);
		return NULL;
	}
	if (!flight->nb || now_ms - flight->sent_ms < DTLS_FLIGHT_GAP_MS)
		return NULL;
	flight->sent_ms = now_ms;
	return flight;
}

bool dtls_flights_recent(
	const struct dtls_flights *flights, struct abi_sid sid, uint64_t now_ms, uint64_t ms) {
	// Newest first; they are in order of time, so the first that is too old ends the search.
	for (uint32_t i = 1; i <= DTLS_FLIGHTS; i++) {
		const struct dtls_flight *flight =
			&flights->flight[(flights->oldest - i) % DTLS_FLIGHTS];

		if (!flight->used)
			continue;
		if (now_ms - flight->made_ms >= ms)
			return false;
		if (flight->sid.index == sid.index && flight->sid.generation == sid.generation)
			return true;
	}
	return false;
}

bool dtls_flight_add(struct dtls_flight *flight, const uint8_t *data, size_t len) {
	size_t used = 0;

	for (unsigned i = 0; i < flight->nb; i++)
		used += flight->len[i];
	if (flight->nb >= DTLS_FLIGHT_DATAGRAMS || len > DTLS_FLIGHT_BYTES - used)
		return false;
	memcpy(flight->bytes + used, data, len);
	flight->len[flight->nb++] = (uint16_t)len;
	return true;
}
