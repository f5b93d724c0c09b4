// SPDX-License-Identifier: GPL-3.0-or-later
// Messages between control-plane processes: fixed layouts, one a packet on a SEQPACKET pair.
//
// Strings are char arrays that hold a NUL. The receiver copies, checks the length against the
// table (table.c), then uses ipc_str_ok() on each string. `req` is chosen by the asker and echoed.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/abi/abi.h"
#include "dataplane/abi/cmd.h"
#include "yang/config.h"

#define IPC_USER_LEN 128u
#define IPC_PASSWORD_LEN 256u
#define IPC_GROUP_LEN 64u
#define IPC_GROUPS_LEN 512u // comma separated
#define IPC_NAME_LEN 128u
#define IPC_AGENT_LEN 128u
#define IPC_REASON_LEN 128u
#define IPC_COOKIE_LEN 32u
#define IPC_HASH_LEN 32u
#define IPC_APP_ID_LEN 32u
#define IPC_PSK_LEN 32u
#define IPC_MASTER_LEN 48u
#define IPC_SIGN_IN_MAX 192u
#define IPC_SIGN_OUT_MAX 1024u
#define IPC_CHAIN_MAX 24576u
#define IPC_CLIENT_CHAIN_MAX 16384u // certificates of a client
#define IPC_CLIENT_CAS_MAX 8192u
#define IPC_TRANSACTION_LEN 16u
#define IPC_MESSAGE_LEN 512u // what a login form says
#define IPC_LABEL_LEN 64u
// Of an Authorization field: tickets with the groups of a large domain (MaxTokenSize 48,000 is the
// most there is, 12,000 the usual bound of web servers), or a JWT.
#define IPC_TOKEN_LEN 24576u
#define IPC_TOKEN_ANSWER_LEN 2048u
#define IPC_STATE_LEN 253u // RADIUS State, RFC 2865, 5.24
#define IPC_USER_ROUTES 32u
#define IPC_USER_DNS 4u
#define IPC_USER_GROUPS_LEN 480u // as IPC_GROUPS_LEN, less the name of a filter
#define IPC_FILTER_LEN 32u
#define IPC_BANS_MAX 32u // in one message
#define IPC_CONTACTS_MAX 32u
#define IPC_PROXIES_MAX 32u // trusted-proxy of one listener

enum ipc_role {
	IPC_SUPERVISOR = 0,
	IPC_AUTH = 1,
	IPC_EDGE = 2,
	IPC_SESSION = 3,
	IPC_RADIUS = 4,
	IPC_SCRIPT = 5,
	IPC_PAM = 6,
	IPC_KERBEROS = 7,
	IPC_OIDC = 8,
	IPC_ROLE_MAX,
};

enum ipc_type {
	// supervisor to children
	IPC_CONFIG = 1, // fd: sealed memfd with the JSON configuration
	IPC_PEER, // fd: new channel to a peer; replaces the old one
	IPC_LISTENER, // fd: listening TCP socket (edge)
	IPC_DATAPLANE, // fds: the connected channel and the WELCOME's (edge, session)
	IPC_FILE, // fd: answer to IPC_FILE_OPEN
	IPC_CONTROL_LISTENER, // fd: the CLI's listening socket (session)
	IPC_STOP, // finish and exit
	IPC_START, // all descriptors are there: begin
	IPC_STATE_DIR, // session: its directory is ready (fd: O_PATH directory)
	IPC_RELOAD_RESULT, // to session: text for the CLI
	IPC_MAINTENANCE, // edge, session: new clients are wanted or not
	// children to supervisor
	IPC_READY = 32, // serving
	IPC_FILE_OPEN, // auth: please open a configured file
	IPC_OFFENDER, // this peer broke the protocol: end it
	IPC_DATAPLANE_LOST, // the channel closed: please attach again
	IPC_RELOAD, // session, for the CLI: reload the configuration
	IPC_RELOADED, // configuration applied (or not: status, reason)
	IPC_MAINTAIN, // session, for the CLI: drain, serve again, stop
	IPC_DRAINED, // session: there is no session any more
	// edge and auth
	IPC_CERTS = 64, // auth to edge: one certificate chain (index, of how many)
	IPC_SIGN, // edge to auth: sign this handshake
	IPC_SIGNED,
	IPC_LOGIN, // edge to auth: username and password
	IPC_LOGIN_RESULT, // auth to edge
	IPC_CONNECT, // edge to auth: cookie and the client's wishes
	IPC_TICKET_KEYS, // auth to edge: what seals and opens TLS session tickets
	IPC_LOGIN_TOKEN, // edge to auth: an Authorization field instead of a form
	// auth and session
	IPC_SESSION_NEW = 96, // auth to session: a login succeeded
	IPC_SESSION_CREATED, // session to auth
	IPC_SESSION_CONNECT, // auth to session: CONNECT with the cookie replaced by its hash
	IPC_OTP_ASK, // auth to session: has this one-time password been used?
	IPC_OTP_ANSWER,
	// edge and session
	IPC_CONNECT_RESULT = 128, // session to edge
	IPC_STREAM_UP, // edge to session, fd: the TCP socket
	IPC_DTLS_QUERY, // edge to session: who has this app-id or session id?
	IPC_DTLS_PARAMS, // session to edge
	IPC_DTLS_UP, // edge to session: handshake done
	IPC_DTLS_SET, // session to edge: the keys are in force, the client may know
	// auth and radius
	IPC_RADIUS_ASK = 160, // auth to radius: a password, or the answer to a challenge
	IPC_RADIUS_ANSWER,
	// session and radius
	IPC_ACCT = 192, // session to radius: Start, Interim-Update, Stop
	IPC_ACCT_DONE, // radius to session: a server has acknowledged it
	IPC_CHANGE, // radius to session: Disconnect-Request or CoA-Request (RFC 5176)
	IPC_CHANGED, // session to radius: done, or why not
	IPC_RADIUS_COUNTS, // radius to session, for the CLI
	// session and script
	IPC_SCRIPT_RUN = 224, // session to script: run one of the operator's scripts
	IPC_SCRIPT_DONE, // script to session: it has ended
	// bans: session counts and decides
	IPC_WRONG_PASSWORD = 240, // auth to session
	IPC_CONTACTS, // edge to session: connections that came to nothing
	IPC_BANS, // session to edge: begun and lifted; edge to a new session: what it knows
	// certificates of clients
	IPC_LOGIN_CERT = 256, // edge to auth: IPC_LOGIN of a client that has shown a certificate
	IPC_CLIENT_CAS, // auth to edge: whose certificates clients are asked for
	// auth and pam; hdr.req names the conversation
	IPC_PAM_ASK = 272, // auth to pam: begin one, or the answer to its question
	IPC_PAM_CANCEL, // auth to pam: end it
	IPC_PAM_ANSWER, // pam to auth: a question, or the result
	// auth and kerberos; hdr.req names the context
	IPC_KERBEROS_ASK = 280, // auth to kerberos: a token of Negotiate
	IPC_KERBEROS_CANCEL, // auth to kerberos: let go of it
	IPC_KERBEROS_ANSWER, // kerberos to auth
	// auth and oidc
	IPC_OIDC_ASK = 288, // auth to oidc: a bearer token
	IPC_OIDC_ANSWER,
	// auth and session: users who are not in the password file any more
	IPC_USERS_CHANGED, // auth to session: the file is another one
	IPC_USERS_ASK, // session to auth: are they in it?
	IPC_USERS_ANSWER,
	// isolation
	IPC_RETIRE = 320, // edge to supervisor: it has served its number, start its successor
	IPC_TYPE_MAX,
};

