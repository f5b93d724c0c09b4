// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes the parser of the file of tokens, and checks codes against what came out. Run by
// tools/check.

#include <stdlib.h>
#include <string.h>

#include "controlplane/auth/otp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Up to the first line break: a user that the file may know, and the code.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const uint8_t *stop = memchr(data, '\n', size);
	size_t len = stop ? (size_t)(stop - data) : 0, bad, nb;
	struct otp_token tokens[OTP_TOKENS_MAX];
	char text[IPC_USER_LEN];
	struct otp_db *db;
	uint64_t factor;

	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, data, len);
	text[len] = 0;
	db = otp_db_new((const char *)data + len, size - len, &bad);
	if (db == NULL)
		return 0;
	nb = otp_db_find(db, text, tokens);
	if (nb > OTP_TOKENS_MAX || nb > otp_db_tokens(db))
		abort();
	for (size_t i = 0; i < nb; i++) {
		if (tokens[i].digits < 6 || tokens[i].digits > 8 ||
			tokens[i].key_len < OTP_SECRET_MIN || tokens[i].key_len > OTP_SECRET_MAX ||
			(tokens[i].totp && tokens[i].step_s == 0))
			abort();
		otp_token_check(&tokens[i], text, NULL, 1111111111, &factor);
	}
	otp_db_free(db);
	return 0;
}
