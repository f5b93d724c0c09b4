// SPDX-License-Identifier: GPL-3.0-or-later
// The clients and the LAN host of the benchmarks: sessions in the dataplane's table, the frames
// that they send, and the check of what comes out at the other side.
//
// Client number n has session index n, an inner address, and an outer address of its own. All
// clients of a cipher have the same key bytes, which spares the generator a million key schedules;
// the dataplane has its own schedules for each of them, as always.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "tests/bench/lib/bare.h"

enum direction {
	DOWN, // from the LAN to the client: encrypt
	UP, // from the client to the LAN: decrypt
};

struct client {
	uint64_t up_seq; // of its next record
	uint64_t down_seq; // of the dataplane's last record, without epoch; 0: none yet
	uint64_t sent, received; // numbers of its packets in this benchmark
	uint8_t cipher; // enum abi_cipher
};

extern struct client *clients;
extern uint32_t nb_clients;

// Room for `max` clients; bare_init is called. 0 or -errno.
int traffic_init(uint32_t max);
// Clients that are added from now on are held to the host on the LAN and a few ports. 0 or -errno.
int traffic_filter(void);
// Adds `n` clients to the dataplane's session table and gives them a DTLS channel. 0 or -errno.
int traffic_clients_add(uint32_t n, uint8_t cipher);

// A new frame in an empty packet, its inner IP packet `size` bytes long. checked: say, as a NIC
// does, that checksums are good; else they are left to the dataplane.
void traffic_make(
	struct rte_mbuf *m, enum direction dir, uint32_t client, uint16_t size, bool checked);

// Whose packet it is and how long its inner packet was; from the tag that traffic_make put into
// the headroom. False: none of ours.
bool traffic_tag(const struct rte_mbuf *m, uint32_t *client, uint16_t *size);
// Counts the packet as received. False: an earlier one of the same client came after a later one.
bool traffic_in_order(const struct rte_mbuf *m);
// Opens or compares the whole frame that came out. NULL: all is as it must be; else what is not.
// offloaded: the UDP checksum was left to the NIC.
const char *traffic_check(const struct rte_mbuf *m, enum direction dir, bool offloaded);

// The record that a packet of `size` inner bytes makes: for the bare crypto call.
struct traffic_record {
	uint8_t nonce[12], aad[13];
	unsigned text_at, text_len;
};
void traffic_record(struct traffic_record *record, uint8_t cipher, uint16_t size);
// The clients' key of one direction.
const struct bare_key *traffic_key(enum direction dir, uint8_t cipher);

const char *traffic_cipher_name(uint8_t cipher);
const char *traffic_direction_name(enum direction dir);
