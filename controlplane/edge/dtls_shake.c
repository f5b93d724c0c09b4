// SPDX-License-Identifier: GPL-3.0-or-later
// Runs wolfSSL's DTLS 1.2 server on memory for one handshake. Called by dtls.c.
#include "dtls_shake.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "controlplane/proc/bytes.h"

#define PSK_SUITES "PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256:PSK-CHACHA20-POLY1305"
#define SUITE_RSA_AES128_GCM 0x009cu
#define SUITE_RSA_AES256_GCM 0x009du
#define SUITE_ECDHE_RSA_AES128_GCM 0xc02fu
#define SUITE_ECDHE_RSA_AES256_GCM 0xc030u
#define SUITE_PSK_AES128_GCM 0x00a8u
#define SUITE_PSK_AES256_GCM 0x00a9u
#define SUITE_PSK_CHACHA20 0xccabu
#define SALT_LEN 4u // GCM's implicit nonce part (RFC 5288, 3)
#define SESSION_BLOB_LEN 256u

struct dtls_shake_ctx {
	WOLFSSL_CTX *psk, *legacy;
};

struct dtls_shake {
	WOLFSSL *ssl;
	dtls_shake_send send;
	void *arg;
	const uint8_t *in; // the datagram that wolfSSL may read now
	size_t in_len;
	uint64_t rx_next, tx_next; // sequence numbers of epoch 1 that were seen, plus 1
	uint64_t tx_nonce; // first 8 bytes of the record before tx_next: GCM's explicit nonce
	int error;
	char error_text[WOLFSSL_MAX_ERROR_SZ];
	uint32_t mode;
	uint16_t suite; // legacy: of the session to resume
	bool resumed;
	uint8_t app_id[IPC_APP_ID_LEN];
	uint8_t psk_key[IPC_PSK_LEN];
	uint8_t master_secret[IPC_MASTER_LEN];
};

// The highest epoch-1 record of a datagram decides the next sequence number: retransmissions of
// our own flight count, which wolfSSL's getters do not tell for DTLS.
static void note_records(const uint8_t *data, size_t len, uint64_t *next) {
	const uint8_t *end = data + len;
	struct dtls_record record;

	while (dtls_record_next(&data, end, &record)) {
		if (record.epoch == 1 && record.seq >= *next)
			*next = record.seq + 1;
	}
}

// After note_records() of the same datagram: wolfSSL's nonces count up from a random number.
static void note_nonce(struct dtls_shake *shake, const uint8_t *data, size_t len) {
	const uint8_t *end = data + len;
	struct dtls_record record;

	while (dtls_record_next(&data, end, &record)) {
		if (record.epoch == 1 && record.seq + 1 == shake->tx_next && record.len >= 8)
			shake->tx_nonce = bytes_get(record.body, 8);
	}
}

static int io_recv(WOLFSSL *ssl, char *buf, int size, void *arg) {
	struct dtls_shake *shake = arg;
	size_t len = shake->in_len;

	if (!len)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	shake->in_len = 0;
	if (size < 0 || len > (size_t)size)
		return WOLFSSL_CBIO_ERR_WANT_READ; // larger than any handshake datagram: lost
	memcpy(buf, shake->in, len);
	return (int)len;
}

static int io_send(WOLFSSL *ssl, char *buf, int len, void *arg) {
	struct dtls_shake *shake = arg;

	if (len < 0)
		return WOLFSSL_CBIO_ERR_GENERAL;
	note_records((const uint8_t *)buf, (size_t)len, &shake->tx_next);
	note_nonce(shake, (const uint8_t *)buf, (size_t)len);
	shake->send((const uint8_t *)buf, (size_t)len, shake->arg);
	return len;
}

// Any identity will do: the application id has named the session already (protocol 3.5).
static unsigned psk_server(WOLFSSL *ssl, const char *identity, unsigned char *key, unsigned max) {
	const struct dtls_shake *shake = wolfSSL_get_psk_callback_ctx(ssl);

	if (!shake || shake->mode != IPC_DTLS_PSK || max < IPC_PSK_LEN)
		return 0;
	memcpy(key, shake->psk_key, IPC_PSK_LEN);
	return IPC_PSK_LEN;
}

// The pre-shared session in wolfSSL's own serialised form, of which only the fields that a TLS
// 1.2 resumption reads are set; what follows is zero.
static WOLFSSL_SESSION *session_make(const struct dtls_shake *shake) {
	uint8_t blob[SESSION_BLOB_LEN] = {WOLFSSL_SERVER_END};
	const unsigned char *p = blob;
	WOLFSSL_SESSION *session;
	size_t at = 1;

	bytes_put(blob + at, 4, (uint32_t)time(NULL) - 1);
	bytes_put(blob + at + 4, 4, 3600);
	at += 8;
	blob[at++] = IPC_APP_ID_LEN;
	memcpy(blob + at, shake->app_id, IPC_APP_ID_LEN);
	at += IPC_APP_ID_LEN;
	memcpy(blob + at, shake->master_secret, IPC_MASTER_LEN);
	at += IPC_MASTER_LEN;
	at += 2; // no extended master secret, no second id
#ifdef SESSION_CERTS
	at += 1; // no chain
#endif
	blob[at++] = 0xfe;
	blob[at++] = 0xfd;
	blob[at++] = (uint8_t)(shake->suite >> 8);
	blob[at++] = (uint8_t)shake->suite;
	session = wolfSSL_d2i_SSL_SESSION(NULL, &p, sizeof(blob));
	explicit_bzero(blob, sizeof(blob));
	return session;
}

