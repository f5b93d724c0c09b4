// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers in network byte order, wherever they lie. Used by the record codecs.
#pragma once

#include <stdint.h>
#include <string.h>

static inline uint16_t get16(const uint8_t *p) {
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void put16(uint8_t *p, uint16_t value) {
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline uint64_t get64(const uint8_t *p) {
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return __builtin_bswap64(value);
}

static inline void put64(uint8_t *p, uint64_t value) {
	value = __builtin_bswap64(value);
	memcpy(p, &value, sizeof(value));
}
