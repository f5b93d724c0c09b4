// SPDX-License-Identifier: GPL-3.0-or-later
// Record crypto by ipsec-mb's own functions, without cryptodev: what the benchmarks hold the
// dataplane against, and how their clients seal and open records.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#define BARE_TAG_LEN 16u
#define BARE_KEY_LEN 32u // AES-128 uses the first half

struct bare_key {
	struct gcm_key_data gcm;
	uint8_t cipher; // enum abi_cipher
	uint8_t raw_key[BARE_KEY_LEN];
} __attribute__((aligned(64)));

// Once, before all else. 0 or -ENOTSUP: no code for this processor.
int bare_init(void);
const char *bare_version(void);

void bare_key_set(struct bare_key *key, uint8_t cipher, const uint8_t raw_key[BARE_KEY_LEN]);

// Encrypts `len` bytes from src to dst (may be the same) and writes the tag behind them.
void bare_seal(const struct bare_key *key, uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t nonce[12], const uint8_t *aad, size_t aad_len);
// Decrypts `len` bytes (tag not counted) whose tag lies behind them at src. False: not authentic.
bool bare_open(const struct bare_key *key, uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t nonce[12], const uint8_t *aad, size_t aad_len);
