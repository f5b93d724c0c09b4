// SPDX-License-Identifier: GPL-3.0-or-later
// The read-only statistics region: counters with their meaning, workers, ports, sessions.
//
// One writer a cache line, 64-bit counters, relaxed stores; readers map it read-only and need no
// lock. Drop counters are defined once, below: the CLI, YANG state and metrics are made from it.
#pragma once

#include "abi.h"

#define ABI_STATS_MAGIC 0x54415453u

// name, sentence for people. Order is the ABI: append only.
#define ABI_COUNTERS(X) \
	X(rx_packets, "Packets received from all ports") \
	X(tx_packets, "Packets sent to all ports") \
	X(dtls_rx, "DTLS records decrypted") \
	X(dtls_tx, "DTLS records encrypted") \
	X(stream_rx, "Packets received in TLS streams") \
	X(stream_tx, "Packets sent into TLS streams") \
	X(punt_kernel, "Packets handed to the kernel's twin of a port") \
	X(punt_control, "Handshake datagrams handed to the control plane") \
	X(inject, "Datagrams sent for the control plane") \
	X(handoff, "Packets that a worker handed to another worker or to a TLS stream thread") \
	X(client_to_client, "Packets switched from one session to another") \
	X(reassembled, "Outer datagrams put together from fragments") \
	X(fragmented, "Inner or outer packets cut into fragments") \
	X(mss_clamped, "TCP SYNs whose MSS was lowered to fit the tunnel") \
	X(icmp_sent, "ICMP errors and answers generated") \
	X(dpd_answered, "Dead-peer-detection probes answered") \
	X(dtls_moved, "DTLS channels that followed a client to another port of the same address") \
	X(key_update, "TLS 1.3 key updates done, of both directions") \
	X(drop_no_mbuf, "Dropped: no packet buffer was free") \
	X(drop_tx_full, "Dropped: the port's transmit queue was full") \
	X(drop_eth_bad, "Dropped: not a valid Ethernet frame for this port") \
	X(drop_ip_bad, "Dropped: malformed IP header (version, length or checksum)") \
	X(drop_udp_bad, "Dropped: malformed UDP header of a VPN datagram") \
	X(drop_frag, "Dropped: fragment that could not be put together (timeout, overlap, limit)") \
	X(drop_punt_full, "Dropped: the control plane did not take handshakes fast enough") \
	X(drop_punt_rate, "Dropped: more handshakes to the control plane than its rate limit") \
	X(drop_kernel_full, "Dropped: the kernel did not take packets fast enough") \
	X(drop_dtls_bad, "Dropped: not a well-formed DTLS record") \
	X(drop_dtls_unknown, "Dropped: DTLS record from an address without a session") \
	X(drop_dtls_epoch, "Dropped: DTLS record of an epoch without keys") \
	X(drop_dtls_auth, "Dropped: DTLS record that failed authentication (forged or corrupted)") \
	X(drop_dtls_replay, "Dropped: DTLS record seen before or too old") \
	X(drop_dtls_type, "Dropped: frame of an unknown type, in DTLS or a TLS stream") \
	X(drop_roam_rate, \
		"Dropped: record from a new port of a client's address beyond the trial limit") \
	X(drop_source, "Dropped: inner source address is not the session's own") \
	X(drop_inner_bad, "Dropped: inner packet is not valid IPv4 or IPv6") \
	X(drop_no_session, "Dropped: no session has the destination address") \
	X(drop_no_channel, "Dropped: the session has no channel to send on") \
	X(drop_client_to_client, "Dropped: client to client is not allowed") \
	X(drop_no_route, "Dropped: no route to the destination") \
	X(drop_no_neighbour, "Dropped: the next hop's link address is not resolved yet") \
	X(drop_ttl, "Dropped: TTL or hop limit expired (ICMP sent within its rate)") \
	X(drop_too_big, \
		"Dropped: packet larger than the tunnel's MTU (ICMP sent within its rate)") \
	X(drop_crypto, "Dropped: the crypto device refused the operation") \
	X(drop_seq_exhausted, "Dropped: the channel's sequence numbers are used up") \
	X(drop_handoff_full, "Dropped: the inbox of the worker or TLS stream thread was full") \
	X(drop_stream_full, "Dropped: the client's TLS stream does not drain (back pressure)") \
	X(drop_stream_bad, "Closed: TLS record or CSTP frame malformed") \
	X(drop_stream_auth, "Closed: TLS record failed authentication") \
	X(drop_rate, "Dropped: beyond the session's bandwidth limit") \
	X(drop_icmp_rate, "Not sent: ICMP error beyond its rate limit") \
	X(drop_stale, "Dropped: belonged to a session that has ended") \
	X(abi_bad_cmd, "Commands refused because they were malformed") \
	X(abi_stale, "Commands for a session that is gone") \
	X(abi_evt_full, "Events lost because the control plane does not read them") \
	X(drop_inject_bad, "Datagrams of the control plane that were refused") \
	X(drop_multicast, "Dropped: multicast or broadcast that is not forwarded") \
	X(drop_not_ours, "Dropped: not for the VPN, on a port that the kernel serves by itself") \
	X(drop_punt_nobody, "Dropped: handshake datagram while no edge process was attached") \
	X(drop_punt_long, "Dropped: handshake datagram longer than the control plane takes") \
	X(drop_filter_route, "Dropped: to or from a network that the session may not reach") \
	X(drop_filter_port, "Dropped: protocol or port that the session may not reach") \
	X(drop_filter_fragment, \
		"Dropped: fragment without the ports that the session's filter has to see")

