// SPDX-License-Identifier: GPL-3.0-or-later
// Logins and CONNECTs, from an edge's message to the session process and back; called by auth.c.
//
// A login waits for the password file, then for a hashing thread, then for the session process;
// each wait ends after REQUEST_TIMEOUT_S. What waits for the session process is sent again when
// that comes back. An edge that goes takes its requests along: its successor must not get answers
// to questions that it never asked.

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"
#include "files.h"
#include "login.h"
#include "verify.h"

#define LOGINS_MAX 512u
#define CONNECTS_MAX 4096u
#define REQUEST_TIMEOUT_S 10
#define THREADS 2u

enum login_state {
	LOGIN_FILE, // for the password file or the cookie secret
	LOGIN_VERIFY, // for a thread
	LOGIN_SESSION, // for the session process
};

struct login {
	TAILQ_ENTRY(login) link;
	struct logins *owner;
	enum login_state state;
	bool orphan; // its edge has gone
	bool ask_again; // the session process was not ready
	const char *why; // it ends, where the log says more than the client is told
	unsigned edge;
	uint64_t edge_req, session_req;
	struct event *timer;
	struct ipc_login asked;
	char groups[IPC_GROUPS_LEN];
	uint8_t cookie_secret[IPC_COOKIE_LEN];
	struct verify_job job;
};

// A CONNECT that came while the session process was away.
struct waiting_connect {
	TAILQ_ENTRY(waiting_connect) link;
	struct ipc_connect msg;
	struct timespec until;
};

