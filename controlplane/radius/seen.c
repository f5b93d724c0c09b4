// SPDX-License-Identifier: GPL-3.0-or-later
// A table of requests by their authenticators, which are random to whoever has no secret. Called by
// dynauth.c.
#include "seen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define BUCKETS 4096u // power of two

struct entry {
	struct seen_request request; // first: what callers hold
	LIST_ENTRY(entry) link;
	TAILQ_ENTRY(entry) by_age;
	struct abi_addr client;
	uint8_t vector[RPACKET_VECTOR_LEN];
	uint64_t since_s;
};

struct seen {
	LIST_HEAD(, entry) buckets[BUCKETS];
	TAILQ_HEAD(, entry) oldest;
	unsigned nb;
};

struct seen *seen_new(void) {
	struct seen *seen = calloc(1, sizeof(*seen));
	if (seen != NULL)
		TAILQ_INIT(&seen->oldest);
	return seen;
}

static unsigned bucket(const uint8_t *vector) {
	return (vector[0] | (unsigned)vector[1] << 8) & (BUCKETS - 1);
}

static void entry_free(struct seen *seen, struct entry *entry) {
	LIST_REMOVE(entry, link);
	TAILQ_REMOVE(&seen->oldest, entry, by_age);
	seen->nb--;
	free(entry->request.answer);
	free(entry);
}

void seen_free(struct seen *seen) {
	if (seen == NULL)
		return;
	while (!TAILQ_EMPTY(&seen->oldest))
		entry_free(seen, TAILQ_FIRST(&seen->oldest));
	free(seen);
}

void seen_expire(struct seen *seen, uint64_t before_s) {
	struct entry *entry;
	while ((entry = TAILQ_FIRST(&seen->oldest)) != NULL && entry->since_s < before_s)
		entry_free(seen, entry);
}

struct seen_request *seen_find(struct seen *seen, const struct abi_addr *client,
	const uint8_t vector[RPACKET_VECTOR_LEN]) {
	struct entry *entry;
	LIST_FOREACH(entry, &seen->buckets[bucket(vector)], link)
		if (memcmp(entry->vector, vector, RPACKET_VECTOR_LEN) == 0 &&
			memcmp(&entry->client, client, sizeof(*client)) == 0)
			return &entry->request;
	return NULL;
}

struct seen_request *seen_add(struct seen *seen, const struct abi_addr *client,
	const uint8_t vector[RPACKET_VECTOR_LEN], uint64_t now_s) {
	struct entry *entry = seen->nb < SEEN_MAX ? calloc(1, sizeof(*entry)) : NULL;
	if (entry == NULL)
		return NULL;
	entry->client = *client;
	memcpy(entry->vector, vector, RPACKET_VECTOR_LEN);
	entry->since_s = now_s;
	LIST_INSERT_HEAD(&seen->buckets[bucket(vector)], entry, link);
	TAILQ_INSERT_TAIL(&seen->oldest, entry, by_age);
	seen->nb++;
	return &entry->request;
}

void seen_answer(struct seen_request *request, const uint8_t *bytes, size_t len) {
	free(request->answer);
	request->answer = malloc(len);
	request->len = 0;
	if (request->answer == NULL)
		return;
	memcpy(request->answer, bytes, len);
	request->len = len;
}

void seen_forget(struct seen *seen, struct seen_request *request) {
	entry_free(seen, (struct entry *)request);
}
