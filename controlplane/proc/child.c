// SPDX-License-Identifier: GPL-3.0-or-later
// Start-up, event loop, peers and configuration of every child process. Called by main.c.
//
// Until IPC_START a child is root and listens to the supervisor alone. Then it drops privileges,
// enters the sandbox and starts its role; peers and the network come after that.
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "log.h"
#include "sandbox.h"

#define SUPERVISOR_FD 3
#define CONFIG_BYTES_MAX (16 << 20)
#define HELD_MAX 256u
#define FILE_REQUESTS_MAX 64u
#define NOFILE_BASE 1024u

// A message from before IPC_START, with its descriptors.
struct held {
	STAILQ_ENTRY(held) next;
	int fds[IPC_FDS_MAX];
	_Alignas(16) uint8_t msg[sizeof(struct ipc_listener)];
};
_Static_assert(sizeof(struct ipc_listener) >= sizeof(struct ipc_dataplane) &&
		sizeof(struct ipc_listener) >= sizeof(struct ipc_peer),
	"held messages fit");

struct file_request {
	LIST_ENTRY(file_request) next;
	uint64_t req;
	void (*done)(struct child *child, int fd, void *arg);
	void *arg;
};

struct child {
	const struct child_role *role;
	unsigned index;
	struct event_base *base;
	struct ipc_chan *supervisor;
	struct ipc_chan *peers[IPC_ROLE_MAX][ABI_EDGES_MAX];
	struct cfg *cfg;
	struct cfg *next_cfg; // a reload that the role has not decided about
	uint64_t reload_req;
	void *data;
	int state_dir;
	bool started, exiting;
	int status;
	STAILQ_HEAD(, held) held;
	unsigned nb_held;
	LIST_HEAD(, file_request) files;
	unsigned nb_files;
	uint64_t next_req;
};

// ---- small things

struct event_base *child_base(struct child *child) {
	return child->base;
}

int child_state_dir(const struct child *child) {
	return child->state_dir;
}

const struct cfg *child_cfg(const struct child *child) {
	return child->cfg;
}

unsigned child_index(const struct child *child) {
	return child->index;
}

struct ipc_chan *child_peer(struct child *child, enum ipc_role role, unsigned index) {
	if (role >= IPC_ROLE_MAX || index >= ABI_EDGES_MAX)
		return NULL;
	return child->peers[role][index];
}

struct ipc_chan *child_supervisor(struct child *child) {
	return child->supervisor;
}

void child_data_set(struct child *child, void *data) {
	child->data = data;
}

void *child_data(struct child *child) {
	return child->data;
}

void child_exit(struct child *child, int status) {
	if (child->exiting)
		return;
	child->exiting = true;
	child->status = status;
	event_base_loopbreak(child->base);
}

static void send_empty(struct child *child, enum ipc_type type) {
	struct ipc_empty msg = {0};
	if (ipc_send(child->supervisor, type, &msg.hdr, sizeof(msg), NULL, 0) < 0)
		child_exit(child, EXIT_FAILURE);
}

void child_dataplane_lost(struct child *child) {
	send_empty(child, IPC_DATAPLANE_LOST);
}

// ---- files that the supervisor opens

int child_file_open(struct child *child, enum ipc_file file, unsigned index,
	void (*done)(struct child *child, int fd, void *arg), void *arg) {
	if (child->nb_files >= FILE_REQUESTS_MAX)
		return -EBUSY;
	struct file_request *request = calloc(1, sizeof(*request));
	if (request == NULL)
		return -ENOMEM;
	struct ipc_file_open msg = {.file = file, .index = index};
	msg.hdr.req = request->req = ++child->next_req;
	request->done = done;
	request->arg = arg;
	int status = ipc_send(child->supervisor, IPC_FILE_OPEN, &msg.hdr, sizeof(msg), NULL, 0);
	if (status < 0) {
		free(request);
		return status;
	}
	LIST_INSERT_HEAD(&child->files, request, next);
	child->nb_files++;
	return 0;
}

static int on_file(struct child *child, const struct ipc_hdr *hdr, int *fds) {
	const struct ipc_file_result *msg = (const void *)hdr;
	struct file_request *request;
	if (msg->status > 0 || (msg->status == 0) != (hdr->nb_fds == 1))
		return -EINVAL;
	LIST_FOREACH(request, &child->files, next) {
		if (request->req != hdr->req)
			continue;
		LIST_REMOVE(request, next);
		child->nb_files--;
		int fd = msg->status;
		if (fd == 0) {
			fd = fds[0];
			fds[0] = -1;
		}
		request->done(child, fd, request->arg);
		free(request);
		return 0;
	}
	return 0; // nobody waits any more
}

