// SPDX-License-Identifier: GPL-3.0-or-later
// TLS contexts of the edge: one a certificate, none with a private key; called by edge.c and conn.c.

#include "tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/auth/pem.h"
#include "controlplane/proc/log.h"
#include "tls_peer.h"
#include "tls_key.h"
#include "yang/server_name.h"

#define CERTS_MAX 256u

// AEAD with ephemeral keys only: these are also what the dataplane's record layer knows.
static const char suites[] = "TLS13-AES256-GCM-SHA384:TLS13-AES128-GCM-SHA256:"
			     "TLS13-CHACHA20-POLY1305-SHA256:"
			     "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
			     "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
			     "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

// All certificates of one generation.
struct tls_set {
	unsigned refs;
	uint32_t generation;
	size_t nb_certs, nb_filled;
	struct tls_cert certs[];
};

struct edge_tls {
	uint8_t *cas; // names of clients' CAs, as auth sent them; NULL: not yet
	size_t cas_len;
	struct tls_set *current; // what connections get
	struct tls_set *coming; // certificates of a newer generation, not all there
	struct tls_tickets tickets;
};

// --- signature callbacks ---

static int sign(void *arg, enum ipc_sign kind, const uint8_t *in, word32 in_len, uint8_t *out,
	word32 *out_len) {
	struct tls_signer *signer = arg;
	struct tls_content content;
	uint32_t len = *out_len;
	int err;

	if (signer == NULL || tls_content_of(in, in_len, &content) != 0)
		return -1;
	err = signer->sign(signer, kind, &content, out, &len);
	*out_len = err == 0 ? len : 0;
	return err;
}

static int on_ecc_sign(WOLFSSL *ssl, const unsigned char *in, unsigned int in_len,
	unsigned char *out, word32 *out_len, const unsigned char *key, unsigned int key_len,
	void *arg) {
	return sign(arg, IPC_SIGN_ECDSA, in, in_len, out, out_len);
}

static int on_rsa_sign(WOLFSSL *ssl, const unsigned char *in, unsigned int in_len,
	unsigned char *out, word32 *out_len, const unsigned char *key, unsigned int key_len,
	void *arg) {
	return sign(arg, IPC_SIGN_RSA_PKCS1, in, in_len, out, out_len);
}

static int on_pss_sign(WOLFSSL *ssl, const unsigned char *in, unsigned int in_len,
	unsigned char *out, unsigned int *out_len, int hash, int mgf, const unsigned char *key,
	unsigned int key_len, void *arg) {
	return sign(arg, IPC_SIGN_RSA_PSS, in, in_len, out, out_len);
}

// wolfSSL checks RSA signatures against the key that is loaded; auth has checked them already.
static int on_rsa_check(WOLFSSL *ssl, unsigned char *sig, unsigned int sig_len, unsigned char **out,
	const unsigned char *key, unsigned int key_len, void *arg) {
	return 0;
}

static int on_pss_check(WOLFSSL *ssl, unsigned char *sig, unsigned int sig_len, unsigned char **out,
	int hash, int mgf, const unsigned char *key, unsigned int key_len, void *arg) {
	return 0;
}

void tls_signer_set(WOLFSSL *ssl, struct tls_signer *signer) {
	wolfSSL_SetEccSignCtx(ssl, signer);
	wolfSSL_SetRsaSignCtx(ssl, signer);
	wolfSSL_SetRsaPssSignCtx(ssl, signer);
}

// --- contexts ---

static WOLFSSL_METHOD *method_of(const struct cfg *cfg) {
	if (cfg->tls12 && cfg->tls13)
		return wolfSSLv23_server_method();
	return cfg->tls13 ? wolfTLSv1_3_server_method() : wolfTLSv1_2_server_method();
}

static int key_use(WOLFSSL_CTX *ctx, const struct tls_cert *cert) {
	size_t pem_len, der_len, key_len;
	const char *leaf = pem_first(cert->chain, &pem_len);
	uint8_t *der = leaf ? pem_to_der(leaf, pem_len, &der_len) : NULL;
	uint8_t *key = der ? tls_throwaway_key(der, der_len, cert->type, &key_len) : NULL;
	int ok = 0;

	if (key != NULL) {
		ok = wolfSSL_CTX_use_PrivateKey_buffer(
			ctx, key, (long)key_len, WOLFSSL_FILETYPE_ASN1);
		explicit_bzero(key, key_len);
		free(key);
	}
	free(der);
	return ok == WOLFSSL_SUCCESS ? 0 : -EINVAL;
}

