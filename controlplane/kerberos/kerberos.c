// SPDX-License-Identifier: GPL-3.0-or-later
// The Kerberos process: holds the keytab's keys, and says whose a client's tokens are. Run by
// child_main().
//
// It parses what anybody on the network may have sent, by MIT's library, so it holds nothing but
// those keys, and has neither a file nor a socket. A context lives from a login's first token to its
// last, or until auth lets go of it.

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "accept.h"
#include "controlplane/auth/files.h"
#include "controlplane/ipc/addr.h"
#include "controlplane/proc/child.h"
#include "controlplane/proc/log.h"
#include "keytab.h"

#define LOGINS_MAX 1024u // with a context that waits for its client; the oldest goes
#define EARLY_MAX 256u // tokens that came before the keys

// The context of one login.
struct open_login {
	TAILQ_ENTRY(open_login) link; // the oldest first
	uint64_t id;
	struct keys *keys;
	struct accept_context *context;
};

// Contexts are over with the keys that they were made with.
struct keys {
	unsigned nb_users; // contexts, and 1 while they are those in force
	struct accept_keys *accept;
};

struct early {
	STAILQ_ENTRY(early) link;
	struct ipc_kerberos_ask msg;
};

struct kerberos {
	struct child *child;
	struct keys *keys; // NULL: none could be read
	bool asked; // for the first ones, and they have come or not
	TAILQ_HEAD(, open_login) logins;
	unsigned nb_logins;
	STAILQ_HEAD(, early) early;
	unsigned nb_early;
};

// --- keys ---

static void keys_release(struct keys *keys) {
	if (keys == NULL || --keys->nb_users > 0)
		return;
	accept_keys_free(keys->accept);
	free(keys);
}

static struct keys *keys_new(const char *file, size_t len) {
	struct keys *keys = calloc(1, sizeof(*keys));

	if (keys == NULL)
		return NULL;
	keys->nb_users = 1;
	keys->accept = accept_keys_new(file, len);
	if (keys->accept != NULL)
		return keys;
	free(keys);
	return NULL;
}

// 0 or -errno; on failure the keys of before stay in force.
static int keys_read(struct kerberos *kerberos, int fd) {
	char *file = NULL;
	size_t len;
	struct keys *keys;
	int err = fd < 0 ? fd : file_read(fd, KEYTAB_FILE_MAX, &file, &len);

	if (fd >= 0)
		close(fd);
	if (err != 0)
		return err;
	keys = keys_new(file, len);
	err = keys == NULL ? -errno : 0;
	file_wipe(file, len);
	if (keys == NULL)
		return err;
	keys_release(kerberos->keys);
	kerberos->keys = keys;
	log_info("keytab", "keys=%zu", accept_keys_count(keys->accept));
	return 0;
}

static const char *keytab_error(int err) {
	return err == -EINVAL ? "no keytab, or without a key that can be used" : strerror(-err);
}

// --- logins ---

static void login_drop(struct kerberos *kerberos, struct open_login *login) {
	TAILQ_REMOVE(&kerberos->logins, login, link);
	kerberos->nb_logins--;
	accept_context_free(login->context);
	keys_release(login->keys);
	free(login);
}

static struct open_login *login_find(struct kerberos *kerberos, uint64_t id) {
	struct open_login *login;

	TAILQ_FOREACH(login, &kerberos->logins, link) {
		// cppcheck-suppress uninitvar ; TAILQ_FOREACH sets it
		if (login->id == id)
			return login;
	}
	return NULL;
}

static struct open_login *login_new(struct kerberos *kerberos, uint64_t id) {
	struct open_login *login = calloc(1, sizeof(*login));

	if (login == NULL)
		return NULL;
	login->context = accept_context_new(kerberos->keys->accept);
	if (login->context == NULL) {
		free(login);
		return NULL;
	}
	login->id = id;
	login->keys = kerberos->keys;
	login->keys->nb_users++;
	if (kerberos->nb_logins >= LOGINS_MAX)
		login_drop(kerberos, TAILQ_FIRST(&kerberos->logins));
	TAILQ_INSERT_TAIL(&kerberos->logins, login, link);
	kerberos->nb_logins++;
	return login;
}

static void reply(struct kerberos *kerberos, struct ipc_kerberos_answer *msg) {
	struct ipc_chan *auth = child_peer(kerberos->child, IPC_AUTH, 0);

	if (auth != NULL)
		ipc_send(auth, IPC_KERBEROS_ANSWER, &msg->hdr, sizeof(*msg), NULL, 0);
	explicit_bzero(msg, sizeof(*msg));
}

static void log_result(const struct abi_addr *remote, const struct ipc_kerberos_answer *msg,
	const struct accept_answer *answer) {
	char text[ADDR_TEXT_LEN];

	if (msg->status == IPC_KERBEROS_PASSED)
		log_info("kerberos", "user=%s remote=%s", log_value(msg->user),
			addr_text(remote, text));
	else if (msg->status == IPC_KERBEROS_REFUSED)
		log_warning("kerberos", "remote=%s result=refused text=%s", addr_text(remote, text),
			log_value(answer->why));
}

