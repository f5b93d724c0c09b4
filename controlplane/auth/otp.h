// SPDX-License-Identifier: GPL-3.0-or-later
// Tokens of one-time passwords: the users file, and whether a code is one of a token's. No I/O.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "controlplane/ipc/msg.h"

#define OTP_FILE_MAX (16u << 20)
#define OTP_TOKENS_MAX 4u // of one user
#define OTP_SECRET_MIN 10u // bytes: 80 bits, what common apps make
#define OTP_SECRET_MAX 64u
#define OTP_PIN_LEN 32u
#define OTP_HOTP_AHEAD 10u // codes that may have been made but not used
#define OTP_TOTP_STEPS 1u // that clocks may be apart, each way (RFC 6238, 5.2)

struct otp_db;

// One line of the file. Holds a secret: the caller wipes it.
struct otp_token {
	bool totp;
	unsigned step_s; // TOTP
	unsigned digits; // 6 to 8
	uint64_t counter; // HOTP: the first that may be used
	int64_t drift; // TOTP: steps that its clock is ahead of ours
	char pin_secret[OTP_PIN_LEN]; // that comes before the code, or empty
	uint8_t key_secret[OTP_SECRET_MAX];
	size_t key_len;
};

// Parses a copy of the text (wiped when the db is freed): lines of the UsersFile of mod-authn-otp,
// which are type, user, PIN, key in hex, counter or offset; what follows is for other programs.
// Empty lines and those that begin with '#' are skipped; *bad counts lines that cannot be used.
// NULL: no memory.
struct otp_db *otp_db_new(const char *text, size_t len, size_t *bad);
void otp_db_free(struct otp_db *db);
size_t otp_db_tokens(const struct otp_db *db);

// The user's tokens in the file's order, OTP_TOKENS_MAX at most; returns how many.
size_t otp_db_find(
	const struct otp_db *db, const char *user, struct otp_token tokens[OTP_TOKENS_MAX]);

// Whether the file has a line of the user, also one that cannot be used.
bool otp_db_has(const struct otp_db *db, const char *user);

// A name of the token that says nothing about its secret: HMAC-SHA256 under that. A token that gets
// another secret has another name. 0 or -EIO.
int otp_token_name(const struct otp_token *token, const char *user, uint8_t name[IPC_HASH_LEN]);

// True when the text is the PIN and a code of the token, and *factor which (RFC 4226: the counter;
// RFC 6238: the time step). `last`: the factor used last, or NULL: none yet. A code of that or an
// earlier one is none. `now` in seconds.
bool otp_token_check(const struct otp_token *token, const char *text, const uint64_t *last,
	time_t now, uint64_t *factor);
