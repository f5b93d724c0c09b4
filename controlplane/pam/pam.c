// SPDX-License-Identifier: GPL-3.0-or-later
// The PAM process: starts a process for each conversation (login.c), beside a keeper that bounds its
// time and ends what it started, and passes questions and answers on. Run by child_main().
//
// It runs no module itself and waits for none. A conversation is let go of when its login is over,
// when auth has died, or when it waits for its user and another needs its place.

#include "pam.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "controlplane/ipc/addr.h"
#include "controlplane/proc/child.h"
#include "controlplane/proc/keeper.h"
#include "controlplane/proc/log.h"

#define LOGIN_S 240u // when the configuration sets no time for a login
#define OUTPUT_MAX 16u // pieces of output that are logged of one conversation
#define OUTPUT_LEN 512u

struct pam;

struct talk {
	TAILQ_ENTRY(talk) link; // the oldest first
	struct pam *owner;
	uint64_t id; // hdr.req of its messages
	struct abi_addr remote;
	char username[IPC_USER_LEN];
	bool asks; // waits for its user
	bool over; // auth knows how it ended, or does not want to
	bool reaped; // its keeper is no more, and was the last to have its other end
	int fd; // our end of its standard input; -1: closed
	struct event *start, *input, *output;
	struct keeper keeper; // pid 0: not started yet
	unsigned nb_output;
	int child_fd; // its end, until it has started
};

TAILQ_HEAD(talk_list, talk);

struct pam {
	struct child *child;
	struct talk_list talks;
	unsigned nb_talks; // with those that are being ended
	struct event *child_signal;
};

// --- answers ---

static void answer(struct talk *talk, struct ipc_pam_answer *msg) {
	struct ipc_chan *auth = child_peer(talk->owner->child, IPC_AUTH, 0);

	msg->hdr.req = talk->id;
	if (auth != NULL && !talk->over)
		ipc_send(auth, IPC_PAM_ANSWER, &msg->hdr, sizeof(*msg), NULL, 0);
	talk->asks = msg->status == IPC_PAM_QUESTION;
	talk->over |= !talk->asks;
}

static void answer_undecided(struct talk *talk, const char *why) {
	struct ipc_pam_answer msg = {.status = IPC_PAM_UNDECIDED};

	if (talk->over)
		return;
	strncpy(msg.why, why, sizeof(msg.why) - 1);
	answer(talk, &msg);
}

static void log_result(const struct talk *talk, const struct ipc_pam_answer *msg) {
	char text[ADDR_TEXT_LEN];

	if (msg->status == IPC_PAM_PASSED)
		log_info("pam", "user=%s remote=%s canonical=%s groups=%s",
			log_value(talk->username), addr_text(&talk->remote, text),
			log_value(msg->user), log_value(msg->groups));
	else
		log_warning("pam", "user=%s remote=%s result=%s text=%s", log_value(talk->username),
			addr_text(&talk->remote, text),
			msg->status == IPC_PAM_FAILED ? "refused" : "undecided",
			log_value(msg->why));
}

// --- the end of a conversation ---

static void talk_free(struct talk *talk) {
	struct pam *pam = talk->owner;

	TAILQ_REMOVE(&pam->talks, talk, link);
	pam->nb_talks--;
	if (talk->start != NULL)
		event_free(talk->start);
	if (talk->input != NULL)
		event_free(talk->input);
	if (talk->output != NULL)
		event_free(talk->output);
	if (talk->fd >= 0)
		close(talk->fd);
	if (talk->child_fd >= 0)
		close(talk->child_fd);
	if (talk->keeper.pid > 0) {
		close(talk->keeper.status_fd);
		close(talk->keeper.output_fd);
	}
	explicit_bzero(talk, sizeof(*talk));
	free(talk);
}

// Nobody waits for it any more. Its place is free when the keeper has ended all of it.
static void talk_end(struct talk *talk) {
	talk->over = true;
	if (talk->reaped)
		return; // on_child frees it
	if (talk->keeper.pid > 0)
		kill(talk->keeper.pid, SIGTERM);
	else
		talk_free(talk);
}

// --- from a conversation, which has run modules of others ---

static bool is_valid(const struct ipc_pam_answer *msg) {
	return msg->status <= IPC_PAM_UNDECIDED && msg->echo <= 1 &&
		ipc_str_ok(msg->message, sizeof(msg->message)) &&
		ipc_str_ok(msg->label, sizeof(msg->label)) &&
		ipc_str_ok(msg->user, sizeof(msg->user)) &&
		ipc_str_ok(msg->groups, sizeof(msg->groups)) &&
		ipc_str_ok(msg->why, sizeof(msg->why)) &&
		(msg->status != IPC_PAM_PASSED || msg->user[0] != '\0');
}

