// SPDX-License-Identifier: GPL-3.0-or-later
// Logins as transactions of several forms, from an edge's message to its answer; called by auth.c.
//
// A transaction is known by a random number that only its client is given, and good for that
// client's address. While a form is with the client the login belongs to no edge, so that any edge
// may bring the answer. An edge that goes takes along what it waits for: its successor must not
// get answers to questions that it never asked. Each step of ours ends by its own clock.

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/bytes.h"
#include "controlplane/proc/log.h"
#include "login_int.h"

#define ACTIVE_MAX 1024u
#define PARKED_MAX 4096u
#define PARKED_OF_USER 4u // past their first form, by one user from one address
#define LOGIN_S 240u // when the configuration sets no time for a login

static const uint8_t none[IPC_TRANSACTION_LEN]; // in a message: no transaction

static struct login_bucket *bucket_of(struct logins *logins, const uint8_t *transaction) {
	return &logins->by_id[transaction[0] % LOGIN_BUCKETS];
}

// The transaction, if it is one of this client.
static struct login *transaction_find(struct logins *logins, const struct ipc_login *msg) {
	struct login *login;

	LIST_FOREACH(login, bucket_of(logins, msg->transaction), by_id) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		if (bytes_same(login->transaction, msg->transaction, IPC_TRANSACTION_LEN))
			break;
	}
	if (login == NULL || memcmp(&login->asked.remote, &msg->remote, sizeof(msg->remote)) == 0)
		return login;
	login_refused_log(msg, "transaction of another address");
	return NULL;
}

static void unlink_login(struct login *login) {
	struct logins *logins = login->owner;

	if (login->state == LOGIN_PARKED) {
		TAILQ_REMOVE(&logins->parked, login, link);
		logins->nb_parked--;
	} else {
		TAILQ_REMOVE(&logins->active, login, link);
		logins->nb_active--;
	}
}

static void chain_drop(struct login *login) {
	free(login->chain);
	login->chain = NULL;
	login->chain_len = 0;
}

static void login_free(struct login *login) {
	login_factor_end(login);
	unlink_login(login);
	LIST_REMOVE(login, by_id);
	if (login->timer != NULL)
		event_free(login->timer);
	chain_drop(login);
	explicit_bzero(login, sizeof(*login));
	free(login);
}

// --- answers ---

static void answer(struct child *child, unsigned edge, struct ipc_login_result *msg) {
	struct ipc_chan *chan = edge == LOGIN_EDGE_NONE ? NULL : child_peer(child, IPC_EDGE, edge);

	if (chan != NULL)
		ipc_send(chan, IPC_LOGIN_RESULT, &msg->hdr, sizeof(*msg), NULL, 0);
	explicit_bzero(msg, sizeof(*msg));
}

static void text_set(char *out, size_t size, const char *text) {
	if (text != NULL)
		snprintf(out, size, "%s", text);
}

// The one line above debug that an attempt which came to nothing leaves; the session process
// writes that of the others.
void login_refused_log(const struct ipc_login *asked, const char *why) {
	char text[ADDR_TEXT_LEN];

	log_warning("login_refused", "user=%s remote=%s agent=%s reason=%s",
		log_value(asked->username), addr_text(&asked->remote, text),
		log_value(asked->agent), log_value(why));
}

// The token for the client goes with the next that it hears, once.
static void token_take(struct login *login, struct ipc_login_result *msg) {
	msg->token_len = login->at.answer_len;
	memcpy(msg->token, login->at.answer, login->at.answer_len);
	login->at.answer_len = 0;
}

void login_end(
	struct login *login, enum ipc_login_status status, const char *reason, const char *why) {
	struct ipc_login_result msg = {.hdr.req = login->edge_req, .status = status};

	if (status == IPC_LOGIN_OK)
		memcpy(msg.cookie, login->cookie_secret, IPC_COOKIE_LEN);
	token_take(login, &msg);
	if (status == IPC_LOGIN_ERROR)
		text_set(msg.reason, sizeof(msg.reason), reason);
	if (status != IPC_LOGIN_OK)
		login_refused_log(&login->asked, why != NULL ? why : reason);
	answer(login->owner->child, login->edge, &msg);
	login_free(login);
}

