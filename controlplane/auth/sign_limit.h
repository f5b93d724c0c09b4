// SPDX-License-Identifier: GPL-3.0-or-later
// How many signatures each edge may have: one a handshake, and so many a second; called by auth.c.
#pragma once

#include <stdint.h>

struct sign_limits;

// NULL: no memory.
struct sign_limits *sign_limits_new(void);
void sign_limits_free(struct sign_limits *limits);

// Another process is this edge now, which counts from 1 again.
void sign_limits_reset(struct sign_limits *limits, unsigned edge);

// `rate`: signatures a second, 0: any number; `now_ms`: CLOCK_MONOTONIC. 0, and the signature is
// counted; -EEXIST: this handshake had one, or has no number; -EBUSY: too many a second, or so many
// others began after this one that it is forgotten; -ENOMEM.
int sign_limits_take(struct sign_limits *limits, unsigned edge, uint64_t handshake, uint32_t rate,
	uint64_t now_ms);
// Refused as -EBUSY so far, of one edge.
uint64_t sign_limits_refused(const struct sign_limits *limits, unsigned edge);
