// SPDX-License-Identifier: GPL-3.0-or-later
// The ways to the bare cipher that tests/bench/floor compares. Used by floor*.c.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define FLOOR_BURST 32u
#define FLOOR_TAG_LEN 16u
#define FLOOR_NONCE_LEN 12u
#define FLOOR_AAD_LEN 13u // of a DTLS 1.2 or TLS 1.2 record
#define FLOOR_KEY_MAX 32u

enum floor_cipher {
	FLOOR_AES_128_GCM,
	FLOOR_AES_256_GCM,
	FLOOR_CHACHA20_POLY1305,
	FLOOR_CIPHERS,
};

// One record: text at the start of the mbuf's data, the tag behind it.
struct floor_record {
	struct rte_mbuf *m;
	uint16_t len; // of the text, bytes
	uint8_t nonce[FLOOR_NONCE_LEN];
	uint8_t aad[16]; // FLOOR_AAD_LEN of them
};

// One way, with one cipher's key. Made by floor_*_open.
struct floor_way {
	const char *layer; // ipsec-mb or cryptodev
	const char *api;
	const char *device; // the cryptodev's name; NULL: none
	enum floor_cipher cipher;
	// Encrypts or decrypts `n` (at most FLOOR_BURST) records in place and waits for all of
	// them; how many came out well (decrypting: were authentic).
	unsigned (*run)(const struct floor_way *way, bool encrypt, struct floor_record *records,
		unsigned n);
	void *state; // of the way, for the life of the program
	uint8_t dev;
};

// Append the ways that this machine has for `cipher` to ways[0..max), which has `n` in it already;
// the new count. Errors end the program: a library that is there must work.
unsigned floor_imb_open(enum floor_cipher cipher, const uint8_t *key, struct floor_way *ways,
	unsigned n, unsigned max);
unsigned floor_cryptodev_open(enum floor_cipher cipher, const uint8_t *key, struct floor_way *ways,
	unsigned n, unsigned max);
void floor_cryptodev_close(void); // stops what was opened
