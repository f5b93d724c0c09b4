// SPDX-License-Identifier: GPL-3.0-or-later
// Any request of an edge for a signature: what comes out is a handshake's, or nothing.
#include <stdlib.h>
#include <string.h>

#include "controlplane/auth/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char prefix[] = "                                                                "
			     "TLS 1.3, server CertificateVerify";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct ipc_sign_req req = {0};
	struct content content;
	bool is13;

	memcpy(&req, data, size < sizeof(req) ? size : sizeof(req));
	if (content_make(&req, &content) != 0)
		return 0;
	is13 = memcmp(content.bytes, prefix, sizeof(prefix)) == 0;
	if (content.len > CONTENT_MAX || is13 != (req.content == IPC_CONTENT_TLS13))
		abort();
	// RFC 8422, 5.4, or the transcript's hash.
	if (!is13 && (content.bytes[64] != 3 || content.len != 68u + content.bytes[67]))
		abort();
	if (is13 && content.len != sizeof(prefix) + 32 && content.len != sizeof(prefix) + 48)
		abort();
	if (!is13)
		(void)content_admits_tls13(&req);
	return 0;
}
