// SPDX-License-Identifier: GPL-3.0-or-later
// What auth tells the session process of clients that did something wrong.
#pragma once

#include "controlplane/proc/child.h"

// A password (or code, or what else a factor asks for) was wrong.
void report_wrong_password(struct child *child, const struct abi_addr *remote);
