// SPDX-License-Identifier: GPL-3.0-or-later
// The end of a login: a session with a fresh cookie, made by the session process; called by
// login_steps.c and login.c.
//
// What waits for the session process is sent again when that comes back.

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/random.h>

#include "controlplane/proc/log.h"
#include "login_int.h"

int login_cookie_hash(struct logins *logins, const uint8_t *cookie, uint8_t *hash) {
	Hmac hmac;
	int err;

	if (wc_HmacInit(&hmac, NULL, INVALID_DEVID) != 0)
		return -ENOMEM;
	err = wc_HmacSetKey(&hmac, WC_SHA256, logins->cookie_secret, sizeof(logins->cookie_secret));
	if (err == 0)
		err = wc_HmacUpdate(&hmac, cookie, IPC_COOKIE_LEN);
	if (err == 0)
		err = wc_HmacFinal(&hmac, hash);
	wc_HmacFree(&hmac);
	return err == 0 ? 0 : -EIO;
}

// A server's word counts for more than what is checked beside it, a code, say.
static enum ipc_authentic authentic_of(const struct login *login) {
	if (login->at.passed & 1u << CFG_FACTOR_RADIUS)
		return IPC_AUTHENTIC_RADIUS;
	if (login->at.passed & (1u << CFG_FACTOR_KERBEROS | 1u << CFG_FACTOR_OIDC))
		return IPC_AUTHENTIC_REMOTE;
	return IPC_AUTHENTIC_LOCAL;
}

static void message_fill(const struct login *login, struct ipc_session_new *msg) {
	msg->remote = login->asked.remote;
	msg->settings = login->at.settings;
	msg->facts = login->at.facts;
	msg->facts.authentic = authentic_of(login);
	msg->facts.password_file = (login->at.passed & 1u << CFG_FACTOR_PASSWORD_FILE) != 0;
	memcpy(msg->username, login->asked.username, sizeof(msg->username));
	memcpy(msg->groups, login->at.groups, sizeof(msg->groups));
	memcpy(msg->group, login->group, sizeof(msg->group));
	memcpy(msg->agent, login->asked.agent, sizeof(msg->agent));
	memcpy(msg->server_name, login->asked.server_name, sizeof(msg->server_name));
}

// A fresh cookie each time: the session process may have stored an earlier one before it died.
static void session_new_send(struct login *login) {
	struct logins *logins = login->owner;
	struct ipc_chan *chan = child_peer(logins->child, IPC_SESSION, 0);
	struct ipc_session_new msg = {0};
	int err;

	msg.hdr.req = login->session_req = ++logins->next_req;
	login->ask_again = false;
	if (chan == NULL || !logins->have_secret)
		return; // sent when it is there
	if (getrandom(login->cookie_secret, IPC_COOKIE_LEN, 0) != IPC_COOKIE_LEN ||
		login_cookie_hash(logins, login->cookie_secret, msg.cookie_hash) != 0) {
		login_end(login, IPC_LOGIN_ERROR, "Server error", NULL);
		return;
	}
	message_fill(login, &msg);
	err = ipc_send(chan, IPC_SESSION_NEW, &msg.hdr, sizeof(msg), NULL, 0);
	// Any other error: it has just died, which the event loop has not told yet.
	if (err == -ENOBUFS || err == -ENOMEM)
		login_end(login, IPC_LOGIN_ERROR, "Server busy", NULL);
	explicit_bzero(&msg, sizeof(msg));
}

void login_session_begin(struct login *login) {
	if (login->state != LOGIN_SESSION) {
		explicit_bzero(login->asked.password, sizeof(login->asked.password));
		login->state = LOGIN_SESSION;
		login_within(login, FACTOR_STEP_S);
	}
	session_new_send(login);
}

static void on_again(int fd, short what, void *arg) {
	struct logins *logins = arg;
	struct login *login, *next;

	for (login = TAILQ_FIRST(&logins->active); login != NULL; login = next) {
		next = TAILQ_NEXT(login, link);
		if (login->state == LOGIN_SESSION && login->ask_again)
			session_new_send(login);
	}
}

// The session process has started but not read its store yet.
static void ask_again(struct login *login) {
	static const struct timeval soon = {.tv_usec = 50 * 1000};

	login->ask_again = true;
	if (!evtimer_pending(login->owner->again, NULL))
		evtimer_add(login->owner->again, &soon);
}

static const char *created_reason(int status) {
	switch (status) {
	case -ENOSPC:
		return "Too many clients";
	case -EUSERS:
		return "Too many sessions of this user";
	case -ENOLINK:
		return "The shared session store is not there";
	case -EDQUOT:
		return "The session store is full";
	case -EROFS:
		return "The session store cannot be written";
	default:
		return "Server error";
	}
}

int logins_created(struct logins *logins, const struct ipc_session_created *msg) {
	struct login *login;

	if (msg->status > 0)
		return -EINVAL;
	TAILQ_FOREACH(login, &logins->active, link) {
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (login->state == LOGIN_SESSION && login->session_req == msg->hdr.req)
			break;
	}
	if (login == NULL)
		return 0; // it gave up waiting
	if (msg->status == -EAGAIN) {
		ask_again(login);
	} else if (msg->status == 0) {
		log_debug("login", "user=%s result=accepted", log_value(login->asked.username));
		login_end(login, IPC_LOGIN_OK, NULL, NULL);
	} else {
		login_end(login, IPC_LOGIN_ERROR, created_reason(msg->status), NULL);
	}
	return 0;
}

int login_session_init(struct logins *logins) {
	logins->again = evtimer_new(child_base(logins->child), on_again, logins);
	return logins->again != NULL ? 0 : -ENOMEM;
}

void login_session_fini(struct logins *logins) {
	if (logins->again != NULL)
		event_free(logins->again);
}
