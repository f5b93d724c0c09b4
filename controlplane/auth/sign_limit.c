// SPDX-License-Identifier: GPL-3.0-or-later
// How many signatures each edge may have: one a handshake, and so many a second; called by auth.c.
//
// Handshakes end in another order than they begin in: the numbers that had their signature are a
// window of bits below the highest of them, wider than an edge has connections.

#include "sign_limit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/abi/abi.h"

#define WINDOW (UINT64_C(1) << 17)
#define WORDS (WINDOW / 64)
#define SECOND_MS 1000u

struct of_edge {
	uint64_t *seen; // a bit a number, at its remainder; NULL before the first
	uint64_t top; // highest number that had one
	uint64_t tokens, filled_ms; // thousandths of a signature; a second's worth at most
	uint64_t refused;
};

struct sign_limits {
	struct of_edge edges[ABI_EDGES_MAX];
};

struct sign_limits *sign_limits_new(void) {
	return calloc(1, sizeof(struct sign_limits));
}

void sign_limits_free(struct sign_limits *limits) {
	if (limits == NULL)
		return;
	for (unsigned i = 0; i < ABI_EDGES_MAX; i++)
		free(limits->edges[i].seen);
	free(limits);
}

void sign_limits_reset(struct sign_limits *limits, unsigned edge) {
	struct of_edge *of = &limits->edges[edge];

	// The rate goes on: a process that is started again and again gets no more by it.
	free(of->seen);
	of->seen = NULL;
	of->top = 0;
}

uint64_t sign_limits_refused(const struct sign_limits *limits, unsigned edge) {
	return limits->edges[edge].refused;
}

static uint64_t *word_of(struct of_edge *of, uint64_t number) {
	return &of->seen[number % WINDOW / 64];
}

static uint64_t bit_of(uint64_t number) {
	return UINT64_C(1) << number % 64;
}

// The numbers between the highest so far and this one had none.
static void advance(struct of_edge *of, uint64_t number) {
	if (number - of->top >= WINDOW)
		memset(of->seen, 0, WORDS * sizeof(*of->seen));
	else
		for (uint64_t i = of->top + 1; i <= number; i++)
			*word_of(of, i) &= ~bit_of(i);
	of->top = number;
}

static int number_take(struct of_edge *of, uint64_t number) {
	if (of->seen == NULL)
		of->seen = calloc(WORDS, sizeof(*of->seen));
	if (of->seen == NULL)
		return -ENOMEM;
	if (number == 0)
		return -EEXIST;
	if (number > of->top)
		advance(of, number);
	else if (of->top - number >= WINDOW)
		return -EBUSY;
	else if (*word_of(of, number) & bit_of(number))
		return -EEXIST;
	*word_of(of, number) |= bit_of(number);
	return 0;
}

static bool token_take(struct of_edge *of, uint32_t rate, uint64_t now_ms) {
	uint64_t full = (uint64_t)rate * SECOND_MS;
	uint64_t since_ms = now_ms - of->filled_ms;

	of->tokens += (since_ms < SECOND_MS ? since_ms : SECOND_MS) * rate;
	if (of->tokens > full)
		of->tokens = full;
	of->filled_ms = now_ms;
	if (of->tokens < SECOND_MS)
		return false;
	of->tokens -= SECOND_MS;
	return true;
}

int sign_limits_take(struct sign_limits *limits, unsigned edge, uint64_t handshake, uint32_t rate,
	uint64_t now_ms) {
	struct of_edge *of = &limits->edges[edge];
	int ret = number_take(of, handshake);

	if (ret == 0 && rate > 0 && !token_take(of, rate, now_ms))
		ret = -EBUSY;
	of->refused += ret == -EBUSY;
	return ret;
}