static void callbacks_set(WOLFSSL_CTX *ctx) {
	wolfSSL_CTX_SetEccSignCb(ctx, on_ecc_sign);
	wolfSSL_CTX_SetRsaSignCb(ctx, on_rsa_sign);
	wolfSSL_CTX_SetRsaSignCheckCb(ctx, on_rsa_check);
	wolfSSL_CTX_SetRsaPssSignCb(ctx, on_pss_sign);
	wolfSSL_CTX_SetRsaPssSignCheckCb(ctx, on_pss_check);
}

// wolfSSL checks a ticket's age and version itself. Not WOLFSSL_TICKET_RET_CREATE for an old key: a
// new ticket for the same secret would let that live on.
static int on_ticket(WOLFSSL *ssl, unsigned char *name, unsigned char *iv, unsigned char *mac,
	int seal, unsigned char *text, int len, int *out_len, void *arg) {
	const struct tls_cert *cert = arg;
	int err;

	if (cert == NULL || len <= 0)
		return WOLFSSL_TICKET_RET_REJECT;
	if (seal)
		err = tls_ticket_seal(cert->tickets, cert->sha1, name, iv, mac, text, (size_t)len);
	else
		err = tls_ticket_open(cert->tickets, cert->sha1, name, iv, mac, text, (size_t)len);
	*out_len = len;
	return err == 0 ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_REJECT;
}

// Tickets are good at every edge; the cache, for clients of TLS 1.2 without tickets, at this one.
// Both live as long as a cookie.
static void resumption_set(WOLFSSL_CTX *ctx, const struct tls_cert *cert, const struct cfg *cfg) {
	unsigned lifetime = cfg->auth.cookie_timeout ? cfg->auth.cookie_timeout : 300;

	if (lifetime > 7 * 86400) // RFC 8446, 4.6.1
		lifetime = 7 * 86400;
	wolfSSL_CTX_set_timeout(ctx, lifetime);
	wolfSSL_CTX_set_TicketHint(ctx, (int)lifetime);
	wolfSSL_CTX_set_TicketEncCb(ctx, on_ticket);
	wolfSSL_CTX_set_TicketEncCtx(ctx, (void *)(uintptr_t)cert);
}

static WOLFSSL_CTX *ctx_new(const struct tls_cert *cert, const struct cfg *cfg) {
	WOLFSSL_CTX *ctx = wolfSSL_CTX_new(method_of(cfg));
	int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};

	if (ctx == NULL)
		return NULL;
	callbacks_set(ctx);
	if (wolfSSL_CTX_SetMinVersion(ctx, cfg->tls12 ? WOLFSSL_TLSV1_2 : WOLFSSL_TLSV1_3) !=
			WOLFSSL_SUCCESS ||
		wolfSSL_CTX_set_cipher_list(ctx, suites) != WOLFSSL_SUCCESS ||
		wolfSSL_CTX_set_groups(ctx, groups, 3) != WOLFSSL_SUCCESS ||
		wolfSSL_CTX_use_certificate_chain_buffer(ctx, (const unsigned char *)cert->chain,
			(long)strlen(cert->chain)) != WOLFSSL_SUCCESS ||
		key_use(ctx, cert) != 0) {
		wolfSSL_CTX_free(ctx);
		return NULL;
	}
	wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
	wolfSSL_CTX_set_quiet_shutdown(ctx, 0);
	wolfSSL_CTX_set_group_messages(ctx); // a flight is one send, not one for each message
	resumption_set(ctx, cert, cfg);
	return ctx;
}

// --- certificates ---

static void names_free(struct tls_cert *cert) {
	for (size_t i = 0; i < cert->nb_names; i++)
		free(cert->names[i]);
	free(cert->names);
	cert->names = NULL;
	cert->nb_names = 0;
}

