// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the reader of config-auth documents, and writes what was read into a form again. Run by
// tools/check.

#include <stdlib.h>
#include <string.h>

#include "controlplane/edge/xmlauth.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	return xmlauth_init();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct creds creds, again;
	struct buf out = {0};

	if (size > 16384)
		return 0;
	if (xmlauth_parse(&creds, (const char *)data, size) != 0)
		return 0;
	if (memchr(creds.username, 0, sizeof(creds.username)) == NULL ||
		memchr(creds.password, 0, sizeof(creds.password)) == NULL ||
		memchr(creds.group, 0, sizeof(creds.group)) == NULL)
		abort();
	xmlauth_form(
		&out, &(struct xmlauth_text){.banner = creds.group, .message = creds.username});
	// Whatever a name holds, the document that shows it is one.
	if (out.failed || xmlauth_parse(&again, (const char *)out.data, out.len) != 0)
		abort();
	buf_reset(&out);
	creds_wipe(&creds);
	return 0;
}
