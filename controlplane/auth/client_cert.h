// SPDX-License-Identifier: GPL-3.0-or-later
// Certificates of clients: a chain as it came from one, and who it says the client is. By OpenSSL's
// libcrypto; no file of these includes wolfSSL, whose names are the same.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"

#define CLIENT_CHAIN_CERTS_MAX 10u

struct stack_st_X509;
struct x509_st; // X509

// A client's certificate first, then what it sent with it. Nothing of it has been checked.
struct client_chain {
	struct stack_st_X509 *certs;
};

// Reads certificates as TLS has them: each DER behind its length in three bytes (RFC 5246, 7.4.2).
// 0, or -EINVAL: none, too many, or not all of the bytes are certificates.
int client_chain_read(struct client_chain *chain, const uint8_t *data, size_t len);
void client_chain_free(struct client_chain *chain);

// The user's name by the client's certificate: `user` has IPC_USER_LEN bytes. NULL, or why there is
// none, a literal: not there, there more than once, too long, or not text.
const char *client_cert_user(const struct client_chain *chain, const char *field, char *user);
// The groups by the client's certificate, comma separated: `groups` has IPC_GROUPS_LEN bytes. Values
// that are no names of groups, or find no place, are left out.
void client_cert_groups(const struct client_chain *chain, const char *field, char *groups);
// For the log: serial number (hexadecimal) and subject.
void client_cert_describe(const struct client_chain *chain, char *serial, size_t serial_size,
	char *subject, size_t subject_size);