struct ipc_hdr {
	uint16_t type; // enum ipc_type
	uint16_t nb_fds;
	uint32_t len; // whole message, header included
	uint64_t req; // echoed in the answer
};
_Static_assert(sizeof(struct ipc_hdr) == 16, "ipc_hdr");

struct ipc_empty {
	struct ipc_hdr hdr;
};

struct ipc_peer {
	struct ipc_hdr hdr;
	uint32_t role; // enum ipc_role of the other end
	uint32_t index;
};

struct ipc_config {
	struct ipc_hdr hdr;
	uint32_t generation; // 1 at start, grows with each reload
	uint32_t reserved;
};

struct ipc_listener {
	struct ipc_hdr hdr;
	uint32_t index; // into cfg.listen of the supervisor's start, as is the rest
	uint32_t proxy_required; // a PROXY header comes first, from one of these
	uint32_t nb_proxies;
	uint32_t reserved;
	struct cfg_prefix proxies[IPC_PROXIES_MAX];
};
_Static_assert(sizeof(struct ipc_listener) == 32 + 18 * IPC_PROXIES_MAX, "ipc_listener");

struct ipc_dataplane {
	struct ipc_hdr hdr; // nb_fds 1 + welcome.nb_fds: channel first
	struct abi_welcome welcome;
};

enum ipc_file {
	IPC_FILE_PASSWORDS = 1,
	IPC_FILE_CERTIFICATE = 2, // index into cfg.certificates
	IPC_FILE_KEY = 3,
	IPC_FILE_COOKIE_SECRET = 4, // 32 bytes, made at first start
	IPC_FILE_STORE_SECRET = 5, // 32 bytes in the run directory, for the session process
	IPC_FILE_OTP_USERS = 6, // tokens of one-time passwords
	IPC_FILE_RADIUS_SECRET = 8, // index into cfg.radius.servers
	IPC_FILE_CLIENT_CAS = 16,
	IPC_FILE_CLIENT_CRL = 17, // index into cfg.auth.client_cert.crl_files
	IPC_FILE_KEYTAB = 20,
	IPC_FILE_DYNAUTH_SECRET = 32, // index into cfg.radius.dynauth.clients
	IPC_FILE_OIDC_CA = 24,
};

struct ipc_file_open {
	struct ipc_hdr hdr;
	uint32_t file; // enum ipc_file
	uint32_t index;
};

struct ipc_file_result {
	struct ipc_hdr hdr; // one fd when status is 0
	uint32_t file;
	uint32_t index;
	int32_t status; // 0 or -errno
	uint32_t reserved;
};

struct ipc_offender {
	struct ipc_hdr hdr;
	uint32_t role;
	uint32_t index;
	char why[IPC_REASON_LEN];
};

struct ipc_status {
	struct ipc_hdr hdr;
	int32_t status;
	uint32_t reserved;
	char text[2048]; // for people
};

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
	// store, -EAGAIN not ready yet: auth asks again.
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

// Kept by the supervisor, so that it outlives every child.
struct ipc_maintenance {
	struct ipc_hdr hdr;
	uint32_t draining; // no new logins
	uint32_t stop; // the control plane ends once there is no session
	uint64_t until_s; // CLOCK_MONOTONIC: then those that are left are disconnected; 0: never
};

struct ipc_maintain {
	struct ipc_hdr hdr;
	uint32_t draining;
	uint32_t stop; // with `draining` when drained, without it at once
	uint32_t timeout_s; // 0: none
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

#include "msg_factor.h"
#include "msg_users.h"
