// SPDX-License-Identifier: GPL-3.0-or-later
// RADIUS packets: attributes in, signed bytes out; received bytes in, checked attributes out.
//
// All encoding, signing, checking and decoding is libfreeradius's (docs/decisions/0020); packet.c is
// the only file that sees it. Used by exchange.c and dynauth.c (bytes) and ask.c, acct.c, change.c
// (attributes).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"

#define RPACKET_MAX 4096u // RFC 2865, 3
#define RPACKET_VECTOR_LEN 16u
#define RPACKET_PASSWORD_MAX 128u // RFC 2865, 5.2

struct rpacket;

enum rcode {
	RCODE_ACCESS_REQUEST = 1,
	RCODE_ACCESS_ACCEPT = 2,
	RCODE_ACCESS_REJECT = 3,
	RCODE_ACCOUNTING_REQUEST = 4,
	RCODE_ACCOUNTING_RESPONSE = 5,
	RCODE_ACCESS_CHALLENGE = 11,
	RCODE_DISCONNECT_REQUEST = 40,
	RCODE_DISCONNECT_ACK = 41,
	RCODE_DISCONNECT_NAK = 42,
	RCODE_COA_REQUEST = 43,
	RCODE_COA_ACK = 44,
	RCODE_COA_NAK = 45,
};

#define RATTR_VENDOR(vendor, attr) ((vendor) << 8 | (attr))

// Attributes that packet.c's dictionary knows; all others are skipped when a packet is read.
enum rattr {
	RATTR_USER_NAME = 1,
	RATTR_USER_PASSWORD = 2,
	RATTR_NAS_IP_ADDRESS = 4,
	RATTR_SERVICE_TYPE = 6,
	RATTR_FRAMED_PROTOCOL = 7,
	RATTR_FRAMED_IP_ADDRESS = 8,
	RATTR_FRAMED_IP_NETMASK = 9,
	RATTR_FILTER_ID = 11,
	RATTR_REPLY_MESSAGE = 18,
	RATTR_FRAMED_ROUTE = 22,
	RATTR_STATE = 24,
	RATTR_CLASS = 25,
	RATTR_SESSION_TIMEOUT = 27,
	RATTR_IDLE_TIMEOUT = 28,
	RATTR_CALLED_STATION_ID = 30,
	RATTR_CALLING_STATION_ID = 31,
	RATTR_NAS_IDENTIFIER = 32,
	RATTR_PROXY_STATE = 33,
	RATTR_ACCT_STATUS_TYPE = 40,
	RATTR_ACCT_INPUT_OCTETS = 42,
	RATTR_ACCT_OUTPUT_OCTETS = 43,
	RATTR_ACCT_SESSION_ID = 44,
	RATTR_ACCT_AUTHENTIC = 45,
	RATTR_ACCT_SESSION_TIME = 46,
	RATTR_ACCT_INPUT_PACKETS = 47,
	RATTR_ACCT_OUTPUT_PACKETS = 48,
	RATTR_ACCT_TERMINATE_CAUSE = 49,
	RATTR_ACCT_INPUT_GIGAWORDS = 52,
	RATTR_ACCT_OUTPUT_GIGAWORDS = 53,
	RATTR_EVENT_TIMESTAMP = 55,
	RATTR_NAS_PORT_TYPE = 61,
	RATTR_CONNECT_INFO = 77,
	RATTR_MESSAGE_AUTHENTICATOR = 80,
	RATTR_ACCT_INTERIM_INTERVAL = 85,
	RATTR_NAS_IPV6_ADDRESS = 95,
	RATTR_FRAMED_IPV6_PREFIX = 97,
	RATTR_FRAMED_IPV6_ROUTE = 99,
	RATTR_ERROR_CAUSE = 101,
	RATTR_DELEGATED_IPV6_PREFIX = 123,
	RATTR_FRAMED_IPV6_ADDRESS = 168,
	RATTR_DNS_SERVER_IPV6_ADDRESS = 169,
	RATTR_ROUTE_IPV6_INFORMATION = 170,
	RATTR_MS_PRIMARY_DNS_SERVER = RATTR_VENDOR(311, 28),
	RATTR_MS_SECONDARY_DNS_SERVER = RATTR_VENDOR(311, 29),
	RATTR_RP_UPSTREAM_SPEED_LIMIT = RATTR_VENDOR(10055, 1), // kB/s
	RATTR_RP_DOWNSTREAM_SPEED_LIMIT = RATTR_VENDOR(10055, 2),
};