// wolfSSL asks while it handles the hello; it takes a reference of its own when *copy is set.
static WOLFSSL_SESSION *session_get(WOLFSSL *ssl, const unsigned char *id, int len, int *copy) {
	struct dtls_shake *shake = wolfSSL_get_psk_callback_ctx(ssl);

	*copy = 0; // ours to give away
	if (!shake || len != (int)IPC_APP_ID_LEN || memcmp(id, shake->app_id, IPC_APP_ID_LEN) != 0)
		return NULL;
	return session_make(shake);
}

static WOLFSSL_CTX *ctx_make(uint16_t mtu, bool psk) {
	WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfDTLSv1_2_server_method());

	if (!ctx)
		return NULL;
	wolfSSL_CTX_SetIORecv(ctx, io_recv);
	wolfSSL_CTX_SetIOSend(ctx, io_send);
	if (wolfSSL_CTX_dtls_set_mtu(ctx, mtu) != WOLFSSL_SUCCESS)
		goto fail;
	wolfSSL_CTX_set_group_messages(ctx); // fewer datagrams, each of which wakes four threads
	// A ticket would be of no use: every handshake starts from the session's own secrets.
	wolfSSL_CTX_NoTicketTLSv12(ctx);
	// Legacy too: wolfSSL refuses a server that has neither certificate nor PSK. There the
	// callback gives no key, so that nothing but the resumption can succeed.
	wolfSSL_CTX_set_psk_server_callback(ctx, psk_server);
	if (psk) {
		wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
		if (wolfSSL_CTX_set_cipher_list(ctx, PSK_SUITES) != WOLFSSL_SUCCESS)
			goto fail;
	} else {
		// Nothing of a session stays in wolfSSL's memory: the callback is the only source.
		wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_NO_INTERNAL);
		wolfSSL_CTX_sess_set_get_cb(ctx, session_get);
	}
	return ctx;
fail:
	wolfSSL_CTX_free(ctx);
	return NULL;
}

struct dtls_shake_ctx *dtls_shake_ctx_new(uint16_t mtu) {
	struct dtls_shake_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	wolfSSL_Init();
	ctx->psk = ctx_make(mtu, true);
	ctx->legacy = ctx_make(mtu, false);
	if (ctx->psk && ctx->legacy)
		return ctx;
	dtls_shake_ctx_free(ctx);
	return NULL;
}

void dtls_shake_ctx_free(struct dtls_shake_ctx *ctx) {
	if (!ctx)
		return;
	wolfSSL_CTX_free(ctx->psk);
	wolfSSL_CTX_free(ctx->legacy);
	free(ctx);
}

// The agreed cipher has two suite names in resumption, which differ in nothing that matters then
// (no key exchange takes place): what the client offers is meant.
static uint16_t legacy_suite(uint8_t cipher, struct dtls_bytes offered) {
	bool aes256 = cipher == ABI_AES_256_GCM;
	uint16_t ecdhe = aes256 ? SUITE_ECDHE_RSA_AES256_GCM : SUITE_ECDHE_RSA_AES128_GCM;

	for (size_t i = 0; i + 1 < offered.len; i += 2) {
		if (offered.data[i] == ecdhe >> 8 && offered.data[i + 1] == (ecdhe & 0xff))
			return ecdhe;
	}
	return aes256 ? SUITE_RSA_AES256_GCM : SUITE_RSA_AES128_GCM;
}

struct dtls_shake *dtls_shake_new(struct dtls_shake_ctx *ctx, const struct dtls_shake_opts *opts) {
	const struct ipc_dtls_params *params = opts->params;
	bool psk = params->mode == IPC_DTLS_PSK;
	struct dtls_shake *shake = calloc(1, sizeof(*shake));

