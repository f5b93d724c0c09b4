// SPDX-License-Identifier: GPL-3.0-or-later
// What a client says about itself at login, from XML or a form; decoding of the form.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "controlplane/ipc/msg.h"

enum creds_kind {
	CREDS_NONE, // nothing that asks for anything: show the form
	CREDS_INIT, // XML type="init"
	CREDS_REPLY, // a reply to the form: username, password or both
	CREDS_LOGOUT, // XML type="logout"
};

// Strings are empty when not given. Holds a password: creds_wipe() when done.
struct creds {
	enum creds_kind kind;
	bool has_username, has_password, has_answer;
	bool no_certificate; // the client has been asked for one and has none
	char username[IPC_USER_LEN];
	char password[IPC_PASSWORD_LEN];
	char answer
		[IPC_PASSWORD_LEN]; // to a further form: secondary_password, with or without a number
	char group[IPC_GROUP_LEN];
	char url_group[IPC_GROUP_LEN]; // the path of the group-access element
};

void creds_wipe(struct creds *creds);

// True for the name of the field of a further form.
bool creds_is_answer(const char *name, size_t len);

// application/x-www-form-urlencoded: username, password, secondary_password, group_list. Other
// fields are skipped.
// 0, or -EINVAL: a broken escape, a field that is too long or given twice, control characters.
// On failure nothing is left in *creds.
int form_parse(struct creds *creds, const char *body, size_t len);
