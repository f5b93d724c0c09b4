// SPDX-License-Identifier: GPL-3.0-or-later
// Messages between edges and auth: certificates, signatures, logins, and what a login brings; a part
// of msg.h.
#pragma once

#include "msg.h"

// One certificate of cfg.certificates as the edge needs it: the chain, no key.
struct ipc_certs {
	struct ipc_hdr hdr;
	uint32_t generation; // of the set; signatures name it, so that a reload harms no handshake
	uint32_t index;
	uint32_t total;
	uint32_t key_type; // enum ipc_key
	uint32_t chain_len; // PEM bytes
	uint32_t reserved;
	uint8_t sha1[20]; // of the leaf's DER, for webvpnc
	uint8_t reserved2[4];
	char chain[IPC_CHAIN_MAX];
};

enum ipc_key {
	IPC_KEY_RSA = 1,
	IPC_KEY_ECDSA = 2,
};

enum ipc_sign {
	IPC_SIGN_ECDSA = 1, // out: DER signature
	IPC_SIGN_RSA_PKCS1 = 2, // TLS 1.2 alone
	IPC_SIGN_RSA_PSS = 3,
};

// What a handshake has to be signed of. Auth makes the signed bytes of it and hashes them, so that
// nothing but a handshake of a TLS server can be signed.
enum ipc_content {
	IPC_CONTENT_TLS13 = 1, // in: the transcript's hash (RFC 8446, 4.4.3)
	IPC_CONTENT_TLS12 = 2, // in: client's random, server's, ServerECDHParams (RFC 8422, 5.4)
};

struct ipc_sign_req {
	struct ipc_hdr hdr;
	uint64_t handshake; // the edge's number of it, from 1: one signature each
	uint32_t generation;
	uint32_t index;
	uint32_t kind; // enum ipc_sign
	uint32_t content; // enum ipc_content
	uint32_t hash; // enum wc_HashType: SHA-256, 384 or 512
	uint32_t in_len;
	uint8_t in[IPC_SIGN_IN_MAX];
};

struct ipc_signed {
	struct ipc_hdr hdr;
	int32_t status;
	uint32_t out_len;
	uint8_t out[IPC_SIGN_OUT_MAX];
};

// A key for session tickets, found by the name that stands in the ticket in clear (RFC 5077, 4).
struct ipc_ticket_key {
	uint8_t name[16];
	uint8_t ticket_key[32]; // AES-256-GCM
};

// All edges have the same, so that a ticket of one is good at each. New ones replace the old.
struct ipc_ticket_keys {
	struct ipc_hdr hdr;
	struct ipc_ticket_key keys[2]; // [0] seals and opens, [1] (of the slot before) only opens
};
_Static_assert(sizeof(struct ipc_ticket_keys) == 112, "ipc_ticket_keys");

struct ipc_prefix {
	struct abi_addr addr;
	uint8_t len; // of an IPv4 prefix: 0 to 32
	uint8_t reserved[7];
};

#define IPC_SET_INNER4 (1u << 0)
#define IPC_SET_INNER6 (1u << 1) // with inner6_prefix
#define IPC_SET_RX_RATE (1u << 2)
#define IPC_SET_TX_RATE (1u << 3)
#define IPC_SET_SESSION_TIMEOUT (1u << 4)
#define IPC_SET_IDLE_TIMEOUT (1u << 5)
#define IPC_SET_INTERIM (1u << 6)
#define IPC_SET_NETMASK4 (1u << 7)
#define IPC_SET_FILTER (1u << 8)

// What an authentication server says of one user, beside the configuration and above it.
struct ipc_user_settings {
	uint32_t set; // IPC_SET_*
	uint8_t nb_dns, nb_routes;
	uint8_t inner6_prefix;
	uint8_t reserved;
	struct abi_addr inner4, inner6, netmask4; // v4-mapped
	struct abi_addr dns[IPC_USER_DNS];
	struct ipc_prefix routes[IPC_USER_ROUTES];
	uint32_t rx_rate, tx_rate; // bytes a second; rx: from the client
	uint32_t session_timeout, idle_timeout, interim_interval; // seconds
	uint32_t reserved2;
	char groups[IPC_USER_GROUPS_LEN]; // comma separated; empty: none said
	char filter[IPC_FILTER_LEN]; // name of a filter of the configuration (Filter-Id)
};

// Acct-Authentic, RFC 2866, 5.6.
enum ipc_authentic {
	IPC_AUTHENTIC_UNKNOWN = 0, // a session of before this was kept
	IPC_AUTHENTIC_RADIUS = 1,
	IPC_AUTHENTIC_LOCAL = 2,
	IPC_AUTHENTIC_REMOTE = 3, // another server has checked the user
};

#define IPC_CLASS_LEN 500u

// What all accounting records of a session say of its login.
struct ipc_acct_facts {
	uint16_t class_len; // bytes of class_values that are used
	uint8_t authentic; // enum ipc_authentic
	uint8_t password_file; // 1: a password of the password file let the user in, too
	uint8_t reserved[8];
	// The Class attributes of the Access-Accept: of each its length (1 to 253), then its value.
	uint8_t class_values[IPC_CLASS_LEN];
};
_Static_assert(sizeof(struct ipc_acct_facts) == 512, "ipc_acct_facts");