static void on_input(evutil_socket_t fd, short what, void *arg) {
	struct talk *talk = arg;
	struct ipc_pam_answer msg;
	ssize_t len = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len == sizeof(msg) && is_valid(&msg)) {
		if (!talk->over && msg.status != IPC_PAM_QUESTION)
			log_result(talk, &msg);
		answer(talk, &msg);
	} else if (!talk->over) {
		log_warning("pam", "user=%s text=%s", log_value(talk->username),
			len > 0 ? "\"broken message of a conversation\""
				: "\"a conversation has ended without a result\"");
		answer_undecided(talk, "a module has ended the conversation");
	}
	explicit_bzero(&msg, sizeof(msg));
	if (talk->over)
		talk_end(talk);
	if (len <= 0)
		event_del(talk->input);
}

static void on_child(evutil_socket_t sig, short what, void *arg) {
	struct pam *pam = arg;
	struct talk *talk;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		TAILQ_FOREACH(talk, &pam->talks, link) {
			// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
			if (talk->keeper.pid == pid)
				break;
		}
		if (talk == NULL)
			continue;
		// What it said last may wait to be read: this signal may be another's, before it.
		talk->reaped = true;
		if (talk->input != NULL)
			on_input(talk->fd, EV_READ, talk);
		answer_undecided(talk, "its process has ended, or its time is over");
		talk_free(talk);
	}
}

// Modules log by themselves; what they or their programs print is shown here.
static void on_output(evutil_socket_t fd, short what, void *arg) {
	struct talk *talk = arg;
	char text[OUTPUT_LEN + 1];
	ssize_t len = read(fd, text, OUTPUT_LEN);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len <= 0) {
		event_del(talk->output);
		return;
	}
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\0'))
		len--;
	text[len] = '\0';
	if (len > 0 && talk->nb_output++ < OUTPUT_MAX)
		log_info("pam_output", "user=%s text=%s", log_value(talk->username),
			log_value(text));
}

// --- the start of a conversation ---

