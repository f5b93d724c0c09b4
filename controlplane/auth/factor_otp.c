// SPDX-License-Identifier: GPL-3.0-or-later
// One-time passwords as a factor: the users file, the code, and the session process, whose store
// knows which codes were used; used by login_steps.c.
//
// For each token of the user: what was it used with last, is the text a later code, then take that
// one. Wrong codes are counted there, too: many in a row are followed by pauses in which none is
// looked at. Taking compares and stores in one step, so that of two logins with one code one gets it. A
// request that is repeated has the number of the first and is not taken for a second.

#include <errno.h>
#include <event2/event.h>
#include <liboath/oath.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "controlplane/proc/log.h"
#include "factor.h"
#include "otp.h"
#include "reread.h"

#define ASK "Please enter the code of your token."
#define BROKEN "the store of used codes does not work"

// One step.
struct otp_step {
	LIST_ENTRY(otp_step) link; // in `asking`, while `asked`
	struct login *login;
	struct reread_wait wait;
	bool asked; // a question to the session process is open
	bool has_text; // a code, not only the question whether there is a token
	bool used; // the code is one that was good once
	bool decoy; // the token is nobody's: no code of it is good
	struct event *again;
	char username[IPC_USER_LEN];
	char text_secret[IPC_PASSWORD_LEN];
	struct otp_token tokens[OTP_TOKENS_MAX];
	size_t nb_tokens, at;
	struct ipc_otp_ask question;
};

static struct otp_db *db;
static struct reread file;
static LIST_HEAD(, otp_step) asking;
static uint64_t next_req;
static struct otp_token decoy;
static struct child *self;

static void done(struct otp_step *step, enum factor_result result, const char *why) {
	factor_done(step->login,
		&(struct factor_outcome){.result = result,
			.message = result == FACTOR_ASK	 ? ASK
				: result == FACTOR_ERROR ? "Server error"
							 : NULL,
			.label = "Code:",
			.why = why});
}

// --- the session process ---

static void question_send(struct otp_step *step) {
	struct ipc_chan *chan = child_peer(self, IPC_SESSION, 0);

	// When it is away, or its queue is full: sent when it is back, or the login's time runs out.
	if (chan != NULL)
		ipc_send(chan, IPC_OTP_ASK, &step->question.hdr, sizeof(step->question), NULL, 0);
}

static void ask(struct otp_step *step, enum ipc_otp what, uint64_t factor) {
	step->question.hdr.req = ++next_req;
	step->question.what = what;
	step->question.factor = factor;
	if (!step->asked)
		LIST_INSERT_HEAD(&asking, step, link);
	step->asked = true;
	question_send(step);
}

// Asks about the token at hand, or gives up behind the last one.
static void token_begin(struct otp_step *step) {
	if (step->at == step->nb_tokens) {
		done(step, FACTOR_FAILED,
			step->used ? "code was used before" : "code does not match");
		return;
	}
	// The stand-in has one entry in the store, whatever names strangers make up.
	if (otp_token_name(&step->tokens[step->at], step->decoy ? "" : step->username,
		    step->question.token) != 0) {
		done(step, FACTOR_ERROR, "token has no name");
		return;
	}
	// Tries are counted for the first of the user's tokens, for all of them.
	ask(step, step->at == 0 ? IPC_OTP_TRY : IPC_OTP_LAST, 0);
}

// A code of another token was right: what was counted for the first is forgotten. Nobody waits for
// the answer; lost, it costs the user a pause at worst.
static void tries_forget(struct otp_step *step) {
	struct ipc_otp_ask msg = {.hdr.req = ++next_req, .what = IPC_OTP_FORGET};
	struct ipc_chan *chan = child_peer(self, IPC_SESSION, 0);

	if (step->at > 0 && chan != NULL &&
		otp_token_name(&step->tokens[0], step->username, msg.token) == 0)
		ipc_send(chan, IPC_OTP_ASK, &msg.hdr, sizeof(msg), NULL, 0);
}

static void on_last(struct otp_step *step, const uint64_t *last) {
	const struct otp_token *token = &step->tokens[step->at];
	time_t now = time(NULL);
	uint64_t factor;

	if (otp_token_check(token, step->text_secret, last, now, &factor) && !step->decoy) {
		ask(step, IPC_OTP_TAKE, factor);
		return;
	}
	step->used |= last != NULL && otp_token_check(token, step->text_secret, NULL, now, &factor);
	step->at++;
	token_begin(step);
}

static void on_again(int fd, short what, void *arg) {
	question_send(arg);
}

static void ask_again(struct otp_step *step) {
	static const struct timeval soon = {.tv_usec = 50 * 1000};

	if (step->again == NULL)
		step->again = evtimer_new(child_base(self), on_again, step);
	if (step->again != NULL)
		evtimer_add(step->again, &soon);
}

static void on_taken(struct otp_step *step, int status) {
	if (status == 0) {
		tries_forget(step);
		done(step, FACTOR_PASSED, NULL);
	} else if (status == -EEXIST) {
		done(step, FACTOR_FAILED, "code was used before");
	} else {
		done(step, FACTOR_ERROR, BROKEN);
	}
}

