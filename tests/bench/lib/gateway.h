// SPDX-License-Identifier: GPL-3.0-or-later
// The dataplane as main.c starts it, in a network namespace of its own, between memory ports: the
// rings behind its WAN and LAN port are the wires, whose other end the benchmarks hold.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ring.h>

#define GATEWAY_WORKERS_MAX 2u
#define GATEWAY_WAN 0u // index in dp_ports
#define GATEWAY_LAN 1u
#define GATEWAY_RING 8192u // frames

struct gateway_options {
	unsigned workers;
	// Of a single worker, and of the stream lcore; the same: the dataplane's own choice.
	unsigned cpu_worker, cpu_rest;
	uint32_t sessions_max;
	bool no_huge; // ordinary memory, which is slower
	const char *lan_device; // devargs of another memory port than the ring; NULL: the ring
	const char *wan_device;
};

// 0 or -errno; what went wrong was printed.
int gateway_start(const struct gateway_options *options);
// Starts the workers: when the caller has put its hooks on the ports.
int gateway_run(void);
void gateway_stop(void);

// What worker `w` receives from the port, and what it sends to it.
struct rte_ring *gateway_rx(unsigned port, unsigned w);
struct rte_ring *gateway_tx(unsigned port, unsigned w);
// The device's receive queue that worker `w` polls.
uint16_t gateway_queue(unsigned port, unsigned w);

// Does the WAN NIC write checksums? As with a device that has the offload, or without.
void gateway_offload(bool on);

// Does it run in huge pages? Where there are too few, it does without.
bool gateway_hugepages(void);

// Bytes of memory that the process has in use: resident pages and huge pages.
uint64_t gateway_memory(void);
// What it was when gateway_start had made the packet buffers, and nothing for sessions yet.
uint64_t gateway_memory_booting(void);
