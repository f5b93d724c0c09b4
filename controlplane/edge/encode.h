// SPDX-License-Identifier: GPL-3.0-or-later
// Text forms of bytes in HTTP: base64 of cookies, hex of ids, percent escapes. Pure functions.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

// Writes BASE64_LEN(len) characters and a NUL (RFC 4648, section 4; no table is indexed by a
// secret). `out` holds BASE64_LEN(len) + 1 bytes.
void base64_encode(char *out, const uint8_t *data, size_t len);
// Decodes exactly `len` bytes from text of exactly BASE64_LEN(len) characters, with padding and
// zero trailing bits. False: anything else.
bool base64_decode(uint8_t *out, size_t len, const char *text, size_t text_len);

// `out` holds 2 * len + 1 bytes.
void hex_encode(char *out, const uint8_t *data, size_t len, bool upper);
// Decodes exactly `len` bytes from 2 * len digits of either case. False: anything else.
bool hex_decode(uint8_t *out, size_t len, const char *text, size_t text_len);
// Value of one hex digit, or -1.
int hex_digit(char c);

// Writes all but letters, digits and -._~ as %XX (RFC 3986, 2.3). `out` holds 3 * strlen(text) + 1.
void percent_encode(char *out, const char *text);
// Undoes %XX, and '+' as a space when `plus`. Writes a NUL-terminated string of at most size - 1
// bytes. False: does not fit, a broken escape, or a NUL or other control character in the result.
bool percent_decode(char *out, size_t size, const char *text, size_t len, bool plus);
