// SPDX-License-Identifier: GPL-3.0-or-later
// What an Access-Accept says of a user, checked value by value. Used by ask.c; fuzzed.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "packet.h"

// Adds what the attribute says to *settings; what is not for us is left alone. False: the value is
// not usable (an address that no host has, a route that is none, more than there is room for), and
// nothing was changed.
bool settings_add(
	struct ipc_user_settings *settings, const struct rvalue *value, bool groups_from_class);

// "10.1.0.0/16 192.0.2.1 1" or "2001:db8::/32 :: 1": the prefix up to the first space, host bits
// cleared (RFC 2865, 5.22; RFC 3162, 2.5). An IPv4 address without a length has its class's, which
// nobody means: it is a host. False: none.
bool settings_route(const uint8_t *text, size_t len, struct ipc_prefix *prefix);

// "OU=staff;admins" or "staff;admins" (Class): adds names that are not there yet to the comma
// separated list. A Class that is not text (it is any bytes, RFC 2865, 5.25) adds nothing. False:
// no room.
bool settings_groups(const uint8_t *text, size_t len, char groups[IPC_USER_GROUPS_LEN]);

// Adds text of a server to a message for people: control characters become spaces, what is not
// UTF-8 question marks; cut when it is full, at a character's end.
void settings_message(const uint8_t *text, size_t len, char message[IPC_MESSAGE_LEN]);