	if (!shake)
		return NULL;
	shake->mode = params->mode;
	shake->send = opts->send;
	shake->arg = opts->arg;
	shake->suite = legacy_suite(params->cipher, opts->suites);
	memcpy(shake->app_id, opts->app_id, sizeof(shake->app_id));
	memcpy(shake->psk_key, params->psk, sizeof(shake->psk_key));
	memcpy(shake->master_secret, params->master, sizeof(shake->master_secret));
	shake->ssl = wolfSSL_new(psk ? ctx->psk : ctx->legacy);
	if (!shake->ssl)
		goto fail;
	wolfSSL_SetIOReadCtx(shake->ssl, shake);
	wolfSSL_SetIOWriteCtx(shake->ssl, shake);
	wolfSSL_set_psk_callback_ctx(shake->ssl, shake);
	wolfSSL_dtls_set_using_nonblock(shake->ssl, 1);
	if (wolfSSL_dtls_set_peer(shake->ssl, (void *)(uintptr_t)opts->peer, DTLS_PEER_LEN) !=
			WOLFSSL_SUCCESS ||
		wolfSSL_DTLS_SetCookieSecret(shake->ssl, opts->cookie_secret, DTLS_SECRET_LEN) != 0)
		goto fail;
	return shake;
fail:
	dtls_shake_free(shake);
	return NULL;
}

void dtls_shake_free(struct dtls_shake *shake) {
	if (!shake)
		return;
	wolfSSL_free(shake->ssl);
	explicit_bzero(shake, sizeof(*shake));
	free(shake);
}

int dtls_shake_input(struct dtls_shake *shake, const uint8_t *data, size_t len) {
	int ret;

	shake->in = data;
	shake->in_len = len;
	ret = wolfSSL_accept(shake->ssl);
	shake->in = NULL;
	shake->in_len = 0;
	if (ret == WOLFSSL_SUCCESS) {
		note_records(data, len, &shake->rx_next);
		return 1;
	}
	shake->error = wolfSSL_get_error(shake->ssl, ret);
	if (shake->error == WOLFSSL_ERROR_WANT_READ || shake->error == WOLFSSL_ERROR_WANT_WRITE)
		return 0;
	return -EPROTO;
}

int dtls_shake_timer(struct dtls_shake *shake) {
	int ret = wolfSSL_dtls_got_timeout(shake->ssl);

	return ret == WOLFSSL_SUCCESS ? 0 : -ETIMEDOUT;
}

unsigned dtls_shake_timeout_ms(struct dtls_shake *shake) {
	int seconds = wolfSSL_dtls_get_current_timeout(shake->ssl);

	return seconds > 0 ? (unsigned)seconds * 1000 : 1000;
}

const char *dtls_shake_error(const struct dtls_shake *shake) {
	struct dtls_shake *writable = (struct dtls_shake *)(uintptr_t)shake;

	return wolfSSL_ERR_error_string((unsigned long)(long)shake->error, writable->error_text);
}

static uint8_t suite_cipher(unsigned suite) {
	switch (suite) {
	case SUITE_PSK_AES128_GCM:
	case SUITE_RSA_AES128_GCM:
	case SUITE_ECDHE_RSA_AES128_GCM:
		return ABI_AES_128_GCM;
	case SUITE_PSK_AES256_GCM:
	case SUITE_RSA_AES256_GCM:
	case SUITE_ECDHE_RSA_AES256_GCM:
		return ABI_AES_256_GCM;
	case SUITE_PSK_CHACHA20:
		return ABI_CHACHA20_POLY1305;
	default:
		return 0;
	}
}

int dtls_shake_keys(struct dtls_shake *shake, struct abi_cmd_dtls_set *dtls) {
	WOLFSSL *ssl = shake->ssl;
	uint8_t cipher = suite_cipher((unsigned)wolfSSL_get_current_cipher_suite(ssl));
	int key_len = wolfSSL_GetKeySize(ssl);
	size_t iv_len = cipher == ABI_CHACHA20_POLY1305 ? ABI_IV_MAX : SALT_LEN;
	const unsigned char *rx_key = wolfSSL_GetClientWriteKey(ssl);
	const unsigned char *tx_key = wolfSSL_GetServerWriteKey(ssl);
	const unsigned char *rx_iv = wolfSSL_GetClientWriteIV(ssl);
	const unsigned char *tx_iv = wolfSSL_GetServerWriteIV(ssl);

	if (!cipher || !rx_key || !tx_key || !rx_iv || !tx_iv ||
		key_len != (cipher == ABI_AES_128_GCM ? 16 : 32))
		return -EIO;
	memset(dtls, 0, sizeof(*dtls));
	dtls->version = ABI_DTLS12;
	dtls->cipher = cipher;
	dtls->epoch = 1;
	memcpy(dtls->rx.key, rx_key, (size_t)key_len);
	memcpy(dtls->tx.key, tx_key, (size_t)key_len);
	memcpy(dtls->rx.iv, rx_iv, iv_len);
	memcpy(dtls->tx.iv, tx_iv, iv_len);
	dtls->rx.seq = shake->rx_next;
	dtls->tx.seq = shake->tx_next;
	// The dataplane goes on with the nonces where wolfSSL has ended (struct abi_keys).
	if (iv_len == SALT_LEN)
		bytes_put(dtls->tx.iv + SALT_LEN, 8,
			shake->tx_nonce + 1 - ((uint64_t)dtls->epoch << 48 | dtls->tx.seq));
	return 0;
}
