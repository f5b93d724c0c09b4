// SPDX-License-Identifier: GPL-3.0-or-later
// Sealing and opening of TLS session tickets with the keys that all edges share.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"

#define TLS_TICKET_NAME_LEN 16u
#define TLS_TICKET_IV_LEN 16u // random; 12 bytes are the nonce, all are authenticated
#define TLS_TICKET_MAC_LEN 32u // 16 bytes are the tag, the rest is zero
#define TLS_TICKET_BINDING_LEN 20u // SHA-1 of the leaf certificate: a ticket is good for one

struct tls_tickets {
	bool there; // keys have come
	struct ipc_ticket_key keys[2]; // [0] seals and opens, [1] opens
};

// Replaces the keys. 0, or -EINVAL: not valid (the sender is ended).
int tls_tickets_set(struct tls_tickets *tickets, const struct ipc_ticket_keys *msg);

// Encrypts `len` bytes in place (AES-256-GCM) and fills name, iv and mac. 0 or -errno.
int tls_ticket_seal(const struct tls_tickets *tickets, const uint8_t *binding, uint8_t *name,
	uint8_t *iv, uint8_t *mac, uint8_t *text, size_t len);
// Decrypts in place. 0, -ENOKEY (another name: too old, or not ours), -EBADMSG (not genuine).
int tls_ticket_open(const struct tls_tickets *tickets, const uint8_t *binding, const uint8_t *name,
	const uint8_t *iv, const uint8_t *mac, uint8_t *text, size_t len);
