// SPDX-License-Identifier: GPL-3.0-or-later
// The share process: holds the connection to the store that several gateways share, and asks it what
// the session process wants to know. Run by child_main().
//
// It sees sealed records, names that are hashes, and inner addresses; it can neither read nor make a
// record. Its sockets come from the supervisor, one for each try.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "controlplane/proc/child.h"
#include "controlplane/proc/log.h"
#include "controlplane/share/redis.h"
#include "controlplane/share/reply.h"
#include "dataplane/abi/addr.h"

#define DIAL_MIN_MS 200u
#define DIAL_MAX_MS 2000u
#define PASSWORD_LEN 512u
#define WAITING_MAX 1024u // questions under way; beyond them: not known
#define NAME_LEN 128u
#define WORDS_MAX 16

enum own_command {
	OWN_GREETING = 1, // AUTH, or PING where there is no password
	OWN_PING,
};

// Ids of commands: ours are small, a question's is its place.
#define FIRST_ASK 16u

struct ask {
	bool used;
	enum ipc_share what;
	bool has4;
	uint64_t req;
};

struct share {
	struct child *child;
	struct redis *redis; // NULL: away, or being dialled
	bool up;
	bool told_away; // in the log
	uint32_t dial_ms;
	struct event *dial, *tick;
	unsigned next; // place of the next question
	struct ask asks[WAITING_MAX];
	char password[PASSWORD_LEN]; // empty: none
};

static void session_send(struct share *share, enum ipc_type type, struct ipc_hdr *msg, size_t len) {
	struct ipc_chan *chan = child_peer(share->child, IPC_SESSION, 0);

	if (chan)
		ipc_send(chan, type, msg, len, NULL, 0);
}

static void state_send(struct share *share) {
	struct ipc_share_state msg = {.up = share->up};

	session_send(share, IPC_SHARE_STATE, &msg.hdr, sizeof(msg));
}

static void unknown(struct share *share, uint64_t req, int status) {
	struct ipc_share_answer msg = {.hdr.req = req, .status = status};

	session_send(share, IPC_SHARE_ANSWER, &msg.hdr, sizeof(msg));
}

// ---- connection

static void dial_later(struct share *share) {
	const struct timeval pause = {share->dial_ms / 1000, share->dial_ms % 1000 * 1000};

	share->dial_ms = share->dial_ms * 2 < DIAL_MAX_MS ? share->dial_ms * 2 : DIAL_MAX_MS;
	event_add(share->dial, &pause);
}

static void on_lost(const char *why, void *arg) {
	struct share *share = arg;

	if (!share->told_away)
		log_warning("share_away", "text=%s", log_value(why));
	share->told_away = true;
	redis_free(share->redis);
	share->redis = NULL;
	if (share->up) {
		share->up = false;
		state_send(share);
	}
	for (unsigned i = 0; i < WAITING_MAX; i++) {
		if (!share->asks[i].used)
			continue;
		share->asks[i].used = false;
		unknown(share, share->asks[i].req, -ENOTCONN);
	}
	dial_later(share);
}

static void on_greeted(struct share *share, const struct redisReply *reply) {
	if (!reply_is_fine(reply)) {
		on_lost(reply->type == REDIS_REPLY_ERROR ? reply->str : "no server of ours", share);
		return;
	}
	log_info("share_up", "node=%s", log_value(child_cfg(share->child)->share.node));
	share->up = true;
	share->told_away = false;
	share->dial_ms = DIAL_MIN_MS;
	state_send(share);
}

static void on_reply(uint64_t id, const struct redisReply *reply, void *arg) {
	struct share *share = arg;
	struct ipc_share_answer msg = {0};
	const char *error;
	struct ask *ask;

	if (id == OWN_GREETING) {
		on_greeted(share, reply);
		return;
	}
	if (id < FIRST_ASK || id - FIRST_ASK >= WAITING_MAX)
		return;
	ask = &share->asks[id - FIRST_ASK];
	if (!ask->used)
		return;
	ask->used = false;
	msg.hdr.req = ask->req;
	reply_read(ask->what, reply, &msg, &error);
	if (error)
		log_error("share_error", "text=%s", log_value(error));
	if (msg.status == -EADDRINUSE)
		msg.which = msg.which == 0 && ask->has4 ? 4 : 6;
	session_send(share, IPC_SHARE_ANSWER, &msg.hdr, sizeof(msg));
}

