// SPDX-License-Identifier: GPL-3.0-or-later
// A configuration and exchanges of requests and answers with it: for tests of what edges answer.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controlplane/edge/portal.h"

#define AGENT "User-Agent: Open AnyConnect VPN Agent v9.01-3\r\n"

extern struct cfg cfg;
extern struct portal_env env;

struct exchange {
	struct portal portal;
	struct buf out;
	struct ipc_login login;
	struct ipc_connect connect;
	enum portal_todo todo;
};

// One request of a connection; the answer is a C string in out.data.
void ask(struct exchange *x, const char *text);
const char *text_of(const struct exchange *x);
void post(struct exchange *x, const char *headers, const char *body);
void has(const struct exchange *x, const char *what);
void has_not(const struct exchange *x, const char *what);
// The announced length is that of the body.
void length_fits(const struct exchange *x);