// What of a file says that it is another than the one that was read.
struct file_id {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct logins {
	struct child *child;
	TAILQ_HEAD(, login) list;
	unsigned nb_logins;
	TAILQ_HEAD(, waiting_connect) connects;
	unsigned nb_connects;
	struct verify_pool *pool;
	struct event *again;
	struct passwd_db *db;
	struct file_id db_id;
	bool file_asked; // a request for the password file is on its way
	bool have_secret;
	uint8_t cookie_secret[32];
	void (*secret_ready)(struct child *child);
	uint64_t next_req;
};

static void login_free(struct login *login) {
	struct logins *logins = login->owner;

	TAILQ_REMOVE(&logins->list, login, link);
	logins->nb_logins--;
	if (login->timer != NULL)
		event_free(login->timer);
	explicit_bzero(login, sizeof(*login));
	free(login);
}

static void answer(struct child *child, unsigned edge, uint64_t req, enum ipc_login_status status,
	const uint8_t *cookie, const char *reason) {
	struct ipc_chan *chan = child_peer(child, IPC_EDGE, edge);
	struct ipc_login_result msg = {.hdr.req = req, .status = status};

	if (chan == NULL)
		return;
	if (cookie != NULL)
		memcpy(msg.cookie, cookie, IPC_COOKIE_LEN);
	if (reason != NULL)
		strncpy(msg.reason, reason, sizeof(msg.reason) - 1);
	ipc_send(chan, IPC_LOGIN_RESULT, &msg.hdr, sizeof(msg), NULL, 0);
	explicit_bzero(&msg, sizeof(msg));
}

// The one line above debug that a login which came to nothing leaves; the session process writes
// that of the others.
static void refused_log(const struct ipc_login *asked, const char *why) {
	char text[ADDR_TEXT_LEN];

	log_warning("login_refused", "user=%s remote=%s agent=%s reason=%s",
		log_value(asked->username), addr_text(&asked->remote, text),
		log_value(asked->agent), log_value(why));
}

// Answers and forgets. While a thread has the job it is only answered: on_verified frees it. The
// reason is for the log, and for the client unless it is denied.
static void login_end(struct login *login, enum ipc_login_status status, const char *reason) {
	if (!login->orphan)
		answer(login->owner->child, login->edge, login->edge_req, status,
			status == IPC_LOGIN_OK ? login->cookie_secret : NULL,
			status == IPC_LOGIN_ERROR ? reason : NULL);
	if (!login->orphan && status != IPC_LOGIN_OK)
		refused_log(&login->asked, login->why != NULL ? login->why : reason);
	login->orphan = true;
	if (login->state != LOGIN_VERIFY)
		login_free(login);
}

static void on_timeout(int fd, short what, void *arg) {
	struct login *login = arg;

	login->why = login->state == LOGIN_FILE ? "timeout, waiting for files"
		: login->state == LOGIN_VERIFY	? "timeout, waiting for a hashing thread"
						: "timeout, waiting for the session process";
	login_end(login, IPC_LOGIN_ERROR, "Server busy");
}

// --- session process ---

static int cookie_hash(struct logins *logins, const uint8_t *cookie, uint8_t *hash) {
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

// A fresh cookie each time: the session process may have stored an earlier one before it died.
static void session_new_send(struct login *login) {
	struct child *child = login->owner->child;
	struct ipc_chan *chan = child_peer(child, IPC_SESSION, 0);
	struct ipc_session_new msg = {.remote = login->asked.remote};

	msg.hdr.req = login->session_req = ++login->owner->next_req;
	login->ask_again = false;

	if (chan == NULL)
		return; // sent when it is back
	if (getrandom(login->cookie_secret, IPC_COOKIE_LEN, 0) != IPC_COOKIE_LEN ||
		cookie_hash(login->owner, login->cookie_secret, msg.cookie_hash) != 0) {
		login_end(login, IPC_LOGIN_ERROR, "Server error");
		return;
	}
	memcpy(msg.username, login->asked.username, sizeof(msg.username));
	memcpy(msg.groups, login->groups, sizeof(msg.groups));
	memcpy(msg.agent, login->asked.agent, sizeof(msg.agent));
	memcpy(msg.server_name, login->asked.server_name, sizeof(msg.server_name));
	if (ipc_send(chan, IPC_SESSION_NEW, &msg.hdr, sizeof(msg), NULL, 0) != 0)
		login_end(login, IPC_LOGIN_ERROR, "Server busy");
	explicit_bzero(&msg, sizeof(msg));
}

static void on_again(int fd, short what, void *arg) {
	struct logins *logins = arg;
	struct login *login, *next;

	for (login = TAILQ_FIRST(&logins->list); login != NULL; login = next) {
		next = TAILQ_NEXT(login, link);
		if (login->state == LOGIN_SESSION && login->ask_again)
			session_new_send(login);
	}
}

// The session process has started but not read its store yet.
static void ask_again(struct logins *logins, struct login *login) {
	static const struct timeval soon = {.tv_usec = 50 * 1000};

	login->ask_again = true;
	if (!evtimer_pending(logins->again, NULL))
		evtimer_add(logins->again, &soon);
}

static const char *created_reason(int status) {
	switch (status) {
	case -ENOSPC:
		return "Too many clients";
	case -EUSERS:
		return "Too many sessions of this user";
	default:
		return "Server error";
	}
}

int logins_created(struct logins *logins, const struct ipc_session_created *msg) {
	struct login *login;

	if (msg->status > 0)
		return -EINVAL;
	TAILQ_FOREACH(login, &logins->list, link) {
		if (login->state == LOGIN_SESSION && login->session_req == msg->hdr.req)
			break;
	}
	if (login == NULL)
		return 0; // it gave up waiting
	if (msg->status == -EAGAIN) {
		ask_again(login->owner, login);
	} else if (msg->status == 0) {
		log_debug("login", "user=%s result=accepted", log_value(login->asked.username));
		login_end(login, IPC_LOGIN_OK, NULL);
	} else {
		login_end(login, IPC_LOGIN_ERROR, created_reason(msg->status));
	}
	return 0;
}

// --- verification ---

static void on_verified(struct verify_job *job) {
	struct login *login = job->arg;

	login->state = LOGIN_SESSION;
	if (login->orphan) {
		login_free(login);
		return;
	}
	if (!job->ok) {
		login_end(login, IPC_LOGIN_DENIED,
			job->entry.usable ? "password does not match" : "unknown or locked user");
		return;
	}
	memcpy(login->groups, job->entry.groups, sizeof(login->groups));
	session_new_send(login);
}

static void verify_begin(struct login *login) {
	struct logins *logins = login->owner;

	passwd_db_find(logins->db, login->asked.username, &login->job.entry);
	memcpy(login->job.password, login->asked.password, sizeof(login->job.password));
	explicit_bzero(login->asked.password, sizeof(login->asked.password));
	login->job.done = on_verified;
	login->job.arg = login;
	if (verify_pool_add(logins->pool, &login->job) == 0)
		login->state = LOGIN_VERIFY;
	else
		login_end(login, IPC_LOGIN_ERROR, "Server busy");
}

// --- password file ---

static int db_read(struct logins *logins, int fd) {
	struct passwd_db *db;
	size_t len, bad;
	char *text;
	int err;

	err = file_read(fd, PASSWD_FILE_MAX, &text, &len);
	if (err != 0)
		return err;
	db = passwd_db_new(text, len, &bad);
	file_wipe(text, len);
	if (db == NULL)
		return -ENOMEM;
	passwd_db_free(logins->db);
	logins->db = db;
	log_info("passwords", "users=%zu lines_not_usable=%zu", passwd_db_users(db), bad);
	return 0;
}

// Reads the file when it is another one, or changed, since the last time.
static int db_refresh(struct logins *logins, int fd) {
	struct file_id id = {0};
	struct stat st;
	int err;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	id.dev = st.st_dev;
	id.ino = st.st_ino;
	id.size = st.st_size;
	id.mtime = st.st_mtim;
	if (logins->db != NULL && memcmp(&id, &logins->db_id, sizeof(id)) == 0)
		return 0;
	err = db_read(logins, fd);
	if (err == 0)
		logins->db_id = id;
	return err;
}

// Lets those go on that wait for files; `err` ends them.
static void files_ready(struct logins *logins, int err) {
	struct login *login, *next;

	for (login = TAILQ_FIRST(&logins->list); login != NULL; login = next) {
		next = TAILQ_NEXT(login, link);
		if (login->state != LOGIN_FILE)
			continue;
		if (err != 0)
			login_end(login, IPC_LOGIN_ERROR, "Server error");
		else
			verify_begin(login);
	}
}

static void on_passwords(struct child *child, int fd, void *arg) {
	struct logins *logins = arg;
	int err = db_refresh(logins, fd);

	if (fd >= 0)
		close(fd);
	logins->file_asked = false;
	if (err != 0)
		log_error("passwords", "file=%s text=%s",
			log_value(child_cfg(child)->auth.password_file), log_value(strerror(-err)));
	if (logins->have_secret || err != 0)
		files_ready(logins, err);
}

static void passwords_ask(struct logins *logins) {
	if (logins->file_asked)
		return;
	logins->file_asked = true;
	if (child_file_open(logins->child, IPC_FILE_PASSWORDS, 0, on_passwords, logins) == 0)
		return;
	logins->file_asked = false;
	files_ready(logins, -EIO);
}

// --- messages ---

static bool strings_ok(const struct ipc_login *msg) {
	return ipc_str_ok(msg->username, sizeof(msg->username)) &&
		ipc_str_ok(msg->password, sizeof(msg->password)) &&
		ipc_str_ok(msg->group, sizeof(msg->group)) &&
		ipc_str_ok(msg->agent, sizeof(msg->agent)) &&
		ipc_str_ok(msg->server_name, sizeof(msg->server_name)) && msg->username[0] != '\0';
}

int logins_login(struct logins *logins, struct ipc_chan *edge, const struct ipc_login *msg) {
	static const struct timeval timeout = {.tv_sec = REQUEST_TIMEOUT_S};
	unsigned index = ipc_chan_peer_index(edge);
	struct login *login;

	if (!strings_ok(msg))
		return -EINVAL;
	if (logins->nb_logins >= LOGINS_MAX) {
		refused_log(msg, "too many logins at once");
		answer(logins->child, index, msg->hdr.req, IPC_LOGIN_ERROR, NULL, "Server busy");
		return 0;
	}
	login = calloc(1, sizeof(*login));
	if (login == NULL) {
		answer(logins->child, index, msg->hdr.req, IPC_LOGIN_ERROR, NULL, "Server busy");
		return 0;
	}
	login->owner = logins;
	login->edge = index;
	login->edge_req = msg->hdr.req;
	login->asked = *msg;
	TAILQ_INSERT_TAIL(&logins->list, login, link);
	logins->nb_logins++;
	login->timer = evtimer_new(child_base(logins->child), on_timeout, login);
	if (login->timer == NULL || evtimer_add(login->timer, &timeout) != 0) {
		login_end(login, IPC_LOGIN_ERROR, "Server busy");
		return 0;
	}
	passwords_ask(logins);
	return 0;
}

static void connects_expire(struct logins *logins, const struct timespec *now) {
	struct waiting_connect *first;

	while ((first = TAILQ_FIRST(&logins->connects)) != NULL &&
		first->until.tv_sec <= now->tv_sec) {
		TAILQ_REMOVE(&logins->connects, first, link);
		logins->nb_connects--;
		explicit_bzero(first, sizeof(*first));
		free(first);
	}
}

// The edge gives up by itself: what finds no place here is simply not forwarded.
static void connect_keep(struct logins *logins, const struct ipc_connect *msg) {
	struct waiting_connect *waiting;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	connects_expire(logins, &now);
	TAILQ_FOREACH(waiting, &logins->connects, link) {
		if (waiting->msg.edge == msg->edge && waiting->msg.hdr.req == msg->hdr.req)
			return;
	}
	if (logins->nb_connects >= CONNECTS_MAX)
		return;
	waiting = calloc(1, sizeof(*waiting));
	if (waiting == NULL)
		return;
	waiting->msg = *msg;
	waiting->until = now;
	waiting->until.tv_sec += REQUEST_TIMEOUT_S;
	TAILQ_INSERT_TAIL(&logins->connects, waiting, link);
	logins->nb_connects++;
}

int logins_connect(struct logins *logins, struct ipc_chan *edge, const struct ipc_connect *msg) {
	struct ipc_chan *session = child_peer(logins->child, IPC_SESSION, 0);
	struct ipc_connect copy = *msg;
	int err = 0;

	if (!ipc_str_ok(msg->hostname, sizeof(msg->hostname)) ||
		!ipc_str_ok(msg->agent, sizeof(msg->agent)) ||
		!ipc_str_ok(msg->device_type, sizeof(msg->device_type)) ||
		!ipc_str_ok(msg->device_platform, sizeof(msg->device_platform)))
		err = -EINVAL;
	if (err != 0 || !logins->have_secret)
		goto out; // without the secret: the edge asks again or gives up
	copy.edge = ipc_chan_peer_index(edge);
	if (cookie_hash(logins, msg->cookie, copy.cookie) != 0)
		goto out;
	if (session != NULL)
		ipc_send(session, IPC_SESSION_CONNECT, &copy.hdr, sizeof(copy), NULL, 0);
	else
		connect_keep(logins, &copy);
out:
	explicit_bzero(&copy, sizeof(copy));
	return err;
}

void logins_session_up(struct logins *logins) {
	struct ipc_chan *session = child_peer(logins->child, IPC_SESSION, 0);
	struct login *login, *next_login;
	struct waiting_connect *waiting;
	struct timespec now;

	if (session == NULL)
		return;
	for (login = TAILQ_FIRST(&logins->list); login != NULL; login = next_login) {
		next_login = TAILQ_NEXT(login, link);
		if (login->state == LOGIN_SESSION && !login->orphan)
			session_new_send(login);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	connects_expire(logins, &now);
	while ((waiting = TAILQ_FIRST(&logins->connects)) != NULL) {
		ipc_send(session, IPC_SESSION_CONNECT, &waiting->msg.hdr, sizeof(waiting->msg),
			NULL, 0);
		TAILQ_REMOVE(&logins->connects, waiting, link);
		logins->nb_connects--;
		explicit_bzero(waiting, sizeof(*waiting));
		free(waiting);
	}
}

void logins_edge_down(struct logins *logins, unsigned index) {
	struct waiting_connect *waiting, *next_waiting;
	struct login *login, *next;

	for (login = TAILQ_FIRST(&logins->list); login != NULL; login = next) {
		next = TAILQ_NEXT(login, link);
		if (login->edge != index)
			continue;
		login->orphan = true;
		if (login->state != LOGIN_VERIFY)
			login_free(login);
	}
	for (waiting = TAILQ_FIRST(&logins->connects); waiting != NULL; waiting = next_waiting) {
		next_waiting = TAILQ_NEXT(waiting, link);
		if (waiting->msg.edge != index)
			continue;
		TAILQ_REMOVE(&logins->connects, waiting, link);
		logins->nb_connects--;
		explicit_bzero(waiting, sizeof(*waiting));
		free(waiting);
	}
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
	if (logins->db != NULL)
		files_ready(logins, 0);
	else
		passwords_ask(logins);
}

const uint8_t *logins_cookie_secret(const struct logins *logins) {
	return logins->have_secret ? logins->cookie_secret : NULL;
}

int logins_start(
	struct child *child, void (*secret_ready)(struct child *child), struct logins **out) {
	struct logins *logins = calloc(1, sizeof(*logins));
	int err;

	if (logins == NULL)
		return -ENOMEM;
	logins->child = child;
	logins->secret_ready = secret_ready;
	TAILQ_INIT(&logins->list);
	TAILQ_INIT(&logins->connects);
	// Answers to requests of a process that died are for nobody.
	if (getrandom(&logins->next_req, sizeof(logins->next_req), 0) != sizeof(logins->next_req))
		goto fail;
	logins->again = evtimer_new(child_base(child), on_again, logins);
	logins->pool = verify_pool_new(child_base(child), THREADS);
	if (logins->pool == NULL || logins->again == NULL)
		goto fail;
	err = child_file_open(child, IPC_FILE_COOKIE_SECRET, 0, on_secret, logins);
	if (err != 0) {
		logins_free(logins);
		return err;
	}
	*out = logins;
	return 0;
fail:
	err = -errno;
	logins_free(logins);
	return err;
}

void logins_free(struct logins *logins) {
	struct waiting_connect *waiting;

	if (logins == NULL)
		return;
	// First the threads: they hold jobs that are part of logins.
	verify_pool_free(logins->pool);
	if (logins->again != NULL)
		event_free(logins->again);
	while (!TAILQ_EMPTY(&logins->list))
		login_free(TAILQ_FIRST(&logins->list));
	while ((waiting = TAILQ_FIRST(&logins->connects)) != NULL) {
		TAILQ_REMOVE(&logins->connects, waiting, link);
		explicit_bzero(waiting, sizeof(*waiting));
		free(waiting);
	}
	passwd_db_free(logins->db);
	explicit_bzero(logins, sizeof(*logins));
	free(logins);
}
