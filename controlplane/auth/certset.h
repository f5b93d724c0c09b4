// SPDX-License-Identifier: GPL-3.0-or-later
// All certificates of a configuration with their keys: loaded together, refused together.
#pragma once

#include "cert.h"
#include "controlplane/proc/child.h"

// The generation is made from the certificates themselves: the same ones get the same number again
// after this process was restarted, so that handshakes that wait for a signature go on.
struct certset {
	uint32_t generation;
	size_t nb_pairs;
	struct cert_pair *pairs[];
};

// Asks the supervisor for the files of cfg->certificates and builds a set. `done` is called once,
// from the event loop or from here: with the set (its owner is the callee), or with NULL and a
// text for people that names the file. `cfg` must stay until then.
void certset_load(struct child *child, const struct cfg *cfg,
	void (*done)(struct child *child, struct certset *set, const char *text));
void certset_free(struct certset *set);