static void greet(struct share *share) {
	const char *user = child_cfg(share->child)->share.username;
	const char *words[3] = {"AUTH"};
	size_t lens[3];
	int nb = 1;

	if (share->password[0] == '\0')
		words[0] = "PING";
	else if (user[0] != '\0')
		words[nb++] = user;
	if (share->password[0] != '\0')
		words[nb++] = share->password;
	for (int i = 0; i < nb; i++)
		lens[i] = strlen(words[i]);
	if (redis_command(share->redis, OWN_GREETING, nb, words, lens) != 0)
		on_lost("no memory", share);
}

static void on_socket(struct child *child, int fd, void *arg) {
	struct share *share = arg;
	const struct redis_hooks hooks = {on_reply, on_lost, share};

	if (fd < 0) {
		on_lost(strerror(-fd), share);
		return;
	}
	share->redis = redis_new(child_base(child), fd, &hooks);
	if (share->redis)
		greet(share);
	else
		on_lost("no memory", share);
}

static void on_dial(evutil_socket_t fd, short what, void *arg) {
	struct share *share = arg;

	if (child_file_open(share->child, IPC_FILE_SHARE_SOCKET, 0, on_socket, share) != 0)
		dial_later(share);
}

// A server that does not answer, or is not there any more without having said so, is away.
static void on_tick(evutil_socket_t fd, short what, void *arg) {
	static const char *const words[] = {"PING"};
	static const size_t lens[] = {4};
	struct share *share = arg;

	if (share->up && redis_waiting(share->redis) == 0)
		redis_command(share->redis, OWN_PING, 1, words, lens);
	if (share->redis)
		redis_tick(share->redis);
}

// ---- questions

static size_t key_make(
	char *key, const struct cfg *cfg, char kind, const uint8_t *name, size_t len) {
	int n = snprintf(key, NAME_LEN, "%s:%c:", cfg->share.prefix, kind);

	for (size_t i = 0; i < len; i++)
		n += snprintf(key + n, NAME_LEN - (size_t)n, "%02x", name[i]);
	return (size_t)n;
}

struct words {
	const char *word[WORDS_MAX];
	size_t len[WORDS_MAX];
	int nb;
};

static void add(struct words *words, const char *word, size_t len) {
	words->word[words->nb] = word;
	words->len[words->nb++] = len;
}

static int command_send(struct share *share, uint64_t id, const struct ipc_share_ask *msg) {
	const struct cfg *cfg = child_cfg(share->child);
	const char *script = reply_script(msg->what);
	char keys[3][NAME_LEN], epoch[24], ttl[24], nb_keys[4];
	struct words words = {0};
	size_t name_len;
	unsigned nb = 0;

	add(&words, "EVAL", 4);
	add(&words, script, strlen(script));
	words.nb++; // the number of keys
	name_len = key_make(keys[0], cfg, 's', msg->name, sizeof(msg->name));
	add(&words, keys[nb++], name_len);
	if (!abi_addr_none(&msg->inner4)) {
		size_t len = key_make(keys[nb], cfg, 'a', msg->inner4.bytes, 16);
		add(&words, keys[nb++], len);
	}
	if (!abi_addr_none(&msg->inner6)) {
		size_t len = key_make(keys[nb], cfg, 'a', msg->inner6.bytes, 16);
		add(&words, keys[nb++], len);
	}
	words.word[2] = nb_keys;
	words.len[2] = (size_t)snprintf(nb_keys, sizeof(nb_keys), "%u", nb);
	add(&words, cfg->share.node, strlen(cfg->share.node));
	add(&words, epoch,
		(size_t)snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)msg->epoch));
	add(&words, ttl,
		(size_t)snprintf(ttl, sizeof(ttl), "%llu", (unsigned long long)msg->ttl_ms));
	add(&words, keys[0], name_len);
	if (msg->what == IPC_SHARE_PUT)
		add(&words, (const char *)msg->blob, msg->blob_len);
	return redis_command(share->redis, id, words.nb, words.word, words.len);
}

