// SPDX-License-Identifier: GPL-3.0-or-later
// Messages of the session process: bans, accounting, sessions, tunnels, scripts, users that are gone;
// a part of msg.h.
#pragma once

#include "msg.h"

struct ipc_wrong_password {
	struct ipc_hdr hdr;
	struct abi_addr remote;
};

struct ipc_contact {
	struct abi_addr remote;
	uint32_t connections; // that neither logged in nor became a tunnel
	uint32_t refused; // at accept, for a ban
};

struct ipc_contacts {
	struct ipc_hdr hdr;
	uint32_t nb_contacts;
	uint32_t reserved;
	struct ipc_contact contacts[IPC_CONTACTS_MAX];
};
_Static_assert(sizeof(struct ipc_contacts) == 24 + 24 * IPC_CONTACTS_MAX, "ipc_contacts");

struct ipc_ban {
	struct abi_addr addr; // v4-mapped; the host part of a /64 is zero
	uint64_t since_s, until_s; // CLOCK_MONOTONIC; until_s 0: lifted
	uint32_t wrong_passwords, connections; // what it is for
	uint8_t prefix_len; // 128, or 64
	uint8_t reserved[7];
};

struct ipc_bans {
	struct ipc_hdr hdr;
	uint32_t nb_bans;
	uint32_t reserved;
	struct ipc_ban bans[IPC_BANS_MAX];
};
_Static_assert(sizeof(struct ipc_bans) == 24 + 48 * IPC_BANS_MAX, "ipc_bans");
#define IPC_ACCT_ID_LEN 17u // 16 hexadecimal digits and a NUL

// Acct-Status-Type, RFC 2866, 5.1.
enum ipc_acct_kind {
	IPC_ACCT_START = 1,
	IPC_ACCT_STOP = 2,
	IPC_ACCT_INTERIM = 3,
};

// One accounting record; hdr.req is the session process's number of it. Counters are those of the
// whole accounting session so far, in inner bytes and packets; rx: from the client.
struct ipc_acct {
	struct ipc_hdr hdr;
	uint32_t kind; // enum ipc_acct_kind
	uint32_t cause; // Acct-Terminate-Cause of a Stop, RFC 2866, 5.10
	uint64_t event_time; // CLOCK_REALTIME seconds: when it was so
	uint64_t session_time; // seconds
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
	struct abi_addr remote, local, inner4, inner6; // all zero: none
	char session_id[IPC_ACCT_ID_LEN]; // Acct-Session-Id: the same for one cookie
	uint8_t reserved[7];
	char username[IPC_USER_LEN];
	char agent[IPC_AGENT_LEN];
	struct ipc_acct_facts facts; // last: a record of before it was there ends here
};

struct ipc_acct_done {
	struct ipc_hdr hdr; // req: the record's
	int32_t status; // 0: acknowledged; -ETIMEDOUT, -EAGAIN: to be sent again later
	uint32_t reserved;
};

enum ipc_change_kind {
	IPC_CHANGE_DISCONNECT = 1,
	IPC_CHANGE_SETTINGS = 2,
};

// Which sessions are meant: all that match in every field named here.
#define IPC_BY_SESSION_ID (1u << 0)
#define IPC_BY_USERNAME (1u << 1) // `username` or `short_name`
#define IPC_BY_INNER4 (1u << 2)
#define IPC_BY_INNER6 (1u << 3) // an address, or the client's prefix
#define IPC_BY_REMOTE (1u << 4)
#define IPC_BY_LOCAL (1u << 5)
#define IPC_BY_NAS (1u << 6) // the same field of a session as `local`; says which gateway is meant
#define IPC_BY_SESSION \
	(IPC_BY_SESSION_ID | IPC_BY_USERNAME | IPC_BY_INNER4 | IPC_BY_INNER6 | IPC_BY_REMOTE)