// An answer to a request that no login was made of.
static void refuse(struct logins *logins, unsigned edge, const struct ipc_login *asked,
	enum ipc_login_status status, const char *text) {
	struct ipc_login_result msg = {.hdr.req = asked->hdr.req, .status = status};

	if (status == IPC_LOGIN_FORM)
		text_set(msg.message, sizeof(msg.message), text);
	else
		text_set(msg.reason, sizeof(msg.reason), text);
	answer(logins->child, edge, &msg);
}

// --- time ---

static void on_timer(int fd, short what, void *arg) {
	struct login *login = arg;

	if (login->state == LOGIN_PARKED) {
		// A first form that came to nothing has its line already.
		if (login->at.committed)
			login_refused_log(&login->asked, "no answer to the form");
		login_free(login);
		return;
	}
	login_end(login, IPC_LOGIN_ERROR, "Server busy",
		login->state == LOGIN_SESSION ? "timeout, waiting for the session process"
					      : "timeout, waiting for a factor");
}

void login_within(struct login *login, unsigned seconds) {
	struct timeval wait = {.tv_sec = seconds};

	evtimer_add(login->timer, &wait);
}

static unsigned seconds_left(const struct login *login) {
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec < login->deadline.tv_sec ? (unsigned)(login->deadline.tv_sec - now.tv_sec)
						   : 0;
}

// --- waiting for the client ---

// Too many first steps passed by one user from one address: the oldest goes. That of others is
// out of reach, whoever knows the password.
static void parked_of_user_limit(struct login *login) {
	struct login *other, *oldest = NULL;
	unsigned count = 0;

	TAILQ_FOREACH(other, &login->owner->parked, link) {
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (!other->at.committed ||
			!addr_same_client(&other->asked.remote, &login->asked.remote) ||
			strcmp(other->asked.username, login->asked.username) != 0)
			continue;
		if (oldest == NULL)
			oldest = other;
		count++;
	}
	if (count >= PARKED_OF_USER)
		login_free(oldest);
}

// Makes room for one more: those that know no password yet go first, so that nobody without one
// can push the others out.
static bool parked_room(struct logins *logins) {
	struct login *other;

	if (logins->nb_parked < PARKED_MAX)
		return true;
	TAILQ_FOREACH(other, &logins->parked, link) {
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (!other->at.committed)
			break;
	}
	if (other == NULL)
		return false;
	login_free(other);
	return true;
}

void login_park(struct login *login, enum ipc_form form, const char *message, const char *label) {
	struct ipc_login_result msg = {
		.hdr.req = login->edge_req, .status = IPC_LOGIN_FORM, .form = form};
	struct logins *logins = login->owner;
	unsigned edge = login->edge;

	if (login->at.committed)
		parked_of_user_limit(login);
	if (!parked_room(logins)) {
		login_end(login, IPC_LOGIN_ERROR, "Server busy", "too many open logins");
		return;
	}
	memcpy(msg.transaction, login->transaction, sizeof(msg.transaction));
	token_take(login, &msg);
	msg.echo = form == IPC_FORM_ANSWER && login->at.echo;
	msg.round = login->at.round > 0 ? login->at.round - 1 : 0;
	text_set(msg.message, sizeof(msg.message), message);
	text_set(msg.label, sizeof(msg.label), label != NULL ? label : "Password:");
	explicit_bzero(login->asked.password, sizeof(login->asked.password));
	chain_drop(login);
	unlink_login(login);
	login->state = LOGIN_PARKED;
	login->edge = LOGIN_EDGE_NONE;
	TAILQ_INSERT_TAIL(&logins->parked, login, link);
	logins->nb_parked++;
	login_within(login, seconds_left(login));
	answer(logins->child, edge, &msg);
}

// --- requests ---

static bool strings_ok(const struct ipc_login *msg) {
	return ipc_str_ok(msg->username, sizeof(msg->username)) &&
		ipc_str_ok(msg->password, sizeof(msg->password)) &&
		ipc_str_ok(msg->group, sizeof(msg->group)) &&
		ipc_str_ok(msg->agent, sizeof(msg->agent)) &&
		ipc_str_ok(msg->server_name, sizeof(msg->server_name));
}

static bool names_transaction(const struct ipc_login *msg) {
	return !bytes_same(msg->transaction, none, IPC_TRANSACTION_LEN);
}

static struct login *login_new(struct logins *logins) {
	unsigned seconds = child_cfg(logins->child)->auth.timeout;
	struct login *login = calloc(1, sizeof(*login));