static int names_copy(struct tls_cert *cert, const struct cfg_certificate *from) {
	cert->names = calloc(from->nb_server_names, sizeof(*cert->names));
	if (cert->names == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < from->nb_server_names; i++) {
		cert->names[i] = strdup(from->server_names[i]);
		if (cert->names[i] == NULL)
			return -ENOMEM;
		cert->nb_names++;
	}
	return 0;
}

// Those of the configuration, else those in the certificate.
static int names_set(struct tls_cert *cert, const struct cfg *cfg) {
	size_t pem_len, der_len;
	const char *leaf;
	uint8_t *der;

	if (cert->index < cfg->nb_certificates &&
		cfg->certificates[cert->index].nb_server_names > 0)
		return names_copy(cert, &cfg->certificates[cert->index]);
	leaf = pem_first(cert->chain, &pem_len);
	der = leaf ? pem_to_der(leaf, pem_len, &der_len) : NULL;
	if (der == NULL)
		return -EINVAL;
	cert->names = tls_cert_names(der, der_len, &cert->nb_names);
	free(der);
	return cert->names != NULL ? 0 : -EINVAL;
}

// Beside the other context, so that nothing changes for those who are not asked.
static int asking_new(struct tls_cert *cert, const struct cfg *cfg, const struct edge_tls *tls) {
	if (!cfg_uses_factor(cfg, CFG_FACTOR_CERTIFICATE))
		return 0;
	cert->asking = ctx_new(cert, cfg);
	if (cert->asking == NULL)
		return -EINVAL;
	tls_peer_ask(cert->asking);
	tls_peer_cas_set(cert->asking, tls->cas, tls->cas_len);
	return 0;
}

static int cert_fill(struct tls_cert *cert, const struct cfg *cfg, const struct edge_tls *tls,
	const char *chain) {
	int err;

	cert->chain = strdup(chain);
	if (cert->chain == NULL)
		return -ENOMEM;
	err = names_set(cert, cfg);
	if (err != 0)
		return err;
	cert->ctx = ctx_new(cert, cfg);
	return cert->ctx != NULL ? asking_new(cert, cfg, tls) : -EINVAL;
}

static void set_unref(struct tls_set *set) {
	if (set == NULL || --set->refs > 0)
		return;
	for (size_t i = 0; i < set->nb_certs; i++) {
		wolfSSL_CTX_free(set->certs[i].ctx);
		wolfSSL_CTX_free(set->certs[i].asking);
		free(set->certs[i].chain);
		names_free(&set->certs[i]);
	}
	free(set);
}

static struct tls_set *set_new(struct edge_tls *tls, uint32_t generation, size_t nb_certs) {
	struct tls_set *set = calloc(1, sizeof(*set) + nb_certs * sizeof(set->certs[0]));

	if (set == NULL)
		return NULL;
	set->refs = 1;
	set->generation = generation;
	set->nb_certs = nb_certs;
	for (size_t i = 0; i < nb_certs; i++) {
		set->certs[i].set = set;
		set->certs[i].tickets = &tls->tickets;
		set->certs[i].generation = generation;
		set->certs[i].index = (uint32_t)i;
	}
	return set;
}

static void set_use(struct edge_tls *tls, struct tls_set *set) {
	set_unref(tls->current);
	tls->current = set;
	log_info("certificates", "generation=%08x count=%zu", set->generation, set->nb_certs);
}

static bool msg_ok(const struct ipc_certs *msg) {
	return msg->total > 0 && msg->total <= CERTS_MAX && msg->index < msg->total &&
		msg->chain_len > 0 && msg->chain_len < IPC_CHAIN_MAX &&
		strnlen(msg->chain, IPC_CHAIN_MAX) == msg->chain_len &&
		(msg->key_type == IPC_KEY_RSA || msg->key_type == IPC_KEY_ECDSA);
}

