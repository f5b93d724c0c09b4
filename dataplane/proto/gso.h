// SPDX-License-Identifier: GPL-3.0-or-later
// Super-packets of the kernel: TCP or UDP payloads of many packets behind one set of headers. Cutting
// one into packets, and joining packets to one. Pure: bytes in, bytes out. Used by port_fd*.c.
//
// What TSO, USO and GRO do in NICs and in the kernel (virtio 1.1, 5.1.6): with it one system call
// moves some 45 full packets over a TAP or a packet socket.
#pragma once

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 // Linux 6.2
#endif

// Ethernet with two VLAN tags, and the largest IP packet.
#define GSO_FRAME_MAX (14u + 8u + 65535u)
// Ethernet, IPv6 and the longest TCP header.
#define GSO_HEADERS_MAX (14u + 40u + 60u)
#define GSO_JOIN_MAX 64u // frames that one call can join

// A super-packet that is being cut.
struct gso_cut {
	const uint8_t *frame; // must stay there until it is cut
	uint32_t end; // of the payload: offsets into the frame
	uint32_t at; // next byte of the payload
	uint16_t network, transport,
		payload; // where the IP header, the TCP or UDP header end, data
	uint16_t size; // payload bytes of each packet but the last
	uint16_t n; // packets that were cut
	bool v6, tcp;
};

// Starts to cut the Ethernet frame of `len` bytes as its virtio header says. `room`: bytes that one
// packet may have. 0; -EINVAL: the headers contradict the frame; -EMSGSIZE: packets have no room.
int gso_cut_begin(struct gso_cut *cut, const uint8_t *frame, size_t len,
	const struct virtio_net_hdr *hdr, size_t room);
// The next packet, an Ethernet frame with all checksums, to `out`. Its bytes; 0: there is none left.
size_t gso_cut_next(struct gso_cut *cut, uint8_t *out);

// A frame that may be joined with others; `data` NULL: never.
struct gso_frame {
	const uint8_t *data;
	uint16_t len;
	// Made here: its transport checksum is not in yet, its identification matters to nobody else.
	bool trusted;
	uint16_t next; // [out] the frame that follows in the same super-packet; GSO_LAST: none
};
#define GSO_LAST UINT16_MAX

// What becomes one super-packet, or one frame (count 1) that goes as it is.
struct gso_group {
	uint16_t first, last; // frames
	uint16_t count;
	uint16_t network, transport, payload; // offsets in each frame; payload 0: not looked at
	uint16_t size; // payload bytes of each frame but the last
	uint32_t bytes; // of payload, all frames
	bool v6, tcp;
	bool closed; // nothing more may be joined
	bool verified; // the first frame's checksum was looked at
};

// Kinds of super-packets that the other side takes.
#define GSO_TCP 1u
#define GSO_UDP 2u

// Groups n <= GSO_JOIN_MAX frames of one link by flow: consecutive TCP segments of a connection,
// UDP datagrams of the same size (RFC 9293, RFC 768). The order within a flow is kept. Groups stand
// in the order of their first frames. Returns their number.
unsigned gso_join(struct gso_frame *frames, unsigned n, unsigned kinds,
	struct gso_group groups[GSO_JOIN_MAX]);

// Headers of a super-packet: those of `frame`, the group's first, with new lengths and, for the
// transport checksum, the sum of the pseudo header. Fills *hdr. Returns their bytes; the payloads of
// the group's frames, from `payload` on, follow in order.
size_t gso_headers(const struct gso_group *group, const struct gso_frame *frames,
	uint8_t out[GSO_HEADERS_MAX], struct virtio_net_hdr *hdr);
