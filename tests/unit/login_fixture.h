// SPDX-License-Identifier: GPL-3.0-or-later
// The bench of the tests of logins: auth's own code with real channels to two edges and a session
// process, whose ends are the test's; the password file and the tokens are files.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controlplane/auth/factor.h"
#include "controlplane/auth/login.h"
#include "controlplane/session/otp_store.h"

#define EDGES 2u

struct bench;

// The test's end of a channel.
struct far_end {
	struct bench *bench;
	unsigned index;
	struct ipc_chan *near, *far;
};

struct bench {
	char dir[32];
	int dir_fd;
	struct cfg cfg;
	struct event_base *base;
	struct logins *logins;
	struct far_end edges[EDGES], session;
	struct otp_store *otp;
	bool session_answers; // new sessions are made
	uint32_t otp_lost; // bits: which answers about codes do not arrive
	unsigned nb_otp; // answers about codes, lost or not
	struct ipc_session_new created; // the last one
	unsigned nb_created;
	struct ipc_connect connect; // the last one that the session process got
	unsigned nb_connects;
	unsigned nb_wrong; // wrong passwords and codes that were told of
	struct abi_addr wrong_remote;
	struct ipc_login_result result; // the last one that an edge got
	unsigned nb_results, result_edge;
	unsigned nb_changed; // times that the session process was told of another password file
	uint64_t gone; // the last answer about users
	uint64_t req;
};

// What the third factor of these tests does; it has the id of RADIUS and wants a password.
struct riddle {
	enum factor_result result; // once all is asked
	unsigned asks; // questions before
	bool waits; // answers nothing until riddle_go_on()
	const char *groups;
	unsigned nb_steps, nb_open;
	unsigned last_round;
	char last_password[IPC_PASSWORD_LEN];
};
extern struct riddle riddle;
void riddle_go_on(enum factor_result result);

int bench_setup(void **state);
int bench_teardown(void **state);
// A way to log in more: its factors, 0 at the end.
void way_add(struct bench *bench, ...);
// Writes a file of the bench: "passwd" or "tokens".
void file_put(struct bench *bench, const char *name, const char *text);
// auth's end dies and begins anew; what the others have stays.
void auth_restart(struct bench *bench);
// The same, but the cookie secret comes with the next spin().
void auth_restart_early(struct bench *bench);
// The session process dies, which auth hears with the next spin(), or at once; its successor comes.
void session_die(struct bench *bench);
void session_end(struct bench *bench);
void session_begin(struct bench *bench);
// The store of used codes is opened anew.
void otp_restart(struct bench *bench);
// The edge dies, and its successor comes.
void edge_restart(struct bench *bench, unsigned edge);

// Sends a reply to a form from this edge and address (its last byte), and waits for the answer
// where `wait`.
void reply(struct bench *bench, unsigned edge, uint8_t address, const uint8_t *transaction,
	const char *user, const char *password, bool wait);
// From edge 0 and address 1: a first form; with the transaction of the last answer.
void first(struct bench *bench, const char *user, const char *password);
void answer(struct bench *bench, const char *text);
void again(struct bench *bench, const char *user, const char *password);
void is_ok(struct bench *bench);
void is_form(struct bench *bench, enum ipc_form form);
void is_status(struct bench *bench, enum ipc_login_status status);
void spin(struct bench *bench);