static void answer_put(const struct accept_answer *answer, struct ipc_kerberos_answer *msg) {
	static const enum ipc_kerberos_status statuses[] = {
		[ACCEPT_DONE] = IPC_KERBEROS_PASSED,
		[ACCEPT_MORE] = IPC_KERBEROS_MORE,
		[ACCEPT_REFUSED] = IPC_KERBEROS_REFUSED,
	};

	msg->status = statuses[answer->result];
	if (answer->result != ACCEPT_REFUSED && answer->token_len <= sizeof(msg->token)) {
		memcpy(msg->token, answer->token, answer->token_len);
		msg->token_len = (uint32_t)answer->token_len;
	}
	if (answer->result == ACCEPT_MORE && msg->token_len == 0)
		msg->status = IPC_KERBEROS_REFUSED;
	if (answer->result != ACCEPT_DONE)
		return;
	if (strlen(answer->user) < sizeof(msg->user) &&
		ipc_str_ok(answer->user, sizeof(answer->user)))
		strcpy(msg->user, answer->user);
	else
		msg->status = IPC_KERBEROS_REFUSED;
}

static void step(struct kerberos *kerberos, const struct ipc_kerberos_ask *ask) {
	struct ipc_kerberos_answer msg = {
		.hdr.req = ask->hdr.req, .status = IPC_KERBEROS_UNAVAILABLE};
	struct open_login *login = NULL;
	struct accept_answer answer;

	if (!ask->begins)
		login = login_find(kerberos, ask->hdr.req);
	else if (kerberos->keys != NULL)
		login = login_new(kerberos, ask->hdr.req);
	if (login == NULL) {
		reply(kerberos, &msg);
		return;
	}
	accept_step(login->context, &child_cfg(kerberos->child)->auth.kerberos, ask->token,
		ask->token_len, &answer);
	answer_put(&answer, &msg);
	log_result(&ask->remote, &msg, &answer);
	accept_answer_fini(&answer);
	if (msg.status != IPC_KERBEROS_MORE)
		login_drop(kerberos, login);
	reply(kerberos, &msg);
}

// --- requests ---

static void early_run(struct kerberos *kerberos, bool answer) {
	struct early *early;

	while ((early = STAILQ_FIRST(&kerberos->early)) != NULL) {
		STAILQ_REMOVE_HEAD(&kerberos->early, link);
		kerberos->nb_early--;
		if (answer)
			step(kerberos, &early->msg);
		explicit_bzero(early, sizeof(*early));
		free(early);
	}
}

static bool early_keep(struct kerberos *kerberos, const struct ipc_kerberos_ask *msg) {
	struct early *early;

	if (kerberos->asked || kerberos->nb_early >= EARLY_MAX)
		return false;
	early = malloc(sizeof(*early));
	if (early == NULL)
		return false;
	early->msg = *msg;
	STAILQ_INSERT_TAIL(&kerberos->early, early, link);
	kerberos->nb_early++;
	return true;
}

static int role_message(
	struct child *child, struct ipc_chan *from, const struct ipc_hdr *hdr, int *fds) {
	const struct ipc_kerberos_ask *msg = (const void *)hdr;
	struct kerberos *kerberos = child_data(child);
	struct open_login *login;

	if (hdr->type == IPC_KERBEROS_CANCEL) {
		login = login_find(kerberos, hdr->req);
		if (login != NULL)
			login_drop(kerberos, login);
		return 0;
	}
	if (msg->token_len == 0 || msg->token_len > IPC_TOKEN_LEN || msg->begins > 1)
		return -EINVAL;
	if (!early_keep(kerberos, msg))
		step(kerberos, msg);
	return 0;
}

// --- life ---

// Without keys logins are answered so; a reload brings them.
static void on_first_keytab(struct child *child, int fd, void *arg) {
	struct kerberos *kerberos = arg;
	int err = keys_read(kerberos, fd);

	if (err != 0)
		log_error("keytab", "text=%s", log_value(keytab_error(err)));
	kerberos->asked = true;
	early_run(kerberos, true);
}

static void on_next_keytab(struct child *child, int fd, void *arg) {
	int err = keys_read(arg, fd);

	child_reload_done(child, err, err != 0 ? keytab_error(err) : NULL);
}

static int role_prepare(struct child *child) {
	return accept_init();
}

static int role_start(struct child *child) {
	struct kerberos *kerberos = calloc(1, sizeof(*kerberos));

	if (kerberos == NULL)
		return -ENOMEM;
	kerberos->child = child;
	TAILQ_INIT(&kerberos->logins);
	STAILQ_INIT(&kerberos->early);
	child_data_set(child, kerberos);
	return child_file_open(child, IPC_FILE_KEYTAB, 0, on_first_keytab, kerberos);
}

static int role_reload(struct child *child, const struct cfg *cfg, char *text, size_t len) {
	int err;

	if (cfg->auth.kerberos.keytab_file[0] == '\0')
		return 0; // not used any more
	err = child_file_open(child, IPC_FILE_KEYTAB, 0, on_next_keytab, child_data(child));
	return err != 0 ? err : -EINPROGRESS;
}

static void logins_drop(struct kerberos *kerberos) {
	while (!TAILQ_EMPTY(&kerberos->logins))
		login_drop(kerberos, TAILQ_FIRST(&kerberos->logins));
	early_run(kerberos, false);
}

// The logins are gone with auth.
static void role_peer_down(struct child *child, enum ipc_role role, unsigned index) {
	logins_drop(child_data(child));
}

static void role_stop(struct child *child) {
	struct kerberos *kerberos = child_data(child);

	logins_drop(kerberos);
	keys_release(kerberos->keys);
	free(kerberos);
	child_data_set(child, NULL);
	child_exit(child, EXIT_SUCCESS);
}

const struct child_role kerberos_role = {
	.role = IPC_KERBEROS,
	.name = "kerberos",
	.prepare = role_prepare,
	.start = role_start,
	.reload = role_reload,
	.message = role_message,
	.peer_down = role_peer_down,
	.stop = role_stop,
};
