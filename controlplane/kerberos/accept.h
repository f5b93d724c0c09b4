// SPDX-License-Identifier: GPL-3.0-or-later
// The server's side of Kerberos by MIT's GSSAPI: a set of keys, and contexts that clients set up with
// tokens. Used by kerberos.c. Nothing here opens a file or a socket after accept_init().
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yang/config.h"

#define ACCEPT_NAME_LEN 256u
#define ACCEPT_WHY_LEN 128u

// Before the sandbox: settings of the library for this process, and what it reads once.
int accept_init(void);

struct accept_keys;

// The keys of a keytab file. NULL with errno (EINVAL: no keytab, or none that the library takes).
struct accept_keys *accept_keys_new(const void *file, size_t len);
void accept_keys_free(struct accept_keys *keys);
size_t accept_keys_count(const struct accept_keys *keys);

struct accept_context;

enum accept_result {
	ACCEPT_DONE, // `user` is who it is
	ACCEPT_MORE, // the client has to answer the token
	ACCEPT_REFUSED, // `why`
};

struct accept_answer {
	enum accept_result result;
	char user[ACCEPT_NAME_LEN];
	char why[ACCEPT_WHY_LEN]; // of a refusal, for the log
	size_t token_len; // 0: none
	uint8_t *token; // for the client; freed by accept_answer_fini()
};

// NULL: no memory. The keys must outlive it.
struct accept_context *accept_context_new(const struct accept_keys *keys);
void accept_context_free(struct accept_context *context);
// One token of the client.
void accept_step(struct accept_context *context, const struct cfg_kerberos *cfg,
	const uint8_t *token, size_t len, struct accept_answer *answer);
void accept_answer_fini(struct accept_answer *answer);

// Who a principal is here, by the rules of the configuration. `realms` are the keytab's, used when
// the configuration names none. False: nobody, *why says why (a literal).
bool accept_user(const struct cfg_kerberos *cfg, char *const *realms, size_t nb_realms,
	const char *principal, char user[ACCEPT_NAME_LEN], const char **why);
