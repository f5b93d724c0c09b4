// SPDX-License-Identifier: GPL-3.0-or-later
// Tokens of one-time passwords: the users file, and codes by liboath; called by factor_otp.c.

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include <errno.h>
#include <liboath/oath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/proc/bytes.h"
#include "otp.h"

#define FIELDS 5u // that are read; the counter may be missing
#define STEP_MAX_S 3600ul
#define DRIFT_MAX 1000000ll

enum field {
	F_TYPE,
	F_USER,
	F_PIN,
	F_KEY,
	F_COUNTER
};

struct line {
	const char *field[FIELDS];
};

struct otp_db {
	char *text_secret;
	size_t text_len;
	struct line
		*lines; // sorted by user; those that cannot be used, but say whose they are, too
	size_t nb_lines, nb_tokens;
};

// --- one line ---

// A number that is all digits and at most `max`.
static bool number(const char *text, unsigned long max, unsigned long *out) {
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' && *out <= max;
}

// HOTP, HOTP/E, HOTP/T30, each with /6 to /8 behind it.
static bool type_parse(const char *text, struct otp_token *token) {
	char copy[32], *save, *part;
	unsigned long value;

	token->digits = 6;
	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	part = strtok_r(copy, "/", &save);
	if (part == NULL || strcmp(part, "HOTP") != 0)
		return false;
	part = strtok_r(NULL, "/", &save);
	if (part != NULL && (part[0] == 'T' || part[0] == 'E')) {
		token->totp = part[0] == 'T';
		if (token->totp && (!number(part + 1, STEP_MAX_S, &value) || value == 0))
			return false;
		if (!token->totp && part[1] != '\0')
			return false;
		token->step_s = token->totp ? (unsigned)value : 0;
		part = strtok_r(NULL, "/", &save);
	}
	if (part != NULL) {
		if (!number(part, 8, &value) || value < 6)
			return false;
		token->digits = (unsigned)value;
		part = strtok_r(NULL, "/", &save);
	}
	return part == NULL;
}

static bool key_parse(const char *hex, struct otp_token *token) {
	size_t len = sizeof(token->key_secret);

	if (strlen(hex) > 2 * OTP_SECRET_MAX ||
		oath_hex2bin(hex, (char *)token->key_secret, &len) != OATH_OK)
		return false;
	token->key_len = len;
	return len >= OTP_SECRET_MIN;
}

static bool counter_parse(const char *text, struct otp_token *token) {
	long long value;
	char *end;

	if (text == NULL)
		return true;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	if (token->totp) {
		token->drift = value;
		return value >= -DRIFT_MAX && value <= DRIFT_MAX;
	}
	token->counter = (uint64_t)value;
	return value >= 0;
}

static bool pin_parse(const char *text, struct otp_token *token) {
	// '+' leaves the PIN to another check: here that is another factor.
	if (strcmp(text, "-") == 0 || strcmp(text, "+") == 0)
		return true;
	if (strlen(text) >= sizeof(token->pin_secret))
		return false;
	strcpy(token->pin_secret, text);
	return true;
}

static bool token_parse(const struct line *line, struct otp_token *token) {
	memset(token, 0, sizeof(*token));
	if (line->field[F_KEY] != NULL && type_parse(line->field[F_TYPE], token) &&
		pin_parse(line->field[F_PIN], token) && key_parse(line->field[F_KEY], token) &&
		counter_parse(line->field[F_COUNTER], token))
		return true;
	explicit_bzero(token, sizeof(*token));
	return false;
}

// --- the file ---

static bool line_split(char *text, struct line *line) {
	char *save, *part = strtok_r(text, " \t", &save);

	memset(line, 0, sizeof(*line));
	for (size_t i = 0; i < FIELDS && part != NULL; i++) {
		line->field[i] = part;
		part = strtok_r(NULL, " \t", &save);
	}
	return line->field[F_USER] != NULL && strlen(line->field[F_USER]) < IPC_USER_LEN;
}

static int line_compare(const void *a, const void *b) {
	const struct line *x = a, *y = b;
	int order = strcmp(x->field[F_USER], y->field[F_USER]);

	return order != 0
		? order
		: (x->field[F_USER] > y->field[F_USER]) - (x->field[F_USER] < y->field[F_USER]);
}

static void line_take(struct otp_db *db, char *text, size_t len, size_t *bad) {
	struct otp_token token = {0};
	struct line line;

	text += strspn(text, " \t");
	if (text[0] == '\0' || text[0] == '#')
		return;
	if (!line_split(text, &line)) {
		(*bad)++;
		return;
	}
	db->lines[db->nb_lines++] = line;
	if (token_parse(&line, &token))
		db->nb_tokens++;
	else
		(*bad)++;
	explicit_bzero(&token, sizeof(token));
}

