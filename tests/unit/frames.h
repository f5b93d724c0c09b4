// SPDX-License-Identifier: GPL-3.0-or-later
// Builds Ethernet frames for the tests of what steers them.
#pragma once

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

struct frame {
	uint8_t bytes[128];
	size_t len;
};

struct frame_spec {
	const char *dst; // address text, of either family
	uint8_t proto; // IPPROTO_*
	uint16_t port; // destination port
	uint16_t offset; // of the fragment, in units of 8 bytes
	int more; // more fragments follow
	int fragment; // v6: a fragment header, even without offset and more
	uint32_t id;
	uint8_t options; // v4: words of IP options
};

static inline void frame_put(struct frame *f, const void *data, size_t len) {
	memcpy(f->bytes + f->len, data, len);
	f->len += len;
}

static inline void frame_put16(struct frame *f, uint16_t value) {
	value = htons(value);
	frame_put(f, &value, sizeof(value));
}

static inline void frame_v4(struct frame *f, const struct frame_spec *spec) {
	uint8_t *ip = f->bytes + f->len;

	memset(ip, 0, 20);
	ip[0] = (uint8_t)(0x45 + spec->options);
	ip[4] = (uint8_t)(spec->id >> 8);
	ip[5] = (uint8_t)spec->id;
	ip[6] = (uint8_t)((spec->more ? 0x20 : 0) | spec->offset >> 8);
	ip[7] = (uint8_t)spec->offset;
	ip[8] = 64;
	ip[9] = spec->proto;
	inet_pton(AF_INET, "198.51.100.7", ip + 12);
	inet_pton(AF_INET, spec->dst, ip + 16);
	f->len += 20;
	for (unsigned i = 0; i < spec->options; i++)
		frame_put(f, "\1\1\1\1", 4);
}

static inline void frame_v6(struct frame *f, const struct frame_spec *spec) {
	int fragment = spec->fragment || spec->more || spec->offset != 0;
	uint8_t *ip = f->bytes + f->len;
	uint32_t id = htonl(spec->id);

	memset(ip, 0, 40);
	ip[0] = 0x60;
	ip[6] = fragment ? IPPROTO_FRAGMENT : spec->proto;
	inet_pton(AF_INET6, "2001:db8:7::7", ip + 8);
	inet_pton(AF_INET6, spec->dst, ip + 24);
	f->len += 40;
	if (!fragment)
		return;
	frame_put(f, (uint8_t[]){spec->proto, 0}, 2);
	frame_put16(f, (uint16_t)(spec->offset << 3 | (spec->more ? 1 : 0)));
	frame_put(f, &id, sizeof(id));
}

// A whole frame: Ethernet, IP, then ports and 8 more bytes.
static inline struct frame frame_make(const struct frame_spec *spec) {
	int v6 = strchr(spec->dst, ':') != NULL;
	struct frame f = {.len = 12};

	frame_put16(&f, v6 ? 0x86dd : 0x0800);
	if (v6)
		frame_v6(&f, spec);
	else
		frame_v4(&f, spec);
	frame_put16(&f, 40000);
	frame_put16(&f, spec->port);
	frame_put(&f, "\0\20\0\0payload.", 12);
	return f;
}
