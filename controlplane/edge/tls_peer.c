// SPDX-License-Identifier: GPL-3.0-or-later
// Asks TLS clients for their certificate and takes down what they show; called by tls.c and
// conn_tls.c.
//
// wolfSSL checks that the client has the key of the first certificate (CertificateVerify). Whether
// that is good is for auth to say: it has the CAs, this process has none, so that the library finds
// no issuer of anything and asks on_certificate().

#include "tls_peer.h"

#include <wolfssl/wolfcrypt/error-crypt.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/ipc/msg.h"
#include "controlplane/proc/bytes.h"
#include "controlplane/proc/log.h"

#define LEN_LEN 3u
#define NAME_LEN_LEN 2u

void tls_peer_chain_free(struct tls_peer_chain *chain) {
	free(chain->data);
	*chain = (struct tls_peer_chain){0};
}

static void chain_take(struct tls_peer_chain *chain, const WOLFSSL_X509_STORE_CTX *store) {
	size_t len = 0;
	uint8_t *at;

	for (int i = 0; i < store->totalCerts; i++)
		len += LEN_LEN + store->certs[i].length;
	if (len == 0 || len > IPC_CLIENT_CHAIN_MAX)
		return;
	at = chain->data = malloc(len);
	if (at == NULL)
		return;
	chain->len = len;
	for (int i = 0; i < store->totalCerts; i++) {
		bytes_put(at, LEN_LEN, store->certs[i].length);
		memcpy(at + LEN_LEN, store->certs[i].buffer, store->certs[i].length);
		at += LEN_LEN + store->certs[i].length;
	}
}

// Called for each certificate of the client that wolfSSL could not verify: for one of them at least.
// What is wrong in itself (not readable, a key that is too small) fails the handshake.
static int on_certificate(int verified, WOLFSSL_X509_STORE_CTX *store) {
	struct tls_peer_chain *chain = store->userCtx;

	if (chain == NULL)
		return 0;
	if (chain->data == NULL)
		chain_take(chain, store);
	switch (store->error) {
	case ASN_NO_SIGNER_E:
	case ASN_SELF_SIGNED_E:
	case ASN_BEFORE_DATE_E:
	case ASN_AFTER_DATE_E:
		return 1;
	default:
		return verified;
	}
}

void tls_peer_ask(WOLFSSL_CTX *ctx) {
	wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, on_certificate);
	wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
	wolfSSL_CTX_NoTicketTLSv12(ctx);
	wolfSSL_CTX_no_ticket_TLSv13(ctx);
	wolfSSL_CTX_set_TicketEncCb(ctx, NULL);
}

static bool name_push(WOLF_STACK_OF(WOLFSSL_X509_NAME) * list, const uint8_t *der, size_t len) {
	unsigned char *at = (unsigned char *)(uintptr_t)der; // only read
	WOLFSSL_X509_NAME *name = wolfSSL_d2i_X509_NAME(NULL, &at, (long)len);

	if (name != NULL && wolfSSL_sk_X509_NAME_push(list, name) == WOLFSSL_SUCCESS)
		return true;
	wolfSSL_X509_NAME_free(name);
	return false;
}

static bool names_push(WOLF_STACK_OF(WOLFSSL_X509_NAME) * list, const uint8_t *names, size_t len) {
	while (len > NAME_LEN_LEN) {
		size_t name_len = bytes_get(names, NAME_LEN_LEN);

		if (name_len > len - NAME_LEN_LEN ||
			!name_push(list, names + NAME_LEN_LEN, name_len))
			return false;
		names += NAME_LEN_LEN + name_len;
		len -= NAME_LEN_LEN + name_len;
	}
	return len == 0;
}

void tls_peer_cas_set(WOLFSSL_CTX *ctx, const uint8_t *names, size_t len) {
	WOLF_STACK_OF(WOLFSSL_X509_NAME) *list = len > 0 ? wolfSSL_sk_X509_NAME_new(NULL) : NULL;

	if (list != NULL && !names_push(list, names, len)) {
		log_warning("client_cas", "text=\"cannot be told to clients\"");
		wolfSSL_sk_X509_NAME_pop_free(list, NULL);
		list = NULL;
	}
	wolfSSL_CTX_set_client_CA_list(ctx, list);
}

void tls_peer_collect(WOLFSSL *ssl, struct tls_peer_chain *chain) {
	wolfSSL_SetCertCbCtx(ssl, chain);
}

void tls_peer_forget(WOLFSSL_CTX *ctx) {
	wolfSSL_CertManagerUnloadCAs(wolfSSL_CTX_GetCertManager(ctx));
}
