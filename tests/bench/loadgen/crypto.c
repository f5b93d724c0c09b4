// SPDX-License-Identifier: GPL-3.0-or-later
// Record protection with bare ipsec-mb: the least CPU a record can cost. Called by tunnel.c.
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>

static IMB_MGR *mgr;

void lg_crypto_init(void) {
	mgr = alloc_mb_mgr(0);
	if (mgr == NULL)
		lg_die("ipsec-mb: no memory");
	init_mb_mgr_auto(mgr, NULL);
	if (imb_get_errno(mgr) != 0)
		lg_die("ipsec-mb: %s", imb_get_strerror(imb_get_errno(mgr)));
}

void lg_keys_set(struct lg_keys *keys, int cipher, const uint8_t *key) {
	size_t len = sizeof(struct gcm_key_data) + 63;

	if (keys->schedule == NULL)
		keys->schedule = aligned_alloc(64, len - len % 64);
	if (keys->schedule == NULL)
		lg_die("no memory");
	keys->cipher = (uint8_t)cipher;
	if (cipher == ABI_AES_128_GCM)
		IMB_AES128_GCM_PRE(mgr, key, keys->schedule);
	else if (cipher == ABI_AES_256_GCM)
		IMB_AES256_GCM_PRE(mgr, key, keys->schedule);
	else
		memcpy(keys->schedule, key, 32);
}

void lg_keys_clear(struct lg_keys *keys) {
	free(keys->schedule);
	memset(keys, 0, sizeof(*keys));
}

void lg_seal(const struct lg_keys *keys, uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t nonce[12], const uint8_t *aad, size_t aad_len) {
	struct gcm_context_data gcm;
	struct chacha20_poly1305_context_data chacha;

	if (keys->cipher == ABI_AES_128_GCM) {
		IMB_AES128_GCM_ENC(mgr, keys->schedule, &gcm, dst, src, len, nonce, aad, aad_len,
			dst + len, TLS_TAG_LEN);
	} else if (keys->cipher == ABI_AES_256_GCM) {
		IMB_AES256_GCM_ENC(mgr, keys->schedule, &gcm, dst, src, len, nonce, aad, aad_len,
			dst + len, TLS_TAG_LEN);
	} else {
		IMB_CHACHA20_POLY1305_INIT(mgr, keys->schedule, &chacha, nonce, aad, aad_len);
		IMB_CHACHA20_POLY1305_ENC_UPDATE(mgr, keys->schedule, &chacha, dst, src, len);
		IMB_CHACHA20_POLY1305_ENC_FINALIZE(mgr, &chacha, dst + len, TLS_TAG_LEN);
	}
}

bool lg_open(const struct lg_keys *keys, uint8_t *dst, const uint8_t *src, size_t len,
	const uint8_t nonce[12], const uint8_t *aad, size_t aad_len) {
	struct gcm_context_data gcm;
	struct chacha20_poly1305_context_data chacha;
	uint8_t tag[TLS_TAG_LEN];

	if (keys->cipher == ABI_AES_128_GCM) {
		IMB_AES128_GCM_DEC(mgr, keys->schedule, &gcm, dst, src, len, nonce, aad, aad_len,
			tag, TLS_TAG_LEN);
	} else if (keys->cipher == ABI_AES_256_GCM) {
		IMB_AES256_GCM_DEC(mgr, keys->schedule, &gcm, dst, src, len, nonce, aad, aad_len,
			tag, TLS_TAG_LEN);
	} else {
		IMB_CHACHA20_POLY1305_INIT(mgr, keys->schedule, &chacha, nonce, aad, aad_len);
		IMB_CHACHA20_POLY1305_DEC_UPDATE(mgr, keys->schedule, &chacha, dst, src, len);
		IMB_CHACHA20_POLY1305_DEC_FINALIZE(mgr, &chacha, tag, TLS_TAG_LEN);
	}
	// dst may lie over src, but never over the tag behind it.
	return memcmp(tag, src + len, TLS_TAG_LEN) == 0;
}
