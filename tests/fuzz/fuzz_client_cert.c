// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes what auth reads of clients' certificates, of the files that they are checked against, and of
// OCSP responders. Run by tools/check.

#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "controlplane/auth/client_ocsp.h"
#include "controlplane/auth/client_trust.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const fields[] = {
	"2.5.4.3", "2.5.4.11", "SAN(rfc822name)", "SAN(upn)", "SAN(dnsname)"};

static struct client_ocsp *ocsp; // a question about a certificate that its key is lost of

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	uint8_t der[1024], *at = der + 3;
	struct client_chain chain;
	int len;

	X509_set_pubkey(cert, key);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_sign(cert, key, EVP_sha256());
	len = i2d_X509(cert, &at);
	der[0] = 0;
	der[1] = (uint8_t)(len >> 8);
	der[2] = (uint8_t)len;
	if (client_chain_read(&chain, der, (size_t)len + 3) != 0)
		abort();
	ocsp = client_ocsp_new(&chain, cert);
	client_chain_free(&chain);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ocsp == NULL;
}

static void text_check(const char *text, size_t size) {
	if (memchr(text, 0, size) == NULL)
		abort();
	for (; *text != 0; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			abort();
	}
}

static void chain_use(struct client_trust *trust, const struct client_chain *chain) {
	char user[IPC_USER_LEN], groups[IPC_GROUPS_LEN], serial[64], subject[64];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *why = client_cert_user(chain, fields[i], user);

		text_check(user, sizeof(user));
		if ((why == NULL) != (user[0] != 0))
			abort();
		client_cert_groups(chain, fields[i], groups);
		text_check(groups, sizeof(groups));
	}
	client_cert_describe(chain, serial, sizeof(serial), subject, sizeof(subject));
	// Nobody knows a key of the CAs, which are the input's own.
	client_trust_check(trust, chain, NULL);
}

// The first byte says what the rest is: 0 a chain, 1 a file of CAs, 2 one of revocation lists, 4 an
// OCSP response, else all of it, a chain first.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct client_trust *trust = client_trust_new();
	struct client_chain chain;
	uint8_t names[512];
	char *text = size > 0 ? malloc(size) : NULL;
	const char *why;
	bool expired;

	if (size > 0 && data[0] >= 4 &&
		client_ocsp_check(ocsp, data + 1, size - 1, &why) != CLIENT_OCSP_NONE)
		abort();
	if (text == NULL || trust == NULL)
		goto out;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0; // as file_read() leaves it
	if (data[0] != 0 && data[0] != 2 && client_trust_cas_set(trust, text, size - 1) == 0 &&
		client_trust_names(trust, names, sizeof(names)) > sizeof(names))
		abort();
	if (data[0] >= 2)
		client_trust_crls_set(trust, 0, text, size - 1, &expired);
	if (client_chain_read(&chain, data + 1, size - 1) == 0) {
		chain_use(trust, &chain);
		client_chain_free(&chain);
	}
out:
	free(text);
	client_trust_free(trust);
	return 0;
}