// A reply to a form: the first of a login, or a further one of the transaction that it names.
struct ipc_login {
	struct ipc_hdr hdr;
	struct abi_addr remote, local;
	uint16_t remote_port; // host order
	uint16_t reserved[3];
	uint8_t transaction[IPC_TRANSACTION_LEN]; // all zero: none
	char username[IPC_USER_LEN]; // empty: an answer to a further form
	char password[IPC_PASSWORD_LEN];
	char group[IPC_GROUP_LEN];
	char agent[IPC_AGENT_LEN];
	char server_name[IPC_NAME_LEN];
};

enum ipc_scheme {
	IPC_SCHEME_NONE = 0, // a form
	IPC_SCHEME_NEGOTIATE = 1, // RFC 4559
	IPC_SCHEME_BEARER = 2, // RFC 6750
};

// An Authorization field. Who the user is is in the token: login.username and password are empty.
struct ipc_login_token {
	struct ipc_login login;
	uint32_t scheme; // enum ipc_scheme
	uint32_t token_len; // 1 to IPC_TOKEN_LEN
	uint8_t token[IPC_TOKEN_LEN]; // Negotiate: decoded
};

// The same with what the client has shown in its TLS handshake, where it has proved to have the
// key of the first certificate: the only thing that the edge vouches for. Without a username and a
// transaction: let in whom the certificate names, if no form is needed for that.
struct ipc_login_cert {
	struct ipc_login login;
	uint32_t chain_len;
	uint32_t reserved;
	uint8_t chain[IPC_CLIENT_CHAIN_MAX]; // each DER behind its length in three bytes
};

// Replaces what the edge had.
struct ipc_client_cas {
	struct ipc_hdr hdr;
	uint32_t names_len; // 0: clients are not told
	uint32_t reserved;
	uint8_t names[IPC_CLIENT_CAS_MAX]; // each DER behind its length in two bytes
};

enum ipc_login_status {
	IPC_LOGIN_OK = 0,
	IPC_LOGIN_DENIED = 1, // for good: the transaction is over
	IPC_LOGIN_ERROR = 2, // could not be decided now: 503; the transaction is over
	IPC_LOGIN_FORM = 3, // one more form: `message` and what it asks for
};

enum ipc_form {
	IPC_FORM_FIRST = 0, // username, password and group
	IPC_FORM_ANSWER = 1, // one field: `label`
	IPC_FORM_TOKEN = 2, // no form: a further Authorization field, in answer to `token`
};

struct ipc_login_result {
	struct ipc_hdr hdr;
	uint32_t status; // enum ipc_login_status
	uint32_t form; // IPC_LOGIN_FORM: enum ipc_form
	uint32_t round; // IPC_FORM_ANSWER: questions of this factor before
	uint32_t token_len; // 0: none
	uint32_t echo; // IPC_FORM_ANSWER: what is typed may be seen
	uint32_t reserved;
	uint8_t cookie[IPC_COOKIE_LEN]; // IPC_LOGIN_OK
	uint8_t transaction[IPC_TRANSACTION_LEN]; // IPC_LOGIN_FORM; all zero: none is open
	char reason[IPC_REASON_LEN]; // IPC_LOGIN_ERROR: for X-Reason
	char message[IPC_MESSAGE_LEN]; // IPC_LOGIN_FORM: what the form says
	char label[IPC_LABEL_LEN]; // IPC_FORM_ANSWER: of its field
	uint8_t token[IPC_TOKEN_ANSWER_LEN]; // for WWW-Authenticate, whatever the status
};

struct ipc_radius_ask {
	struct ipc_hdr hdr;
	struct abi_addr remote, local;
	uint8_t state_len; // 0: the first request of a login
	uint8_t state[IPC_STATE_LEN];
	uint8_t reserved[2];
	char username[IPC_USER_LEN];
	char password[IPC_PASSWORD_LEN];
	char agent[IPC_AGENT_LEN];
};

enum ipc_radius_status {
	IPC_RADIUS_ACCEPT = 0,
	IPC_RADIUS_REJECT = 1,
	IPC_RADIUS_CHALLENGE = 2, // message and state are set
	IPC_RADIUS_UNREACHABLE = 3, // no server answered in time, or none is configured
};

struct ipc_radius_answer {
	struct ipc_hdr hdr;
	uint32_t status; // enum ipc_radius_status
	uint8_t state_len;
	uint8_t state[IPC_STATE_LEN];
	uint8_t reserved[2];
	char message[IPC_MESSAGE_LEN]; // Reply-Message
	char username[IPC_USER_LEN]; // IPC_RADIUS_ACCEPT: who it is, or empty: as asked
	struct ipc_user_settings settings; // IPC_RADIUS_ACCEPT
	struct ipc_acct_facts facts; // IPC_RADIUS_ACCEPT: Class
};
