// SPDX-License-Identifier: GPL-3.0-or-later
// The keys of the configured issuer: fetched, kept while they are good, fetched again.
#pragma once

#include "controlplane/fetch/fetch.h"
#include "keys.h"
#include "yang/config.h"

struct jwks;

// `changed` is told after each fetch, whatever came of it. NULL: no memory. Owns neither `fetch` nor
// the configuration.
struct jwks *jwks_new(
	struct event_base *base, struct fetch *fetch, void (*changed)(void *arg), void *arg);
void jwks_free(struct jwks *jwks);
// Another configuration is in force, which stays until the next call: fetches. Keys of another
// issuer are forgotten. An empty issuer: none.
void jwks_configure(struct jwks *jwks, const struct cfg_oidc *cfg);

// NULL: none that may still be used. Valid until the next fetch ends.
const struct oidc_keys *jwks_keys(struct jwks *jwks);
// A token needs a key that is not there. True: a fetch is under way, `changed` will be told; false:
// not now, because the last one was not long ago.
bool jwks_want(struct jwks *jwks);
// The last fetch came to nothing.
bool jwks_is_stale(const struct jwks *jwks);
