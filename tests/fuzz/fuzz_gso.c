// SPDX-License-Identifier: GPL-3.0-or-later
// Fuzzes super-packets: cutting what the kernel hands over, and joining frames, which must be the
// same ones when they are cut again. Run by tools/check.
#include <stdlib.h>
#include <string.h>

#include "dataplane/proto/gso.h"
#include "dataplane/proto/ip.h"
#include "dataplane/proto/nd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 2048u

static void require(bool truth) {
	if (!truth)
		abort();
}

// Every packet is valid, and together they have the whole payload.
static void cut_all(const struct virtio_net_hdr *hdr, const uint8_t *frame, size_t len) {
	uint8_t *out = malloc(ROOM);
	struct gso_cut cut;
	size_t part, payload = 0;

	require(out != NULL);
	if (gso_cut_begin(&cut, frame, len, hdr, ROOM) == 0) {
		size_t whole = cut.end - cut.payload;

		while ((part = gso_cut_next(&cut, out)) != 0) {
			struct ip_info info;

			require(part <= ROOM && part > cut.payload);
			require(ip_parse(out + cut.network, part - cut.network, true, &info) ==
				IP_OK);
			require(cut.network + info.total_len == (int)part);
			payload += part - cut.payload;
		}
		require(payload == whole);
	}
	free(out);
}

static void fuzz_cut(const uint8_t *data, size_t size) {
	struct virtio_net_hdr hdr;
	uint8_t *frame;

	if (size < sizeof(hdr))
		return;
	memcpy(&hdr, data, sizeof(hdr));
	size -= sizeof(hdr);
	frame = malloc(size > 0 ? size : 1);
	require(frame != NULL);
	memcpy(frame, data + sizeof(hdr), size);
	cut_all(&hdr, frame, size);
	free(frame);
}

// Few inputs have right checksums: writes them where the headers are whole.
static void mend(uint8_t *frame, uint16_t len) {
	struct ip_info info;
	uint8_t *ip = frame + ETH_HEADER;

	if (len < ETH_HEADER + IP4_HEADER)
		return;
	if (ip[0] >> 4 == 6 && len >= ETH_HEADER + IP6_HEADER)
		ip_store16(ip + 4, (uint16_t)(len - ETH_HEADER - IP6_HEADER));
	else
		ip_store16(ip + 2, (uint16_t)(len - ETH_HEADER));
	if (ip_parse(ip, len - ETH_HEADER, false, &info) != IP_OK)
		return;
	if (info.version == 4)
		ip4_checksum_write(ip);
	uint8_t *upper = ip + info.header_len;
	uint32_t rest = info.total_len - info.header_len;
	unsigned field = info.proto == IP_PROTO_TCP ? 16 : 6;

	if ((info.proto != IP_PROTO_TCP && info.proto != IP_PROTO_UDP) || rest < field + 2)
		return;
	if (info.proto == IP_PROTO_UDP)
		ip_store16(upper + 4, (uint16_t)rest);
	ip_store16(upper + field, 0);
	uint16_t check = ip_sum_finish(
		ip_sum(upper, rest, ip_sum_pseudo(ip, info.version, info.proto, rest)));

	ip_store16(upper + field, check == 0 && field == 6 ? 0xffff : check);
}

// With DF the identification may change, and the header's checksum with it.
static bool same(const uint8_t *a, const uint8_t *b, size_t len, bool v6) {
	const unsigned ip = ETH_HEADER;

	if (v6 || (a[ip + 6] & 0x40) == 0)
		return memcmp(a, b, len) == 0;
	return memcmp(a, b, ip + 4) == 0 && memcmp(a + ip + 6, b + ip + 6, 4) == 0 &&
		memcmp(a + ip + 12, b + ip + 12, len - ip - 12) == 0;
}

static void check_group(const struct gso_group *g, const struct gso_frame *frames) {
	uint8_t *bytes = malloc(GSO_FRAME_MAX), *out = malloc(ROOM);
	struct virtio_net_hdr hdr;
	struct gso_cut cut;

	require(bytes != NULL && out != NULL);
	size_t len = gso_headers(g, frames, bytes, &hdr);

	for (unsigned i = g->first; i != GSO_LAST; i = frames[i].next) {
		require(len + frames[i].len - g->payload <= GSO_FRAME_MAX);
		memcpy(bytes + len, frames[i].data + g->payload, frames[i].len - g->payload);
		len += frames[i].len - g->payload;
	}
	require(gso_cut_begin(&cut, bytes, len, &hdr, ROOM) == 0);
	for (unsigned i = g->first; i != GSO_LAST; i = frames[i].next) {
		require(gso_cut_next(&cut, out) == frames[i].len);
		require(same(out, frames[i].data, frames[i].len, g->v6));
	}
	require(gso_cut_next(&cut, out) == 0);
	free(bytes);
	free(out);
}

// Frames: two bytes of length (the upper bits: repeat the frame before, with the next sequence
// number), the bytes.
static void fuzz_join(const uint8_t *data, size_t size) {
	struct gso_frame frames[GSO_JOIN_MAX];
	struct gso_group groups[GSO_JOIN_MAX];
	uint8_t *bytes[GSO_JOIN_MAX];
	unsigned n = 0, seen = 0;

	while (size >= 2 && n < GSO_JOIN_MAX) {
		uint16_t len = ip_load16(data), rule = len >> 11;

		data += 2, size -= 2;
		len &= 0x7ff;
		if (n > 0 && (rule & 1)) {
			len = frames[n - 1].len;
			bytes[n] = malloc(len + 1u);
			require(bytes[n] != NULL);
			memcpy(bytes[n], frames[n - 1].data, len);
			if (len >= 54 && bytes[n][14] == 0x45) {
				uint8_t *tcp = bytes[n] + 34;
				uint32_t payload = len - 34u - (tcp[12] >> 4) * 4u;

				ip_store16(bytes[n] + 18, (uint16_t)(ip_load16(bytes[n] + 18) + 1));
				if (bytes[n][23] == IP_PROTO_TCP)
					ip_store32(tcp + 4, ip_load32(tcp + 4) + payload);
			}
		} else {
			if (len > size)
				len = (uint16_t)size;
			bytes[n] = malloc(len + 1u);
			require(bytes[n] != NULL);
			memcpy(bytes[n], data, len);
			data += len, size -= len;
		}
		if (rule & 2)
			mend(bytes[n], len);
		frames[n] = (struct gso_frame){.data = bytes[n], .len = len};
		n++;
	}
	unsigned nb = gso_join(frames, n, GSO_TCP | GSO_UDP, groups);

	for (unsigned i = 0; i < nb; i++) {
		unsigned count = 0;

		for (unsigned k = groups[i].first; k != GSO_LAST; k = frames[k].next)
			count++;
		require(count == groups[i].count);
		seen += count;
		if (count > 1)
			check_group(&groups[i], frames);
	}
	require(seen == n);
	for (unsigned i = 0; i < n; i++)
		free(bytes[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size == 0)
		return 0;
	if (data[0] & 1)
		fuzz_cut(data + 1, size - 1);
	else
		fuzz_join(data + 1, size - 1);
	return 0;
}
