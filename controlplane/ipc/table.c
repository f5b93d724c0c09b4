// SPDX-License-Identifier: GPL-3.0-or-later
// The one table of who may send what to whom, with exact lengths. Used by ipc.c on both ends.
//
// What is not here does not exist: a message outside the table ends the process that sent it.
#include "ipc.h"
#include "msg_share.h"

#define SUP IPC_SUPERVISOR
#define AUTH IPC_AUTH
#define EDGE IPC_EDGE
#define SESSION IPC_SESSION
#define RADIUS IPC_RADIUS
#define SCRIPT IPC_SCRIPT
#define OIDC IPC_OIDC
#define PAM IPC_PAM
#define KERBEROS IPC_KERBEROS
#define SHARE IPC_SHARE
#define OCSP IPC_OCSP

// Descriptors that come with the WELCOME (abi.h, enum abi_fd), and the channel itself.
#define DATAPLANE_EDGE_FDS 5
#define DATAPLANE_SESSION_FDS 7

#define ROW(from, to, type, body, fds_min, fds_max) \
	{ from, to, type, sizeof(struct body), fds_min, fds_max, #type }

// What each child has to do with the supervisor, whatever its role.
#define CHILDREN(row, ...) \
	row(AUTH, __VA_ARGS__), row(EDGE, __VA_ARGS__), row(SESSION, __VA_ARGS__), \
		row(RADIUS, __VA_ARGS__), row(SCRIPT, __VA_ARGS__), row(PAM, __VA_ARGS__), \
		row(OIDC, __VA_ARGS__), row(KERBEROS, __VA_ARGS__), row(OCSP, __VA_ARGS__), \
		row(SHARE, __VA_ARGS__)
#define TO_CHILD(child, type, body, fds) ROW(SUP, child, type, body, fds, fds)
#define FROM_CHILD(child, type, body) ROW(child, SUP, type, body, 0, 0)
#define TO_CHILDREN(type, body, fds) CHILDREN(TO_CHILD, type, body, fds)
#define FROM_CHILDREN(type, body) CHILDREN(FROM_CHILD, type, body)

static const struct ipc_rule rules[] = {
	// Every child: its configuration, its peers, when to begin and when to end.
	TO_CHILDREN(IPC_CONFIG, ipc_config, 1),
	TO_CHILDREN(IPC_PEER, ipc_peer, 1),
	TO_CHILDREN(IPC_START, ipc_empty, 0),
	TO_CHILDREN(IPC_STOP, ipc_empty, 0),
	// Descriptors that only root can make, each for the one role that needs it.
	ROW(SUP, EDGE, IPC_LISTENER, ipc_listener, 1, 1),
	ROW(SUP, EDGE, IPC_DATAPLANE, ipc_dataplane, DATAPLANE_EDGE_FDS, DATAPLANE_EDGE_FDS),
	ROW(SUP, SESSION, IPC_DATAPLANE, ipc_dataplane, DATAPLANE_SESSION_FDS,
		DATAPLANE_SESSION_FDS),
	ROW(SUP, AUTH, IPC_FILE, ipc_file_result, 0, 1),
	ROW(SUP, SESSION, IPC_FILE, ipc_file_result, 0, 1),
	ROW(SUP, RADIUS, IPC_FILE, ipc_file_result, 0, 1),
	ROW(SUP, OIDC, IPC_FILE, ipc_file_result, 0, 1),
	ROW(SUP, KERBEROS, IPC_FILE, ipc_file_result, 0, 1),
	ROW(SUP, SHARE, IPC_FILE, ipc_file_result, 0, 1),
	ROW(SUP, SESSION, IPC_CONTROL_LISTENER, ipc_empty, 1, 1),
	ROW(SUP, SESSION, IPC_STATE_DIR, ipc_empty, 1, 1),
	ROW(SUP, SESSION, IPC_RELOAD_RESULT, ipc_status, 0, 0),
	ROW(SUP, SESSION, IPC_MAINTENANCE, ipc_maintenance, 0, 0),
	ROW(SUP, EDGE, IPC_MAINTENANCE, ipc_maintenance, 0, 0),

	// What children may ask of root. The supervisor checks again which file is whose.
	FROM_CHILDREN(IPC_READY, ipc_empty),
	FROM_CHILDREN(IPC_RELOADED, ipc_status),
	FROM_CHILDREN(IPC_OFFENDER, ipc_offender),
	ROW(AUTH, SUP, IPC_FILE_OPEN, ipc_file_open, 0, 0),
	ROW(SESSION, SUP, IPC_FILE_OPEN, ipc_file_open, 0, 0),
	ROW(RADIUS, SUP, IPC_FILE_OPEN, ipc_file_open, 0, 0),
	ROW(OIDC, SUP, IPC_FILE_OPEN, ipc_file_open, 0, 0),
	ROW(KERBEROS, SUP, IPC_FILE_OPEN, ipc_file_open, 0, 0),
	ROW(SHARE, SUP, IPC_FILE_OPEN, ipc_file_open, 0, 0),
	ROW(EDGE, SUP, IPC_DATAPLANE_LOST, ipc_empty, 0, 0),
	ROW(EDGE, SUP, IPC_RETIRE, ipc_empty, 0, 0),
	ROW(SESSION, SUP, IPC_DATAPLANE_LOST, ipc_empty, 0, 0),
	ROW(SESSION, SUP, IPC_RELOAD, ipc_empty, 0, 0),
	ROW(SESSION, SUP, IPC_MAINTAIN, ipc_maintain, 0, 0),
	ROW(SESSION, SUP, IPC_DRAINED, ipc_empty, 0, 0),

	// The network side asks for what it must not hold: keys, passwords, the cookie secret.
	ROW(AUTH, EDGE, IPC_CERTS, ipc_certs, 0, 0),
	ROW(AUTH, EDGE, IPC_TICKET_KEYS, ipc_ticket_keys, 0, 0),
	ROW(EDGE, AUTH, IPC_SIGN, ipc_sign_req, 0, 0),
	ROW(AUTH, EDGE, IPC_SIGNED, ipc_signed, 0, 0),
	ROW(EDGE, AUTH, IPC_LOGIN, ipc_login, 0, 0),
	ROW(EDGE, AUTH, IPC_LOGIN_TOKEN, ipc_login_token, 0, 0),
	ROW(EDGE, AUTH, IPC_LOGIN_CERT, ipc_login_cert, 0, 0),
	ROW(AUTH, EDGE, IPC_CLIENT_CAS, ipc_client_cas, 0, 0),
	ROW(AUTH, EDGE, IPC_LOGIN_RESULT, ipc_login_result, 0, 0),
	ROW(EDGE, AUTH, IPC_CONNECT, ipc_connect, 0, 0),

	// Only auth can vouch for a login or a cookie, so an edge cannot make a session.
	ROW(AUTH, SESSION, IPC_SESSION_NEW, ipc_session_new, 0, 0),
	ROW(SESSION, AUTH, IPC_SESSION_CREATED, ipc_session_created, 0, 0),
	ROW(AUTH, SESSION, IPC_SESSION_CONNECT, ipc_connect, 0, 0),
	// Who is taken out of the password file loses the sessions that it let in.
	ROW(AUTH, SESSION, IPC_USERS_CHANGED, ipc_empty, 0, 0),
	ROW(SESSION, AUTH, IPC_USERS_ASK, ipc_users_ask, 0, 0),
	ROW(AUTH, SESSION, IPC_USERS_ANSWER, ipc_users_answer, 0, 0),
	// The store keeps what one-time passwords were used, so that none is good twice.
	ROW(AUTH, SESSION, IPC_OTP_ASK, ipc_otp_ask, 0, 0),
	ROW(SESSION, AUTH, IPC_OTP_ANSWER, ipc_otp_answer, 0, 0),

	// The only process with a way to RADIUS servers, which alone holds their secrets.
	ROW(AUTH, RADIUS, IPC_RADIUS_ASK, ipc_radius_ask, 0, 0),
	ROW(RADIUS, AUTH, IPC_RADIUS_ANSWER, ipc_radius_answer, 0, 0),
	ROW(SESSION, RADIUS, IPC_ACCT, ipc_acct, 0, 0),
	ROW(RADIUS, SESSION, IPC_ACCT_DONE, ipc_acct_done, 0, 0),
	// What the servers want done to sessions, once it was checked who says so.
	ROW(RADIUS, SESSION, IPC_CHANGE, ipc_change, 0, 0),
	ROW(SESSION, RADIUS, IPC_CHANGED, ipc_changed, 0, 0),
	ROW(RADIUS, SESSION, IPC_RADIUS_COUNTS, ipc_radius_counts, 0, 0),

	// The only process with a way to an OpenID provider; it parses tokens, so it holds nothing.
	ROW(AUTH, OIDC, IPC_OIDC_ASK, ipc_oidc_ask, 0, 0),
	ROW(OIDC, AUTH, IPC_OIDC_ANSWER, ipc_oidc_answer, 0, 0),

	// Modules of others run where nothing else is.
	ROW(AUTH, PAM, IPC_PAM_ASK, ipc_pam_ask, 0, 0),
	ROW(AUTH, PAM, IPC_PAM_CANCEL, ipc_empty, 0, 0),
	ROW(PAM, AUTH, IPC_PAM_ANSWER, ipc_pam_answer, 0, 0),

	// Holds the keytab, and nothing else: it parses tickets of anybody.
	ROW(AUTH, KERBEROS, IPC_KERBEROS_ASK, ipc_kerberos_ask, 0, 0),
	ROW(AUTH, KERBEROS, IPC_KERBEROS_CANCEL, ipc_empty, 0, 0),
	ROW(KERBEROS, AUTH, IPC_KERBEROS_ANSWER, ipc_kerberos_answer, 0, 0),

	// The only process with a way to an OCSP responder; it does not know what it carries.
	ROW(AUTH, OCSP, IPC_OCSP_ASK, ipc_ocsp_ask, 0, 0),
	ROW(OCSP, AUTH, IPC_OCSP_ANSWER, ipc_ocsp_answer, 0, 0),

	// The answer goes straight to the edge; then its socket and record keys leave it.
	ROW(SESSION, EDGE, IPC_CONNECT_RESULT, ipc_connect_result, 0, 0),
	ROW(EDGE, SESSION, IPC_STREAM_UP, ipc_stream_up, 1, 1),
	ROW(EDGE, SESSION, IPC_DTLS_QUERY, ipc_dtls_query, 0, 0),
	ROW(SESSION, EDGE, IPC_DTLS_PARAMS, ipc_dtls_params, 0, 0),
	ROW(EDGE, SESSION, IPC_DTLS_UP, ipc_dtls_up, 0, 0),
	ROW(SESSION, EDGE, IPC_DTLS_SET, ipc_dtls_set, 0, 0),

	// Only session, which parses no client's bytes, has scripts run.
	ROW(SESSION, SCRIPT, IPC_SCRIPT_RUN, ipc_script_run, 0, 0),
	ROW(SCRIPT, SESSION, IPC_SCRIPT_DONE, ipc_script_done, 0, 0),

	// The only process with a way to the shared store, which sees sealed records alone.
	ROW(SESSION, SHARE, IPC_SHARE_ASK, ipc_share_ask, 0, 0),
	ROW(SHARE, SESSION, IPC_SHARE_ANSWER, ipc_share_answer, 0, 0),
	ROW(SHARE, SESSION, IPC_SHARE_STATE, ipc_share_state, 0, 0),

	// Bans: who sees something wrong tells the session process, which counts and decides for
	// all. An edge also gives its bans back to a session process that has come anew.
	ROW(AUTH, SESSION, IPC_WRONG_PASSWORD, ipc_wrong_password, 0, 0),
	ROW(EDGE, SESSION, IPC_CONTACTS, ipc_contacts, 0, 0),
	ROW(EDGE, SESSION, IPC_BANS, ipc_bans, 0, 0),
	ROW(SESSION, EDGE, IPC_BANS, ipc_bans, 0, 0),
};

const char *ipc_role_name(enum ipc_role role) {
	static const char *const names[IPC_ROLE_MAX] = {
		[SUP] = "supervisor",
		[AUTH] = "auth",
		[EDGE] = "edge",
		[SESSION] = "session",
		[RADIUS] = "radius",
		[SCRIPT] = "script",
		[KERBEROS] = "kerberos",
		[OIDC] = "oidc",
		[PAM] = "pam",
		[SHARE] = "share",
		[OCSP] = "ocsp",
	};
	return (unsigned)role < IPC_ROLE_MAX && names[role] != NULL ? names[role] : "unknown";
}

const struct ipc_rule *ipc_rule_find(enum ipc_role from, enum ipc_role to, unsigned type) {
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct ipc_rule *rule = &rules[i];
		if (rule->from == from && rule->to == to && (unsigned)rule->type == type)
			return rule;
	}
	return NULL;
}

bool ipc_are_peers(enum ipc_role a, enum ipc_role b) {
	for (size_t i = 0; a != b && i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct ipc_rule *rule = &rules[i];
		if ((rule->from == a && rule->to == b) || (rule->from == b && rule->to == a))
			return true;
	}
	return false;
}

const char *ipc_check(enum ipc_role from, enum ipc_role to, const void *msg, size_t len,
	unsigned nb_fds, const struct ipc_rule **rule) {
	const struct ipc_hdr *hdr = msg;
	*rule = NULL;
	if (len < sizeof(*hdr))
		return "shorter than a header";
	if (len > IPC_MSG_MAX)
		return "longer than any message";
	const struct ipc_rule *found = ipc_rule_find(from, to, hdr->type);
	if (found == NULL)
		return "type is not in the table for this sender";
	if (hdr->len != len || len != found->len)
		return "wrong length";
	if (hdr->nb_fds != nb_fds || nb_fds < found->nb_fds_min || nb_fds > found->nb_fds_max)
		return "wrong number of descriptors";
	*rule = found;
	return NULL;
}