#define IPC_BY_ALL (IPC_BY_SESSION | IPC_BY_LOCAL | IPC_BY_NAS)

// What can be changed while a session lasts.
#define IPC_SET_CHANGEABLE \
	(IPC_SET_RX_RATE | IPC_SET_TX_RATE | IPC_SET_SESSION_TIMEOUT | IPC_SET_IDLE_TIMEOUT | \
		IPC_SET_INTERIM | IPC_SET_FILTER)

// A Disconnect-Request or CoA-Request (RFC 5176) that was checked and is asked for once.
struct ipc_change {
	struct ipc_hdr hdr;
	uint32_t kind; // enum ipc_change_kind
	uint32_t by; // IPC_BY_*; at least one of IPC_BY_SESSION
	struct ipc_prefix inner6;
	struct abi_addr inner4, remote, local, nas;
	char session_id[IPC_ACCT_ID_LEN];
	uint8_t reserved[7];
	char username[IPC_USER_LEN];
	char short_name[IPC_USER_LEN]; // without the default realm; empty: the same
	struct ipc_user_settings settings; // IPC_CHANGE_SETTINGS: of IPC_SET_CHANGEABLE
};

// Error-Cause, RFC 5176, 3.5.
enum ipc_error_cause {
	IPC_CAUSE_UNSUPPORTED_ATTRIBUTE = 401,
	IPC_CAUSE_MISSING_ATTRIBUTE = 402,
	IPC_CAUSE_NAS_MISMATCH = 403,
	IPC_CAUSE_INVALID_REQUEST = 404,
	IPC_CAUSE_UNSUPPORTED_SERVICE = 405,
	IPC_CAUSE_INVALID_VALUE = 407,
	IPC_CAUSE_NO_SESSION = 503,
	IPC_CAUSE_RESOURCES = 506,
};

struct ipc_changed {
	struct ipc_hdr hdr;
	int32_t status; // 0: decided; -EAGAIN: not ready yet, ask again
	uint32_t cause; // enum ipc_error_cause; 0: done, and on disk
	uint32_t sessions; // that it was done to
	uint32_t reserved;
};

// Of one kind of request to servers.
struct ipc_radius_count {
	uint64_t sent, resent, answered, unusable, unexpected, given_up;
};

// Since the radius process started.
struct ipc_radius_counts {
	struct ipc_hdr hdr;
	struct ipc_radius_count auth, acct;
	// Dynamic authorisation. Of all datagrams: not from a client; malformed or not signed; without
	// an Event-Timestamp in the window; a request that was there already; dropped as there were
	// too many.
	uint64_t foreign, unusable, stale, repeated, overflow;
	uint64_t disconnects, disconnects_refused, changes, changes_refused; // answered: ACK, NAK
};

struct ipc_session_new {
	struct ipc_hdr hdr;
	uint8_t cookie_hash[IPC_HASH_LEN]; // HMAC-SHA256(cookie secret, cookie)
	struct abi_addr remote;
	struct ipc_user_settings settings; // from the authentication server, or all zero
	struct ipc_acct_facts facts;
	char username[IPC_USER_LEN];
	char groups[IPC_GROUPS_LEN]; // all that the user has
	char group[IPC_GROUP_LEN]; // the one that counts; empty: none
	char agent[IPC_AGENT_LEN];
	char server_name[IPC_NAME_LEN];
};

struct ipc_session_created {
	struct ipc_hdr hdr;
	// 0, -ENOSPC too many clients, -EUSERS too many of this user, -EIO, -EDQUOT (full), -EROFS
	// store, -ENOLINK shared store, -EAGAIN not ready yet: auth asks again.
	int32_t status;
	uint32_t reserved;
};

enum ipc_otp {
	IPC_OTP_LAST = 0, // what was it last used with?
	IPC_OTP_TRY = 1, // the same, before a code is compared: counted as wrong until one is taken
	IPC_OTP_TAKE = 2, // this one, if it is higher; what was wrong before is forgotten
	IPC_OTP_FORGET = 3, // what was wrong before: another token of the user was right
};

