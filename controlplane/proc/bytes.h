// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers in network byte order, and secrets compared. Used by auth, edge and session.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The number in `len` bytes, at most 8.
static inline uint64_t bytes_get(const uint8_t *p, size_t len) {
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++)
		value = value << 8 | p[i];
	return value;
}

// The low `len` bytes of `value`.
static inline void bytes_put(uint8_t *p, size_t len, uint64_t value) {
	while (len-- > 0) {
		p[len] = (uint8_t)value;
		value >>= 8;
	}
}

// Looks at every byte whatever comes first: fit for secrets.
static inline bool bytes_zero(const uint8_t *p, size_t len) {
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return any == 0;
}

// Looks at every byte wherever they differ: fit for secrets.
static inline bool bytes_same(const void *a, const void *b, size_t len) {
	const uint8_t *left = a, *right = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= left[i] ^ right[i];
	return diff == 0;
}
