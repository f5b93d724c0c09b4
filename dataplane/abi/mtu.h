// SPDX-License-Identifier: GPL-3.0-or-later
// From a link's MTU to the largest inner packet of a channel: one formula for both sides.
//
// Everything is in bytes. protocol.md 3.5: an IPv4 link of 1,500 and AES-GCM give 1,434.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"

#define ABI_MTU_IPV4_HEADER 20u
#define ABI_MTU_IPV6_HEADER 40u
#define ABI_MTU_UDP_HEADER 8u
#define ABI_MTU_TCP_HEADER 32u // with the timestamps option (RFC 7323), as kernels send it
#define ABI_MTU_DTLS_HEADER 13u // RFC 6347, 4.1
#define ABI_MTU_TLS_HEADER 5u // RFC 8446, 5.1
#define ABI_MTU_GCM_NONCE 8u // explicit part in DTLS 1.2 and TLS 1.2 records (RFC 5288, 3)
#define ABI_MTU_TAG 16u // all three ciphers
#define ABI_MTU_DTLS_TYPE 1u // AnyConnect frame type before each packet
#define ABI_MTU_CSTP_HEADER 8u
#define ABI_MTU_TLS13_TYPE 1u // inner content type (RFC 8446, 5.2)

#define ABI_MTU_MIN4 576u // every IPv4 host takes it (RFC 791)
#define ABI_MTU_MIN6 1280u // IPv6 is not to be offered below it (RFC 8200, 5)

// What a DTLS 1.2 record adds to an inner packet, without UDP and IP; 0 for no such cipher.
static inline uint32_t abi_mtu_dtls_overhead(enum abi_cipher cipher) {
	switch (cipher) {
	case ABI_AES_128_GCM:
	case ABI_AES_256_GCM:
		return ABI_MTU_DTLS_HEADER + ABI_MTU_GCM_NONCE + ABI_MTU_TAG + ABI_MTU_DTLS_TYPE;
	case ABI_CHACHA20_POLY1305: // its nonce is implicit (RFC 7905, 2)
		return ABI_MTU_DTLS_HEADER + ABI_MTU_TAG + ABI_MTU_DTLS_TYPE;
	}
	return 0;
}

// What a TLS record with one CSTP frame adds to an inner packet, without TCP and IP.
static inline uint32_t abi_mtu_tls_overhead(enum abi_version version, enum abi_cipher cipher) {
	uint32_t overhead = ABI_MTU_TLS_HEADER + ABI_MTU_TAG + ABI_MTU_CSTP_HEADER;

	if (version == ABI_TLS13)
		return overhead + ABI_MTU_TLS13_TYPE;
	return cipher == ABI_CHACHA20_POLY1305 ? overhead : overhead + ABI_MTU_GCM_NONCE;
}

static inline uint16_t abi_mtu_less(uint32_t link_mtu, uint32_t overhead) {
	if (link_mtu > UINT16_MAX)
		link_mtu = UINT16_MAX;
	return link_mtu > overhead ? (uint16_t)(link_mtu - overhead) : 0;
}

// Largest inner packet over DTLS on a link; outer6: the outer header is IPv6. 0: none fits, or
// no such cipher. The caller compares with ABI_MTU_MIN4/6.
static inline uint16_t abi_mtu_dtls(uint32_t link_mtu, bool outer6, enum abi_cipher cipher) {
	uint32_t record = abi_mtu_dtls_overhead(cipher);

	if (record == 0)
		return 0;
	return abi_mtu_less(link_mtu,
		(outer6 ? ABI_MTU_IPV6_HEADER : ABI_MTU_IPV4_HEADER) + ABI_MTU_UDP_HEADER + record);
}

// Largest inner packet whose TLS record fits one TCP segment: not a limit, but what is efficient.
static inline uint16_t abi_mtu_tls(
	uint32_t link_mtu, bool outer6, enum abi_version version, enum abi_cipher cipher) {
	return abi_mtu_less(link_mtu,
		(outer6 ? ABI_MTU_IPV6_HEADER : ABI_MTU_IPV4_HEADER) + ABI_MTU_TCP_HEADER +
			abi_mtu_tls_overhead(version, cipher));
}
