// SPDX-License-Identifier: GPL-3.0-or-later
// AEAD of records, in bursts. Used by the DTLS nodes and the stream lcores.
//
// For each family of algorithms (AES-GCM, ChaCha20-Poly1305) a crypto device of the machine, with one
// queue pair an lcore, else the CPU by ipsec-mb. Keys are made by the control thread, used by one
// lcore each way.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/abi/abi.h"

#define DP_TAG_LEN 16u

struct dp_key; // one direction of one channel: a key schedule, or a device's session

// For `nb_lcores` callers numbered 0.. (workers, then streamers) and at most `keys_max` keys of a
// family. On the CPU keys take memory as they are made; for a device the sessions are reserved. 0 or
// -errno. Boot only.
int dp_crypto_init(unsigned nb_lcores, uint32_t keys_max);
// The same without the CPU: by devices, virtual ones where the machine has none.
int dp_crypto_init_devices(unsigned nb_lcores, uint32_t keys_max);
void dp_crypto_fini(void);

// Control thread only. aad_len: of every record under this key, 13 (TLS 1.2, DTLS 1.2) or 5 (TLS
// 1.3), 16 at most. NULL with errno: EINVAL cipher, ENOSPC too many, ENOMEM. The key bytes are not kept
// but in the schedule, which is wiped when freed. Freeing NULL does nothing.
struct dp_key *dp_key_new(
	enum abi_cipher cipher, const uint8_t *key, bool encrypt, uint8_t aad_len);
void dp_key_free(struct dp_key *key);

// Starts to load what a record of `len` bytes needs of the key, up to 16 cache lines: for some
// records that dp_crypto_run gets next, not for a whole burst, which would push each other out. A
// device's keys are left alone.
void dp_key_prefetch(const struct dp_key *key, uint16_t len);

// How many records to give to dp_crypto_run at a time where other work goes on between: few on the
// CPU, so that what the next ones need is loaded meanwhile; a burst where there is a device.
unsigned dp_crypto_step(void);

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