	if (login == NULL)
		return NULL;
	login->owner = logins;
	login->timer = evtimer_new(child_base(logins->child), on_timer, login);
	if (login->timer == NULL ||
		getrandom(login->transaction, IPC_TRANSACTION_LEN, 0) != IPC_TRANSACTION_LEN) {
		if (login->timer != NULL)
			event_free(login->timer);
		free(login);
		return NULL;
	}
	clock_gettime(CLOCK_MONOTONIC, &login->deadline);
	login->deadline.tv_sec += seconds != 0 ? seconds : LOGIN_S;
	TAILQ_INSERT_TAIL(&logins->active, login, link);
	logins->nb_active++;
	LIST_INSERT_HEAD(bucket_of(logins, login->transaction), login, by_id);
	return login;
}

static void unpark(struct login *login) {
	unlink_login(login);
	login->state = LOGIN_STEP;
	TAILQ_INSERT_TAIL(&login->owner->active, login, link);
	login->owner->nb_active++;
}

static int chain_take(struct login *login, const struct ipc_login_cert *cert) {
	chain_drop(login);
	if (cert == NULL)
		return 0;
	login->chain = malloc(cert->chain_len);
	if (login->chain == NULL)
		return -ENOMEM;
	memcpy(login->chain, cert->chain, cert->chain_len);
	login->chain_len = cert->chain_len;
	return 0;
}

// The request goes on with this login.
static void take(struct login *login, unsigned edge, const struct ipc_login *msg) {
	const struct ipc_login_token *token = login->owner->token;
	bool first = msg->username[0] != '\0' || !names_transaction(msg);

	login->edge = edge;
	login->edge_req = msg->hdr.req;
	if (chain_take(login, login->owner->cert) != 0) {
		login_end(login, IPC_LOGIN_ERROR, "Server busy", "no memory");
		return;
	}
	if (token != NULL ? !login->at.wants_token : first) {
		login->asked = *msg;
		login->scheme = token != NULL ? token->scheme : IPC_SCHEME_NONE;
		login_attempt_begin(login);
		return;
	}
	memcpy(login->asked.password, msg->password, sizeof(msg->password));
	login_attempt_answer(login);
}

// `begins`: the request says all that a login can begin with.
static void request(
	struct logins *logins, struct ipc_chan *edge, const struct ipc_login *msg, bool begins) {
	unsigned index = ipc_chan_peer_index(edge);
	struct login *login = names_transaction(msg) ? transaction_find(logins, msg) : NULL;

	if (login == NULL && !begins) {
		refuse(logins, index, msg, IPC_LOGIN_FORM, "The login took too long. " LOGIN_ASK);
	} else if (login != NULL && login->state != LOGIN_PARKED) {
		refuse(logins, index, msg, IPC_LOGIN_ERROR, "Login in progress");
	} else if (logins->nb_active >= ACTIVE_MAX ||
		(login == NULL && (login = login_new(logins)) == NULL)) {
		login_refused_log(msg, "too many logins at once");
		refuse(logins, index, msg, IPC_LOGIN_ERROR, "Server busy");
	} else {
		if (login->state == LOGIN_PARKED)
			unpark(login);
		take(login, index, msg);
	}
}

int logins_login(struct logins *logins, struct ipc_chan *edge, const struct ipc_login *msg) {
	bool begins = msg->username[0] != '\0';

	if (!strings_ok(msg) || (!begins && !names_transaction(msg)))
		return -EINVAL;
	request(logins, edge, msg, begins);
	return 0;
}

int logins_login_token(
	struct logins *logins, struct ipc_chan *edge, const struct ipc_login_token *msg) {
	if (!strings_ok(&msg->login) || msg->login.username[0] != '\0' ||
		msg->login.password[0] != '\0' || msg->scheme == IPC_SCHEME_NONE ||
		msg->scheme > IPC_SCHEME_BEARER || msg->token_len == 0 ||
		msg->token_len > IPC_TOKEN_LEN)
		return -EINVAL;
	logins->token = msg;
	request(logins, edge, &msg->login, true);
	logins->token = NULL;
	return 0;
}

int logins_login_cert(
	struct logins *logins, struct ipc_chan *edge, const struct ipc_login_cert *msg) {
	// Without a form, too: that is for the certificate alone to begin.
	bool begins = msg->login.username[0] != '\0' || !names_transaction(&msg->login);

	if (!strings_ok(&msg->login) || msg->chain_len == 0 || msg->chain_len > sizeof(msg->chain))
		return -EINVAL;
	logins->cert = msg;
	request(logins, edge, &msg->login, begins);
	logins->cert = NULL;
	return 0;
}