// ---- configuration

// The memfd must be sealed, so that what is parsed is what was validated.
static struct cfg *config_read(int fd, char **error) {
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat st;
	struct cfg *cfg = NULL;
	*error = NULL;
	int have = fcntl(fd, F_GET_SEALS);
	if (have < 0 || (have & seals) != seals || fstat(fd, &st) < 0 || st.st_size <= 0 ||
		st.st_size > CONFIG_BYTES_MAX)
		goto out;
	char *json = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (json == MAP_FAILED)
		goto out;
	cfg = cfg_load_mem(json, st.st_size, "configuration", error);
	munmap(json, st.st_size);
out:
	if (cfg == NULL && *error == NULL)
		*error = strdup("the configuration cannot be read");
	return cfg;
}

static void config_answer(struct child *child, const struct ipc_status *answer) {
	struct ipc_status msg = *answer;
	if (msg.status != 0)
		log_error("config", "status=%d text=%s", msg.status, log_value(msg.text));
	if (child->started &&
		ipc_send(child->supervisor, IPC_RELOADED, &msg.hdr, sizeof(msg), NULL, 0) < 0)
		child_exit(child, EXIT_FAILURE);
}

static void config_use(struct child *child, struct cfg *cfg) {
	cfg_free(child->cfg);
	child->cfg = cfg;
	log_level_set(cfg->log_level);
}

static void config_reload(struct child *child, struct cfg *cfg, struct ipc_status *answer) {
	if (child->next_cfg != NULL) {
		answer->status = -EBUSY;
		snprintf(answer->text, sizeof(answer->text), "another reload is going on");
	} else if (child->started && child->role->reload != NULL) {
		// The role may call child_reload_done() before it returns.
		child->next_cfg = cfg;
		child->reload_req = answer->hdr.req;
		answer->status = child->role->reload(
			child, cfg, answer->text, sizeof(answer->text));
		if (answer->status == -EINPROGRESS)
			return;
		child->next_cfg = NULL;
	}
	answer->text[sizeof(answer->text) - 1] = '\0';
	if (answer->status != 0)
		cfg_free(cfg);
	else
		config_use(child, cfg);
}

void child_reload_done(struct child *child, int status, const char *text) {
	struct ipc_status answer = {.hdr.req = child->reload_req, .status = status};
	struct cfg *cfg = child->next_cfg;
	if (cfg == NULL)
		return;
	child->next_cfg = NULL;
	snprintf(answer.text, sizeof(answer.text), "%s", text != NULL ? text : "");
	if (status != 0)
		cfg_free(cfg);
	else
		config_use(child, cfg);
	config_answer(child, &answer);
}

static void on_config(struct child *child, const struct ipc_hdr *hdr, const int *fds) {
	struct ipc_status answer = {.hdr.req = hdr->req};
	char *error;
	struct cfg *cfg = config_read(fds[0], &error);
	if (cfg != NULL) {
		config_reload(child, cfg, &answer);
	} else {
		answer.status = -EINVAL;
		snprintf(answer.text, sizeof(answer.text), "%s", error != NULL ? error : "");
		free(error);
	}
	if (answer.status != -EINPROGRESS)
		config_answer(child, &answer);
}

// ---- peers

static void peer_gone(struct child *child, enum ipc_role role, unsigned index) {
	struct ipc_chan *chan = child->peers[role][index];
	if (chan == NULL)
		return;
	child->peers[role][index] = NULL;
	ipc_chan_free(chan);
	if (child->started && child->role->peer_down != NULL)
		child->role->peer_down(child, role, index);
}

static int on_peer_message(struct ipc_chan *chan, const struct ipc_hdr *hdr, int *fds, void *arg) {
	struct child *child = arg;
	return child->role->message(child, chan, hdr, fds);
}

static void on_peer_closed(struct ipc_chan *chan, const char *offence, void *arg) {
	struct child *child = arg;
	enum ipc_role role = ipc_chan_peer(chan);
	unsigned index = ipc_chan_peer_index(chan);
	if (offence != NULL) {
		struct ipc_offender msg = {.role = role, .index = index};
		snprintf(msg.why, sizeof(msg.why), "%s", offence);
		log_error("offender", "peer=%s peer_index=%u why=%s", ipc_role_name(role), index,
			log_value(offence));
		if (ipc_send(child->supervisor, IPC_OFFENDER, &msg.hdr, sizeof(msg), NULL, 0) < 0)
			child_exit(child, EXIT_FAILURE);
	}
	peer_gone(child, role, index);
}

