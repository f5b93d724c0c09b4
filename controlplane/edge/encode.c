// SPDX-License-Identifier: GPL-3.0-or-later
// Text forms of bytes in HTTP: base64 of cookies, hex of ids, percent escapes. Pure functions.

#include <string.h>

#include "encode.h"

// All-ones when lo <= v <= hi, without a branch: what is encoded here are cookies.
static unsigned in_range(unsigned v, unsigned lo, unsigned hi) {
	return 0u - (((lo - 1 - v) & (v - hi - 1)) >> 31);
}

static char base64_char(unsigned v) {
	unsigned c = 0;

	c |= in_range(v, 0, 25) & (v + 'A');
	c |= in_range(v, 26, 51) & (v - 26 + 'a');
	c |= in_range(v, 52, 61) & (v - 52 + '0');
	c |= in_range(v, 62, 62) & '+';
	c |= in_range(v, 63, 63) & '/';
	return (char)c;
}

// 0..63; *bad collects what is no base64 character.
static unsigned base64_value(unsigned char c, unsigned *bad) {
	unsigned v = 0, ok = 0, m;

	m = in_range(c, 'A', 'Z');
	v |= m & (c - 'A');
	ok |= m;
	m = in_range(c, 'a', 'z');
	v |= m & (c - 'a' + 26u);
	ok |= m;
	m = in_range(c, '0', '9');
	v |= m & (c - '0' + 52u);
	ok |= m;
	m = in_range(c, '+', '+');
	v |= m & 62u;
	ok |= m;
	m = in_range(c, '/', '/');
	v |= m & 63u;
	ok |= m;
	*bad |= ~ok;
	return v;
}

void base64_encode(char *out, const uint8_t *data, size_t len) {
	for (; len > 0; out += 4) {
		size_t n = len < 3 ? len : 3;
		unsigned v = (unsigned)data[0] << 16;

		v |= n > 1 ? (unsigned)data[1] << 8 : 0;
		v |= n > 2 ? data[2] : 0;
		out[0] = base64_char(v >> 18);
		out[1] = base64_char(v >> 12 & 63);
		out[2] = n > 1 ? base64_char(v >> 6 & 63) : '=';
		out[3] = n > 2 ? base64_char(v & 63) : '=';
		data += n;
		len -= n;
	}
	*out = '\0';
}

bool base64_decode(uint8_t *out, size_t len, const char *text, size_t text_len) {
	unsigned bad = 0;

	if (text_len != BASE64_LEN(len))
		return false;
	for (; len > 0; text += 4) {
		size_t n = len < 3 ? len : 3;
		unsigned v = base64_value((unsigned char)text[0], &bad) << 18;

		v |= base64_value((unsigned char)text[1], &bad) << 12;
		if (n > 1)
			v |= base64_value((unsigned char)text[2], &bad) << 6;
		else
			bad |= text[2] != '=';
		if (n > 2)
			v |= base64_value((unsigned char)text[3], &bad);
		else
			bad |= text[3] != '=';
		// One text for one value: the bits that encode nothing are zero.
		bad |= n == 1 ? v & 0xffff : n == 2 ? v & 0xff : 0;
		for (size_t i = 0; i < n; i++)
			out[i] = (uint8_t)(v >> (16 - 8 * i));
		out += n;
		len -= n;
	}
	return bad == 0;
}

void hex_encode(char *out, const uint8_t *data, size_t len, bool upper) {
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[data[i] >> 4];
		*out++ = digits[data[i] & 15];
	}
	*out = '\0';
}

int hex_digit(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(uint8_t *out, size_t len, const char *text, size_t text_len) {
	if (text_len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_digit(text[2 * i]);
		int lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static bool is_unreserved(unsigned char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(c != '\0' && strchr("-._~", c) != NULL);
}

void percent_encode(char *out, const char *text) {
	for (; *text != '\0'; text++) {
		if (is_unreserved((unsigned char)*text)) {
			*out++ = *text;
		} else {
			*out++ = '%';
			hex_encode(out, (const uint8_t *)text, 1, true);
			out += 2;
		}
	}
	*out = '\0';
}

bool percent_decode(char *out, size_t size, const char *text, size_t len, bool plus) {
	const char *end = text + len;
	size_t n = 0;

	if (size == 0)
		return false;
	while (text < end) {
		int c = (unsigned char)*text++;

		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			if (end - text < 2 || hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
				return false;
			c = hex_digit(text[0]) << 4 | hex_digit(text[1]);
			text += 2;
		}
		if (c < 0x20 || c == 0x7f || n + 1 >= size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}