static struct ask *place(struct share *share) {
	for (unsigned i = 0; i < WAITING_MAX; i++) {
		struct ask *ask = &share->asks[share->next++ % WAITING_MAX];

		if (!ask->used)
			return ask;
	}
	return NULL;
}

static int on_ask(struct share *share, const struct ipc_share_ask *msg) {
	struct ask *ask;

	if (msg->what < IPC_SHARE_TAKE || msg->what > IPC_SHARE_DEL ||
		msg->blob_len > sizeof(msg->blob) ||
		(msg->what == IPC_SHARE_PUT) != (msg->blob_len > 0) || !msg->ttl_ms ||
		msg->ttl_ms > INT64_MAX / 2)
		return -EINVAL;
	ask = share->up ? place(share) : NULL;
	if (!ask) {
		unknown(share, msg->hdr.req, -ENOTCONN);
		return 0;
	}
	*ask = (struct ask){true, msg->what, !abi_addr_none(&msg->inner4), msg->hdr.req};
	if (command_send(share, FIRST_ASK + (uint64_t)(ask - share->asks), msg) != 0) {
		ask->used = false;
		unknown(share, msg->hdr.req, -ENOTCONN);
	}
	return 0;
}

// ---- life

static void on_password(struct child *child, int fd, void *arg) {
	struct share *share = arg;
	ssize_t len = fd < 0 ? fd : pread(fd, share->password, sizeof(share->password) - 1, 0);

	if (fd >= 0)
		close(fd);
	share->password[len > 0 ? len : 0] = '\0';
	share->password[strcspn(share->password, "\r\n")] = '\0';
	if (share->password[0] == '\0')
		log_error(
			"share_password", "text=\"its file cannot be read, or has no first line\"");
	on_dial(-1, 0, share);
}

static int role_start(struct child *child) {
	static const struct timeval second = {.tv_sec = 1};
	struct share *share = calloc(1, sizeof(*share));

	if (!share)
		return -ENOMEM;
	share->child = child;
	share->dial_ms = DIAL_MIN_MS;
	child_data_set(child, share);
	share->dial = event_new(child_base(child), -1, 0, on_dial, share);
	share->tick = event_new(child_base(child), -1, EV_PERSIST, on_tick, share);
	if (!share->dial || !share->tick || event_add(share->tick, &second) != 0)
		return -ENOMEM;
	if (child_cfg(child)->share.password_file[0] != '\0')
		return child_file_open(child, IPC_FILE_SHARE_PASSWORD, 0, on_password, share);
	on_dial(-1, 0, share);
	return 0;
}

static int role_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *msg, int *fds) {
	if (msg->type != IPC_SHARE_ASK)
		return -EPROTO;
	return on_ask(child_data(child), (const struct ipc_share_ask *)msg);
}

static void role_peer_up(struct child *child, struct ipc_chan *peer) {
	state_send(child_data(child));
}

// Its successor must not get answers to what it never asked.
static void role_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	struct share *share = child_data(child);

	for (unsigned i = 0; i < WAITING_MAX; i++)
		share->asks[i].req = UINT64_MAX;
}

static void role_stop(struct child *child) {
	struct share *share = child_data(child);

	redis_free(share->redis);
	event_free(share->dial);
	event_free(share->tick);
	explicit_bzero(share, sizeof(*share));
	free(share);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role share_role = {
	.role = IPC_SHARE,
	.name = "share",
	.start = role_start,
	.message = role_message,
	.peer_up = role_peer_up,
	.peer_down = role_peer_down,
	.stop = role_stop,
};
