// SPDX-License-Identifier: GPL-3.0-or-later
// Between the PAM process and the conversations that it starts, one process each.
#pragma once

#include "controlplane/ipc/msg.h"

#define PAM_LOGIN_ROLE "pam-login" // --role of a conversation, which its keeper starts
#define PAM_SERVICE_LEN 64u

// The first packet on a conversation's standard input. Further ones are struct ipc_pam_ask, each in
// answer to a question; the conversation sends struct ipc_pam_answer, after the last of which
// (status other than IPC_PAM_QUESTION) it ends.
struct pam_order {
	uint32_t gid_min;
	uint32_t reserved;
	char service[PAM_SERVICE_LEN];
	struct ipc_pam_ask ask;
};

// A whole conversation, over standard input. Returns the exit status.
int pam_login_main(void);
