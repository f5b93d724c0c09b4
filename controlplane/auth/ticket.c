// SPDX-License-Identifier: GPL-3.0-or-later
// The keys of TLS session tickets, made from the cookie secret and the time; called by tickets.c.

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include <errno.h>
#include <string.h>

#include "controlplane/proc/bytes.h"
#include "ticket.h"

#define LIFETIME_DEFAULT 300u // when the configuration sets no cookie timeout
#define LIFETIME_MAX (7u * 86400u) // RFC 8446, 4.6.1

static const char label[] = "penstock session ticket key";

uint32_t ticket_period(const struct cfg *cfg) {
	uint32_t lifetime = cfg->auth.cookie_timeout ? cfg->auth.cookie_timeout : LIFETIME_DEFAULT;

	if (lifetime > LIFETIME_MAX)
		lifetime = LIFETIME_MAX;
	return lifetime > TICKET_PERIOD_MIN_S ? lifetime : TICKET_PERIOD_MIN_S;
}

// The period is part of the label: slot numbers of two periods name different times.
static int key_make(
	const uint8_t *cookie_secret, uint32_t period, uint64_t slot, struct ipc_ticket_key *out) {
	uint8_t info[sizeof(label) + 16];

	memcpy(info, label, sizeof(label));
	bytes_put(info + sizeof(label), 8, period);
	bytes_put(info + sizeof(label) + 8, 8, slot);
	_Static_assert(sizeof(*out) == 48, "name and key, without padding");
	return wc_HKDF(WC_SHA256, cookie_secret, 32, NULL, 0, info, sizeof(info), (byte *)out,
		       sizeof(*out)) == 0
		? 0
		: -EIO;
}

int ticket_keys_make(
	const uint8_t cookie_secret[32], uint32_t period, time_t now, struct ipc_ticket_keys *out) {
	uint64_t slot = (uint64_t)now / period;

	memset(out, 0, sizeof(*out));
	if (key_make(cookie_secret, period, slot, &out->keys[0]) == 0 &&
		key_make(cookie_secret, period, slot - 1, &out->keys[1]) == 0)
		return 0;
	explicit_bzero(out, sizeof(*out));
	return -EIO;
}
