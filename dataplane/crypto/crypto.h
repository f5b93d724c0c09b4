// SPDX-License-Identifier: GPL-3.0-or-later
// AEAD of records by DPDK cryptodev, in bursts. Used by the DTLS nodes and the stream lcores.
//
// One queue pair an lcore on one device a family of algorithms (AES-GCM, ChaCha20-Poly1305), the
// ipsec-mb PMDs by default. Keys are made by the control thread, used by one lcore each way.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/abi/abi.h"

#define DP_TAG_LEN 16u

struct dp_key; // one direction of one channel: key schedule in the device's session

// Devices, session and operation pools for `nb_lcores` callers numbered 0.. (workers, then
// streamers). 0 or -errno. Boot only.
int dp_crypto_init(unsigned nb_lcores, uint32_t keys_max);
void dp_crypto_fini(void);

// Control thread only. aad_len: of every record under this key, 13 (TLS 1.2, DTLS 1.2) or 5 (TLS
// 1.3), 16 at most. NULL with errno: EINVAL cipher, ENOSPC pool. The key bytes are not kept but in the
// device's schedule, which is wiped when freed. Freeing NULL does nothing.
struct dp_key *dp_key_new(
	enum abi_cipher cipher, const uint8_t *key, bool encrypt, uint8_t aad_len);
void dp_key_free(struct dp_key *key);
// Starts to load the schedule's cache lines.
void dp_key_prefetch(const struct dp_key *key);

// One record to protect or open in place.
struct dp_crypt {
	struct rte_mbuf *m; // single segment; the ciphertext, then the tag, contiguous
	const struct dp_key *key;
	uint16_t offset; // of the text in the mbuf's data, bytes
	uint16_t len; // of the text without tag
	uint8_t aad_len; // 5 or 13: the key's
	bool ok; // out: done and authentic
	bool failed; // out: the device did not do it; says nothing about the record
	uint8_t nonce[12];
	uint8_t aad[16];
};

// Runs `n` operations (any n; split into bursts inside) on the caller's queue pair and waits
// for all of them. Encrypting writes the tag behind the text (the mbuf must have the room within
// its data length); decrypting checks it. Sets ok of each.
//
// A device that keeps operations for longer than a fifth of a second has failed: these and all
// that come on this queue pair are `failed` until it gives back what it has. Packet buffers that it
// may still write to get a reference of their own until then, so that the caller may free its.
void dp_crypto_run(unsigned lcore_no, struct dp_crypt *ops, unsigned n);
