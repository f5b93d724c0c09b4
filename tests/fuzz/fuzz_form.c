// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes form logins and the text forms of bytes beneath them. Run by tools/check.

#include <stdlib.h>
#include <string.h>

#include "controlplane/edge/encode.h"
#include "controlplane/edge/form.h"
#include "yang/server_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encodings(const uint8_t *data, size_t size) {
	uint8_t back[64];
	char text[BASE64_LEN(64) + 1], name[65];
	size_t len = size < 64 ? size : 64;

	base64_encode(text, data, len);
	if (!base64_decode(back, len, text, strlen(text)) || memcmp(back, data, len) != 0)
		abort();
	// What decodes encodes to the same text: one text for each value.
	len = size / 4 * 3;
	if (len <= sizeof(back) && base64_decode(back, len, (const char *)data, size / 4 * 4)) {
		base64_encode(text, back, len);
		if (memcmp(text, data, size / 4 * 4) != 0)
			abort();
	}
	len = size < 64 ? size : 64;
	memcpy(name, data, len);
	name[len] = 0;
	server_name_matches("*.example.org", name);
	server_name_matches(name, "vpn.example.org");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct creds creds;

	if (form_parse(&creds, (const char *)data, size) == 0) {
		for (size_t i = 0; i < strlen(creds.password); i++) {
			if ((unsigned char)creds.password[i] < 0x20)
				abort();
		}
	}
	creds_wipe(&creds);
	encodings(data, size);
	return 0;
}
