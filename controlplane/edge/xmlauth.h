// SPDX-License-Identifier: GPL-3.0-or-later
// The config-auth XML of the login exchange, by libxml2: reading replies, writing forms. No I/O.
#pragma once

#include "buf.h"
#include "form.h"
#include "yang/config.h"

// Once, before any other use of libxml2 in the process: memory that it frees is wiped, as it
// holds passwords. 0 or -ENOMEM.
int xmlauth_init(void);

// Reads a config-auth document. Document types (so entities) are refused, nothing is loaded.
// 0, or -EINVAL: not well-formed, another document, a field too long, given twice or with
// control characters. On failure nothing is left in *creds.
int xmlauth_parse(struct creds *creds, const char *body, size_t len);

// Looks and words of an answer. Strings may be empty, `banner` then is left out.
struct xmlauth_text {
	const char *banner;
	const char *message;
	bool bare; // no config-auth around it: clients of version 3 and older
	// Of a form:
	const char *action; // where it is posted to
	const char *label; // of the one field of a further form; NULL: username and password
	unsigned round; // how many questions there were before
	bool echo; // what is typed may be seen
	const struct cfg_group *groups; // to choose from: the selectable ones, and the chosen one
	size_t nb_groups;
	const char *group; // chosen; NULL or empty: none
};

// The form that asks for username and password, or what `label` says.
void xmlauth_form(struct buf *out, const struct xmlauth_text *text);
// The client has to come with a certificate.
void xmlauth_certificate_request(struct buf *out, const struct xmlauth_text *text);
// The login is complete.
void xmlauth_success(struct buf *out, const struct xmlauth_text *text);
