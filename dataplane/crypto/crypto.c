// SPDX-License-Identifier: GPL-3.0-or-later
// Record AEAD in bursts: by a crypto device of the machine, else on the CPU. Called by the DTLS
// nodes, streams and control thread.
//
// docs/decisions/0011 says why the CPU is not used through cryptodev.
#include "dataplane/crypto/crypto.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>

#include "dataplane/crypto/backend.h"

#define CPU_STEP 4u // records

static struct {
	bool by_device[FAMILY_MAX];
	bool devices, cpu; // started
} crypto;

// Devices of the machine first: they are there to be used. Virtual ones are for CPUs that ipsec-mb
// does not serve.
static int choose(unsigned nb_lcores, uint32_t keys_max, bool devices_only) {
	int rc = 0;

	if (!devices_only && crypto_cpu_init(nb_lcores, keys_max) == 0)
		crypto.cpu = true;
	for (unsigned i = 0; rc == 0 && i < FAMILY_MAX; i++) {
		int found = crypto_device_find(i, nb_lcores, !crypto.cpu);

		crypto.by_device[i] = found == 0;
		crypto.devices |= found == 0;
		rc = crypto.cpu ? 0 : found;
	}
	return rc;
}

static int init(unsigned nb_lcores, uint32_t keys_max, bool devices_only) {
	int rc = choose(nb_lcores, keys_max, devices_only);

	if (rc == 0 && crypto.devices)
		rc = crypto_device_start(nb_lcores, keys_max);
	if (rc != 0)
		dp_crypto_fini();
	return rc;
}

int dp_crypto_init(unsigned nb_lcores, uint32_t keys_max) {
	return init(nb_lcores, keys_max, false);
}

int dp_crypto_init_devices(unsigned nb_lcores, uint32_t keys_max) {
	return init(nb_lcores, keys_max, true);
}

void dp_crypto_fini(void) {
	if (crypto.cpu)
		crypto_cpu_fini();
	crypto_device_fini();
	crypto.cpu = crypto.devices = false;
	for (unsigned i = 0; i < FAMILY_MAX; i++)
		crypto.by_device[i] = false;
}

struct dp_key *dp_key_new(
	enum abi_cipher cipher, const uint8_t *key, bool encrypt, uint8_t aad_len) {
	if ((unsigned)cipher < ABI_AES_128_GCM || (unsigned)cipher > ABI_CHACHA20_POLY1305 ||
		aad_len > sizeof(((struct dp_crypt *)0)->aad)) {
		errno = EINVAL;
		return NULL;
	}
	return crypto.by_device[crypto_family(cipher)]
		? crypto_device_key(cipher, key, encrypt, aad_len)
		: crypto_cpu_key(cipher, key, encrypt);
}

void dp_key_free(struct dp_key *key) {
	if (key == NULL)
		return;
	if (key_bits(key) & KEY_DEVICE)
		crypto_device_key_free(key);
	else
		crypto_cpu_key_free(key);
}

void dp_key_prefetch(const struct dp_key *key, uint16_t len) {
	if (!(key_bits(key) & KEY_DEVICE))
		crypto_cpu_prefetch(key, len);
}

unsigned dp_crypto_step(void) {
	return crypto.devices ? CRYPTO_BURST : CPU_STEP;
}

// Up to CRYPTO_BURST operations, of which some are a device's.
static void run_mixed(unsigned lcore_no, struct dp_crypt *ops, unsigned n) {
	struct dp_crypt *of[FAMILY_MAX][CRYPTO_BURST];
	unsigned nb[FAMILY_MAX] = {0};

	for (unsigned i = 0; i < n; i++) {
		unsigned bits = key_bits(ops[i].key);
		enum crypto_family family = crypto_family(bits & KEY_CIPHER);

		if (bits & KEY_DEVICE)
			of[family][nb[family]++] = &ops[i];
		else
			crypto_cpu_run(lcore_no, &ops[i], 1);
	}
	for (unsigned f = 0; f < FAMILY_MAX; f++)
		if (nb[f] > 0)
			crypto_device_run(lcore_no, f, of[f], nb[f]);
}

void dp_crypto_run(unsigned lcore_no, struct dp_crypt *ops, unsigned n) {
	if (!crypto.devices) {
		crypto_cpu_run(lcore_no, ops, n);
		return;
	}
	for (unsigned done = 0; done < n; done += CRYPTO_BURST)
		run_mixed(lcore_no, ops + done, RTE_MIN(n - done, CRYPTO_BURST));
}
