// SPDX-License-Identifier: GPL-3.0-or-later
// Commands to the dataplane, their completions, and the events it sends; slots of the rings.
#pragma once

#include "abi.h"

#define ABI_CMD_SLOTS 1024u
#define ABI_CPL_SLOTS 1024u
#define ABI_EVT_SLOTS 4096u

enum abi_cmd_type {
	ABI_CMD_SESSION_ADD =
		1, // -EEXIST index in use, -EINVAL, -ENOSPC, -EADDRINUSE inner address, -ENOENT filter
	ABI_CMD_SESSION_DEL = 2, // -ESTALE unknown or older generation
	ABI_CMD_STREAM_SET = 3, // attach or replace the TLS stream; -EBADF no such token
	ABI_CMD_DTLS_SET = 4, // attach or replace the DTLS channel
	ABI_CMD_SESSION_UPDATE = 5, // change what struct abi_policy says; -ENOENT filter
	ABI_CMD_DUMP = 6, // ABI_EVT_FILTER of each, ABI_EVT_SESSION of each, then ABI_EVT_DUMP_END
	ABI_CMD_SETTINGS = 7, // what all sessions share
	ABI_CMD_FILTER_ADD = 8, // part of a filter; in force with its last one
	ABI_CMD_FILTER_DEL = 9, // -ENOENT, -EBUSY: sessions refer to it
	ABI_CMD_IROUTES_SET =
		10, // networks behind the client; -EADDRINUSE: another's, the rest is set
};

#define ABI_POLICY_NO_DTLS (1u << 0)
#define ABI_POLICY_CLIENT_TO_CLIENT (1u << 1) // may reach other sessions
#define ABI_POLICY_DSCP_COPY (1u << 2) // outer datagrams have the inner packet's DSCP; dscp is 0

// What a session is held to. 0 means off for each timer.
struct abi_policy {
	uint32_t flags; // ABI_POLICY_*
	uint16_t mtu; // inner packets at most, bytes; 576..9000
	uint16_t reserved;
	uint32_t dpd_s; // probe after so many seconds of silence
	uint32_t keepalive_s; // send a keepalive when nothing was sent for so long
	uint32_t idle_timeout_s; // no data (ICMP does not count) for so long ends the session
	uint32_t session_timeout_s; // left to live from now
	uint32_t switch_to_tcp_s; // DTLS silent for so long: use the stream; 0: 3 x DPD
	uint32_t rx_bytes_per_s; // 0: no limit
	uint32_t tx_bytes_per_s;
	uint8_t dscp; // of outer datagrams and of the stream, 0..63
	uint8_t reserved2[3];
	uint64_t filter; // where it may reach; 0: everywhere
};
_Static_assert(sizeof(struct abi_policy) == 48, "abi_policy");

// A filter says where a session's client may reach: packets to and from a far end that it does not
// allow are dropped. Sessions share one by naming it, and it never changes: another content has
// another name. Nothing else is kept of how it came to be.
#define ABI_FILTERS_MAX 4096u
#define ABI_FILTER_RULES_MAX 4096u // of one
#define ABI_FILTERS_RULES_MAX (1u << 20) // of all
#define ABI_FILTER_PART 14u // rules in one command

#define ABI_FILTER_ROUTES (1u << 0) // the far end is in a ROUTE (if there is any) and in no EXCLUDE
#define ABI_FILTER_ALLOW (1u << 1) // and its protocol and port are those of a SERVICE
#define ABI_FILTER_DENY (1u << 2) // or are not

enum abi_filter_kind {
	ABI_FILTER_ROUTE = 1, // addr, len
	ABI_FILTER_EXCLUDE = 2, // addr, len; goes before any ROUTE
	ABI_FILTER_SERVICE = 3, // protocol, low, high
	ABI_FILTER_DNS = 4, // addr: port 53 of it, by UDP and TCP, is reached whatever else is said
};

// What a kind does not have is 0.
struct abi_filter_rule {
	struct abi_addr addr; // v4-mapped
	uint8_t kind; // enum abi_filter_kind
	uint8_t len; // of a prefix, in its family
	uint8_t protocol; // IANA's number: 1 ICMP, 6 TCP, 17 UDP, 50 ESP, 58 ICMPv6, 132 SCTP
	uint8_t reserved;
	uint16_t low, high; // ports, host byte order; 0..65535: all. Without ports: 0..65535
};
_Static_assert(sizeof(struct abi_filter_rule) == 24, "abi_filter_rule");

// Rules [first, first + nb) of `total`. Parts come in order and without another filter's between
// them; one with `first` 0 begins anew. One that is there already is left as it is.
struct abi_cmd_filter_add {
	uint64_t filter; // its name, not 0
	uint32_t flags; // ABI_FILTER_*; the same in all parts
	uint16_t total; // may be 0
	uint16_t first;
	uint16_t nb; // at most ABI_FILTER_PART; 0 only when total is
	uint16_t reserved[3];
	struct abi_filter_rule rule[ABI_FILTER_PART];
};
_Static_assert(sizeof(struct abi_cmd_filter_add) == 360, "abi_cmd_filter_add");