// What a one-time-password token was last used with: a number that only grows (the counter of
// HOTP, the time step of TOTP).
struct ipc_otp_ask {
	struct ipc_hdr hdr;
	uint8_t token[IPC_HASH_LEN]; // names the token, says nothing about it
	uint64_t factor; // IPC_OTP_TAKE
	uint32_t what; // enum ipc_otp
	uint32_t reserved;
};

struct ipc_otp_answer {
	struct ipc_hdr hdr;
	// 0: done, and on disk; -ENOENT: asked for, never used; -EEXIST: one as high was taken
	// before; -EBUSY: too many wrong ones, not yet; -EAGAIN not ready yet; -EIO, -ENOSPC, -EROFS:
	// store.
	int32_t status;
	uint32_t reserved;
	uint64_t last; // after this request
};

#define IPC_WISH_V4 (1u << 0)
#define IPC_WISH_V6 (1u << 1)
#define IPC_WISH_FULL_IPV6 (1u << 2) // understands X-CSTP-Address-IP6
#define IPC_WISH_MOBILE (1u << 3)
#define IPC_WISH_DTLS_PSK (1u << 4)
#define IPC_WISH_CISCO (1u << 5) // Cisco agent: X-CSTP-DNS-IP6 and the like

// What the client said at CONNECT. IPC_CONNECT carries the cookie, IPC_SESSION_CONNECT its hash.
struct ipc_connect {
	struct ipc_hdr hdr;
	uint8_t cookie[IPC_COOKIE_LEN];
	struct abi_addr remote;
	struct abi_addr local;
	uint16_t remote_port; // host order
	uint16_t local_port;
	uint32_t edge; // filled by auth: number of the edge that asked
	uint32_t wishes; // IPC_WISH_*
	uint16_t base_mtu; // X-CSTP-Base-MTU, 0: none
	uint16_t mtu; // X-CSTP-MTU
	uint16_t path_mtu; // of the TCP connection, from TCP_INFO; 0: unknown
	uint8_t tls_version; // enum abi_version
	uint8_t tls_cipher; // enum abi_cipher
	uint8_t legacy_cipher; // enum abi_cipher chosen for legacy DTLS, 0: none
	uint8_t reserved[7];
	uint8_t psk[IPC_PSK_LEN]; // exporter value
	uint8_t master[IPC_MASTER_LEN]; // X-DTLS-Master-Secret, zero: none
	char hostname[IPC_NAME_LEN]; // X-CSTP-Hostname
	char agent[IPC_AGENT_LEN];
	char device_type[IPC_NAME_LEN];
	char device_platform[IPC_NAME_LEN];
};

// DTLS mode of a session.
enum ipc_dtls {
	IPC_DTLS_NONE = 0,
	IPC_DTLS_PSK = 1, // protocol: PSK-NEGOTIATE
	IPC_DTLS_LEGACY = 2, // resumption with the client's master secret
};

struct ipc_connect_result {
	struct ipc_hdr hdr;
	uint32_t status; // 0, or the HTTP status: 401, 503
	struct abi_sid sid;
	uint8_t app_id[IPC_APP_ID_LEN]; // X-DTLS-App-ID or X-DTLS-Session-ID
	struct abi_addr inner4, inner6; // all zero: not given
	struct abi_addr netmask4; // v4-mapped
	uint8_t inner6_prefix;
	uint8_t dtls; // enum ipc_dtls
	uint16_t udp_port; // host order
	uint16_t cstp_mtu; // inner packet over TLS, bytes
	uint16_t dtls_mtu;
	uint16_t base_mtu;
	uint16_t reserved;
	uint32_t dpd, keepalive, idle_timeout, session_timeout, session_remaining, rekey_time;
	char reason[IPC_REASON_LEN];
	// Whose: everything else of the answer (DNS, routes, banner) comes from the configuration and
	// from what the authentication server said (settings.groups is empty).
	char username[IPC_USER_LEN];
	char group[IPC_GROUP_LEN];
	char server_name[IPC_NAME_LEN];
	struct ipc_user_settings settings;
};

