// SPDX-License-Identifier: GPL-3.0-or-later
// ESP tunnel packets (RFC 4303, 4106, 7634) made and opened by ipsec-mb, for peer_feed.c alone.
#pragma once

#include <stdint.h>

#include <rte_ip.h>

// The addresses of the configuration that tests/bench/peer writes for ipsec-secgw.
#define PEER_SERVER RTE_BE32(RTE_IPV4(10, 8, 0, 7)) // in the LAN
#define PEER_CLIENT RTE_BE32(RTE_IPV4(10, 9, 0, 7)) // behind the tunnel
#define PEER_GATEWAY RTE_BE32(RTE_IPV4(192, 0, 2, 1))
#define PEER_REMOTE RTE_BE32(RTE_IPV4(198, 51, 100, 2)) // the tunnel's other end
#define PEER_SPI_OUT 5u
#define PEER_SPI_IN 105u

// `key`: key and salt as hexadecimal bytes between colons; both directions use it. 0 or -EINVAL.
int peer_esp_init(const char *cipher, const char *key);

// Bytes of the outer IPv4 packet around an inner one.
unsigned peer_esp_len(unsigned inner_len);

// Writes the next packet (its sequence number is one more than the last's) from the client.
void peer_esp_seal(uint8_t *packet, const uint8_t *inner, unsigned inner_len);

// Opens what the gateway sent. 0, or -EBADMSG: not ESP for the client, or not authentic.
int peer_esp_open(uint8_t *inner, const uint8_t *packet, unsigned inner_len);
