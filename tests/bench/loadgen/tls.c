// SPDX-License-Identifier: GPL-3.0-or-later
// Handshakes by GnuTLS, as stock openconnect does them; their record keys are then taken out.
// Called by client.c.
#include "loadgen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/dtls.h>

#define PSK_LABEL "EXPORTER-openconnect-psk"
#define PSK_LEN 32u
#define DTLS_RETRANSMIT_MS 400u
#define DTLS_TOTAL_MS 12000u

static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t tls_priority, dtls_priority;

static const char *const cipher_names[] = {
	[ABI_AES_128_GCM] = "AES-128-GCM",
	[ABI_AES_256_GCM] = "AES-256-GCM",
	[ABI_CHACHA20_POLY1305] = "CHACHA20-POLY1305",
};

static void priority_make(gnutls_priority_t *priority, const char *versions) {
	char text[256];
	int n = snprintf(text, sizeof(text), "NORMAL:%s", versions);

	if (lg_opt.cipher != 0)
		snprintf(text + n, sizeof(text) - (size_t)n, ":-CIPHER-ALL:+%s",
			cipher_names[lg_opt.cipher]);
	if (gnutls_priority_init(priority, text, NULL) != 0)
		lg_die("GnuTLS does not know %s", text);
}

void lg_tls_init(void) {
	gnutls_certificate_allocate_credentials(&credentials);
	if (lg_opt.tls_version == 12)
		priority_make(&tls_priority, "-VERS-ALL:+VERS-TLS1.2");
	else if (lg_opt.tls_version == 13)
		priority_make(&tls_priority, "-VERS-ALL:+VERS-TLS1.3");
	else
		priority_make(&tls_priority, "-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2");
	priority_make(&dtls_priority, "%COMPAT:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK");
}

static int result(int ret) {
	if (ret == 0)
		return 0;
	if (ret == GNUTLS_E_AGAIN || ret == GNUTLS_E_INTERRUPTED)
		return -EAGAIN;
	if (!gnutls_error_is_fatal(ret))
		return -EAGAIN;
	lg_log("GnuTLS: %s", gnutls_strerror(ret));
	return -EPROTO;
}

int lg_tls_start(struct lg_client *client) {
	if (gnutls_init(&client->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) != 0)
		return -ENOMEM;
	gnutls_priority_set(client->tls, tls_priority);
	gnutls_credentials_set(client->tls, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(client->tls, client->tcp);
	gnutls_handshake_set_timeout(client->tls, 0);
	return 0;
}

int lg_tls_shake(struct lg_client *client) {
	return result(gnutls_handshake(client->tls));
}

static int cipher_of(gnutls_session_t session) {
	switch (gnutls_cipher_get(session)) {
	case GNUTLS_CIPHER_AES_128_GCM:
		return ABI_AES_128_GCM;
	case GNUTLS_CIPHER_AES_256_GCM:
		return ABI_AES_256_GCM;
	case GNUTLS_CIPHER_CHACHA20_POLY1305:
		return ABI_CHACHA20_POLY1305;
	default:
		return -ENOTSUP;
	}
}

// One direction's keys and next sequence number. A salt of 4 bytes (GCM in TLS 1.2) leaves 8 zeros
// behind it: the explicit nonce is the sequence number then, as GnuTLS has it, too.
static int half_take(gnutls_session_t session, unsigned read, struct lg_keys *keys) {
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];
	int cipher = cipher_of(session);

	if (cipher < 0)
		return cipher;
	if (gnutls_record_get_state(session, read, &mac, &iv, &key, seq) != 0)
		return -EPROTO;
	if (iv.size > ABI_IV_MAX || key.size != (cipher == ABI_AES_128_GCM ? 16 : 32))
		return -EPROTO;
	lg_keys_set(keys, cipher, key.data);
	memset(keys->iv, 0, sizeof(keys->iv));
	memcpy(keys->iv, iv.data, iv.size);
	keys->seq = 0;
	for (unsigned i = 0; i < 8; i++)
		keys->seq = keys->seq << 8 | seq[i];
	return 0;
}

int lg_tls_take(struct lg_client *client) {
	bool tls13 = gnutls_protocol_get_version(client->tls) == GNUTLS_TLS1_3;
	int cipher = cipher_of(client->tls), ret;

	if (cipher < 0)
		return cipher;
	client->protection = tls_protection_find(tls13 ? ABI_TLS13 : ABI_TLS12, (unsigned)cipher);
	if (client->protection == NULL || gnutls_record_check_pending(client->tls) != 0)
		return -EPROTO;
	ret = half_take(client->tls, 0, &client->tls_tx);
	return ret != 0 ? ret : half_take(client->tls, 1, &client->tls_rx);
}

// The TLS session gives the key; the id from the server's answer stands in the ClientHello.
int lg_dtls_start(struct lg_client *client) {
	uint8_t secret[PSK_LEN];
	gnutls_datum_t key = {secret, sizeof(secret)},
		       id = {client->app_id, sizeof(client->app_id)};

	if (gnutls_prf_rfc5705(client->tls, sizeof(PSK_LABEL) - 1, PSK_LABEL, 0, NULL,
		    sizeof(secret), (char *)secret) != 0)
		return -EPROTO;
	if (gnutls_init(&client->dtls,
		    GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_EXTENSIONS |
			    GNUTLS_NO_SIGNAL) != 0)
		return -ENOMEM;
	gnutls_priority_set(client->dtls, dtls_priority);
	gnutls_session_set_id(client->dtls, &id);
	if (gnutls_psk_allocate_client_credentials(&client->psk) != 0)
		return -ENOMEM;
	gnutls_psk_set_client_credentials(client->psk, "psk", &key, GNUTLS_PSK_KEY_RAW);
	gnutls_credentials_set(client->dtls, GNUTLS_CRD_PSK, client->psk);
	gnutls_dtls_set_timeouts(client->dtls, DTLS_RETRANSMIT_MS, DTLS_TOTAL_MS);
	gnutls_dtls_set_mtu(client->dtls, 1400);
	gnutls_transport_set_int(client->dtls, client->udp);
	return 0;
}

int lg_dtls_shake(struct lg_client *client) {
	int ret = result(gnutls_handshake(client->dtls));

	if (ret == -EAGAIN)
		client->timer_ns = lg_now() + gnutls_dtls_get_timeout(client->dtls) * 1000000ull;
	if (ret != 0)
		return ret;
	ret = half_take(client->dtls, 0, &client->dtls_tx);
	return ret != 0 ? ret : half_take(client->dtls, 1, &client->dtls_rx);
}

void lg_tls_end(struct lg_client *client) {
	if (client->tls != NULL)
		gnutls_deinit(client->tls);
	if (client->dtls != NULL)
		gnutls_deinit(client->dtls);
	if (client->psk != NULL)
		gnutls_psk_free_client_credentials(client->psk);
	client->tls = client->dtls = NULL;
	client->psk = NULL;
}
