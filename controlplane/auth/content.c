// SPDX-License-Identifier: GPL-3.0-or-later
// What a TLS server signs, made of what an edge says of its handshake; called by cert.c and signer.c.
//
// The prefix of TLS 1.3 is fixed here. In TLS 1.2 the first 64 bytes are the two sides' free choice;
// what makes it a handshake is the rest, whose every byte but the key's is fixed by its length.

#include "content.h"

#include <errno.h>
#include <string.h>

#include "controlplane/proc/bytes.h"

#define PAD_LEN 64u // of spaces, RFC 8446, 4.4.3
static const char label[] = "TLS 1.3, server CertificateVerify"; // and its NUL

#define RANDOM_LEN 32u
#define PARAMS_AT (2 * RANDOM_LEN)
#define POINT_AT (PARAMS_AT + 4)
#define NAMED_CURVE 3u
#define UNCOMPRESSED 4u

_Static_assert(PAD_LEN + sizeof(label) + 48 <= CONTENT_MAX && POINT_AT + 97 <= CONTENT_MAX,
	"contents fit");

// The groups that edges offer (tls.c), and the length of a key in each.
static const struct {
	uint16_t id; // RFC 8422, 5.1.1
	uint8_t key_len;
	bool is_point; // uncompressed
} groups[] = {
	{23, 65, true}, // secp256r1
	{24, 97, true}, // secp384r1
	{29, 32, false}, // x25519
};

static int tls13_make(const struct ipc_sign_req *req, struct content *out) {
	if (req->in_len != 32 && req->in_len != 48)
		return -EINVAL;
	memset(out->bytes, ' ', PAD_LEN);
	memcpy(out->bytes + PAD_LEN, label, sizeof(label));
	memcpy(out->bytes + PAD_LEN + sizeof(label), req->in, req->in_len);
	out->len = PAD_LEN + sizeof(label) + req->in_len;
	return 0;
}

static bool params_ok(const uint8_t *in, size_t len) {
	if (len <= POINT_AT || in[PARAMS_AT] != NAMED_CURVE)
		return false;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (bytes_get(in + PARAMS_AT + 1, 2) == groups[i].id)
			return in[PARAMS_AT + 3] == groups[i].key_len &&
				len == POINT_AT + groups[i].key_len &&
				(!groups[i].is_point || in[POINT_AT] == UNCOMPRESSED);
	}
	return false;
}

static int tls12_make(const struct ipc_sign_req *req, struct content *out) {
	if (!params_ok(req->in, req->in_len))
		return -EINVAL;
	memcpy(out->bytes, req->in, req->in_len);
	out->len = req->in_len;
	return 0;
}

int content_make(const struct ipc_sign_req *req, struct content *out) {
	if (req->in_len > IPC_SIGN_IN_MAX)
		return -EINVAL;
	switch (req->content) {
	case IPC_CONTENT_TLS13:
		// RFC 8446, 4.2.3: not in signatures of a handshake.
		return req->kind == IPC_SIGN_RSA_PKCS1 ? -EINVAL : tls13_make(req, out);
	case IPC_CONTENT_TLS12:
		return tls12_make(req, out);
	default:
		return -EINVAL;
	}
}

bool content_admits_tls13(const struct ipc_sign_req *req) {
	static const uint8_t sentinel[8] = {'D', 'O', 'W', 'N', 'G', 'R', 'D', 1};

	return memcmp(req->in + PARAMS_AT - sizeof(sentinel), sentinel, sizeof(sentinel)) == 0;
}