enum abi_counter {
#define X(name, text) ABI_C_##name,
	ABI_COUNTERS(X)
#undef X
	ABI_C_MAX
};
#define ABI_COUNTERS_SLOTS 128u
_Static_assert(ABI_C_MAX <= ABI_COUNTERS_SLOTS, "counters");

enum abi_worker_kind {
	ABI_WORKER_PACKET = 1, // poll loop
	ABI_WORKER_STREAM = 2, // TLS streams
	ABI_WORKER_CTL = 3, // the control thread
};

// One lcore. Written by it alone.
struct abi_worker_stats {
	uint32_t kind; // enum abi_worker_kind; 0: slot not in use
	uint32_t lcore;
	uint32_t cpu; // UINT32_MAX: wherever the kernel runs it
	uint32_t reserved;
	uint64_t loops;
	uint64_t cycles_busy; // TSC cycles in loops that did work
	uint64_t cycles_idle; // TSC cycles in empty loops and asleep
	uint64_t packets; // packets handled in busy loops
	uint64_t syscalls; // stream workers
	uint64_t reserved2;
	uint64_t counters[ABI_COUNTERS_SLOTS]; // by enum abi_counter
};

struct abi_port_stats {
	char name[ABI_NAME_LEN]; // empty: slot not in use
	char driver[ABI_NAME_LEN];
	char kernel_if[ABI_NAME_LEN]; // the kernel's interface: twin, TAP or shared NIC
	uint8_t mac[6];
	uint8_t up;
	uint8_t role; // 1 WAN, 2 LAN
	uint16_t mtu;
	uint16_t reserved;
	uint32_t reserved3;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_dropped, tx_dropped, rx_errors;
	uint64_t reserved2;
};

// One session, by index. Written by its owners; generation says whose numbers these are.
struct abi_session_stats {
	uint32_t generation; // 0: none
	uint8_t channel_tx; // what the server sends on: 0 none, 1 stream, 2 DTLS
	uint8_t channels; // ABI_CHANNEL_* that are up
	uint16_t worker;
	uint64_t rx_packets, rx_bytes; // from the client, inner bytes
	uint64_t tx_packets, tx_bytes; // to the client, inner bytes
	uint32_t last_rx_s; // CLOCK_MONOTONIC seconds of the last authentic record
	uint32_t last_data_s; // of the last data packet that counts as use
	// Dropped by its filter, both ways; any worker adds.
	uint64_t filtered_routes;
	uint64_t filtered_ports; // for protocol or port, or as a fragment that does not show it
};
_Static_assert(sizeof(struct abi_session_stats) == 64, "abi_session_stats");

#define ABI_STATS_WORKERS (ABI_WORKERS_MAX + ABI_STREAMERS_MAX + 1)

struct abi_stats {
	uint32_t magic;
	uint32_t version;
	uint64_t boot_id;
	uint64_t tsc_hz;
	uint64_t start_realtime_s;
	uint32_t sessions_max; // entries behind this header
	uint32_t nb_workers; // entries of worker[] in use
	uint32_t nb_ports;
	uint32_t nb_counters; // ABI_C_MAX of the dataplane
	uint32_t sessions; // installed now
	uint32_t reserved;
	char dpdk_version[ABI_NAME_LEN];
	char build[ABI_NAME_LEN]; // project version
	struct abi_port_stats port[ABI_PORTS_MAX];
	struct abi_worker_stats worker[ABI_STATS_WORKERS] __attribute__((aligned(64)));
	// struct abi_session_stats session[sessions_max], 64-byte aligned, follows
};

static inline uint64_t abi_stats_sessions_offset(void) {
	return (sizeof(struct abi_stats) + 63) & ~(uint64_t)63;
}
