// SPDX-License-Identifier: GPL-3.0-or-later
// Sealing and opening of TLS session tickets with the keys that all edges share; called by tls.c.

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "tls_ticket.h"

#define NONCE_LEN 12u
#define TAG_LEN 16u
#define AAD_LEN (TLS_TICKET_NAME_LEN + TLS_TICKET_IV_LEN + TLS_TICKET_BINDING_LEN)

static const uint8_t zeros[32];

_Static_assert(sizeof(((struct ipc_ticket_key *)0)->name) == TLS_TICKET_NAME_LEN, "name");

int tls_tickets_set(struct tls_tickets *tickets, const struct ipc_ticket_keys *msg) {
	// wolfSSL takes a name of zeros for one that was not set.
	for (size_t i = 0; i < 2; i++) {
		if (memcmp(msg->keys[i].name, zeros, TLS_TICKET_NAME_LEN) == 0)
			return -EINVAL;
	}
	if (memcmp(msg->keys[0].name, msg->keys[1].name, TLS_TICKET_NAME_LEN) == 0)
		return -EINVAL;
	memcpy(tickets->keys, msg->keys, sizeof(tickets->keys));
	tickets->there = true;
	return 0;
}

static void aad_make(
	uint8_t aad[AAD_LEN], const uint8_t *name, const uint8_t *iv, const uint8_t *binding) {
	memcpy(aad, name, TLS_TICKET_NAME_LEN);
	memcpy(aad + TLS_TICKET_NAME_LEN, iv, TLS_TICKET_IV_LEN);
	memcpy(aad + TLS_TICKET_NAME_LEN + TLS_TICKET_IV_LEN, binding, TLS_TICKET_BINDING_LEN);
}

static int aes_new(Aes *aes, const struct ipc_ticket_key *key) {
	if (wc_AesInit(aes, NULL, INVALID_DEVID) != 0)
		return -ENOMEM;
	if (wc_AesGcmSetKey(aes, key->ticket_key, sizeof(key->ticket_key)) == 0)
		return 0;
	wc_AesFree(aes);
	return -EIO;
}

int tls_ticket_seal(const struct tls_tickets *tickets, const uint8_t *binding, uint8_t *name,
	uint8_t *iv, uint8_t *mac, uint8_t *text, size_t len) {
	uint8_t aad[AAD_LEN];
	Aes aes;
	int err;

	if (!tickets->there)
		return -ENOKEY;
	if (getrandom(iv, TLS_TICKET_IV_LEN, 0) != TLS_TICKET_IV_LEN)
		return -EIO;
	err = aes_new(&aes, &tickets->keys[0]);
	if (err != 0)
		return err;
	memcpy(name, tickets->keys[0].name, TLS_TICKET_NAME_LEN);
	memset(mac, 0, TLS_TICKET_MAC_LEN);
	aad_make(aad, name, iv, binding);
	if (wc_AesGcmEncrypt(&aes, text, text, (word32)len, iv, NONCE_LEN, mac, TAG_LEN, aad,
		    sizeof(aad)) != 0)
		err = -EIO;
	wc_AesFree(&aes); // wipes
	return err;
}

int tls_ticket_open(const struct tls_tickets *tickets, const uint8_t *binding, const uint8_t *name,
	const uint8_t *iv, const uint8_t *mac, uint8_t *text, size_t len) {
	const struct ipc_ticket_key *key = NULL;
	uint8_t aad[AAD_LEN];
	Aes aes;
	int err;

	for (size_t i = 0; tickets->there && i < 2; i++) {
		if (memcmp(tickets->keys[i].name, name, TLS_TICKET_NAME_LEN) == 0)
			key = &tickets->keys[i];
	}
	if (key == NULL)
		return -ENOKEY;
	if (memcmp(mac + TAG_LEN, zeros, TLS_TICKET_MAC_LEN - TAG_LEN) != 0)
		return -EBADMSG;
	err = aes_new(&aes, key);
	if (err != 0)
		return err;
	aad_make(aad, name, iv, binding);
	if (wc_AesGcmDecrypt(&aes, text, text, (word32)len, iv, NONCE_LEN, mac, TAG_LEN, aad,
		    sizeof(aad)) != 0) {
		explicit_bzero(text, len); // what it did decrypt to is for nobody
		err = -EBADMSG;
	}
	wc_AesFree(&aes);
	return err;
}