static int talk_start(struct talk *talk) {
	char *const argv[] = {(char[]){"penstock-controlplane"}, (char[]){"--role"},
		(char[]){PAM_LOGIN_ROLE}, NULL};
	char *env[] = {
		(char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		NULL};
	struct event_base *base = child_base(talk->owner->child);
	uint32_t timeout = child_cfg(talk->owner->child)->auth.timeout;
	const struct keeper_job job = {
		.path = "/proc/self/exe",
		.argv = argv,
		.env = env,
		.timeout_s = timeout != 0 ? timeout : LOGIN_S,
		.input_fd = talk->child_fd,
	};
	int status = keeper_start(&talk->keeper, &job);

	close(talk->child_fd);
	talk->child_fd = -1;
	if (status < 0) {
		talk->keeper.pid = 0;
		return status;
	}
	talk->output = event_new(
		base, talk->keeper.output_fd, EV_READ | EV_PERSIST, on_output, talk);
	if (talk->output == NULL || event_add(talk->output, NULL) < 0 ||
		event_add(talk->input, NULL) < 0)
		kill(talk->keeper.pid, SIGTERM);
	return 0;
}

// In a turn of its own: by then the message with the password is wiped, and the keeper, which is a
// copy of this process, has none of it.
static void on_start(evutil_socket_t fd, short what, void *arg) {
	struct talk *talk = arg;
	int status = talk_start(talk);

	if (status == 0)
		return;
	log_error(
		"pam", "user=%s text=%s", log_value(talk->username), log_value(strerror(-status)));
	answer_undecided(talk, "its process cannot be started");
	talk_free(talk);
}

static int order_send(struct talk *talk, const struct ipc_pam_ask *msg) {
	const struct cfg_pam *cfg = &child_cfg(talk->owner->child)->auth.pam;
	struct pam_order order = {.gid_min = cfg->gid_min, .ask = *msg};
	int status = 0;

	strncpy(order.service, cfg->service, sizeof(order.service) - 1);
	if (send(talk->fd, &order, sizeof(order), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(order))
		status = -EIO;
	explicit_bzero(&order, sizeof(order));
	return status;
}

static struct talk *talk_new(struct pam *pam, const struct ipc_pam_ask *msg) {
	struct event_base *base = child_base(pam->child);
	struct talk *talk = calloc(1, sizeof(*talk));
	int pair[2];

	if (talk == NULL)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		free(talk);
		return NULL;
	}
	talk->owner = pam;
	talk->id = msg->hdr.req;
	talk->remote = msg->remote;
	memcpy(talk->username, msg->username, sizeof(talk->username));
	talk->fd = pair[0];
	talk->child_fd = pair[1];
	talk->start = evtimer_new(base, on_start, talk);
	talk->input = event_new(base, talk->fd, EV_READ | EV_PERSIST, on_input, talk);
	TAILQ_INSERT_TAIL(&pam->talks, talk, link);
	pam->nb_talks++;
	return talk;
}

// --- places ---

static unsigned count_of_client(const struct pam *pam, const struct talk *of) {
	const struct talk *talk;
	unsigned count = 0;

	for (talk = TAILQ_FIRST(&pam->talks); talk != NULL; talk = TAILQ_NEXT(talk, link))
		count += addr_same_client(&talk->remote, &of->remote);
	return count;
}

// All places are taken: of the conversations that wait for their users the oldest of the client
// that has most goes, so that one who leaves many open takes their places from itself. False: all
// are at work.
static bool room_make(struct pam *pam) {
	struct talk *talk, *most = NULL;
	unsigned max = 0;

	TAILQ_FOREACH(talk, &pam->talks, link) {
		unsigned count;

		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (!talk->asks || talk->over)
			continue;
		count = count_of_client(pam, talk);
		if (count > max) {
			max = count;
			most = talk;
		}
	}
	if (most == NULL)
		return false;
	answer_undecided(most, "its place is needed for another");
	talk_end(most);
	return true;
}

// --- requests ---

static void begin(struct pam *pam, const struct ipc_pam_ask *msg) {
	static const struct timeval now;
	uint32_t max = child_cfg(pam->child)->auth.pam.concurrency;
	struct ipc_chan *auth = child_peer(pam->child, IPC_AUTH, 0);
	struct ipc_pam_answer busy = {
		.hdr.req = msg->hdr.req, .status = IPC_PAM_UNDECIDED, .why = "too many at once"};
	struct talk *talk = NULL;

	// Those that are being ended have their places for a moment longer; so many more may be.
	if (pam->nb_talks < max || (pam->nb_talks < max + max / 4 + 1 && room_make(pam)))
		talk = talk_new(pam, msg);
	if (talk != NULL && talk->start != NULL && talk->input != NULL &&
		order_send(talk, msg) == 0 && evtimer_add(talk->start, &now) == 0)
		return;
	log_warning(
		"pam", "user=%s text=\"too many conversations at once\"", log_value(msg->username));
	if (auth != NULL)
		ipc_send(auth, IPC_PAM_ANSWER, &busy.hdr, sizeof(busy), NULL, 0);
	if (talk != NULL)
		talk_free(talk);
}

static struct talk *talk_find(struct pam *pam, uint64_t id) {
	struct talk *talk;

	TAILQ_FOREACH(talk, &pam->talks, link) {
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (talk->id == id && !talk->over)
			return talk;
	}
	return NULL;
}

// One that is gone was answered when it went.
static void go_on(struct pam *pam, const struct ipc_pam_ask *msg) {
	struct talk *talk = talk_find(pam, msg->hdr.req);

	if (talk == NULL || !talk->asks)
		return;
	talk->asks = false;
	// A conversation that is gone: on_input says so.
	(void)!send(talk->fd, msg, sizeof(*msg), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int pam_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *hdr, int *fds) {
	struct pam *pam = child_data(child);
	const struct ipc_pam_ask *msg = (const void *)hdr;
	struct talk *talk;

	switch (hdr->type) {
	case IPC_PAM_ASK:
		if (!ipc_str_ok(msg->username, sizeof(msg->username)) ||
			!ipc_str_ok(msg->password, sizeof(msg->password)) || msg->has_password > 1)
			return -EINVAL;
		if (msg->username[0] != '\0')
			begin(pam, msg);
		else
			go_on(pam, msg);
		return 0;
	case IPC_PAM_CANCEL:
		talk = talk_find(pam, hdr->req);
		if (talk != NULL)
			talk_end(talk);
		return 0;
	default:
		return 0;
	}
}

// --- life ---

static int pam_start_role(struct child *child) {
	struct pam *pam = calloc(1, sizeof(*pam));

	if (pam == NULL)
		return -ENOMEM;
	pam->child = child;
	TAILQ_INIT(&pam->talks);
	child_data_set(child, pam);
	pam->child_signal = evsignal_new(child_base(child), SIGCHLD, on_child, pam);
	return pam->child_signal == NULL || evsignal_add(pam->child_signal, NULL) < 0 ? -ENOMEM : 0;
}

static int pam_reload(struct child *child, const struct cfg *cfg, char *text, size_t len) {
	return 0; // each conversation reads what is in force when it begins
}

static void end_all(struct pam *pam) {
	struct talk *talk, *next;

	for (talk = TAILQ_FIRST(&pam->talks); talk != NULL; talk = next) {
		next = TAILQ_NEXT(talk, link);
		talk_end(talk);
	}
}

// The logins are gone with auth.
static void pam_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	end_all(child_data(child));
}

// The keepers that are left end with this process.
static void pam_stop_role(struct child *child) {
	struct pam *pam = child_data(child);

	end_all(pam);
	while (!TAILQ_EMPTY(&pam->talks))
		talk_free(TAILQ_FIRST(&pam->talks));
	event_free(pam->child_signal);
	free(pam);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role pam_role = {
	.role = IPC_PAM,
	.name = "pam",
	.start = pam_start_role,
	.reload = pam_reload,
	.message = pam_message,
	.peer_down = pam_peer_down,
	.stop = pam_stop_role,
};