static int on_peer(struct child *child, const struct ipc_hdr *hdr, int *fds) {
	const struct ipc_peer *msg = (const void *)hdr;
	if (msg->role == IPC_SUPERVISOR || msg->role >= IPC_ROLE_MAX || msg->index >= ABI_EDGES_MAX)
		return -EINVAL;
	peer_gone(child, msg->role, msg->index);
	struct ipc_chan *chan = ipc_chan_new(child->base, fds[0], child->role->role, msg->role,
		msg->index, on_peer_message, on_peer_closed, child);
	fds[0] = -1;
	if (chan == NULL) {
		child_exit(child, EXIT_FAILURE);
		return 0;
	}
	child->peers[msg->role][msg->index] = chan;
	if (child->started && child->role->peer_up != NULL)
		child->role->peer_up(child, chan);
	return 0;
}

// ---- what the supervisor passes on

static void on_listener(struct child *child, const struct ipc_hdr *hdr, int *fds) {
	const struct ipc_listener *msg = (const void *)hdr;
	if (child->role->listener == NULL)
		return;
	child->role->listener(child, msg, fds[0]);
	fds[0] = -1;
}

static void on_control_listener(struct child *child, int *fds) {
	if (child->role->control_listener == NULL)
		return;
	child->role->control_listener(child, fds[0]);
	fds[0] = -1;
}

static void on_dataplane(struct child *child, const struct ipc_hdr *hdr, int *fds) {
	const struct ipc_dataplane *msg = (const void *)hdr;
	unsigned nb_fds = hdr->nb_fds;
	if (child->role->dataplane_up == NULL)
		return;
	child->role->dataplane_up(child, &msg->welcome, fds[0], fds + 1, nb_fds - 1);
	for (unsigned i = 0; i < nb_fds; i++)
		fds[i] = -1;
}

static void on_state_dir(struct child *child, int *fds) {
	if (child->started)
		return;
	if (child->state_dir >= 0)
		close(child->state_dir);
	child->state_dir = fds[0];
	fds[0] = -1;
}

// Keeps a message until the role has started.
static int hold(struct child *child, const struct ipc_hdr *hdr, int *fds) {
	if (child->nb_held >= HELD_MAX || hdr->len > sizeof(((struct held *)0)->msg))
		return -EINVAL;
	struct held *held = calloc(1, sizeof(*held));
	if (held == NULL)
		return -ENOMEM;
	memcpy(held->msg, hdr, hdr->len);
	for (unsigned i = 0; i < IPC_FDS_MAX; i++)
		held->fds[i] = -1;
	for (unsigned i = 0; i < hdr->nb_fds; i++) {
		held->fds[i] = fds[i];
		fds[i] = -1;
	}
	STAILQ_INSERT_TAIL(&child->held, held, next);
	child->nb_held++;
	return 0;
}

static int dispatch(struct child *child, const struct ipc_hdr *hdr, int *fds) {
	switch (hdr->type) {
	case IPC_PEER:
		return on_peer(child, hdr, fds);
	case IPC_LISTENER:
		on_listener(child, hdr, fds);
		return 0;
	case IPC_CONTROL_LISTENER:
		on_control_listener(child, fds);
		return 0;
	case IPC_DATAPLANE:
		on_dataplane(child, hdr, fds);
		return 0;
	default:
		return child->role->message(child, child->supervisor, hdr, fds);
	}
}

// Those of one type (`peers`), or all the others.
static void release_held(struct child *child, bool peers) {
	STAILQ_HEAD(, held) later = STAILQ_HEAD_INITIALIZER(later);
	while (!STAILQ_EMPTY(&child->held)) {
		struct held *held = STAILQ_FIRST(&child->held);
		const struct ipc_hdr *hdr = (const void *)held->msg;
		STAILQ_REMOVE_HEAD(&child->held, next);
		if (peers && hdr->type != IPC_PEER) {
			STAILQ_INSERT_TAIL(&later, held, next);
			continue;
		}
		if (dispatch(child, hdr, held->fds) != 0)
			child_exit(child, EXIT_FAILURE);
		for (unsigned i = 0; i < IPC_FDS_MAX; i++)
			if (held->fds[i] >= 0)
				close(held->fds[i]);
		free(held);
		child->nb_held--;
	}
	STAILQ_CONCAT(&child->held, &later);
}

// ---- start

static uint32_t nofile_limit(const struct child *child) {
	// An edge may hold a connection and, while it hands it over, a second descriptor of it.
	if (child->role->role == IPC_EDGE)
		return NOFILE_BASE + 2 * child->cfg->connections_per_edge;
	if (child->role->role == IPC_SCRIPT) // two pipes a run
		return NOFILE_BASE + 4 * child->cfg->scripts.concurrency;
	if (child->role->role == IPC_PAM) // its socket, two pipes
		return NOFILE_BASE + 6 * child->cfg->auth.pam.concurrency;
	return NOFILE_BASE;
}

