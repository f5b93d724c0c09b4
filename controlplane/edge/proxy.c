// SPDX-License-Identifier: GPL-3.0-or-later
// The header with which a proxy says whose connection it hands on; called by conn_proxy.c.

#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "controlplane/proc/bytes.h"
#include "dataplane/abi/addr.h"

// Version 1: one line.
#define LINE_MAX_LEN 107u // with CR and LF, 2.1
#define FIELDS 4u

// Version 2: this, then version and command, family and transport, and the length of the rest.
static const uint8_t signature[12] = {
	0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
#define FIXED_LEN 16u

static void addr4_set(struct abi_addr *addr, const uint8_t *bytes) {
	*addr = (struct abi_addr){.bytes = {[10] = 0xff, [11] = 0xff}};
	memcpy(addr->bytes + 12, bytes, 4);
}

// No connection comes from there; one that claims it would be counted for nobody.
static bool is_nobody(const struct abi_addr *addr) {
	static const uint8_t zero[4];

	if (abi_addr_is4(addr))
		return memcmp(addr->bytes + 12, zero, 4) == 0 || addr->bytes[12] >= 224;
	return abi_addr_none(addr) || addr->bytes[0] == 0xff;
}

static int checked(const struct proxy_header *out) {
	return out->local || !is_nobody(&out->source) ? 1 : -EPROTO;
}

// --- version 1 ---

static bool addr_parse(const char *text, bool is4, struct abi_addr *addr) {
	uint8_t bytes[4];

	if (!is4)
		return inet_pton(AF_INET6, text, addr->bytes) == 1;
	if (inet_pton(AF_INET, text, bytes) != 1)
		return false;
	addr4_set(addr, bytes);
	return true;
}

static bool port_parse(const char *text, uint16_t *port) {
	uint32_t value = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = 10 * value + (uint32_t)(text[i] - '0');
	}
	*port = (uint16_t)value;
	return value <= UINT16_MAX;
}

// Cuts the text at each space. False: not so many fields, or an empty one.
static bool fields_cut(char *text, char *fields[FIELDS]) {
	for (size_t i = 0; i < FIELDS; i++) {
		fields[i] = text;
		text = strchr(text, ' ');
		if ((text == NULL) != (i == FIELDS - 1) || fields[i][0] == '\0')
			return false;
		if (text != NULL)
			*text++ = '\0';
	}
	return true;
}

// `text` is what stands behind "PROXY ", without the end of the line.
static int line_parse(char *text, struct proxy_header *out) {
	bool is4 = strncmp(text, "TCP4 ", 5) == 0;
	char *fields[FIELDS];

	if (strncmp(text, "UNKNOWN", 7) == 0 && (text[7] == '\0' || text[7] == ' ')) {
		out->local = true;
		return 1;
	}
	if ((!is4 && strncmp(text, "TCP6 ", 5) != 0) || !fields_cut(text + 5, fields) ||
		!addr_parse(fields[0], is4, &out->source) ||
		!addr_parse(fields[1], is4, &out->destination) ||
		!port_parse(fields[2], &out->source_port) ||
		!port_parse(fields[3], &out->destination_port))
		return -EPROTO;
	return checked(out);
}

static int v1_parse(const uint8_t *data, size_t len, struct proxy_header *out, size_t *want) {
	static const char start[] = "PROXY ";
	const size_t start_len = sizeof(start) - 1;
	char line[LINE_MAX_LEN + 1];
	const uint8_t *end;

	if (memcmp(data, start, len < start_len ? len : start_len) != 0)
		return -EPROTO;
	end = memchr(data, '\n', len < LINE_MAX_LEN ? len : LINE_MAX_LEN);
	if (end == NULL) {
		*want = len + 1;
		return len < LINE_MAX_LEN ? 0 : -EPROTO;
	}
	out->len = (size_t)(end - data) + 1;
	if (out->len < start_len + 2 || end[-1] != '\r' || memchr(data, '\0', out->len) != NULL)
		return -EPROTO;
	memcpy(line, data, out->len);
	line[out->len - 2] = '\0';
	return line_parse(line + start_len, out);
}

// --- version 2 ---

static int v2_addresses(const uint8_t *data, size_t len, uint8_t family, struct proxy_header *out) {
	switch (family) {
	case 0x11: // TCP over IPv4
		if (len < 12)
			return -EPROTO;
		addr4_set(&out->source, data);
		addr4_set(&out->destination, data + 4);
		data += 8;
		break;
	case 0x21: // TCP over IPv6
		if (len < 36)
			return -EPROTO;
		memcpy(out->source.bytes, data, 16);
		memcpy(out->destination.bytes, data + 16, 16);
		data += 32;
		break;
	case 0x00: // not known
	case 0x31: // a UNIX socket of the proxy's
		out->local = true;
		return 1;
	default:
		return -EPROTO;
	}
	out->source_port = (uint16_t)bytes_get(data, 2);
	out->destination_port = (uint16_t)bytes_get(data + 2, 2);
	return checked(out);
}

static int v2_parse(const uint8_t *data, size_t len, struct proxy_header *out, size_t *want) {
	size_t rest;

	*want = FIXED_LEN;
	if (len < FIXED_LEN)
		return 0;
	rest = bytes_get(data + 14, 2);
	if (data[12] >> 4 != 2 || (data[12] & 0x0f) > 1 || FIXED_LEN + rest > PROXY_HEADER_MAX)
		return -EPROTO;
	*want = out->len = FIXED_LEN + rest;
	if (len < out->len)
		return 0;
	if ((data[12] & 0x0f) == 0) { // LOCAL: whatever the rest says
		out->local = true;
		return 1;
	}
	return v2_addresses(data + FIXED_LEN, rest, data[13], out);
}

int proxy_header_parse(const uint8_t *data, size_t len, struct proxy_header *out, size_t *want) {
	size_t begin = len < sizeof(signature) ? len : sizeof(signature);

	memset(out, 0, sizeof(*out));
	*want = 1;
	if (len == 0)
		return 0;
	if (memcmp(data, signature, begin) == 0)
		return v2_parse(data, len, out, want);
	return v1_parse(data, len, out, want);
}
