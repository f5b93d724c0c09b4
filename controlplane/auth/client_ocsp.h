// SPDX-License-Identifier: GPL-3.0-or-later
// The status of a client's certificate by OCSP (RFC 6960): the question, and what an answer is worth.
// No I/O.
#pragma once

#include "client_cert.h"

struct client_ocsp;

enum client_ocsp_status {
	CLIENT_OCSP_GOOD,
	CLIENT_OCSP_BAD, // the responder says so
	CLIENT_OCSP_NONE, // no answer, or none that counts
};

// A question about the chain's first certificate, which `issuer` has issued. NULL: no memory.
struct client_ocsp *client_ocsp_new(const struct client_chain *chain, struct x509_st *issuer);
void client_ocsp_free(struct client_ocsp *ocsp);
// The request in DER. Returns the bytes, or 0: it does not fit.
size_t client_ocsp_request(const struct client_ocsp *ocsp, uint8_t *out, size_t size);
// What a response says: one signed by the issuer or by who it has allowed to, about this certificate,
// of now, and to this question where the responder can do that (nonce). *why: a literal.
enum client_ocsp_status client_ocsp_check(
	const struct client_ocsp *ocsp, const uint8_t *data, size_t len, const char **why);