enum rvalue_type {
	RVALUE_NUMBER,
	RVALUE_BYTES, // text, too: not checked, may hold NULs
	RVALUE_ADDRESS, // prefix.addr, v4-mapped
	RVALUE_PREFIX,
	RVALUE_UNKNOWN, // not in packet.c's dictionary; only from rpacket_next_any()
	RVALUE_INVALID, // there, but it has not the length of its type; likewise
};

// One attribute of a packet that was read. What `bytes` points to is the packet's.
struct rvalue {
	uint32_t attr; // enum rattr
	enum rvalue_type type;
	uint32_t number;
	const uint8_t *bytes;
	size_t len;
	struct ipc_prefix prefix;
};

// Reads the dictionary and lets the library and its crypto open what they open once. Before the
// sandbox. 0 or -errno, logged.
int rpacket_init(void);
void rpacket_fini(void);

// A request or an answer, with a Message-Authenticator in front but for accounting. NULL: no memory.
struct rpacket *rpacket_new(enum rcode code);
// Wipes the password and frees. NULL is allowed.
void rpacket_free(struct rpacket *packet);

// Adding what does not fit (or has no text) makes rpacket_sign() fail: no need to look each time.
void rpacket_number(struct rpacket *packet, enum rattr attr, uint32_t number);
void rpacket_text(struct rpacket *packet, enum rattr attr, const char *text); // "": left out
void rpacket_bytes(struct rpacket *packet, enum rattr attr, const uint8_t *bytes, size_t len);
// IPv4 or IPv6 as the attribute says; v4-mapped for IPv4.
void rpacket_address(struct rpacket *packet, enum rattr attr, const struct abi_addr *addr);

// The bytes to send under this identifier: hides the password, signs. May be called again, for
// another server. `bytes` stays the packet's until the next call. 0 or -errno.
int rpacket_sign(struct rpacket *packet, uint8_t id, const uint8_t vector[RPACKET_VECTOR_LEN],
	const char *shared_secret, const uint8_t **bytes, size_t *len);
// What the last rpacket_sign() made, to be sent again.
void rpacket_signed(const struct rpacket *packet, const uint8_t **bytes, size_t *len);

// An answer to `request` (signed before): well-formed, with the right authenticators, and with a
// Message-Authenticator where that is required. NULL and *why otherwise (a constant text).
struct rpacket *rpacket_read(const uint8_t *bytes, size_t len, const struct rpacket *request,
	const char *shared_secret, bool require_authenticator, const char **why);
// A Disconnect-Request or CoA-Request: well-formed, with the right authenticators, and with a
// Message-Authenticator where that is required. NULL and *why otherwise (a constant text).
struct rpacket *rpacket_read_request(const uint8_t *bytes, size_t len, const char *shared_secret,
	bool require_authenticator, const char **why);
// The bytes of an answer to a request that was read. As rpacket_sign().
int rpacket_sign_answer(struct rpacket *answer, const struct rpacket *request,
	const char *shared_secret, const uint8_t **bytes, size_t *len);
enum rcode rpacket_code(const struct rpacket *packet);
// RPACKET_VECTOR_LEN bytes: the Request Authenticator of a request that was read.
const uint8_t *rpacket_vector(const struct rpacket *packet);

// Goes through the attributes in order; *cursor NULL at first. False: no more.
bool rpacket_next(const struct rpacket *packet, const void **cursor, struct rvalue *value);
// The same with those that have no name or no value to us: their numbers (of extended ones the type)
// and RVALUE_UNKNOWN or RVALUE_INVALID.
bool rpacket_next_any(const struct rpacket *packet, const void **cursor, struct rvalue *value);
