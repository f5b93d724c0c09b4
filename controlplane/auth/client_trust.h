// SPDX-License-Identifier: GPL-3.0-or-later
// The CAs and revocation lists that clients' certificates are checked against.
#pragma once

#include "client_cert.h"
#include "yang/config.h"

#define CLIENT_CA_FILE_MAX (1024u * 1024)
#define CLIENT_CRL_FILE_MAX (32u * 1024 * 1024)

struct client_trust;

struct client_trust *client_trust_new(void);
void client_trust_free(struct client_trust *trust);

// Takes all certificates of a PEM file for CAs. 0, or -EINVAL: one of them is broken, or there is
// none; what was there stays.
int client_trust_cas_set(struct client_trust *trust, const char *text, size_t len);
// Takes the lists of one file (PEM, any number, or DER) in place of those that it had. 0, or -EINVAL:
// one is broken, has no end, or is not signed by the CA that it names; what was there stays.
// `expired`: the time of one of them is over.
int client_trust_crls_set(
	struct client_trust *trust, unsigned file, const char *text, size_t len, bool *expired);
// There are so many files from now on.
void client_trust_crls_limit(struct client_trust *trust, unsigned nb_files);

// Why nothing can be checked: a literal, or NULL.
const char *client_trust_missing(const struct client_trust *trust, unsigned nb_files);

// Is the chain's first certificate one of a client, issued by one of the CAs, in its time, and not
// revoked? NULL, or why not: a literal. *issuer (may be NULL) is then the CA that issued it, the
// caller's to free (X509_free).
const char *client_trust_check(
	struct client_trust *trust, const struct client_chain *chain, struct x509_st **issuer);

// The names of the CAs for clients: each DER behind its length in two bytes (RFC 8446, 4.2.4). Returns the bytes, 0 when they are more than `size` or a name is too long to be told.
size_t client_trust_names(const struct client_trust *trust, uint8_t *out, size_t size);
