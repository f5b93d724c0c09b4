// SPDX-License-Identifier: GPL-3.0-or-later
// The two ways to run record crypto, and what a key is to them. Included by crypto/*.c alone.
//
// A key is a pointer to a cache-aligned schedule whose low bits say what it is, so that the packet
// path chooses without touching it: on the CPU struct gcm_key_data or the plain key, on a device the
// driver's session.
#pragma once

#include "dataplane/crypto/crypto.h"

#define KEY_CIPHER 3u // enum abi_cipher
#define KEY_OPENS 4u // decrypts
#define KEY_DEVICE 8u // a cryptodev's session
#define KEY_BITS 63u

static inline unsigned key_bits(const struct dp_key *key) {
	return (uintptr_t)key & KEY_BITS;
}

static inline void *key_at(const struct dp_key *key) {
	return (void *)((uintptr_t)key & ~(uintptr_t)KEY_BITS);
}

static inline struct dp_key *key_make(void *at, unsigned bits) {
	return (struct dp_key *)((uintptr_t)at | bits);
}

// cpu.c: ipsec-mb, called directly. 0 or -ENOTSUP, -ENOMEM.
int crypto_cpu_init(unsigned nb_lcores, uint32_t keys_max);
void crypto_cpu_fini(void);
// Bytes at `at` that are the key; NULL with errno.
struct dp_key *crypto_cpu_key(enum abi_cipher cipher, const uint8_t *key, bool encrypt);
void crypto_cpu_key_free(struct dp_key *key);
void crypto_cpu_prefetch(const struct dp_key *key, uint16_t len);
void crypto_cpu_run(unsigned lcore_no, struct dp_crypt *ops, unsigned n);

// device.c: cryptodev. A device of the machine that does the family's algorithms (`make`: or a
// virtual one that is made). 0 or -errno.
enum crypto_family {
	FAMILY_GCM,
	FAMILY_CHACHA,
	FAMILY_MAX,
};

static inline enum crypto_family crypto_family(enum abi_cipher cipher) {
	return cipher == ABI_CHACHA20_POLY1305 ? FAMILY_CHACHA : FAMILY_GCM;
}

int crypto_device_find(enum crypto_family family, unsigned nb_lcores, bool make);
// Starts those that were found. 0 or -errno; then fini.
int crypto_device_start(unsigned nb_lcores, uint32_t keys_max);
void crypto_device_fini(void);
struct dp_key *crypto_device_key(
	enum abi_cipher cipher, const uint8_t *key, bool encrypt, uint8_t aad_len);
void crypto_device_key_free(struct dp_key *key);
// Up to CRYPTO_BURST operations of one family.
#define CRYPTO_BURST 64u
void crypto_device_run(
	unsigned lcore_no, enum crypto_family family, struct dp_crypt **ops, unsigned n);
