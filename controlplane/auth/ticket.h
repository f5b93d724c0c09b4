// SPDX-License-Identifier: GPL-3.0-or-later
// The keys of TLS session tickets, made from the cookie secret and the time. No I/O.
#pragma once

#include <stdint.h>
#include <time.h>

#include "controlplane/ipc/msg.h"
#include "yang/config.h"

#define TICKET_PERIOD_MIN_S 3600u

// Seconds for which a key seals: an hour, or the life of a ticket where that is longer. So a
// ticket that is not too old was sealed with the key of this period or of the one before.
uint32_t ticket_period(const struct cfg *cfg);

// The keys of the period that holds `now` and of the one before, by HKDF-SHA256 (RFC 5869): the
// same for all who ask with the same secret. The caller wipes *out. 0 or -EIO.
int ticket_keys_make(
	const uint8_t cookie_secret[32], uint32_t period, time_t now, struct ipc_ticket_keys *out);
