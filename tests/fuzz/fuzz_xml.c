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

// Whatever a name holds, the document that shows it is one.
static void form_check(const struct xmlauth_text *text) {
	struct buf out = {0};
	struct creds again;

	xmlauth_form(&out, text);
	if (out.failed || xmlauth_parse(&again, (const char *)out.data, out.len) != 0)
		abort();
	buf_reset(&out);
	creds_wipe(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct cfg_group group = {.selectable = true};
	struct creds creds;

	if (size > 16384)
		return 0;
	if (xmlauth_parse(&creds, (const char *)data, size) != 0)
		return 0;
	if (memchr(creds.username, 0, sizeof(creds.username)) == NULL ||
		memchr(creds.password, 0, sizeof(creds.password)) == NULL ||
		memchr(creds.answer, 0, sizeof(creds.answer)) == NULL ||
		memchr(creds.group, 0, sizeof(creds.group)) == NULL ||
		memchr(creds.url_group, 0, sizeof(creds.url_group)) == NULL)
		abort();
	group.name = creds.group;
	group.label = creds.answer;
	form_check(&(struct xmlauth_text){.banner = creds.group,
		.message = creds.username,
		.action = creds.answer,
		.groups = &group,
		.nb_groups = 1,
		.group = creds.group});
	// Of an authentication server, or out of a URL: may not even be UTF-8.
	form_check(&(struct xmlauth_text){.message = creds.url_group,
		.action = "/auth",
		.label = creds.url_group,
		.round = 1});
	creds_wipe(&creds);
	return 0;
}
