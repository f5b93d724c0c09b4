// SPDX-License-Identifier: GPL-3.0-or-later
// ARP requests and neighbour solicitations, and the answers to them. Pure; used by arp-nd.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETH_HEADER 14u
#define ETH_TYPE_IP4 0x0800u
#define ETH_TYPE_ARP 0x0806u
#define ETH_TYPE_IP6 0x86ddu

#define ARP_FRAME (ETH_HEADER + 28u)
#define ND_ADVERT_FRAME (ETH_HEADER + 40u + 32u)

struct nd_request {
	bool v6;
	bool probe; // nobody's address yet: ARP probe (RFC 5227) or DAD (RFC 4862, 5.4)
	uint8_t target[16]; // v4: the first 4
	uint8_t sender[16];
	uint8_t mac[6]; // where the answer goes
};

// A whole Ethernet frame of `len` bytes: is it a request for an address? Gratuitous ARP is none.
bool arp_parse(const uint8_t *frame, size_t len, struct nd_request *request);
// RFC 4861, 7.1.1: hop limit 255, checksum and options are checked.
bool nd_parse(const uint8_t *frame, size_t len, struct nd_request *request);

// Writes the answer "target is at mac" as a whole frame; returns its length: ARP_FRAME or
// ND_ADVERT_FRAME bytes, which `out` must have.
size_t nd_answer_write(uint8_t *out, const struct nd_request *request, const uint8_t *mac);
