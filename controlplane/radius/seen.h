// SPDX-License-Identifier: GPL-3.0-or-later
// Requests that were there already, and what they were answered. Used by dynauth.c.
//
// A request is known by its sender's address and its Request Authenticator, which is a digest of all
// of it with the secret: sent again, by whomever and from whatever port, it gets the same bytes as
// answer and nothing is done (RFC 5176, 2.3 and 6.3). Kept for as long as its Event-Timestamp is in
// the window; a full table takes no new ones, for making room would let an old one act again.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"
#include "packet.h"

#define SEEN_MAX 65536u

struct seen;

struct seen_request {
	uint8_t *answer; // NULL: not decided yet
	size_t len;
};

struct seen *seen_new(void); // NULL: no memory
void seen_free(struct seen *seen);
// Forgets those that are older. Times are CLOCK_MONOTONIC seconds.
void seen_expire(struct seen *seen, uint64_t before_s);
struct seen_request *seen_find(
	struct seen *seen, const struct abi_addr *client, const uint8_t vector[RPACKET_VECTOR_LEN]);
// NULL: full, or no memory.
struct seen_request *seen_add(struct seen *seen, const struct abi_addr *client,
	const uint8_t vector[RPACKET_VECTOR_LEN], uint64_t now_s);
// Copies the answer. No memory: then one sent again gets none, and is not acted on either.
void seen_answer(struct seen_request *request, const uint8_t *bytes, size_t len);
// Nothing came of it: it may come again.
void seen_forget(struct seen *seen, struct seen_request *request);
