// SPDX-License-Identifier: GPL-3.0-or-later
// Loads all certificates of a configuration with their keys; called by auth.c.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certset.h"
#include "controlplane/proc/log.h"
#include "files.h"

#define PEM_MAX (1u << 20)

// A set on its way: files come one after another, certificate then key.
struct load {
	struct child *child;
	const struct cfg *cfg;
	void (*done)(struct child *child, struct certset *set, const char *text);
	struct certset *set;
	char *chain;
	size_t chain_len;
};

static void load_next(struct load *load);

// FNV-1a; which certificates these are is no secret.
static uint32_t generation_of(const struct certset *set) {
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < set->nb_pairs; i++) {
		const uint8_t *sha1 = cert_pair_sha1(set->pairs[i]);

		for (size_t j = 0; j < 20; j++)
			hash = (hash ^ sha1[j]) * 16777619u;
	}
	return hash;
}

static void load_end(struct load *load, const char *text) {
	struct certset *set = load->set;

	if (text != NULL) {
		certset_free(set);
		set = NULL;
	} else {
		set->generation = generation_of(set);
	}
	load->done(load->child, set, text);
	file_wipe(load->chain, load->chain_len);
	free(load);
}

// Takes the descriptor over. False: the load has ended.
static bool file_take(struct load *load, int fd, const char *name, char **data, size_t *len) {
	char text[512];
	int err = fd;

	if (fd >= 0) {
		err = file_read(fd, PEM_MAX, data, len);
		close(fd);
	}
	if (err >= 0)
		return true;
	snprintf(text, sizeof(text), "%s: %s", name, strerror(-err));
	load_end(load, text);
	return false;
}

static void on_key(struct child *child, int fd, void *arg) {
	struct load *load = arg;
	const struct cfg_certificate *cert = &load->cfg->certificates[load->set->nb_pairs];
	struct cert_source source = {
		.chain_pem = load->chain,
		.chain_name = cert->certificate_file,
		.key_name = cert->key_file,
	};
	struct cert_pair *pair;
	char *pem_key = NULL;
	char text[512];

	if (!file_take(load, fd, cert->key_file, &pem_key, &source.key_len))
		return;
	source.key_pem = pem_key;
	pair = cert_pair_new(&source, text, sizeof(text));
	file_wipe(pem_key, source.key_len);
	file_wipe(load->chain, load->chain_len);
	load->chain = NULL;
	if (pair == NULL) {
		load_end(load, text);
		return;
	}
	if (text[0] != '\0')
		log_warning(
			"certificate", "name=%s text=%s", log_value(cert->name), log_value(text));
	load->set->pairs[load->set->nb_pairs++] = pair;
	load_next(load);
}

static void on_certificate(struct child *child, int fd, void *arg) {
	struct load *load = arg;
	unsigned index = (unsigned)load->set->nb_pairs;
	const struct cfg_certificate *cert = &load->cfg->certificates[index];

	if (!file_take(load, fd, cert->certificate_file, &load->chain, &load->chain_len))
		return;
	if (child_file_open(child, IPC_FILE_KEY, index, on_key, load) != 0)
		load_end(load, "the supervisor cannot be asked for files");
}

static void load_next(struct load *load) {
	unsigned index = (unsigned)load->set->nb_pairs;

	if (index == load->cfg->nb_certificates)
		load_end(load, NULL);
	else if (child_file_open(load->child, IPC_FILE_CERTIFICATE, index, on_certificate, load) !=
		0)
		load_end(load, "the supervisor cannot be asked for files");
}

void certset_load(struct child *child, const struct cfg *cfg,
	void (*done)(struct child *child, struct certset *set, const char *text)) {
	struct load *load = calloc(1, sizeof(*load));
	struct certset *set = calloc(
		1, sizeof(*set) + cfg->nb_certificates * sizeof(struct cert_pair *));

	if (load == NULL || set == NULL) {
		free(load);
		free(set);
		done(child, NULL, "no memory");
		return;
	}
	*load = (struct load){.child = child, .cfg = cfg, .done = done, .set = set};
	load_next(load);
}

void certset_free(struct certset *set) {
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->nb_pairs; i++)
		cert_pair_free(set->pairs[i]);
	free(set);
}