struct ipc_stream_up {
	struct ipc_hdr hdr; // one fd
	struct abi_sid sid;
	struct abi_cmd_stream_set stream; // token is filled by session
};

struct ipc_dtls_query {
	struct ipc_hdr hdr;
	uint8_t app_id[IPC_APP_ID_LEN];
	struct abi_addr remote;
};

struct ipc_dtls_params {
	struct ipc_hdr hdr;
	uint32_t mode; // enum ipc_dtls; NONE: unknown id
	struct abi_sid sid;
	uint8_t cipher; // legacy: enum abi_cipher
	uint8_t reserved[3];
	uint8_t psk[IPC_PSK_LEN];
	uint8_t master[IPC_MASTER_LEN];
};

struct ipc_dtls_up {
	struct ipc_hdr hdr; // req: the query's
	struct abi_sid sid;
	struct abi_cmd_dtls_set dtls;
};

struct ipc_dtls_set {
	struct ipc_hdr hdr; // req: that of IPC_DTLS_UP
	int32_t status; // 0 or -errno: the dataplane does not have the keys
	uint32_t reserved;
};

enum ipc_script_event {
	IPC_SCRIPT_CONNECT = 1,
	IPC_SCRIPT_DISCONNECT = 2,
	IPC_SCRIPT_HOST_UPDATE = 3,
};

// What a script is told of a connection. Of the strings only user and groups were checked by
// somebody (auth); the others are a client's own words. Kept in the store too (record_script).
struct ipc_script_facts {
	uint64_t id; // of the connection: the same for all of its scripts, never used again
	uint32_t session; // id for people
	uint32_t end; // enum abi_end, disconnect
	struct abi_addr remote, local, inner4, inner6; // all zero: none
	uint8_t inner6_prefix;
	uint8_t reserved[7];
	uint64_t duration; // s
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; // inner; rx: from the client
	char user[IPC_USER_LEN];
	char groups[IPC_GROUPS_LEN]; // comma separated
	char group[IPC_GROUP_LEN]; // the one of them that counts; empty: none
	char server_name[IPC_NAME_LEN];
	char hostname[IPC_NAME_LEN];
	char agent[IPC_AGENT_LEN];
	char device_type[IPC_NAME_LEN];
	char device_platform[IPC_NAME_LEN];
	// Of the authentication server, groups left out. Last: a record of before it was there ends here.
	struct ipc_user_settings settings;
};
_Static_assert(offsetof(struct ipc_script_facts, settings) == 1472, "ipc_script_facts");

struct ipc_script_run {
	struct ipc_hdr hdr; // req: echoed; 0: nobody waits for the answer
	uint32_t event; // enum ipc_script_event
	uint32_t reserved;
	struct ipc_script_facts facts;
};

struct ipc_script_done {
	struct ipc_hdr hdr;
	// 0: it ended well. Positive: its exit status, or 256 + the signal that ended it. -ETIMEDOUT:
	// killed; -EINVAL: its environment cannot be made of these facts; -EBUSY: too many wait;
	// -ECANCELED: a disconnect whose connect script has failed; else it could not be started.
	int32_t status;
	uint32_t event;
};

#define IPC_USERS_MAX 64u // in one message

struct ipc_users_ask {
	struct ipc_hdr hdr;
	uint32_t nb; // of `names`, at least 1
	uint32_t reserved;
	char names[IPC_USERS_MAX][IPC_USER_LEN];
};

struct ipc_users_answer {
	struct ipc_hdr hdr; // req: the question's
	uint64_t gone; // bits: not in the file, or locked
};
