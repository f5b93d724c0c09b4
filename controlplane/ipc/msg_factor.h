// SPDX-License-Identifier: GPL-3.0-or-later
// Messages between auth and the processes of PAM, Kerberos, OpenID Connect and OCSP; a part of msg.h.
#pragma once

#include "msg.h"

struct ipc_kerberos_ask {
	struct ipc_hdr hdr;
	struct abi_addr remote;
	uint32_t begins; // 0: goes on with the context
	uint32_t token_len; // 1 to IPC_TOKEN_LEN
	uint8_t token[IPC_TOKEN_LEN];
};

enum ipc_kerberos_status {
	IPC_KERBEROS_PASSED = 0, // user is set, token may be
	IPC_KERBEROS_REFUSED = 1,
	IPC_KERBEROS_MORE = 2, // token is set
	IPC_KERBEROS_UNAVAILABLE = 3, // no keytab, or the context has gone
};

struct ipc_kerberos_answer {
	struct ipc_hdr hdr;
	uint32_t status; // enum ipc_kerberos_status
	uint32_t token_len;
	uint8_t token[IPC_TOKEN_ANSWER_LEN];
	char user[IPC_USER_LEN];
};

// A username: a new conversation; none: the answer to its question.
struct ipc_pam_ask {
	struct ipc_hdr hdr;
	struct abi_addr remote;
	uint32_t has_password; // 0: the modules are to ask for it
	uint32_t reserved;
	char username[IPC_USER_LEN];
	char password[IPC_PASSWORD_LEN];
};

enum ipc_pam_status {
	IPC_PAM_PASSED = 0, // user and groups are set
	IPC_PAM_FAILED = 1,
	IPC_PAM_QUESTION = 2, // message, label and echo are set
	IPC_PAM_UNDECIDED = 3, // no module could say, or none could be asked
};

struct ipc_pam_answer {
	struct ipc_hdr hdr;
	uint32_t status; // enum ipc_pam_status
	uint32_t echo; // the answer may be seen
	char message[IPC_MESSAGE_LEN]; // IPC_PAM_FAILED: what the modules said, or empty
	char label[IPC_LABEL_LEN];
	char user[IPC_USER_LEN]; // PAM_USER
	char groups[IPC_GROUPS_LEN]; // comma separated
	char why[IPC_REASON_LEN]; // for the log
};

struct ipc_oidc_ask {
	struct ipc_hdr hdr;
	uint32_t token_len;
	uint32_t reserved;
	char token[IPC_TOKEN_LEN]; // the rest is zero
};

enum ipc_oidc_status {
	IPC_OIDC_ACCEPTED = 0,
	IPC_OIDC_MALFORMED = 1, // no signed JWT, or one that is none for a login
	IPC_OIDC_ALGORITHM = 2, // signed by an algorithm that is not allowed
	IPC_OIDC_UNKNOWN_KEY = 3, // the issuer has no such key
	IPC_OIDC_SIGNATURE = 4,
	IPC_OIDC_ISSUER = 5,
	IPC_OIDC_AUDIENCE = 6,
	IPC_OIDC_EXPIRED = 7,
	IPC_OIDC_NOT_YET = 8,
	IPC_OIDC_CLAIM = 9, // a required claim is not there
	IPC_OIDC_USER = 10, // it names no user
	IPC_OIDC_UNAVAILABLE = 11, // the issuer's keys cannot be had now
};

struct ipc_oidc_answer {
	struct ipc_hdr hdr;
	uint32_t status; // enum ipc_oidc_status
	uint32_t reserved;
	char username[IPC_USER_LEN]; // IPC_OIDC_ACCEPTED
	char groups[IPC_GROUPS_LEN]; // comma separated
};

struct ipc_ocsp_ask {
	struct ipc_hdr hdr;
	uint32_t len;
	uint32_t reserved;
	uint8_t request[IPC_OCSP_ASK_MAX]; // DER of an OCSPRequest (RFC 6960, 4.1)
};

struct ipc_ocsp_answer {
	struct ipc_hdr hdr;
	uint32_t len; // 0: there is no answer
	uint32_t reserved;
	uint8_t response[IPC_OCSP_ANSWER_MAX]; // as it came, so anybody's
};