static void on_answer(struct otp_step *step, const struct ipc_otp_answer *msg) {
	if (msg->status == -EAGAIN) {
		ask_again(step);
		return;
	}
	LIST_REMOVE(step, link);
	step->asked = false;
	if (msg->status == -EBUSY)
		done(step, FACTOR_FAILED, "too many wrong codes, this one is not looked at");
	else if (step->question.what == IPC_OTP_TAKE)
		on_taken(step, msg->status);
	else if (msg->status == 0 || msg->status == -ENOENT)
		on_last(step, msg->status == 0 ? &msg->last : NULL);
	else
		done(step, FACTOR_ERROR, BROKEN);
}

static int otp_message(struct child *child, const struct ipc_hdr *hdr) {
	const struct ipc_otp_answer *msg = (const struct ipc_otp_answer *)hdr;
	struct otp_step *step;

	if (msg->status > 0)
		return -EINVAL;
	LIST_FOREACH(step, &asking, link) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		if (step->question.hdr.req == hdr->req)
			break;
	}
	if (step != NULL)
		on_answer(step, msg);
	return 0;
}

static void otp_peer_up(struct child *child, enum ipc_role role) {
	struct otp_step *step;

	if (role != IPC_SESSION)
		return;
	LIST_FOREACH(step, &asking, link)
		question_send(step);
}

// --- steps ---

// Has the user something to ask for? A user whose lines cannot be used is not one who needs none.
static void no_text(struct otp_step *step) {
	if (step->nb_tokens > 0)
		done(step, FACTOR_ASK, NULL);
	else if (otp_db_has(db, step->username))
		done(step, FACTOR_ERROR, "the user's token cannot be used");
	else
		done(step, FACTOR_FAILED, "user has no token");
}

static void on_file(struct reread_wait *wait, int err) {
	struct otp_step *step = (struct otp_step *)((char *)wait - offsetof(struct otp_step, wait));

	if (err != 0) {
		done(step, FACTOR_ERROR, "the file of tokens cannot be read");
		return;
	}
	step->nb_tokens = otp_db_find(db, step->username, step->tokens);
	if (!step->has_text) {
		no_text(step);
		return;
	}
	// A user without a token takes as long as one whose code is wrong.
	step->decoy = step->nb_tokens == 0;
	if (step->decoy)
		step->tokens[step->nb_tokens++] = decoy;
	token_begin(step);
}

static void otp_end(struct login *login, void **state) {
	struct otp_step *step = *state;

	*state = NULL;
	reread_cancel(&file, &step->wait);
	if (step->asked)
		LIST_REMOVE(step, link);
	if (step->again != NULL)
		event_free(step->again);
	explicit_bzero(step, sizeof(*step));
	free(step);
}

static void otp_step(struct login *login, const struct factor_input *input, void **state) {
	struct otp_step *step;

	if (*state != NULL)
		otp_end(login, state);
	step = calloc(1, sizeof(*step));
	if (step == NULL) {
		factor_done(login, &(struct factor_outcome){.result = FACTOR_ERROR});
		return;
	}
	*state = step;
	step->login = login;
	step->wait.ready = on_file;
	memcpy(step->username, input->login->username, sizeof(step->username));
	if (input->password != NULL) {
		step->has_text = true;
		strncpy(step->text_secret, input->password, sizeof(step->text_secret) - 1);
	}
	reread_get(&file, &step->wait);
}

static int otp_load(void *arg, const char *text, size_t len) {
	struct otp_db *fresh;
	size_t bad;

	fresh = otp_db_new(text, len, &bad);
	if (fresh == NULL)
		return -ENOMEM;
	otp_db_free(db);
	db = fresh;
	log_info(file.event, "tokens=%zu lines_not_usable=%zu", otp_db_tokens(db), bad);
	return 0;
}

static int otp_start(struct child *child) {
	file = (struct reread){.child = child,
		.file = IPC_FILE_OTP_USERS,
		.event = "tokens",
		.max = OTP_FILE_MAX,
		.load = otp_load};
	self = child;
	decoy = (struct otp_token){.totp = true, .step_s = 30, .digits = 6, .key_len = 20};
	if (oath_init() != OATH_OK ||
		getrandom(&next_req, sizeof(next_req), 0) != sizeof(next_req) ||
		getrandom(decoy.key_secret, decoy.key_len, 0) != (ssize_t)decoy.key_len)
		return -EIO;
	return 0;
}

static void otp_stop(struct child *child) {
	otp_db_free(db);
	db = NULL;
	explicit_bzero(&decoy, sizeof(decoy));
	oath_done();
}

const struct factor factor_otp = {
	.name = "otp",
	.id = CFG_FACTOR_OTP,
	.wants_password = false,
	.start = otp_start,
	.stop = otp_stop,
	.step = otp_step,
	.end = otp_end,
	.answer = IPC_OTP_ANSWER,
	.message = otp_message,
	.peer_up = otp_peer_up,
};
