// SPDX-License-Identifier: GPL-3.0-or-later
// What the store holds: fixed layouts with a version, checked on every read. Used by store.c.
//
// Host byte order: a store belongs to one machine. Never reorder; a changed layout is a new
// RECORD_VERSION, which grows at the end and reads the ones before. Nothing in a record is a usable secret: the cookie is there as its keyed hash,
// the DTLS secrets are sealed under a key that lives in the run directory only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/ipc/msg.h"
#include "dataplane/abi/abi.h"
#include "dataplane/abi/addr.h"

#define RECORD_VERSION 4u // those from 1 on are read as well
#define RECORD_SESSION_LEN_1 1576u
#define RECORD_SESSION_LEN_2 1640u
#define RECORD_SESSION_LEN_3 3200u
#define RECORD_ACCT_LEN_3 424u
#define RECORD_SESSION_MAGIC 0x53535350u // "PSSS"
#define RECORD_LEASE_MAGIC 0x4c535350u // "PSSL"
#define RECORD_SCRIPT_MAGIC 0x58535350u // "PSSX"
#define RECORD_SCRIPT_VERSION 2u // 1 is read as well
#define RECORD_SCRIPT_LEN_1 1480u
#define RECORD_ACCT_MAGIC 0x41535350u // "PSSA"

#define RECORD_SECRETS_LEN (IPC_PSK_LEN + IPC_MASTER_LEN)

// AES-256-GCM, the record's cookie hash as additional data.
struct record_sealed {
	uint8_t nonce[12];
	uint8_t text[RECORD_SECRETS_LEN]; // PSK, then master secret
	uint8_t tag[16];
};
_Static_assert(sizeof(struct record_sealed) == 108, "record_sealed");

// What the connections of a session have carried: inner packets and octets.
struct record_usage {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
};

struct record_session {
	uint32_t magic;
	uint16_t version;
	uint16_t size; // of this structure
	uint8_t cookie_hash[IPC_HASH_LEN];
	struct abi_sid sid;
	uint8_t state; // enum session_state
	uint8_t dtls_mode; // enum ipc_dtls
	uint8_t legacy_cipher; // enum abi_cipher
	uint8_t tls_version;
	uint8_t tls_cipher;
	uint8_t dtls_cipher;
	uint8_t inner6_prefix;
	uint8_t last_end; // enum abi_end
	struct abi_addr remote, inner4, inner6;
	uint16_t remote_port; // host order
	uint16_t cstp_mtu, dtls_mtu, base_mtu;
	// CLOCK_REALTIME seconds; 0: not set
	uint64_t created, started, connected, disconnected, expires;
	struct record_usage used; // of connections before the present one
	struct record_usage live; // of the present one, as last read
	uint32_t wishes; // IPC_WISH_* of the last CONNECT
	uint8_t app_id[IPC_APP_ID_LEN];
	struct record_sealed sealed;
	char user[IPC_USER_LEN];
	char groups[IPC_GROUPS_LEN];
	char agent[IPC_AGENT_LEN];
	char server_name[IPC_NAME_LEN];
	char hostname[IPC_NAME_LEN];
	char device_type[IPC_NAME_LEN];
	char device_platform[IPC_NAME_LEN];
	// Since version 3.
	char group[IPC_GROUP_LEN];
	struct ipc_user_settings settings; // of the authentication server, groups left out
	struct abi_addr local; // where the client came in
	// A connect script was begun for this connection, so a disconnect script is due at its end.
	uint64_t script_id; // 0: none
	uint64_t script_since; // CLOCK_REALTIME seconds
	struct record_usage script_from; // what the session had carried then
	uint64_t accounted; // when accounting began; 0: it did not
	// Since version 4.
	struct ipc_acct_facts facts;
};
_Static_assert(sizeof(struct record_session) == 3712, "record_session");
_Static_assert(offsetof(struct record_session, facts) == RECORD_SESSION_LEN_3, "version 3");
_Static_assert(offsetof(struct record_session, group) == RECORD_SESSION_LEN_2, "version 2");
_Static_assert(RECORD_SESSION_LEN_2 - RECORD_SESSION_LEN_1 == 2 * sizeof(struct record_usage),
	"version 1");

struct record_lease {
	uint32_t magic;
	uint16_t version;
	uint16_t size;
	struct abi_addr addr; // also the key
	uint64_t last_used; // CLOCK_REALTIME seconds
	char user[IPC_USER_LEN];
};
_Static_assert(sizeof(struct record_lease) == 160, "record_lease");

// A disconnect script that has not been run yet.
struct record_script {
	uint32_t magic;
	uint16_t version;
	uint16_t size;
	struct ipc_script_facts facts; // facts.id is also the key
};
_Static_assert(
	offsetof(struct record_script, facts.settings) == RECORD_SCRIPT_LEN_1, "script version 1");

// An accounting record that no server has acknowledged yet, as it is sent.
struct record_acct {
	uint32_t magic;
	uint16_t version;
	uint16_t size;
	struct ipc_acct acct; // hdr.req: its number, also the key (big endian, so in order)
};
_Static_assert(offsetof(struct record_acct, acct.facts) == RECORD_ACCT_LEN_3, "version 3");

// True for the sizes of a store that an earlier version has left: its records can be read.
bool record_version_known(uint16_t version, uint16_t session_size, uint16_t lease_size);
// Copy `data` to *out and check every field. False: torn, foreign or of an unknown version. One of
// an earlier version comes as of the present one, with what it did not have all zero.
bool record_session_read(const void *data, size_t len, struct record_session *out);
bool record_lease_read(const void *data, size_t len, struct record_lease *out);
bool record_script_read(const void *data, size_t len, struct record_script *out);
bool record_acct_read(const void *data, size_t len, struct record_acct *out);
// Set magic, version and size.
void record_session_init(struct record_session *record);
void record_lease_init(struct record_lease *record);
void record_script_init(struct record_script *record);
void record_acct_init(struct record_acct *record);
