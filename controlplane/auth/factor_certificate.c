// SPDX-License-Identifier: GPL-3.0-or-later
// A certificate of the client as a factor: CAs and revocation lists as they are now, the check, and
// where there is one what the OCSP responder says; used by login_steps.c.
//
// The edge vouches for one thing, that the client has the key of the first certificate. Whose that
// is, and whether it is good, is decided here.

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include <openssl/x509.h>

#include "client_ocsp.h"
#include "client_trust.h"
#include "controlplane/ipc/addr.h"
#include "controlplane/proc/log.h"
#include "factor.h"
#include "reread.h"

#define SERIAL_LEN 64u
#define SUBJECT_LEN 200u
#define OCSP_SPARE_MS 500u // beyond the responder's time: for the way to it

// The CAs, then all revocation lists, one after another.
struct files_walk {
	struct reread_wait wait;
	unsigned next_crl;
	void (*done)(struct files_walk *walk);
};

// One step.
struct certificate_step {
	struct files_walk walk;
	struct login *login;
	struct client_chain chain;
	char username[IPC_USER_LEN]; // of the form; empty: there was none
	struct abi_addr remote;
	X509 *issuer;
	char user[IPC_USER_LEN], groups[IPC_GROUPS_LEN]; // what it says
	// The question to the responder; NULL: none.
	LIST_ENTRY(certificate_step) link; // in `asking`, while there is one
	struct client_ocsp *ocsp;
	struct event *timer;
	struct ipc_ocsp_ask question;
};

static struct child *self;
static struct client_trust *trust;
static struct reread cas, crls[CFG_CRL_FILES_MAX];
static struct files_walk early; // for nobody: so that edges know the CAs
static LIST_HEAD(, certificate_step) asking;
static uint64_t last_req;

static const struct cfg_client_cert *cfg_of(void) {
	return &child_cfg(self)->auth.client_cert;
}

// ---- files

static void cas_send(void) {
	struct ipc_client_cas *msg = calloc(1, sizeof(*msg));

	if (msg == NULL)
		return;
	msg->names_len = (uint32_t)client_trust_names(trust, msg->names, sizeof(msg->names));
	for (unsigned i = 0; i < ABI_EDGES_MAX; i++) {
		struct ipc_chan *edge = child_peer(self, IPC_EDGE, i);

		if (edge != NULL)
			ipc_send(edge, IPC_CLIENT_CAS, &msg->hdr, sizeof(*msg), NULL, 0);
	}
	free(msg);
}

// A file that cannot be used is told of once and does no harm until it is another one: 0 for it,
// too.
static int cas_load(void *arg, const char *text, size_t len) {
	if (client_trust_cas_set(trust, text, len) != 0) {
		log_error(cas.event,
			"file=%s text=\"not a PEM file of CAs, what was read before counts\"",
			log_value(cfg_of()->ca_file));
		return 0;
	}
	log_info(cas.event, "file=%s bytes=%zu", log_value(cfg_of()->ca_file), len);
	cas_send();
	return 0;
}

static int crl_load(void *arg, const char *text, size_t len) {
	const struct reread *crl = arg;
	const char *file = crl->index < cfg_of()->nb_crl_files ? cfg_of()->crl_files[crl->index]
							       : "";
	bool expired;

	if (client_trust_crls_set(trust, crl->index, text, len, &expired) != 0)
		log_error(crl->event,
			"file=%s text=\"not a revocation list of its CA, what was read before counts\"",
			log_value(file));
	else if (expired)
		log_warning(crl->event, "file=%s text=\"its time is over, nobody gets in by it\"",
			log_value(file));
	else
		log_info(crl->event, "file=%s bytes=%zu", log_value(file), len);
	return 0;
}

// What could not be read is in the log; what was read before counts.
static void walk_next(struct reread_wait *wait, int err) {
	struct files_walk *walk = (struct files_walk *)((char *)wait -
		offsetof(struct files_walk, wait));
	unsigned nb_crls = (unsigned)cfg_of()->nb_crl_files;

	if (walk->next_crl < nb_crls && walk->next_crl < CFG_CRL_FILES_MAX) {
		reread_get(&crls[walk->next_crl++], &walk->wait);
		return;
	}
	client_trust_crls_limit(trust, nb_crls);
	walk->done(walk);
}

static void walk_begin(struct files_walk *walk, void (*done)(struct files_walk *walk)) {
	walk->next_crl = 0;
	walk->done = done;
	walk->wait.ready = walk_next;
	reread_get(&cas, &walk->wait);
}

