// SPDX-License-Identifier: GPL-3.0-or-later
// Follows the TLS records that leave a connection; called by conn_tls.c for each send.

#include "tls_sent.h"

#include <string.h>

#define HEADER_LEN 5u
#define NONCE_LEN 8u
#define CHANGE_CIPHER_SPEC 20u

_Static_assert(sizeof(((struct tls_sent *)0)->head) == HEADER_LEN + NONCE_LEN, "head");

static size_t smaller(size_t a, size_t b) {
	return a < b ? a : b;
}

static void record_end(struct tls_sent *sent) {
	uint64_t nonce = 0;

	if (sent->encrypted && sent->nb_head == sizeof(sent->head)) {
		for (unsigned i = 0; i < NONCE_LEN; i++)
			nonce = nonce << 8 | sent->head[HEADER_LEN + i];
		sent->nonce = nonce;
		sent->have_nonce = true;
	}
	if (sent->head[0] == CHANGE_CIPHER_SPEC)
		sent->encrypted = true;
	sent->nb_head = 0;
}

// Takes what belongs to the record at hand; returns how much that was.
static size_t record_add(struct tls_sent *sent, const uint8_t *data, size_t len) {
	size_t n, keep;

	if (sent->nb_head < HEADER_LEN) {
		n = smaller(len, HEADER_LEN - sent->nb_head);
		memcpy(sent->head + sent->nb_head, data, n);
		sent->nb_head = (uint8_t)(sent->nb_head + n);
		if (sent->nb_head < HEADER_LEN)
			return n;
		sent->left = (uint32_t)sent->head[3] << 8 | sent->head[4];
	} else {
		n = smaller(len, sent->left);
		keep = smaller(n, sizeof(sent->head) - sent->nb_head);
		memcpy(sent->head + sent->nb_head, data, keep);
		sent->nb_head = (uint8_t)(sent->nb_head + keep);
		sent->left -= (uint32_t)n;
	}
	if (sent->left == 0)
		record_end(sent);
	return n;
}

void tls_sent_add(struct tls_sent *sent, const uint8_t *data, size_t len) {
	while (len > 0) {
		size_t n = record_add(sent, data, len);

		data += n;
		len -= n;
	}
}

bool tls_sent_next_nonce(const struct tls_sent *sent, uint64_t *nonce) {
	*nonce = sent->nonce + 1;
	return sent->have_nonce && sent->nb_head == 0;
}
