// SPDX-License-Identifier: GPL-3.0-or-later
// The tunnel nodes in a real graph, with real crypto and a real session table, between a source
// and two sinks of the test: what goes in at dtls-decode, tunnel-in and tunnel-out, and what comes out.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <rte_graph.h>
#include <rte_mbuf.h>

#include "dataplane/node/tunnel.h"
#include "dataplane/port.h"
#include "dataplane/pkt.h"
#include "dataplane/stats.h"
#include "dataplane/table/session.h"
#include "dataplane/worker.h"

#define CAPTURE 256u
#define EVENTS 64u

// Packets that left the nodes.
struct capture {
	struct rte_mbuf *m[CAPTURE];
	unsigned n;
};

extern struct capture to_l3, to_outer, to_other, to_stream;
extern struct abi_evt events[EVENTS];
extern unsigned nb_events;

// The node that a walk starts at.
enum {
	TO_DECODE,
	TO_IN,
	TO_OUT,
	TO_ENCODE,
	TO_MAX
};

// The client's end of a channel.
struct client {
	struct abi_sid sid;
	struct abi_tuple tuple;
	uint8_t cipher, iv[12];
	struct dp_key *seal, *open;
	uint64_t seq;
	uint8_t key_byte;
};

// Of the group: EAL, one worker that runs, the tables, the graph.
int tunnel_setup(void **state);
// Every buffer came back: no node lost one.
int tunnel_teardown(void **state);
// Frees what arrived there.
void forget(struct capture *c);
// IPv4 addresses as the boundary has them.
struct abi_addr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
// Even indexes belong to worker 0, which runs; odd ones to worker 1.
struct client client_new(uint32_t index, uint8_t cipher);
// New DTLS keys, as after a handshake; the old ones are left to the caller.
void client_keys(struct client *c, uint8_t cipher, uint8_t key_byte);
// Ends the session and frees what the test left in the captures.
void client_end(struct client *c);
// An empty datagram from `tuple`.
struct rte_mbuf *datagram(const struct abi_tuple *tuple);
// Adds a record to the datagram.
void record(struct client *c, struct rte_mbuf *m, uint8_t type, const void *text, uint16_t n);
// A datagram of one record of application data.
struct rte_mbuf *sealed(struct client *c, const void *text, uint16_t n);
// Frame byte and an IPv4 UDP packet from 10.0.0.`host`.
uint16_t inner(uint8_t *out, uint8_t host, uint16_t len);
// One walk of the graph with these packets into the node behind `edge`.
void run(rte_edge_t edge, struct rte_mbuf **pkts, unsigned n);
// One datagram into dtls-decode.
void decode(struct rte_mbuf *m);
// Of worker 0.
uint64_t counter(enum abi_counter c);

#define COUNTED(name, n, what) \
	do { \
		uint64_t before_ = counter(ABI_C_##name); \
		what; \
		assert_int_equal(counter(ABI_C_##name) - before_, n); \
	} while (0)