static void walk_end(struct files_walk *walk) {
	reread_cancel(&cas, &walk->wait);
	// Waits for one of them at most.
	for (unsigned i = 0; walk->wait.waiting && i < CFG_CRL_FILES_MAX; i++) {
		if (i + 1 == walk->next_crl)
			reread_cancel(&crls[i], &walk->wait);
	}
}

// ---- steps

static void refuse(struct certificate_step *step, const char *why) {
	char serial[SERIAL_LEN], subject[SUBJECT_LEN], remote[ADDR_TEXT_LEN];

	client_cert_describe(&step->chain, serial, sizeof(serial), subject, sizeof(subject));
	log_warning("client_certificate", "remote=%s serial=%s subject=%s reason=%s",
		addr_text(&step->remote, remote), log_value(serial), log_value(subject),
		log_value(why));
	factor_done(step->login,
		&(struct factor_outcome){.result = FACTOR_FAILED, .why = why, .no_guess = true});
}

static void pass(struct certificate_step *step) {
	factor_done(step->login,
		&(struct factor_outcome){
			.result = FACTOR_PASSED, .user = step->user, .groups = step->groups});
}

static void undecided(struct certificate_step *step, const char *why) {
	factor_done(step->login,
		&(struct factor_outcome){
			.result = FACTOR_ERROR, .message = "Server error", .why = why});
}

// ---- the responder

// Nothing that counts has come: what then is for the configuration to say.
static void ocsp_none(struct certificate_step *step, const char *why) {
	if (!cfg_of()->ocsp_soft) {
		undecided(step, why);
		return;
	}
	log_warning("client_certificate", "user=%s result=accepted reason=%s",
		log_value(step->user), log_value(why));
	pass(step);
}

static void on_ocsp_timeout(int fd, short what, void *arg) {
	ocsp_none(arg, "no OCSP answer");
}

static void question_send(struct certificate_step *step) {
	struct ipc_chan *ocsp = child_peer(self, IPC_OCSP, 0);

	step->question.hdr.req = ++last_req;
	if (ocsp != NULL)
		ipc_send(ocsp, IPC_OCSP_ASK, &step->question.hdr, sizeof(step->question), NULL, 0);
}

static void ocsp_begin(struct certificate_step *step) {
	unsigned ms = cfg_of()->ocsp_timeout_ms + OCSP_SPARE_MS;
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	step->ocsp = client_ocsp_new(&step->chain, step->issuer);
	if (step->ocsp == NULL) {
		undecided(step, "no memory");
		return;
	}
	LIST_INSERT_HEAD(&asking, step, link);
	step->timer = evtimer_new(child_base(self), on_ocsp_timeout, step);
	step->question.len = (uint32_t)client_ocsp_request(
		step->ocsp, step->question.request, sizeof(step->question.request));
	if (step->timer == NULL || step->question.len == 0) {
		undecided(step, "no OCSP request can be made");
		return;
	}
	evtimer_add(step->timer, &wait);
	question_send(step);
}

static int certificate_message(struct child *child, const struct ipc_hdr *hdr) {
	const struct ipc_ocsp_answer *msg = (const void *)hdr;
	enum client_ocsp_status status;
	struct certificate_step *step;
	const char *why;

	if (msg->len > sizeof(msg->response))
		return -EINVAL;
	LIST_FOREACH(step, &asking, link) {
		// cppcheck-suppress uninitvar ; LIST_FOREACH sets it
		if (step->question.hdr.req == hdr->req)
			break;
	}
	if (step == NULL)
		return 0; // the user has not waited
	if (msg->len == 0) {
		ocsp_none(step, "no OCSP answer");
		return 0;
	}
	status = client_ocsp_check(step->ocsp, msg->response, msg->len, &why);
	if (status == CLIENT_OCSP_GOOD)
		pass(step);
	else if (status == CLIENT_OCSP_BAD)
		refuse(step, why);
	else
		ocsp_none(step, why);
	return 0;
}

// ---- the check

