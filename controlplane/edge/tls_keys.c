// SPDX-License-Identifier: GPL-3.0-or-later
// Takes record keys and sequence numbers out of a WOLFSSL object; called by conn_http.c.

#include "tls.h"

#include <wolfssl/wolfcrypt/kdf.h>

#include <errno.h>
#include <string.h>

enum abi_version tls_version_get(WOLFSSL *ssl) {
	switch (wolfSSL_version(ssl)) {
	case TLS1_2_VERSION:
		return ABI_TLS12;
	case TLS1_3_VERSION:
		return ABI_TLS13;
	default:
		return 0;
	}
}

enum abi_cipher tls_cipher_get(WOLFSSL *ssl) {
	switch (wolfSSL_GetBulkCipher(ssl)) {
	case wolfssl_aes_gcm:
		return wolfSSL_GetKeySize(ssl) == 16 ? ABI_AES_128_GCM : ABI_AES_256_GCM;
	case wolfssl_chacha:
		return ABI_CHACHA20_POLY1305;
	default:
		return 0;
	}
}

static int on_secret(WOLFSSL *ssl, int id, const unsigned char *secret, int len, void *arg) {
	struct tls_secrets *secrets = arg;

	if (id != CLIENT_TRAFFIC_SECRET && id != SERVER_TRAFFIC_SECRET)
		return 0;
	if (len != 32 && len != 48)
		return -1;
	secrets->len = (uint8_t)len;
	memcpy(id == CLIENT_TRAFFIC_SECRET ? secrets->client_secret : secrets->server_secret,
		secret, (size_t)len);
	return 0;
}

int tls_secrets_collect(WOLFSSL *ssl, struct tls_secrets *secrets) {
	memset(secrets, 0, sizeof(*secrets));
	return wolfSSL_set_tls13_secret_cb(ssl, on_secret, secrets) == WOLFSSL_SUCCESS ? 0 : -EIO;
}

// True when the key in use is the one of the secret: a KeyUpdate changes both, and wolfSSL does
// not tell the new secret.
static bool key_of_secret(const struct abi_keys *keys, size_t key_len) {
	static const char label[] = "key", protocol[] = "tls13 ";
	uint8_t derived_key[ABI_KEY_MAX] = {0};
	bool ok;

	if (wc_Tls13_HKDF_Expand_Label(derived_key, (word32)key_len, keys->secret, keys->secret_len,
		    (const byte *)protocol, sizeof(protocol) - 1, (const byte *)label,
		    sizeof(label) - 1, NULL, 0,
		    keys->secret_len == 48 ? WC_SHA384 : WC_SHA256) != 0)
		return false;
	ok = memcmp(derived_key, keys->key, key_len) == 0;
	explicit_bzero(derived_key, sizeof(derived_key));
	return ok;
}

static bool keys_fill(struct abi_keys *keys, const uint8_t *key, size_t key_len, const uint8_t *iv,
	size_t iv_len, uint64_t seq) {
	if (key == NULL || iv == NULL)
		return false;
	memcpy(keys->key, key, key_len);
	memcpy(keys->iv, iv, iv_len);
	keys->seq = seq;
	return true;
}

static int tls13_secrets_add(
	struct abi_cmd_stream_set *out, const struct tls_secrets *secrets, size_t key_len) {
	if (secrets->len == 0)
		return -ESTALE;
	out->rx.secret_len = out->tx.secret_len = secrets->len;
	memcpy(out->rx.secret, secrets->client_secret, secrets->len);
	memcpy(out->tx.secret, secrets->server_secret, secrets->len);
	if (!key_of_secret(&out->rx, key_len) || !key_of_secret(&out->tx, key_len))
		return -ESTALE;
	return 0;
}

// The dataplane's nonce is this number plus the record's: it goes on where wolfSSL, which counts up
// from a random number, has ended.
static int nonce_base_add(struct abi_keys *tx, const struct tls_sent *sent) {
	uint64_t base;

	if (!tls_sent_next_nonce(sent, &base))
		return -EIO;
	base -= tx->seq;
	for (int i = 0; i < 8; i++)
		tx->iv[4 + i] = (uint8_t)(base >> (56 - 8 * i));
	return 0;
}

int tls_keys_export(WOLFSSL *ssl, const struct tls_secrets *secrets, const struct tls_sent *sent,
	struct abi_cmd_stream_set *out) {
	size_t key_len = (size_t)wolfSSL_GetKeySize(ssl);
	word64 rx_seq = 0, tx_seq = 0;
	size_t iv_len;
	int err = -ENOTSUP;

	memset(out, 0, sizeof(*out));
	out->version = (uint8_t)tls_version_get(ssl);
	out->cipher = (uint8_t)tls_cipher_get(ssl);
	if (out->version == 0 || out->cipher == 0 || (key_len != 16 && key_len != 32))
		goto fail;
	// TLS 1.2 with GCM: the salt alone; the rest of the nonce goes with each record (RFC 5288).
	iv_len = out->version == ABI_TLS12 && out->cipher != ABI_CHACHA20_POLY1305 ? 4 : 12;
	wolfSSL_GetPeerSequenceNumber(ssl, &rx_seq);
	wolfSSL_GetSequenceNumber(ssl, &tx_seq);
	if (!keys_fill(&out->rx, wolfSSL_GetClientWriteKey(ssl), key_len,
		    wolfSSL_GetClientWriteIV(ssl), iv_len, rx_seq) ||
		!keys_fill(&out->tx, wolfSSL_GetServerWriteKey(ssl), key_len,
			wolfSSL_GetServerWriteIV(ssl), iv_len, tx_seq))
		goto fail;
	if (iv_len == 4) {
		err = nonce_base_add(&out->tx, sent);
		if (err != 0)
			goto fail;
	}
	if (out->version == ABI_TLS13) {
		err = tls13_secrets_add(out, secrets, key_len);
		if (err != 0)
			goto fail;
	}
	return 0;
fail:
	explicit_bzero(out, sizeof(*out));
	return err;
}
