// SPDX-License-Identifier: GPL-3.0-or-later
// Certificates inside a PEM text: finding the first and the last; for auth and edge.

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>

#include <stdlib.h>
#include <string.h>

#include "pem.h"

static const char begin[] = "-----BEGIN CERTIFICATE-----";
static const char finish[] = "-----END CERTIFICATE-----";

const char *pem_first(const char *text, size_t *len) {
	const char *start = text ? strstr(text, begin) : NULL;
	const char *end = start ? strstr(start, finish) : NULL;

	if (end == NULL)
		return NULL;
	end += sizeof(finish) - 1;
	if (*end == '\r')
		end++;
	if (*end == '\n')
		end++;
	*len = (size_t)(end - start);
	return start;
}

const char *pem_last(const char *text, size_t *len) {
	const char *last = NULL, *next;
	size_t n;

	while ((next = pem_first(text, &n)) != NULL) {
		last = next;
		*len = n;
		text = next + n;
	}
	return last;
}

uint8_t *pem_to_der(const char *block, size_t len, size_t *der_len) {
	// The DER is shorter than its base64.
	uint8_t *der = malloc(len);
	int n;

	if (der == NULL)
		return NULL;
	n = wc_CertPemToDer((const unsigned char *)block, (int)len, der, (int)len, CERT_TYPE);
	if (n <= 0) {
		free(der);
		return NULL;
	}
	*der_len = (size_t)n;
	return der;
}
