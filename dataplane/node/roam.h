// SPDX-License-Identifier: GPL-3.0-or-later
// Finds the session of a record that came from an address nobody has: its client's NAT moved.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/proto/dtls12.h"
#include "dataplane/table/session.h"

// The session whose keys open the record, by trial among the sessions of the same client address;
// NULL: none, and the reason is in *reason (enum abi_counter). The packet is not changed. Bounded
// by ROAM_CANDIDATES trials a packet and a rate a worker. Packet worker.
struct dp_session *roam_find(
	struct rte_mbuf *m, const struct dtls12_record *record, uint64_t now, int *reason);
