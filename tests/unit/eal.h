// SPDX-License-Identifier: GPL-3.0-or-later
// DPDK for unit tests: no huge pages, no devices of the machine, one lcore.
#pragma once

#include <rte_eal.h>
#include <rte_mbuf.h>

static inline int test_eal_init(void) {
	static char *args[] = {(char *)"test", (char *)"--no-huge", (char *)"-m", (char *)"128",
		(char *)"--no-pci", (char *)"--no-telemetry", (char *)"--no-shconf",
		(char *)"--lcores", (char *)"0", (char *)"--log-level", (char *)"4"};

	return rte_eal_init((int)RTE_DIM(args), args);
}