struct abi_cmd_filter_del {
	uint64_t filter;
};

struct abi_cmd_session_add {
	struct abi_addr inner4; // v4-mapped, or all zero
	struct abi_addr inner6; // or all zero
	uint8_t inner6_prefix; // 128, or the length of the prefix that is the client's
	uint8_t reserved[7];
	struct abi_policy policy;
};
_Static_assert(sizeof(struct abi_cmd_session_add) == 88, "abi_cmd_session_add");

struct abi_cmd_session_del {
	uint32_t reason; // enum abi_end; tells which frame the client gets
};

// The socket arrived under `token` before this command. rx: client to server.
struct abi_cmd_stream_set {
	uint64_t token;
	uint8_t version; // ABI_TLS12 or ABI_TLS13
	uint8_t cipher; // enum abi_cipher
	uint8_t reserved[6];
	struct abi_keys rx;
	struct abi_keys tx;
};

struct abi_cmd_dtls_set {
	struct abi_tuple tuple;
	uint8_t version; // ABI_DTLS12
	uint8_t cipher;
	uint16_t epoch; // 1 after the first handshake
	uint16_t mtu; // inner packets over this channel, bytes; 0: the policy's
	uint16_t reserved;
	struct abi_keys rx;
	struct abi_keys tx;
};

#define ABI_IROUTES_MAX 16u // of a session

struct abi_prefix {
	struct abi_addr addr; // v4-mapped; host bits are 0
	uint8_t len; // in its family, not 0
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct abi_prefix) == 20, "abi_prefix");

// All of the session's, in place of those before. A packet from the LAN or of another client to
// one of them goes to the session, and its client may send with sources of them.
struct abi_cmd_iroutes_set {
	uint32_t nb;
	struct abi_prefix prefix[ABI_IROUTES_MAX];
};

struct abi_cmd {
	uint16_t type; // enum abi_cmd_type
	uint16_t reserved;
	uint32_t id; // echoed in the completion
	struct abi_sid sid;
	union {
		struct abi_cmd_session_add session_add;
		struct abi_cmd_session_del session_del;
		struct abi_cmd_stream_set stream_set;
		struct abi_cmd_dtls_set dtls_set;
		struct abi_policy policy; // SESSION_UPDATE
		struct abi_cmd_filter_add filter_add; // no sid
		struct abi_cmd_filter_del filter_del; // no sid
		struct abi_cmd_iroutes_set iroutes_set;
		uint8_t raw[368];
	};
};
_Static_assert(sizeof(struct abi_cmd) == 384, "abi_cmd");

struct abi_cpl {
	uint32_t id;
	int32_t status; // 0 or -errno
	struct abi_sid sid;
};
_Static_assert(sizeof(struct abi_cpl) == 16, "abi_cpl");

enum abi_evt_type {
	ABI_EVT_SESSION_END =
		1, // the dataplane ended the session: reason; it is gone from its tables
	ABI_EVT_STREAM_DOWN = 2, // the TLS stream closed; the session waits for a new CONNECT
	ABI_EVT_DTLS_UP = 3, // first authentic record on a DTLS channel
	ABI_EVT_DTLS_DOWN = 4, // silent for too long, or its sequence numbers ran out
	ABI_EVT_DTLS_MOVED = 5, // the client's NAT moved: tuple is the new one
	ABI_EVT_SESSION = 6, // answer to DUMP
	ABI_EVT_DUMP_END = 7,
	ABI_EVT_REKEY = 8, // keys near exhaustion
	ABI_EVT_FILTER = 9, // answer to DUMP: `filter` is there
};

// Why a session or a channel ended.
enum abi_end {
	ABI_END_UNSPECIFIED = 0,
	ABI_END_USER = 1, // BYE from the client: the cookie dies
	ABI_END_SERVER = 2, // disconnected by the operator
	ABI_END_IDLE = 3,
	ABI_END_DPD = 4,
	ABI_END_ERROR = 5, // protocol error
	ABI_END_SESSION_TIMEOUT = 6,
	ABI_END_TEMPORARY = 7, // connection lost or empty disconnect: the cookie survives
	ABI_END_REPLACED = 8, // another CONNECT with the same cookie
	ABI_END_SEQ_EXHAUSTED = 9,
	ABI_END_DISPLACED = 10, // a newer session of the user took its place: the cookie dies
	ABI_END_MAX,
};

#define ABI_CHANNEL_STREAM (1u << 0)
#define ABI_CHANNEL_DTLS (1u << 1)

struct abi_evt {
	uint16_t type; // enum abi_evt_type
	uint16_t channels; // ABI_CHANNEL_* that are up (SESSION, STREAM_DOWN, DTLS_*)
	uint32_t reason; // enum abi_end
	struct abi_sid sid;
	struct abi_tuple tuple; // DTLS_*, SESSION with DTLS
	struct abi_addr inner4; // SESSION
	struct abi_addr inner6; // SESSION
	uint64_t filter; // SESSION: of its policy; FILTER
	uint32_t nb_iroutes; // SESSION
	uint32_t reserved;
	uint64_t reserved2[3];
};
_Static_assert(sizeof(struct abi_evt) == 128, "abi_evt");