static int enter_sandbox(struct child *child) {
	int status = child->role->prepare != NULL ? child->role->prepare(child) : 0;
	if (status == 0)
		status = sandbox_drop(child->role->role, child->state_dir, nofile_limit(child));
	if (status < 0)
		return status;
	if (child->state_dir >= 0 && child->role->state_dir != NULL)
		child->role->state_dir(child, child->state_dir);
	return child->exiting ? -ECANCELED : sandbox_lock(child->role->role, child->state_dir);
}

static void announce_peers(struct child *child) {
	if (child->role->peer_up == NULL)
		return;
	for (unsigned role = 0; role < IPC_ROLE_MAX; role++)
		for (unsigned i = 0; i < ABI_EDGES_MAX; i++)
			if (child->peers[role][i] != NULL)
				child->role->peer_up(child, child->peers[role][i]);
}

static void on_start(struct child *child) {
	if (child->cfg == NULL || child->started) {
		child_exit(child, EXIT_FAILURE);
		return;
	}
	int status = enter_sandbox(child);
	if (status < 0) {
		log_error("sandbox", "status=%d text=%s", status, log_value(strerror(-status)));
		child_exit(child, EXIT_FAILURE);
		return;
	}
	release_held(child, true);
	if (child->role->start != NULL && child->role->start(child) != 0)
		child_exit(child, EXIT_FAILURE);
	if (child->exiting)
		return;
	child->started = true;
	announce_peers(child);
	release_held(child, false);
	if (child->exiting)
		return;
	log_info("started", "pid=%d", (int)getpid());
	send_empty(child, IPC_READY);
}

static void on_stop(struct child *child) {
	if (child->started && child->role->stop != NULL)
		child->role->stop(child);
	else
		child_exit(child, EXIT_SUCCESS);
}

static int on_supervisor_message(
	struct ipc_chan *chan, const struct ipc_hdr *hdr, int *fds, void *arg) {
	struct child *child = arg;
	switch (hdr->type) {
	case IPC_CONFIG:
		on_config(child, hdr, fds);
		return 0;
	case IPC_STATE_DIR:
		on_state_dir(child, fds);
		return 0;
	case IPC_FILE:
		return on_file(child, hdr, fds);
	case IPC_START:
		on_start(child);
		return 0;
	case IPC_STOP:
		on_stop(child);
		return 0;
	default:
		return child->started ? dispatch(child, hdr, fds) : hold(child, hdr, fds);
	}
}

// Without a supervisor nobody could restart us or give us peers: the next one starts anew.
static void on_supervisor_closed(struct ipc_chan *chan, const char *offence, void *arg) {
	log_error("supervisor_gone", "why=%s", log_value(offence != NULL ? offence : "closed"));
	child_exit(arg, EXIT_FAILURE);
}

static struct event_base *make_base(void) {
	struct event_config *config = event_config_new();
	if (config == NULL)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static void child_free(struct child *child) {
	for (unsigned role = 0; role < IPC_ROLE_MAX; role++)
		for (unsigned i = 0; i < ABI_EDGES_MAX; i++)
			ipc_chan_free(child->peers[role][i]);
	ipc_chan_free(child->supervisor);
	while (!LIST_EMPTY(&child->files)) {
		struct file_request *request = LIST_FIRST(&child->files);
		LIST_REMOVE(request, next);
		free(request);
	}
	cfg_free(child->next_cfg);
	cfg_free(child->cfg);
	event_base_free(child->base);
	free(child);
}

int child_main(const struct child_role *role, unsigned index) {
	struct child *child = calloc(1, sizeof(*child));
	if (child == NULL)
		return EXIT_FAILURE;
	child->role = role;
	child->index = index;
	child->state_dir = -1;
	STAILQ_INIT(&child->held);
	LIST_INIT(&child->files);
	log_open(role->name, role->role == IPC_EDGE ? (int)index : -1);
	// The terminal's ^C and hang-up are for the supervisor, which then stops us in order.
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	child->base = make_base();
	if (child->base == NULL)
		return EXIT_FAILURE;
	child->supervisor = ipc_chan_new(child->base, SUPERVISOR_FD, role->role, IPC_SUPERVISOR, 0,
		on_supervisor_message, on_supervisor_closed, child);
	if (child->supervisor == NULL)
		return EXIT_FAILURE;
	event_base_dispatch(child->base);
	int status = child->exiting ? child->status : EXIT_FAILURE;
	child_free(child);
	return status;
}
