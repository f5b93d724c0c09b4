// SPDX-License-Identifier: GPL-3.0-or-later
// What tests/bench/peer puts into DPDK's ipsec-secgw: its ports, its packets and its stopwatch.
#pragma once

#include <stdbool.h>

// Makes the two ports on rings: 0 is the LAN, 1 the WAN. After rte_eal_init; exits on failure.
void peer_ports_make(void);

// True: the ports tell packet types, as most NICs do; else the gateway must look for itself.
bool peer_ptypes(void);

// Called before each turn of the worker's loop; false: all is measured, leave the loop.
bool peer_turn(void);