int edge_tls_certs(struct edge_tls *tls, const struct cfg *cfg, const struct ipc_certs *msg) {
	struct tls_set *set;
	struct tls_cert *cert;

	if (!msg_ok(msg))
		return -EINVAL;
	// They come in order; the first begins a set.
	if (msg->index == 0) {
		set_unref(tls->coming);
		tls->coming = set_new(tls, msg->generation, msg->total);
	}
	set = tls->coming;
	if (set == NULL)
		return msg->index == 0 ? -ENOMEM : -EINVAL;
	if (set->generation != msg->generation || set->nb_certs != msg->total ||
		set->nb_filled != msg->index)
		return -EINVAL;
	cert = &set->certs[msg->index];
	cert->type = msg->key_type;
	memcpy(cert->sha1, msg->sha1, sizeof(cert->sha1));
	if (cert_fill(cert, cfg, tls, msg->chain) != 0) {
		log_error("certificates", "index=%u text=\"cannot be used\"", msg->index);
		set_unref(set);
		tls->coming = NULL;
		return -EIO;
	}
	if (++set->nb_filled < set->nb_certs)
		return -EAGAIN;
	tls->coming = NULL;
	set_use(tls, set);
	return 0;
}

int edge_tls_reload(struct edge_tls *tls, const struct cfg *cfg) {
	struct tls_set *old = tls->current, *set;

	if (old == NULL)
		return 0;
	set = set_new(tls, old->generation, old->nb_certs);
	if (set == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < old->nb_certs; i++) {
		set->certs[i].type = old->certs[i].type;
		memcpy(set->certs[i].sha1, old->certs[i].sha1, sizeof(set->certs[i].sha1));
		if (cert_fill(&set->certs[i], cfg, tls, old->certs[i].chain) != 0) {
			set_unref(set);
			return -EINVAL;
		}
		set->nb_filled++;
	}
	set_use(tls, set);
	return 0;
}

static void set_cas(struct tls_set *set, const struct edge_tls *tls) {
	for (size_t i = 0; set != NULL && i < set->nb_certs; i++) {
		if (set->certs[i].asking != NULL)
			tls_peer_cas_set(set->certs[i].asking, tls->cas, tls->cas_len);
	}
}

int edge_tls_peer_cas(struct edge_tls *tls, const struct ipc_client_cas *msg) {
	uint8_t *cas;

	if (msg->names_len > sizeof(msg->names))
		return -EINVAL;
	cas = malloc(msg->names_len + 1);
	if (cas == NULL)
		return 0; // clients are told the old ones
	memcpy(cas, msg->names, msg->names_len);
	free(tls->cas);
	tls->cas = cas;
	tls->cas_len = msg->names_len;
	set_cas(tls->current, tls);
	set_cas(tls->coming, tls);
	return 0;
}

int edge_tls_ticket_keys(struct edge_tls *tls, const struct ipc_ticket_keys *msg) {
	return tls_tickets_set(&tls->tickets, msg);
}

bool edge_tls_ready(const struct edge_tls *tls) {
	return tls->current != NULL && tls->tickets.there;
}

// An exact name wins over a wildcard, an earlier certificate over a later one.
static struct tls_cert *set_match(struct tls_set *set, const char *name, bool wildcard) {
	for (size_t i = 0; i < set->nb_certs; i++) {
		for (size_t j = 0; j < set->certs[i].nb_names; j++) {
			const char *pattern = set->certs[i].names[j];

			if (server_name_is_wildcard(pattern) == wildcard &&
				server_name_matches(pattern, name))
				return &set->certs[i];
		}
	}
	return NULL;
}

struct tls_cert *edge_tls_select(struct edge_tls *tls, const char *server_name) {
	struct tls_set *set = tls->current;
	struct tls_cert *cert;

	if (set == NULL)
		return NULL;
	cert = set_match(set, server_name, false);
	if (cert == NULL)
		cert = set_match(set, server_name, true);
	if (cert == NULL)
		cert = &set->certs[0];
	set->refs++;
	return cert;
}

void tls_cert_unref(struct tls_cert *cert) {
	if (cert != NULL)
		set_unref(cert->set);
}

struct edge_tls *edge_tls_new(void) {
	return calloc(1, sizeof(struct edge_tls));
}

void edge_tls_free(struct edge_tls *tls) {
	if (tls == NULL)
		return;
	set_unref(tls->current);
	set_unref(tls->coming);
	free(tls->cas);
	explicit_bzero(tls, sizeof(*tls));
	free(tls);
}
