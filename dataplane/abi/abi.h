// SPDX-License-Identifier: GPL-3.0-or-later
// The boundary between control plane and dataplane: versions, identities, HELLO. Included by both.
//
// The dataplane listens on a UNIX SOCK_SEQPACKET socket. A peer connects and sends one
// struct abi_hello; the dataplane answers with one struct abi_welcome that carries, by
// SCM_RIGHTS, sealed memfds and eventfds in the order of enum abi_fd. After that the rings carry
// everything but file descriptors, for which struct abi_fd_msg goes over the socket.
//
// All integers are in host byte order (both sides run on one machine) unless the comment says
// otherwise; addresses and ports are in network byte order. Every structure is a fixed layout
// without pointers and without implicit padding. Whoever receives one copies it to private
// memory first and validates the copy.
#pragma once

#include <stdint.h>

#define ABI_MAGIC 0x4b545350u // "PSTK"
#define ABI_VERSION 2u // the version this header describes
#define ABI_VERSION_MIN 2u // the oldest a peer may speak

#define ABI_SOCKET_PATH "/run/penstock/dataplane.sock"
#define ABI_EDGES_MAX 64u // edge processes that can be attached at once
#define ABI_SESSIONS_MAX (1u << 20) // largest session index + 1
#define ABI_WORKERS_MAX 64u
#define ABI_STREAMERS_MAX 32u
#define ABI_PORTS_MAX 16u
#define ABI_NAME_LEN 32u // names of ports and the like, NUL included

// Who attaches. The supervisor sends the HELLO, so that a child cannot choose its own role.
enum abi_role {
	ABI_ROLE_SESSION = 1, // command, completion and event rings, statistics
	ABI_ROLE_EDGE = 2, // one pair of punt and inject rings
	ABI_ROLE_MONITOR = 3, // statistics, read-only
};

struct abi_hello {
	uint32_t magic; // ABI_MAGIC
	uint16_t version_min; // inclusive range that the peer speaks
	uint16_t version_max;
	uint16_t role; // enum abi_role
	uint16_t index; // edge: its number, < ABI_EDGES_MAX; else 0
	uint32_t reserved; // 0
};
_Static_assert(sizeof(struct abi_hello) == 16, "abi_hello");

// Order of the descriptors that come with the WELCOME; a role gets only its own.
// SESSION: CMD CPL EVT STATS CMD_BELL EVT_BELL (CPL and EVT share EVT_BELL)
// EDGE: PUNT INJECT PUNT_BELL INJECT_BELL
// MONITOR: STATS
#define ABI_WELCOME_FDS_MAX 6u

struct abi_welcome {
	uint32_t magic;
	uint16_t version; // the version chosen
	int16_t status; // 0 or -errno: -EPROTO version, -EBUSY role taken, -EINVAL
	uint32_t nb_fds;
	uint32_t sessions_max; // session indexes are below this
	uint64_t boot_id; // random; changes when the dataplane restarts
	uint32_t nb_workers;
	uint32_t reserved;
};
_Static_assert(sizeof(struct abi_welcome) == 32, "abi_welcome");

// A descriptor for a later command, sent over the socket with exactly one fd by SCM_RIGHTS.
// The dataplane holds it under `token` for at most 10 s and 1,024 of them at a time.
struct abi_fd_msg {
	uint32_t magic;
	uint32_t reserved;
	uint64_t token; // chosen by the sender, not 0, unique among those held
};
_Static_assert(sizeof(struct abi_fd_msg) == 16, "abi_fd_msg");

// A session's identity. A stale generation is a counted no-op.
struct abi_sid {
	uint32_t index; // < sessions_max
	uint32_t generation; // never 0 for a live session
};
_Static_assert(sizeof(struct abi_sid) == 8, "abi_sid");

// An address of either family: v4 is v4-mapped (::ffff:a.b.c.d). All zero: none.
struct abi_addr {
	uint8_t bytes[16];
};

// The outer addresses of a datagram channel, seen from the dataplane.
struct abi_tuple {
	struct abi_addr local;
	struct abi_addr remote;
	uint16_t local_port; // network byte order
	uint16_t remote_port; // network byte order
	uint32_t reserved; // 0
};
_Static_assert(sizeof(struct abi_tuple) == 40, "abi_tuple");

// Security of a channel.
enum abi_version {
	ABI_TLS12 = 1,
	ABI_TLS13 = 2,
	ABI_DTLS12 = 3,
	ABI_DTLS13 = 4, // kept free: not accepted yet
};

enum abi_cipher {
	ABI_AES_128_GCM = 1,
	ABI_AES_256_GCM = 2,
	ABI_CHACHA20_POLY1305 = 3,
};

#define ABI_KEY_MAX 32u
#define ABI_IV_MAX 12u
#define ABI_SECRET_MAX 48u // TLS 1.3 traffic secret, SHA-384

// Record protection of one direction.
// iv: TLS 1.2/DTLS 1.2 GCM: the 4-byte salt, then 8 bytes, a big-endian number: tx: the explicit
// nonce of a record is this number plus its 64-bit sequence number (DTLS: with the epoch in front),
// modulo 2^64, so that it goes on where the handshake has ended and none comes twice (RFC 5288, 3);
// rx: 0, the nonce is read from the record. All else: 12 bytes (RFC 7905, 8446).
// secret: TLS 1.3 application traffic secret, for KeyUpdate (RFC 8446, 7.2); else 0.
struct abi_keys {
	uint8_t key[ABI_KEY_MAX];
	uint8_t iv[ABI_IV_MAX];
	uint8_t secret_len; // 0, 32 or 48
	uint8_t reserved[3];
	uint8_t secret[ABI_SECRET_MAX];
	uint64_t seq; // sequence number of the next record (DTLS: 48 bits)
};
_Static_assert(sizeof(struct abi_keys) == 104, "abi_keys");
