// SPDX-License-Identifier: GPL-3.0-or-later
// Checks that the wolfSSL just built has what Penstock needs; run by tools/dev/build-wolfssl.

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/version.h>

#include <stdio.h>
#include <string.h>

#if !defined(WOLFSSL_STATIC_PSK) || !defined(WOLFSSL_STATIC_RSA) || !defined(HAVE_EXT_CACHE) || \
	!defined(HAVE_SECRET_CALLBACK) || !defined(HAVE_PK_CALLBACKS) || !defined(ATOMIC_USER) || \
	!defined(HAVE_KEYING_MATERIAL) || !defined(HAVE_EX_DATA) || \
	!defined(HAVE_SERVER_RENEGOTIATION_INFO) || !defined(HAVE_CURVE25519) || \
	!defined(WOLFSSL_DTLS_CID) || !defined(WOLFSSL_DTLS_MTU) || !defined(HAVE_SNI) || \
	!defined(HAVE_ALPN) || !defined(HAVE_SESSION_TICKET) || !defined(WOLFSSL_TLS13) || \
	!defined(HAVE_EXTENDED_MASTER)
#error "wolfSSL was configured without an option that Penstock needs"
#endif

#if defined(__x86_64__) && (!defined(WOLFSSL_AESNI) || !defined(WOLFSSL_SP_X86_64_ASM))
#error "wolfSSL was configured without its assembly"
#endif

static const char *const suites[] = {
	"TLS13-AES128-GCM-SHA256",
	"TLS13-AES256-GCM-SHA384",
	"TLS13-CHACHA20-POLY1305-SHA256",
	"ECDHE-RSA-AES128-GCM-SHA256",
	"ECDHE-RSA-AES256-GCM-SHA384",
	"ECDHE-ECDSA-AES128-GCM-SHA256",
	"ECDHE-ECDSA-AES256-GCM-SHA384",
	"ECDHE-RSA-CHACHA20-POLY1305",
	"ECDHE-ECDSA-CHACHA20-POLY1305",
	"AES128-GCM-SHA256",
	"AES256-GCM-SHA384",
	"PSK-AES128-GCM-SHA256",
	"PSK-AES256-GCM-SHA384",
	"PSK-CHACHA20-POLY1305",
};

// Each suite must be known and usable by a server of its protocol.
static int suites_check(WOLFSSL_CTX *ctx) {
	int missing = 0;

	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (wolfSSL_CTX_set_cipher_list(ctx, suites[i]) == WOLFSSL_SUCCESS)
			continue;
		printf("suite missing: %s\n", suites[i]);
		missing++;
	}
	return missing;
}

int main(void) {
	WOLFSSL_CTX *tls, *dtls;
	WOLFSSL *ssl;
	int slot = 0;
	int missing;

	if (wolfSSL_Init() != WOLFSSL_SUCCESS)
		return 1;
	tls = wolfSSL_CTX_new(wolfTLS_server_method());
	dtls = wolfSSL_CTX_new(wolfDTLSv1_2_server_method());
	if (tls == NULL || dtls == NULL)
		return 1;
	missing = suites_check(tls);
	ssl = wolfSSL_new(dtls);
	if (ssl == NULL)
		return 1;
	if (wolfSSL_set_ex_data(ssl, 0, &slot) != WOLFSSL_SUCCESS ||
		wolfSSL_get_ex_data(ssl, 0) != &slot) {
		printf("a WOLFSSL object takes no user data\n");
		missing++;
	}
	wolfSSL_free(ssl);
	wolfSSL_CTX_free(dtls);
	wolfSSL_CTX_free(tls);
	wolfSSL_Cleanup();
	printf("wolfSSL %s: %s\n", LIBWOLFSSL_VERSION_STRING, missing ? "incomplete" : "complete");
	return missing ? 1 : 0;
}
