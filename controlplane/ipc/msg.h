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
#define IPC_OCSP_ASK_MAX 1024u
#define IPC_OCSP_ANSWER_MAX 16384u
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
	IPC_OCSP = 9,
	IPC_SHARE = 10,
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
	// session and share
	IPC_SHARE_ASK = 304, // session to share: read or change what all gateways know
	IPC_SHARE_ANSWER,
	IPC_SHARE_STATE, // share to session: the server is there, or away
	// auth and ocsp
	IPC_OCSP_ASK = 296, // auth to ocsp: a request for the responder
	IPC_OCSP_ANSWER, // what it answered
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
	IPC_FILE_SHARE_SECRET = 28, // 32 bytes, what seals and names in the shared store
	IPC_FILE_SHARE_PASSWORD = 29,
	IPC_FILE_SHARE_SOCKET = 30, // no file: a socket that connects to the shared store
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

// The others use what a login brings.
#include "msg_login.h"

#include "msg_factor.h"
#include "msg_session.h"
