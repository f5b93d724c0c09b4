// SPDX-License-Identifier: GPL-3.0-or-later
// What flood.c tells flood.bpf.c: the one value of its map. Include fixed-width types of Linux before.
#pragma once

struct flood_config {
	__u64 interval_ns; // between packets; 0: none
	__u64 next_ns; // when the next is due; the program's
	__u32 ifindex; // where they go out
	__u32 hello; // a ClientHello, else a data record
	__u32 client, network; // whose the pattern is; others of its /24; network order
	__u16 client_port; // network order
	__u16 reserved[3];
};