void logins_session_up(struct logins *logins) {
	struct ipc_chan *session = child_peer(logins->child, IPC_SESSION, 0);
	struct login *login, *next;

	if (session == NULL)
		return;
	for (login = TAILQ_FIRST(&logins->active); login != NULL; login = next) {
		next = TAILQ_NEXT(login, link);
		if (login->state == LOGIN_SESSION)
			login_session_begin(login);
	}
	login_connects_up(logins);
}

void logins_edge_down(struct logins *logins, unsigned index) {
	struct login *login, *next;

	for (login = TAILQ_FIRST(&logins->active); login != NULL; login = next) {
		next = TAILQ_NEXT(login, link);
		if (login->edge == index)
			login_free(login);
	}
	login_connects_edge_down(logins, index);
}

void logins_peer_up(struct logins *logins, enum ipc_role role) {
	for (unsigned i = 0; i < logins->nb_factors; i++) {
		if (factors[i]->peer_up != NULL)
			factors[i]->peer_up(logins->child, role);
	}
}

void logins_reloaded(struct logins *logins) {
	for (unsigned i = 0; i < logins->nb_factors; i++) {
		if (factors[i]->reloaded != NULL)
			factors[i]->reloaded(logins->child);
	}
}

int logins_factor_message(struct logins *logins, const struct ipc_hdr *msg) {
	for (unsigned i = 0; i < logins->nb_factors; i++) {
		if (factors[i]->answer == msg->type && factors[i]->message != NULL)
			return factors[i]->message(logins->child, msg);
	}
	return 0;
}

// --- start and end ---

static void on_secret(struct child *child, int fd, void *arg) {
	struct logins *logins = arg;
	ssize_t n = fd < 0 ? fd : pread(fd, logins->cookie_secret, 32, 0);

	if (fd >= 0)
		close(fd);
	if (n != 32) {
		log_error("cookie_secret", "text=\"the cookie secret cannot be read\"");
		child_exit(child, EXIT_FAILURE);
		return;
	}
	logins->have_secret = true;
	logins->secret_ready(child);
	logins_session_up(logins);
}

const uint8_t *logins_cookie_secret(const struct logins *logins) {
	return logins->have_secret ? logins->cookie_secret : NULL;
}

static int factors_start(struct logins *logins) {
	int err = 0;

	for (; factors[logins->nb_factors] != NULL; logins->nb_factors++) {
		const struct factor *factor = factors[logins->nb_factors];

		err = factor->start != NULL ? factor->start(logins->child) : 0;
		if (err != 0)
			break;
	}
	return err;
}

static int start(struct logins *logins) {
	int err;

	TAILQ_INIT(&logins->active);
	TAILQ_INIT(&logins->parked);
	TAILQ_INIT(&logins->connects);
	// Answers to requests of a process that died are for nobody.
	if (getrandom(&logins->next_req, sizeof(logins->next_req), 0) != sizeof(logins->next_req))
		return -EIO;
	err = login_session_init(logins);
	if (err == 0)
		err = factors_start(logins);
	if (err == 0)
		err = child_file_open(logins->child, IPC_FILE_COOKIE_SECRET, 0, on_secret, logins);
	return err;
}

int logins_start(
	struct child *child, void (*secret_ready)(struct child *child), struct logins **out) {
	struct logins *logins = calloc(1, sizeof(*logins));
	int err;

	if (logins == NULL)
		return -ENOMEM;
	logins->child = child;
	logins->secret_ready = secret_ready;
	err = start(logins);
	if (err == 0)
		*out = logins;
	else
		logins_free(logins);
	return err;
}

void logins_free(struct logins *logins) {
	if (logins == NULL)
		return;
	while (!TAILQ_EMPTY(&logins->active))
		login_free(TAILQ_FIRST(&logins->active));
	while (!TAILQ_EMPTY(&logins->parked))
		login_free(TAILQ_FIRST(&logins->parked));
	while (logins->nb_factors > 0) {
		const struct factor *factor = factors[--logins->nb_factors];

		if (factor->stop != NULL)
			factor->stop(logins->child);
	}
	login_session_fini(logins);
	login_connects_free(logins);
	explicit_bzero(logins, sizeof(*logins));
	free(logins);
}