static void user_check(struct certificate_step *step) {
	const char *why = client_cert_user(&step->chain, cfg_of()->user_field, step->user);

	if (why != NULL) {
		refuse(step, why);
		return;
	}
	cfg_name_fold(child_cfg(self), step->user);
	// A certificate is its user's alone: with it nobody gets in as another one.
	if (step->username[0] != '\0' && strcmp(step->username, step->user) != 0) {
		factor_done(step->login,
			&(struct factor_outcome){
				.result = FACTOR_FAILED, .why = "certificate is another user's"});
		return;
	}
	client_cert_groups(&step->chain, cfg_of()->group_field, step->groups);
	if (cfg_of()->ocsp_url[0] != '\0')
		ocsp_begin(step);
	else
		pass(step);
}

static void on_files(struct files_walk *walk) {
	struct certificate_step *step = (struct certificate_step *)((char *)walk -
		offsetof(struct certificate_step, walk));
	const char *why = client_trust_missing(trust, (unsigned)cfg_of()->nb_crl_files);

	if (why != NULL) {
		undecided(step, why);
		return;
	}
	why = client_trust_check(trust, &step->chain, &step->issuer);
	if (why != NULL)
		refuse(step, why);
	else
		user_check(step);
}

static void certificate_end(struct login *login, void **state) {
	struct certificate_step *step = *state;

	*state = NULL;
	walk_end(&step->walk);
	if (step->ocsp != NULL)
		LIST_REMOVE(step, link);
	if (step->timer != NULL)
		event_free(step->timer);
	client_ocsp_free(step->ocsp);
	X509_free(step->issuer);
	client_chain_free(&step->chain);
	free(step);
}

static void certificate_step(struct login *login, const struct factor_input *input, void **state) {
	struct certificate_step *step;

	if (input->chain == NULL) {
		factor_done(login,
			&(struct factor_outcome){.result = FACTOR_FAILED,
				.why = "client has shown no certificate",
				.no_guess = true});
		return;
	}
	step = calloc(1, sizeof(*step));
	if (step == NULL) {
		factor_done(login, &(struct factor_outcome){.result = FACTOR_ERROR});
		return;
	}
	if (client_chain_read(&step->chain, input->chain, input->chain_len) != 0) {
		free(step);
		factor_done(login,
			&(struct factor_outcome){.result = FACTOR_FAILED,
				.why = "certificate cannot be read",
				.no_guess = true});
		return;
	}
	*state = step;
	step->login = login;
	step->remote = input->login->remote;
	memcpy(step->username, input->login->username, sizeof(step->username));
	walk_begin(&step->walk, on_files);
}

// ---- life

static void on_early(struct files_walk *walk) {
}

// Where a method needs them: other gateways have no such files.
static void certificate_reloaded(struct child *child) {
	if (cfg_uses_factor(child_cfg(child), CFG_FACTOR_CERTIFICATE) && !early.wait.waiting)
		walk_begin(&early, on_early);
}

static int certificate_start(struct child *child) {
	self = child;
	trust = client_trust_new();
	if (trust == NULL)
		return -ENOMEM;
	cas = (struct reread){.child = child,
		.file = IPC_FILE_CLIENT_CAS,
		.event = "client_cas",
		.max = CLIENT_CA_FILE_MAX,
		.load = cas_load};
	for (unsigned i = 0; i < CFG_CRL_FILES_MAX; i++)
		crls[i] = (struct reread){.child = child,
			.file = IPC_FILE_CLIENT_CRL,
			.index = i,
			.event = "client_crl",
			.max = CLIENT_CRL_FILE_MAX,
			.load = crl_load,
			.arg = &crls[i]};
	early = (struct files_walk){0};
	LIST_INIT(&asking);
	if (getrandom(&last_req, sizeof(last_req), 0) != sizeof(last_req))
		return -EIO;
	certificate_reloaded(child);
	return 0;
}

static void certificate_stop(struct child *child) {
	walk_end(&early);
	client_trust_free(trust);
	trust = NULL;
	self = NULL;
}

static void certificate_peer_up(struct child *child, enum ipc_role role) {
	struct certificate_step *step;

	if (role == IPC_OCSP) {
		LIST_FOREACH(step, &asking, link)
			question_send(step);
	}
	if (role == IPC_EDGE && client_trust_missing(trust, 0) == NULL)
		cas_send();
}

const struct factor factor_certificate = {
	.name = "certificate",
	.id = CFG_FACTOR_CERTIFICATE,
	.wants_password = false,
	.formless = true,
	.start = certificate_start,
	.stop = certificate_stop,
	.step = certificate_step,
	.end = certificate_end,
	.answer = IPC_OCSP_ANSWER,
	.message = certificate_message,
	.reloaded = certificate_reloaded,
	.peer_up = certificate_peer_up,
};