static void text_parse(struct otp_db *db, size_t *bad) {
	char *end = db->text_secret + db->text_len;
	char *at = db->text_secret;

	while (at < end) {
		char *stop = memchr(at, '\n', (size_t)(end - at));
		char *next = stop != NULL ? stop + 1 : end;

		if (stop == NULL)
			stop = end;
		*stop = '\0';
		if (stop > at && stop[-1] == '\r')
			*--stop = '\0';
		if (strlen(at) == (size_t)(stop - at))
			line_take(db, at, (size_t)(stop - at) + 1, bad);
		else
			(*bad)++; // a NUL within
		at = next;
	}
}

struct otp_db *otp_db_new(const char *text, size_t len, size_t *bad) {
	struct otp_db *db = calloc(1, sizeof(*db));
	size_t lines = 1;

	*bad = 0;
	if (db == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	db->text_len = len;
	db->text_secret = malloc(len + 1);
	db->lines = calloc(lines, sizeof(*db->lines));
	if (db->text_secret == NULL || db->lines == NULL) {
		otp_db_free(db);
		return NULL;
	}
	memcpy(db->text_secret, text, len);
	db->text_secret[len] = '\0';
	text_parse(db, bad);
	qsort(db->lines, db->nb_lines, sizeof(*db->lines), line_compare);
	return db;
}

void otp_db_free(struct otp_db *db) {
	if (db == NULL)
		return;
	if (db->text_secret != NULL)
		explicit_bzero(db->text_secret, db->text_len);
	free(db->text_secret);
	free(db->lines);
	free(db);
}

size_t otp_db_tokens(const struct otp_db *db) {
	return db->nb_tokens;
}

// The user's first line, or where it would be.
static size_t line_find(const struct otp_db *db, const char *user) {
	size_t lo = 0, hi = db->nb_lines;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(db->lines[mid].field[F_USER], user) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_of(const struct otp_db *db, size_t at, const char *user) {
	return at < db->nb_lines && strcmp(db->lines[at].field[F_USER], user) == 0;
}

bool otp_db_has(const struct otp_db *db, const char *user) {
	return is_of(db, line_find(db, user), user);
}

size_t otp_db_find(
	const struct otp_db *db, const char *user, struct otp_token tokens[OTP_TOKENS_MAX]) {
	size_t n = 0;

	for (size_t at = line_find(db, user); n < OTP_TOKENS_MAX && is_of(db, at, user); at++)
		n += token_parse(&db->lines[at], &tokens[n]);
	return n;
}

// --- tokens ---

int otp_token_name(const struct otp_token *token, const char *user, uint8_t name[IPC_HASH_LEN]) {
	char text[64 + IPC_USER_LEN];
	Hmac hmac;
	int err;

	snprintf(text, sizeof(text), "penstock token %c%u/%u %s", token->totp ? 'T' : 'E',
		token->step_s, token->digits, user);
	if (wc_HmacInit(&hmac, NULL, INVALID_DEVID) != 0)
		return -EIO;
	err = wc_HmacSetKey(&hmac, WC_SHA256, token->key_secret, (word32)token->key_len);
	if (err == 0)
		err = wc_HmacUpdate(&hmac, (const byte *)text, (word32)strlen(text));
	if (err == 0)
		err = wc_HmacFinal(&hmac, name);
	wc_HmacFree(&hmac);
	return err == 0 ? 0 : -EIO;
}

static int code_compare(void *handle, const char *code) {
	const char *wanted = handle;

	return bytes_same(wanted, code, strlen(wanted)) ? 0 : 1;
}

// The code behind the PIN; NULL: the text is no PIN and code of this token, by its form.
static const char *code_of(const struct otp_token *token, const char *text) {
	size_t pin_len = strlen(token->pin_secret);

	if (strlen(text) != pin_len + token->digits ||
		!bytes_same(text, token->pin_secret, pin_len))
		return NULL;
	text += pin_len;
	return strspn(text, "0123456789") == token->digits ? text : NULL;
}

static bool hotp_check(
	const struct otp_token *token, const char *code, const uint64_t *last, uint64_t *factor) {
	uint64_t start = token->counter;
	int at;

	if (last != NULL && *last >= start)
		start = *last + 1;
	at = oath_hotp_validate_callback((const char *)token->key_secret, token->key_len, start,
		OTP_HOTP_AHEAD, token->digits, code_compare, (void *)(uintptr_t)code);
	*factor = start + (uint64_t)at;
	return at >= 0;
}

static bool totp_check(const struct otp_token *token, const char *code, const uint64_t *last,
	time_t now, uint64_t *factor) {
	int ret, at;

	now += (time_t)token->drift * (time_t)token->step_s;
	ret = oath_totp_validate4_callback((const char *)token->key_secret, token->key_len, now,
		token->step_s, 0, token->digits, OTP_TOTP_STEPS, &at, factor, 0, code_compare,
		(void *)(uintptr_t)code);
	return ret >= 0 && (last == NULL || *factor > *last);
}

bool otp_token_check(const struct otp_token *token, const char *text, const uint64_t *last,
	time_t now, uint64_t *factor) {
	const char *code = code_of(token, text);

	*factor = 0;
	if (code == NULL)
		return false;
	return token->totp ? totp_check(token, code, last, now, factor)
			   : hotp_check(token, code, last, factor);
}
