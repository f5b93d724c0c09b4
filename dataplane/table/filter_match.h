// SPDX-License-Identifier: GPL-3.0-or-later
// The rules of a filter made ready for packets, and what they say of one. Pure: no table, no DPDK.
// Made by table/filter.c, asked by l3-forward; fuzzed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/cmd.h"
#include "dataplane/proto/ip.h"

struct filter_range4 {
	uint32_t low, high; // host byte order, inclusive
};

struct filter_range6 {
	unsigned __int128 low, high;
};

struct filter_ports {
	uint16_t low, high; // host byte order, inclusive
};

// Of TCP, UDP and SCTP: which ports of the far end are open. Nothing, everything, or what the
// ranges say: then a packet must show its port.
struct filter_service {
	bool all;
	uint32_t nb;
	struct filter_ports *ports; // sorted, apart from each other
};

enum filter_service_of {
	FILTER_TCP,
	FILTER_UDP,
	FILTER_SCTP,
	FILTER_SERVICES,
};

// Written once, then read by all.
struct filter_rules {
	bool any_route; // every network
	bool any_service; // every protocol and port
	bool icmp, icmp6, esp, other; // open; with any_service all are
	uint32_t nb4, nb6; // networks, as ranges: sorted, apart from each other
	uint32_t nb_dns4, nb_dns6; // each sorted
	struct filter_range4 *route4;
	struct filter_range6 *route6;
	uint32_t *dns4;
	unsigned __int128 *dns6;
	struct filter_service service[FILTER_SERVICES];
};

enum filter_verdict {
	FILTER_PASS = 0,
	FILTER_ROUTE, // a network that is not open
	FILTER_PORT, // a protocol or port that is not open
	FILTER_FRAGMENT, // it may or may not be open: this fragment does not show it
};

// Makes the rules, which dp_cmd_validate has found valid, ready. 0 or -ENOMEM; then nothing is left.
int filter_rules_make(
	struct filter_rules *out, uint32_t flags, const struct abi_filter_rule *rules, unsigned nb);
void filter_rules_free(struct filter_rules *rules);

// What the rules say of the packet at `ip` that was parsed into `info`. to_client: it comes from the
// far end, whose address and port are then its source. Fragments: the first must hold the ports
// where they matter; a later one passes only where its protocol passes with any port, over IPv6
// (where a later fragment need not tell its protocol's truth: RFC 8200, 4.5) only without any rules
// about services. Source routes (IPv4 options, IPv6 routing headers with segments left) do not
// pass: the far end is another than the header says. ICMP errors pass when what they quote does.
enum filter_verdict filter_match(const struct filter_rules *rules, const uint8_t *ip,
	const struct ip_info *info, bool to_client);
