// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes what auth reads of clients' certificates and of the files that they are checked against.
// Run by tools/check.

#include <stdlib.h>
#include <string.h>

#include "controlplane/auth/client_trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const fields[] = {
	"2.5.4.3", "2.5.4.11", "SAN(rfc822name)", "SAN(upn)", "SAN(dnsname)"};

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
	client_trust_check(trust, chain);
}

// The first byte says what the rest is: 0 a chain, 1 a file of CAs, 2 one of revocation lists, else
// all of it, a chain first.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct client_trust *trust = client_trust_new();
	struct client_chain chain;
	uint8_t names[512];
	char *text = size > 0 ? malloc(size) : NULL;
	bool expired;

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
