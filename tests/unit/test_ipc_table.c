// SPDX-License-Identifier: GPL-3.0-or-later
// The table of who may send what to whom holds exactly what is written here a second time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/ipc/ipc.h"
#include "controlplane/ipc/msg_share.h"

#define S IPC_SUPERVISOR
#define A IPC_AUTH
#define E IPC_EDGE
#define N IPC_SESSION
#define X IPC_SCRIPT
#define R IPC_RADIUS
#define O IPC_OIDC
#define P IPC_PAM
#define K IPC_KERBEROS
#define H IPC_SHARE
#define C IPC_OCSP

struct expected {
	enum ipc_role from, to;
	unsigned type;
	size_t len;
	unsigned fds_min, fds_max;
};

static const struct expected expected[] = {
	{S, A, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, E, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, N, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, N, IPC_MAINTENANCE, sizeof(struct ipc_maintenance), 0, 0},
	{S, E, IPC_MAINTENANCE, sizeof(struct ipc_maintenance), 0, 0},
	{N, S, IPC_MAINTAIN, sizeof(struct ipc_maintain), 0, 0},
	{N, S, IPC_DRAINED, 16, 0, 0},
	{S, X, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, X, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, X, IPC_START, 16, 0, 0},
	{S, X, IPC_STOP, 16, 0, 0},
	{X, S, IPC_READY, 16, 0, 0},
	{X, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{X, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{N, X, IPC_SCRIPT_RUN, sizeof(struct ipc_script_run), 0, 0},
	{X, N, IPC_SCRIPT_DONE, sizeof(struct ipc_script_done), 0, 0},
	{S, A, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, E, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, N, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, A, IPC_START, 16, 0, 0},
	{S, E, IPC_START, 16, 0, 0},
	{S, N, IPC_START, 16, 0, 0},
	{S, A, IPC_STOP, 16, 0, 0},
	{S, E, IPC_STOP, 16, 0, 0},
	{S, N, IPC_STOP, 16, 0, 0},
	{S, E, IPC_LISTENER, sizeof(struct ipc_listener), 1, 1},
	{S, E, IPC_DATAPLANE, sizeof(struct ipc_dataplane), 5, 5},
	{S, N, IPC_DATAPLANE, sizeof(struct ipc_dataplane), 7, 7},
	{S, A, IPC_FILE, sizeof(struct ipc_file_result), 0, 1},
	{E, A, IPC_LOGIN_CERT, sizeof(struct ipc_login_cert), 0, 0},
	{A, E, IPC_CLIENT_CAS, sizeof(struct ipc_client_cas), 0, 0},
	{S, N, IPC_FILE, sizeof(struct ipc_file_result), 0, 1},
	{S, N, IPC_CONTROL_LISTENER, 16, 1, 1},
	{S, N, IPC_STATE_DIR, 16, 1, 1},
	{S, N, IPC_RELOAD_RESULT, sizeof(struct ipc_status), 0, 0},
	{A, S, IPC_READY, 16, 0, 0},
	{E, S, IPC_READY, 16, 0, 0},
	{N, S, IPC_READY, 16, 0, 0},
	{A, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{E, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{N, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{A, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{E, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{N, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{A, S, IPC_FILE_OPEN, sizeof(struct ipc_file_open), 0, 0},
	{N, S, IPC_FILE_OPEN, sizeof(struct ipc_file_open), 0, 0},
	{E, S, IPC_DATAPLANE_LOST, 16, 0, 0},
	{E, S, IPC_RETIRE, 16, 0, 0},
	{N, S, IPC_DATAPLANE_LOST, 16, 0, 0},
	{N, S, IPC_RELOAD, 16, 0, 0},
	{A, E, IPC_CERTS, sizeof(struct ipc_certs), 0, 0},
	{A, E, IPC_TICKET_KEYS, 112, 0, 0},
	{E, A, IPC_SIGN, sizeof(struct ipc_sign_req), 0, 0},
	{A, E, IPC_SIGNED, sizeof(struct ipc_signed), 0, 0},
	{S, P, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, P, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, P, IPC_START, sizeof(struct ipc_empty), 0, 0},
	{S, P, IPC_STOP, sizeof(struct ipc_empty), 0, 0},
	{P, S, IPC_READY, sizeof(struct ipc_empty), 0, 0},
	{P, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{P, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{A, P, IPC_PAM_ASK, sizeof(struct ipc_pam_ask), 0, 0},
	{A, P, IPC_PAM_CANCEL, sizeof(struct ipc_empty), 0, 0},
	{P, A, IPC_PAM_ANSWER, sizeof(struct ipc_pam_answer), 0, 0},
	{S, K, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, K, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, K, IPC_START, sizeof(struct ipc_empty), 0, 0},
	{S, K, IPC_STOP, sizeof(struct ipc_empty), 0, 0},
	{K, S, IPC_READY, sizeof(struct ipc_empty), 0, 0},
	{K, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{K, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{K, S, IPC_FILE_OPEN, sizeof(struct ipc_file_open), 0, 0},
	{S, K, IPC_FILE, sizeof(struct ipc_file_result), 0, 1},
	{A, K, IPC_KERBEROS_ASK, sizeof(struct ipc_kerberos_ask), 0, 0},
	{A, K, IPC_KERBEROS_CANCEL, sizeof(struct ipc_empty), 0, 0},
	{K, A, IPC_KERBEROS_ANSWER, sizeof(struct ipc_kerberos_answer), 0, 0},
	{E, A, IPC_LOGIN, sizeof(struct ipc_login), 0, 0},
	{E, A, IPC_LOGIN_TOKEN, sizeof(struct ipc_login_token), 0, 0},
	{A, E, IPC_LOGIN_RESULT, sizeof(struct ipc_login_result), 0, 0},
	{E, A, IPC_CONNECT, sizeof(struct ipc_connect), 0, 0},
	{A, N, IPC_SESSION_NEW, sizeof(struct ipc_session_new), 0, 0},
	{N, A, IPC_SESSION_CREATED, sizeof(struct ipc_session_created), 0, 0},
	{A, N, IPC_SESSION_CONNECT, sizeof(struct ipc_connect), 0, 0},
	{A, N, IPC_OTP_ASK, sizeof(struct ipc_otp_ask), 0, 0},
	{N, A, IPC_OTP_ANSWER, sizeof(struct ipc_otp_answer), 0, 0},
	{N, E, IPC_CONNECT_RESULT, sizeof(struct ipc_connect_result), 0, 0},
	{E, N, IPC_STREAM_UP, sizeof(struct ipc_stream_up), 1, 1},
	{E, N, IPC_DTLS_QUERY, sizeof(struct ipc_dtls_query), 0, 0},
	{N, E, IPC_DTLS_PARAMS, sizeof(struct ipc_dtls_params), 0, 0},
	{N, E, IPC_DTLS_SET, sizeof(struct ipc_dtls_set), 0, 0},
	{E, N, IPC_DTLS_UP, sizeof(struct ipc_dtls_up), 0, 0},
	{A, N, IPC_WRONG_PASSWORD, 32, 0, 0},
	{A, N, IPC_USERS_CHANGED, 16, 0, 0},
	{N, A, IPC_USERS_ASK, 24 + 64 * 128, 0, 0},
	{A, N, IPC_USERS_ANSWER, 24, 0, 0},
	{E, N, IPC_CONTACTS, sizeof(struct ipc_contacts), 0, 0},
	{E, N, IPC_BANS, sizeof(struct ipc_bans), 0, 0},
	{N, E, IPC_BANS, sizeof(struct ipc_bans), 0, 0},
	{S, R, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, R, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, R, IPC_START, 16, 0, 0},
	{S, R, IPC_STOP, 16, 0, 0},
	{S, R, IPC_FILE, sizeof(struct ipc_file_result), 0, 1},
	{R, S, IPC_READY, 16, 0, 0},
	{R, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{R, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{R, S, IPC_FILE_OPEN, sizeof(struct ipc_file_open), 0, 0},
	{A, R, IPC_RADIUS_ASK, sizeof(struct ipc_radius_ask), 0, 0},
	{R, A, IPC_RADIUS_ANSWER, sizeof(struct ipc_radius_answer), 0, 0},
	{N, R, IPC_ACCT, sizeof(struct ipc_acct), 0, 0},
	{R, N, IPC_CHANGE, sizeof(struct ipc_change), 0, 0},
	{N, R, IPC_CHANGED, sizeof(struct ipc_changed), 0, 0},
	{R, N, IPC_RADIUS_COUNTS, sizeof(struct ipc_radius_counts), 0, 0},
	{R, N, IPC_ACCT_DONE, sizeof(struct ipc_acct_done), 0, 0},
	{S, O, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, O, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, O, IPC_START, 16, 0, 0},
	{S, O, IPC_STOP, 16, 0, 0},
	{S, O, IPC_FILE, sizeof(struct ipc_file_result), 0, 1},
	{O, S, IPC_READY, 16, 0, 0},
	{O, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{O, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{O, S, IPC_FILE_OPEN, sizeof(struct ipc_file_open), 0, 0},
	{S, H, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, H, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, H, IPC_START, 16, 0, 0},
	{S, H, IPC_STOP, 16, 0, 0},
	{S, H, IPC_FILE, sizeof(struct ipc_file_result), 0, 1},
	{H, S, IPC_READY, 16, 0, 0},
	{H, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{H, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{H, S, IPC_FILE_OPEN, sizeof(struct ipc_file_open), 0, 0},
	{N, H, IPC_SHARE_ASK, sizeof(struct ipc_share_ask), 0, 0},
	{H, N, IPC_SHARE_ANSWER, sizeof(struct ipc_share_answer), 0, 0},
	{H, N, IPC_SHARE_STATE, sizeof(struct ipc_share_state), 0, 0},
	{S, C, IPC_CONFIG, sizeof(struct ipc_config), 1, 1},
	{S, C, IPC_PEER, sizeof(struct ipc_peer), 1, 1},
	{S, C, IPC_START, 16, 0, 0},
	{S, C, IPC_STOP, 16, 0, 0},
	{C, S, IPC_READY, 16, 0, 0},
	{C, S, IPC_RELOADED, sizeof(struct ipc_status), 0, 0},
	{C, S, IPC_OFFENDER, sizeof(struct ipc_offender), 0, 0},
	{A, C, IPC_OCSP_ASK, sizeof(struct ipc_ocsp_ask), 0, 0},
	{C, A, IPC_OCSP_ANSWER, sizeof(struct ipc_ocsp_answer), 0, 0},
	{A, O, IPC_OIDC_ASK, sizeof(struct ipc_oidc_ask), 0, 0},
	{O, A, IPC_OIDC_ANSWER, sizeof(struct ipc_oidc_answer), 0, 0},
};

static const struct expected *expected_find(unsigned from, unsigned to, unsigned type) {
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (expected[i].from == from && expected[i].to == to && expected[i].type == type)
			return &expected[i];
	return NULL;
}

static void compare(unsigned from, unsigned to, unsigned type) {
	const struct expected *want = expected_find(from, to, type);
	const struct ipc_rule *rule = ipc_rule_find(from, to, type);
	if (want == NULL) {
		if (rule != NULL)
			fail_msg("%u may send %s to %u", from, rule->name, to);
		return;
	}
	if (rule == NULL)
		fail_msg("%u may not send type %u to %u", from, type, to);
	assert_int_equal(rule->len, want->len);
	assert_int_equal(rule->nb_fds_min, want->fds_min);
	assert_int_equal(rule->nb_fds_max, want->fds_max);
	assert_true(rule->len <= IPC_MSG_MAX);
	assert_true(rule->nb_fds_max <= IPC_FDS_MAX);
	assert_non_null(rule->name);
}

// Every sender, every receiver, every number that a header can hold.
static void test_exactly(void **state) {
	for (unsigned from = 0; from <= IPC_ROLE_MAX; from++)
		for (unsigned to = 0; to <= IPC_ROLE_MAX; to++)
			for (unsigned type = 0; type <= UINT16_MAX; type++)
				compare(from, to, type);
}

// What the design forbids, said plainly.
static void test_principles(void **state) {
	assert_null(ipc_rule_find(E, S, IPC_FILE_OPEN)); // an edge never opens a file
	assert_null(ipc_rule_find(S, A, IPC_DATAPLANE)); // auth never reaches the dataplane
	assert_null(ipc_rule_find(S, A, IPC_LISTENER)); // nor the network
	assert_null(ipc_rule_find(S, N, IPC_LISTENER));
	assert_null(ipc_rule_find(E, N, IPC_SESSION_NEW)); // only auth makes sessions
	assert_null(ipc_rule_find(E, N, IPC_SESSION_CONNECT));
	assert_null(ipc_rule_find(E, A, IPC_TICKET_KEYS)); // only auth gives out ticket keys
	assert_null(ipc_rule_find(N, E, IPC_TICKET_KEYS));
	assert_null(ipc_rule_find(E, A, IPC_CLIENT_CAS)); // nor says who may sign for clients
	for (unsigned type = 0; type < IPC_TYPE_MAX; type++) {
		assert_null(ipc_rule_find(E, E, type)); // edges know nothing of each other
		assert_null(ipc_rule_find(E, R, type)); // nor of RADIUS
		assert_null(ipc_rule_find(R, E, type));
		assert_null(ipc_rule_find(E, O, type)); // nor of OpenID Connect
		assert_null(ipc_rule_find(O, E, type));
		assert_null(ipc_rule_find(E, C, type)); // nor of OCSP
		assert_null(ipc_rule_find(C, E, type));
		assert_null(ipc_rule_find(C, N, type));
		assert_null(ipc_rule_find(O, N, type)); // which makes no session by itself
	}
}

// One byte more or less, one descriptor more or less.
static void test_check(void **state) {
	static _Alignas(16) uint8_t msg[IPC_MSG_MAX + 1];
	struct ipc_hdr *hdr = (struct ipc_hdr *)msg;
	const struct ipc_rule *rule;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct expected *e = &expected[i];
		*hdr = (struct ipc_hdr){.type = e->type, .nb_fds = e->fds_max, .len = e->len};
		assert_null(ipc_check(e->from, e->to, msg, e->len, e->fds_max, &rule));
		assert_int_equal(rule->type, e->type);
		assert_non_null(ipc_check(e->from, e->to, msg, e->len + 1, e->fds_max, &rule));
		assert_non_null(ipc_check(e->from, e->to, msg, e->len - 1, e->fds_max, &rule));
		assert_null(rule);
		hdr->len = e->len + 1; // what the header says is held to the same
		assert_non_null(ipc_check(e->from, e->to, msg, e->len + 1, e->fds_max, &rule));
		assert_non_null(ipc_check(e->from, e->to, msg, e->len, e->fds_max, &rule));
		hdr->len = e->len;
		hdr->nb_fds = e->fds_max + 1;
		assert_non_null(ipc_check(e->from, e->to, msg, e->len, e->fds_max + 1, &rule));
		assert_non_null(ipc_check(e->from, e->to, msg, e->len, e->fds_max, &rule));
		hdr->nb_fds = e->fds_max;
		assert_non_null(ipc_check(e->from, e->to, msg, e->len, e->fds_max + 1, &rule));
	}
}

// What is longer would not arrive.
static void test_lengths(void **state) {
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_in_range(expected[i].len, sizeof(struct ipc_hdr), IPC_MSG_MAX);
}

static void test_str_ok(void **state) {
	char no_end[4] = {'a', 'b', 'c', 'd'};
	assert_true(ipc_str_ok("", 1));
	assert_true(ipc_str_ok("abc", 4));
	assert_true(ipc_str_ok("abc\0\n", 6)); // what is behind the NUL is not text
	assert_true(ipc_str_ok("j\xc3\xbcrgen", 8));
	assert_false(ipc_str_ok(no_end, sizeof(no_end)));
	assert_false(ipc_str_ok("", 0));
	assert_false(ipc_str_ok("a\nb", 4));
	assert_false(ipc_str_ok("a\x1b[2J", 6));
	assert_false(ipc_str_ok("a\x7f", 3));
}

// Two edges have nothing to say to each other, nor what faces the network to what faces RADIUS
// servers or runs programs.
static void test_peers(void **state) {
	assert_true(ipc_are_peers(E, A));
	assert_true(ipc_are_peers(A, E));
	assert_true(ipc_are_peers(R, N));
	assert_true(ipc_are_peers(N, X));
	assert_false(ipc_are_peers(E, E));
	assert_false(ipc_are_peers(E, R));
	assert_true(ipc_are_peers(A, P));
	assert_false(ipc_are_peers(E, P));
	assert_false(ipc_are_peers(N, P));
	assert_true(ipc_are_peers(K, A));
	assert_false(ipc_are_peers(E, K));
	assert_false(ipc_are_peers(X, E));
	assert_false(ipc_are_peers(A, X));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exactly),
		cmocka_unit_test(test_principles),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_str_ok),
		cmocka_unit_test(test_peers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
