// SPDX-License-Identifier: GPL-3.0-or-later
// ESP tunnel packets (RFC 4303) by ipsec-mb: what goes into the peer, and proof of what comes out.
#include "peer_esp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>
#include <rte_common.h>

#define ESP_HEADER 8u // SPI and sequence number: the additional data, too
#define ESP_IV 8u
#define ESP_TAG 16u
#define ESP_TRAILER 2u // padding length, next header
#define SALT 4u
#define KEY_MAX 36u
#define PACKET_MAX 1600u

static struct {
	IMB_MGR *mgr;
	unsigned key_len; // bytes, 0: ChaCha20-Poly1305
	uint8_t key[KEY_MAX]; // and salt
	const uint8_t *salt;
	struct gcm_key_data gcm __attribute__((aligned(64)));
	uint32_t seq;
} esp;

static unsigned key_parse(const char *text) {
	unsigned n = 0;

	while (n < KEY_MAX) {
		char *end;

		esp.key[n++] = (uint8_t)strtoul(text, &end, 16);
		if (*end == '\0')
			return n;
		if (*end != ':')
			return 0;
		text = end + 1;
	}
	return 0;
}

int peer_esp_init(const char *cipher, const char *key) {
	unsigned len = key_parse(key);

	esp.mgr = alloc_mb_mgr(0);
	if (esp.mgr == NULL)
		return -ENOMEM;
	init_mb_mgr_auto(esp.mgr, NULL);
	if (strcmp(cipher, "aes-128-gcm") == 0 && len == 16 + SALT) {
		esp.key_len = 16;
		IMB_AES128_GCM_PRE(esp.mgr, esp.key, &esp.gcm);
	} else if (strcmp(cipher, "aes-256-gcm") == 0 && len == 32 + SALT) {
		esp.key_len = 32;
		IMB_AES256_GCM_PRE(esp.mgr, esp.key, &esp.gcm);
	} else if (strcmp(cipher, "chacha20-poly1305") != 0 || len != 32 + SALT) {
		return -EINVAL;
	}
	esp.salt = esp.key + len - SALT;
	return 0;
}

static void aead(uint8_t *dst, const uint8_t *src, unsigned len, const uint8_t *nonce,
	const uint8_t *aad, uint8_t *tag, bool seal) {
	struct gcm_context_data gcm;
	struct chacha20_poly1305_context_data chacha;

	if (esp.key_len == 16 && seal) {
		IMB_AES128_GCM_ENC(esp.mgr, &esp.gcm, &gcm, dst, src, len, nonce, aad, ESP_HEADER,
			tag, ESP_TAG);
	} else if (esp.key_len == 16) {
		IMB_AES128_GCM_DEC(esp.mgr, &esp.gcm, &gcm, dst, src, len, nonce, aad, ESP_HEADER,
			tag, ESP_TAG);
	} else if (esp.key_len == 32 && seal) {
		IMB_AES256_GCM_ENC(esp.mgr, &esp.gcm, &gcm, dst, src, len, nonce, aad, ESP_HEADER,
			tag, ESP_TAG);
	} else if (esp.key_len == 32) {
		IMB_AES256_GCM_DEC(esp.mgr, &esp.gcm, &gcm, dst, src, len, nonce, aad, ESP_HEADER,
			tag, ESP_TAG);
	} else {
		IMB_CHACHA20_POLY1305_INIT(esp.mgr, esp.key, &chacha, nonce, aad, ESP_HEADER);
		if (seal)
			IMB_CHACHA20_POLY1305_ENC_UPDATE(esp.mgr, esp.key, &chacha, dst, src, len);
		else
			IMB_CHACHA20_POLY1305_DEC_UPDATE(esp.mgr, esp.key, &chacha, dst, src, len);
		IMB_CHACHA20_POLY1305_ENC_FINALIZE(esp.mgr, &chacha, tag, ESP_TAG);
	}
}

// What is encrypted: the packet, padding to a multiple of four bytes, the trailer.
static unsigned text_len(unsigned inner_len) {
	return RTE_ALIGN(inner_len + ESP_TRAILER, 4u);
}

unsigned peer_esp_len(unsigned inner_len) {
	return (unsigned)sizeof(struct rte_ipv4_hdr) + ESP_HEADER + ESP_IV + text_len(inner_len) +
		ESP_TAG;
}

static void nonce_make(uint8_t nonce[SALT + ESP_IV], const uint8_t *iv) {
	memcpy(nonce, esp.salt, SALT);
	memcpy(nonce + SALT, iv, ESP_IV);
}

void peer_esp_seal(uint8_t *packet, const uint8_t *inner, unsigned inner_len) {
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)peer_esp_len(inner_len)),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_ESP,
		.src_addr = PEER_REMOTE,
		.dst_addr = PEER_GATEWAY,
	};
	rte_be32_t header[] = {rte_cpu_to_be_32(PEER_SPI_IN), rte_cpu_to_be_32(++esp.seq)};
	uint64_t iv = rte_cpu_to_be_64(esp.seq);
	uint8_t *head = packet + sizeof(ip), *body = head + ESP_HEADER + ESP_IV;
	uint8_t text[PACKET_MAX], nonce[SALT + ESP_IV];
	unsigned len = text_len(inner_len), pad = len - ESP_TRAILER - inner_len;

	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(packet, &ip, sizeof(ip));
	memcpy(head, header, sizeof(header));
	memcpy(head + ESP_HEADER, &iv, sizeof(iv));
	memcpy(text, inner, inner_len);
	for (unsigned i = 0; i < pad; i++)
		text[inner_len + i] = (uint8_t)(i + 1); // RFC 4303, 2.4
	text[len - 2] = (uint8_t)pad;
	text[len - 1] = IPPROTO_IPIP;
	nonce_make(nonce, head + ESP_HEADER);
	aead(body, text, len, nonce, head, body + len, true);
}

int peer_esp_open(uint8_t *inner, const uint8_t *packet, unsigned inner_len) {
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)packet;
	const uint8_t *head = packet + sizeof(*ip), *body = head + ESP_HEADER + ESP_IV;
	const rte_be32_t spi = rte_cpu_to_be_32(PEER_SPI_OUT);
	uint8_t text[PACKET_MAX], tag[ESP_TAG], nonce[SALT + ESP_IV];
	unsigned len = text_len(inner_len);

	if (ip->next_proto_id != IPPROTO_ESP || ip->dst_addr != PEER_REMOTE ||
		ip->src_addr != PEER_GATEWAY || rte_ipv4_cksum(ip) != 0 ||
		memcmp(head, &spi, sizeof(spi)) != 0)
		return -EBADMSG;
	nonce_make(nonce, head + ESP_HEADER);
	aead(text, body, len, nonce, head, tag, false);
	if (memcmp(tag, body + len, ESP_TAG) != 0)
		return -EBADMSG;
	memcpy(inner, text, inner_len);
	return 0;
}
