// SPDX-License-Identifier: GPL-3.0-or-later
// TLS towards the provider by OpenSSL; called by fetch.c.

#include "tls_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

static size_t trust(X509_STORE *store, BIO *pem) {
	size_t nb = 0;
	X509 *cert;

	while ((cert = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL) {
		nb += X509_STORE_add_cert(store, cert) == 1;
		X509_free(cert);
	}
	ERR_clear_error(); // the end of the text is an error too
	return nb;
}

SSL_CTX *tls_client_new(const char *pem, size_t len, size_t *nb) {
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO *bio = BIO_new_mem_buf(pem, (int)len);

	*nb = 0;
	if (ctx != NULL && bio != NULL)
		*nb = trust(SSL_CTX_get_cert_store(ctx), bio);
	BIO_free(bio);
	if (*nb == 0 || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ctx;
}

static bool expect(SSL *ssl, const char *host) {
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	struct in6_addr addr;

	if (inet_pton(AF_INET, host, &addr) == 1 || inet_pton(AF_INET6, host, &addr) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
		SSL_set_tlsext_host_name(ssl, host) == 1;
}

SSL *tls_client_open(SSL_CTX *ctx, const char *host) {
	SSL *ssl = SSL_new(ctx);

	if (ssl != NULL && !expect(ssl, host)) {
		SSL_free(ssl);
		ssl = NULL;
	}
	return ssl;
}
